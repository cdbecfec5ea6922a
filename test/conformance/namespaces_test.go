package conformance

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// namespace makes a namespace through a client and returns its path and its ID.
func namespace(t *testing.T, c sdk, below, name string) (path, id string) {
	t.Helper()
	d := must[*secret](t)(c.WithNamespace(below).Write("sys/namespaces/"+name, map[string]any{"custom_metadata": map[string]any{"team": "core"}})).Data
	path, _ = d["path"].(string)
	id, _ = d["id"].(string)
	if want := strings.TrimPrefix(below+"/"+name+"/", "/"); path != want || id == "" || fmt.Sprint(d["custom_metadata"]) != "map[team:core]" {
		t.Fatalf("the namespace %s is made as %v", want, d)
	}
	return strings.TrimSuffix(path, "/"), id
}

// removeNamespace deletes a namespace and waits until it is gone.
func removeNamespace(t *testing.T, below, name string) {
	t.Helper()
	in := map[string]string{"X-Vault-Namespace": below}
	r := send(t, request{method: "DELETE", path: "/v1/sys/namespaces/" + name, header: in})
	if r.status >= 300 {
		t.Errorf("%s: got %d %s", r.asked, r.status, r.body)
		return
	}
	eventually(t, 15*time.Second, "the namespace "+name+" is gone", func() bool {
		return send(t, request{method: "GET", path: "/v1/sys/namespaces/" + name, header: in}).status == 404
	})
}

// TestClientsNamespaces: a namespace named by the client, by SetNamespace, or in the path is the same, and what is in
// it is nowhere else.
func TestClientsNamespaces(t *testing.T) {
	withEach(t, func(t *testing.T, at func(int) sdk) {
		s := must[*secret](t)
		name := unique("team")
		team, id := namespace(t, at(1), "", name)
		sub, subID := namespace(t, at(2), team, "sub")
		t.Cleanup(func() { removeNamespace(t, "", name) })
		t.Cleanup(func() { removeNamespace(t, team, "sub") })
		in := func(ns string) sdk { return at(0).WithNamespace(ns) }
		for node := 1; node <= 3; node++ {
			d := s(at(node).WithNamespace(team).List("sys/namespaces")).Data
			if fmt.Sprint(d["keys"]) != "[sub/]" || d["key_info"].(map[string]any)["sub/"].(map[string]any)["id"] != subID {
				t.Errorf("node %d lists %v, want sub/ alone with its ID", node, d)
			}
			if s(at(node).Read("sys/namespaces/" + name)).Data["id"] != id {
				t.Errorf("node %d reads another ID than %s", node, id)
			}
		}

		// One mount, three ways to it.
		ok(t, in(team).Mount("locks", "lease", "", ""))
		ok(t, in(sub).Mount("locks", "lease", "", ""))
		header := at(1)
		header.SetNamespace(team)
		var leases []string
		for _, made := range []*secret{
			s(header.Write("locks/a", map[string]any{"ttl": "1h"})), s(at(2).Write(team+"/locks/a", map[string]any{"ttl": "1h"})),
			s(at(3).WithNamespace(team).Write("locks/a", map[string]any{"ttl": "1h"})),
		} {
			if !strings.HasPrefix(made.LeaseID, "locks/a/") || !strings.HasSuffix(made.LeaseID, "."+id) {
				t.Errorf("leased %s, want one of locks/a that ends in the namespace's ID %s", made.LeaseID, id)
			}
			leases = append(leases, made.LeaseID)
		}
		below := s(at(1).WithNamespace(team).Write("sub/locks/a", map[string]any{"ttl": "1h"})).LeaseID // half and half
		if !strings.HasSuffix(below, "."+subID) {
			t.Errorf("leased %s in %s, want an ID that ends in %s", below, sub, subID)
		}
		if keys := s(in(team).List("sys/leases/lookup/locks/a")).Data["keys"]; len(keys.([]any)) != 3 {
			t.Errorf("%s lists the leases %v, want its own three", team, keys)
		}
		elsewhereUnknown(t, at, team, leases[0], []string{"", sub})
		elsewhereUnknown(t, at, sub, below, []string{"", team})
		if none := s(at(0).List("sys/leases/lookup/locks")); none != nil {
			t.Errorf("the root namespace lists %v", none.Data)
		}
		c := in(unique("never"))
		_, err := c.ListMounts()
		refused(t, c, err, 404)
	})
}

