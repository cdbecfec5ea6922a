package expiration_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/backendtest"
	"github.com/leasehold/leasehold/backend/fake"
	"github.com/leasehold/leasehold/expiration"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// rig is a state with a log in front of it and a backend behind it. Time is that of the bubble.
type rig struct {
	t       testing.TB
	state   *fsm.State
	backend *fake.Backend
	logged  bytes.Buffer // what the schedulers logged, guarded by mu through logWriter

	mu      sync.Mutex // guards all below, and Apply
	index   uint64
	term    uint64        // of the leader
	latency time.Duration // of a proposal
	refuse  func(cmd fsm.Command) error
	log     []proposal
}

// proposal is a command that reached the log, or was refused on its way.
type proposal struct {
	at  lease.Time
	cmd fsm.Command
}

func now() lease.Time { return lease.At(time.Now()) }

const root = "root"

// bubble runs a test inside a synctest bubble with a rig that has the mounts "a/" and "b/" of type
// fake and "locks/" of type lease.
func bubble(t *testing.T, fn func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, state: fsm.New(), backend: fake.New(), term: 1}
		r.must(&command.Init{ClusterId: "c", TokenMount: mount("token", "auth/token/", "token"), Root: fsm.TokenRecord(
			&lease.Token{Hash: root, Accessor: "acc", LeaseID: "auth/token/root/h", Path: "auth/token/root", Policies: []string{"root"}})},
			&command.Epoch{Term: 1}, mount("a", "a/", "fake"), mount("b", "b/", "fake"), mount("locks", "locks/", "lease"))
		fn(r)
	})
}

func mount(id, path, kind string) *command.EnableMount {
	return &command.EnableMount{Id: id, Accessor: "acc_" + id, Path: path, Type: kind}
}

// apply puts commands in the log at once.
func (r *rig) apply(cmds ...fsm.Command) []fsm.Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.applyLocked(cmds...)
}

func (r *rig) applyLocked(cmds ...fsm.Command) []fsm.Result {
	framed := make([][]byte, len(cmds))
	for i, c := range cmds {
		var err error
		if framed[i], err = fsm.EncodeCommand(c); err != nil {
			r.t.Errorf("encode %T: %v", c, err)
		}
	}
	r.index++
	res, err := r.state.Apply(r.index, fsm.EncodeEntry(now(), framed))
	if err != nil {
		r.t.Error(err)
	}
	return res
}

func (r *rig) must(cmds ...fsm.Command) []fsm.Result {
	r.t.Helper()
	res := r.apply(cmds...)
	for i := range res {
		if res[i].Err != nil {
			r.t.Fatalf("%T: %v", cmds[i], res[i].Err)
		}
	}
	return res
}

// node is a leader's way to the log. It is deaf once another term has begun.
type node struct {
	*rig
	term uint64
}

func (n node) Propose(ctx context.Context, cmd fsm.Command) (fsm.Result, error) {
	if err := ctx.Err(); err != nil {
		n.t.Errorf("%T is proposed after the context has ended", cmd)
		return fsm.Result{}, err
	}
	n.mu.Lock()
	n.log = append(n.log, proposal{now(), cmd})
	latency, refuse := n.latency, n.refuse
	n.mu.Unlock()
	if refuse != nil {
		if err := refuse(cmd); err != nil {
			return fsm.Result{}, err
		}
	}
	if latency > 0 {
		select {
		case <-time.After(latency):
		case <-ctx.Done():
			return fsm.Result{}, &lease.Error{Code: lease.Uncertain, Message: "leadership was lost"}
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.term != n.rig.term {
		return fsm.Result{}, &lease.Error{Code: lease.Unavailable, Message: "not the leader"}
	}
	res := n.applyLocked(cmd)[0]
	if res.Err != nil {
		return res, res.Err
	}
	return res, nil
}

// secrets opens what the rig has sealed.
type secrets struct{}

func (secrets) OpenInternal(l *lease.Lease) ([]byte, error) {
	text, ok := strings.CutPrefix(string(l.Internal), "sealed:")
	if !ok {
		return nil, errors.New("the key version 7 is not known")
	}
	return []byte(text), nil
}

func (secrets) Store(string) backend.Store { return backendtest.NewStore() }

type logWriter struct{ r *rig }

func (w logWriter) Write(p []byte) (int, error) {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	return w.r.logged.Write(p)
}

// logs is what was logged so far.
func (r *rig) logs() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.logged.String()
}

// scheduler makes the scheduler of a leader of term.
func (r *rig) scheduler(term uint64, change func(*expiration.Config)) *expiration.Scheduler {
	cfg := expiration.Config{
		State: r.state, Proposer: node{r, term}, Now: now, Epoch: func() uint64 { return term },
		Backends: backend.NewRegistry(r.backend), Secrets: secrets{},
		Log:  slog.New(slog.NewTextHandler(logWriter{r}, &slog.HandlerOptions{Level: slog.LevelInfo})),
		Rand: func() float64 { return 0.5 },
	}
	if change != nil {
		change(&cfg)
	}
	return expiration.New(cfg)
}

// lead opens term and runs a scheduler until the returned function is called, which waits for it.
func (r *rig) lead(term uint64, change func(*expiration.Config)) (stop func()) {
	r.mu.Lock()
	r.term = term
	r.applyLocked(&command.Epoch{Term: term})
	r.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.scheduler(term, change).Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				r.t.Errorf("Run returned %v, want the context's error", err)
			}
		})
	}
	r.t.Cleanup(stop)
	return stop
}

