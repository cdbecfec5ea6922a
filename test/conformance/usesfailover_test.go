package conformance

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// ration is something that can be had a number of times and no more: a secret_id, a token of limited uses, a wrapped
// answer. It counts what its calls came to.
type ration struct {
	kind    string
	uses    int
	ask     request
	refusal int                 // status of a call that comes too late
	check   func(*reply) string // what is wrong with an answer, "" if nothing

	mu sync.Mutex // guards what follows
	account
	tokens []string // that were earned
}

// account is what the calls about one ration came to.
type account struct {
	had     int       // successes
	refused int       // refusals as by a ration that is used up
	unknown int       // calls that may have taken a use or not
	undone  int       // calls that did nothing, as the node says or because there was none
	ended   time.Time // when the first refusal came back
	revived bool      // a call that was sent after that succeeded
	wrong   string    // an answer that should not have been
}

// verdict says what is wrong with the account of a ration that was asked until it refused, "" if nothing. It is what the
// failover test claims of each, so it is tested by itself.
func (a account) verdict(uses int) string {
	switch {
	case a.wrong != "":
		return a.wrong
	case a.had > uses:
		return fmt.Sprintf("it was had %d times, and has %d uses", a.had, uses)
	case a.revived:
		return "it was had after it was refused"
	case a.ended.IsZero():
		return "it never refuses"
	case a.had+a.unknown < uses:
		return fmt.Sprintf("it refuses, and was had %d times of %d, with %d calls of unknown outcome", a.had, uses, a.unknown)
	}
	return ""
}

// call asks once, through a node.
func (r *ration) call(node int) {
	q := r.ask
	q.node = node
	sent := time.Now()
	answer, err := q.by(impatient)
	back := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), err == nil && answer.status == 429,
		// A token's use is taken before the rest of a call, which may find no leader.
		err == nil && answer.status == 503 && r.kind != "call":
		r.undone++
	case err != nil, answer.status >= 500:
		r.unknown++
	case answer.status == r.refusal:
		r.refused++
		if r.ended.IsZero() {
			r.ended = back
		}
	case answer.status == 200:
		r.had++
		r.revived = r.revived || !r.ended.IsZero() && sent.After(r.ended)
		if token, _ := answer.get("auth.client_token").(string); token != "" {
			r.tokens = append(r.tokens, token)
		}
		if wrong := r.check(answer); wrong != "" {
			r.wrong = wrong
		}
	default:
		r.wrong = fmt.Sprintf("%s: %d %s", answer.asked, answer.status, answer.body)
	}
}

// race makes two calls more than there are uses, at once and through all nodes.
func (r *ration) race() {
	var all sync.WaitGroup
	for i := range r.uses + 2 {
		all.Go(func() { r.call(i%3 + 1) })
	}
	all.Wait()
}

// kitchen makes rations.
type kitchen struct {
	method string // an approle method
	roleID string

	mu     sync.Mutex // guards what follows
	served []*ration
	pause  time.Time // until then no login is offered: too many failed ones from one address are turned away
}

// next says what a worker makes in its nth turn.
func (k *kitchen) next(n int) string {
	kind := kinds[n%3]
	k.mu.Lock()
	defer k.mu.Unlock()
	if kind == "login" && time.Now().Before(k.pause) {
		return kinds[1+n%2]
	}
	if kind == "login" {
		k.pause = time.Now().Add(80 * time.Millisecond)
	}
	return kind
}

func anything(*reply) string { return "" }

// make makes a ration of a kind, through a node; nil if that did not work.
func (k *kitchen) make(kind string, node int) *ration {
	post := func(path string, body any, header map[string]string) *reply {
		r, err := request{node: node, method: "POST", path: "/v1/" + path, body: body, header: header}.by(impatient)
		if err != nil || r.status != 200 {
			return nil
		}
		return r
	}
	switch kind {
	case "login":
		r := post("auth/"+k.method+"/role/ci/secret-id", nil, nil)
		if r == nil {
			return nil
		}
		body := map[string]any{"role_id": k.roleID, "secret_id": r.get("data.secret_id")}
		return &ration{kind: kind, uses: 3, refusal: 400, check: anything,
			ask: request{method: "POST", path: "/v1/auth/" + k.method + "/login", body: body, token: anonymous}}
	case "call":
		r := post("auth/token/create", map[string]any{"ttl": "1h", "num_uses": 3, "policies": []string{"default"}}, nil)
		if r == nil {
			return nil
		}
		return &ration{kind: kind, uses: 3, refusal: 403, check: anything,
			ask: request{method: "GET", path: "/v1/auth/token/lookup-self", token: fmt.Sprint(r.get("auth.client_token"))}}
	}
	name := unique("wrapped")
	r := post("sys/wrapping/wrap", map[string]any{"name": name}, map[string]string{"X-Vault-Wrap-TTL": "10m"})
	if r == nil {
		return nil
	}
	return &ration{kind: kind, uses: 1, refusal: 400,
		ask: request{method: "POST", path: "/v1/sys/wrapping/unwrap", body: map[string]any{"token": r.get("wrap_info.token")}},
		check: func(r *reply) string {
			if r.get("data.name") != name {
				return "another answer was wrapped: " + r.body
			}
			return ""
		}}
}

var kinds = []string{"login", "call", "unwrap"}

