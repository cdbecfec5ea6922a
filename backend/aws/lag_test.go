package aws_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/aws/awstest"
	"github.com/leasehold/leasehold/lease"
)

// IAM's lists lag behind: a user who was made a moment ago is ended all the same.
func TestAUserIsEndedThoughListsLag(t *testing.T) {
	m := newMount(t)
	m.server.Lag(awstest.Lags{Reads: time.Hour})
	l, data := m.issue("creds/full", nil)
	if m.who(data) == "" {
		t.Fatal("the key does not work")
	}
	m.end(l)
	if m.who(data) != "" {
		t.Error("the key works after the user's end")
	}
}

// A new user is not found by the next step for a while: making it waits.
func TestAUserIsMadeThoughIAMDoesNotKnowItYet(t *testing.T) {
	m := newMount(t)
	m.server.Lag(awstest.Lags{Users: 150 * time.Millisecond})
	l, _ := m.issue("creds/full", nil)
	if u := m.user(l.name); len(u.Keys) != 1 || len(u.Attached) != 2 {
		t.Errorf("made: %+v", u)
	}
	// What is missing for good is not waited for.
	m.write("roles/full", map[string]any{"policy_arns": "arn:aws:iam::aws:policy/Missing"})
	begin := time.Now()
	m.server.Lag(awstest.Lags{})
	_, err := m.create(t.Context(), m.engine, m.prepare("creds/full", nil))
	if code(err) != lease.Invalid || !strings.Contains(message(err), "NoSuchEntity to iam:AttachUserPolicy") || time.Since(begin) > 300*time.Millisecond {
		t.Errorf("a missing policy: %v after %v, want an error at once", err, time.Since(begin))
	}
}

// TestS12_NoSuchUserIsNotBelievedEarly: a user may be in the making, or made and not known yet. The
// pauses are such that the attempts of a mount's policy suffice.
func TestS12_NoSuchUserIsNotBelievedEarly(t *testing.T) {
	m := newMount(t)
	l, _ := m.issue("creds/full", nil)
	m.server.Lag(awstest.Lags{Users: time.Hour})
	young := m.prepare("creds/full", nil) // which was never made
	var waited time.Duration
	attempts := 0
	for ; waited < 10*time.Minute; attempts++ {
		err := m.destroy(t.Context(), m.engine, young)
		if err == nil {
			break
		}
		pause := backend.AskedPause(err)
		if pause <= 0 || backend.IsPermanent(err) || !strings.Contains(err.Error(), "knows no user") {
			t.Fatalf("attempt %d: got %v with a pause of %v, want to be asked again later", attempts, err, pause)
		}
		waited += pause
		m.clock.pass(pause)
	}
	if waited < 4*time.Minute+50*time.Second || waited > 6*time.Minute || attempts > 6 {
		t.Errorf("no such user: believed after %v and %d attempts, want after five minutes and six at most", waited, attempts)
	}
	// What was made is ended as soon as it is found.
	m.clock.ahead.Store(0)
	if err := m.destroy(t.Context(), m.engine, l); err == nil || !m.lives(l.name) {
		t.Fatalf("a user who is not known yet: %v", err)
	}
	m.server.Lag(awstest.Lags{})
	m.end(l)
}

// Pointing config/root at another account must not make the users of the former look gone.
func TestAnotherAccountProvesNothing(t *testing.T) {
	m := newMount(t)
	l, _ := m.issue("creds/full", nil)
	m.clock.pass(time.Hour)
	other := awstest.NewAccount("210987654321")
	defer other.Close()
	m.point(other)
	err := m.destroy(t.Context(), m.engine, l)
	if err == nil || backend.IsPermanent(err) || !strings.Contains(err.Error(), "made in account 123456789012") {
		t.Errorf("got %v, want the account that it was made in", err)
	}
	m.point(m.server)
	m.end(l)
}

// The same clock that judges ages may be wrong about AWS's: what counts there is AWS's own.
func TestTheEndOfSTSCredentialsIsReckonedByTheClockOfAWS(t *testing.T) {
	for _, skew := range []time.Duration{-3 * time.Hour, 3 * time.Hour} {
		m := newMount(t)
		m.server.Skew(skew)
		l := m.prepare("creds/deploy", nil)
		made, err := m.engine.Create(t.Context(), &backend.Intent{
			ExternalName: l.name, TTL: 20 * time.Minute, Internal: l.internal, Request: l.req,
		})
		if err != nil {
			t.Fatalf("skew %v: %v", skew, err)
		}
		if made.TTL < 20*time.Minute-2*time.Second || made.TTL > 20*time.Minute+time.Second {
			t.Errorf("skew %v: the credentials live %v, want 20 minutes", skew, made.TTL)
		}
	}
}

