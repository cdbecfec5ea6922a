package aws

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/lease"
)

// kept is what a lease keeps, sealed, of how its credentials are made and ended. No secret is in it.
type kept struct {
	Type string `json:"type"`
	// Planned is when the intent was made, by the clock of the node that made it.
	Planned time.Time `json:"planned,omitzero"`
	// Role is the role as it stood then; once a user is made, what ending it needs of that.
	Role        *role  `json:"role,omitempty"`
	Account     string `json:"account,omitempty"`    // in which the user was made; "": not known
	AccessKey   string `json:"access_key,omitempty"` // the ID of the user's key
	Inline      bool   `json:"inline,omitempty"`     // the user was given a policy of its own
	RoleARN     string `json:"role_arn,omitempty"`   // to be assumed
	SessionName string `json:"session_name,omitempty"`
}

func (k *kept) encode() ([]byte, error) {
	data, err := field.FormatJSON(k)
	if err != nil {
		return nil, fmt.Errorf("encode what the lease keeps: %w", err)
	}
	return data, nil
}

func decodeKept(data []byte) (*kept, error) {
	k := new(kept)
	if err := json.Unmarshal(data, k); err != nil {
		return nil, backend.Permanent(fmt.Errorf("read what the lease kept: %w", err))
	}
	if k.Role == nil {
		k.Role = new(role)
	}
	return k, nil
}

// Prepare reads a request for creds/<name> or sts/<name>.
func (b *Backend) Prepare(_ context.Context, req *backend.Request) (*backend.Plan, error) {
	path, name := split(req.Path)
	r, err := loadRole(req.Store, name)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, lease.Errorf(lease.Invalid, "Role %q not found", name)
	}
	conf, _, err := loadRoot(req.Store)
	if err != nil {
		return nil, err
	}
	kind, err := r.choose(path)
	if err != nil {
		return nil, err
	}
	in := field.Read(req.Params)
	in.Captured("name")
	k := &kept{Type: kind, Planned: b.now().UTC(), Role: r}
	plan := &backend.Plan{Path: req.Path, Role: name, TTL: in.Duration("ttl"), Target: true}
	readSession(in, k)
	if kind == iamUser {
		err = limitUser(plan, req.Store)
	} else {
		limitSTS(plan, in, r)
	}
	if err != nil {
		return nil, err
	}
	if err := in.Err(); err != nil {
		return nil, err
	}
	if plan.Internal, err = k.encode(); err != nil {
		return nil, err
	}
	plan.ExternalName = b.naming(conf, kind, req, name).name
	plan.Warnings = in.Warnings()
	return plan, nil
}

// limitUser gives a user's lease the times of config/lease.
func limitUser(plan *backend.Plan, store backend.Store) error {
	l, err := loadLimits(store)
	if err != nil {
		return err
	}
	if plan.Renewable = true; l != nil {
		plan.DefaultTTL, plan.MaxTTL = l.Default, l.Max
	}
	return nil
}

// limitSTS gives the lease of STS credentials the times of the role.
func limitSTS(plan *backend.Plan, in *field.Reader, r *role) {
	plan.DefaultTTL, plan.MaxTTL = r.DefaultTTL, r.MaxTTL
	if plan.DefaultTTL == 0 {
		if plan.DefaultTTL = DefaultSTSTTL; r.MaxTTL > 0 {
			plan.DefaultTTL = min(DefaultSTSTTL, r.MaxTTL)
		}
	}
	if plan.TTL > 0 && plan.TTL < minSTSTTL {
		in.Failf("ttl: %v is shorter than %v, the shortest that STS makes: ask for more", plan.TTL, minSTSTTL)
	}
}

// choose picks the type of credentials. A role in Vault's old form may make two; then the path decides.
func (r *role) choose(path string) (string, error) {
	switch {
	case r.Legacy && path == "sts/" && len(r.Types) == 1 && r.is(iamUser):
		return "", lease.Errorf(lease.Invalid, "the role makes IAM users only: ask for them at creds/")
	case len(r.Types) == 1:
		return r.Types[0], nil
	case path == "creds/" && r.is(iamUser):
		return iamUser, nil
	}
	return r.Types[len(r.Types)-1], nil
}

func (b *Backend) naming(conf *root, kind string, req *backend.Request, role string) *naming {
	n := &naming{template: conf.NameTemplate, kind: typeUser, role: role, now: b.now(), random: req.Random}
	if kind == federationToken {
		n.kind = typeToken
	}
	if req.Token != nil {
		n.display = req.Token.DisplayName
	}
	return n
}

var sessionText = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)

// readSession reads what concerns a role that is to be assumed, and refuses it with other types.
func readSession(in *field.Reader, k *kept) {
	k.RoleARN, k.SessionName = in.String("role_arn"), in.String("role_session_name")
	code := in.String("mfa_code") // which is used and kept nowhere
	if k.Type != sessionToken && code != "" {
		in.Failf("mfa_code: only valid for the credential_type %s: leave it out", sessionToken)
	}
	if k.Type == sessionToken && (code == "") != (k.Role.MFASerial == "") {
		in.Failf("mfa_code: belongs to a role with an mfa_serial_number, and to no other")
	}
	if k.Type != assumedRole {
		if k.RoleARN != "" || k.SessionName != "" {
			in.Failf("role_arn and role_session_name: only valid for the credential_type %s: leave them out", assumedRole)
		}
		return
	}
	switch {
	case k.RoleARN == "" && len(k.Role.RoleARNs) == 1:
		k.RoleARN = k.Role.RoleARNs[0]
	case k.RoleARN == "":
		in.Failf("role_arn: missing: the role allows %d, name the one to assume", len(k.Role.RoleARNs))
	case !slices.Contains(k.Role.RoleARNs, k.RoleARN):
		in.Failf("role_arn: %q is not among those that the role allows", field.CleanText(cut(k.RoleARN, 200)))
	}
	if k.SessionName != "" && !sessionText.MatchString(k.SessionName) {
		in.Failf("role_session_name: send 2 to 64 letters, digits and _+=,.@-")
	}
}
