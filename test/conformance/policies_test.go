package conformance

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestClientsDenials: who is denied learns from the second text what is missing, at whichever node; who has no valid
// token learns nothing.
func TestClientsDenials(t *testing.T) {
	withEach(t, func(t *testing.T, at func(int) sdk) {
		base := mount(t, "kv", nil)
		for _, there := range []string{"/there", "/read/there"} {
			call(t, "PUT", base+there, map[string]any{"a": 1}).want(204)
		}
		name := policy(t, strings.ReplaceAll(`
			path "BASE/read/*" { capabilities = ["read"] }
			path "BASE/there"  { capabilities = ["create"] }
			path "BASE/new/*"  { capabilities = ["update"] }
			path "BASE/not/*"  { capabilities = ["deny"] }
			path "BASE/few/*"  {
				capabilities = ["create", "update"]
				allowed_parameters = { "size" = ["s", "m"] }
				required_parameters = ["size"]
			}
			path "sys/leases/revoke-prefix/*" { capabilities = ["update"] }`, "BASE", base))
		token := must[*secret](t)(at(0).CreateToken(tokenRequest{TTL: "1h", Policies: []string{name}})).Auth.ClientToken
		value := map[string]any{"a": 1}
		for _, c := range []struct {
			path, missing string
			data          map[string]any
		}{
			{base + "/x", `no policy has a rule for "BASE/x", which needs create,update`, value},
			// Who may neither create nor update is not told which it would be.
			{base + "/read/x", `the policy rule for "BASE/read/*" does not grant create,update on "BASE/read/x"`, value},
			{base + "/read/there", `the policy rule for "BASE/read/*" does not grant create,update on "BASE/read/there"`, value},
			{base + "/there", `the policy rule for "BASE/there" does not grant update on "BASE/there"`, value},
			{base + "/new/x", `the policy rule for "BASE/new/*" does not grant create on "BASE/new/x"`, value},
			{base + "/not/x", `the policy rule for "BASE/not/*" denies "BASE/not/x"`, value},
			{base + "/few/x", `the policy rule for "BASE/few/*" does not allow this request: parameter "size"`, map[string]any{"size": "xl"}},
			{base + "/few/x", `the policy rule for "BASE/few/*" does not allow this request: parameter "size"`, value},
			{"sys/leases/revoke-prefix/" + base, `the policy rule for "sys/leases/revoke-prefix/*" does not grant sudo on "sys/leases/revoke-prefix/BASE"`, nil},
		} {
			for node := 1; node <= 3; node++ {
				self := at(node)
				self.SetToken(token)
				_, err := self.Write(c.path, c.data)
				refused(t, self, err, 403)
				if want := "* " + strings.ReplaceAll(c.missing, "BASE", base); lastLine(err) != want || !strings.Contains(err.Error(), "* permission denied") {
					t.Errorf("writing %s at node %d is refused with\n%v\nwant %q", c.path, node, err, want)
				}
			}
		}
		must[*secret](t)(as(at, token).Write(base+"/few/x", map[string]any{"size": "m"}))
		for _, nobody := range []string{"lhs.unknown", ""} {
			c := at(0)
			c.SetToken(nobody)
			_, err := c.Write(base+"/x", value)
			refused(t, c, err, 403)
			if lastLine(err) != "* permission denied" || strings.Contains(err.Error(), base+`"`) {
				t.Errorf("without a token: %v, want nothing but that it is denied", err)
			}
		}
	})
}

