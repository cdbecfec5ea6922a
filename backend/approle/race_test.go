package approle_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/approle"
	"github.com/leasehold/leasehold/lease"
)

// together runs f n times at once and returns how many succeeded. An error must be one of those that
// tell that somebody else was first. What was too busy is repeated, since then nothing was done.
func (r *rig) together(n int, f func(i int) error) int {
	r.Helper()
	var wins atomic.Int64
	var start, ends sync.WaitGroup
	start.Add(1)
	for i := range n {
		ends.Go(func() {
			start.Wait()
			err := f(i)
			var e *lease.Error
			for errors.As(err, &e) && e.Code == lease.Unavailable {
				err = f(i)
			}
			switch {
			case err == nil:
				wins.Add(1)
			case !errors.As(err, &e) || e.Code != lease.Invalid && e.Code != lease.NotFound:
				r.Errorf("%d: %v", i, err)
			}
		})
	}
	start.Done()
	ends.Wait()
	return int(wins.Load())
}

// leaders makes the mount have some auth methods at once, as for a moment when leadership changes: they
// know nothing of each other, and only the store's conditional writes keep them right.
func (r *rig) leaders(n int) []*rig {
	out := []*rig{r}
	for len(out) < n {
		other := *r
		other.method = approle.New()
		out = append(out, &other)
	}
	return out
}

func TestSevenUsesAreSevenLogins(t *testing.T) {
	for _, leaders := range []int{1, 4} {
		t.Run(fmt.Sprintf("%d leaders", leaders), func(t *testing.T) {
			r := newRig(t)
			roleID := r.role("ci", nil)
			id, _ := r.secret("ci", params{"num_uses": 7})
			at := r.leaders(leaders)
			if got := r.together(100, func(i int) error { _, err := at[i%leaders].login(roleID, id); return err }); got != 7 {
				t.Errorf("100 logins with 7 uses: %d succeeded", got)
			}
			if got := r.keys("secret-id/"); got != nil {
				t.Errorf("left %q", got)
			}
		})
	}
}

// between runs do once, before a conditional write of a key that begins with prefix.
type between struct {
	backend.Store
	prefix string
	once   sync.Once
	do     func()
}

func (s *between) Swap(ctx context.Context, key string, seen backend.Version, value []byte, ttl time.Duration) error {
	if strings.HasPrefix(key, s.prefix) {
		s.once.Do(s.do)
	}
	return s.Store.Swap(ctx, key, seen, value, ttl)
}

// interrupted is the mount at another leader, whose first write below prefix is preceded by do.
func (r *rig) interrupted(prefix string, do func()) *rig {
	other := r.leaders(2)[1]
	other.use = &between{Store: r.store, prefix: prefix, do: do}
	return other
}

