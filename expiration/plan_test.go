package expiration_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend/fake"
	"github.com/leasehold/leasehold/expiration"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// planner is a state built by hand, without a clock.
type planner struct {
	*rig
	now lease.Time
}

var t0 = lease.At(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))

func newPlanner(t *testing.T, mounts ...*command.EnableMount) *planner {
	p := &planner{rig: &rig{t: t, state: fsm.New(), backend: fake.New()}, now: t0}
	p.do(&command.Init{ClusterId: "c", TokenMount: mount("token", "auth/token/", "token"), Root: fsm.TokenRecord(
		&lease.Token{Hash: root, Accessor: "acc", LeaseID: "auth/token/root/h", Path: "auth/token/root", Policies: []string{"root"}})},
		&command.Epoch{Term: 1})
	for _, m := range mounts {
		p.do(m)
	}
	return p
}

// do applies each command at the planner's time.
func (p *planner) do(cmds ...fsm.Command) []fsm.Result {
	p.t.Helper()
	framed := make([][]byte, len(cmds))
	for i, c := range cmds {
		framed[i], _ = fsm.EncodeCommand(c)
	}
	p.index++
	res, err := p.state.Apply(p.index, fsm.EncodeEntry(p.now, framed))
	if err != nil {
		p.t.Fatal(err)
	}
	for i, r := range res {
		if r.Err != nil {
			p.t.Fatalf("%T: %v", cmds[i], r.Err)
		}
	}
	return res
}

func (p *planner) add(prefix string, n int, ttl time.Duration) {
	for i := range n {
		if strings.HasPrefix(prefix, "locks") {
			p.do(&command.Issue{Grant: grant(id(prefix, i), ttl)})
		} else {
			p.do(reserve(id(prefix, i), ttl), &command.Activate{Id: id(prefix, i)})
		}
	}
}

// revoking adds n leases that are due for an attempt.
func (p *planner) revoking(prefix string, n int) {
	p.add(prefix, n, time.Hour)
	cmd := &command.Revoke{Cause: "revoked"}
	for i := range n {
		cmd.Ids = append(cmd.Ids, id(prefix, i))
	}
	p.do(cmd)
}

// advance moves time and puts the due index in order, as ticks do.
func (p *planner) advance(d time.Duration) {
	p.now = p.now.Add(d)
	for range 100 {
		p.do(&command.Tick{})
	}
}

func (p *planner) plan(busy *expiration.Busy) (todo expiration.Todo) {
	if busy.Workers == 0 {
		busy.Workers = expiration.DefaultWorkers
	}
	p.state.Read(func(v *fsm.View) { todo = expiration.Plan(p.now, v, busy) })
	return todo
}

func claimIDs(todo expiration.Todo) string {
	var ids []string
	for _, c := range todo.Claim {
		ids = append(ids, strings.TrimLeft(strings.ReplaceAll(c.ID, "/creds/00000", ""), "0"))
	}
	return strings.Join(ids, " ")
}

func fakeMount(id string, conf lease.MountConfig) *command.EnableMount {
	m := mount(id, id+"/", "fake")
	m.Config = fsm.ConfigRecord(conf)
	return m
}

func TestPlanClaims(t *testing.T) {
	small := lease.MountConfig{RevokeConcurrency: 2}
	for _, c := range []struct {
		name string
		busy expiration.Busy
		want string
		turn string
	}{
		{"one of each mount in turn, two slots each", expiration.Busy{}, "a0 b0 c0 a1 b1 c1", "c"},
		{"after the mount served last", expiration.Busy{ClaimTurn: "a"}, "b0 c0 a0 b1 c1 a1", "a"},
		{"after a mount that has nothing to do any more", expiration.Busy{ClaimTurn: "bb"}, "c0 a0 b0 c1 a1 b1", "b"},
		{"slots in use count", expiration.Busy{Mounts: map[string]int{"a": 1, "b": 2},
			Leases: map[string]bool{"x": true, "y": true, "z": true}}, "a0 c0 c1", "c"},
		{"more in use than the tuned setting allows", expiration.Busy{Mounts: map[string]int{"a": 5}}, "b0 c0 b1 c1", "c"},
		{"what is under way is not asked for again", expiration.Busy{Leases: map[string]bool{"a/creds/000000": true},
			Mounts: map[string]int{"a": 1}}, "a1 b0 c0 b1 c1", "c"},
		{"workers bound all mounts together", expiration.Busy{Workers: 4}, "a0 b0 c0 a1", "a"},
		{"no worker is free", expiration.Busy{Workers: 1, Leases: map[string]bool{"x": true}}, "", ""},
		{"a claim is outstanding", expiration.Busy{Claiming: true}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPlanner(t, fakeMount("a", small), fakeMount("b", small), fakeMount("c", small))
			for _, m := range []string{"a", "b", "c"} {
				p.revoking(m+"/creds", 3)
			}
			todo := p.plan(&c.busy)
			if got := claimIDs(todo); got != c.want || todo.ClaimTurn != c.turn {
				t.Errorf("got %q turn %q, want %q turn %q", got, todo.ClaimTurn, c.want, c.turn)
			}
		})
	}
}

