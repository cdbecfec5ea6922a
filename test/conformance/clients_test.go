package conformance

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// ok fails the test at an error.
func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// must returns the answer of a client's call.
func must[T any](t *testing.T) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// refused fails the test unless the error is the server's, with the status.
func refused(t *testing.T, c sdk, err error, status int) {
	t.Helper()
	if err == nil || c.Status(err) != status {
		t.Fatalf("got the error %v, want a status of %d", err, status)
	}
}

func TestClientsLeases(t *testing.T) {
	path := mount(t, "lease", nil)
	withEach(t, func(t *testing.T, at func(int) sdk) {
		s := must[*secret](t)
		base := path + "/" + unique("jobs")
		made := s(at(1).Write(base+"/a", map[string]any{"ttl": "1h", "data": map[string]any{"host": "ci-7"}, "labels": map[string]any{"team": "core"}}))
		if !strings.HasPrefix(made.LeaseID, base+"/a/") || made.LeaseDuration != 3600 || !made.Renewable || made.Data["host"] != "ci-7" {
			t.Errorf("issued %+v, want a renewable lease of 3600 s below %s with its data", made, base)
		}
		found := s(at(2).Lookup(made.LeaseID))
		if found.Data["id"] != made.LeaseID || found.Data["renewable"] != true || found.Data["last_renewal"] != nil {
			t.Errorf("looked up %v", found.Data)
		}
		renewed := s(at(3).Renew(made.LeaseID, 1800))
		if renewed.LeaseID != made.LeaseID || renewed.LeaseDuration != 1800 || !renewed.Renewable {
			t.Errorf("renewed %+v, want the same lease with 1800 s", renewed)
		}
		if again := s(at(1).Lookup(made.LeaseID)); again.Data["last_renewal"] == nil {
			t.Error("last_renewal is null after a renewal")
		}
		listed := s(at(2).List("sys/leases/lookup/" + base))
		if fmt.Sprint(listed.Data["keys"]) != "[a/]" {
			t.Errorf("listed %v, want [a/]", listed.Data["keys"])
		}
		ok(t, at(3).Revoke(made.LeaseID))
		_, err := at(1).Lookup(made.LeaseID)
		refused(t, at(1), err, 400)
		if none := s(at(2).List("sys/leases/lookup/" + base)); none != nil {
			t.Errorf("listed %v, want nothing", none.Data)
		}
		_, err = at(3).Renew(made.LeaseID, 0)
		refused(t, at(3), err, 400)
	})
}

func TestClientsRevokeMany(t *testing.T) {
	path := mount(t, "lease", nil)
	withEach(t, func(t *testing.T, at func(int) sdk) {
		ways := map[string]func(c sdk, prefix, id string) error{
			"prefix":             func(c sdk, p, _ string) error { return c.RevokePrefix(p) },
			"force":              func(c sdk, p, _ string) error { return c.RevokeForce(p) },
			"options, one":       func(c sdk, _, id string) error { return c.RevokeWith(id, false, false, false) },
			"options, one, sync": func(c sdk, _, id string) error { return c.RevokeWith(id, false, false, true) },
			"options, prefix":    func(c sdk, p, _ string) error { return c.RevokeWith(p, true, false, true) },
			"options, force":     func(c sdk, p, _ string) error { return c.RevokeWith(p, true, true, false) },
			"a slash at the end": func(c sdk, p, _ string) error { return c.RevokePrefix(p + "/") },
		}
		for name, revoke := range ways {
			t.Run(name, func(t *testing.T) {
				prefix := path + "/" + unique("p")
				made := must[*secret](t)(at(0).Write(prefix, map[string]any{"ttl": "1h"}))
				spared := must[*secret](t)(at(0).Write(prefix+"2", map[string]any{"ttl": "1h"}))
				ok(t, revoke(at(0), prefix, made.LeaseID))
				for node := 1; node <= 3; node++ { // dead at once, everywhere
					_, err := at(node).Renew(made.LeaseID, 0)
					refused(t, at(node), err, 400)
					must[*secret](t)(at(node).Lookup(spared.LeaseID))
				}
			})
		}
	})
}

