package aws

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/lease"
)

// The credential types.
const (
	iamUser         = "iam_user"
	assumedRole     = "assumed_role"
	federationToken = "federation_token"
	sessionToken    = "session_token"
)

const (
	rolePrefix  = "role/"
	MaxRoleName = 128 // bytes
)

func roleKey(name string) string { return rolePrefix + name }

// role says what kind of credentials to make, and what they may do.
type role struct {
	Types          []string          `json:"types,omitempty"`  // one, or two for a role in Vault's old form
	Legacy         bool              `json:"legacy,omitempty"` // written with policy or arn
	PolicyARNs     []string          `json:"policy_arns,omitempty"`
	PolicyDocument string            `json:"policy_document,omitempty"` // JSON without white space
	RoleARNs       []string          `json:"role_arns,omitempty"`
	Groups         []string          `json:"groups,omitempty"`
	Tags           map[string]string `json:"tags,omitempty"`
	SessionTags    map[string]string `json:"session_tags,omitempty"`
	ExternalID     string            `json:"external_id,omitempty"`
	DefaultTTL     time.Duration     `json:"default_ttl,omitempty"` // of STS credentials; 0: DefaultSTSTTL
	MaxTTL         time.Duration     `json:"max_ttl,omitempty"`     // likewise; 0: the mount's
	UserPath       string            `json:"user_path,omitempty"`   // "": /
	Boundary       string            `json:"boundary,omitempty"`
	MFASerial      string            `json:"mfa_serial,omitempty"`
}

// loadRole returns nil if there is no such role.
func loadRole(store backend.Store, name string) (*role, error) {
	data, ok, err := store.Get(roleKey(name))
	if err != nil {
		return nil, fmt.Errorf("read role %q: %w", name, err)
	}
	if !ok {
		return nil, nil
	}
	r := new(role)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("read role %q: %w", name, err)
	}
	return r, nil
}

func (r *role) is(kind string) bool { return slices.Contains(r.Types, kind) }

func (r *role) userPath() string {
	if r.UserPath == "" && r.is(iamUser) {
		return "/"
	}
	return r.UserPath
}

func readRole(req *backend.Request, name string) (*backend.Response, error) {
	r, err := loadRole(req.Store, name)
	if r == nil || err != nil {
		return nil, err
	}
	return &backend.Response{Data: map[string]any{
		"credential_type": strings.Join(r.Types, ","), "policy_arns": notNil(r.PolicyARNs), "role_arns": notNil(r.RoleARNs),
		"policy_document": r.PolicyDocument, "iam_groups": notNil(r.Groups), "iam_tags": notNilMap(r.Tags),
		"default_sts_ttl": int64(r.DefaultTTL / time.Second), "max_sts_ttl": int64(r.MaxTTL / time.Second),
		"user_path": r.userPath(), "permissions_boundary_arn": r.Boundary, "external_id": r.ExternalID,
		"session_tags": notNilMap(r.SessionTags), "mfa_serial_number": r.MFASerial,
	}}, nil
}

func notNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func notNilMap(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// writeRole makes a role, or changes the fields that were sent of one that is there.
func writeRole(ctx context.Context, req *backend.Request, name string) (*backend.Response, error) {
	if err := lease.CheckPath(name); err != nil {
		return nil, lease.Errorf(lease.Invalid, "name: %s", err)
	}
	if len(name) > MaxRoleName {
		return nil, lease.Errorf(lease.Invalid, "name: %d bytes long, at most %d are allowed: choose a shorter one", len(name), MaxRoleName)
	}
	r, err := loadRole(req.Store, name)
	if err != nil {
		return nil, err
	}
	if r == nil {
		r = new(role)
	}
	in := field.Read(req.Params)
	in.Captured("name")
	r.read(in)
	warnings := r.readLegacy(in)
	r.check(in)
	if err := in.Err(); err != nil {
		return nil, err
	}
	data, err := field.FormatJSON(r)
	if err != nil {
		return nil, fmt.Errorf("encode role: %w", err)
	}
	if err := req.Store.Put(ctx, roleKey(name), data); err != nil {
		return nil, err
	}
	return answered(append(warnings, in.Warnings()...)), nil
}

// read takes over the fields that were sent; the empty value clears one.
func (r *role) read(in *field.Reader) {
	if in.Has("credential_type") {
		r.Types, r.Legacy = nil, false
		if kind := in.String("credential_type"); kind != "" {
			r.Types = []string{kind}
		}
	}
	for name, list := range map[string]*[]string{
		"policy_arns": &r.PolicyARNs, "role_arns": &r.RoleARNs, "iam_groups": &r.Groups,
	} {
		if in.Has(name) {
			*list = in.Strings(name)
		}
	}
	for name, tags := range map[string]*map[string]string{"iam_tags": &r.Tags, "session_tags": &r.SessionTags} {
		if in.Has(name) {
			*tags = in.StringMap(name)
		}
	}
	for name, text := range map[string]*string{
		"external_id": &r.ExternalID, "user_path": &r.UserPath, "permissions_boundary_arn": &r.Boundary, "mfa_serial_number": &r.MFASerial,
	} {
		if in.Has(name) {
			*text = in.String(name)
		}
	}
	for name, ttl := range map[string]*time.Duration{"default_sts_ttl": &r.DefaultTTL, "max_sts_ttl": &r.MaxTTL} {
		if in.Has(name) {
			*ttl = in.Duration(name)
		}
	}
	if in.Has("policy_document") {
		r.PolicyDocument = readPolicy(in, "policy_document")
	}
}

// readLegacy takes the two fields of Vault's old form, in which the type follows from what is sent.
func (r *role) readLegacy(in *field.Reader) (warnings []string) {
	policy, arn := in.String("policy"), in.String("arn")
	if policy == "" && arn == "" {
		return nil
	}
	if policy != "" && arn != "" {
		in.Failf("policy and arn: send one of them, or the fields that replace them")
	}
	typed := in.Has("credential_type")
	if !typed {
		r.Types, r.Legacy = nil, true
	}
	if policy != "" {
		if in.Has("policy_document") {
			in.Failf("policy: is the old name of policy_document: send one of them")
		}
		warnings = append(warnings, "policy is deprecated: send policy_document and credential_type")
		if r.PolicyDocument = readPolicy(in, "policy"); !typed {
			r.Types = []string{iamUser, federationToken}
		}
	}
	if arn == "" {
		return warnings
	}
	warnings = append(warnings, "arn is deprecated: send policy_arns or role_arns, and credential_type")
	switch {
	case in.Has("policy_arns") || in.Has("role_arns"):
		in.Failf("arn: is the old name of policy_arns and role_arns: send one of them")
	case strings.Contains(arn, ":role/"):
		if r.RoleARNs = []string{arn}; !typed {
			r.Types = []string{assumedRole}
		}
	case strings.Contains(arn, ":policy/"):
		if r.PolicyARNs = []string{arn}; !typed {
			r.Types = []string{iamUser}
		}
	default:
		in.Failf("arn: %q is neither a role's nor a policy's", field.CleanText(arn))
	}
	return warnings
}
