package lessor_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend/tokenparams"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
	"github.com/leasehold/leasehold/lessor/lessortest"
)

// putRole writes a role; it must work.
func putRole(t *testing.T, w *lessortest.World, name string, role lessor.TokenRole) {
	t.Helper()
	err := w.Lessor.PutTokenRole(t.Context(), "", name, func(r *lessor.TokenRole) error {
		role.Name = r.Name
		*r = role
		return nil
	})
	if err != nil {
		t.Fatalf("put role %s: %v", name, err)
	}
}

func TestTokenRolesAreKept(t *testing.T) {
	w := lessortest.New(t)
	ctx := t.Context()
	if r, err := w.Lessor.TokenRole("", "none"); r != nil || err != nil {
		t.Errorf("a role that is not there: got %+v, %v", r, err)
	}
	want := lessor.TokenRole{
		Name: "ci", AllowedPolicies: []string{"dev", "ops"}, DisallowedPolicies: []string{"root", "x"},
		AllowedPoliciesGlob: []string{"dev-*"}, DisallowedPoliciesGlob: []string{"*-admin"}, Orphan: true, PathSuffix: "v1/a",
		Params: tokenparams.Params{Period: time.Hour, NumUses: 3, BoundCIDRs: []string{"10.0.0.0/8"}, Type: "service"},
	}
	given := want
	given.AllowedPolicies, given.DisallowedPolicies = []string{" Ops", "dev", "dev", ""}, []string{"x", "ROOT"}
	putRole(t, w, "ci", given)
	if got, err := w.Lessor.TokenRole("", "ci"); err != nil || !reflect.DeepEqual(*got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
	putRole(t, w, "a.b-c_D", lessor.TokenRole{})
	putRole(t, w, "z", lessor.TokenRole{})
	if names, more, err := w.Lessor.TokenRoles("", "", 10); err != nil || more || !slices.Equal(names, []string{"a.b-c_D", "ci", "z"}) {
		t.Errorf("got roles %q, more %v, %v", names, more, err)
	}
	if names, more, err := w.Lessor.TokenRoles("", "a.b-c_D", 1); err != nil || !more || !slices.Equal(names, []string{"ci"}) {
		t.Errorf("second page: got %q, more %v, %v", names, more, err)
	}
	if err := w.Lessor.DeleteTokenRole(ctx, "", "ci"); err != nil {
		t.Fatal(err)
	}
	if r, err := w.Lessor.TokenRole("", "ci"); r != nil || err != nil {
		t.Errorf("a deleted role: got %+v, %v", r, err)
	}
	if err := w.Lessor.DeleteTokenRole(ctx, "", "ci"); err != nil {
		t.Errorf("deleting it again: %v", err)
	}
	for _, cmd := range w.Proposer.Commands() {
		if c, ok := cmd.(*command.SwapEntry); ok && (strings.Contains(string(c.Value), "dev") || !strings.HasPrefix(c.Key, "role/")) {
			t.Errorf("a role is in the log in plain text, or elsewhere: %s", c)
		}
	}
}

func TestTokenRoleRefusals(t *testing.T) {
	w := lessortest.New(t)
	set := func(edit func(r *lessor.TokenRole)) func(*lessor.TokenRole) error {
		return func(r *lessor.TokenRole) error { edit(r); return nil }
	}
	keep := set(func(*lessor.TokenRole) {})
	for _, tt := range []struct {
		name, role string
		change     func(*lessor.TokenRole) error
		text       string
	}{
		{"no name", "", keep, "role name"},
		{"a path", "a/b", keep, "role name"},
		{"a dot at the end", "a.", keep, "role name"},
		{"a long name", strings.Repeat("x", 129), keep, "role name"},
		{"a line break", "a\nb", keep, "role name"},
		{"a policy that cannot be printed", "r", set(func(r *lessor.TokenRole) { r.AllowedPoliciesGlob = []string{"a\x00*"} }), "allowed_policies_glob"},
		{"a policy with a long name", "r", set(func(r *lessor.TokenRole) { r.DisallowedPolicies = []string{strings.Repeat("x", 200)} }), "disallowed_policies"},
		{"many policies", "r", set(func(r *lessor.TokenRole) {
			for i := range 2000 {
				r.AllowedPolicies = append(r.AllowedPolicies, fmt.Sprint(i))
			}
		}), "allowed_policies: 2000 names given"},
		{"a suffix with a space", "r", set(func(r *lessor.TokenRole) { r.PathSuffix = "a b" }), "given role path suffix contains invalid characters"},
		{"a suffix that climbs", "r", set(func(r *lessor.TokenRole) { r.PathSuffix = "a/../b" }), "given role path suffix contains invalid characters"},
		{"a long suffix", "r", set(func(r *lessor.TokenRole) { r.PathSuffix = strings.Repeat("a", 200) }), "given role path suffix is 200 bytes long"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantError(t, w.Lessor.PutTokenRole(t.Context(), "", tt.role, tt.change), lease.Invalid, tt.text)
			if r, err := w.Lessor.TokenRole("", tt.role); r != nil || err != nil {
				t.Errorf("got %+v, %v; want no role", r, err)
			}
		})
	}
	denied := lease.Errorf(lease.Denied, "no")
	if err := w.Lessor.PutTokenRole(t.Context(), "", "r", func(*lessor.TokenRole) error { return denied }); err != denied {
		t.Errorf("got %v, want the refusal of the change", err)
	}
}

