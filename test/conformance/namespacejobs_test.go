package conformance

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/openbao/openbao/api/v2"
)

// hooksIn mounts a webhook engine in a namespace, at hooks, with the role "ci".
func hooksIn(t *testing.T, s *service, ns string, config map[string]any) {
	t.Helper()
	call(t, "POST", ns+"/sys/mounts/hooks", map[string]any{"type": "webhook", "config": config}).want(204)
	address, err := url.Parse(s.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	call(t, "POST", ns+"/hooks/config", map[string]any{"allowed_hosts": []string{address.Host}}).want(204)
	role(t, s, ns+"/hooks", "ci", nil)
}

// TestChildrensIrrevocableLeases: an operator counts and lists those of the namespaces below on request, never those
// above or beside.
func TestChildrensIrrevocableLeases(t *testing.T) {
	s := newService(t, refusing(403, "no such right"))
	name, beside := unique("team"), unique("team")
	for _, made := range [][2]string{{"", name}, {name + "/", "sub"}, {"", beside}} {
		call(t, "POST", made[0]+"sys/namespaces/"+made[1], nil).want(200)
		t.Cleanup(func() { removeNamespace(t, strings.TrimSuffix(made[0], "/"), made[1]) })
	}
	t.Cleanup(func() { s.set(healthy) }) // so that they can be deleted
	count := func(node int, ns, query string) *reply {
		return send(t, request{node: node, method: "GET", path: "/v1/sys/leases/count?type=irrevocable" + query, header: map[string]string{"X-Vault-Namespace": ns}}).want(200)
	}
	above := count(1, "", "").number("data.lease_count") // of other tests
	all := count(1, "", "&include_child_namespaces=true").number("data.lease_count")

	sub := name + "/sub"
	hooksIn(t, s, sub, stubborn)
	id := call(t, "GET", sub+"/hooks/creds/ci", nil).want(200).text("lease_id")
	call(t, "PUT", sub+"/sys/leases/revoke", map[string]any{"lease_id": id}).want(202)
	eventually(t, 15*time.Second, "the lease is irrevocable", func() bool { return count(0, sub, "").number("data.lease_count") == 1 })
	const below = "&include_child_namespaces=true"
	for node := 1; node <= 3; node++ {
		for _, c := range []struct {
			ns, query string
			want      int64
		}{
			{sub, "", 1}, {sub, below, 1}, {name, "", 0}, {name, below, 1}, {name, "&include_child_namespaces=false", 0},
			{beside, below, 0}, {"", "", above}, {"", below, all + 1},
		} {
			count(node, c.ns, c.query).wantGet("data.lease_count", c.want)
		}
		list := send(t, request{node: node, method: "GET", path: "/v1/" + name + "/sys/leases?type=irrevocable" + below}).want(200)
		if !strings.Contains(list.body, `"lease_id":"`+id+`"`) || list.number("data.lease_count") != 1 {
			t.Errorf("%s: got %s, want the lease %s", list.asked, list.body, id)
		}
		send(t, request{node: node, method: "GET", path: "/v1/" + name + "/sys/leases?type=irrevocable"}).want(200).wantGet("data.leases", "[]")
	}
}

// TestDeletingANamespace: all it holds is dead when the call answers; the job that revokes it is read at any node, in
// the parent, and then the name is free.
func TestDeletingANamespace(t *testing.T) {
	release := make(chan struct{})
	s := newService(t, func(c hook) (int, string) {
		if c.Action == "revoke" {
			<-release
		}
		return healthy(c)
	})
	name := unique("doomed")
	call(t, "POST", "sys/namespaces/"+name, nil).want(200)
	hooksIn(t, s, name, nil)
	call(t, "POST", name+"/sys/mounts/locks", map[string]any{"type": "lease"}).want(204)
	call(t, "POST", name+"/sys/mounts/values", map[string]any{"type": "kv"}).want(204)
	call(t, "PUT", name+"/values/a", map[string]any{"a": 1}).want(204)
	token := call(t, "POST", name+"/auth/token/create", map[string]any{"policies": []string{"root"}, "ttl": "1h"}).want(200).text("auth.client_token")
	lease := call(t, "POST", name+"/locks/a", nil).want(200).text("lease_id")
	for range 5 {
		call(t, "GET", name+"/hooks/creds/ci", nil).want(200)
	}
	for range 30 {
		send(t, request{method: "POST", path: "/v1/" + name + "/locks/a", token: token}).want(200)
	}

	deleted := call(t, "DELETE", "sys/namespaces/"+name, nil).want(202)
	path := "/v1/sys/leases/jobs/" + deleted.header.Get("X-Leasehold-Job")
	onEachNode(t, func(t *testing.T, node int) {
		r := send(t, request{node: node, method: "GET", path: path}).want(200)
		r.wantGet("data.cause", "namespace-deleted").wantGet("data.finished", nil)
		if state := r.text("data.state"); state != "sweeping" && state != "revoking" {
			t.Errorf("%s: the state is %s while the service holds its answers back", r.asked, state)
		}
		send(t, request{node: node, method: "GET", path: "/v1/" + name + path[len("/v1"):]}).want(404) // it is the parent's
		send(t, request{node: node, method: "GET", path: "/v1/" + name + "/auth/token/lookup-self", token: token}).wantError(403, "permission denied")
		send(t, request{node: node, method: "PUT", path: "/v1/" + name + "/sys/leases/renew", body: map[string]any{"lease_id": lease}}).want(400)
		if r := send(t, request{node: node, method: "POST", path: "/v1/" + name + "/locks/a"}); r.status < 400 || r.status >= 500 {
			t.Errorf("%s: got %d %s, want it refused: the namespace is being deleted", r.asked, r.status, r.body)
		}
		send(t, request{node: node, method: "GET", path: "/v1/sys/namespaces/" + name}).want(200).wantGet("data.tainted", true)
	})
	close(release)
	eventually(t, 20*time.Second, "the job is finished", func() bool {
		return send(t, request{method: "GET", path: path}).want(200).text("data.state") == "finished"
	})
	onEachNode(t, func(t *testing.T, node int) {
		r := send(t, request{node: node, method: "GET", path: path}).want(200).wantGet("data.left", 0).wantGet("data.failed", 0)
		// 36 leases and the token's own, at least.
		if total := r.number("data.total"); total < 37 || r.number("data.done") != total {
			t.Errorf("%s: %s, want all of 37 or more done", r.asked, r.body)
		}
	})
	if n := len(s.of("revoke", "hooks/")); n != 5 {
		t.Errorf("the service was called for %d leases, want 5", n)
	}
	eventually(t, 5*time.Second, "the namespace is gone", func() bool { return call(t, "GET", "sys/namespaces/"+name, nil).status == 404 })
	call(t, "GET", name+"/values/a", nil).want(404)
	call(t, "POST", "sys/mounts/"+name, map[string]any{"type": "lease"}).want(204) // the name is free
	call(t, "DELETE", "sys/mounts/"+name, nil).want(204)
}

// TestOpenBaoNamespaces: OpenBao's client has methods for namespaces.
func TestOpenBaoNamespaces(t *testing.T) {
	name := unique("bao")
	at := func(node int) *api.Sys { return openBao(t, node).(*baoClient).c.Sys() }
	made, err := at(1).CreateNamespace(name, &api.CreateNamespaceInput{CustomMetadata: map[string]string{"team": "core"}})
	if err != nil || made.Path != name+"/" || made.ID == "" || made.Tainted {
		t.Fatalf("made %+v, %v", made, err)
	}
	read, err := at(2).ReadNamespace(name)
	if err != nil || read.ID != made.ID || fmt.Sprint(read.CustomMetadata) != "map[team:core]" {
		t.Errorf("read %+v, %v", read, err)
	}
	if list, err := at(3).ListNamespaces(); err != nil || list[name+"/"] == nil || list[name+"/"].ID != made.ID {
		t.Errorf("listed %v, %v", list, err)
	}
	deleted, err := at(2).DeleteNamespace(name)
	if err != nil || deleted.Status != "in-progress" {
		t.Fatalf("deleted: %+v, %v; want that it is in progress", deleted, err)
	}
	eventually(t, 10*time.Second, "the namespace is gone", func() bool {
		read, err := at(1).ReadNamespace(name)
		return err == nil && read == nil
	})
	if _, err := at(3).DeleteNamespace(name); err != nil {
		t.Errorf("deleting what is not there: %v", err)
	}
}
