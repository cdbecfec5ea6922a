package conformance

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/openbao/openbao/api/v2"
)

// TestClientsKV: values are written, read, listed and deleted by the clients' own helpers for version 1, and what one
// node acknowledged every node shows.
func TestClientsKV(t *testing.T) {
	path := mount(t, "kv", nil)
	withEach(t, func(t *testing.T, at func(int) sdk) {
		dir := unique("dir")
		for round := range 9 {
			value := map[string]any{"user": "robot", "round": round, "deep": map[string]any{"list": []any{"a", 1}}}
			ok(t, at(round%3+1).KVPut(path, dir+"/a", value))
			for node := 1; node <= 3; node++ {
				got := must[map[string]any](t)(at(node).KVGet(path, dir+"/a"))
				if fmt.Sprint(got) != fmt.Sprint(value) {
					t.Fatalf("round %d: node %d reads %v, want %v", round, node, got, value)
				}
			}
		}
		ok(t, at(1).KVPut(path, dir+"/b/c", map[string]any{"big": json.Number("12345678901234567890"), "exact": json.Number("1.50")}))
		if got := must[map[string]any](t)(at(2).KVGet(path, dir+"/b/c")); fmt.Sprintf("%v %v", got["big"], got["exact"]) != "12345678901234567890 1.50" {
			t.Errorf("numbers come back as %v, want every digit", got)
		}
		for node := 1; node <= 3; node++ {
			if keys := must[*secret](t)(at(node).List(path + "/" + dir)).Data["keys"]; fmt.Sprint(keys) != "[a b/]" {
				t.Errorf("node %d lists %v, want [a b/]", node, keys)
			}
		}
		ok(t, at(2).KVDelete(path, dir+"/a"))
		ok(t, at(3).KVDelete(path, dir+"/a")) // again: no error
		for node := 1; node <= 3; node++ {
			if got, err := at(node).KVGet(path, dir+"/a"); err == nil || !strings.Contains(err.Error(), "secret not found") {
				t.Errorf("node %d reads %v, %v after the value was deleted", node, got, err)
			}
		}
		refused(t, at(1), at(1).KVPut(path, dir+"/empty", nil), 400)
	})
}

// TestKVMakesNoLeases: values have no leases (A10), whoever writes and reads them, and outlive the token that wrote
// them.
func TestKVMakesNoLeases(t *testing.T) {
	path := mount(t, "kv", map[string]any{"default_lease_ttl": "10m"})
	writer := newToken(t, map[string]any{"ttl": "1h", "policies": []string{policy(t, fmt.Sprintf(`path "%s/*" { capabilities = ["create", "update"] }`, path))}})
	token := writer.text("auth.client_token")
	before := leaseKeys(t)
	for _, body := range []string{`{"a":1}`, `{"a":1,"ttl":"90s"}`} {
		r := send(t, request{method: "PUT", path: "/v1/" + path + "/x", body: body, token: token}).want(204)
		if r.body != "" {
			t.Errorf("%s: the body is %q, want none", r.asked, r.body)
		}
	}
	onEachNode(t, func(t *testing.T, node int) {
		r := send(t, request{node: node, method: "GET", path: "/v1/" + path + "/x"}).want(200)
		r.wantGet("lease_id", "").wantGet("renewable", false).wantGet("lease_duration", 90).wantGet("data.ttl", "90s")
		send(t, request{node: node, method: "LIST", path: "/v1/sys/leases/lookup/" + path}).wantError(404, "")
	})
	for id := range leaseKeys(t) {
		if !before[id] {
			t.Errorf("there is a new lease %s", id)
		}
	}
	call(t, "PUT", "auth/token/revoke", map[string]any{"token": token}).want(204)
	call(t, "GET", path+"/x", nil).want(200).wantGet("data.a", 1)
	call(t, "PUT", path+"/plain", `{"a":1}`).want(204)
	call(t, "GET", path+"/plain", nil).want(200).wantGet("lease_duration", 600)
}

// leaseKeys are all lease IDs of the cluster.
func leaseKeys(t *testing.T) map[string]bool {
	t.Helper()
	all := make(map[string]bool)
	var walk func(prefix string)
	walk = func(prefix string) {
		r := call(t, "LIST", "sys/leases/lookup/"+prefix, nil)
		if r.status == 404 { // all of it has ended meanwhile
			return
		}
		for _, key := range r.want(200).strings("data.keys") {
			if strings.HasSuffix(key, "/") {
				walk(prefix + key)
			} else {
				all[prefix+key] = true
			}
		}
	}
	walk("")
	return all
}

// TestKVCreateAndUpdate: a policy tells who may write what is new from who may replace what is there.
func TestKVCreateAndUpdate(t *testing.T) {
	path := mount(t, "kv", nil)
	call(t, "PUT", path+"/old", `{"a":1}`).want(204)
	for capability, want := range map[string][2]int{"create": {204, 403}, "update": {403, 204}} {
		token := newToken(t, map[string]any{"ttl": "1h", "policies": []string{policy(t, fmt.Sprintf(`path "%s/*" { capabilities = ["%s"] }`, path, capability))}}).text("auth.client_token")
		onEachNode(t, func(t *testing.T, node int) {
			put := func(name string) *reply {
				return send(t, request{node: node, method: "POST", path: "/v1/" + path + "/" + name, body: `{"b":2}`, token: token})
			}
			put(unique("new")).want(want[0])
			put("old").want(want[1])
			send(t, request{node: node, method: "GET", path: "/v1/" + path + "/old", token: token}).want(403)
		})
	}
}

// TestOpenBaoKVList: OpenBao's helper has lists of its own.
func TestOpenBaoKVList(t *testing.T) {
	path := mount(t, "kv", nil)
	for _, name := range []string{"b", "a/x", "c"} {
		call(t, "PUT", path+"/dir/"+name, `{"a":1}`).want(204)
	}
	b := openBao(t, nextNode()+1).(*baoClient)
	list, err := b.c.KVv1(path).List(t.Context(), "dir")
	if err != nil || fmt.Sprint(list.Keys) != "[a/ b c]" {
		t.Errorf("got %+v, %v; want [a/ b c]", list, err)
	}
	if _, err := b.c.KVv1(path).Get(t.Context(), "dir/none"); !strings.Contains(fmt.Sprint(err), api.ErrSecretNotFound.Error()) {
		t.Errorf("reading what is not there: %v", err)
	}
}