// However many change a role at once, no change is lost.
func TestTokenRolesAreChangedOneAfterTheOther(t *testing.T) {
	w := lessortest.New(t)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			err := w.Lessor.PutTokenRole(context.Background(), "", "r", func(r *lessor.TokenRole) error {
				r.AllowedPolicies = append(r.AllowedPolicies, fmt.Sprint("p", i))
				return nil
			})
			if err != nil {
				t.Errorf("change %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if r, err := w.Lessor.TokenRole("", "r"); err != nil || !slices.Equal(r.AllowedPolicies, []string{"p0", "p1", "p2", "p3"}) {
		t.Errorf("got %+v, %v; want all four policies", r, err)
	}
}

func TestTokenRolesDecidePolicies(t *testing.T) {
	type role = lessor.TokenRole
	const disallowed = "is disallowed by this role"
	tests := []struct {
		name      string
		role      role
		parent    []string // policies of the caller; nil: root
		asked     []string
		noDefault bool
		want      []string // nil: refused with text
		text      string
	}{
		{"a role that says nothing: as without", role{}, []string{"a", "default"}, []string{"a"}, false, []string{"a", "default"}, ""},
		{"a role that says nothing: still a subset", role{}, []string{"a"}, []string{"b"}, false, nil, "child policies must be subset of parent"},
		{"all that is allowed", role{AllowedPolicies: []string{"b", "c"}}, []string{"a"}, nil, false, []string{"b", "c", "default"}, ""},
		{"some of it, which the caller has not", role{AllowedPolicies: []string{"b", "c"}}, []string{"a"}, []string{"B"}, false, []string{"b", "default"}, ""},
		{"what is not allowed", role{AllowedPolicies: []string{"b"}}, []string{"a"}, []string{"a"}, false, nil,
			`token policies (["a" "default"]) must be subset of the role's allowed policies (["b" "default"]) or glob policies ([])`},
		{"not even to root", role{AllowedPolicies: []string{"b"}}, nil, []string{"a"}, false, nil, "must be subset of the role's allowed policies"},
		{"allowed by pattern", role{AllowedPoliciesGlob: []string{"dev-*"}}, []string{"a"}, []string{"dev-1", "dev-"}, false, []string{"default", "dev-", "dev-1"}, ""},
		{"by none", role{AllowedPoliciesGlob: []string{"dev-*"}}, []string{"a"}, []string{"dev"}, false, nil, `or glob policies (["dev-*"])`},
		{"by name or pattern", role{AllowedPolicies: []string{"x"}, AllowedPoliciesGlob: []string{"*-y-*z"}}, []string{"a"}, []string{"x", "1-y-2z"}, false,
			[]string{"1-y-2z", "default", "x"}, ""},
		{"a pattern alone allows nothing by itself", role{AllowedPoliciesGlob: []string{"dev-*"}}, []string{"a"}, nil, false, []string{"default"}, ""},
		{"without default", role{AllowedPolicies: []string{"b"}}, []string{"a"}, nil, true, []string{"b"}, ""},
		{"a role without default", role{AllowedPolicies: []string{"b"}, Params: tokenparams.Params{NoDefaultPolicy: true}}, []string{"a"}, nil, false, []string{"b"}, ""},
		{"default is asked of a role without", role{AllowedPolicies: []string{"b"}, Params: tokenparams.Params{NoDefaultPolicy: true}}, []string{"a"},
			[]string{"default"}, false, nil, "must be subset"},
		{"default is disallowed", role{AllowedPolicies: []string{"b"}, DisallowedPolicies: []string{"default"}}, []string{"a"}, nil, false, []string{"b"}, ""},
		{"default is disallowed by a pattern", role{AllowedPolicies: []string{"b"}, DisallowedPoliciesGlob: []string{"def*"}}, []string{"a"}, nil, false, []string{"b"}, ""},
		{"allowed and disallowed", role{AllowedPolicies: []string{"b", "c"}, DisallowedPolicies: []string{"c"}}, []string{"a"}, nil, false, nil, `token policy "c" ` + disallowed},
		{"anything but what is disallowed", role{DisallowedPolicies: []string{"c"}}, []string{"a"}, []string{"b"}, false, []string{"b", "default"}, ""},
		{"disallowed", role{DisallowedPolicies: []string{"c"}}, []string{"a"}, []string{"b", "C"}, false, nil, `token policy "c" ` + disallowed},
		{"disallowed by a pattern", role{DisallowedPoliciesGlob: []string{"*admin*"}}, []string{"a"}, []string{"x-admin-y"}, false, nil, disallowed},
		{"what the caller has, by a role that only disallows", role{DisallowedPolicies: []string{"c"}}, []string{"a"}, nil, false, []string{"a", "default"}, ""},
		{"what the caller has is disallowed", role{DisallowedPolicies: []string{"a"}}, []string{"a"}, nil, false, nil, disallowed},
		{"root through a role", role{AllowedPolicies: []string{"root"}}, []string{"a"}, nil, false, nil, "root tokens may not be created without parent token being root"},
		{"root by a pattern", role{AllowedPoliciesGlob: []string{"*"}}, []string{"a"}, []string{"root"}, false, nil, "root tokens may not be created without parent token being root"},
		{"root by a role that only disallows", role{DisallowedPolicies: []string{"c"}}, []string{"a"}, []string{"root"}, false, nil, "root tokens may not be created"},
		{"root to root", role{AllowedPolicies: []string{"root"}}, nil, []string{"root"}, false, []string{"root"}, ""},
		{"what wrapping tokens carry", role{AllowedPoliciesGlob: []string{"*"}}, []string{"a"}, []string{"response-wrapping"}, false, nil, "belongs to wrapping tokens"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := lessortest.New(t)
			putRole(t, w, "r", tt.role)
			caller := w.Root()
			if tt.parent != nil {
				caller = w.NewToken(caller, lessor.TokenRequest{Policies: tt.parent, NoDefaultPolicy: !slices.Contains(tt.parent, "default")}).Token
			}
			got, err := w.Lessor.CreateToken(t.Context(), caller, lessor.TokenRequest{
				Path: "auth/token/create/r", Role: "r", Policies: tt.asked, NoDefaultPolicy: tt.noDefault,
			})
			if tt.want == nil {
				wantError(t, err, lease.Invalid, tt.text)
				return
			}
			if err != nil || !slices.Equal(got.Token.Policies, tt.want) || got.Token.Role != "r" {
				t.Errorf("got %+v, %v; want policies %v", got, err, tt.want)
			}
		})
	}
}

