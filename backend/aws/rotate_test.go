package aws_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/aws/awstest"
	"github.com/leasehold/leasehold/backend/backendtest"
	"github.com/leasehold/leasehold/lease"
)

// rotate rotates the root key of a mount on one of its nodes.
func (m *mount) rotate() (string, error) {
	resp, err := m.node().Handle(m.Context(), m.request(backend.Write, "config/rotate-root", nil))
	if err != nil {
		return "", err
	}
	if len(resp.Data) != 1 {
		m.Errorf("rotate-root answers %v, want the access key alone", resp.Data)
	}
	return resp.Data["access_key"].(string), nil
}

// usable wants the mount to work with the key that its config shows.
func (m *mount) usable() {
	m.Helper()
	l, _ := m.issue("creds/full", nil)
	m.end(l)
}

func (m *mount) rootKeys() []string {
	var ids []string
	for _, key := range m.server.OperatorKeys() {
		ids = append(ids, key.ID)
	}
	return ids
}

func TestRotateRoot(t *testing.T) {
	m := newMount(t)
	before := m.server.Key.ID
	id, err := m.rotate()
	if err != nil {
		t.Fatal(err)
	}
	if keys := m.rootKeys(); id == before || !slices.Equal(keys, []string{id}) || m.read("config/root")["access_key"] != id {
		t.Errorf("rotated to %s; at AWS are %v, the config shows %v", id, keys, m.read("config/root")["access_key"])
	}
	m.usable()

	m.write("config/root", map[string]any{"access_key": "", "secret_key": ""})
	if _, err := m.rotate(); code(err) != lease.Invalid {
		t.Errorf("without a key: got %v, want it refused", err)
	}
}

// A third key cannot be made: the operator has to say which of two is not in use.
func TestRotateRootWithTwoKeys(t *testing.T) {
	m := newMount(t)
	m.server.AddOperatorKey()
	before := m.rootKeys()
	_, err := m.rotate()
	if code(err) != lease.Invalid || !strings.Contains(message(err), "two access keys already") || !slices.Equal(m.rootKeys(), before) {
		t.Errorf("got %v with the keys %v, want both to stay", err, m.rootKeys())
	}
	if _, err := m.rotate(); code(err) != lease.Invalid {
		t.Errorf("again: got %v, want the same", err)
	}
	m.usable()
}

// cutStore fails from the nth change on, before or after it is made, until it is mended.
type cutStore struct {
	*backendtest.Store
	mu    sync.Mutex
	left  int // changes until it fails; negative: never
	after bool
}

var errCut = &lease.Error{Code: lease.Unavailable, Message: "the leader is gone"}

func (s *cutStore) Swap(ctx context.Context, key string, seen backend.Version, value []byte, ttl time.Duration) error {
	s.mu.Lock()
	s.left--
	fails := s.left == -1
	if fails {
		s.left = 0
	}
	after := s.after
	s.mu.Unlock()
	if fails && !after {
		return errCut
	}
	err := s.Store.Swap(ctx, key, seen, value, ttl)
	if fails && err == nil {
		return errCut
	}
	return err
}

func (s *cutStore) cut(left int, after bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left, s.after = left, after
}

// TestS12_ARotationThatStopsAnywhere: the config's key works, and the next rotation leaves one key at
// AWS, whichever call or entry was the last that went through.
func TestS12_ARotationThatStopsAnywhere(t *testing.T) {
	check := func(t *testing.T, m *mount, plant func(), heal func()) (stopped bool) {
		plant()
		_, first := m.rotate()
		heal()
		m.usable()
		m.clock.pass(2 * time.Minute)
		id, err := m.rotate()
		if err != nil {
			t.Fatalf("the next rotation, after %v: %v", first, err)
		}
		if keys := m.rootKeys(); !slices.Equal(keys, []string{id}) {
			t.Fatalf("after %v and the next rotation to %s: keys %v", first, id, keys)
		}
		m.usable()
		return first != nil
	}
	for name, kind := range map[string]awstest.Kind{"error before": awstest.FailBefore, "answer lost": awstest.Drop, "not allowed": awstest.Deny} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stops := 0
			for step := range 10 {
				m := newMount(t)
				if check(t, m, func() { m.server.Plant(awstest.Fault{Kind: kind, Skip: step}) }, m.server.Heal) {
					stops++
				}
			}
			if stops != 7 { // GetUser, ListAccessKeys, CreateAccessKey, three proofs, DeleteAccessKey
				t.Errorf("%d calls could fail, want 7", stops)
			}
		})
	}
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprintf("entry, made: %v", after), func(t *testing.T) {
			t.Parallel()
			stops := 0
			for n := range 6 {
				m := newMount(t)
				store := &cutStore{Store: m.store.(*backendtest.Store), left: -1}
				m.store = store
				if check(t, m, func() { store.cut(n, after) }, func() { store.cut(-1, false) }) {
					stops++
				}
			}
			if stops != 4 { // begun, candidate, change of keys, over
				t.Errorf("%d entries could fail, want 4", stops)
			}
		})
	}
}

