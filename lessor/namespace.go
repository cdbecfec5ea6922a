package lessor

import (
	"context"
	"strings"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// Bounds of namespaces.
const (
	// namespaceIDLen is the length of the random ID that ends the lease IDs of a namespace.
	namespaceIDLen   = 6
	maxNamespacePath = 256
)

// reservedNamespaces are the segments that mean something else where a namespace may stand in a path.
var reservedNamespaces = map[string]bool{
	"root": true, "sys": true, "audit": true, "auth": true, "cubbyhole": true, "identity": true,
}

// namespaceName returns the one segment that name is.
func namespaceName(name string) (string, error) {
	name = strings.Trim(name, "/")
	switch {
	case name == "":
		return "", refuse("missing namespace path: name the namespace")
	case strings.Contains(name, "/"):
		return "", refuse("namespace path %q has several segments: make them one by one, each from within its parent", printable(name))
	case reservedNamespaces[name]:
		return "", refuse("%q is a reserved path and cannot be used as a namespace", name)
	}
	if err := lease.CheckPath(name); err != nil {
		return "", refuse("invalid namespace path: %v", err)
	}
	return name, nil
}

// PutNamespace makes the namespace name below the namespace parent, given by ID, or replaces the
// metadata of the one that is there.
func (l *Lessor) PutNamespace(ctx context.Context, parent, name string, metadata map[string]string) (*fsm.Namespace, error) {
	name, err := namespaceName(name)
	if err != nil {
		return nil, err
	}
	if err := checkMeta(metadata); err != nil {
		return nil, err
	}
	above, old, err := l.namespaces(parent, name)
	if err != nil {
		return nil, err
	}
	path := above.Path + name + "/"
	if len(path) > maxNamespacePath {
		return nil, refuse("namespace path is %d bytes long, at most %d are allowed", len(path), maxNamespacePath)
	}
	if old != nil {
		_, err := l.propose(ctx, &command.PutNamespace{Id: old.ID, Path: old.Path, Metadata: metadata})
		next := *old
		next.Metadata = metadata
		return &next, err
	}
	id, err := randomText(l.rand, namespaceIDLen)
	if err != nil {
		return nil, err
	}
	mount, err := l.tokenMount()
	if err != nil {
		return nil, err
	}
	mount.Namespace = id
	_, err = l.propose(ctx, &command.CreateNamespace{
		Namespace: &command.PutNamespace{Id: id, Path: path, Metadata: metadata}, TokenMount: mount,
	})
	if err != nil {
		return nil, err
	}
	return &fsm.Namespace{ID: id, Path: path, Metadata: metadata}, nil
}

// namespaces returns the namespace parent, and its child name or nil.
func (l *Lessor) namespaces(parent, name string) (above, child *fsm.Namespace, err error) {
	l.state.Read(func(v *fsm.View) {
		if above = v.Namespace(parent); above != nil {
			child = v.NamespaceByPath(above.Path + name)
		}
	})
	if above == nil {
		return nil, nil, errNoNamespace
	}
	return above, child, nil
}

var errNoNamespace = lease.Errorf(lease.NotFound, "namespace not found")

// DeleteNamespace dooms all that the namespace name below parent holds, in one entry, and returns the
// job that revokes it, which is listed in the parent. The namespace goes when nothing is left of it. An
// unknown one is no error.
func (l *Lessor) DeleteNamespace(ctx context.Context, parent, name string) (jobID uint64, err error) {
	name, err = namespaceName(name)
	if err != nil {
		return 0, err
	}
	above, old, err := l.namespaces(parent, name)
	if err != nil || old == nil {
		return 0, err
	}
	res, err := l.propose(ctx, &command.CloseNamespace{Id: old.ID, Parent: above.ID})
	if err != nil || res.Job == nil {
		return 0, err
	}
	return res.Job.ID, nil
}
