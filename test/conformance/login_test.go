package conformance

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// authMethod enables an auth method at a path of its own and takes it away after the test.
func authMethod(t testing.TB, method string, options map[string]string) string {
	t.Helper()
	path := unique(method)
	call(t, "POST", "sys/auth/"+path, map[string]any{"type": method, "options": options}).want(204)
	t.Cleanup(func() { call(t, "DELETE", "sys/auth/"+path, nil).want(204) })
	return path
}

// proof is what somebody logs in with.
type proof struct {
	path   string
	params map[string]any
}

// by logs in through a client, as a person or a machine does that has no token yet.
func (p proof) by(c sdk) (*secret, error) {
	c.ClearToken()
	return c.Write(p.path, p.params)
}

// person makes a user of a userpass method.
func person(t testing.TB, method, name string, params map[string]any) proof {
	t.Helper()
	fields := map[string]any{"password": "open sesame"}
	for key, value := range params {
		fields[key] = value
	}
	call(t, "POST", "auth/"+method+"/users/"+name, fields).want(204)
	return proof{"auth/" + method + "/login/" + name, map[string]any{"password": fields["password"]}}
}

// machine makes a role of an approle method, and a secret_id of it.
func machine(t testing.TB, method, role string, params map[string]any) proof {
	t.Helper()
	path := "auth/" + method + "/role/" + role
	call(t, "POST", path, params).want(204)
	return proof{"auth/" + method + "/login", map[string]any{
		"role_id":   call(t, "GET", path+"/role-id", nil).want(200).text("data.role_id"),
		"secret_id": call(t, "POST", path+"/secret-id", nil).want(200).text("data.secret_id"),
	}}
}

// as makes a client of the next node with a token.
func as(at func(int) sdk, token string) sdk {
	c := at(0)
	c.SetToken(token)
	return c
}

// dead fails the test if a token still works at any node.
func dead(t *testing.T, at func(int) sdk, token string) {
	t.Helper()
	for node := 1; node <= 3; node++ {
		c := at(node)
		c.SetToken(token)
		_, err := c.LookupSelf()
		refused(t, c, err, 403)
	}
}

func TestClientsAuthMethods(t *testing.T) {
	rules := policy(t, `path "auth/token/create" { capabilities = ["update"] }`)
	withEach(t, func(t *testing.T, at func(int) sdk) {
		for _, method := range []string{"userpass", "approle"} {
			t.Run(method, func(t *testing.T) {
				path := unique(method)
				ok(t, at(1).EnableAuth(path, method, "for the tests", "10m"))
				refused(t, at(2), at(2).EnableAuth(path, method, "", ""), 400)
				refused(t, at(3), at(3).EnableAuth(unique("other"), "ldap", "", ""), 400)
				entry, _ := must[map[string]any](t)(at(3).ListAuth())[path+"/"].(map[string]any)
				if entry["type"] != method || entry["description"] != "for the tests" || entry["accessor"] == "" || entry["uuid"] == "" {
					t.Errorf("listed as %v", entry)
				}
				if cfg, _ := entry["config"].(map[string]any); fmt.Sprint(cfg["default_lease_ttl"]) != "600" {
					t.Errorf("listed with the configuration %v, want a default TTL of 600 s", cfg)
				}
				ok(t, at(2).TuneMount("auth/"+path, "20m", "40m"))
				if cfg := must[map[string]any](t)(at(3).MountConfig("auth/" + path)); fmt.Sprint(cfg["default_lease_ttl"], cfg["max_lease_ttl"]) != "1200 2400" {
					t.Errorf("tuned to %v, want 1200 and 2400", cfg)
				}
				fields := map[string]any{"token_policies": rules}
				p := map[string]func() proof{
					"userpass": func() proof { return person(t, path, "ann", fields) },
					"approle":  func() proof { return machine(t, path, "ci", fields) },
				}[method]()
				made := must[*secret](t)(p.by(at(1)))
				if made.Auth.LeaseDuration != 1200 || !made.Auth.Renewable || !made.Auth.Orphan {
					t.Errorf("logged in as %+v, want a renewable token without a parent for the method's 1200 s", made.Auth)
				}
				child := must[*secret](t)(as(at, made.Auth.ClientToken).CreateToken(tokenRequest{TTL: "1h"})).Auth
				ok(t, at(2).DisableAuth(path))
				dead(t, at, made.Auth.ClientToken)
				dead(t, at, child.ClientToken)
				for node := 1; node <= 3; node++ {
					c := at(node)
					_, err := p.by(c)
					refused(t, c, err, 403)
				}
				if _, there := must[map[string]any](t)(at(1).ListAuth())[path+"/"]; there {
					t.Error("still listed after it was disabled")
				}
				ok(t, at(3).DisableAuth(path)) // again: no error
			})
		}
	})
}