// depose ends a leadership from outside: the leader does not know yet.
func (r *rig) depose() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.term++
}

func (r *rig) setRefuse(fn func(fsm.Command) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuse = fn
}

// grant asks for a lease at the mount that its ID begins with.
func grant(id string, ttl time.Duration) *command.Grant {
	m, _, _ := strings.Cut(id, "/")
	return &command.Grant{Id: id, MountId: m, Path: id[:strings.LastIndexByte(id, '/')], Owner: root, Ttl: int64(ttl), Renewable: true}
}

func (r *rig) issue(id string, ttl time.Duration) {
	r.t.Helper()
	r.must(&command.Issue{Grant: grant(id, ttl)})
}

// target makes an active lease of something outside.
func (r *rig) target(id string, ttl time.Duration) {
	r.t.Helper()
	r.must(reserve(id, ttl), &command.Activate{Id: id})
}

func reserve(id string, ttl time.Duration) *command.Reserve {
	return &command.Reserve{Grant: grant(id, ttl), ExternalName: "x:" + id, Internal: []byte("sealed:fake:planned"),
		Deadline: int64(2 * time.Minute)}
}

func (r *rig) lease(id string) (l *lease.Lease) {
	r.state.Read(func(v *fsm.View) { l = v.Lease(id) })
	return l
}

func (r *rig) leases() (n int) {
	r.state.Read(func(v *fsm.View) { n = v.Counts().Total() - v.MountCounts("token").Total() })
	return n
}

// waitGone sleeps until the lease is gone and returns how long that took.
func (r *rig) waitGone(id string, limit time.Duration) time.Duration {
	r.t.Helper()
	begun := time.Now()
	for r.lease(id) != nil {
		changed, cancel := r.state.WatchLease(id)
		if r.lease(id) == nil {
			cancel()
			break
		}
		select {
		case <-changed:
			cancel()
		case <-time.After(limit - time.Since(begun)):
			cancel()
			r.t.Fatalf("%s is not gone after %s: %+v", id, limit, r.lease(id))
		}
	}
	return time.Since(begun)
}

// proposed lists the times at which commands of T's type were proposed.
func proposed[T fsm.Command](r *rig) (at []lease.Time, cmds []T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.log {
		if cmd, ok := p.cmd.(T); ok {
			at, cmds = append(at, p.at), append(cmds, cmd)
		}
	}
	return at, cmds
}

func (r *rig) destroyed() []fake.Call { return r.backend.Calls(fake.Destroy) }

// near fails unless got is at most slack after want, and not before.
func near(t testing.TB, what string, got, want, slack time.Duration) {
	t.Helper()
	if got < want || got > want+slack {
		t.Errorf("%s after %s, want %s to %s", what, got, want, want+slack)
	}
}

func id(prefix string, i int) string { return fmt.Sprintf("%s/%06d", prefix, i) }
