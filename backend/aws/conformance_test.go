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
)

// TestConformance runs the suite of all targets. Its leases are old at once, since the clock is ten
// minutes later at each look: what a young one means is tested apart.
func TestConformance(t *testing.T) {
	backendtest.Run(t, func(t *testing.T) *backendtest.Harness {
		if strings.Contains(t.Name(), "/renew/") && !strings.Contains(t.Name(), "/cut_") {
			t.Skip("renewing an IAM user does not reach AWS, so no fault of AWS can be met: TestRenewTouchesNothing")
		}
		m := newMount(t)
		m.clock.step.Store(int64(10 * time.Minute))
		return &backendtest.Harness{
			Backend: m.engine,
			Request: func() *backend.Request { return m.request(backend.Read, "creds/full", nil) },
			Living:  m.names,
			Plant: func(f backendtest.Fault) {
				m.server.Plant(map[backendtest.Fault]awstest.Fault{
					backendtest.FailBefore: {Kind: awstest.FailBefore},
					backendtest.FailHalf:   {Kind: awstest.FailBefore, Skip: 4},
					backendtest.LoseAnswer: {Kind: awstest.Drop},
					backendtest.HangBefore: {Kind: awstest.HangBefore},
					backendtest.HangAfter:  {Kind: awstest.HangAfter},
					backendtest.FailAfter:  {Kind: awstest.FailAfter},
					backendtest.Twice:      {Kind: awstest.Twice},
				}[f])
			},
			Also: []backendtest.Fault{backendtest.FailAfter, backendtest.Twice},
			FailAt: func(step int) func() bool {
				before := len(m.server.Calls())
				m.server.Plant(awstest.Fault{Kind: awstest.Drop, Skip: step - 1, Times: 1})
				return func() bool { return len(m.server.Calls())-before >= step }
			},
			Heal: m.server.Heal,
			Forget: func() {
				if _, err := m.handle(backend.Delete, "roles/full", nil); err != nil {
					t.Fatal(err)
				}
			},
			Secrets: []string{m.server.Key.Secret, m.server.Key.ID},
		}
	})
}

func TestRenewTouchesNothing(t *testing.T) {
	m := newMount(t)
	l, _ := m.issue("creds/full", nil)
	m.server.Forget()
	ttl, err := m.engine.Renew(t.Context(), &backend.Renewal{ExternalName: l.name, TTL: time.Hour, Internal: l.internal, Store: m.store})
	if ttl != 0 || err != nil || len(m.server.Calls()) != 0 {
		t.Errorf("renew: %v, %v, calls %v; want none", ttl, err, m.server.Calls())
	}
}

// stepFaults are the ways in which one step goes wrong.
var stepFaults = map[string]awstest.Kind{
	"error before": awstest.FailBefore, "error after": awstest.FailAfter, "answer lost": awstest.Drop,
	"hang before": awstest.HangBefore, "hang after": awstest.HangAfter,
}

// limited is the context of a call that may meet a fault: one that hangs is given up soon.
func limited(m *mount, kind awstest.Kind) (context.Context, context.CancelFunc) {
	limit := 10 * time.Second
	if kind == awstest.HangBefore || kind == awstest.HangAfter {
		limit = 60 * time.Millisecond
	}
	return context.WithTimeout(m.Context(), limit)
}

// TestS12_NoOrphanWhateverStepOfCreateFails: after a failure, or a crash, at any step of making a user,
// what the intent kept suffices to end it, and making it again leaves one user with one key.
func TestS12_NoOrphanWhateverStepOfCreateFails(t *testing.T) {
	clean := newMount(t)
	clean.server.Forget()
	clean.issue("creds/full", nil)
	want := []string{"CreateUser", "AttachUserPolicy", "AttachUserPolicy", "PutUserPolicy", "AddUserToGroup", "CreateAccessKey"}
	if steps := clean.server.Calls(); !slices.Equal(steps, want) {
		t.Fatalf("steps of making a user: %v, want %v", steps, want)
	}
	for name, kind := range stepFaults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMount(t)
			m.clock.step.Store(int64(10 * time.Minute))
			for step := range want {
				for _, times := range []int{1, 0} { // this step alone, and all from this step on
					if again := m.failCreate(kind, step, times); again != nil {
						m.mend(again)
					}
				}
			}
		})
	}
}

// failCreate makes users that fail at a step: one is ended by another node, the other returned.
func (m *mount) failCreate(kind awstest.Kind, step, times int) *loan {
	var loans []*loan
	for range 2 {
		l := m.prepare("creds/full", nil)
		m.server.Plant(awstest.Fault{Kind: kind, Skip: step, Times: times})
		ctx, cancel := limited(m, kind)
		data, err := m.create(ctx, m.engine, l)
		cancel()
		m.server.Heal()
		if err == nil || data != nil {
			m.Fatalf("step %d: create: got no error though it failed there", step)
		}
		loans = append(loans, l)
	}
	// The leader has crashed; its successor knows what the intent kept and what is at the target.
	next := m.node()
	var listed []string
	for _, item := range m.inventory() {
		listed = append(listed, item.ExternalName)
		if item.ExternalName == loans[0].name {
			byItem := *loans[0]
			byItem.internal = item.Internal
			if err := m.destroy(m.Context(), next, &byItem); err != nil {
				m.Fatalf("step %d: destroy with what the inventory tells: %v", step, err)
			}
		}
	}
	if made := m.lives(loans[1].name); slices.Contains(listed, loans[1].name) != made {
		m.Fatalf("step %d: the inventory lists %v, at AWS are %v", step, listed, m.names())
	}
	if err := m.destroy(m.Context(), next, loans[0]); err != nil {
		m.Fatalf("step %d: destroy: %v", step, err)
	}
	return loans[1]
}