func TestClientsUserpass(t *testing.T) {
	withEach(t, func(t *testing.T, at func(int) sdk) {
		s := must[*secret](t)
		path := authMethod(t, "userpass", nil)
		rules := policy(t, `path "auth/token/create" { capabilities = ["update"] }`)
		ann := person(t, path, "ann", map[string]any{"token_policies": rules, "token_ttl": "1h", "token_max_ttl": "2h"})
		anna := person(t, path, "anna", nil) // whose name begins alike

		var tokens []string
		for node := 1; node <= 3; node++ {
			made := s(ann.by(at(node))).Auth
			if made.LeaseDuration != 3600 || made.Metadata["username"] != "ann" || fmt.Sprint(made.Policies) != fmt.Sprint([]string{"default", rules}) {
				t.Errorf("node %d: logged in as %+v", node, made)
			}
			tokens = append(tokens, made.ClientToken)
		}
		d := s(as(at, tokens[0]).LookupSelf()).Data
		if d["path"] != "auth/"+path+"/login/ann" || d["display_name"] != path+"-ann" || fmt.Sprint(d["meta"]) != "map[username:ann]" || d["orphan"] != true {
			t.Errorf("lookup-self after a login: %v", d)
		}
		if r := s(as(at, tokens[1]).RenewSelf(600)).Auth; r.LeaseDuration != 600 || r.ClientToken != tokens[1] {
			t.Errorf("renewed to %+v, want the same token with 600 s", r)
		}
		if r := s(as(at, tokens[1]).RenewSelf(24 * 3600)).Auth; r.LeaseDuration > 7200 || r.LeaseDuration < 7100 {
			t.Errorf("renewed to %d s, want what is left of the user's 2h", r.LeaseDuration)
		}
		if keys := s(at(2).List("sys/leases/lookup/auth/" + path + "/login/ann")).Data["keys"].([]any); len(keys) != 3 {
			t.Errorf("three logins leased %v", keys)
		}

		child := s(as(at, tokens[2]).CreateToken(tokenRequest{TTL: "1h"})).Auth.ClientToken
		other := s(anna.by(at(0))).Auth.ClientToken
		ok(t, at(3).RevokePrefix("auth/"+path+"/login/ann"))
		for _, token := range append(tokens, child) {
			dead(t, at, token)
		}
		s(as(at, other).LookupSelf())
		s(ann.by(at(0))) // a new login is a new token
	})
}