func TestTokenRolesDecideTheRest(t *testing.T) {
	w := lessortest.New(t)
	putRole(t, w, "full", lessor.TokenRole{
		Orphan: true, PathSuffix: "v1", Renewable: false,
		Params: tokenparams.Params{Period: 30 * time.Minute, ExplicitMaxTTL: 2 * time.Hour, NumUses: 5, BoundCIDRs: []string{"10.0.0.0/8"}, Type: "service"},
	})
	putRole(t, w, "empty", lessor.TokenRole{Renewable: true})
	plain := w.NewToken(w.Root(), lessor.TokenRequest{Policies: []string{"a"}, TTL: 24 * time.Hour}).Token
	by := func(role string, req lessor.TokenRequest) *lessor.NewToken {
		t.Helper()
		req.Path, req.Role = "auth/token/create/"+role, role
		return w.NewToken(plain, req)
	}

	got := by("full", lessor.TokenRequest{Type: "batch", Renewable: new(bool)})
	if tok := got.Token; tok.Parent != "" || tok.Path != "auth/token/create/full/v1" || tok.Renewable || tok.Period != 30*time.Minute ||
		tok.ExplicitMaxTTL != 2*time.Hour || tok.NumUses != 5 || !slices.Equal(tok.BoundCIDRs, []string{"10.0.0.0/8"}) ||
		tok.TTL != 30*time.Minute || got.Lease.ID != "auth/token/create/full/v1/h"+tok.Hash {
		t.Errorf("by role: got %+v, lease %s", tok, got.Lease.ID)
	}
	tests := []struct {
		name     string
		req      lessor.TokenRequest
		uses     int
		max      time.Duration
		warnings int
	}{
		{"less is asked", lessor.TokenRequest{NumUses: 2, ExplicitMaxTTL: time.Hour}, 2, time.Hour, 1},
		{"more is asked", lessor.TokenRequest{NumUses: 9, ExplicitMaxTTL: 3 * time.Hour}, 5, 2 * time.Hour, 1},
	}
	for _, tt := range tests {
		got := by("full", tt.req)
		if got.Token.NumUses != tt.uses || got.Token.ExplicitMaxTTL != tt.max {
			t.Errorf("%s: got %d uses, at most %v", tt.name, got.Token.NumUses, got.Token.ExplicitMaxTTL)
		}
		text := fmt.Sprintf("Explicit max TTL specified both during creation call and in role; using the lesser value of %d seconds", int64(tt.max.Seconds()))
		if !slices.Contains(got.Warnings, text) {
			t.Errorf("%s: got warnings %q, want %q", tt.name, got.Warnings, text)
		}
	}
	// A period takes sudo to ask for, and the role makes none good; its own takes none.
	_, err := w.Lessor.CreateToken(t.Context(), plain, lessor.TokenRequest{Path: "auth/token/create/full", Role: "full", Period: time.Minute})
	wantError(t, err, lease.Invalid, "root or sudo privileges required to create periodic token")
	got = by("full", lessor.TokenRequest{Sudo: true, Period: time.Hour})
	if want := "Period specified both during creation call and in role; using the lesser value of 1800 seconds"; got.Token.Period != 30*time.Minute ||
		!slices.Contains(got.Warnings, want) {
		t.Errorf("got period %v, warnings %q", got.Token.Period, got.Warnings)
	}

	got = by("empty", lessor.TokenRequest{NoParent: true, TTL: time.Hour, NumUses: 7})
	if tok := got.Token; tok.Parent != plain.Hash || !tok.Renewable || tok.NumUses != 7 || tok.Period != 0 || tok.Path != "auth/token/create/empty" {
		t.Errorf("by a role that says nothing: got %+v", tok)
	}
	_, err = w.Lessor.CreateToken(t.Context(), plain, lessor.TokenRequest{Path: "auth/token/create/empty", Role: "empty", EntityAlias: "ann"})
	wantError(t, err, lease.Invalid, "invalid 'entity_alias' value")
	_, err = w.Lessor.CreateToken(t.Context(), plain, lessor.TokenRequest{Path: "auth/token/create/none", Role: "none"})
	wantError(t, err, lease.Invalid, "unknown role none")
	_, err = w.Lessor.CreateToken(t.Context(), plain, lessor.TokenRequest{Path: "auth/token/create/empty", Role: "empty", Type: "batch"})
	wantError(t, err, lease.Invalid, "batch tokens are not supported")
}

