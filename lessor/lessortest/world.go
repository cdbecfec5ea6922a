// Package lessortest is a cluster of one for tests: a state, a clock that stands still, a proposer
// without a log, and a Lessor on top, initialized, with the "fake" and "lease" engines.
//
//	w := lessortest.New(t)
//	m := w.Enable("db/", "fake", lease.MountConfig{})
//	got, err := w.Lessor.Issue(ctx, w.Request(m, backend.Read, "creds/ci"))
//	w.Clock.Advance(time.Hour)
//	w.Settle()                                 // what the leader's duties would do by now
//
// The proposer can be told to refuse, to lose its answer, or to crash; see Fate. Nothing here
// starts a goroutine but Lead, and nothing reads a real clock, so all of it works inside
// testing/synctest.
package lessortest

import (
	"context"
	"crypto/rand"
	"log/slog"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/fake"
	leaseengine "github.com/leasehold/leasehold/backend/lease"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
	"github.com/leasehold/leasehold/seal"
)

// RootToken is the bearer secret of the root token.
const RootToken = "root"

// Options change what New makes. The zero value is New's.
type Options struct {
	Backends      []backend.Backend // beside "fake" and "lease"
	Log           *slog.Logger
	Uninitialized bool
}

// World is everything a Lessor works on.
type World struct {
	State    *fsm.State
	Clock    *Clock
	Proposer *Proposer
	Lessor   *lessor.Lessor
	Fake     *fake.Backend
	Backends backend.Registry
	SealKey  *seal.StaticKey

	t testing.TB
}

// New makes an initialized World whose root token is RootToken.
func New(t testing.TB) *World { return NewWith(t, Options{}) }

// NewWith is New with options.
func NewWith(t testing.TB, o Options) *World {
	t.Helper()
	key, err := seal.NewStaticKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := &World{State: fsm.New(), Clock: NewClock(), Fake: fake.New(), SealKey: key, t: t}
	w.Proposer = newProposer(w.State, w.Clock)
	w.Backends = backend.NewRegistry(append(o.Backends, w.Fake, leaseengine.New())...)
	w.Lessor = w.NewLessor(o.Log)
	w.Proposer.Elect()
	if !o.Uninitialized {
		if _, err := w.Lessor.Init(context.Background(), RootToken, "test"); err != nil {
			t.Fatalf("init: %v", err)
		}
	}
	return w
}

// NewLessor makes a further Lessor on the same state, as the next leader would have it.
func (w *World) NewLessor(log *slog.Logger) *lessor.Lessor {
	return lessor.New(lessor.Config{
		State: w.State, Proposer: w.Proposer, Now: w.Clock.Now, Wall: w.Clock.Wall, Backends: w.Backends,
		SealKey: w.SealKey, Log: log,
	})
}

// Root is the root token.
func (w *World) Root() *lease.Token { return w.Token(RootToken) }

// Token is the token with a bearer secret, nil if there is none.
func (w *World) Token(bearer string) *lease.Token {
	w.t.Helper()
	hash, err := w.Lessor.HashToken(bearer)
	if err != nil {
		w.t.Fatalf("hash a token: %v", err)
	}
	var t *lease.Token
	w.State.Read(func(v *fsm.View) { t = v.Token(hash) })
	return t
}

// Lease is a lease as it is stored, nil if there is none.
func (w *World) Lease(id string) *lease.Lease {
	var le *lease.Lease
	w.State.Read(func(v *fsm.View) { le = v.Lease(id) })
	return le
}

// Enable mounts an engine in the root namespace.
func (w *World) Enable(path, mountType string, conf lease.MountConfig) *lease.Mount {
	w.t.Helper()
	m, err := w.Lessor.EnableMount(context.Background(), lessor.MountRequest{Path: path, Type: mountType, Config: conf})
	if err != nil {
		w.t.Fatalf("enable %s at %s: %v", mountType, path, err)
	}
	return m
}

// Request is a call by root without parameters.
func (w *World) Request(m *lease.Mount, op backend.Operation, path string) lessor.Request {
	return lessor.Request{Mount: m, Operation: op, Path: path, Token: w.Root()}
}

// Issue leases something from path of a mount for a token; it must work.
func (w *World) Issue(m *lease.Mount, path string, owner *lease.Token, params map[string]any) *lessor.Issued {
	w.t.Helper()
	got, err := w.Lessor.Issue(context.Background(), lessor.Request{
		Mount: m, Operation: backend.Write, Path: path, Params: params, Token: owner,
	})
	if err != nil {
		w.t.Fatalf("issue from %s%s: %v", m.Path, path, err)
	}
	return got
}

// NewToken makes a child of caller; it must work.
func (w *World) NewToken(caller *lease.Token, req lessor.TokenRequest) *lessor.NewToken {
	w.t.Helper()
	if req.Path == "" {
		req.Path = "auth/token/create"
	}
	got, err := w.Lessor.CreateToken(context.Background(), caller, req)
	if err != nil {
		w.t.Fatalf("create a token: %v", err)
	}
	return got
}

// Patience is what a context of this package's users should give to a call that waits.
const Patience = 20 * time.Second
