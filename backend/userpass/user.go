package userpass

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/backend/tokenparams"
	"github.com/leasehold/leasehold/lease"
)

// MaxName is the length of a user's name in bytes.
const MaxName = 128

// maxTries bounds how often a change is tried again because somebody else's came first.
const maxTries = 256

const userPrefix = "user/"

func userKey(name string) string { return userPrefix + name }

// user is what the store keeps of one.
type user struct {
	Hash string `json:"hash"` // bcrypt, of the password
	tokenparams.Params
}

// oldNames are the fields that userpass still takes under their names of before.
var oldNames = []string{"policies", "ttl", "max_ttl", "bound_cidrs"}

// checkName says why nobody can have a name.
func checkName(mount *lease.Mount, name string) error {
	if err := lease.CheckPath(name); err != nil {
		return lease.Errorf(lease.Invalid, "username: %s", err)
	}
	if len(name) > MaxName {
		return lease.Errorf(lease.Invalid, "username: %d bytes long, at most %d are allowed: choose a shorter one", len(name), MaxName)
	}
	id := lease.NewID(mount.Path+loginPath+name, strings.Repeat("0", tokenRandom), mount.Namespace)
	if over := len(id) - lease.MaxIDLen; over > 0 {
		return lease.Errorf(lease.Invalid, "username: the lease IDs of its tokens would be %d bytes long, at most %d are allowed: shorten it by %d",
			len(id), lease.MaxIDLen, over)
	}
	return nil
}

// tokenRandom is the length of the last part of a token's lease ID: "h" and 32 bytes in hex.
const tokenRandom = 1 + 2*32

// loadUser returns nil if there is no such user.
func loadUser(store backend.Store, name string) (*user, backend.Version, error) {
	data, version, err := store.Look(userKey(name))
	if err != nil {
		return nil, "", fmt.Errorf("read user %q: %w", name, err)
	}
	if version == "" {
		return nil, "", nil
	}
	u := new(user)
	if err := json.Unmarshal(data, u); err != nil {
		return nil, "", &lease.Error{Code: lease.Internal, Message: fmt.Sprintf("user %q cannot be read: delete it and make it again", name), Err: err}
	}
	return u, version, nil
}

// updateUser changes a user, however many others do it at once. change gets a zero user if there is
// none, is called again if somebody came first, and its errors end the update.
func updateUser(ctx context.Context, store backend.Store, name string, change func(u *user, exists bool) error) error {
	for range maxTries {
		u, version, err := loadUser(store, name)
		if err != nil {
			return err
		}
		exists := u != nil
		if !exists {
			u = new(user)
		}
		if err := change(u, exists); err != nil {
			return err
		}
		data, err := field.FormatJSON(u)
		if err != nil {
			return fmt.Errorf("encode user: %w", err)
		}
		err = store.Swap(ctx, userKey(name), version, data, 0)
		if !errors.Is(err, lease.ErrChanged) {
			return err
		}
	}
	return errContended()
}

func errContended() error {
	return lease.Errorf(lease.Unavailable, "others keep changing the same entry: try again")
}

func listUsers(req *backend.Request) (*backend.Response, error) {
	names, err := req.Store.List(userPrefix)
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	in := field.Read(req.Params)
	in.Has("list")
	data, warnings := in.Page(names)
	if err := in.Err(); err != nil || data == nil {
		return nil, err
	}
	return &backend.Response{Data: data, Warnings: append(warnings, in.Warnings()...)}, nil
}

// readUser shows everything but the hash.
func readUser(req *backend.Request, name string) (*backend.Response, error) {
	u, _, err := loadUser(req.Store, name)
	if u == nil || err != nil {
		return nil, err
	}
	return &backend.Response{Data: u.Data()}, nil
}

// writeUser makes a user, or changes the fields that were sent of one that is there.
func (b *Backend) writeUser(ctx context.Context, req *backend.Request, name string) (*backend.Response, error) {
	in := reader(req)
	secret := b.readSecret(in)
	new(user).Read(in, oldNames...) // faults are told before work is spent on the hash
	if err := in.Err(); err != nil {
		return nil, err
	}
	u, _, err := loadUser(req.Store, name)
	if err != nil {
		return nil, err
	}
	if u == nil && !secret.sent {
		return nil, errMissingPassword()
	}
	hash, err := b.hash(ctx, req.Store, secret)
	if err != nil {
		return nil, err
	}
	err = updateUser(ctx, req.Store, name, func(u *user, exists bool) error {
		if !exists && !secret.sent {
			return errMissingPassword() // deleted meanwhile
		}
		if secret.sent {
			u.Hash = hash
		}
		u.Read(in, oldNames...)
		return in.Err()
	})
	if err != nil {
		return nil, err
	}
	if secret.sent {
		if err := forget(ctx, req, name); err != nil {
			return nil, err
		}
	}
	return warned(in), nil
}

// writePassword gives a user another password, which also unlocks the name.
func (b *Backend) writePassword(ctx context.Context, req *backend.Request, name string) (*backend.Response, error) {
	in := reader(req)
	secret := b.readSecret(in)
	if err := in.Err(); err != nil {
		return nil, err
	}
	if !secret.sent {
		return nil, errMissingPassword()
	}
	if err := mustExist(req.Store, name); err != nil {
		return nil, err
	}
	hash, err := b.hash(ctx, req.Store, secret)
	if err != nil {
		return nil, err
	}
	err = updateUser(ctx, req.Store, name, func(u *user, exists bool) error {
		if !exists {
			return errNoUser()
		}
		u.Hash = hash
		return nil
	})
	if err != nil {
		return nil, err
	}
	return warned(in), forget(ctx, req, name)
}

// writePolicies changes nothing but the policies.
func writePolicies(ctx context.Context, req *backend.Request, name string) (*backend.Response, error) {
	only := make(map[string]any)
	in := reader(req)
	for _, key := range []string{"policies", "token_policies"} {
		if in.Has(key) {
			only[key] = req.Params[key]
		}
	}
	err := updateUser(ctx, req.Store, name, func(u *user, exists bool) error {
		if !exists {
			return errNoUser()
		}
		policies := field.Read(only)
		u.Read(policies, oldNames...)
		return policies.Err()
	})
	if err != nil {
		return nil, err
	}
	return warned(in), nil
}

// unlockUser ends a lock-out before its time.
func unlockUser(ctx context.Context, req *backend.Request, name string) error {
	if err := mustExist(req.Store, name); err != nil {
		return err
	}
	return forget(ctx, req, name)
}

func mustExist(store backend.Store, name string) error {
	u, _, err := loadUser(store, name)
	if err == nil && u == nil {
		return errNoUser()
	}
	return err
}

func errNoUser() error {
	return lease.Errorf(lease.Invalid, "username does not exist: make the user first")
}

// reader reads parameters, of which the path decides the name.
func reader(req *backend.Request) *field.Reader {
	in := field.Read(req.Params)
	in.Captured("username")
	return in
}

// warned is the answer of a change: nothing, unless there is something to warn of.
func warned(in *field.Reader) *backend.Response {
	if warnings := in.Warnings(); len(warnings) > 0 {
		return &backend.Response{Warnings: warnings}
	}
	return nil
}
