package httpapi

import (
	"strings"
	"time"

	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/client"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
)

func (s *Server) mountsOf(c *call) []*lease.Mount {
	var mounts []*lease.Mount
	s.state.Read(func(v *fsm.View) { mounts = v.Mounts(c.ns.id) })
	return mounts
}

// listMounts serves sys/mounts.
func (s *Server) listMounts(c *call) (answer, error) {
	list := make(map[string]client.Mount)
	for _, m := range s.mountsOf(c) {
		if !isAuth(m) {
			list[m.Path] = describeMount(m, c.now)
		}
	}
	return answer{data: list, top: true, mountType: systemType}, nil
}

// listAuth serves sys/auth.
func (s *Server) listAuth(c *call) (answer, error) {
	list := make(map[string]client.Mount)
	for _, m := range s.mountsOf(c) {
		if isAuth(m) {
			list[strings.TrimPrefix(m.Path, "auth/")] = describeMount(m, c.now)
		}
	}
	return answer{data: list, top: true, mountType: systemType}, nil
}

// mountNamed returns the mount at exactly the call's path.
func (s *Server) mountNamed(c *call) *lease.Mount {
	p := strings.TrimSuffix(c.mountPath(), "/") + "/"
	var m *lease.Mount
	s.state.Read(func(v *fsm.View) { m = v.MountOf(c.ns.id, p) })
	if m == nil || m.Path != p {
		return nil
	}
	return m
}

// mountPath is the path of the mount that a call is about: below sys/auth that of an auth method.
func (c *call) mountPath() string {
	if strings.HasPrefix(c.route.path, "sys/auth/") {
		return authPrefix + c.rest
	}
	return c.rest
}

// isOfAuth reports whether the call is about an auth method, by whichever path.
func (c *call) isOfAuth() bool { return strings.HasPrefix(c.mountPath(), authPrefix) }

func (c *call) noMount() error {
	if strings.HasPrefix(c.route.path, "sys/auth/") {
		return lease.Errorf(lease.Invalid, "no auth engine at %s/", strings.TrimSuffix(c.rest, "/"))
	}
	return lease.Errorf(lease.Invalid, "no secret engine mount at %s/", strings.TrimSuffix(c.rest, "/"))
}

// notHere refuses an auth method under the name of a secrets engine: who may manage the ones may not
// manage the others by another path.
func (c *call) notHere() error {
	if strings.HasPrefix(c.route.path, "sys/mounts/") && c.isOfAuth() {
		return lease.Errorf(lease.Invalid, "%q is an auth method: use sys/auth/%s", c.rest, strings.TrimPrefix(c.rest, authPrefix))
	}
	return nil
}

// readMount serves sys/mounts/:path and sys/auth/:path. The stock client reads auth methods by the former,
// too, which shows nothing that the list of them does not.
func (s *Server) readMount(c *call) (answer, error) {
	m := s.mountNamed(c)
	if m == nil {
		return answer{}, c.noMount()
	}
	return answer{data: describeMount(m, c.now), top: true, mountType: systemType}, nil
}

// enableMount serves sys/mounts/:path with POST.
func (s *Server) enableMount(c *call) (answer, error) {
	if err := c.notHere(); err != nil {
		return answer{}, err
	}
	in := c.reader()
	in.Captured("path")
	req := lessor.MountRequest{
		Namespace: c.ns.id, Path: c.rest, Auth: c.isOfAuth(), Type: in.String("type"), Description: in.String("description"),
		Options: in.StringMap("options"),
	}
	for _, unused := range [...]string{"local", "seal_wrap", "external_entropy_access", "plugin_name", "plugin_version"} {
		in.Has(unused)
	}
	config := field.Read(in.Object("config"))
	req.Config = mountConfig(config)
	req.Options = withLockout(config, req.Options, nil)
	if err := firstFault(in, config); err != nil {
		return answer{}, err
	}
	if _, err := s.lessor.EnableMount(c.ctx, req); err != nil {
		return answer{}, err
	}
	return done, nil
}

func mountConfig(in *field.Reader) lease.MountConfig {
	return lease.MountConfig{
		DefaultTTL: in.Duration("default_lease_ttl"), MaxTTL: in.Duration("max_lease_ttl"),
		RevokeAttempts: in.Int("revoke_attempts", 0), RevokeBackoff: in.Duration("revoke_backoff"),
		RevokeBackoffMax: in.Duration("revoke_backoff_max"), RevokeTimeout: in.Duration("revoke_timeout"),
		RevokeConcurrency: in.Int("revoke_concurrency", 0), RevokeRate: in.Int("revoke_rate", 0),
		ReconcileInterval: in.Duration("reconcile_interval"),
	}
}

