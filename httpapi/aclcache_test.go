package httpapi

// What is kept of policies cannot be seen from outside, so these tests are inside.

import (
	"bytes"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
	"github.com/leasehold/leasehold/lessor/lessortest"
	"github.com/leasehold/leasehold/policy"
)

// aclRig is the part of a server that compiles policies.
type aclRig struct {
	*lessortest.World
	*Server
	t testing.TB
}

func newACLRig(t testing.TB) *aclRig {
	w := lessortest.New(t)
	return &aclRig{w, &Server{state: w.State, lessor: w.Lessor, log: slog.New(slog.DiscardHandler)}, t}
}

func (r *aclRig) write(ns, name, text string) {
	r.t.Helper()
	if err := r.Lessor.PutPolicy(r.t.Context(), ns, name, text); err != nil {
		r.t.Fatal(err)
	}
}

func (r *aclRig) token(policies ...string) *lessor.NewToken {
	r.t.Helper()
	return r.NewToken(r.Root(), lessor.TokenRequest{Policies: policies, NoDefaultPolicy: true, TTL: time.Hour})
}

// may reports whether a token may read a path.
func (r *aclRig) may(t *lease.Token, path string) bool {
	return r.aclOf(t).Check(policy.Request{Path: path, Capability: policy.Read}).Allowed
}

func reads(path string) string { return fmt.Sprintf("path %q { capabilities = [\"read\"] }", path) }

func TestPoliciesAreCompiledOnceForAllTokensThatCarryThem(t *testing.T) {
	r := newACLRig(t)
	r.write("", "a", reads("a"))
	r.write("", "b", reads("b"))
	one, two := r.token("a", "b"), r.token("b", "a")
	first := r.aclOf(one.Token)
	if r.aclOf(one.Token) != first || r.aclOf(two.Token) != first {
		t.Error("equal policies were compiled more than once")
	}
	if r.aclOf(r.token("a").Token) == first {
		t.Error("other policies have the same compiled form")
	}
	r.write("", "elsewhere", reads("c"))
	if r.aclOf(one.Token) != first {
		t.Error("a policy that the token does not carry had its policies compiled again")
	}
	r.write("", "b", reads("b"))
	if r.aclOf(one.Token) != first {
		t.Error("a policy that was written as it was had the set compiled again")
	}
	r.write("", "b", reads("c"))
	if now := r.aclOf(two.Token); now == first || r.may(one.Token, "b") || !r.may(one.Token, "c") || r.aclOf(one.Token) != now {
		t.Error("a changed policy is not what counts, or was compiled twice")
	}
	// A list that nobody carries for a while is another one in the state.
	for _, n := range []*lessor.NewToken{one, two} {
		if _, err := r.Lessor.RevokeToken(t.Context(), n.Token.Hash, false); err != nil {
			t.Fatal(err)
		}
	}
	r.Settle()
	old := r.aclOf(one.Token)
	again := r.token("a", "b")
	if &again.Token.Policies[0] == &one.Token.Policies[0] || r.aclOf(again.Token) != old {
		t.Error("policies were compiled again though they are the same")
	}
}

func TestDeletedPoliciesGrantNothingAndBrokenOnesTakeAll(t *testing.T) {
	r := newACLRig(t)
	r.write("", "a", reads("a"))
	r.write("", "b", reads("b"))
	token := r.token("a", "b").Token
	if !r.may(token, "a") || !r.may(token, "b") {
		t.Fatal("got denied, want both")
	}
	if err := r.Lessor.DeletePolicy(t.Context(), "", "a"); err != nil {
		t.Fatal(err)
	}
	if r.may(token, "a") || !r.may(token, "b") {
		t.Error("a deleted policy still counts, or the other does not")
	}
	r.write("", "a", `path "x" { of_a_newer_version = true }`)
	if r.may(token, "b") {
		t.Error("a policy that cannot be read is passed over: it might deny what the other grants")
	}
	r.write("", "a", reads("a"))
	if !r.may(token, "a") || !r.may(token, "b") {
		t.Error("the mended policy does not count")
	}
	if r.aclOf(&lease.Token{}) != nil {
		t.Error("no policies: got something")
	}
}