// The races that chance does not bring about, one by one.
func TestAnotherLeaderComesBetween(t *testing.T) {
	t.Run("a login, with a use for one", func(t *testing.T) {
		r := newRig(t)
		roleID := r.role("ci", nil)
		id, _ := r.secret("ci", params{"num_uses": 1})
		r.interrupted("secret-id/", func() { r.loginWorks(roleID, id, true) }).loginWorks(roleID, id, false)
	})
	t.Run("a login, with uses for both", func(t *testing.T) {
		r := newRig(t)
		roleID := r.role("ci", nil)
		id, _ := r.secret("ci", params{"num_uses": 2})
		r.interrupted("secret-id/", func() { r.loginWorks(roleID, id, true) }).loginWorks(roleID, id, true)
		r.loginWorks(roleID, id, false)
	})
	t.Run("a secret_id is registered again, for elsewhere", func(t *testing.T) {
		r := newRig(t)
		roleID := r.role("ci", nil)
		send := params{"secret_id": "x", "num_uses": 9}
		r.must(write, "role/ci/custom-secret-id", send)
		r.interrupted("secret-id/", func() {
			r.must(write, "role/ci/secret-id/destroy", send)
			r.pass(time.Second)
			r.must(write, "role/ci/custom-secret-id", with(send, "cidr_list", "10.0.0.0/8"))
		}).loginWorks(roleID, "x", false)
	})
	t.Run("an expired secret_id is removed, which is registered again", func(t *testing.T) {
		r := newRig(t)
		roleID := r.role("ci", nil)
		r.must(write, "role/ci/custom-secret-id", params{"secret_id": "x", "ttl": 1})
		r.pass(time.Second)
		expired := r.keys("secret-id/")[0]
		r.interrupted("secret-id/", func() { r.store.Delete(context.Background(), expired) }).
			must(write, "role/ci/custom-secret-id", params{"secret_id": "x"})
		r.loginWorks(roleID, "x", true)
	})
	t.Run("a role wants the role_id that another is getting", func(t *testing.T) {
		r := newRig(t)
		r.interrupted("role/", func() {
			r.refused(write, "role/cd", params{"role_id": "wanted"}, lease.Invalid, "role_id: already in use")
		}).must(write, "role/ci", params{"role_id": "wanted"})
		r.settle()
	})
	t.Run("the role is made with another role_id", func(t *testing.T) {
		r := newRig(t)
		r.interrupted("role/", func() { r.must(write, "role/ci", params{"role_id": "theirs"}) }).
			must(write, "role/ci", params{"role_id": "ours"})
		r.shows("role/ci/role-id", params{"role_id": "ours"})
		r.settle()
	})
	t.Run("the role is changed in another way", func(t *testing.T) {
		r := newRig(t)
		r.role("ci", nil)
		r.interrupted("role/", func() { r.must(write, "role/ci/token-ttl", params{"token_ttl": 60}) }).
			must(write, "role/ci/period", params{"period": 60})
		if data := r.must(read, "role/ci", nil); data["token_ttl"] != int64(60) || data["period"] != int64(60) {
			t.Errorf("got %v, want both changes", data)
		}
		r.settle()
	})
	t.Run("the role is deleted", func(t *testing.T) {
		r := newRig(t)
		r.role("ci", nil)
		other := r.interrupted("role/", func() { r.must(del, "role/ci", nil) })
		other.refused(write, "role/ci/role-id", params{"role_id": "ours"}, lease.NotFound, `role "ci" does not exist`)
		if got := r.keys("role-id/"); got != nil {
			t.Errorf("the claim of a role_id is left: %q", got)
		}
		r.settle()
	})
	t.Run("a role is changed while it is deleted", func(t *testing.T) {
		r := newRig(t)
		r.role("ci", nil)
		r.interrupted("role/", func() { r.must(write, "role/ci/role-id", params{"role_id": "x"}) }).must(del, "role/ci", nil)
		if got := r.keys("role"); got != nil {
			t.Errorf("left %q", got)
		}
		r.settle()
	})
	t.Run("the mount's key is drawn", func(t *testing.T) {
		r := newRig(t)
		r.interrupted("key", func() { r.role("cd", nil) }).must(write, "role/ci", nil)
		r.checkRoles()
	})
}

func TestEveryUseOfManyIsCounted(t *testing.T) {
	r := newRig(t)
	roleID := r.role("ci", nil)
	id, accessor := r.secret("ci", params{"num_uses": 1000})
	if got := r.together(100, func(int) error { _, err := r.login(roleID, id); return err }); got != 100 {
		t.Errorf("100 logins with 1000 uses: %d succeeded", got)
	}
	data := r.must(write, "role/ci/secret-id-accessor/lookup", params{"secret_id_accessor": accessor})
	if data["secret_id_num_uses"] != 900 {
		t.Errorf("uses left: got %v, want 900", data["secret_id_num_uses"])
	}
}

func TestOneOfManyGetsARoleID(t *testing.T) {
	r := newRig(t)
	at := r.leaders(4)
	for i := range 20 {
		r.role(fmt.Sprintf("old%d", i), nil)
	}
	got := r.together(40, func(i int) error {
		if i < 20 {
			_, err := at[i%4].handle(write, fmt.Sprintf("role/old%d/role-id", i), params{"role_id": "wanted"})
			return err
		}
		_, err := at[i%4].handle(write, fmt.Sprintf("role/new%d", i), params{"role_id": "wanted"})
		return err
	})
	if got != 1 {
		t.Errorf("%d roles got the role_id, want one", got)
	}
	r.checkRoles()
}