// The claims of one entry share a lapse; it must outlast the slowest call.
func TestPlanClaimsLapseAfterTheSlowestCall(t *testing.T) {
	p := newPlanner(t, fakeMount("a", lease.MountConfig{RevokeTimeout: time.Second}),
		fakeMount("b", lease.MountConfig{RevokeTimeout: 5 * time.Minute}))
	p.revoking("a/creds", 1)
	p.revoking("b/creds", 1)
	if got, want := p.plan(&expiration.Busy{}).Lapse, 5*time.Minute+10*time.Second; got != want {
		t.Errorf("lapse %s, want %s", got, want)
	}
}

func TestPlanExpire(t *testing.T) {
	p := newPlanner(t, mount("locks", "locks/", "lease"), fakeMount("a", lease.MountConfig{}))
	p.add("locks/x", 2, 10*time.Second)
	p.add("locks/later", 1, 20*time.Second)
	p.add("a/creds", 1, 10*time.Second)
	p.do(reserve("a/creds/intent", time.Hour))
	p.do(&command.Renew{Id: "locks/x/000001", Increment: int64(10 * time.Second)})

	if got := p.plan(&expiration.Busy{}); len(got.Expire) != 0 || got.Wake <= p.now {
		t.Errorf("before the end: %v, wake %s", got.Expire, got.Wake)
	}
	p.advance(10 * time.Second)
	want := "a/creds/000000@0 locks/x/000000@0 locks/x/000001@1"
	if got := expireIDs(p.plan(&expiration.Busy{})); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := p.plan(&expiration.Busy{Expiring: true}); len(got.Expire) != 0 {
		t.Errorf("while a batch is outstanding: %v, want none", got.Expire)
	}
	p.advance(110 * time.Second) // the intent's deadline
	if got := expireIDs(p.plan(&expiration.Busy{})); !strings.Contains(got, "a/creds/intent@0") {
		t.Errorf("got %s, want the intent among them", got)
	}
}

func expireIDs(todo expiration.Todo) string {
	var ids []string
	for _, ref := range todo.Expire {
		ids = append(ids, fmt.Sprintf("%s@%d", ref.Id, ref.Generation))
	}
	slices.Sort(ids)
	return strings.Join(ids, " ")
}

// A batch is bounded and shared: a small mount is served in full beside a huge one, which takes
// what is left. Oldest first.
func TestPlanExpireSharesTheBatch(t *testing.T) {
	p := newPlanner(t, mount("locks", "locks/", "lease"), mount("locks2", "locks2/", "lease"), mount("locks3", "locks3/", "lease"))
	p.add("locks/x", 700, 10*time.Second)
	p.add("locks2/x", 3, 11*time.Second)
	p.add("locks3/x", 300, 12*time.Second)
	p.advance(time.Minute)
	todo := p.plan(&expiration.Busy{})
	counts := map[string]int{}
	for _, ref := range todo.Expire {
		m, _, _ := strings.Cut(ref.Id, "/")
		if want := id(m+"/x", counts[m]); ref.Id != want {
			t.Fatalf("got %s, want %s: the oldest first", ref.Id, want)
		}
		counts[m]++
	}
	if len(todo.Expire) != expiration.MaxExpire || counts["locks2"] != 3 || counts["locks"] < 170 || counts["locks3"] < 170 {
		t.Errorf("got %d by mount %v, want %d with all 3 of locks2 and a share for each", len(todo.Expire), counts, expiration.MaxExpire)
	}
}

// Long IDs must not make an entry too large.
func TestPlanExpireBoundsTheBytes(t *testing.T) {
	p := newPlanner(t, mount("locks", "locks/", "lease"))
	p.add("locks/"+strings.Repeat("x", 480), 300, 10*time.Second)
	p.advance(time.Minute)
	size := 0
	for _, ref := range p.plan(&expiration.Busy{}).Expire {
		size += len(ref.Id)
	}
	if size < 40<<10 || size > 50<<10 {
		t.Errorf("a batch of %d bytes of IDs, want about 48 KiB", size)
	}
}

