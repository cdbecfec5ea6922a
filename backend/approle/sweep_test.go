package approle_test

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/backendtest"
	"github.com/leasehold/leasehold/lease"
)

// checkRoles makes sure that every role can be logged in to with the role_id that it shows.
func (r *rig) checkRoles() {
	r.Helper()
	seen := map[string]string{}
	for _, key := range r.keys("role/") {
		name := strings.TrimPrefix(key, "role/")
		roleID := r.must(read, key+"/role-id", nil)["role_id"].(string)
		if other, twice := seen[roleID]; twice {
			r.Errorf("%s and %s have the same role_id", name, other)
		}
		seen[roleID] = name
		id, accessor := r.secret(name, nil)
		if plan, err := r.login(roleID, id); err != nil || plan.Role != name {
			r.Errorf("login to %s: got %+v, %v", name, plan, err)
		}
		r.must(write, key+"/secret-id-accessor/destroy", params{"secret_id_accessor": accessor})
	}
}

// settle waits until nothing is under way any more, tidies, and makes sure that nothing is left that
// belongs to no role.
func (r *rig) settle() {
	r.Helper()
	r.pass(11 * time.Minute)
	r.must(write, "tidy/secret-id", nil)
	r.must(write, "tidy/secret-id", nil)
	roles := len(r.keys("role/"))
	if got := r.keys("role-id/"); len(got) != roles {
		r.Errorf("%d roles have %d role_ids", roles, len(got))
	}
	if got := r.keys("remains/"); got != nil {
		r.Errorf("notes of deleted roles are left: %q", got)
	}
	reachable := map[string]bool{}
	for _, key := range r.keys("role/") {
		if data := r.must(list, key+"/secret-id", nil); data != nil {
			for _, accessor := range data["keys"].([]string) {
				reachable[accessor] = true
			}
		}
	}
	for _, key := range r.keys("secret-id/") {
		if !reachable[key[strings.LastIndexByte(key, '/')+1:]] {
			r.Errorf("%s belongs to no role", key)
		}
	}
	r.checkRoles()
}

func TestADeletedRoleTakesItsSecretIDsAlong(t *testing.T) {
	r := newRig(t)
	roleID := r.role("ci", params{"role_id": "host-7"})
	id, accessor := r.secret("ci", nil)
	r.role("cd", nil)
	kept, _ := r.secret("cd", nil)
	for range 2 {
		r.must(del, "role/ci", nil)
	}
	r.loginWorks(roleID, id, false)
	if got := r.keys("secret-id/"); len(got) != 1 {
		t.Errorf("got %d secret_ids, want that of the other role", len(got))
	}
	// The same name and the same role_id make another role.
	r.role("ci", params{"role_id": "host-7"})
	r.loginWorks("host-7", id, false)
	r.refused(write, "role/ci/secret-id-accessor/lookup", params{"secret_id_accessor": accessor}, lease.NotFound, "failed to find")
	r.loginWorks(r.must(read, "role/cd/role-id", nil)["role_id"].(string), kept, true)
	r.settle()
}

// secrets puts n secret_ids into a role.
func (r *rig) secrets(role string, n int) {
	r.Helper()
	for range n {
		r.secret(role, nil)
	}
}

// What one deletion does is bounded. The rest goes with the next writes, whatever role they are about.
func TestManySecretIDsGoInSteps(t *testing.T) {
	r := newRig(t)
	r.role("big", nil)
	r.secrets("big", 1024+100)
	r.role("other", nil)
	r.must(del, "role/big", nil)
	if got := len(r.keys("secret-id/")); got != 100 {
		t.Errorf("after the deletion: got %d, want 100", got)
	}
	r.must(write, "role/other", nil)
	if got := len(r.keys("secret-id/")); got != 100-32 {
		t.Errorf("after a write: got %d, want 68", got)
	}
	_, accessor := r.secret("other", nil)
	if got := len(r.keys("secret-id/")); got != 100-32-32+1 {
		t.Errorf("after a secret_id was made: got %d, want 37", got)
	}
	r.must(write, "role/other/secret-id-accessor/destroy", params{"secret_id_accessor": accessor})
	r.settle()
}

