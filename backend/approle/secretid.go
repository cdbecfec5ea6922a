package approle

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/lease"
)

const secretIDPrefix = "secret-id/"

func secretIDKey(generation, accessor string) string {
	return secretIDPrefix + generation + "/" + accessor
}

// secretID is what is known of a secret_id. Stored values are replaced whole.
type secretID struct {
	Digest     []byte            `json:"digest"`
	NumUses    int               `json:"num_uses,omitempty"` // that are left; 0: unlimited
	TTL        time.Duration     `json:"ttl,omitempty"`
	Created    lease.Time        `json:"created"`
	Updated    lease.Time        `json:"updated"`
	Expires    lease.Time        `json:"expires,omitempty"` // log time; 0: never
	CIDRs      []string          `json:"cidr_list,omitempty"`
	TokenCIDRs []string          `json:"token_bound_cidrs,omitempty"` // in place of the role's
	Metadata   map[string]string `json:"metadata,omitempty"`
}

// lookSecretID returns nil if there is none that lives at now; seen is the version of what there is.
func lookSecretID(store backend.Store, key string, now lease.Time) (*secretID, backend.Version, error) {
	data, seen, err := store.Look(key)
	if err != nil {
		return nil, "", fmt.Errorf("read a secret_id: %w", err)
	}
	if seen == "" {
		return nil, "", nil
	}
	s := new(secretID)
	if err := json.Unmarshal(data, s); err != nil {
		return nil, "", fmt.Errorf("read a secret_id: %w", err)
	}
	if s.Expires != 0 && s.Expires <= now {
		return nil, seen, nil
	}
	return s, seen, nil
}

// is compares in constant time.
func (s *secretID) is(digest []byte) bool {
	return subtle.ConstantTimeCompare(s.Digest, digest) == 1
}

// put replaces what was seen at key. The entry goes by itself when the secret_id comes to its end.
func (s *secretID) put(ctx context.Context, r *backend.Request, key string, seen backend.Version) error {
	value, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode a secret_id: %w", err)
	}
	var ttl time.Duration
	if s.Expires != 0 {
		ttl = s.Expires.Sub(r.Now)
	}
	return r.Store.Swap(ctx, key, seen, value, ttl)
}

// shown is what answers show under an accessor.
func (s *secretID) shown(accessor string) map[string]any {
	metadata := maps.Clone(s.Metadata)
	if metadata == nil {
		metadata = map[string]string{}
	}
	return map[string]any{
		"secret_id_accessor": accessor,
		"secret_id_num_uses": s.NumUses,
		"secret_id_ttl":      seconds(s.TTL),
		"creation_time":      s.Created.String(),
		"last_updated_time":  s.Updated.String(),
		"expiration_time":    s.Expires.String(),
		"cidr_list":          shownList(s.CIDRs),
		"token_bound_cidrs":  shownList(s.TokenCIDRs),
		"metadata":           metadata,
	}
}

// makeSecretID draws a secret_id.
func (*Backend) makeSecretID(ctx context.Context, r *request) (*backend.Response, error) {
	id, err := randomUUID(r.Random)
	if err != nil {
		return nil, err
	}
	return addSecretID(ctx, r, field.Read(r.Params), id)
}

// takeSecretID takes over a secret_id that the caller chose.
func (*Backend) takeSecretID(ctx context.Context, r *request) (*backend.Response, error) {
	in := field.Read(r.Params)
	return addSecretID(ctx, r, in, readID(in, "secret_id"))
}

func addSecretID(ctx context.Context, r *request, in *field.Reader, id string) (*backend.Response, error) {
	ro, err := existingRole(r)
	if err != nil {
		return nil, err
	}
	if !ro.BindSecretID {
		return nil, lease.Errorf(lease.Invalid, "bind_secret_id is not set on the role")
	}
	s := &secretID{Created: r.Now, Updated: r.Now}
	warnings := s.read(in, r, ro)
	if err := in.Err(); err != nil {
		return nil, err
	}
	key, err := loadKey(r.Store)
	if err != nil {
		return nil, err
	}
	s.Digest = key.digest(ro.Generation, id)
	accessor := key.accessor(ro.Generation, id)
	if err := s.add(ctx, r, ro, secretIDKey(ro.Generation, accessor)); err != nil {
		return nil, err
	}
	sweepAlong(ctx, r, stepAlong)
	return &backend.Response{Warnings: append(warnings, in.Warnings()...), Data: map[string]any{
		"secret_id":          id,
		"secret_id_accessor": accessor,
		"secret_id_ttl":      seconds(s.TTL),
		"secret_id_num_uses": s.NumUses,
	}}, nil
}

// read reads what the caller asks for within what the role allows.
func (s *secretID) read(in *field.Reader, r *request, ro *role) (warnings []string) {
	in.Captured("role_name")
	s.NumUses = readUses(in, "num_uses", ro.SecretIDNumUses)
	if most := ro.SecretIDNumUses; most > 0 && (s.NumUses == 0 || s.NumUses > most) {
		in.Failf("num_uses cannot be higher than the role's secret_id_num_uses")
	}
	s.TTL = ro.SecretIDTTL
	if in.Has("ttl") && r.Params["ttl"] != nil {
		s.TTL = in.Duration("ttl")
	}
	if most := ro.SecretIDTTL; most > 0 && (s.TTL == 0 || s.TTL > most) {
		in.Failf("ttl cannot be longer than the role's secret_id_ttl")
	}
	if limit := maxTTL(r.Mount); s.TTL > limit {
		s.TTL = limit
		warnings = append(warnings, fmt.Sprintf("the secret_id lives for %v, which is the mount's limit", limit))
	}
	if s.TTL > 0 {
		s.Expires = r.Now.Add(s.TTL)
	}
	s.CIDRs = readCIDRs(in, "cidr_list")
	checkWithin(in, "cidr_list", s.CIDRs, "secret_id_bound_cidrs", ro.BoundCIDRs)
	s.TokenCIDRs = readCIDRs(in, "token_bound_cidrs")
	checkWithin(in, "token_bound_cidrs", s.TokenCIDRs, "token_bound_cidrs", ro.Token.BoundCIDRs)
	s.Metadata = readMetadata(in)
	return warnings
}

