package fake_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/backendtest"
	"github.com/leasehold/leasehold/backend/fake"
	"github.com/leasehold/leasehold/lease"
)

var mount = &lease.Mount{Path: "fake/", Type: "fake"}

func TestConformance(t *testing.T) {
	backendtest.Run(t, func(t *testing.T) *backendtest.Harness {
		b := fake.New()
		never := make(chan struct{})
		return &backendtest.Harness{
			Backend: b,
			Request: func() *backend.Request {
				return &backend.Request{Mount: mount, Operation: backend.Read, Path: "creds/ci", Store: backendtest.NewStore()}
			},
			Living: b.Living,
			Until:  b.Until,
			Heal:   b.Heal,
			Forget: func() {},
			Plant:  func(f backendtest.Fault) { plant(b, f, never) },
			Also:   []backendtest.Fault{backendtest.FailAfter, backendtest.Twice},
			FailAt: func(step int) func() bool { return failAt(b, step) },
			Fenced: true,
		}
	})
}

func plant(b *fake.Backend, f backendtest.Fault, never <-chan struct{}) {
	b.Inject(map[backendtest.Fault]fake.Fault{
		backendtest.FailBefore: {},
		backendtest.FailHalf:   {Stage: fake.Half},
		backendtest.LoseAnswer: {Stage: fake.After},
		backendtest.FailAfter:  {Stage: fake.After},
		backendtest.Twice:      {Stage: fake.Twice},
		backendtest.HangBefore: {Until: never},
		backendtest.HangAfter:  {Until: never, Stage: fake.After},
	}[f])
}

// failAt takes the stages of a call for its steps.
func failAt(b *fake.Backend, step int) (reached func() bool) {
	if step > int(fake.After)+1 {
		return func() bool { return false }
	}
	before := len(b.Calls(""))
	b.Inject(fake.Fault{Stage: fake.Stage(step - 1), Times: 1})
	return func() bool { return len(b.Calls("")) > before }
}

func destruction(name string, fence uint64) *backend.Destruction {
	return &backend.Destruction{
		LeaseID: "fake/creds/ci/" + name, ExternalName: name, Mount: mount, Fence: fence, Attempt: 1, Internal: []byte("fake:planned"),
	}
}

func TestFaultsStrikeAsOftenAsTheySay(t *testing.T) {
	b := fake.New()
	permanent := backend.Permanent(errors.New("wrong"))
	b.Inject(fake.Fault{Action: fake.Destroy, Name: "a", Times: 2})
	b.Inject(fake.Fault{Action: fake.Destroy, Name: "a", Times: 1, Err: permanent})
	b.Inject(fake.Fault{Action: fake.Create})
	var got []error
	for range 4 {
		got = append(got, b.Destroy(context.Background(), destruction("a", 1)))
	}
	if want := []error{fake.ErrDown, fake.ErrDown, permanent, nil}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if err := b.Destroy(context.Background(), destruction("b", 1)); err != nil {
		t.Errorf("another name: %v", err)
	}
}

func TestStaleFenceIsRefused(t *testing.T) {
	b := fake.New()
	if err := b.Destroy(context.Background(), destruction("a", 7)); err != nil {
		t.Fatal(err)
	}
	if err := b.Destroy(context.Background(), destruction("a", 6)); !errors.Is(err, fake.ErrStaleFence) {
		t.Errorf("a smaller index: got %v, want %v", err, fake.ErrStaleFence)
	}
}

func TestHangUntilReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := fake.New()
		release := b.Hang(fake.Destroy)
		done := make(chan error, 2)
		for _, name := range []string{"a", "b"} {
			go func() { done <- b.Destroy(t.Context(), destruction(name, 1)) }()
		}
		if err := b.Wait(t.Context(), func(calls []fake.Call) bool { return len(calls) == 2 }); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if b.Running("fake/") != 2 || b.Peak("") != 2 || len(done) != 0 {
			t.Errorf("running %d, peak %d, done %d; want 2, 2, 0", b.Running("fake/"), b.Peak(""), len(done))
		}
		release()
		release()
		for range 2 {
			if err := <-done; err != nil {
				t.Errorf("after the release: %v", err)
			}
		}
		if err := b.Destroy(t.Context(), destruction("c", 1)); err != nil || b.Running("") != 0 {
			t.Errorf("a later call: %v, %d running; want none", err, b.Running(""))
		}
	})
}

func TestWaitGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := fake.New().Wait(ctx, func([]fake.Call) bool { return false })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error", err)
		}
	})
}

