package httpapi

import (
	"strings"

	"github.com/leasehold/leasehold/fsm"
)

// namespaceRoutes are the paths of the namespaces below the request's own.
var namespaceRoutes = []route{
	{verbs: list, path: "sys/namespaces", handler: (*Server).listNamespaces,
		help: "Lists the namespaces below this one: after, limit."},
	{verbs: read, path: "sys/namespaces/*", handler: (*Server).readNamespace, help: "Describes a namespace."},
	{verbs: write, path: "sys/namespaces/*", where: onLeader, handler: (*Server).writeNamespace,
		help: "Makes a namespace, or replaces its custom_metadata."},
	{verbs: remove, path: "sys/namespaces/*", where: onLeader, handler: (*Server).deleteNamespace,
		help: "Revokes all that a namespace holds and takes it away; the job that does it is named in a header."},
}

// namespaceInfo is a namespace on the wire.
type namespaceInfo struct {
	ID             string            `json:"id"`
	Path           string            `json:"path"`
	CustomMetadata map[string]string `json:"custom_metadata"`
	Tainted        bool              `json:"tainted"` // it is being deleted
	Locked         bool              `json:"locked"`  // always false: there is no lock here
}

func describeNamespace(ns *fsm.Namespace) namespaceInfo {
	metadata := ns.Metadata
	if metadata == nil {
		metadata = map[string]string{}
	}
	return namespaceInfo{ID: ns.ID, Path: ns.Path, CustomMetadata: metadata, Tainted: ns.Tainted != 0}
}

// childNamespaces returns the namespaces directly below the call's, by the last segment of their path
// with its slash.
func (s *Server) childNamespaces(c *call) (keys []string, info map[string]any) {
	info = make(map[string]any)
	s.state.Read(func(v *fsm.View) {
		for _, ns := range v.NamespacesBelow(c.ns.id) {
			key := strings.TrimPrefix(ns.Path, c.ns.path)
			if strings.Count(key, "/") == 1 {
				keys = append(keys, key)
				info[key] = describeNamespace(ns)
			}
		}
	})
	return keys, info
}

// listNamespaces serves sys/namespaces.
func (s *Server) listNamespaces(c *call) (answer, error) {
	keys, info := s.childNamespaces(c)
	data, warnings := c.reader().Page(keys)
	if err := c.reader().Err(); err != nil {
		return answer{}, err
	}
	if data == nil {
		return answer{}, errNothing
	}
	shown := make(map[string]any)
	if page, ok := data["keys"].([]string); ok {
		for _, key := range page {
			shown[key] = info[key]
		}
	}
	data["key_info"] = shown
	return answer{data: data, warnings: append(warnings, c.reader().Warnings()...), mountType: systemType}, nil
}

// readNamespace serves sys/namespaces/:path.
func (s *Server) readNamespace(c *call) (answer, error) {
	var found *fsm.Namespace
	s.state.Read(func(v *fsm.View) { found = v.NamespaceByPath(c.ns.path + c.rest) })
	if found == nil || found.ID == "" {
		return answer{}, errNothing
	}
	return answer{data: describeNamespace(found), mountType: systemType}, nil
}

// writeNamespace serves sys/namespaces/:path with POST.
func (s *Server) writeNamespace(c *call) (answer, error) {
	in := c.reader()
	in.Captured("path")
	metadata := in.StringMap("custom_metadata")
	if err := in.Err(); err != nil {
		return answer{}, err
	}
	made, err := s.lessor.PutNamespace(c.ctx, c.ns.id, c.rest, metadata)
	if err != nil {
		return answer{}, err
	}
	return answer{data: describeNamespace(made), warnings: in.Warnings(), mountType: systemType}, nil
}

// deleteNamespace serves sys/namespaces/:path with DELETE. All that the namespace holds is dead when it
// answers. The bodies are OpenBao's, whose client takes an answer without one for a broken one.
func (s *Server) deleteNamespace(c *call) (answer, error) {
	job, err := s.lessor.DeleteNamespace(c.ctx, c.ns.id, c.rest)
	if err != nil {
		return answer{}, err
	}
	if job == 0 {
		c.unproposed = true
		return answer{enveloped: true, warnings: []string{"requested namespace does not exist"}, mountType: systemType}, nil
	}
	a := accepted(job)
	a.data, a.mountType = map[string]any{"status": "in-progress"}, systemType
	return a, nil
}