func TestTidySaysWhatItDid(t *testing.T) {
	r := newRig(t)
	tidy := func(want string) {
		t.Helper()
		resp, err := r.handle(write, "tidy/secret-id", nil)
		if err != nil || resp.Data != nil || len(resp.Warnings) != 1 {
			t.Fatalf("got %+v, %v", resp, err)
		}
		const always = "Nothing had to be done about expired secret IDs: they go by themselves. Removed: "
		if got := resp.Warnings[0]; got != always+want {
			t.Errorf("got %q, want %q", got, always+want)
		}
	}
	tidy("0 secret IDs of deleted roles, 0 role IDs without a role.")
	r.role("big", nil)
	r.secrets("big", 1024+8192+10)
	r.must(del, "role/big", nil)
	tidy("8192 secret IDs of deleted roles, 0 role IDs without a role. There are more secret IDs to remove: call this again.")
	tidy("10 secret IDs of deleted roles, 0 role IDs without a role.")
	// A claim that was given up half-way.
	r.use = &crashing{Store: r.store, left: 1}
	if _, err := r.handle(write, "role/ci", nil); err == nil {
		t.Fatal("the store did not fail")
	}
	r.use = r.store
	if got := r.keys("role-id/"); len(got) != 1 {
		t.Fatalf("role_ids: got %q, want the one that was claimed", got)
	}
	tidy("0 secret IDs of deleted roles, 0 role IDs without a role.") // it may belong to a request under way
	r.pass(11 * time.Minute)
	tidy("0 secret IDs of deleted roles, 1 role IDs without a role.")
	r.settle()
}

// crashing lets some writes through. Then the node is gone: a write that it lets out as its last, if
// late is set, is done without an answer.
type crashing struct {
	backend.Store
	mu   sync.Mutex // guards left
	left int
	late bool
}

var errCrash = lease.Errorf(lease.Uncertain, "the node is gone")

func (s *crashing) write(do func() error) error {
	s.mu.Lock()
	s.left--
	left := s.left
	s.mu.Unlock()
	if left >= 0 {
		return do()
	}
	if left == -1 && s.late {
		_ = do()
	}
	return errCrash
}

func (s *crashing) Put(ctx context.Context, key string, value []byte) error {
	return s.write(func() error { return s.Store.Put(ctx, key, value) })
}

func (s *crashing) Delete(ctx context.Context, key string) error {
	return s.write(func() error { return s.Store.Delete(ctx, key) })
}

func (s *crashing) Swap(ctx context.Context, key string, seen backend.Version, value []byte, ttl time.Duration) error {
	return s.write(func() error { return s.Store.Swap(ctx, key, seen, value, ttl) })
}

// Wherever a request is cut off: no role is out of reach, no secret_id outlives its role, the request
// can be repeated at once, and in the end nothing is left over.
func TestRequestsCutOffAtEveryWrite(t *testing.T) {
	tests := []struct {
		name string
		op   backend.Operation
		path string
		send params
	}{
		{"a role is made", write, "role/new", nil},
		{"a role is made with a role_id", write, "role/new", params{"role_id": "mine"}},
		{"a role is changed", write, "role/ci", params{"token_ttl": 60}},
		{"a role gets another role_id", write, "role/ci/role-id", params{"role_id": "mine"}},
		{"a role is deleted", del, "role/ci", nil},
		{"a secret_id is made", write, "role/ci/secret-id", nil},
		{"a custom secret_id is made", write, "role/ci/custom-secret-id", params{"secret_id": "x"}},
		{"a tidy", write, "tidy/secret-id", nil},
	}
	for _, test := range tests {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/late=%v", test.name, late), func(t *testing.T) {
				for n, crashed := 0, true; crashed; n++ {
					if n > 50 {
						t.Fatal("the request writes without an end")
					}
					r := newRig(t)
					roleID := r.role("ci", nil)
					id, _ := r.secret("ci", nil)
					r.role("old", nil)
					r.secrets("old", 5)
					r.use = &crashing{Store: r.store, left: 1, late: late}
					r.handle(del, "role/old", nil)
					disk := &crashing{Store: r.store, left: n, late: late}
					r.use = disk
					_, err := r.handle(test.op, test.path, test.send)
					crashed = disk.left < 0
					r.use = r.store
					r.checkRoles()
					if test.op == del && err == nil {
						r.loginWorks(roleID, id, false)
					}
					if _, err := r.handle(test.op, test.path, test.send); err != nil && test.name != "a custom secret_id is made" {
						t.Errorf("again after %d writes: %v", n, err)
					}
					r.settle()
				}
			})
		}
	}
}