func TestClientsTokens(t *testing.T) {
	withEach(t, func(t *testing.T, at func(int) sdk) {
		s := must[*secret](t)
		made := s(at(1).CreateToken(tokenRequest{TTL: "1h", ExplicitMaxTTL: "2h", Policies: []string{"default"}, DisplayName: "ci", Metadata: map[string]string{"team": "core"}}))
		token, accessor := made.Auth.ClientToken, made.Auth.Accessor
		if token == "" || accessor == "" || !made.Auth.Renewable || made.Auth.LeaseDuration != 3600 || made.Auth.Orphan {
			t.Fatalf("made the token %+v", made.Auth)
		}
		self := at(2)
		self.SetToken(token)
		d := s(self.LookupSelf()).Data
		if d["id"] != token || d["accessor"] != accessor || fmt.Sprint(d["policies"]) != "[default]" || d["display_name"] != "token-ci" ||
			fmt.Sprint(d["meta"]) != "map[team:core]" || fmt.Sprint(d["explicit_max_ttl"]) != "7200" || d["orphan"] != false {
			t.Errorf("lookup-self: %v", d)
		}
		if d := s(at(3).LookupToken(token)).Data; d["id"] != token {
			t.Errorf("lookup: %v", d)
		}
		if d := s(at(1).LookupAccessor(accessor)).Data; d["id"] != "" || d["accessor"] != accessor {
			t.Errorf("lookup-accessor: %v, want no id", d)
		}
		renewed := s(self.RenewSelf(24 * 3600))
		if renewed.Auth.ClientToken != token || renewed.Auth.LeaseDuration > 7200 || renewed.Auth.LeaseDuration < 7100 || len(renewed.Warnings) == 0 {
			t.Errorf("renewed beyond the explicit maximum: %+v, warnings %q", renewed.Auth, renewed.Warnings)
		}
		if a := s(at(2).RenewToken(token, 600)).Auth; a.LeaseDuration != 600 {
			t.Errorf("renewed: %+v, want 600 s", a)
		}
		if a := s(at(3).RenewAccessor(accessor, 900)).Auth; a.LeaseDuration != 900 || a.ClientToken != "" {
			t.Errorf("renewed by accessor: %+v, want 900 s and no token", a)
		}
		ok(t, at(2).RevokeAccessor(accessor))
		_, err := self.LookupSelf()
		refused(t, self, err, 403)
		_, err = at(3).LookupToken(token)
		refused(t, at(3), err, 403)
	})
}

func TestClientsTokenFamilies(t *testing.T) {
	withEach(t, func(t *testing.T, at func(int) sdk) {
		s := must[*secret](t)
		child := func(parent string) string {
			c := at(0)
			c.SetToken(parent)
			return s(c.CreateToken(tokenRequest{TTL: "1h", Policies: []string{"root"}})).Auth.ClientToken
		}
		alive := func(token string) bool {
			c := at(0)
			c.SetToken(token)
			_, err := c.LookupSelf()
			return err == nil
		}
		parent := s(at(0).CreateToken(tokenRequest{TTL: "1h", Policies: []string{"root"}})).Auth.ClientToken
		kid := child(parent)
		grandkid := child(kid)
		c := at(0)
		c.SetToken(kid)
		orphan := s(c.CreateOrphan(tokenRequest{TTL: "1h"})).Auth
		if !orphan.Orphan {
			t.Errorf("create-orphan made %+v", orphan)
		}
		ok(t, at(0).RevokeOrphan(parent)) // the kid lives on
		if alive(parent) || !alive(kid) || !alive(grandkid) {
			t.Errorf("after revoke-orphan: parent %v, child %v, grandchild %v; want only the parent dead", alive(parent), alive(kid), alive(grandkid))
		}
		if d := s(at(0).LookupToken(kid)).Data; d["orphan"] != true {
			t.Errorf("the child of a token that was revoked alone has orphan %v", d["orphan"])
		}
		ok(t, at(0).RevokeTree(kid))
		if alive(kid) || alive(grandkid) || !alive(orphan.ClientToken) {
			t.Errorf("after revoke: child %v, grandchild %v, orphan %v; want only the orphan alive", alive(kid), alive(grandkid), alive(orphan.ClientToken))
		}
		c.SetToken(orphan.ClientToken)
		ok(t, c.RevokeSelf())
		if alive(orphan.ClientToken) {
			t.Error("a token lives on after revoke-self")
		}
	})
}