// TestFailoverOfUses kills the leader, and later has leaders step down, while clients on all nodes race for what can be
// had a few times only. No use is taken twice, whichever leader it was asked of, and none is lost but by a call whose outcome nobody was told; what a
// login earned lives on. (S1, S18, S25)
func TestFailoverOfUses(t *testing.T) {
	k := &kitchen{method: authMethod(t, "approle", nil)}
	k.roleID = fmt.Sprint(machine(t, k.method, "ci", map[string]any{"secret_id_num_uses": 3, "token_ttl": "1h"}).params["role_id"])
	var old []*ration // made by the first leader and raced for when it is gone
	for i := range 30 {
		r := k.make(kinds[i%3], 0)
		if r == nil {
			t.Fatalf("a %s cannot be made", kinds[i%3])
		}
		old = append(old, r)
	}
	k.served = append(k.served, old...)
	stop := make(chan struct{})
	var load sync.WaitGroup
	for w := range 6 {
		load.Go(func() {
			for n := w; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				r := k.make(k.next(n), n%3+1)
				if r == nil {
					time.Sleep(20 * time.Millisecond) // a node that was killed refuses at once
					continue
				}
				k.mu.Lock()
				k.served = append(k.served, r)
				k.mu.Unlock()
				r.race()
			}
		})
	}
	time.Sleep(time.Second)
	lead := leader(t)
	script(t, "kill", strconv.Itoa(lead))
	for _, r := range old {
		load.Go(r.race)
	}
	eventually(t, 15*time.Second, "another node leads", func() bool {
		r, err := request{node: lead%3 + 1, method: "POST", path: "/v1/auth/token/create", body: `{"ttl":"60s"}`}.by(impatient)
		return err == nil && r.status == 200
	})
	time.Sleep(300 * time.Millisecond)
	script(t, "start", strconv.Itoa(lead))
	for range 3 { // and without a kill: calls that the old leader has begun may be finished by the new one
		if r, err := (request{node: lead%3 + 1, method: "PUT", path: "/v1/sys/step-down"}).do(); err != nil || r.status != 204 && r.status != 503 {
			t.Errorf("step-down: %v %+v", err, r)
		}
		time.Sleep(300 * time.Millisecond)
	}
	close(stop)
	load.Wait()
	waitAll(t)
	auditRations(t, k.served)
	if hashes := stateHashes(t); diverged(hashes) {
		t.Errorf("the nodes hold different states: %v", hashes)
	}
}

// auditRations asks for each until it refuses, and judges.
func auditRations(t *testing.T, all []*ration) {
	t.Helper()
	total := make(map[string]*account)
	for _, kind := range kinds {
		total[kind] = new(account)
	}
	var tokens []string
	for _, r := range all {
		sum := total[r.kind]
		sum.had, sum.refused, sum.unknown, sum.undone = sum.had+r.had, sum.refused+r.refused, sum.unknown+r.unknown, sum.undone+r.undone
		tokens = append(tokens, r.tokens...)
	}
	inParallel(t, 12, len(all), func(i int) error {
		r := all[i]
		for try := 0; r.ended.IsZero() && try < r.uses+20; try++ {
			before := r.undone
			if r.call(i%3 + 1); r.undone > before {
				time.Sleep(200 * time.Millisecond)
			}
		}
		if verdict := r.verdict(r.uses); verdict != "" {
			t.Errorf("a %s: %s; its account is %+v", r.kind, verdict, r.account)
		}
		return nil
	})
	inParallel(t, 12, min(len(tokens), 150), func(i int) error {
		token := tokens[len(tokens)-1-i]
		r, err := request{node: i%3 + 1, method: "GET", path: "/v1/auth/token/lookup-self", token: token}.do()
		if err == nil && r.status != 200 {
			err = fmt.Errorf("a login was acknowledged and its token is gone: %d %s", r.status, r.body)
		}
		return err
	})
	var seen []string
	unclear := 0
	for _, kind := range kinds {
		sum := total[kind]
		seen = append(seen, fmt.Sprintf("%s: %d had, %d refused, %d unknown, %d undone", kind, sum.had, sum.refused, sum.unknown, sum.undone))
		unclear += sum.unknown + sum.undone
		if sum.had < 30 || sum.refused < 10 {
			t.Errorf("the run is void: too few calls of the kind %s", kind)
		}
	}
	if unclear < 10 {
		t.Error("the run is void: the kill was hardly noticed")
	}
	t.Logf("%d rations; %s", len(all), strings.Join(seen, "; "))
}

// TestVerdictsOnRations: each fault that the test is to find, and accounts without.
func TestVerdictsOnRations(t *testing.T) {
	now := time.Unix(1800000000, 0)
	for _, c := range []struct {
		says string
		a    account
		want string // in the verdict
	}{
		{"all uses", account{had: 3, refused: 2, ended: now}, ""},
		{"a use that may have been taken", account{had: 2, unknown: 1, ended: now}, ""},
		{"an unknown call that took none", account{had: 3, unknown: 2, ended: now}, ""},
		{"a use too many", account{had: 4, ended: now}, "4 times"},
		{"a lost use", account{had: 2, undone: 3, ended: now}, "2 times of 3, with 0"},
		{"two lost of which one may be taken", account{had: 1, unknown: 1, ended: now}, "1 times of 3, with 1"},
		{"a use that came back", account{had: 3, ended: now, revived: true}, "after it was refused"},
		{"no end", account{had: 3}, "never refuses"},
		{"somebody else's answer", account{had: 3, ended: now, wrong: "another"}, "another"},
	} {
		got := c.a.verdict(3)
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: the verdict is %q, want %q", c.says, got, c.want)
		}
	}
}
