package httpapi_test

import (
	"fmt"
	"testing"

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