// A mark of a deletion that never came to be must not cost a living role its secret_ids.
func TestAGivenUpDeletionRemovesNothing(t *testing.T) {
	r := newRig(t)
	roleID := r.role("ci", nil)
	id, _ := r.secret("ci", nil)
	r.use = &crashing{Store: r.store, left: 1} // the note is written, and then nothing
	if _, err := r.handle(del, "role/ci", nil); err == nil {
		t.Fatal("the store did not fail")
	}
	r.use = r.store
	if got := r.keys("remains/"); len(got) != 1 {
		t.Fatalf("notes: got %q, want one", got)
	}
	r.must(write, "tidy/secret-id", nil)
	r.loginWorks(roleID, id, true)
	r.settle()
	r.loginWorks(roleID, id, true)
}

// A note that another request removed meanwhile says nothing about the role.
func TestANoteThatVanishesRemovesNothing(t *testing.T) {
	r := newRig(t)
	roleID := r.role("ci", nil)
	id, _ := r.secret("ci", nil)
	r.use = &crashing{Store: r.store, left: 1}
	r.handle(del, "role/ci", nil)
	r.use = vanishing{r.store}
	r.must(write, "tidy/secret-id", nil)
	r.use = r.store
	if got := r.keys("remains/"); got != nil {
		t.Fatalf("the note is there still: %q", got)
	}
	r.loginWorks(roleID, id, true)
}

// vanishing is a store of which notes disappear before they are read.
type vanishing struct{ *backendtest.Store }

func (s vanishing) Get(key string) ([]byte, bool, error) {
	if strings.HasPrefix(key, "remains/") {
		s.Delete(context.Background(), key)
	}
	return s.Store.Get(key)
}

// A step that ends exactly with the secret_ids of one role must not take the next one's for gone.
func TestAStepEndsBetweenTwoRoles(t *testing.T) {
	r := newRig(t)
	names := []string{"a", "b"}
	for _, name := range names {
		r.role(name, nil)
		r.secrets(name, 32)
	}
	for _, name := range names {
		r.use = &crashing{Store: r.store, left: 2} // the note and the deletion, and no sweep
		r.handle(del, "role/"+name, nil)
		r.use = r.store
		r.pass(11 * time.Minute)
	}
	r.role("other", nil)
	if got := len(r.keys("secret-id/")); got != 32 {
		t.Errorf("after a step: got %d, want 32", got)
	}
	r.role("other", nil)
	r.role("other", nil)
	if got := r.keys("secret-id/"); got != nil {
		t.Errorf("left %q", got)
	}
	if got := r.keys("remains/"); got != nil {
		t.Errorf("left %q", got)
	}
	r.settle()
}

// A secret_id that comes after its role's deletion was swept is taken back, or swept later if the node that
// wrote it is gone.
func TestLateSecretIDsGo(t *testing.T) {
	for _, crash := range []bool{false, true} {
		r := newRig(t)
		r.role("ci", nil)
		gate := &gated{Store: r.store, reached: make(chan struct{}), open: make(chan struct{})}
		slow := *r
		slow.use = gate
		if crash {
			slow.use = &crashing{Store: gate, left: 1}
		}
		answer := make(chan error)
		go func() {
			_, err := slow.handle(write, "role/ci/secret-id", nil)
			answer <- err
		}()
		<-gate.reached
		r.must(del, "role/ci", nil)
		close(gate.open)
		if err := <-answer; crash {
			checkError(t, err, lease.Uncertain, errCrash.Message)
		} else {
			checkError(t, err, lease.NotFound, `role "ci" does not exist`)
		}
		if got := r.keys("secret-id/"); (len(got) == 1) != crash {
			t.Errorf("crash %v: left %q", crash, got)
		}
		r.settle()
	}
}

// gated stops its first conditional write of a secret_id until it is opened.
type gated struct {
	backend.Store
	once    sync.Once
	reached chan struct{}
	open    chan struct{}
}

func (s *gated) Swap(ctx context.Context, key string, seen backend.Version, value []byte, ttl time.Duration) error {
	if strings.HasPrefix(key, "secret-id/") {
		s.once.Do(func() { close(s.reached); <-s.open })
	}
	return s.Store.Swap(ctx, key, seen, value, ttl)
}

func TestAPlainDeletionLeavesNothingButItsNote(t *testing.T) {
	r := newRig(t)
	r.role("ci", nil)
	r.secrets("ci", 3)
	r.must(del, "role/ci", nil)
	all := r.keys("")
	if len(all) != 2 || all[0] != "key" || !strings.HasPrefix(all[1], "remains/") {
		t.Errorf("left %q, want the mount's key and the note", all)
	}
	r.settle()
	if got := r.keys(""); !reflect.DeepEqual(got, []string{"key"}) {
		t.Errorf("in the end: left %q, want the mount's key", got)
	}
}
