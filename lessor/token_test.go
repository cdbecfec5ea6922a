package lessor_test

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
	"github.com/leasehold/leasehold/lessor/lessortest"
)

func TestCreateTokenShape(t *testing.T) {
	w := lessortest.New(t)
	got := w.NewToken(w.Root(), lessor.TokenRequest{
		Policies: []string{" Dev", "dev", ""}, TTL: time.Hour, DisplayName: "ci job/7.", Meta: map[string]string{"team": "core"}, NumUses: 3,
	})
	if !regexp.MustCompile(`^lhs\.[0-9A-Za-z]{43}$`).MatchString(got.Bearer) {
		t.Errorf("got bearer %q", got.Bearer)
	}
	tok := got.Token
	if !regexp.MustCompile(`^[0-9A-Za-z]{24}$`).MatchString(tok.Accessor) || !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(tok.Hash) {
		t.Errorf("got accessor %q, hash %q", tok.Accessor, tok.Hash)
	}
	if want := "auth/token/create/h" + tok.Hash; tok.LeaseID != want || got.Lease.ID != want || got.Lease.Kind != lease.OfToken {
		t.Errorf("got lease %+v, want ID %s", got.Lease, want)
	}
	if !slices.Equal(tok.Policies, []string{"default", "dev"}) || tok.DisplayName != "token-ci-job-7" || tok.Meta["team"] != "core" ||
		tok.NumUses != 3 || !tok.Renewable || tok.TTL != time.Hour || tok.Parent != w.Root().Hash {
		t.Errorf("got %+v", tok)
	}
	if want := []string{`Policy "dev" does not exist`}; !slices.Equal(got.Warnings, want) {
		t.Errorf("got warnings %q, want %q", got.Warnings, want)
	}
	if found := w.Token(got.Bearer); found != tok {
		t.Errorf("by its bearer secret: got %+v", found)
	}
	for _, cmd := range w.Proposer.Commands() {
		if c, ok := cmd.(*command.CreateToken); ok && strings.Contains(c.String(), got.Bearer[len("lhs."):]) {
			t.Error("T1: the bearer secret is in the log")
		}
	}
}

func TestCreateTokenPolicies(t *testing.T) {
	tests := []struct {
		name      string
		parent    []string // policies of the caller; nil: root
		sudo      bool
		asked     []string
		noDefault bool
		want      []string // nil: refused with text
		text      string
	}{
		{"root inherits root", nil, false, nil, false, []string{"root"}, ""},
		{"root gives anything, with default", nil, false, []string{"a"}, false, []string{"a", "default"}, ""},
		{"without default", nil, false, []string{"a", "default"}, true, []string{"a"}, ""},
		{"root makes all others pointless", nil, false, []string{"a", "ROOT"}, false, []string{"root"}, ""},
		{"inherit from the parent", []string{"a", "default"}, false, nil, false, []string{"a", "default"}, ""},
		{"inherit without default", []string{"a", "default"}, false, nil, true, []string{"a"}, ""},
		{"subset", []string{"a", "b", "default"}, false, []string{"b"}, false, []string{"b", "default"}, ""},
		{"default is not given by who lacks it", []string{"a"}, false, []string{"a"}, false, []string{"a"}, ""},
		{"no subset", []string{"a"}, false, []string{"a", "b"}, false, nil, "child policies must be subset of parent"},
		{"no subset, default asked", []string{"a"}, false, []string{"default"}, false, nil, "child policies must be subset of parent"},
		{"sudo gives what it lacks", []string{"a"}, true, []string{"b"}, false, []string{"b", "default"}, ""},
		{"sudo is not root", []string{"a"}, true, []string{"root"}, false, nil, "root tokens may not be created without parent token being root"},
		{"nor without sudo", []string{"a"}, false, []string{"root"}, false, nil, "child policies must be subset of parent"},
		{"a name that cannot be printed", nil, false, []string{"a\x00b"}, false, nil, "cannot be printed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := lessortest.New(t)
			caller := w.Root()
			if tt.parent != nil {
				caller = w.NewToken(caller, lessor.TokenRequest{Policies: tt.parent, NoDefaultPolicy: !slices.Contains(tt.parent, "default")}).Token
			}
			got, err := w.Lessor.CreateToken(context.Background(), caller, lessor.TokenRequest{
				Path: "auth/token/create", Sudo: tt.sudo, Policies: tt.asked, NoDefaultPolicy: tt.noDefault,
			})
			if tt.want == nil {
				wantError(t, err, lease.Invalid, tt.text)
				return
			}
			if err != nil || !slices.Equal(got.Token.Policies, tt.want) {
				t.Errorf("got %+v, %v; want %v", got, err, tt.want)
			}
		})
	}
}