// A child is bound to its parent's networks, unless a role says to which, or it is an orphan.
func TestBoundNetworksAreInherited(t *testing.T) {
	w := lessortest.New(t)
	putRole(t, w, "bound", lessor.TokenRole{Params: tokenparams.Params{BoundCIDRs: []string{"10.0.0.0/8"}}})
	putRole(t, w, "free", lessor.TokenRole{})
	byRole := func(caller *lease.Token, role string, req lessor.TokenRequest) *lease.Token {
		req.Path, req.Role = "auth/token/create/"+role, role
		return w.NewToken(caller, req).Token
	}
	bound := byRole(w.Root(), "bound", lessor.TokenRequest{Policies: []string{"root"}, TTL: time.Hour})
	child := w.NewToken(bound, lessor.TokenRequest{Policies: []string{"a"}}).Token
	orphan := w.NewToken(bound, lessor.TokenRequest{Policies: []string{"a"}, NoParent: true}).Token
	for name, got := range map[string][]string{"made by the role": bound.BoundCIDRs, "its child": child.BoundCIDRs} {
		if !slices.Equal(got, []string{"10.0.0.0/8"}) {
			t.Errorf("%s: got %q", name, got)
		}
	}
	for name, got := range map[string][]string{"an orphan": orphan.BoundCIDRs, "by a role without": byRole(bound, "free", lessor.TokenRequest{TTL: time.Minute}).BoundCIDRs,
		"a root token that never ends": byRole(w.Root(), "bound", lessor.TokenRequest{}).BoundCIDRs} {
		if len(got) != 0 {
			t.Errorf("%s: got %q, want none", name, got)
		}
	}
}