// The same names are other policies in another namespace.
func TestPoliciesOfNamespacesAreKeptApart(t *testing.T) {
	r := newACLRig(t)
	if _, err := r.Lessor.PutNamespace(t.Context(), "", "team", nil); err != nil {
		t.Fatal(err)
	}
	var id string
	r.State.Read(func(v *fsm.View) { id = v.NamespaceByPath("team").ID })
	r.write("", "a", reads("root"))
	r.write(id, "a", reads("team"))
	names := []string{"a"} // one list, as the state shares them
	root, team := &lease.Token{Policies: names}, &lease.Token{Namespace: id, Policies: names}
	if !r.may(root, "root") || r.may(root, "team") || !r.may(team, "team") || r.may(team, "root") {
		t.Error("a namespace's policy counts in another one")
	}
	if !r.may(&lease.Token{Policies: []string{"default"}}, "auth/token/lookup-self") {
		t.Error("the built-in default policy does not count where none was written")
	}
	wrapping := r.aclOf(&lease.Token{Policies: []string{policy.WrappingName}})
	if !wrapping.Check(policy.Request{Path: "sys/wrapping/unwrap", Capability: policy.Update}).Allowed {
		t.Error("the built-in policy of wrapping tokens does not count")
	}
}

// After a snapshot was restored, the same sequence numbers may stand for other policies.
func TestARestoredStateIsNotMistakenForTheOldOne(t *testing.T) {
	r := newACLRig(t)
	made := r.token("a")
	var snapshot bytes.Buffer
	if err := r.State.Snapshot().Write(&snapshot); err != nil {
		t.Fatal(err)
	}
	r.write("", "a", reads("old"))
	if token := r.Token(made.Bearer); !r.may(token, "old") {
		t.Fatal("got denied, want allowed")
	}
	var before, after uint64
	r.State.Read(func(v *fsm.View) { before = v.PolicyVersion("") })
	if err := r.State.Restore(&snapshot); err != nil {
		t.Fatal(err)
	}
	r.write("", "a", reads("new"))
	r.State.Read(func(v *fsm.View) { after = v.PolicyVersion("") })
	if before != after {
		t.Fatalf("the policies' versions differ, %d and %d: the test shows nothing", before, after)
	}
	if token := r.Token(made.Bearer); r.may(token, "old") || !r.may(token, "new") {
		t.Error("a policy of before the restore counts")
	}
}

// Whoever asks after a write has returned is served by what was written, however many ask.
func TestNoPolicyIsServedThatIsOlderThanTheQuestion(t *testing.T) {
	r := newACLRig(t)
	r.write("", "a", reads("x"))
	token := r.token("a").Token
	var allowed atomic.Bool // what the last write that has returned says, meaningful while odd is even
	var turn atomic.Int64
	allowed.Store(true)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				before := turn.Load()
				want := allowed.Load()
				got := r.may(token, "x")
				if before%2 == 0 && turn.Load() == before && got != want {
					t.Errorf("after write %d: allowed is %v, want %v", before/2, got, want)
					return
				}
			}
		})
	}
	for i := range 300 {
		turn.Add(1)
		r.write("", "a", reads(map[bool]string{true: "x", false: "y"}[i%2 == 1]))
		allowed.Store(i%2 == 1)
		turn.Add(1)
		r.write("", fmt.Sprint("other-", i%7), reads("z"))
	}
	close(stop)
	wg.Wait()
}

