package database

import (
	"errors"
	"strings"
	"testing"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/backendtest"
	"github.com/leasehold/leasehold/lease"
)

// A connection without which leases could not be ended is deleted by force only. Roles that are gone
// count for every connection: theirs is not known.
func TestConnectionsThatLeasesNeedAreKept(t *testing.T) {
	store := backendtest.NewStore()
	for name, value := range map[string]string{
		connectionKey("main"): `{}`, connectionKey("spare"): `{}`,
		roleKey("app"): `{"connection":"main"}`, roleKey("report"): `{"connection":"spare"}`,
	} {
		if err := store.Put(t.Context(), name, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	live := map[string]int{"": 5, "app": 3, "report": 0} // two are of a role that is gone
	req := func(params map[string]any) *backend.Request {
		return &backend.Request{Mount: &lease.Mount{ID: "m", Path: "db/"}, Operation: backend.Delete, Store: store, Params: params,
			Live: func(role string) int { return live[role] }}
	}
	for name, want := range map[string]string{"main": "5 leases", "spare": "2 leases"} {
		var refusal *lease.Error
		if err := mayDelete(req(nil), name); !errors.As(err, &refusal) || refusal.Code != lease.Conflict || !strings.Contains(refusal.Message, want) {
			t.Errorf("%s: got %v, want a refusal that names %s", name, err, want)
		}
		if err := mayDelete(req(map[string]any{"force": "true"}), name); err != nil {
			t.Errorf("%s with force: got %v", name, err)
		}
	}
	live = map[string]int{"": 3, "app": 3}
	if err := mayDelete(req(nil), "spare"); err != nil {
		t.Errorf("a connection that no lease needs: got %v", err)
	}
}