// What is wrong with a login is told in one way.
func TestClientsWrongLogins(t *testing.T) {
	withEach(t, func(t *testing.T, at func(int) sdk) {
		path, roles := authMethod(t, "userpass", map[string]string{"lockout_disable": "true"}), authMethod(t, "approle", nil)
		ann := person(t, path, "ann", nil)
		texts := make(map[string]bool)
		for node, p := range []proof{
			1: {ann.path, map[string]any{"password": "close sesame"}},
			2: {ann.path + "x", ann.params},
			3: {ann.path, nil},
		} {
			if node == 0 {
				continue
			}
			c := at(node)
			_, err := p.by(c)
			refused(t, c, err, 400)
			texts[lastLine(err)] = true
		}
		if len(texts) != 1 || !texts["* invalid username or password"] {
			t.Errorf("wrong passwords and users are refused with %v, want one text for all", texts)
		}
		ci := machine(t, roles, "ci", nil)
		for _, wrong := range []map[string]any{
			{"role_id": ci.params["role_id"], "secret_id": "x"}, {"role_id": "x", "secret_id": ci.params["secret_id"]},
			{"role_id": ci.params["secret_id"], "secret_id": ci.params["role_id"]},
		} {
			c := at(0)
			_, err := proof{ci.path, wrong}.by(c)
			refused(t, c, err, 400)
			if lastLine(err) != "* invalid role or secret ID" {
				t.Errorf("the role and secret ID %v are refused with %v", wrong, err)
			}
		}
		call(t, "POST", "auth/"+path+"/users/ann/password", map[string]any{"password": "new"}).want(204)
		for node := 1; node <= 3; node++ {
			c := at(node)
			_, err := ann.by(c)
			refused(t, c, err, 400)
			must[*secret](t)(proof{ann.path, map[string]any{"password": "new"}}.by(at(node)))
		}
	})
}

