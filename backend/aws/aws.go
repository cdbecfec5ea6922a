// Package aws is the "aws" engine: IAM users with access keys that live as long as their leases, and
// temporary credentials of STS. docs/aws.md is the page for those who set it up.
//
// A mount has config/root (which account, with which credentials), config/lease (how long IAM users
// live) and roles. A role is of one credential type: iam_user makes a user under a name that is used
// once and never again; assumed_role, federation_token and session_token ask STS for credentials that
// end by themselves.
//
// What the package promises:
//   - Making a user is repeatable: what an earlier try of the same intent left is used, and its access
//     keys are replaced. Ending one goes on where it stopped, and what is gone counts as done.
//   - That a user is gone is believed when IAM has had time to know it: IAM answers from copies that lag
//     behind, and "no such user" about one that was asked for a moment ago proves nothing. Nor does it
//     when config/root has meanwhile been pointed at another account.
//   - Rotating the root credentials stores a new key before it is relied on and deletes the old one
//     last; calls at work go over to the new key by themselves.
//   - STS credentials cannot be taken back: their leases end with them, are not renewable, and revoking
//     them does nothing at AWS.
//   - Every call ends with its context, and after callTimeout at the latest; answers are bounded.
//   - No error shows a key, and none is longer than 256 bytes (T12). A lease keeps names and key IDs,
//     never a secret.
package aws

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/lease"
)

// Options are what a Backend takes from its surroundings.
type Options struct {
	Now func() time.Time // judges how old users and keys are; nil: the system's clock
}

// Backend is the engine. It holds connections, and no state beside them; it is safe for concurrent use.
type Backend struct {
	now     func() time.Time
	clients *clients
	pace    pace
}

// pace are the pauses between looks at what AWS does not know everywhere yet.
type pace struct {
	user  time.Duration // a user who was just made
	key   time.Duration // a root key that was just put in force
	proof time.Duration // calls that prove a new root key
}

// New makes the engine.
func New(opts Options) *Backend {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Backend{
		now: opts.Now, clients: newClients(),
		pace: pace{user: 500 * time.Millisecond, key: 500 * time.Millisecond, proof: 300 * time.Millisecond},
	}
}

// Close gives up the connections that are kept for later calls.
func (b *Backend) Close() error {
	b.clients.close()
	return nil
}

// Type is "aws".
func (*Backend) Type() string { return "aws" }

// The paths that are no role's.
const (
	rootPath   = "config/root"
	leasePath  = "config/lease"
	rotatePath = "config/rotate-root"
)

var routes = map[string]map[backend.Operation]backend.Class{
	rootPath:   {backend.Read: backend.Query, backend.Write: backend.Change},
	leasePath:  {backend.Read: backend.Query, backend.Write: backend.Change},
	rotatePath: {backend.Write: backend.Change},
	"roles":    {backend.List: backend.Query},
	"roles/":   {backend.Read: backend.Query, backend.Write: backend.Change, backend.Delete: backend.Change},
	"creds/":   {backend.Read: backend.Issue, backend.Write: backend.Issue},
	"sts/":     {backend.Read: backend.Issue, backend.Write: backend.Issue},
}

// Route knows config/root, config/lease, config/rotate-root, roles, creds and sts.
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

// split takes a path into its kind, with a slash if a role's name follows, and that name.
func split(path string) (kind, name string) {
	kind, name, ok := strings.Cut(path, "/")
	switch {
	case !ok:
		return kind, ""
	case kind == "config":
		return path, ""
	case name == "" || strings.Contains(name, "/"):
		return "", ""
	}
	return kind + "/", name
}

// Handle serves everything but creds and sts.
func (b *Backend) Handle(ctx context.Context, req *backend.Request) (*backend.Response, error) {
	kind, name := split(req.Path)
	switch req.Operation {
	case backend.Read:
		switch kind {
		case rootPath:
			return readRoot(req)
		case leasePath:
			return readLimits(req)
		case "roles/":
			return readRole(req, name)
		}
	case backend.Write:
		switch kind {
		case rootPath:
			return writeRoot(ctx, req)
		case leasePath:
			return writeLimits(ctx, req)
		case rotatePath:
			return b.rotateRoot(ctx, req)
		case "roles/":
			return writeRole(ctx, req, name)
		}
	case backend.List:
		if kind == "roles" {
			return listRoles(req)
		}
	case backend.Delete:
		if kind == "roles/" {
			return nil, req.Store.Delete(ctx, roleKey(name))
		}
	}
	return nil, lease.Errorf(lease.Unsupported, "unsupported operation")
}

func listRoles(req *backend.Request) (*backend.Response, error) {
	names, err := req.Store.List(rolePrefix)
	if err != nil {
		return nil, fmt.Errorf("list roles: %w", err)
	}
	in := field.Read(req.Params)
	in.Has("list")
	data, warnings := in.Page(names)
	if err := in.Err(); err != nil || data == nil {
		return nil, err
	}
	return &backend.Response{Data: data, Warnings: append(warnings, in.Warnings()...)}, nil
}

// answered is the Response that only warns; nil when there is nothing to say.
func answered(warnings []string) *backend.Response {
	if len(warnings) == 0 {
		return nil
	}
	return &backend.Response{Warnings: warnings}
}
