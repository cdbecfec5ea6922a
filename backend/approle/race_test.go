package approle_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/leasehold/leasehold/backend/approle"
	"github.com/leasehold/leasehold/lease"
)

// together runs f n times at once and returns how many succeeded. An error must be one of those that
// tell that somebody else was first.
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