// lastLine is where the clients print the server's text.
func lastLine(err error) string {
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// TestClientsLockOut: failures are counted by the cluster, not by a node.
func TestClientsLockOut(t *testing.T) {
	withEach(t, func(t *testing.T, at func(int) sdk) {
		path := authMethod(t, "userpass", map[string]string{"lockout_threshold": "4"})
		ann, bob := person(t, path, "ann", nil), person(t, path, "bob", nil)
		wrong := proof{ann.path, map[string]any{"password": "close sesame"}}
		for try := range 4 {
			c := at(try%3 + 1)
			_, err := wrong.by(c)
			refused(t, c, err, 400)
			if try == 2 { // the right password takes nothing away from the count of who guesses on
				must[*secret](t)(bob.by(at(3)))
			}
		}
		for node := 1; node <= 3; node++ {
			c := at(node)
			_, err := ann.by(c)
			refused(t, c, err, 403)
			must[*secret](t)(bob.by(at(node)))
		}
		must[*secret](t)(at(2).Write("auth/"+path+"/users/ann/unlock", nil))
		must[*secret](t)(ann.by(at(3)))
	})
}

// TestLockOutUnderARace: of many who guess at once at all nodes, as many are told that they were wrong as
// the threshold says. The lock ends by itself.
func TestLockOutUnderARace(t *testing.T) {
	t.Parallel() // it waits
	const threshold = 5
	path := authMethod(t, "userpass", map[string]string{"lockout_threshold": fmt.Sprint(threshold), "lockout_duration": "4s"})
	ann := person(t, path, "ann", nil)
	statuses := make([]int, 15)
	var all sync.WaitGroup
	begin := make(chan struct{})
	for i := range statuses {
		all.Go(func() {
			<-begin
			r, err := request{node: i%3 + 1, method: "POST", path: "/v1/" + ann.path, token: anonymous, body: map[string]any{"password": fmt.Sprint("guess ", i)}}.do()
			if err != nil {
				t.Error(err)
				return
			}
			statuses[i] = r.status
		})
	}
	close(begin)
	all.Wait()
	slices.Sort(statuses)
	want := append(slices.Repeat([]int{400}, threshold), slices.Repeat([]int{403}, len(statuses)-threshold)...)
	if !slices.Equal(statuses, want) {
		t.Errorf("the guesses were answered %v, want %v", statuses, want)
	}
	right := request{method: "POST", path: "/v1/" + ann.path, token: anonymous, body: ann.params}
	send(t, right).wantError(403, "permission denied")
	time.Sleep(3500 * time.Millisecond)
	eventually(t, 10*time.Second, "the right password lets ann in again", func() bool { return send(t, right).status == 200 })
}

func TestClientsAppRole(t *testing.T) {
	withEach(t, func(t *testing.T, at func(int) sdk) {
		s := must[*secret](t)
		path := authMethod(t, "approle", nil)
		ci := machine(t, path, "ci", map[string]any{"token_policies": "ops", "token_ttl": "30m", "secret_id_num_uses": 3, "secret_id_ttl": "1h"})
		role := "auth/" + path + "/role/ci"
		contest{calls: 30, wins: 3, status: 400}.run(t, at, func() func(sdk) error {
			fresh := proof{ci.path, map[string]any{"role_id": ci.params["role_id"], "secret_id": s(at(0).Write(role+"/secret-id", nil)).Data["secret_id"]}}
			return func(c sdk) error { _, err := fresh.by(c); return err }
		})

		made := s(at(1).Write(role+"/secret-id", map[string]any{"metadata": `{"host":"ci-7"}`})).Data
		look := s(at(2).Write(role+"/secret-id-accessor/lookup", map[string]any{"secret_id_accessor": made["secret_id_accessor"]})).Data
		if fmt.Sprint(look["secret_id_num_uses"], look["metadata"]) != "3 map[host:ci-7]" || look["secret_id"] != nil {
			t.Errorf("looked up by its accessor the secret_id is %v", look)
		}
		ci.params["secret_id"] = made["secret_id"]
		auth := s(ci.by(at(3))).Auth
		if auth.LeaseDuration != 1800 || auth.Metadata["role_name"] != "ci" || auth.Metadata["host"] != "ci-7" || fmt.Sprint(auth.Policies) != "[default ops]" {
			t.Errorf("logged in as %+v", auth)
		}
		if a := s(as(at, auth.ClientToken).RenewSelf(0)).Auth; a.LeaseDuration != 1800 {
			t.Errorf("renewed to %d s, want the role's 1800", a.LeaseDuration)
		}
		s(at(1).Write(role+"/secret-id/destroy", map[string]any{"secret_id": made["secret_id"]}))
		c := at(2)
		_, err := ci.by(c)
		refused(t, c, err, 400)
		s(as(at, auth.ClientToken).LookupSelf()) // what it earned before is its own
	})
}

// TestClientsWrappedSecretID hands a secret_id to a machine as Vault's guides say: whoever passes it on
// cannot use it unseen.
func TestClientsWrappedSecretID(t *testing.T) {
	withEach(t, func(t *testing.T, at func(int) sdk) {
		path := authMethod(t, "approle", nil)
		ci := machine(t, path, "ci", nil)
		operator := at(1)
		operator.Wrap("auth/"+path+"/role/ci/secret-id", "2m")
		wrapped := must[*secret](t)(operator.Write("auth/"+path+"/role/ci/secret-id", nil))
		if wrapped.WrapInfo == nil || wrapped.WrapInfo.TTL != 120 || wrapped.Data != nil {
			t.Fatalf("a wrapped secret_id is answered as %+v", wrapped)
		}
		c := at(2)
		c.ClearToken()
		opened := must[*secret](t)(c.Unwrap(wrapped.WrapInfo.Token))
		ci.params["secret_id"] = opened.Data["secret_id"]
		must[*secret](t)(ci.by(at(3)))
		_, err := at(1).Unwrap(wrapped.WrapInfo.Token)
		refused(t, at(1), err, 400)
	})
}

// TestClientsLimitedUses: a use is taken once, however many ask for it where.
func TestClientsLimitedUses(t *testing.T) {
	withEach(t, func(t *testing.T, at func(int) sdk) {
		contest{calls: 100, wins: 40, status: 403}.run(t, at, func() func(sdk) error {
			made := must[*secret](t)(at(0).CreateToken(tokenRequest{TTL: "1h", NumUses: 40})).Auth
			return func(c sdk) error { c.SetToken(made.ClientToken); _, err := c.LookupSelf(); return err }
		})
	})
}