// Many requests that meet a changed policy have it compiled once.
func TestAChangedPolicyIsCompiledByOne(t *testing.T) {
	r := newACLRig(t)
	r.write("", "a", reads("x"))
	token := r.token("a").Token
	r.aclOf(token)
	for i := range 20 {
		r.write("", "a", reads(fmt.Sprint("x", i)))
		var wg sync.WaitGroup
		seen := make([]*policy.ACL, 16)
		for j := range seen {
			wg.Go(func() { seen[j] = r.aclOf(token) })
		}
		wg.Wait()
		for _, acl := range seen {
			if acl != seen[0] {
				t.Fatal("one policy was compiled twice at once")
			}
		}
	}
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	k := kept[int, string]{limit: 100}
	total := func() int {
		n := 0
		for _, half := range []map[int]weighed[string]{k.young, k.old} {
			for _, w := range half {
				n += w.weight
			}
		}
		return n
	}
	for i := range 1000 {
		k.put(i, "x", 7)
		if _, ok := k.get(0); !ok {
			t.Fatalf("what is asked for each time was forgotten after %d others", i)
		}
		k.put(i, "y", 9) // of another weight now
		if total() > 100+2*9 {
			t.Fatalf("got %d kept, want about 100", total())
		}
	}
	if v, ok := k.get(999); !ok || v != "y" {
		t.Errorf("the last: got %q, %v", v, ok)
	}
	if _, ok := k.get(500); ok {
		t.Error("what nobody asks for is kept")
	}
	if k.turns == 0 {
		t.Error("nothing was ever forgotten")
	}

	r := newACLRig(t)
	r.write("", "a", reads("a"))
	r.acls.sets.limit, r.acls.parsed.limit = 40, 40
	for i := range 200 {
		r.write("", "p", reads(fmt.Sprint(i)))
		token := &lease.Token{Policies: []string{"a", "p", fmt.Sprint("none-", i)}}
		if !r.may(token, "a") || !r.may(token, fmt.Sprint(i)) {
			t.Fatal("got denied, want allowed")
		}
	}
	if n := len(r.acls.lists) + len(r.acls.sets.young) + len(r.acls.sets.old) + len(r.acls.parsed.young) + len(r.acls.parsed.old); n > 80 {
		t.Errorf("%d lists, sets and policies are kept, want a few dozen", n)
	}
}

// thousandPolicies writes 1,000 policies of 100 rules and returns tokens that carry so many of them.
func (r *aclRig) thousandPolicies(carried ...int) []*lease.Token {
	r.t.Helper()
	names := make([]string, 1000)
	for i := range names {
		names[i] = fmt.Sprintf("team-%03d", i)
		var b bytes.Buffer
		for j := range 100 {
			switch {
			case j < 50:
				fmt.Fprintf(&b, "path \"db-%d/creds/role-%d\" { capabilities = [\"read\", \"update\"] }\n", i, j)
			case j < 80:
				fmt.Fprintf(&b, "path \"kv-%d/app-%d/*\" { capabilities = [\"create\", \"read\", \"update\", \"list\"] }\n", i, j)
			default:
				fmt.Fprintf(&b, "path \"kv-%d/+/service-%d/+\" { capabilities = [\"read\"] }\n", i, j)
			}
		}
		r.write("", names[i], b.String())
	}
	var tokens []*lease.Token
	for _, n := range carried {
		tokens = append(tokens, r.token(append(names[:n:n], "default")...).Token)
	}
	return tokens
}

// BenchmarkAuthorize is all that access control costs a request, from the token on: finding the
// compiled policies and deciding. The budget is 10 µs.
func BenchmarkAuthorize(b *testing.B) {
	r := newACLRig(b)
	carried := []int{1, 10, 1000}
	for i, token := range r.thousandPolicies(carried...) {
		for name, path := range map[string]string{"exact": "db-0/creds/role-25", "prefix": "kv-0/app-60/x/y", "plus": "kv-0/x/service-90/y"} {
			b.Run(fmt.Sprintf("%d of 1000 policies/%s", carried[i], name), func(b *testing.B) {
				row := &route{path: "<mount>"}
				r.aclOf(token) // the first request after a change compiles: see BenchmarkCompile
				b.ReportAllocs()
				for b.Loop() {
					c := &call{op: opRead, route: row, path: path, token: token}
					if err := r.authorize(c); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkCompile is what the first request after a change of policies pays.
func BenchmarkCompile(b *testing.B) {
	r := newACLRig(b)
	token := r.thousandPolicies(1000)[0]
	for name, ours := range map[string]string{"own policy changed": "team-000", "another policy changed": "elsewhere"} {
		b.Run(name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				r.write("", ours, reads(fmt.Sprint(i)))
				b.StartTimer()
				r.aclOf(token)
			}
		})
	}
}