// A key that a person made while nobody rotated is none of a rotation's.
func TestARotationDeletesNoStrangersKey(t *testing.T) {
	m := newMount(t)
	m.server.Plant(awstest.Fault{Kind: awstest.FailBefore, Action: "CreateAccessKey"})
	if _, err := m.rotate(); err == nil {
		t.Fatal("got no error")
	}
	m.server.Heal()
	// Right after it began nobody can know whether it has ended.
	if _, err := m.rotate(); code(err) != lease.Conflict {
		t.Errorf("at once: got %v, want to be told to wait", err)
	}
	m.clock.pass(time.Hour)
	m.server.Skew(time.Hour)
	m.server.AddOperatorKey()
	if _, err := m.rotate(); code(err) != lease.Invalid || len(m.rootKeys()) != 2 {
		t.Errorf("got %v with the keys %v, want two keys to be refused and to stay", err, m.rootKeys())
	}
}

func TestARotationThatAnOperatorEnds(t *testing.T) {
	m := newMount(t)
	m.server.Plant(awstest.Fault{Kind: awstest.FailBefore, Action: "DeleteAccessKey"})
	_, err := m.rotate()
	if code(err) != lease.Upstream || !strings.Contains(message(err), m.server.Key.ID+", could not be deleted") {
		t.Fatalf("got %v, want the key that was not deleted", err)
	}
	m.server.Heal()
	resp, err := m.handle(backend.Write, "config/root", map[string]any{"access_key": m.server.Key.ID, "secret_key": m.server.Key.Secret})
	if err != nil || resp == nil || len(resp.Warnings) != 1 || !strings.Contains(resp.Warnings[0], "is still at AWS") {
		t.Errorf("writing a key meanwhile: %v, %v; want a warning", resp, err)
	}
	m.usable()
}

// TestRotatingFailsNoRevocation: while the key is changed again and again, and AWS takes a while to know
// a new one, users are made and ended without one error.
func TestRotatingFailsNoRevocation(t *testing.T) {
	m := newMount(t)
	m.server.Lag(awstest.Lags{Keys: 150 * time.Millisecond})
	m.clock.pass(time.Hour) // the operator's key is not young
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var mu sync.Mutex
	ended := 0
	for range 3 {
		wg.Go(func() {
			for ctx.Err() == nil {
				l := m.prepare("creds/full", nil)
				_, err := m.create(t.Context(), m.engine, l)
				if err == nil {
					err = m.destroy(t.Context(), m.engine, l)
				}
				mu.Lock()
				if err != nil && !errors.Is(err, context.Canceled) {
					t.Errorf("after %d: %v", ended, err)
				}
				ended++
				mu.Unlock()
			}
		})
	}
	for range 4 {
		if _, err := m.rotate(); err != nil {
			t.Errorf("rotate: %v", err)
		}
	}
	stop()
	wg.Wait()
	if ended < 10 || len(m.names()) != 0 || len(m.rootKeys()) != 1 {
		t.Errorf("%d users were ended, left are %v and the keys %v; want 10 at least, none, one", ended, m.names(), m.rootKeys())
	}
}

// Of two rotations at once one may be told to wait; together they leave one key.
func TestTwoRotationsAtOnce(t *testing.T) {
	m := newMount(t)
	var errs [2]error
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { _, errs[i] = m.rotate() })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil && code(err) != lease.Conflict {
			t.Errorf("got %v, want success or a conflict", err)
		}
	}
	m.usable()
	m.clock.pass(2 * time.Minute)
	if _, err := m.rotate(); err != nil || len(m.rootKeys()) != 1 {
		t.Errorf("afterwards: %v with the keys %v", err, m.rootKeys())
	}
}

// A candidate that lists do not show yet is used; one that somebody has deleted is given up.
func TestARotationThatStoppedWithACandidate(t *testing.T) {
	stopped := func(t *testing.T, lags awstest.Lags) *mount {
		m := newMount(t)
		m.server.Lag(lags)
		store := &cutStore{Store: m.store.(*backendtest.Store), left: 2} // begun, candidate, and then the change
		m.store = store
		if _, err := m.rotate(); !errors.Is(err, errCut) || len(m.rootKeys()) != 2 {
			t.Fatalf("got %v with the keys %v, want a candidate beside the key", err, m.rootKeys())
		}
		store.cut(-1, false)
		return m
	}
	t.Run("not listed yet", func(t *testing.T) {
		m := stopped(t, awstest.Lags{Reads: time.Hour})
		candidate := m.rootKeys()[1]
		if id, err := m.rotate(); err != nil || id != candidate || !slices.Equal(m.rootKeys(), []string{candidate}) {
			t.Errorf("got %s, %v with the keys %v; want the candidate %s", id, err, m.rootKeys(), candidate)
		}
	})
	t.Run("deleted", func(t *testing.T) {
		m := stopped(t, awstest.Lags{})
		gone := m.rootKeys()[1]
		m.server.DropOperatorKey(gone)
		m.clock.pass(2 * time.Minute)
		id, err := m.rotate()
		if err != nil || id == gone || !slices.Equal(m.rootKeys(), []string{id}) {
			t.Errorf("got %s, %v with the keys %v; want a third", id, err, m.rootKeys())
		}
		m.usable()
	})
}