// Many mounts, each with a backlog: in a few batches every one has been served.
func TestPlanExpireServesEveryMount(t *testing.T) {
	var mounts []*command.EnableMount
	for i := range 600 {
		mounts = append(mounts, mount(fmt.Sprintf("m%03d", i), fmt.Sprintf("m%03d/", i), "lease"))
	}
	p := newPlanner(t, mounts...)
	for i := range 600 {
		for k := range 3 {
			g := grant(fmt.Sprintf("m%03d/x/%d", i, k), 10*time.Second)
			p.do(&command.Issue{Grant: g})
		}
	}
	p.advance(time.Minute)
	served, turn := map[string]bool{}, ""
	for range 2 {
		todo := p.plan(&expiration.Busy{ExpireTurn: turn})
		for _, ref := range todo.Expire {
			served[ref.Id[:4]] = true
		}
		turn = todo.ExpireTurn
	}
	if len(served) != 600 {
		t.Errorf("two batches served %d of 600 mounts", len(served))
	}
}

func TestPlanSweeps(t *testing.T) {
	p := newPlanner(t, mount("locks", "locks/", "lease"))
	open := func() {
		p.do(&command.OpenJob{Selector: &command.Selector{Kind: uint32(lease.SelectPrefix), Value: "locks/x"}})
	}
	open()
	todo := p.plan(&expiration.Busy{})
	if len(todo.Sweeps) != 1 || todo.Sweeps[0].Limit != fsm.MaxSweep {
		t.Fatalf("one job: %v, want one step with the whole budget", todo.Sweeps)
	}
	first := todo.Sweeps[0].Job
	if got := p.plan(&expiration.Busy{Sweeps: map[uint64]bool{first: true}}).Sweeps; len(got) != 0 {
		t.Errorf("with a step outstanding: %v, want none", got)
	}
	for range 99 {
		open()
	}
	got := p.plan(&expiration.Busy{Sweeps: map[uint64]bool{first: true}}).Sweeps
	sum := 0
	for i, s := range got {
		sum += int(s.Limit)
		if i > 0 && s.Job <= got[i-1].Job || s.Job == first {
			t.Errorf("step %d is for job %d, want the oldest first and each once", i, s.Job)
		}
	}
	if len(got) != expiration.MaxSweeps-1 || sum > fsm.MaxSweep {
		t.Errorf("%d steps of %d in all, want %d and at most %d", len(got), sum, expiration.MaxSweeps-1, fsm.MaxSweep)
	}
	full := map[uint64]bool{}
	for i := range uint64(expiration.MaxSweeps) {
		full[i+1_000_000] = true
	}
	if got := p.plan(&expiration.Busy{Sweeps: full}).Sweeps; len(got) != 0 {
		t.Errorf("with all steps outstanding: %d more, want none", len(got))
	}
}

// A tick is asked for when a bucket of the due index comes up and nothing else moves time.
func TestPlanTicks(t *testing.T) {
	p := newPlanner(t, mount("locks", "locks/", "lease"))
	p.add("locks/x", 1, 10*time.Second)
	for _, c := range []struct {
		after time.Duration
		busy  expiration.Busy
		want  bool
	}{
		{0, expiration.Busy{}, false},
		{8 * time.Second, expiration.Busy{}, false},
		{9 * time.Second, expiration.Busy{}, true},
		{time.Hour, expiration.Busy{}, true},
		{time.Hour, expiration.Busy{Ticking: true}, false},
	} {
		p.now = t0.Add(c.after)
		if got := p.plan(&c.busy).Tick; got != c.want {
			t.Errorf("after %s with %+v: tick %v, want %v", c.after, c.busy, got, c.want)
		}
	}
}

// Token leases and plain leases have no target: they never reach a worker.
func TestPlanClaimsTargetsOnly(t *testing.T) {
	p := newPlanner(t, mount("locks", "locks/", "lease"))
	p.add("locks/x", 3, 10*time.Second)
	p.do(&command.CreateToken{Ttl: int64(10 * time.Second), Token: &command.Token{Hash: "t", Accessor: "a", LeaseId: "auth/token/create/ht"}})
	g := grant("locks/t/1", time.Hour)
	g.Owner = "t"
	p.do(&command.Issue{Grant: g})
	p.do(&command.RevokeToken{Hash: "t"})
	p.advance(time.Minute)
	if todo := p.plan(&expiration.Busy{}); len(todo.Claim) != 0 || len(todo.Expire) != 3 {
		t.Errorf("claims %v, expire %d; want none and 3", todo.Claim, len(todo.Expire))
	}
}