func TestFirstRolesTogetherShareOneKey(t *testing.T) {
	r := newRig(t)
	at := r.leaders(4)
	if got := r.together(20, func(i int) error {
		_, err := at[i%4].handle(write, fmt.Sprintf("role/r%d", i), nil)
		return err
	}); got != 20 {
		t.Errorf("%d of 20 roles were made", got)
	}
	r.checkRoles()
}

func TestOneRoleWrittenByMany(t *testing.T) {
	r := newRig(t)
	at := r.leaders(2)
	// Each sets fields of its own: none may undo another's.
	fields := []string{"token_ttl", "token_max_ttl", "token_explicit_max_ttl", "token_period", "secret_id_ttl"}
	if got := r.together(50, func(i int) error {
		_, err := at[i%2].handle(write, "role/ci", params{fields[i%5]: 60})
		return err
	}); got != 50 {
		t.Errorf("%d of 50 writes succeeded", got)
	}
	data := r.must(read, "role/ci", nil)
	for _, name := range fields {
		if data[name] != int64(60) {
			t.Errorf("%s: got %v, want 60", name, data[name])
		}
	}
	r.checkRoles()
}

func TestOneOfManyRegistersASecretID(t *testing.T) {
	r := newRig(t)
	r.role("ci", nil)
	if got := r.together(50, func(int) error {
		_, err := r.handle(write, "role/ci/custom-secret-id", params{"secret_id": "wanted"})
		return err
	}); got != 1 {
		t.Errorf("%d requests registered the secret_id, want one", got)
	}
}

// Secret_ids made while their role is deleted are useless afterwards, and go.
func TestARoleIsDeletedWhileItIsUsed(t *testing.T) {
	r := newRig(t)
	at := r.leaders(2)
	var mu sync.Mutex
	made := map[string]string{} // role_id by secret_id
	r.together(200, func(i int) error {
		on := at[i%2]
		switch i % 4 {
		case 0:
			_, err := on.handle(write, "role/ci", nil)
			return err
		case 1:
			_, err := on.handle(del, "role/ci", nil)
			return err
		}
		of, err := on.handle(read, "role/ci/role-id", nil)
		if of == nil || err != nil {
			return err
		}
		resp, err := on.handle(write, "role/ci/secret-id", nil)
		if err != nil {
			return err
		}
		id, roleID := resp.Data["secret_id"].(string), of.Data["role_id"].(string)
		mu.Lock()
		made[id] = roleID
		mu.Unlock()
		_, err = on.login(roleID, id)
		return err
	})
	r.must(del, "role/ci", nil)
	roleID := r.role("ci", nil)
	for id, old := range made {
		r.loginWorks(old, id, false)
		r.loginWorks(roleID, id, false)
	}
	r.settle()
}

// Who waits for a turn gives up with the request, and only so many wait.
func TestTurnsAreWaitedForWithinBounds(t *testing.T) {
	r := newRig(t)
	roleID := r.role("ci", nil)
	id, _ := r.secret("ci", params{"num_uses": 10_000})
	gate := &gated{Store: r.store, reached: make(chan struct{}), open: make(chan struct{})}
	r.use = gate
	var logins sync.WaitGroup
	logins.Go(func() { r.loginWorks(roleID, id, true) })
	<-gate.reached
	over, cancel := context.WithCancel(context.Background())
	cancel()
	late := func() error {
		_, err := r.method.Login(over, r.request(write, "login", params{"role_id": roleID, "secret_id": id}))
		return err
	}
	checkError(t, late(), lease.Unavailable, "the request was given up while others about the same thing were at work")
	for range 4095 {
		logins.Go(func() { r.loginWorks(roleID, id, true) })
	}
	const full = "4096 requests wait for their turn already: try again"
	var err error
	for range 10_000 {
		if err = late(); err.Error() == full {
			break
		}
		time.Sleep(time.Millisecond) // until all of them stand in line
	}
	checkError(t, err, lease.Unavailable, full)
	close(gate.open)
	logins.Wait()
	if got := r.must(write, "role/ci/secret-id/lookup", params{"secret_id": id})["secret_id_num_uses"]; got != 10_000-4096 {
		t.Errorf("uses left: got %v, want those of the 4096 logins to be gone", got)
	}
}