func readMetadata(in *field.Reader) map[string]string {
	metadata := in.StringMap("metadata")
	if len(metadata) > MaxMetadata {
		in.Failf("metadata: %d entries, at most %d are kept: drop some", len(metadata), MaxMetadata)
	}
	for key, value := range metadata {
		for _, text := range []string{key, value} {
			if len(text) > MaxMetaText {
				in.Failf("metadata: a text of %d bytes, at most %d are kept: shorten it", len(text), MaxMetaText)
			}
			if err := field.CheckText(text); err != nil {
				in.Failf("metadata: %q %s: use plain text", field.CleanText(key), err)
			}
		}
	}
	return metadata
}

// add stores a new secret_id. A role that is deleted meanwhile takes it along: what was written is taken
// back, or else the sweep comes by.
func (s *secretID) add(ctx context.Context, r *request, ro *role, key string) error {
	if err := s.register(ctx, r, key); err != nil {
		return err
	}
	now, err := loadRole(r.Store, r.name)
	if err != nil || now != nil && now.Generation == ro.Generation {
		return err
	}
	if err := r.Store.Delete(ctx, key); err != nil {
		return err
	}
	return noSuchRole(r.name)
}

// register writes a secret_id unless there is a living one in its place. An expired one may be seen still
// and be gone at the write, so a changed entry is looked at again.
func (s *secretID) register(ctx context.Context, r *request, key string) error {
	for range maxTries {
		old, seen, err := lookSecretID(r.Store, key, r.Now)
		if err != nil {
			return err
		}
		if old != nil {
			return lease.Errorf(lease.Invalid, "secret_id: already registered with the role: choose another one, or destroy it first")
		}
		if err := s.put(ctx, r.Request, key, seen); !errors.Is(err, lease.ErrChanged) {
			return err
		}
	}
	return errBusy
}

func existingRole(r *request) (*role, error) {
	ro, err := loadRole(r.Store, r.name)
	if err == nil && ro == nil {
		err = noSuchRole(r.name)
	}
	return ro, err
}

// listSecretIDs lists the accessors.
func (*Backend) listSecretIDs(_ context.Context, r *request) (*backend.Response, error) {
	ro, err := existingRole(r)
	if err != nil {
		return nil, err
	}
	return listLevel(r, secretIDPrefix+ro.Generation+"/")
}

// named is the secret_id that a request is about.
type named struct {
	key      string
	accessor string
	found    *secretID // nil: there is none
	warnings []string
}

// bySecretID finds the secret_id that is sent itself.
func bySecretID(r *request) (named, error) {
	in := field.Read(r.Params)
	in.Captured("role_name")
	id := readID(in, "secret_id")
	if err := in.Err(); err != nil {
		return named{}, err
	}
	ro, err := existingRole(r)
	if err != nil {
		return named{}, err
	}
	key, err := loadKey(r.Store)
	if err != nil {
		return named{}, err
	}
	n, err := byHandle(r, ro, key.accessor(ro.Generation, id))
	if n.found != nil && !n.found.is(key.digest(ro.Generation, id)) {
		n.found = nil
	}
	n.warnings = in.Warnings()
	return n, err
}

// byAccessor finds the secret_id of the accessor that is sent. There must be one.
func byAccessor(r *request) (named, error) {
	in := field.Read(r.Params)
	in.Captured("role_name")
	accessor := readID(in, "secret_id_accessor")
	if err := in.Err(); err != nil {
		return named{}, err
	}
	ro, err := existingRole(r)
	if err != nil {
		return named{}, err
	}
	n, err := byHandle(r, ro, accessor)
	if err == nil && n.found == nil {
		err = lease.Errorf(lease.NotFound, "failed to find accessor entry for secret_id_accessor: %q", field.CleanText(accessor))
	}
	n.warnings = in.Warnings()
	return n, err
}

func byHandle(r *request, ro *role, accessor string) (named, error) {
	n := named{key: secretIDKey(ro.Generation, accessor), accessor: accessor}
	var err error
	n.found, _, err = lookSecretID(r.Store, n.key, r.Now)
	return n, err
}

// lookUp shows a secret_id; nothing if there is none.
func lookUp(n named, err error) (*backend.Response, error) {
	if n.found == nil || err != nil {
		return nil, err
	}
	return &backend.Response{Data: n.found.shown(n.accessor), Warnings: n.warnings}, nil
}

// destroy removes a secret_id. One that is not there is destroyed already.
func destroy(ctx context.Context, r *request, n named, err error) (*backend.Response, error) {
	if n.found == nil || err != nil {
		return nil, err
	}
	return nil, r.Store.Delete(ctx, n.key)
}

func (*Backend) lookUpSecretID(_ context.Context, r *request) (*backend.Response, error) {
	return lookUp(bySecretID(r))
}

func (*Backend) lookUpAccessor(_ context.Context, r *request) (*backend.Response, error) {
	return lookUp(byAccessor(r))
}

func (*Backend) destroySecretID(ctx context.Context, r *request) (*backend.Response, error) {
	n, err := bySecretID(r)
	return destroy(ctx, r, n, err)
}

func (*Backend) destroyAccessor(ctx context.Context, r *request) (*backend.Response, error) {
	n, err := byAccessor(r)
	return destroy(ctx, r, n, err)
}
