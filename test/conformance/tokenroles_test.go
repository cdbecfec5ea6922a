package conformance

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestClientsTokenRoles(t *testing.T) {
	withEach(t, func(t *testing.T, at func(int) sdk) {
		s := must[*secret](t)
		role := unique("role")
		path := "auth/token/roles/" + role
		s(at(1).Write(path, map[string]any{"allowed_policies": []string{"deploy", "build"}, "disallowed_policies_glob": "*-admin",
			"orphan": true, "token_period": "30m", "token_explicit_max_ttl": "2h", "path_suffix": "nightly"}))
		d := s(at(2).Read(path)).Data
		if d["name"] != role || fmt.Sprint(d["allowed_policies"]) != "[build deploy]" || d["orphan"] != true || d["renewable"] != true ||
			fmt.Sprint(d["token_period"], d["token_explicit_max_ttl"]) != "1800 7200" || d["path_suffix"] != "nightly" {
			t.Errorf("the role reads %v", d)
		}
		if keys := s(at(3).List("auth/token/roles")).Data["keys"]; !slices.Contains(keys.([]any), any(role)) {
			t.Errorf("the roles are %v, want %s among them", keys, role)
		}

		// Who may use the role need not have what it gives.
		rules := policy(t, fmt.Sprintf(`path "auth/token/create/%s" { capabilities = ["update"] }`, role))
		ci := s(at(0).CreateToken(tokenRequest{TTL: "1h", Policies: []string{rules}})).Auth.ClientToken
		made := s(as(at, ci).CreateWithRole(tokenRequest{Policies: []string{"deploy"}}, role)).Auth
		if fmt.Sprint(made.Policies) != "[default deploy]" || !made.Orphan || made.LeaseDuration != 1800 {
			t.Errorf("made by the role: %+v", made)
		}
		if all := s(as(at, ci).CreateWithRole(tokenRequest{}, role)).Auth.Policies; fmt.Sprint(all) != "[build default deploy]" {
			t.Errorf("a token of the role without a choice has %v, want all that it allows", all)
		}
		look := s(at(1).LookupToken(made.ClientToken)).Data
		if look["role"] != role || look["path"] != "auth/token/create/"+role+"/nightly" || fmt.Sprint(look["explicit_max_ttl"], look["period"]) != "7200 1800" {
			t.Errorf("a token of the role looks up as %v", look)
		}
		for _, denied := range []string{"root", "ops", "x-admin"} {
			c := as(at, ci)
			_, err := c.CreateWithRole(tokenRequest{Policies: []string{denied}}, role)
			refused(t, c, err, 400)
		}
		c := as(at, ci)
		_, err := c.CreateToken(tokenRequest{}) // without the role it may not
		refused(t, c, err, 403)

		ok(t, at(2).RevokeTree(ci)) // orphans live on
		if a := s(at(3).RenewToken(made.ClientToken, 24*3600)).Auth; a.LeaseDuration != 1800 {
			t.Errorf("renewed to %d s, want the role's period", a.LeaseDuration)
		}
		ok(t, at(1).RevokePrefix("auth/token/create/"+role))
		dead(t, at, made.ClientToken)

		last := s(at(2).CreateWithRole(tokenRequest{}, role)).Auth.ClientToken
		ok(t, at(3).Delete(path))
		if gone := s(at(1).Read(path)); gone != nil {
			t.Errorf("a deleted role reads %v", gone.Data)
		}
		_, err = at(2).CreateWithRole(tokenRequest{}, role)
		refused(t, at(2), err, 400)
		_, err = at(3).RenewToken(last, 0) // nobody answers for it any more
		refused(t, at(3), err, 400)
		ok(t, at(1).RevokeTree(last))
	})
}