// elsewhereUnknown: a lease used in another namespace than its own looks like one that never was, to every verb.
func elsewhereUnknown(t *testing.T, at func(int) sdk, home, lease string, elsewhere []string) {
	t.Helper()
	for _, ns := range elsewhere {
		c := at(0).WithNamespace(ns)
		_, err := c.Lookup(lease)
		refused(t, c, err, 400)
		_, err = c.Renew(lease, 60)
		refused(t, c, err, 400)
		for _, revoke := range []func(string) error{c.Revoke, c.RevokePrefix, c.RevokeForce,
			func(id string) error { return c.RevokeWith(id, false, false, true) }} {
			ok(t, revoke(lease)) // as of any lease that is not there
		}
	}
	for node := 1; node <= 3; node++ {
		if d := must[*secret](t)(at(node).WithNamespace(home).Lookup(lease)).Data; d["status"] != "active" || d["namespace_path"] != home+"/" {
			t.Errorf("after that node %d shows the lease as %v, want it alive in %s/", node, d, home)
		}
	}
}

// TestClientsTenants: tokens, policies, logins, accessors and wrapped answers stay in their namespace.
func TestClientsTenants(t *testing.T) {
	withEach(t, func(t *testing.T, at func(int) sdk) {
		s := must[*secret](t)
		one, two := unique("tenant"), unique("tenant")
		for _, name := range []string{one, two} {
			namespace(t, at(0), "", name)
			t.Cleanup(func() { removeNamespace(t, "", name) })
			ok(t, at(0).WithNamespace(name).PutPolicy("admin", `path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }`))
		}
		root := at(1).WithNamespace(one)
		admin := s(root.CreateToken(tokenRequest{TTL: "1h", Policies: []string{"admin"}})).Auth
		in := func(ns, token string) sdk { c := at(0).WithNamespace(ns); c.SetToken(token); return c }
		if got := must[[]string](t)(in(one, admin.ClientToken).ListPolicies()); !slices.Contains(got, "admin") {
			t.Errorf("the policies of %s are %v", one, got)
		}
		if d := s(in(one, admin.ClientToken).LookupSelf()).Data; d["namespace_path"] != one+"/" {
			t.Errorf("a token of %s looks itself up as %v", one, d)
		}
		for ns, status := range map[string]int{"": 403, two: 403, two + "/none": 403, "none": 403, one + "/none": 404} {
			c := in(ns, admin.ClientToken) // which namespaces there are is told below its own alone
			_, err := c.ListMounts()
			refused(t, c, err, status)
		}
		for _, ns := range []string{"", two} { // even for who may do everything
			c := at(0).WithNamespace(ns)
			_, err := c.LookupAccessor(admin.Accessor)
			refused(t, c, err, 403)
			_ = c.RevokeAccessor(admin.Accessor) // an unknown accessor is no error
			if listed := s(c.List("auth/token/accessors")); listed != nil && slices.Contains(listed.Data["keys"].([]any), any(admin.Accessor)) {
				t.Errorf("%q lists the accessor of a token of %s", ns, one)
			}
		}
		s(in(one, admin.ClientToken).LookupSelf())

		// An operator of a tenant is one in its own namespace alone.
		operator := in(one, admin.ClientToken)
		ok(t, operator.EnableAuth("people", "userpass", "", ""))
		s(operator.Write("auth/people/users/ann", map[string]any{"password": "open sesame", "token_policies": "admin"}))
		ann := proof{"auth/people/login/ann", map[string]any{"password": "open sesame"}}
		token := s(ann.by(at(2).WithNamespace(one))).Auth.ClientToken
		s(in(one, token).Read("sys/mounts"))
		for _, ns := range []string{"", two} {
			c := at(0).WithNamespace(ns)
			_, err := ann.by(c)
			refused(t, c, err, 403)
			c = in(ns, token)
			_, err = c.Read("sys/mounts")
			refused(t, c, err, 403)
		}
		// The paths of the cluster are not there, whatever its policies say.
		if got := s(in(one, token).Read("sys/storage/raft/configuration")); got != nil {
			t.Errorf("a tenant reads of the cluster %v", got.Data)
		}

		_, wrapping := wrap(t, in(one, token), "sys/wrapping/wrap", "5m", map[string]any{"a": 1})
		shut(t, at, wrapping)
		s(in(one, token).Unwrap(wrapping))
	})
}
