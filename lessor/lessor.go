package lessor

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/seal"
)

// Proposer puts commands into the log. The error is a *lease.Error: Unavailable when the command
// is not in the log and never will be, Uncertain when it may be, and the state machine's refusal
// as it is.
type Proposer interface {
	Propose(ctx context.Context, cmd fsm.Command) (fsm.Result, error)
}

// Clock tells this node's log time.
type Clock func() lease.Time

// Bounds of what one call may take.
const (
	// DefaultIntentDeadline is how long an intent may stay unresolved before the leader destroys
	// what may have come of it.
	DefaultIntentDeadline = 2 * time.Minute
	// targetTimeout bounds one call to a target.
	targetTimeout = 30 * time.Second
	// cleanupTimeout bounds the proposal that takes back a failed issue.
	cleanupTimeout = 10 * time.Second
	// maxTargetTurns bounds the calls that wait for, or work on, single leases and mounts.
	maxTargetTurns = 4096
)

// Config is what a Lessor needs. All fields without a default must be set.
type Config struct {
	State    *fsm.State
	Proposer Proposer
	Now      Clock
	Wall     func() time.Time // wall time, for limits that targets keep by their own clocks
	Backends backend.Registry
	SealKey  *seal.StaticKey
	Rand     io.Reader    // nil: crypto/rand. Must be safe for concurrent use
	Log      *slog.Logger // nil: none
	DevMode  bool         // passed on to backends
	// IntentDeadline: zero means DefaultIntentDeadline. A target that makes a credential gets half of
	// it at most, so that nothing is made after the intent has come due.
	IntentDeadline time.Duration
}

// Lessor carries out requests. It is safe for concurrent use.
type Lessor struct {
	state          *fsm.State
	proposer       Proposer
	now            Clock
	wall           func() time.Time
	backends       backend.Registry
	sealKey        *seal.StaticKey
	rand           io.Reader
	log            *slog.Logger
	devMode        bool
	intentDeadline time.Duration
	createTimeout  time.Duration // bounds the call to a target that makes a credential

	ring  atomic.Pointer[openRing]
	turns *turns
	seen  sightings
}

// New makes a Lessor.
func New(c Config) *Lessor {
	l := &Lessor{
		state: c.State, proposer: c.Proposer, now: c.Now, wall: c.Wall, backends: c.Backends,
		sealKey: c.SealKey, rand: c.Rand, log: c.Log, devMode: c.DevMode, intentDeadline: c.IntentDeadline,
		turns: newTurns(maxTargetTurns),
	}
	if l.rand == nil {
		l.rand = rand.Reader
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if l.intentDeadline == 0 {
		l.intentDeadline = DefaultIntentDeadline
	}
	l.createTimeout = min(targetTimeout, l.intentDeadline/2)
	return l
}

// Request is a call to a path of a mount.
type Request struct {
	Mount          *lease.Mount
	Operation      backend.Operation
	Path           string         // within the mount, no slash at either end
	Params         map[string]any // decoded; numbers are json.Number
	Token          *lease.Token   // who asks
	IdempotencyKey string         // of the client, for Issue; "": none
	ClientAddr     netip.Addr     // of the client; invalid if not known
	Now            lease.Time     // log time that the request is served at; 0: the node's own
}

// Route says how a request to a path of mount must be served. The error is NotFound for a path
// that the mount does not have, a type without a backend or a mount that is being disabled, and
// Unsupported for a verb that the path does not take.
func (l *Lessor) Route(mount *lease.Mount, op backend.Operation, path string) (backend.Class, error) {
	b, err := l.backend(mount, path)
	if err != nil {
		return 0, err
	}
	return b.Route(op, path)
}

// Fold returns a path within mount as the backend writes it, for backends in whose paths case does not
// matter: policies are asked about that one, so that there is one path to one thing.
func (l *Lessor) Fold(mount *lease.Mount, path string) string {
	if f, ok := l.backends[mount.Type].(interface{ Fold(path string) string }); ok {
		return f.Fold(path)
	}
	return path
}

// Handle serves requests of the classes Query and Change. A nil Response is a 204 for a Change and
// a 404 for a Query.
func (l *Lessor) Handle(ctx context.Context, r Request) (*backend.Response, error) {
	b, err := l.backend(r.Mount, r.Path)
	if err != nil {
		return nil, err
	}
	resp, err := b.Handle(ctx, l.backendRequest(r))
	if err != nil {
		return nil, backendError(err)
	}
	return resp, nil
}

func (l *Lessor) backend(mount *lease.Mount, path string) (backend.Backend, error) {
	if mount.Tainted != 0 {
		return nil, lease.Errorf(lease.NotFound,
			"no handler for route %q on namespace %q. route entry or namespace is tainted.", mount.Path+path, mount.Namespace)
	}
	b, ok := l.backends[mount.Type]
	if !ok {
		return nil, noRoute(mount.Path + path)
	}
	return b, nil
}

func noRoute(path string) *lease.Error {
	return lease.Errorf(lease.NotFound, "no handler for route %q. route entry not found.", path)
}

func (l *Lessor) backendRequest(r Request) *backend.Request {
	now := r.Now
	if now == 0 {
		now = l.now()
	}
	return &backend.Request{
		Mount: r.Mount, Operation: r.Operation, Path: r.Path, Params: r.Params, Store: l.Store(r.Mount.ID),
		Token: r.Token, Cluster: l.shortID(), DevMode: l.devMode, Now: now, ClientAddr: r.ClientAddr, Random: l.rand,
		Live: func(role string) int { return l.live(r.Mount.ID, role) },
	}
}

// live counts the leases of a mount, or of one of its roles, that are not gone.
func (l *Lessor) live(mountID, role string) int {
	n := 0
	l.state.Read(func(v *fsm.View) {
		if role == "" {
			n = v.MountCounts(mountID).Total()
		} else {
			n = v.RoleCounts(mountID, role).Total()
		}
	})
	return n
}

// Exists reports whether what a write names is there, for backends that tell creating from updating;
// known is false for the others.
func (l *Lessor) Exists(ctx context.Context, r Request) (exists, known bool, err error) {
	b, err := l.backend(r.Mount, r.Path)
	if err != nil {
		return false, false, err
	}
	e, ok := b.(backend.Existing)
	if !ok {
		return false, false, nil
	}
	exists, err = e.Exists(ctx, l.backendRequest(r))
	return exists, true, err
}

// shortID is the part of the cluster's ID that external names carry, so that two clusters can
// share one target.
func (l *Lessor) shortID() string {
	var id string
	l.state.Read(func(v *fsm.View) { id = v.Cluster().ID })
	return shortID(id)
}

func shortID(clusterID string) string {
	short, _, _ := strings.Cut(clusterID, "-")
	return short
}

// propose is Propose for callers that want an *lease.Error whatever happens.
func (l *Lessor) propose(ctx context.Context, cmd fsm.Command) (fsm.Result, error) {
	r, err := l.proposer.Propose(ctx, cmd)
	if err != nil {
		return r, asError(err)
	}
	return r, nil
}