func TestCreateTokenRefusals(t *testing.T) {
	w := lessortest.New(t)
	plain := w.NewToken(w.Root(), lessor.TokenRequest{Policies: []string{"a"}}).Token
	limited := w.NewToken(w.Root(), lessor.TokenRequest{NumUses: 2}).Token
	mortal := w.NewToken(w.Root(), lessor.TokenRequest{Policies: []string{"root"}, TTL: time.Hour}).Token
	long := strings.Repeat("x", 600)
	tests := []struct {
		name   string
		caller *lease.Token
		req    lessor.TokenRequest
		text   string
	}{
		{"a limited-use parent", limited, lessor.TokenRequest{}, "restricted use token cannot generate child tokens"},
		{"batch", w.Root(), lessor.TokenRequest{Type: "batch"}, "batch tokens are not supported"},
		{"another type", w.Root(), lessor.TokenRequest{Type: "x"}, "invalid 'type' value"},
		{"entity alias", w.Root(), lessor.TokenRequest{EntityAlias: "x"}, "'entity_alias' is only allowed in combination with token role"},
		{"negative uses", w.Root(), lessor.TokenRequest{NumUses: -1}, "number of uses cannot be negative"},
		{"more uses than can be counted", w.Root(), lessor.TokenRequest{NumUses: 1 << 40}, "number of uses is too large"},
		{"negative ttl", w.Root(), lessor.TokenRequest{TTL: -1}, "ttl must be positive"},
		{"negative period", w.Root(), lessor.TokenRequest{Period: -1}, "period must be positive"},
		{"negative explicit max", w.Root(), lessor.TokenRequest{ExplicitMaxTTL: -1}, "explicit_max_ttl must be positive"},
		{"period without sudo", plain, lessor.TokenRequest{Period: time.Hour}, "root or sudo privileges required to create periodic token"},
		{"no parent without sudo", plain, lessor.TokenRequest{NoParent: true}, "root or sudo privileges required to create orphan token"},
		{"own ID without sudo", plain, lessor.TokenRequest{ID: "mine"}, "root or sudo privileges required to specify token id"},
		{"own ID with our prefix", w.Root(), lessor.TokenRequest{ID: "lhs.mine"}, `custom token ID cannot have the "lhs." prefix`},
		{"own ID with a line break", w.Root(), lessor.TokenRequest{ID: "a\nb"}, "printable ASCII"},
		{"own ID in a namespace", w.Root(), lessor.TokenRequest{ID: "mine", Namespace: "n1"}, "only be manually specified in the root namespace"},
		{"own ID twice", w.Root(), lessor.TokenRequest{ID: lessortest.RootToken}, "cannot create a token with a duplicate ID"},
		{"immortal child of a mortal root", mortal, lessor.TokenRequest{}, "expiring root tokens cannot create non-expiring root tokens"},
		{"meta with control characters", w.Root(), lessor.TokenRequest{Meta: map[string]string{"a": "b\x1b"}}, "cannot be printed"},
		{"meta too long", w.Root(), lessor.TokenRequest{Meta: map[string]string{"a": long}}, "at most 512"},
		{"display name too long", w.Root(), lessor.TokenRequest{DisplayName: long}, "display_name is 600 bytes long"},
	}
	for _, tt := range tests {
		tt.req.Path = "auth/token/create"
		before := len(w.Proposer.Commands())
		_, err := w.Lessor.CreateToken(context.Background(), tt.caller, tt.req)
		t.Run(tt.name, func(t *testing.T) { wantError(t, err, lease.Invalid, tt.text) })
		if proposed := len(w.Proposer.Commands()) - before; proposed > 0 && !strings.Contains(tt.text, "duplicate") {
			t.Errorf("%s: %d commands reached the log", tt.name, proposed)
		}
	}
	_, err := w.Lessor.CreateToken(context.Background(), nil, lessor.TokenRequest{Path: "auth/token/create"})
	wantError(t, err, lease.Denied, "permission denied")
}