func TestClientsTokenLimits(t *testing.T) {
	withEach(t, func(t *testing.T, at func(int) sdk) {
		s := must[*secret](t)
		uses := at(0)
		uses.SetToken(s(at(0).CreateToken(tokenRequest{TTL: "1h", NumUses: 3})).Auth.ClientToken)
		for left := 2; left >= 0; left-- {
			if d := s(uses.LookupSelf()).Data; fmt.Sprint(d["num_uses"]) != fmt.Sprint(max(left, -1)) && left > 0 {
				t.Errorf("num_uses is %v, want %d", d["num_uses"], left)
			}
		}
		_, err := uses.LookupSelf()
		refused(t, uses, err, 403)

		periodic := s(at(0).CreateToken(tokenRequest{Period: "1h"})).Auth
		if periodic.LeaseDuration != 3600 {
			t.Errorf("a token with a period of 1h lasts %d s", periodic.LeaseDuration)
		}
		if a := s(at(0).RenewToken(periodic.ClientToken, 24*3600)).Auth; a.LeaseDuration != 3600 {
			t.Errorf("a token with a period of 1h renews to %d s", a.LeaseDuration)
		}
		if d := s(at(0).LookupToken(periodic.ClientToken)).Data; fmt.Sprint(d["period"]) != "3600" {
			t.Errorf("lookup shows the period %v, want 3600", d["period"])
		}
		capped := s(at(0).CreateToken(tokenRequest{TTL: "3h", ExplicitMaxTTL: "2h"}))
		if capped.Auth.LeaseDuration != 7200 || len(capped.Warnings) != 1 {
			t.Errorf("ttl 3h with a maximum of 2h: %d s, warnings %q", capped.Auth.LeaseDuration, capped.Warnings)
		}
		bare := s(at(0).CreateToken(tokenRequest{TTL: "1h", Policies: []string{"x"}, NoDefaultPolicy: true})).Auth
		if fmt.Sprint(bare.Policies) != "[x]" {
			t.Errorf("policies without the default one: %v", bare.Policies)
		}
		chosen := s(at(0).CreateToken(tokenRequest{ID: unique("chosen"), TTL: "1h", NoParent: true})).Auth
		if !chosen.Orphan || !strings.HasPrefix(chosen.ClientToken, "chosen-") {
			t.Errorf("a token with an ID of its own and no parent: %+v", chosen)
		}
	})
}

func TestClientsPolicies(t *testing.T) {
	path := mount(t, "lease", nil)
	withEach(t, func(t *testing.T, at func(int) sdk) {
		name, text := unique("ops"), fmt.Sprintf(`
			path "%[1]s/*"       { capabilities = ["update"] }
			path "%[1]s/secret*" { capabilities = ["deny"] }
			path "sys/leases/lookup/*" { capabilities = ["list", "sudo"] }`, path)
		ok(t, at(1).PutPolicy(name, text))
		if got := must[string](t)(at(2).GetPolicy(name)); got != text {
			t.Errorf("read the policy %q, want %q", got, text)
		}
		all := must[[]string](t)(at(3).ListPolicies())
		if !slices.Contains(all, name) || !slices.Contains(all, "default") || !slices.Contains(all, "root") || !slices.IsSorted(all) {
			t.Errorf("policies %v, want default, root and %s, sorted", all, name)
		}
		token := must[*secret](t)(at(0).CreateToken(tokenRequest{TTL: "1h", Policies: []string{name}})).Auth.ClientToken
		as := func(node int) sdk { c := at(node); c.SetToken(token); return c }
		must[*secret](t)(as(1).Write(path+"/open", map[string]any{"ttl": "1h"}))
		_, err := as(2).Write(path+"/secret/x", map[string]any{"ttl": "1h"})
		refused(t, as(2), err, 403)
		must[*secret](t)(as(3).List("sys/leases/lookup/" + path)) // with sudo
		refused(t, as(1), as(1).RevokePrefix(path), 403)          // without
		if got := must[[]string](t)(as(2).CapabilitiesSelf(path + "/open")); fmt.Sprint(got) != "[update]" {
			t.Errorf("capabilities of %s/open: %v, want [update]", path, got)
		}
		if got := must[[]string](t)(as(3).CapabilitiesSelf(path + "/secret/x")); fmt.Sprint(got) != "[deny]" {
			t.Errorf("capabilities of %s/secret/x: %v, want [deny]", path, got)
		}
		ok(t, at(1).DeletePolicy(name))
		_, err = as(3).Write(path+"/open", map[string]any{"ttl": "1h"})
		refused(t, as(3), err, 403)
		if got := must[string](t)(at(2).GetPolicy(name)); got != "" {
			t.Errorf("a deleted policy reads %q", got)
		}
	})
}

