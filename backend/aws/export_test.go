package aws

import (
	"io"
	"time"

	"github.com/leasehold/leasehold/backend/field"
)

// Hurry makes the pauses between looks at AWS short.
func (b *Backend) Hurry(d time.Duration) { b.pace = pace{d, d, d} }

// Name is the name that a template makes; token: of a federated user.
func Name(template, display, role string, token bool, mark, random string, rand io.Reader) string {
	n := naming{template: template, kind: typeUser, display: display, role: role, now: time.Unix(1_800_000_000, 0), random: rand}
	if token {
		n.kind = typeToken
	}
	return n.name(mark, random)
}

// CheckNameTemplate is what config/root says of a username_template.
func CheckNameTemplate(text string) error { return checkNameTemplate(text) }

// Bears reports whether a name counts as one of the mark's cluster.
func Bears(name, mark string) bool { return bears(name, mark) }

// ReadPolicy is a policy document as a role keeps it.
func ReadPolicy(text string) (string, error) {
	in := field.Read(map[string]any{"policy_document": text})
	return readPolicy(in, "policy_document"), in.Err()
}

// Merge makes one policy of several.
func Merge(documents []string) (string, error) { return merge(documents) }