func TestCallsTellWhatWasAsked(t *testing.T) {
	b := fake.New()
	var seen []fake.Call
	b.Observe(func(c fake.Call) { seen = append(seen, c) })
	b.LimitTTL(time.Minute)
	end := time.Unix(1_800_000_000, 0)
	made, err := b.Create(context.Background(), &backend.Intent{
		LeaseID: "fake/creds/ci/x", ExternalName: "n", Role: "ci", Generation: 1, Fence: 5, TTL: time.Hour, ExpireTime: end,
		Request: &backend.Request{Mount: mount},
	})
	if err != nil || made.TTL != time.Minute || made.Data["username"] != "n" {
		t.Fatalf("create: %+v, %v", made, err)
	}
	d := destruction("n", 9)
	d.Internal = made.Internal
	if err := b.Destroy(context.Background(), d); err != nil {
		t.Fatal(err)
	}
	want := []fake.Call{
		{Action: fake.Create, LeaseID: "fake/creds/ci/x", ExternalName: "n", Role: "ci", Mount: "fake/", Generation: 1, Fence: 5,
			Attempt: 1, TTL: time.Hour, ExpireTime: end},
		{Action: fake.Destroy, LeaseID: "fake/creds/ci/n", ExternalName: "n", Mount: "fake/", Fence: 9, Attempt: 1},
	}
	if got := b.Calls(""); !reflect.DeepEqual(got, want) || !reflect.DeepEqual(seen, want) {
		t.Errorf("got  %+v\nseen %+v\nwant %+v", got, seen, want)
	}
	if got := b.Calls(fake.Destroy); len(got) != 1 {
		t.Errorf("calls of one action: got %d, want 1", len(got))
	}
}

func TestDestroyInsistsOnWhatTheLeaseKept(t *testing.T) {
	d := destruction("n", 1)
	d.Internal = []byte("sealed")
	if err := fake.New().Destroy(context.Background(), d); !backend.IsPermanent(err) {
		t.Errorf("got %v, want a permanent error", err)
	}
}

func TestConfigIsKeptInTheStore(t *testing.T) {
	b, store, ctx := fake.New(), backendtest.NewStore(), context.Background()
	call := func(op backend.Operation, params map[string]any) (*backend.Response, error) {
		return b.Handle(ctx, &backend.Request{Operation: op, Path: "config", Params: params, Store: store})
	}
	if _, err := call(backend.Write, map[string]any{"value": "v"}); err != nil {
		t.Fatal(err)
	}
	if resp, err := call(backend.Read, nil); err != nil || resp.Data["value"] != "v" {
		t.Errorf("read: got %v, %v; want v", resp, err)
	}
	if _, err := call(backend.Delete, nil); err != nil {
		t.Fatal(err)
	}
	if resp, err := call(backend.Read, nil); resp != nil || err != nil {
		t.Errorf("read after delete: got %v, %v; want nothing", resp, err)
	}
}

func TestInventoryTellsWhatIsThere(t *testing.T) {
	b, ctx := fake.New(), context.Background()
	end, at := time.Unix(1_800_000_000, 0), time.Unix(1_700_000_000, 0)
	in := &backend.Intent{ExternalName: "lh-a-1", Role: "ci", TTL: time.Hour, ExpireTime: end, Request: &backend.Request{Mount: mount}}
	if _, err := b.Create(ctx, in); err != nil {
		t.Fatal(err)
	}
	b.Add("lh-a-0", at)
	b.Add("lh-b-0", at)
	ask := &backend.InventoryRequest{Mount: mount, Mark: "lh-a"}
	list := func() (items []backend.Item) {
		t.Helper()
		err := b.Inventory(ctx, ask, func(item backend.Item) error {
			items = append(items, item)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return items
	}
	want := []backend.Item{
		{ExternalName: "lh-a-0", Internal: []byte("fake:created:lh-a-0"), Created: at},
		{ExternalName: "lh-a-1", Internal: []byte("fake:created:lh-a-1"), Role: "ci", Created: end.Add(-time.Hour)},
	}
	if got := list(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if !b.Remove("lh-a-1") || b.Remove("lh-a-1") || len(list()) != 1 {
		t.Errorf("after Remove: %+v, want one item and a thing that is removed once", list())
	}
	b.Inject(fake.Fault{Action: fake.Inventory, Stage: fake.After})
	err := b.Inventory(ctx, ask, func(backend.Item) error {
		t.Error("an item of an answer that was lost")
		return nil
	})
	if !errors.Is(err, fake.ErrDown) || len(b.Calls(fake.Inventory)) == 0 {
		t.Errorf("got %v, %d calls; want %v", err, len(b.Calls(fake.Inventory)), fake.ErrDown)
	}
}
