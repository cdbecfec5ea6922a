package httpapi_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
)

func TestGoldenAccessors(t *testing.T) {
	s := newTranscript(t)
	accessor := s.name(s.Root().Accessor, "root's accessor")
	s.say("the one that there is", "LIST", "auth/token/accessors", "")
	s.say("with its slash", "LIST", "auth/token/accessors/", "")
	s.say("as the Go client asks", "GET", "auth/token/accessors?list=true", "")
	s.say("behind the last", "GET", "auth/token/accessors?list=true&after="+accessor, "")
	s.say("no number", "GET", "auth/token/accessors?list=true&limit=x", "")
	s.say("a negative limit", "GET", "auth/token/accessors?list=true&limit=-1", "")
	s.say("the wrong verb", "GET", "auth/token/accessors", "")
	plain := s.name(s.policyToken("plain", `path "auth/token/accessors/" { capabilities = ["list"] }`), "token")
	s.sayAs(plain, "without sudo", "LIST", "auth/token/accessors", "")
}

// TestAccessorsAreThoseOfLivingTokensPageByPage: of many tokens, more than are looked at at once, many
// of them dead; each page goes on where the last one ended.
func TestAccessorsAreThoseOfLivingTokensPageByPage(t *testing.T) {
	r := newRig(t)
	r.namespace("abc12", "team/")
	living := map[string][]string{"": {r.Root().Accessor}}
	put := func(ns string, i int, parent string) {
		tok := &lease.Token{Hash: fmt.Sprint("hash-", ns, i), Accessor: fmt.Sprintf("acc-%04d-%s", i, ns), Namespace: ns, Parent: parent, Policies: []string{"default"},
			Path: "auth/token/create", LeaseID: lease.NewID("auth/token/create", fmt.Sprint("h", i), ns)}
		ttl := time.Minute
		if i%7 == 0 {
			ttl = time.Hour
			living[ns] = append(living[ns], tok.Accessor)
		}
		if _, err := r.Proposer.Propose(t.Context(), &command.CreateToken{Token: fsm.TokenRecord(tok), Ttl: int64(ttl)}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2500 {
		put("", i, "")
	}
	for i := range 20 {
		put("abc12", i, "")
	}
	doomed := r.NewToken(r.Root(), lessor.TokenRequest{Policies: []string{"default"}, TTL: time.Hour})
	r.NewToken(doomed.Token, lessor.TokenRequest{TTL: time.Hour}) // so that it stays until its job has come by
	want(t, "revoke", r.root("POST", "auth/token/revoke", `{"token":"`+doomed.Bearer+`"}`), 204)
	r.Clock.Advance(2 * time.Minute)
	for ns, path := range map[string]string{"": "", "abc12": "team"} {
		want := living[ns]
		slices.Sort(want)
		for _, limit := range []int{1, 50, len(want), len(want) + 1, 0} {
			var got []string
			for after := ""; ; {
				a := r.root("GET", fmt.Sprintf("auth/token/accessors?list=true&limit=%d&after=%s", limit, after), "", inNamespace(path))
				if a.status == 404 && len(want) == 0 {
					break
				}
				keys, _ := a.data()["keys"].([]any)
				if a.status != 200 || len(keys) == 0 || limit > 0 && len(keys) > limit {
					t.Fatalf("namespace %q, limit %d: got %d %s", path, limit, a.status, a.text)
				}
				for _, k := range keys {
					got = append(got, k.(string))
				}
				next, more := a.data()["next"].(string)
				if !more {
					break
				}
				after = next
			}
			if !slices.Equal(got, want) {
				t.Errorf("namespace %q, limit %d: got %d accessors, want %d: those of its living tokens", path, limit, len(got), len(want))
			}
		}
	}
}