func TestThrottling(t *testing.T) {
	m := newMount(t)
	l, _ := m.issue("creds/full", nil)
	for _, test := range []struct {
		after int
		want  time.Duration
	}{{0, 10 * time.Second}, {7, 7 * time.Second}, {100_000, time.Hour}} {
		m.server.Plant(awstest.Fault{Kind: awstest.Throttle, After: test.after})
		err := m.destroy(t.Context(), m.engine, l)
		if backend.AskedPause(err) != test.want || backend.IsPermanent(err) {
			t.Errorf("asked to wait %d s: got %v with a pause of %v, want %v", test.after, err, backend.AskedPause(err), test.want)
		}
		m.server.Heal()
	}
	// The SDK tries again as often as max_retries says, and no more.
	m.write("config/root", map[string]any{"max_retries": 1})
	m.server.Forget()
	m.server.Plant(awstest.Fault{Kind: awstest.Throttle, Times: 1})
	m.end(l)
	m.server.Heal()
	if calls := m.server.Calls(); calls[1] != "ListAccessKeys" || calls[2] == "ListAccessKeys" {
		t.Errorf("calls %v, want the first one twice", calls)
	}
	m.server.Forget()
	m.server.Plant(awstest.Fault{Kind: awstest.Throttle})
	if _, err := m.create(t.Context(), m.engine, m.prepare("creds/full", nil)); code(err) != lease.Upstream || len(m.server.Calls()) != 2 {
		t.Errorf("throttled for good: %v after %d calls, want an error after 2", err, len(m.server.Calls()))
	}
}

// Permissions are given back: nothing that AWS refuses ends the attempts.
func TestARefusedDestructionIsTriedAgain(t *testing.T) {
	m := newMount(t)
	l, _ := m.issue("creds/full", nil)
	m.server.Plant(awstest.Fault{Kind: awstest.Deny, Action: "DeleteUser"})
	err := m.destroy(t.Context(), m.engine, l)
	if err == nil || backend.IsPermanent(err) || !strings.Contains(err.Error(), "AccessDenied to iam:DeleteUser") {
		t.Errorf("got %v, want an error that is tried again", err)
	}
	m.server.Heal()
	m.end(l)
}

// TestASecondKeyIsNotMadeBecauseAnAnswerWasLost: the SDK repeats lost calls, but not this one.
func TestASecondKeyIsNotMadeBecauseAnAnswerWasLost(t *testing.T) {
	m := newMount(t)
	m.write("config/root", map[string]any{"max_retries": 3})
	l := m.prepare("creds/full", nil)
	m.server.Plant(awstest.Fault{Kind: awstest.Drop, Action: "CreateAccessKey", Times: 1})
	if _, err := m.create(t.Context(), m.engine, l); err == nil {
		t.Fatal("create: got no error though the key's secret is lost")
	}
	lost := m.user(l.name).Keys
	if len(lost) != 1 {
		t.Fatalf("%d keys were made, want one", len(lost))
	}
	data, err := m.create(t.Context(), m.engine, l)
	if err != nil {
		t.Fatal(err)
	}
	if keys := m.user(l.name).Keys; len(keys) != 1 || keys[0] == lost[0] || m.who(data) == "" {
		t.Errorf("keys after another try: %v, want a new one alone", keys)
	}
	// Other calls are repeated, those that were done included.
	m.server.Plant(awstest.Fault{Kind: awstest.Drop, Action: "CreateUser", Times: 1})
	m.issue("creds/full", nil)
}

// T24: whatever AWS answers, a bounded part is read in a bounded time.
func TestT24_MaliciousAnswers(t *testing.T) {
	for name, kind := range map[string]awstest.Kind{
		"no answer that is understood": awstest.Garbage, "an answer without an end": awstest.Flood, "a redirect": awstest.Redirect,
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			l, _ := m.issue("creds/full", nil)
			m.server.Plant(awstest.Fault{Kind: kind})
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			begin := time.Now()
			_, err := m.create(ctx, m.engine, m.prepare("creds/deploy", nil))
			if code(err) != lease.Upstream || len(err.Error()) > 512 {
				t.Errorf("create: got %v, want a short error", err)
			}
			if err = m.destroy(ctx, m.engine, l); err == nil || backend.IsPermanent(err) || len(err.Error()) > 256 {
				t.Errorf("destroy: got %v, want a short error that is tried again", err)
			}
			if time.Since(begin) > 5*time.Second {
				t.Errorf("it took %v", time.Since(begin))
			}
			m.server.Heal()
			m.end(l)
		})
	}
}

// No connection at all is an error like others, and does not show the endpoint's path.
func TestNoConnection(t *testing.T) {
	m := newMount(t)
	l, _ := m.issue("creds/full", nil)
	m.server.Close()
	err := m.destroy(t.Context(), m.engine, l)
	if err == nil || backend.IsPermanent(err) || !strings.Contains(err.Error(), "no connection to AWS for iam:ListAccessKeys") {
		t.Errorf("destroy: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	if err := m.destroy(ctx, m.engine, l); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after the deadline: %v", fmt.Sprint(err))
	}
}
