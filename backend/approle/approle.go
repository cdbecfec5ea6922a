// Package approle is the "approle" auth method: machines log in with a role_id, which says who they
// are, and a secret_id, which proves it and may be good for a number of uses or a time only.
//
// What a mount keeps, by key:
//
//	key                                 the key of all hashes below, made by the first write of a role
//	role/<name>                         a role: its limits, its role_id and its generation
//	role-id/<hash>                      the role that a role_id belongs to
//	secret-id/<generation>/<accessor>   a secret_id of a role: limits and hash, never itself
//	remains/<time>-<generation>         a deleted role whose secret_ids have yet to be removed
//
// The generation is drawn when a role is made and dies with it, so a role's deletion makes all of its
// secret_ids useless at once, and a role made again under the same name knows none of them.
// An accessor is a keyed hash of its secret_id. So a login finds the entry in one step, a lookup by
// accessor finds the same one, and its last use, which removes it, is one entry of the log.
//
// What the package promises:
//   - Of a secret_id only a keyed hash is stored (T1). Every wrong proof gets the same answer after
//     the same steps (T2, T29).
//   - A secret_id for n uses is good for at most n logins, however many race: each use is a conditional
//     write. A use whose outcome is unknown counts as taken.
//   - Nothing is left behind for ever: secret_ids with a time limit go by themselves, those of deleted
//     roles are removed in bounded steps by the deletion, by later writes, and by tidy/secret-id.
package approle

import (
	"context"
	"strings"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/lease"
)

// Bounds. Texts are counted in bytes.
const (
	MaxRoleName = 128
	MaxID       = 4 << 10 // of a role_id and of a secret_id
	MaxMetadata = 63      // entries; the role's name comes to them
	MaxMetaText = 512     // of a key and of a value
)

const (
	maxTries   = 8    // of a conditional write
	maxWaiting = 4096 // requests that wait for their turn
)

// Backend is the auth method. Beside the line of those who wait for their turn it has no state; it is
// safe for concurrent use.
type Backend struct{ turns *turns }

// New makes the auth method.
func New() *Backend { return &Backend{turns: newTurns(maxWaiting)} }

// Type is "approle".
func (*Backend) Type() string { return "approle" }

// request is a call to one of the endpoints; name is the role's that the path holds, or "".
type request struct {
	*backend.Request
	name string
}

// endpoint says how a verb on a path is served; serve is nil for what Handle does not serve.
type endpoint struct {
	class backend.Class
	serve func(*Backend, context.Context, *request) (*backend.Response, error)
}

type verbs map[backend.Operation]endpoint

// endpoints has all paths, with ":name" in the place of a role's name.
var endpoints = listEndpoints()

func listEndpoints() map[string]verbs {
	query := func(serve func(*Backend, context.Context, *request) (*backend.Response, error)) endpoint {
		return endpoint{backend.Query, serve}
	}
	change := func(serve func(*Backend, context.Context, *request) (*backend.Response, error)) endpoint {
		return endpoint{backend.Change, serve}
	}
	const read, list, write, del = backend.Read, backend.List, backend.Write, backend.Delete
	all := map[string]verbs{
		"login":                                 {write: {class: backend.Login}},
		"tidy/secret-id":                        {write: change((*Backend).tidy)},
		"role":                                  {list: query((*Backend).listRoles)},
		"role/:name":                            {read: query((*Backend).readRole), write: change((*Backend).writeRole), del: change((*Backend).deleteRole)},
		"role/:name/role-id":                    {read: query((*Backend).readRoleID), write: change((*Backend).writeRoleID)},
		"role/:name/secret-id":                  {list: query((*Backend).listSecretIDs), write: change((*Backend).makeSecretID)},
		"role/:name/custom-secret-id":           {write: change((*Backend).takeSecretID)},
		"role/:name/secret-id/lookup":           {write: query((*Backend).lookUpSecretID)},
		"role/:name/secret-id/destroy":          {write: change((*Backend).destroySecretID), del: change((*Backend).destroySecretID)},
		"role/:name/secret-id-accessor/lookup":  {write: query((*Backend).lookUpAccessor)},
		"role/:name/secret-id-accessor/destroy": {write: change((*Backend).destroyAccessor), del: change((*Backend).destroyAccessor)},
	}
	for path, p := range properties {
		all["role/:name/"+path] = verbs{read: query(p.read), write: change(p.write), del: change(p.clear)}
	}
	return all
}

// split takes the role's name out of a path. The pattern is "" for a path that cannot be one.
func split(path string) (pattern, name string) {
	rest, ok := strings.CutPrefix(path, "role/")
	if !ok {
		return path, ""
	}
	name, below, deeper := strings.Cut(rest, "/")
	switch {
	case name == "":
		return "", ""
	case deeper:
		return "role/:name/" + below, name
	}
	return "role/:name", name
}

func find(op backend.Operation, pattern string) (endpoint, error) {
	on, ok := endpoints[pattern]
	if !ok {
		return endpoint{}, lease.Errorf(lease.NotFound, "unsupported path")
	}
	e, ok := on[op]
	if !ok {
		return endpoint{}, lease.Errorf(lease.Unsupported, "unsupported operation")
	}
	return e, nil
}

// Route knows the paths of Vault's auth method of this name, except for those that are deprecated there.
func (*Backend) Route(op backend.Operation, path string) (backend.Class, error) {
	pattern, _ := split(path)
	e, err := find(op, pattern)
	return e.class, err
}

// Handle serves everything but login.
func (b *Backend) Handle(ctx context.Context, req *backend.Request) (*backend.Response, error) {
	pattern, name := split(req.Path)
	e, err := find(req.Operation, pattern)
	if err != nil {
		return nil, err
	}
	if e.serve == nil {
		return nil, lease.Errorf(lease.Unsupported, "unsupported operation")
	}
	if name != "" {
		if err := checkName(name); err != nil {
			return nil, err
		}
	}
	return e.serve(b, ctx, &request{req, name})
}

// Prepare is never reached: there is no path of class Issue.
func (*Backend) Prepare(context.Context, *backend.Request) (*backend.Plan, error) {
	return nil, lease.Errorf(lease.Unsupported, "unsupported operation")
}

// Exists reports whether the role of a write to role/<name> is there. Any other write changes what is
// there, as in Vault: it needs the capability "update".
func (*Backend) Exists(_ context.Context, req *backend.Request) (bool, error) {
	pattern, name := split(req.Path)
	if pattern != "role/:name" {
		return true, nil
	}
	if checkName(name) != nil {
		return false, nil
	}
	r, err := loadRole(req.Store, name)
	return r != nil, err
}

// checkName refuses what cannot be a role's name. Upper case is refused instead of lowered: policies
// are asked about the path as it was sent, and a second spelling of it would get around a rule that
// denies the first (T4).
func checkName(name string) error {
	if len(name) > MaxRoleName {
		return lease.Errorf(lease.Invalid, "role_name: %d bytes long, at most %d are allowed: choose a shorter one", len(name), MaxRoleName)
	}
	if err := lease.CheckPath(name); err != nil {
		return lease.Errorf(lease.Invalid, "role_name: %s", err)
	}
	if lower := strings.ToLower(name); lower != name {
		return lease.Errorf(lease.Invalid, "role_name: %q has capital letters, and roles have none: write %q", name, lower)
	}
	return nil
}

func noSuchRole(name string) error {
	return lease.Errorf(lease.NotFound, "role %q does not exist", name)
}

// errBusy says that a conditional write found another one before it each time.
var errBusy = lease.Errorf(lease.Unavailable, "others kept changing the same thing: nothing was done, try again")
