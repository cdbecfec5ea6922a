package httpapi

import (
	"strings"

	"github.com/leasehold/leasehold/lease"
)

// capabilitiesSelf serves sys/capabilities-self.
func (s *Server) capabilitiesSelf(c *call) (answer, error) {
	in := c.reader()
	paths := append(in.Strings("paths"), in.Strings("path")...)
	in.Has("token") // the stock client sends it along
	if err := in.Err(); err != nil {
		return answer{}, err
	}
	if len(paths) == 0 {
		return answer{}, lease.Errorf(lease.Invalid, "paths must be supplied")
	}
	caps := make(map[string][]string, len(paths)+1)
	for _, p := range paths {
		p = strings.TrimPrefix(p, "/")
		caps[p] = c.acl.Capabilities(c.within() + p)
	}
	if len(paths) == 1 {
		caps["capabilities"] = caps[strings.TrimPrefix(paths[0], "/")]
	}
	return answer{data: caps, top: true, mountType: systemType}, nil
}