// TestClientsOwnLeases: the built-in policy lets a token look up and renew its leases and those of its descendants, in
// the forms that the clients send; the leases of others look as if they were not there.
func TestClientsOwnLeases(t *testing.T) {
	path := mount(t, "lease", nil)
	withEach(t, func(t *testing.T, at func(int) sdk) {
		s := must[*secret](t)
		user := policy(t, fmt.Sprintf(`
			path "%s/*"              { capabilities = ["update"] }
			path "auth/token/create" { capabilities = ["update"] }
			path "sys/leases/revoke/*" { capabilities = ["update"]  lease_scope = "own" }`, path))
		parent := s(at(0).CreateToken(tokenRequest{TTL: "1h", Policies: []string{user}})).Auth.ClientToken
		child := s(as(at, parent).CreateToken(tokenRequest{TTL: "1h"})).Auth.ClientToken
		sibling := s(at(0).CreateToken(tokenRequest{TTL: "1h", Policies: []string{user}})).Auth.ClientToken
		lease := func(token string) string {
			return s(as(at, token).Write(path+"/a", map[string]any{"ttl": "1h"})).LeaseID
		}
		own, below, others := lease(parent), lease(child), lease(sibling)
		missing := path + "/a/000000000000000000000000"

		for node := 1; node <= 3; node++ {
			self := at(node)
			self.SetToken(parent)
			for _, id := range []string{own, below} {
				s(self.Lookup(id))
				s(self.Renew(id, 600))
			}
			verbs := map[string]func(id string) error{
				"lookup": func(id string) error { _, err := self.Lookup(id); return err },
				"renew":  func(id string) error { _, err := self.Renew(id, 60); return err },
				"revoke": func(id string) error { return self.RevokeWith(id, false, false, true) },
			}
			for name, verb := range verbs {
				there, not := verb(others), verb(missing)
				refused(t, self, there, 403)
				refused(t, self, not, 403)
				if lastLine(there) != lastLine(not) {
					t.Errorf("%s at node %d tells a lease of somebody else (%v) from none (%v)", name, node, there, not)
				}
			}
			kid := at(node)
			kid.SetToken(child)
			_, err := kid.Lookup(own) // what is above is not its own
			refused(t, kid, err, 403)
		}
		if d := s(as(at, sibling).Lookup(others)).Data; fmt.Sprint(d["ttl"]) == "60" {
			t.Error("a renewal that was refused happened")
		}
		ok(t, as(at, parent).RevokeWith(below, false, false, true))
		ok(t, as(at, parent).RevokeWith(own, false, false, true))
		_, err := at(0).Lookup(below)
		refused(t, at(0), err, 400)
	})
}

// TestClientsChangedPolicies: a policy counts as it is now, at all nodes at once; so does its end.
func TestClientsChangedPolicies(t *testing.T) {
	withEach(t, func(t *testing.T, at func(int) sdk) {
		name := unique("changing")
		token := must[*secret](t)(at(0).CreateToken(tokenRequest{TTL: "1h", Policies: []string{name}})).Auth.ClientToken
		may := func(node int) bool {
			c := at(node)
			c.SetToken(token)
			_, err := c.Read("sys/policies/acl/" + name)
			if err != nil {
				refused(t, c, err, 403)
			}
			return err == nil
		}
		for round := range 6 {
			granted := round%2 == 0
			writer := at(round%3 + 1)
			if granted {
				ok(t, writer.PutPolicy(name, fmt.Sprintf(`{"path": {"sys/policies/acl/%s": {"capabilities": ["read"]}}}`, name)))
			} else if round == 3 {
				ok(t, writer.DeletePolicy(name))
			} else {
				ok(t, writer.PutPolicy(name, `path "elsewhere" { capabilities = ["read"] }`))
			}
			for node := 1; node <= 3; node++ {
				if may(node) != granted {
					t.Errorf("round %d: node %d goes by a policy of before", round, node)
				}
			}
		}
		ok(t, at(1).DeletePolicy(name))
		if all := must[[]string](t)(at(2).ListPolicies()); slices.Contains(all, name) {
			t.Errorf("a deleted policy is listed: %v", all)
		}
		for _, bad := range []string{`path "a" { capabilities = ["fly"] }`, `path "a" {`, `path "{{identity.entity.id}}" { capabilities = ["read"] }`} {
			refused(t, at(3), at(3).PutPolicy(name, bad), 400)
		}
		refused(t, at(1), at(1).DeletePolicy("root"), 400)
		refused(t, at(1), at(1).PutPolicy("root", `path "a" {}`), 400)
	})
}
