package httpapi_test

import (
	"fmt"
	"testing"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/approle"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lessor/lessortest"
)

// TestHandoverGoesUnnoticed: a leader that hands over refuses what it is to write, for a moment. Nothing
// was done, so the request is served when there is a leader again: once, whether it came to the leader or
// was forwarded to it.
func TestHandoverGoesUnnoticed(t *testing.T) {
	p := newPair(t)
	for name, issue := range map[string]func(method, path, body string) reply{
		"at the leader": func(m, path, b string) reply { return p.root(m, path, b) },
		"forwarded":     func(m, path, b string) reply { return p.via(m, path, lessortest.RootToken, b) },
	} {
		t.Run(name, func(t *testing.T) {
			refused, committed := 0, 0
			p.Proposer.Fault(func(cmd fsm.Command) lessortest.Fate {
				if _, ok := cmd.(*command.Issue); !ok {
					return lessortest.Commit
				}
				if refused < 3 {
					refused++
					return lessortest.Refuse
				}
				committed++
				return lessortest.Commit
			})
			want(t, "issue", issue("POST", "locks/a", `{"ttl":"1h"}`), 200)
			if got, want := fmt.Sprint(refused, committed), "3 1"; got != want {
				t.Errorf("refused and committed: got %s, want %s", got, want)
			}
			p.Proposer.Fault(func(fsm.Command) lessortest.Fate { return lessortest.Refuse })
			never := issue("POST", "locks/a", `{"ttl":"1h"}`)
			want(t, "nobody takes over", never, 503)
			if got := never.header.Get("Retry-After"); got == "" {
				t.Error("503 without Retry-After")
			}
		})
	}
}

// TestHandoverBetweenTwoSteps: when the first entry of a request is in the log, the request is not begun
// again.
func TestHandoverBetweenTwoSteps(t *testing.T) {
	p := newPair(t)
	reserved := 0
	p.Proposer.Fault(func(cmd fsm.Command) lessortest.Fate {
		switch cmd.(type) {
		case *command.Reserve:
			reserved++
		case *command.Activate:
			return lessortest.Refuse
		}
		return lessortest.Commit
	})
	got := p.root("POST", "db/creds/app", `{"ttl":"1h"}`)
	if got.status < 500 {
		t.Errorf("got %d %s, want a failure", got.status, got.text)
	}
	if reserved != 1 {
		t.Errorf("intents: got %d, want 1: %d %s", reserved, got.status, got.text)
	}
}

// TestHandoverInTheMiddleOfALogin: a login that has taken a use of its secret_id is not begun again, which would take
// another one; the caller is told that something may have happened. One that has taken nothing is.
func TestHandoverInTheMiddleOfALogin(t *testing.T) {
	r := newRigWith(t, lessortest.Options{Backends: []backend.Backend{approle.New()}})
	want(t, "enable", r.root("POST", "sys/auth/machines", `{"type":"approle"}`), 204)
	for role, c := range map[string]struct {
		uses, first, second int
	}{
		"counted":   {2, 504, 200},
		"uncounted": {0, 200, 200},
	} {
		path := "auth/machines/role/" + role
		want(t, "role", r.root("POST", path, fmt.Sprintf(`{"secret_id_num_uses":%d}`, c.uses)), 204)
		proof := fmt.Sprintf(`{"role_id":%q,"secret_id":%q}`, r.root("GET", path+"/role-id", "").data()["role_id"], r.root("POST", path+"/secret-id", "").data()["secret_id"])
		refused := false
		r.Proposer.Fault(func(cmd fsm.Command) lessortest.Fate {
			if _, ok := cmd.(*command.CreateToken); ok && !refused {
				refused = true
				return lessortest.Refuse
			}
			return lessortest.Commit
		})
		first := r.call("PUT", "auth/machines/login", "", proof)
		want(t, role+", when the leader changes", first, c.first)
		want(t, role+", after that", r.call("PUT", "auth/machines/login", "", proof), c.second)
		if c.uses > 0 { // one was taken by each
			want(t, role+", used up", r.call("PUT", "auth/machines/login", "", proof), 400, "invalid role or secret ID")
		}
	}
}