func TestClientsMounts(t *testing.T) {
	withEach(t, func(t *testing.T, at func(int) sdk) {
		path := unique("mounted")
		ok(t, at(1).Mount(path, "lease", "10m", "1h"))
		refused(t, at(2), at(2).Mount(path, "lease", "", ""), 400)
		refused(t, at(2), at(2).Mount(unique("other"), "azure", "", ""), 400)
		entry, _ := must[map[string]any](t)(at(3).ListMounts())[path+"/"].(map[string]any)
		if entry["type"] != "lease" || entry["accessor"] == "" || entry["uuid"] == "" {
			t.Errorf("listed as %v", entry)
		}
		if cfg := must[map[string]any](t)(at(2).MountConfig(path)); fmt.Sprint(cfg["default_lease_ttl"], cfg["max_lease_ttl"]) != "600 3600" {
			t.Errorf("configured as %v, want 600 and 3600", cfg)
		}
		made := must[*secret](t)(at(1).Write(path+"/a", nil))
		if made.LeaseDuration != 600 {
			t.Errorf("a lease lasts %d s, want the mount's 600", made.LeaseDuration)
		}
		long := must[*secret](t)(at(2).Write(path+"/a", map[string]any{"ttl": "2h"}))
		if long.LeaseDuration != 3600 || len(long.Warnings) != 1 ||
			long.Warnings[0] != `TTL of "2h" exceeded the effective max_ttl of "1h"; TTL value is capped accordingly` {
			t.Errorf("a lease of 2h lasts %d s, warnings %q", long.LeaseDuration, long.Warnings)
		}
		ok(t, at(3).TuneMount(path, "20m", "40m"))
		if made := must[*secret](t)(at(1).Write(path+"/a", nil)); made.LeaseDuration != 1200 {
			t.Errorf("after tuning a lease lasts %d s, want 1200", made.LeaseDuration)
		}
		refused(t, at(2), at(2).TuneMount(path, "2h", "1h"), 400)
		ok(t, at(2).Unmount(path))
		if _, there := must[map[string]any](t)(at(1).ListMounts())[path+"/"]; there {
			t.Error("still listed after it was disabled")
		}
		_, err := at(3).Lookup(made.LeaseID)
		refused(t, at(3), err, 400)
		ok(t, at(1).Unmount(path)) // again: no error
	})
}

func TestClientsCluster(t *testing.T) {
	withEach(t, func(t *testing.T, at func(int) sdk) {
		leads := 0
		for node := 1; node <= 3; node++ {
			c := at(node)
			health := must[map[string]any](t)(c.Health())
			if health["initialized"] != true || health["sealed"] != false || health["version"] == "" || health["cluster_id"] == "" {
				t.Errorf("node %d: health %v", node, health)
			}
			leader := must[map[string]any](t)(c.Leader())
			if leader["ha_enabled"] != true || leader["leader_address"] == "" {
				t.Errorf("node %d: leader %v", node, leader)
			}
			if leader["is_self"] == true {
				leads++
				if health["standby"] != false || leader["leader_address"] != cluster.Nodes[node-1] {
					t.Errorf("node %d leads: health %v, leader %v", node, health, leader)
				}
			} else if health["standby"] != true {
				t.Errorf("node %d follows, and its health says %v", node, health)
			}
			seal := must[map[string]any](t)(c.SealStatus())
			if seal["type"] != "static" || seal["initialized"] != true || seal["sealed"] != false || fmt.Sprint(seal["t"], seal["n"]) != "0 0" {
				t.Errorf("node %d: seal-status %v", node, seal)
			}
			if !must[bool](t)(c.InitStatus()) {
				t.Errorf("node %d says it is not initialized", node)
			}
			servers := must[*secret](t)(c.Read("sys/storage/raft/configuration"))
			if n := strings.Count(fmt.Sprint(servers.Data["config"]), "voter:true"); n != 3 {
				t.Errorf("node %d: %v, want three voters", node, servers.Data)
			}
		}
		if leads != 1 {
			t.Errorf("%d nodes say that they lead, want 1", leads)
		}
	})
}

// TestClientsSnapshot: the clients check by themselves that the archive is complete.
func TestClientsSnapshot(t *testing.T) {
	withEach(t, func(t *testing.T, at func(int) sdk) {
		for node := 1; node <= 3; node++ {
			var archive strings.Builder
			ok(t, at(node).Snapshot(&archive))
			files := unpack(t, archive.String())
			for _, name := range []string{"meta.json", "state.bin", "SHA256SUMS", "SHA256SUMS.sealed"} {
				if len(files[name]) == 0 {
					t.Errorf("node %d: the snapshot has no %s, it has %v", node, name, files)
				}
			}
		}
	})
}

func TestClientsUnknownNamespace(t *testing.T) {
	withEach(t, func(t *testing.T, at func(int) sdk) {
		for node := 1; node <= 3; node++ {
			c := at(node)
			c.SetNamespace("no/such")
			_, err := c.LookupSelf()
			refused(t, c, err, 404)
		}
	})
}
