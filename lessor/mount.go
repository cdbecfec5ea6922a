package lessor

import (
	"context"
	"strings"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

const (
	// disableWait is how long disabling a mount waits for what it leased to be destroyed.
	disableWait = 60 * time.Second
	// maxMountPath leaves room for the rest of a lease ID.
	maxMountPath = 128
	// accessorBytes is the length of the random part of a mount's accessor; two hex digits each.
	accessorBytes = 4
	maxMountText  = 1024
)

// reserved are the paths that belong to the product; a mount may be neither there nor below.
var reserved = []string{"sys/", "auth/", "audit/", "cubbyhole/", "identity/"}

// MountRequest asks for a mount.
type MountRequest struct {
	Namespace   string
	Path        string // with or without its last slash; of an auth method without "auth/"
	Auth        bool   // an auth method, mounted below auth/
	Type        string
	Description string
	Options     map[string]string
	Config      lease.MountConfig
}

// EnableMount mounts a backend at a path.
func (l *Lessor) EnableMount(ctx context.Context, req MountRequest) (*lease.Mount, error) {
	path, err := mountPath(req.Path, req.Auth)
	if err != nil {
		return nil, err
	}
	if req.Type == "" {
		return nil, refuse("backend type must be specified as a string")
	}
	if err := l.checkType(req.Type, req.Auth); err != nil {
		return nil, err
	}
	if err := l.checkOptions(req.Type, req.Description, req.Options); err != nil {
		return nil, err
	}
	enable, err := l.newMount(path, req.Type)
	if err != nil {
		return nil, err
	}
	if req.Auth {
		enable.Accessor = "auth_" + enable.Accessor
	}
	enable.Namespace, enable.Description, enable.Options = req.Namespace, req.Description, req.Options
	enable.Config = configRecord(req.Config)
	res, err := l.propose(ctx, enable)
	if err != nil {
		return nil, err
	}
	return res.Mount, nil
}

// checkType refuses types that are not there, or not of the kind that is mounted here.
func (l *Lessor) checkType(mountType string, auth bool) error {
	b := l.backends[mountType]
	_, method := b.(backend.Authenticator)
	switch {
	case b == nil || !auth && method || auth && !method:
		return refuse("plugin not found in the catalog: %s", printable(mountType))
	}
	return nil
}

// optionChecker is implemented by backends that have options of their mounts.
type optionChecker interface {
	CheckMount(options map[string]string) error
}

func (l *Lessor) checkOptions(mountType, description string, options map[string]string) error {
	if err := checkMountTexts(description, options); err != nil {
		return err
	}
	if c, ok := l.backends[mountType].(optionChecker); ok {
		if err := c.CheckMount(options); err != nil {
			return asInvalid(err)
		}
	}
	return nil
}

// newMount makes the names of a mount.
func (l *Lessor) newMount(path, mountType string) (*command.EnableMount, error) {
	id, err := randomUUID(l.rand)
	if err != nil {
		return nil, err
	}
	random, err := randomHex(l.rand, accessorBytes)
	if err != nil {
		return nil, err
	}
	return &command.EnableMount{Id: id, Accessor: mountType + "_" + random, Path: path, Type: mountType}, nil
}

// mountPath returns the path of a mount with its last slash, if there can be a mount.
func mountPath(path string, auth bool) (string, error) {
	path = strings.TrimSuffix(path, "/")
	if path == "" {
		return "", refuse("missing path: say where to mount")
	}
	if auth {
		if path+"/" == strings.TrimPrefix(tokenMountPath, authPrefix) || strings.HasPrefix(authPrefix+path, tokenMountPath) {
			return "", refuse("path is already in use at %s", strings.TrimPrefix(tokenMountPath, authPrefix))
		}
		path = authPrefix + path
	}
	if err := lease.CheckPath(path); err != nil {
		return "", refuse("invalid mount path: %v", err)
	}
	if len(path) > maxMountPath {
		return "", refuse("mount path is %d bytes long, at most %d are allowed", len(path), maxMountPath)
	}
	for _, r := range reserved {
		if r == authPrefix && auth {
			continue
		}
		if strings.HasPrefix(path+"/", r) {
			return "", refuse("cannot mount at %q: %q is reserved", path+"/", r)
		}
	}
	return path + "/", nil
}

func checkMountTexts(description string, options map[string]string) error {
	texts := []string{description}
	for k, v := range options {
		texts = append(texts, k, v)
	}
	for _, text := range texts {
		if len(text) > maxMountText {
			return refuse("a description or option is %d bytes long, at most %d are allowed", len(text), maxMountText)
		}
		if printable(text) != text {
			return refuse("descriptions and options cannot hold characters that cannot be printed")
		}
	}
	return nil
}

func configRecord(c lease.MountConfig) *command.MountConfig {
	return &command.MountConfig{
		DefaultTtl: int64(c.DefaultTTL), MaxTtl: int64(c.MaxTTL), RevokeAttempts: clamp32(c.RevokeAttempts),
		RevokeBackoff: int64(c.RevokeBackoff), RevokeBackoffMax: int64(c.RevokeBackoffMax),
		RevokeTimeout: int64(c.RevokeTimeout), RevokeConcurrency: clamp32(c.RevokeConcurrency),
		RevokeRate: clamp32(c.RevokeRate), ReconcileInterval: int64(c.ReconcileInterval),
	}
}

// clamp32 keeps a number that is absurd absurd, instead of wrapping it into another.
func clamp32(n int) int32 { return int32(max(-1, min(n, 1<<31-1))) }

// TuneRequest changes settings of a mount; what is nil stays. A zero duration or number sets the
// system's default again.
type TuneRequest struct {
	Description       *string
	Options           map[string]string
	DefaultTTL        *time.Duration
	MaxTTL            *time.Duration
	RevokeAttempts    *int
	RevokeBackoff     *time.Duration
	RevokeBackoffMax  *time.Duration
	RevokeTimeout     *time.Duration
	RevokeConcurrency *int
	RevokeRate        *int
	ReconcileInterval *time.Duration
}

// TuneMount changes settings of the mount at path.
func (l *Lessor) TuneMount(ctx context.Context, ns, path string, req TuneRequest) error {
	path = strings.TrimSuffix(path, "/") + "/"
	done, err := l.turns.take(ctx, "tune\x00"+ns+"\x00"+path) // two callers must not undo each other
	if err != nil {
		return err
	}
	defer done()
	m := l.mountAt(ns, path)
	if m == nil {
		return refuse("tune of path %q failed: no mount entry found", printable(path))
	}
	next := req.over(m)
	if err := l.checkOptions(m.Type, next.Description, next.Options); err != nil {
		return err
	}
	_, err = l.propose(ctx, &command.TuneMount{
		Id: m.ID, Description: next.Description, Options: next.Options, Config: configRecord(next.Config),
	})
	return err
}

// over is m with what the request gives.
func (req TuneRequest) over(m *lease.Mount) lease.Mount {
	next := *m
	set(&next.Description, req.Description)
	if req.Options != nil {
		next.Options = req.Options
	}
	c := &next.Config
	set(&c.DefaultTTL, req.DefaultTTL)
	set(&c.MaxTTL, req.MaxTTL)
	set(&c.RevokeAttempts, req.RevokeAttempts)
	set(&c.RevokeBackoff, req.RevokeBackoff)
	set(&c.RevokeBackoffMax, req.RevokeBackoffMax)
	set(&c.RevokeTimeout, req.RevokeTimeout)
	set(&c.RevokeConcurrency, req.RevokeConcurrency)
	set(&c.RevokeRate, req.RevokeRate)
	set(&c.ReconcileInterval, req.ReconcileInterval)
	return next
}

func set[T any](field, given *T) {
	if given != nil {
		*field = *given
	}
}

// mountAt returns the mount at exactly path, or nil.
func (l *Lessor) mountAt(ns, path string) *lease.Mount {
	var m *lease.Mount
	l.state.Read(func(v *fsm.View) { m = v.MountOf(ns, path) })
	if m == nil || m.Path != path {
		return nil
	}
	return m
}

// DisableMount takes a mount out of service and waits a while for what it leased to be destroyed.
// It returns when the mount is gone, or at the first failure: the mount stays tainted then, its job
// goes on, and a further call tries all that is left at once. An unknown mount is no error.
func (l *Lessor) DisableMount(ctx context.Context, ns, path string) (jobID uint64, err error) {
	m := l.mountAt(ns, strings.TrimSuffix(path, "/")+"/")
	if m == nil {
		return 0, nil
	}
	if m.Path == tokenMountPath {
		return 0, refuse("token credential backend cannot be disabled")
	}
	res, err := l.propose(ctx, &command.DisableMount{Id: m.ID})
	if err != nil || res.Job == nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, disableWait)
	defer cancel()
	return res.Job.ID, l.waitJob(ctx, res.Job.ID)
}