func TestClientsAccessors(t *testing.T) {
	withEach(t, func(t *testing.T, at func(int) sdk) {
		s := must[*secret](t)
		made := s(at(1).CreateToken(tokenRequest{TTL: "1h", Policies: []string{"default"}})).Auth
		child := s(at(2).CreateToken(tokenRequest{TTL: "1h"})).Auth
		listed := func(node int) []any { return s(at(node).List("auth/token/accessors")).Data["keys"].([]any) }
		for node := 1; node <= 3; node++ {
			if keys := listed(node); !slices.Contains(keys, any(made.Accessor)) || !slices.Contains(keys, any(child.Accessor)) {
				t.Errorf("node %d lists %d accessors and not the new ones", node, len(keys))
			}
		}
		if d := s(at(3).LookupAccessor(made.Accessor)).Data; d["id"] != "" || fmt.Sprint(d["policies"]) != "[default]" {
			t.Errorf("looked up by its accessor the token is %v", d)
		}
		if a := s(at(1).RenewAccessor(made.Accessor, 600)).Auth; a.LeaseDuration != 600 || a.ClientToken != "" {
			t.Errorf("renewed by its accessor: %+v, want 600 s and no token", a)
		}
		self := as(at, made.ClientToken) // an accessor is no right
		_, err := self.LookupAccessor(child.Accessor)
		refused(t, self, err, 403)
		refused(t, self, self.RevokeAccessor(child.Accessor), 403)
		_, err = self.List("auth/token/accessors")
		refused(t, self, err, 403)
		_, err = as(at, made.Accessor).LookupSelf() // nor a token
		refused(t, self, err, 403)

		ok(t, at(2).RevokeAccessor(made.Accessor))
		dead(t, at, made.ClientToken)
		if slices.Contains(listed(3), any(made.Accessor)) {
			t.Error("the accessor of a revoked token is still listed")
		}
		for _, unknown := range []string{made.Accessor, "never-was"} {
			c := at(0)
			_, err := c.LookupAccessor(unknown)
			refused(t, c, err, 403)
		}
		s(as(at, child.ClientToken).LookupSelf())
	})
}

// TestClientsCapabilities asks for those of a token in the three ways, at every node.
func TestClientsCapabilities(t *testing.T) {
	withEach(t, func(t *testing.T, at func(int) sdk) {
		base := unique("some")
		name := policy(t, strings.ReplaceAll(`
			path "BASE/*"        { capabilities = ["read", "list"] }
			path "BASE/+/own"    { capabilities = ["create", "update", "delete", "sudo"] }
			path "BASE/secret/*" { capabilities = ["deny"] }`, "BASE", base))
		made := must[*secret](t)(at(0).CreateToken(tokenRequest{TTL: "1h", Policies: []string{name}})).Auth
		for path, want := range map[string]string{
			base + "/a": "[list read]", base + "/a/own": "[create delete sudo update]", base + "/secret/a": "[deny]", "elsewhere": "[deny]",
		} {
			for node := 1; node <= 3; node++ {
				self := at(node)
				self.SetToken(made.ClientToken)
				for way, got := range map[string][]string{
					"capabilities":          must[[]string](t)(at(node).Capabilities(made.ClientToken, path)),
					"capabilities-accessor": must[[]string](t)(at(node).CapabilitiesAccessor(made.Accessor, path)),
					"capabilities-self":     must[[]string](t)(self.CapabilitiesSelf(path)),
				} {
					if fmt.Sprint(got) != want {
						t.Errorf("node %d: %s of %s are %v, want %s", node, way, path, got, want)
					}
				}
			}
		}
		if got := must[[]string](t)(at(0).CapabilitiesSelf("sys/mounts")); fmt.Sprint(got) != "[root]" {
			t.Errorf("the root token's capabilities are %v", got)
		}
		self := as(at, made.ClientToken) // to ask about others is a right of its own
		_, err := self.Capabilities(cluster.Token, base)
		refused(t, self, err, 403)
		_, err = self.CapabilitiesAccessor(made.Accessor, base)
		refused(t, self, err, 403)
		acl := must[*secret](t)(as(at, made.ClientToken).Read("sys/internal/ui/resultant-acl")).Data
		if globs, _ := acl["glob_paths"].(map[string]any); acl["root"] != false || globs[base+"/"] == nil {
			t.Errorf("the rules in force are %v, want one for %s/", acl, base)
		}
		for _, unknown := range []string{"lhs.unknown", made.Accessor} {
			c := at(0)
			if _, err := c.Capabilities(unknown, base); err == nil {
				t.Errorf("capabilities of the unknown token %s are answered", unknown)
			}
		}
	})
}