func TestCreateTokenTimes(t *testing.T) {
	no := false
	tests := []struct {
		name      string
		req       lessor.TokenRequest
		want      time.Duration // 0: for ever
		renewable bool
		warning   string
	}{
		{"root without a TTL lives for ever", lessor.TokenRequest{Policies: []string{"root"}}, 0, false, ""},
		{"root with a TTL", lessor.TokenRequest{Policies: []string{"root"}, TTL: time.Hour}, time.Hour, true, ""},
		{"root with a limit", lessor.TokenRequest{Policies: []string{"root"}, ExplicitMaxTTL: time.Hour}, time.Hour, true, `TTL of "768h" exceeded`},
		{"the mount's default", lessor.TokenRequest{Policies: []string{"default"}}, 768 * time.Hour, true, ""},
		{"cut by explicit_max_ttl", lessor.TokenRequest{Policies: []string{"default"}, TTL: 3 * time.Hour, ExplicitMaxTTL: 2 * time.Hour}, 2 * time.Hour, true,
			`TTL of "3h" exceeded the effective max_ttl of "2h"; TTL value is capped accordingly`},
		{"cut by the mount", lessor.TokenRequest{Policies: []string{"default"}, TTL: 1000 * time.Hour}, 768 * time.Hour, true, `TTL of "1000h" exceeded`},
		{"periodic", lessor.TokenRequest{Policies: []string{"default"}, Period: time.Minute, TTL: time.Hour}, time.Minute, true, ""},
		{"period above the mount's limit", lessor.TokenRequest{Policies: []string{"default"}, Period: 800 * time.Hour}, 768 * time.Hour, true,
			`period of "800h" exceeded the effective max_ttl of "768h"; period value is capped accordingly`},
		{"not renewable", lessor.TokenRequest{Policies: []string{"default"}, Renewable: &no}, 768 * time.Hour, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := lessortest.New(t)
			got := w.NewToken(w.Root(), tt.req)
			if left := got.Lease.Remaining(w.Clock.Now()); left != tt.want || got.Lease.Renewable != tt.renewable {
				t.Errorf("got %s, renewable %v; want %s, %v", left, got.Lease.Renewable, tt.want, tt.renewable)
			}
			if tt.warning == "" && len(got.Warnings) > 0 || !contains(append(got.Warnings, ""), tt.warning) {
				t.Errorf("got warnings %q, want %q", got.Warnings, tt.warning)
			}
		})
	}
}

func TestRenewToken(t *testing.T) {
	w := lessortest.New(t)
	ctx := context.Background()
	got := w.NewToken(w.Root(), lessor.TokenRequest{Policies: []string{"default"}, TTL: time.Hour, ExplicitMaxTTL: 2 * time.Hour})
	w.Clock.Advance(30 * time.Minute)
	tok, le, warnings, err := w.Lessor.RenewToken(ctx, got.Token, 3*time.Hour)
	if err != nil || tok.Hash != got.Token.Hash || le.Remaining(w.Clock.Now()) != 90*time.Minute || len(warnings) != 1 {
		t.Errorf("got %+v, %q, %v; want 90m and a warning", le, warnings, err)
	}
	_, _, _, err = w.Lessor.RenewToken(ctx, w.Root(), time.Hour)
	wantError(t, err, lease.Invalid, "lease is not renewable")
	_, _, _, err = w.Lessor.RenewToken(ctx, &lease.Token{Hash: "nothing"}, 0)
	wantError(t, err, lease.Invalid, "token not found")

	// Conformance 46: a periodic token outlives the mount's max TTL.
	week := 7 * 24 * time.Hour
	periodic := w.NewToken(w.Root(), lessor.TokenRequest{Policies: []string{"default"}, Period: week})
	for range 8 {
		w.Clock.Advance(6 * 24 * time.Hour)
		if _, le, _, err = w.Lessor.RenewToken(ctx, periodic.Token, time.Minute); err != nil || le.Remaining(w.Clock.Now()) != week {
			t.Fatalf("got %+v, %v; want a week", le, err)
		}
	}
}