// mend makes a user whose first try failed, and ends it.
func (m *mount) mend(l *loan) {
	data, err := m.create(m.Context(), m.engine, l)
	if err != nil {
		m.Fatalf("create again: %v", err)
	}
	u := m.user(l.name)
	if len(u.Keys) != 1 || u.Keys[0].ID != data["access_key"] || len(u.Attached) != 2 || len(u.Groups) != 1 || len(u.Inline) != 1 {
		m.Fatalf("made again: %+v with the key %v", u, data["access_key"])
	}
	m.end(l)
	if left := m.inventory(); len(left) != 0 || len(m.names()) != 0 {
		m.Fatalf("left are %v, the inventory lists %v", m.names(), left)
	}
}

// TestS13_DestroyGoesOnWhereItStopped: whatever step of ending a user fails, the next try ends it.
func TestS13_DestroyGoesOnWhereItStopped(t *testing.T) {
	clean := newMount(t)
	l, _ := clean.issue("creds/full", nil)
	clean.server.Forget()
	clean.end(l)
	want := []string{
		"ListAccessKeys", "DeleteAccessKey", "ListAttachedUserPolicies", "DetachUserPolicy", "DetachUserPolicy",
		"ListUserPolicies", "DeleteUserPolicy", "ListGroupsForUser", "RemoveUserFromGroup", "DeleteUser",
	}
	if steps := clean.server.Calls(); !slices.Equal(steps, want) {
		t.Fatalf("steps of ending a user: %v, want %v", steps, want)
	}
	for name, kind := range stepFaults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMount(t)
			m.clock.step.Store(int64(10 * time.Minute))
			for step := range want {
				l, _ := m.issue("creds/full", nil)
				m.server.Plant(awstest.Fault{Kind: kind, Skip: step, Times: 1})
				ctx, cancel := limited(m, kind)
				err := m.destroy(ctx, m.engine, l)
				cancel()
				m.server.Heal()
				if err == nil || backend.IsPermanent(err) {
					t.Fatalf("step %d: got %v, want an error that is tried again", step, err)
				}
				m.end(l)
				m.end(l) // and once more
			}
		})
	}
}

// Two nodes may destroy at once, beside others that live on.
func TestS13_RacingDestroys(t *testing.T) {
	m := newMount(t)
	m.clock.step.Store(int64(10 * time.Minute))
	m.server.AddUser("someone-else")
	stays, _ := m.issue("creds/full", nil)
	other := m.node()
	for range 10 {
		l, data := m.issue("creds/full", nil)
		first, second := *l, *l
		var errs [2]error
		var wg sync.WaitGroup
		wg.Go(func() { errs[0] = m.destroy(t.Context(), m.engine, &first) })
		wg.Go(func() { errs[1] = m.destroy(t.Context(), other, &second) })
		wg.Wait()
		if errs[0] != nil && errs[1] != nil {
			t.Fatalf("both failed: %v", errors.Join(errs[:]...))
		}
		m.end(l)
		if who := m.who(data); who != "" {
			t.Fatalf("the key of %s still works after the user's end", who)
		}
	}
	if got := m.names(); !slices.Equal(got, []string{"someone-else", stays.name}) {
		t.Errorf("left are %v, want the two that nobody ended", got)
	}
}

// A creation that was given up may have calls on their way; they must not undo the destruction.
func TestS12_LateCallsOfACreationThatWasGivenUp(t *testing.T) {
	for _, late := range []string{"AttachUserPolicy", "PutUserPolicy", "AddUserToGroup", "CreateAccessKey"} {
		t.Run(late, func(t *testing.T) {
			m := newMount(t)
			m.clock.step.Store(int64(10 * time.Minute))
			l := m.prepare("creds/full", nil)
			m.server.Plant(awstest.Fault{Kind: awstest.FailBefore, Action: late})
			if _, err := m.create(t.Context(), m.engine, l); err == nil {
				t.Fatal("create: got no error")
			}
			m.server.Heal()
			// The late call arrives after everything was taken away and before the user is deleted.
			once := sync.Once{}
			m.server.Hook(func(action string) {
				if action == "DeleteUser" {
					once.Do(func() {
						m.server.Hook(nil)
						if _, err := m.create(t.Context(), m.node(), l); err != nil {
							t.Errorf("late: %v", err)
						}
					})
				}
			})
			l.internal = l.plan.Internal
			m.end(l)
		})
	}
}

// What somebody gave the user by hand does not keep it alive, and needs permissions only then.
func TestWhatSomebodyAddedGoesToo(t *testing.T) {
	m := newMount(t)
	m.server.PageSize(1)
	l, _ := m.issue("creds/full", nil)
	m.server.Clutter(l.name)
	m.server.Plant(awstest.Fault{Kind: awstest.Deny, Action: "ListMFADevices"})
	err := m.destroy(t.Context(), m.engine, l)
	if backend.IsPermanent(err) || !strings.Contains(fmt.Sprint(err), "AccessDenied to iam:ListMFADevices") {
		t.Errorf("got %v, want what is not allowed", err)
	}
	m.server.Heal()
	m.end(l)
}