func TestTokensOfAGoneRoleAreNotRenewed(t *testing.T) {
	w := lessortest.New(t)
	putRole(t, w, "r", lessor.TokenRole{Renewable: true})
	made := w.NewToken(w.Root(), lessor.TokenRequest{Path: "auth/token/create/r", Role: "r", Policies: []string{"a"}, TTL: time.Hour})
	if _, _, _, err := w.Lessor.RenewToken(t.Context(), made.Token, 0); err != nil {
		t.Fatalf("while the role stands: %v", err)
	}
	if err := w.Lessor.DeleteTokenRole(t.Context(), "", "r"); err != nil {
		t.Fatal(err)
	}
	_, _, _, err := w.Lessor.RenewToken(t.Context(), made.Token, 0)
	wantError(t, err, lease.Invalid, `original token role "r" could not be found, not renewing`)
}

// A tenant's roles are its own, and so are the policies that its tokens carry.
func TestTokenRolesOfNamespacesAreKeptApart(t *testing.T) {
	w := lessortest.New(t)
	team, err := w.Lessor.PutNamespace(t.Context(), "", "team", nil)
	if err != nil {
		t.Fatal(err)
	}
	putRole(t, w, "r", lessor.TokenRole{AllowedPolicies: []string{"of-root"}})
	if r, err := w.Lessor.TokenRole(team.ID, "r"); r != nil || err != nil {
		t.Errorf("a role of the root in a child: got %+v, %v", r, err)
	}
	if err := w.Lessor.PutTokenRole(t.Context(), team.ID, "r", func(r *lessor.TokenRole) error {
		r.DisallowedPolicies = []string{"of-root"}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if r, err := w.Lessor.TokenRole("", "r"); err != nil || !slices.Equal(r.AllowedPolicies, []string{"of-root"}) {
		t.Errorf("the root's role was changed from the child: got %+v, %v", r, err)
	}
	admin := w.NewToken(w.Root(), lessor.TokenRequest{Policies: []string{"a", "b"}, TTL: time.Hour}).Token
	ask := func(role string, sudo bool) (*lessor.NewToken, error) {
		return w.Lessor.CreateToken(t.Context(), admin, lessor.TokenRequest{Namespace: team.ID, Path: "auth/token/create", Role: role, Sudo: sudo})
	}
	_, err = ask("", false)
	wantError(t, err, lease.Invalid, "root or sudo privileges required to directly generate a token in a child namespace")
	_, err = ask("r", false)
	wantError(t, err, lease.Invalid, "root or sudo privileges required to directly generate a token in a child namespace")
	// The names of the caller's policies mean other policies there: they are not handed on.
	for _, role := range []string{"", "r"} {
		got, err := ask(role, true)
		if err != nil || !slices.Equal(got.Token.Policies, []string{"default"}) || got.Token.Parent != admin.Hash {
			t.Errorf("role %q: got %+v, %v; want a child with the policy default alone", role, got, err)
		}
	}
	if got := w.NewToken(w.Root(), lessor.TokenRequest{Namespace: team.ID, Path: "auth/token/create", TTL: time.Hour}); got.Token.Root() {
		t.Error("root handed its policy on to another namespace without being asked")
	}
}

// A namespace that was made before namespaces had token mounts keeps its roles all the same.
func TestTokenRolesOfANamespaceWithoutATokenMount(t *testing.T) {
	w := lessortest.New(t)
	if _, err := w.Proposer.Propose(t.Context(), &command.PutNamespace{Id: "old1", Path: "old/"}); err != nil {
		t.Fatal(err)
	}
	putRole(t, w, "of-root", lessor.TokenRole{})
	if err := w.Lessor.PutTokenRole(t.Context(), "old1", "r", func(*lessor.TokenRole) error { return nil }); err != nil {
		t.Fatal(err)
	}
	for ns, want := range map[string][]string{"": {"of-root"}, "old1": {"r"}, "old": nil} {
		if names, more, err := w.Lessor.TokenRoles(ns, "", 10); err != nil || more || !slices.Equal(names, want) {
			t.Errorf("namespace %q: got %q, more %v, %v; want %q", ns, names, more, err, want)
		}
	}
}
