package fsm_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// Fact 74 of Vault's: tokens with equal lists of policies share one in memory, made here or restored;
// lists that only look alike when joined do not.
func TestTokensShareTheirPolicies(t *testing.T) {
	w := newWorld(t)
	lists := [][]string{{"ab", "c"}, {"a", "bc"}, {"abc"}, {"c", "ab"}, nil}
	for i := range 50 {
		cmd := createToken(fmt.Sprintf("t%d", i), "", time.Hour)
		cmd.Token.Policies = slices.Clone(lists[i%len(lists)])
		w.must(cmd)
	}
	check := func(what string, s *fsm.State) {
		t.Helper()
		if err := s.CheckInvariants(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		s.Read(func(v *fsm.View) {
			places := map[*string]bool{}
			for i := range 50 {
				tok := v.Token(fmt.Sprintf("t%d", i))
				if tok == nil {
					continue
				}
				if want := lists[i%len(lists)]; !slices.Equal(tok.Policies, want) {
					t.Errorf("%s: token t%d has %q, want %q", what, i, tok.Policies, want)
				}
				places[unsafe.SliceData(tok.Policies)] = true
			}
			if len(places) != len(lists) { // none is a place as well
				t.Errorf("%s: %d lists in memory, want %d", what, len(places), len(lists))
			}
		})
	}
	check("made", w.s)
	w.must(&command.RevokeToken{Hash: "t0"}, &command.RevokeToken{Hash: "t1"})
	check("after two have gone", w.s)
	check("restored", restoredCopy(t, w.s))
	for i := range 50 {
		w.must(&command.RevokeToken{Hash: fmt.Sprintf("t%d", i)})
	}
	w.check()
	if got := w.s.PolicySets(); got != 1 {
		t.Errorf("%d lists are kept, want the root token's alone", got)
	}
}

// TestAccessorsPageByPage: pages of any size give every accessor of a namespace once, in order, whatever
// stands in other namespaces.
func TestAccessorsPageByPage(t *testing.T) {
	chance := rand.New(rand.NewPCG(1, 1))
	w := newWorld(t)
	w.must(createNamespace("n", "a/"), createNamespace("n1", "b/"), createNamespace("o", "c/"))
	want := map[string][]string{"": {"acc-root"}}
	for i := range 200 {
		ns := []string{"", "n", "n1"}[chance.IntN(3)]
		cmd := createToken(fmt.Sprintf("t%d", i), "", time.Hour)
		cmd.Token.Namespace, cmd.Token.Accessor = ns, fmt.Sprintf("%x", chance.Uint64())
		w.must(cmd)
		want[ns] = append(want[ns], cmd.Token.Accessor)
	}
	for _, ns := range []string{"", "n", "n1", "o", "none"} {
		slices.Sort(want[ns])
		for _, limit := range []int{1, 2, 7, 50, 1000} {
			var got []string
			after := ""
			w.s.Read(func(v *fsm.View) {
				for {
					page, more := v.Accessors(ns, after, limit)
					got = append(got, page...)
					if len(page) > limit || more != (len(got) < len(want[ns])) {
						t.Fatalf("namespace %q after %q: a page of %d, more: %v, of %d in all", ns, after, len(page), more, len(want[ns]))
					}
					if !more {
						break
					}
					after = page[len(page)-1]
				}
			})
			if !slices.Equal(got, want[ns]) {
				t.Errorf("namespace %q in pages of %d: %q, want %q", ns, limit, got, want[ns])
			}
		}
	}
}

// T20: each use gives the lease to who took it, and the data with it, once.
func TestT20_AUseGivesTheLease(t *testing.T) {
	w := newWorld(t)
	w.must(wrapToken("w", "", time.Hour, "secret"), createToken("t", "", time.Hour))
	results := w.do(&command.UseToken{Hash: "w"}, &command.UseToken{Hash: "w"}, &command.UseToken{Hash: "t"})
	first := results[0]
	if first.Err != nil || first.Lease == nil || string(first.Lease.Data) != "secret" || first.Token.NumUses != lease.SpentUses {
		t.Errorf("the first use: %+v", first)
	}
	if want := w.now.Add(time.Minute); first.Lease != nil && first.Lease.ExpireTime != want {
		t.Errorf("after the last use the lease ends at %s, want %s", first.Lease.ExpireTime, want)
	}
	if second := results[1]; second.Err != lease.ErrDenied || second.Lease != nil || second.Token != nil {
		t.Errorf("the second use: %+v", second)
	}
	if third := results[2]; third.Lease == nil || third.Lease.ID != third.Token.LeaseID {
		t.Errorf("a use of a token without limit: %+v", third)
	}
}

// All that a login says of its token is there after a restart.
func TestALoginsTokenSurvivesARestart(t *testing.T) {
	w := newWorld(t)
	w.must(mountCommand("m-up", "", "auth/up/", "login"))
	cmd := loginToken("a", "", "m-up", "auth/up/login/a", time.Hour)
	cmd.MaxTtl, cmd.Data = int64(2*time.Hour), []byte("data")
	cmd.Token.BoundCidrs = []string{"10.0.0.0/8", "::1/128"}
	w.must(cmd)
	w.s = restoredCopy(t, w.s)
	w.s.Read(func(v *fsm.View) {
		tok := v.Token("a")
		if !slices.Equal(tok.BoundCIDRs, cmd.Token.BoundCidrs) {
			t.Errorf("bound to %q, want %q", tok.BoundCIDRs, cmd.Token.BoundCidrs)
		}
		l := v.Lease(tok.LeaseID)
		if l.MountID != "m-up" || l.MaxTTL != 2*time.Hour || string(l.Data) != "data" {
			t.Errorf("its lease is %+v", l)
		}
	})
}
