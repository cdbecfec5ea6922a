package aws

import (
	"io"
	"regexp"
	"strings"
	"time"
)

// Bounds of names, in bytes.
const (
	maxUserName  = 64 // of an IAM user and of a role's session
	maxTokenName = 32 // of a federated user
	nameRandom   = 20 // letters and digits of a lease's random part that a name holds
	minRandom    = 10 // as many at least where there is little room
	namePrefix   = "vault"
)

// What .Type is in a template: the name of a user, or that of a federated one.
const (
	typeUser  = "IAM"
	typeToken = "STS"
)

// naming makes the names of what one role leases.
type naming struct {
	template string // "": vault-<display name>-<role>-<mark>-<random>
	kind     string // typeUser or typeToken
	display  string
	role     string
	now      time.Time
	random   io.Reader // for the template's own random parts
}

func (n *naming) max() int {
	if n.kind == typeToken {
		return maxTokenName
	}
	return maxUserName
}

// name makes one name. It holds the mark and enough of random to be unlike any other, whatever the
// template makes, and bears no other cluster's mark.
func (n *naming) name(mark, random string) string {
	fit := min(nameRandom, max(minRandom, n.max()-len(mark)-1), len(random))
	random = random[:fit]
	room := n.max() - len(mark) - len(random) - len("--")
	if n.template == "" {
		return join(n.vaultLike(room), mark, random)
	}
	made, err := n.expand(mark, random)
	if err != nil {
		return join(n.vaultLike(room), mark, random)
	}
	if made = safeName(made, mark, random); len(made) <= n.max() && bears(made, mark) && strings.Contains(made, random) {
		return made
	}
	made = safeName(made, "", "")
	return join(strings.TrimRight(made[:min(max(room, 0), len(made))], "-"), mark, random)
}

func join(prefix, mark, random string) string {
	if prefix != "" {
		prefix += "-"
	}
	return prefix + mark + "-" + random
}

// vaultLike is the part before the mark: at most room bytes, none where there is little room. The role
// is cut only when both it and the display name are long.
func (n *naming) vaultLike(room int) string {
	free := room - len(namePrefix+"--")
	if free < 6 {
		return ""
	}
	display, role := safeName(n.display, "", ""), safeName(n.role, "", "")
	role = cut(role, max(free/2, free-len(display)))
	name := namePrefix
	for _, text := range []string{cut(display, free-len(role)), role} {
		if text = strings.Trim(text, "-"); text != "" {
			name += "-" + text
		}
	}
	return safeName(name, "", "") // the parts may make a mark together
}

var notForNames = regexp.MustCompile(`[^A-Za-z0-9_+=,.@-]`)

// safeName replaces what IAM takes in no name by "_", and breaks what could be taken for the mark of
// another cluster, which would count the name as its own. The given mark and random part stay.
func safeName(text, mark, random string) string {
	text = notForNames.ReplaceAllString(text, "_")
	if mark == "" {
		return strings.ReplaceAll(text, "lh-", "lh_")
	}
	// Control characters stand in for what stays; none is left in the text.
	text = strings.ReplaceAll(text, mark, "\x00")
	text = strings.ReplaceAll(text, random, "\x01")
	text = strings.ReplaceAll(text, "lh-", "lh_")
	return strings.NewReplacer("\x00", mark, "\x01", random).Replace(text)
}

// bears reports whether a name holds the mark, and not merely one that begins or ends alike.
func bears(name, mark string) bool {
	for from := 0; mark != ""; {
		i := strings.Index(name[from:], mark)
		if i < 0 {
			return false
		}
		begin, end := from+i, from+i+len(mark)
		if (begin == 0 || !alphanumeric(name[begin-1])) && (end == len(name) || !alphanumeric(name[end])) {
			return true
		}
		from = begin + 1
	}
	return false
}

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