func firstFault(readers ...*field.Reader) error {
	for _, in := range readers {
		if err := in.Err(); err != nil {
			return err
		}
	}
	return nil
}

// disableMount serves sys/mounts/:path with DELETE.
func (s *Server) disableMount(c *call) (answer, error) {
	if err := c.notHere(); err != nil {
		return answer{}, err
	}
	c.unproposed = s.mountNamed(c) == nil
	job, err := s.lessor.DisableMount(c.ctx, c.ns.id, c.mountPath())
	return s.revoked(c, job, true, err)
}

// readTune serves sys/mounts/:path/tune: the settings in force, defaults filled in.
func (s *Server) readTune(c *call) (answer, error) {
	m := s.mountNamed(c)
	if m == nil {
		return answer{}, c.noMount()
	}
	config := describeConfig(m.Config.WithDefaults())
	config.Description = m.Description
	return answer{data: config, top: true, mountType: systemType}, nil
}

// tuneMount serves sys/mounts/:path/tune with POST.
func (s *Server) tuneMount(c *call) (answer, error) {
	in := c.reader()
	in.Captured("path")
	req := lessor.TuneRequest{
		Options: in.StringMap("options"), DefaultTTL: c.tuned("default_lease_ttl"), MaxTTL: c.tuned("max_lease_ttl"),
		RevokeBackoff: c.tuned("revoke_backoff"), RevokeBackoffMax: c.tuned("revoke_backoff_max"),
		RevokeTimeout: c.tuned("revoke_timeout"), RevokeAttempts: c.tunedInt("revoke_attempts"),
		RevokeConcurrency: c.tunedInt("revoke_concurrency"), RevokeRate: c.tunedInt("revoke_rate"),
		ReconcileInterval: c.tuned("reconcile_interval"),
	}
	if m := s.mountNamed(c); m != nil {
		req.Options = withLockout(in, req.Options, m.Options)
	}
	in.Has("force_no_cache") // accepted for the stock client: there is no cache
	if in.Has("description") {
		text := in.String("description")
		req.Description = &text
	}
	if err := in.Err(); err != nil {
		return answer{}, err
	}
	return done, s.lessor.TuneMount(c.ctx, c.ns.id, c.mountPath(), req)
}

// tuned reads a duration that may be left alone, by leaving it out or with "", or set back to the
// system's default, with "system" or zero.
func (c *call) tuned(name string) *time.Duration {
	in := c.reader()
	in.Has(name)
	var d time.Duration
	switch c.params[name] {
	case nil, "":
		return nil
	case "system":
	default:
		d = in.Duration(name)
	}
	return &d
}

func (c *call) tunedInt(name string) *int {
	if !c.reader().Has(name) {
		return nil
	}
	n := c.reader().Int(name, 0)
	return &n
}

// reaches reports whether the token's policies allow anything at a path or below it.
func (c *call) reaches(p string) bool { return c.acl.Reaches(c.within() + p) }

// visibleMounts serves sys/internal/ui/mounts.
func (s *Server) visibleMounts(c *call) (answer, error) {
	type entry struct {
		Type        string            `json:"type"`
		Description string            `json:"description"`
		Options     map[string]string `json:"options"`
	}
	secret, auth := map[string]entry{}, map[string]entry{}
	for _, m := range s.mountsOf(c) {
		switch e := (entry{m.Type, m.Description, m.Options}); {
		case isAuth(m):
			auth[strings.TrimPrefix(m.Path, "auth/")] = e
		case c.reaches(m.Path):
			secret[m.Path] = e
		}
	}
	return answer{data: map[string]any{"auth": auth, "secret": secret}, mountType: systemType}, nil
}

// preflight serves sys/internal/ui/mounts/:path: clients ask it which version of kv a path has. A
// mount that is not there and one out of reach are answered alike.
func (s *Server) preflight(c *call) (answer, error) {
	var m *lease.Mount
	s.state.Read(func(v *fsm.View) { m = v.MountOf(c.ns.id, c.rest) })
	if m == nil || !c.reaches(m.Path) {
		return answer{}, &lease.Error{Code: lease.Denied, Message: "preflight capability check returned 403, " +
			"please ensure client's policies grant access to path \"" + field.CleanText(c.rest) + "/\""}
	}
	return answer{mountType: systemType, data: struct {
		client.Mount
		Path string `json:"path"`
	}{describeMount(m, c.now), m.Path}}, nil
}
