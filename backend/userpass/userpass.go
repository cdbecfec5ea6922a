// Package userpass is the "userpass" auth method: people log in with a name and a password, and get a
// token with the policies of their user.
//
//	POST users/alice {"password": "…", "token_policies": ["dev"], "token_ttl": "8h"}
//	POST login/alice {"password": "…"}
//
// Paths, fields and texts are Vault's. docs/userpass.md is the page for those who run it.
//
// What the package promises:
//   - Only a bcrypt hash of a password is kept, sealed like all that a mount keeps, and no answer shows it.
//   - A wrong password, none, and a user who is not there get the same answer after the same work, and
//     count alike towards a lock-out (T29). Nothing that a caller without a token sees depends on
//     whether a user exists.
//   - After so many failures a name is locked for a while, exactly, however many try at once and on
//     whichever node: the result of a comparison is told only if the name was not locked by then.
//   - The processor belongs to others too: few comparisons run at once, a bounded number wait.
//
// Names are in lower case. A path may write them as it likes, but what is authorised, recorded and served is
// what Fold makes of it: a rule that denies users/alice must not leave users/ALICE open, and revoking what is below
// login/alice must not spare login/Alice. What was not folded is refused.
package userpass

import (
	"context"
	"runtime"
	"strings"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/lease"
)

// Backend is the auth method. It keeps nothing but the queue of comparisons and is safe for
// concurrent use.
type Backend struct {
	gate    *gate
	cost    int                               // of new hashes
	compare func(hash, password []byte) error // bcrypt's
}

// New makes the auth method. Half of the processors at most are busy with its passwords.
func New() *Backend {
	return newBackend(Cost, max(1, runtime.GOMAXPROCS(0)/2))
}

// Type is "userpass".
func (*Backend) Type() string { return "userpass" }

// The kinds of paths.
const (
	usersPath    = "users"
	userPath     = "users/"
	passwordPath = "users//password"
	policiesPath = "users//policies"
	unlockPath   = "users//unlock"
	loginPath    = "login/"
)

var routes = map[string]map[backend.Operation]backend.Class{
	usersPath:    {backend.List: backend.Query},
	userPath:     {backend.Read: backend.Query, backend.Write: backend.Change, backend.Delete: backend.Change},
	passwordPath: {backend.Write: backend.Change},
	policiesPath: {backend.Write: backend.Change},
	unlockPath:   {backend.Write: backend.Change},
	loginPath:    {backend.Write: backend.Login},
}

// split takes the name of a user out of a path; what is left is one of the kinds, or nothing known.
func split(path string) (kind, name string) {
	head, rest, ok := strings.Cut(path, "/")
	if !ok {
		return path, ""
	}
	name, verb, more := strings.Cut(rest, "/")
	if name == "" {
		return "", ""
	}
	if kind = head + "/"; more {
		kind += "/" + verb
	}
	return kind, name
}

// Fold returns the path with the name of the user in lower case.
func (*Backend) Fold(path string) string {
	kind, name := split(path)
	if _, known := routes[kind]; !known || name == "" || lease.CheckPath(name) != nil {
		return path
	}
	head, verb, _ := strings.Cut(kind, "/")
	return head + "/" + strings.ToLower(name) + verb
}

func (b *Backend) checkFolded(path string) error {
	if b.Fold(path) == path {
		return nil
	}
	_, name := split(path)
	return lease.Errorf(lease.Invalid, "username: %q has capitals: write it in lower case", name)
}

// Route knows users, users/<name>, password, policies and unlock below that, and login/<name>.
func (*Backend) Route(op backend.Operation, path string) (backend.Class, error) {
	kind, _ := split(path)
	verbs, ok := routes[kind]
	if !ok {
		return 0, lease.Errorf(lease.NotFound, "unsupported path")
	}
	class, ok := verbs[op]
	if !ok {
		return 0, lease.Errorf(lease.Unsupported, "unsupported operation")
	}
	return class, nil
}

// Handle serves all below users.
func (b *Backend) Handle(ctx context.Context, req *backend.Request) (*backend.Response, error) {
	kind, name := split(req.Path)
	if _, ok := routes[kind][req.Operation]; !ok || kind == loginPath {
		return nil, lease.Errorf(lease.Unsupported, "unsupported operation")
	}
	if kind == usersPath {
		return listUsers(req)
	}
	if err := b.checkFolded(req.Path); err != nil {
		return nil, err
	}
	err := checkName(req.Mount, name)
	switch {
	case req.Operation == backend.Write && err != nil:
		return nil, err
	case err != nil:
		return nil, nil // nobody can have such a name
	case kind == userPath && req.Operation == backend.Read:
		return readUser(req, name)
	case kind == userPath && req.Operation == backend.Delete:
		return nil, req.Store.Delete(ctx, userKey(name))
	case kind == userPath:
		return b.writeUser(ctx, req, name)
	case kind == passwordPath:
		return b.writePassword(ctx, req, name)
	case kind == policiesPath:
		return writePolicies(ctx, req, name)
	}
	return nil, unlockUser(ctx, req, name)
}

// Exists tells creating a user from updating one; what is below a user is only ever updated.
func (b *Backend) Exists(_ context.Context, req *backend.Request) (bool, error) {
	kind, name := split(req.Path)
	if kind != userPath {
		return true, nil
	}
	if checkName(req.Mount, name) != nil {
		return false, nil // Handle refuses it
	}
	u, _, err := loadUser(req.Store, name)
	return u != nil, err
}

// Prepare is never reached: the auth method has no path of class Issue.
func (*Backend) Prepare(context.Context, *backend.Request) (*backend.Plan, error) {
	return nil, lease.Errorf(lease.Unsupported, "unsupported operation")
}