func TestRevokeToken(t *testing.T) {
	for _, spare := range []bool{false, true} {
		w := lessortest.New(t)
		m := w.Enable("locks", "lease", lease.MountConfig{})
		parent := w.NewToken(w.Root(), lessor.TokenRequest{Policies: []string{"a"}})
		child := w.NewToken(parent.Token, lessor.TokenRequest{})
		orphan := w.NewToken(parent.Token, lessor.TokenRequest{Orphan: true})
		own, below := w.Issue(m, "x", parent.Token, nil).Lease.ID, w.Issue(m, "x", child.Token, nil).Lease.ID
		job, err := w.Lessor.RevokeToken(context.Background(), parent.Token.Hash, spare)
		if err != nil || job == 0 {
			t.Fatalf("got job %d, %v", job, err)
		}
		if f, err := w.Lessor.Lookup("", own, w.Clock.Now()); err != nil || f.Standing != lease.Revoking {
			t.Errorf("its lease: got %+v, %v; want it revoking at once", f, err)
		}
		w.Settle()
		if w.Token(parent.Bearer) != nil || w.Lease(own) != nil {
			t.Error("the token or its lease is still there")
		}
		if lives := w.Token(child.Bearer) != nil && w.Lease(below) != nil; lives != spare {
			t.Errorf("spare children %v: the child lives: %v", spare, lives)
		}
		if w.Token(orphan.Bearer) == nil {
			t.Error("an orphan died with who made it")
		}
	}
	w := lessortest.New(t)
	if job, err := w.Lessor.RevokeToken(context.Background(), "nothing", false); job != 0 || err != nil {
		t.Errorf("unknown: got %d, %v; want nothing", job, err)
	}
}

// T20: however many requests race, a token of 50 uses is used 50 times.
func TestT20_UseToken(t *testing.T) {
	w := lessortest.New(t)
	ctx := context.Background()
	unlimited := w.NewToken(w.Root(), lessor.TokenRequest{}).Token
	before := len(w.Proposer.Commands())
	if got, err := w.Lessor.UseToken(ctx, unlimited); got != unlimited || err != nil || len(w.Proposer.Commands()) != before {
		t.Errorf("unlimited: got %+v, %v; want it as it is and no entry", got, err)
	}
	limited := w.NewToken(w.Root(), lessor.TokenRequest{NumUses: 50})
	var wait sync.WaitGroup
	var mu sync.Mutex
	used, last := 0, 0
	for range 100 {
		wait.Go(func() {
			got, err := w.Lessor.UseToken(ctx, limited.Token)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				wantError(t, err, lease.Denied, "permission denied")
				return
			}
			used++
			if got.NumUses == lease.SpentUses {
				last++
			}
		})
	}
	wait.Wait()
	if used != 50 || last != 1 {
		t.Errorf("got %d uses, %d of them the last; want 50 and 1", used, last)
	}
	if err := w.Lessor.EndSpentToken(ctx, limited.Token.Hash); err != nil || w.Token(limited.Bearer) != nil {
		t.Errorf("spent: %v, %+v; want it gone", err, w.Token(limited.Bearer))
	}
	cmds := w.Proposer.Commands()
	if r, ok := cmds[len(cmds)-1].(*command.RevokeToken); !ok || r.Cause != string(lease.CauseTokenSpent) {
		t.Errorf("got %v, want cause token-spent", cmds[len(cmds)-1])
	}
}
