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
		if _, err := mayDelete(req(nil), name); !errors.As(err, &refusal) || refusal.Code != lease.Conflict || !strings.Contains(refusal.Message, want) {
			t.Errorf("%s: got %v, want a refusal that names %s", name, err, want)
		}
		if _, err := mayDelete(req(map[string]any{"force": "true"}), name); err != nil {
			t.Errorf("%s with force: got %v", name, err)
		}
	}
	live = map[string]int{"": 3, "app": 3}
	if _, err := mayDelete(req(nil), "spare"); err != nil {
		t.Errorf("a connection that no lease needs: got %v", err)
	}
}

// served answers what Handle says to a request without a server behind it.
func served(t *testing.T, store backend.Store, live map[string]int, op backend.Operation, path string, params map[string]any) (*backend.Response, error) {
	t.Helper()
	return New(Options{}).Handle(t.Context(), &backend.Request{Mount: &lease.Mount{ID: "m", Path: "db/"}, Operation: op, Path: path,
		Store: store, Params: params, Live: func(role string) int { return live[role] }})
}

func wantRefusal(t *testing.T, err error, texts ...string) {
	t.Helper()
	var refusal *lease.Error
	if !errors.As(err, &refusal) || refusal.Code != lease.Conflict {
		t.Fatalf("got %v, want a refusal", err)
	}
	for _, text := range texts {
		if !strings.Contains(refusal.Message, text) {
			t.Errorf("%q lacks %q", refusal.Message, text)
		}
	}
}

func connectTo(plugin, url string, more ...string) map[string]any {
	params := map[string]any{"plugin_name": plugin, "connection_url": url, "username": "leasehold", "password": "x", "verify_connection": "false"}
	for _, name := range more {
		params[name] = "true"
	}
	return params
}

// S13: "absent" proves that a login is gone at the server it was made at, and at no other. So a connection that
// leases need stays with its server, also when it was deleted by force and is written again.
func TestS13_AConnectionStaysWithItsServerWhileLeasesNeedIt(t *testing.T) {
	for plugin, urls := range map[string][3]string{
		"postgresql-database-plugin": {"postgresql://{{username}}:{{password}}@DB.example.com/app?sslmode=prefer",
			"postgresql://{{username}}:{{password}}@db.example.com:5432/other?sslmode=disable", "postgresql://{{username}}:{{password}}@db2.example.com/app"},
		"mysql-database-plugin": {"{{username}}:{{password}}@tcp(DB.example.com)/", "{{username}}:{{password}}@tcp(db.example.com:3306)/app",
			"{{username}}:{{password}}@tcp(db.example.com:3307)/"},
	} {
		t.Run(plugin, func(t *testing.T) {
			store, live := backendtest.NewStore(), map[string]int{}
			write := func(url string, more ...string) (*backend.Response, error) {
				return served(t, store, live, backend.Write, "config/main", connectTo(plugin, url, more...))
			}
			if _, err := write(urls[2]); err != nil {
				t.Fatal(err)
			}
			if resp, err := write(urls[0]); err != nil || resp != nil {
				t.Fatalf("without leases: got %v, %v", resp, err)
			}
			live[""] = 3
			if resp, err := write(urls[1]); err != nil || resp != nil {
				t.Fatalf("to the same server: got %v, %v", resp, err)
			}
			_, err := write(urls[2])
			wantRefusal(t, err, `"main"`, "3 leases", "force=true")
			if c, _, err := loadConnection(store, "main"); err != nil || c.URL != urls[1] {
				t.Errorf("the refused URL is kept: %v, %v", c, err)
			}
			_, err = served(t, store, live, backend.Delete, "config/main", nil)
			wantRefusal(t, err, "3 leases")
			resp, err := served(t, store, live, backend.Delete, "config/main", map[string]any{"force": "true"})
			if err != nil || resp == nil || len(resp.Warnings) != 1 || !strings.Contains(resp.Warnings[0], "3 leases") {
				t.Fatalf("deleted by force: got %+v, %v; want to be told what is left", resp, err)
			}
			_, err = write(urls[2])
			wantRefusal(t, err, "3 leases")
			if resp, err := write(urls[0]); err != nil || resp != nil {
				t.Fatalf("written again as it was: got %v, %v", resp, err)
			}
			resp, err = write(urls[2], "force")
			if err != nil || resp == nil || len(resp.Warnings) != 1 || !strings.Contains(resp.Warnings[0], "3 leases") {
				t.Errorf("moved by force: got %+v, %v; want to be told what that means", resp, err)
			}
		})
	}
}

// A role that goes over to another connection, or is deleted and made anew on another, has leases that need the
// former one.
func TestConnectionsThatRolesHaveLeftAreKept(t *testing.T) {
	store, live := backendtest.NewStore(), map[string]int{}
	do := func(op backend.Operation, path string, params map[string]any) error {
		_, err := served(t, store, live, op, path, params)
		return err
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a", "b", "c"} {
		must(do(backend.Write, "config/"+name, connectTo("postgresql-database-plugin", "postgresql://{{username}}:{{password}}@"+name+".example.com/app")))
	}
	on := func(name string) map[string]any {
		return map[string]any{"db_name": name, "creation_statements": `CREATE ROLE "{{name}}" LOGIN`}
	}
	must(do(backend.Write, "roles/app", on("c")))
	must(do(backend.Write, "roles/app", on("a"))) // it had no leases: nothing to remember
	live[""], live["app"] = 2, 2
	must(do(backend.Write, "roles/app", on("b")))
	wantRefusal(t, do(backend.Delete, "config/a", nil), "2 leases")
	wantRefusal(t, do(backend.Delete, "config/b", nil), "2 leases")
	must(do(backend.Delete, "config/c", nil))
	must(do(backend.Write, "config/c", connectTo("postgresql-database-plugin", "postgresql://{{username}}:{{password}}@c.example.com/app")))
	must(do(backend.Delete, "roles/app", nil))
	must(do(backend.Write, "roles/app", on("c")))
	wantRefusal(t, do(backend.Delete, "config/a", nil), "2 leases")
	wantRefusal(t, do(backend.Delete, "config/b", nil), "2 leases")
	live[""], live["app"] = 0, 0
	must(do(backend.Write, "roles/app", on("c"))) // all of them are gone, and with them what they needed
	live[""], live["app"] = 1, 1
	must(do(backend.Delete, "config/a", nil))
	must(do(backend.Delete, "config/b", nil))
	wantRefusal(t, do(backend.Delete, "config/c", nil), "1 lease:")
}
