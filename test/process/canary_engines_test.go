package process

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/leasehold/leasehold/backend/aws/awstest"
	"github.com/leasehold/leasehold/backend/database/dbtest"
)

// farText is longer than the text of an error may be: what follows it is cut off (T12).
var farText = strings.Repeat("far ", 100)

// keep adds a secret that was made by somebody else.
func (s canaries) keep(t *testing.T, name, secret string) string {
	t.Helper()
	if len(secret) < 8 {
		t.Fatalf("%s: got %q, want a secret that can be looked for", name, secret)
	}
	s[name] = secret
	return secret
}

// quiet sends a request that is to fail, with an answer that holds no canary.
func (c *cluster) quiet(t *testing.T, secrets canaries, node int, method, path, body string) {
	t.Helper()
	r := c.send(node, method, path, body)
	if r.status < 400 {
		t.Fatalf("%s %s: got %v, want a failure", method, path, r)
	}
	secrets.find(t, "answer to "+method+" "+path, []byte(r.body))
}

// wantLogged makes sure that what went wrong was told: a scan of logs that say nothing finds nothing.
func (c *cluster) wantLogged(t *testing.T, text string) {
	t.Helper()
	for node := range c.Nodes {
		if strings.Contains(c.log(node+1), text) {
			return
		}
	}
	t.Errorf("no log says %q: this scan sees nothing", text)
}

// plantDatabase sets up a connection to a real PostgreSQL with every field that is secret, rotates its
// password, makes logins in both ways, and lets the server repeat secrets in its errors.
func (c *cluster) plantDatabase(t *testing.T, secrets canaries) {
	t.Helper()
	srv := dbtest.StartPostgres(t)
	inField, inURL := secrets.plant("account's password"), secrets.plant("password in a URL")
	srv.Exec(t, `CREATE ROLE one LOGIN SUPERUSER PASSWORD '`+inField+`'`, `CREATE ROLE two LOGIN SUPERUSER PASSWORD '`+inURL+`'`,
		`CREATE TABLE rotated (password text)`,
		`CREATE FUNCTION repeat_login(text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the login wants %', $1; END $$`,
		`CREATE FUNCTION repeat_account(text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
			RAISE EXCEPTION 'the account has % %', (SELECT password FROM rotated), $1; END $$`)
	cert, key := keyPair(t)
	secrets["database key's text"] = strings.Split(key, "\n")[1]
	c.must(204, 1, "POST", "sys/mounts/db", `{"type":"database","config":{"revoke_attempts":1}}`)
	c.connect(t, "one", map[string]any{"connection_url": srv.URL(srv.Addr), "username": "one", "password": inField,
		"tls_ca": srv.CA, "tls_certificate": cert, "private_key": key,
		"root_rotation_statements": []string{`ALTER ROLE "{{username}}" PASSWORD '{{password}}'`, `INSERT INTO rotated VALUES ('{{password}}')`}})
	c.connect(t, "two", map[string]any{"password_authentication": "scram-sha-256",
		"connection_url": "postgresql://two:" + inURL + "@" + srv.Addr + "/" + srv.Database + "?sslmode=disable"})
	for _, name := range []string{"one", "two"} {
		secrets.find(t, "answer to a read of a connection", []byte(c.must(200, 2, "GET", "db/config/"+name, "").body))
	}
	c.must(204, 2, "POST", "db/rotate-root/one", "")
	secrets.keep(t, "rotated password", srv.Column(t, `SELECT password FROM rotated`)[0])
	c.databaseLogins(t, secrets, srv)
	c.databaseErrors(t, secrets, srv)
}

// connect writes a connection of the mount "db".
func (c *cluster) connect(t *testing.T, name string, config map[string]any) {
	t.Helper()
	config["plugin_name"], config["allowed_roles"] = "postgresql-database-plugin", "*"
	c.must(204, 1, "POST", "db/config/"+name, object(t, config))
}

// databaseRole writes a role of the mount "db".
func (c *cluster) databaseRole(t *testing.T, name, connection string, more map[string]any) {
	t.Helper()
	role := map[string]any{"db_name": connection, "default_ttl": "1h",
		"creation_statements": `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`}
	for field, value := range more {
		role[field] = value
	}
	c.must(204, 1, "POST", "db/roles/"+name, object(t, role))
}

func (c *cluster) databaseLogins(t *testing.T, secrets canaries, srv *dbtest.Server) {
	t.Helper()
	for i, connection := range []string{"one", "two"} {
		c.databaseRole(t, "on-"+connection, connection, nil)
		r := c.must(200, i+1, "GET", "db/creds/on-"+connection, "")
		user := r.field("data.username")
		secrets.keep(t, "login's password of "+connection, r.field("data.password"))
		verifier := srv.Column(t, `SELECT rolpassword FROM pg_authid WHERE rolname = $1`, user)[0]
		secrets.keep(t, "login's verifier of "+connection, verifier)
		c.must(200, 3, "PUT", "sys/leases/renew", `{"lease_id":"`+r.field("lease_id")+`","increment":7200}`)
		session, err := srv.Login(t.Context(), user, r.field("data.password"))
		if err != nil {
			t.Fatalf("log in as %s: %v", user, err)
		}
		if err := session.Close(); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			c.must(204, 1, "PUT", "sys/leases/revoke", `{"lease_id":"`+r.field("lease_id")+`","sync":true}`)
		}
	}
}

// databaseErrors has the server refuse with texts that repeat what they were told, and connections fail
// with secrets in their settings.
func (c *cluster) databaseErrors(t *testing.T, secrets canaries, srv *dbtest.Server) {
	t.Helper()
	create := `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}'`
	c.databaseRole(t, "repeats", "one", map[string]any{"creation_statements": []string{create, `SELECT repeat_login('{{password}}')`}})
	before := len(srv.Log())
	c.quiet(t, secrets, 2, "GET", "db/creds/repeats", "")
	_, words, said := strings.Cut(srv.Log()[before:], "the login wants ")
	if !said {
		t.Fatalf("the server's log has no refused login: %s", srv.Log()[before:])
	}
	secrets.keep(t, "password of a login that was refused", strings.Fields(words)[0])

	c.databaseRole(t, "stays", "one", map[string]any{"revocation_statements": []string{`SELECT repeat_account('{{name}}')`}})
	id := c.must(200, 1, "GET", "db/creds/stays", "").field("lease_id")
	c.quiet(t, secrets, 2, "PUT", "sys/leases/revoke", `{"lease_id":"`+id+`","sync":true}`)
	c.wantLogged(t, "the account has [redacted]")

	far := secrets.plant("what a server says at length")
	srv.Exec(t, `CREATE FUNCTION talk() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '`+farText+far+`'; END $$`)
	c.databaseRole(t, "talks", "two", map[string]any{"revocation_statements": []string{`SELECT talk()`},
		"creation_statements": []string{create}})
	id = c.must(200, 1, "GET", "db/creds/talks", "").field("lease_id")
	c.quiet(t, secrets, 3, "PUT", "sys/leases/revoke", `{"lease_id":"`+id+`","sync":true}`)
	secrets.find(t, "list of what is irrevocable", []byte(c.must(200, 1, "GET", "sys/leases?type=irrevocable", "").body))
	c.wantLogged(t, "far far far")

	config := func(url, password string) string {
		return object(t, map[string]any{"plugin_name": "postgresql-database-plugin", "allowed_roles": "*", "connection_url": url,
			"username": "one", "password": password})
	}
	c.quiet(t, secrets, 1, "POST", "db/config/wrong", config(srv.URL(srv.Addr), secrets.plant("wrong password")))
	c.quiet(t, secrets, 2, "POST", "db/config/wrong", config("postgresql://one:"+secrets.plant("password in a URL that is none")+"@a b:c/", ""))
	c.quiet(t, secrets, 3, "POST", "db/config/wrong", config("postgresql://one:"+secrets.plant("password in a URL with a space")+" @"+srv.Addr+"/x", ""))
	c.quiet(t, secrets, 3, "POST", "db/config/wrong", config("host=127.0.0.1 user=one password="+secrets.plant("password in key words"), ""))
}

// plantAWS does the same on the stand-in for AWS, which repeats the mount's own key in its errors.
func (c *cluster) plantAWS(t *testing.T, secrets canaries) {
	t.Helper()
	srv := awstest.New()
	t.Cleanup(srv.Close)
	srv.AddRole(awstest.Role{ARN: "arn:aws:iam::" + awstest.Account + ":role/audit"})
	secrets.keep(t, "operator's secret key", srv.Key.Secret)
	c.must(204, 1, "POST", "sys/mounts/cloud", `{"type":"aws","config":{"revoke_attempts":1}}`)
	c.must(204, 1, "POST", "cloud/config/root", object(t, map[string]any{"access_key": srv.Key.ID, "secret_key": srv.Key.Secret,
		"iam_endpoint": srv.URL, "sts_endpoint": srv.URL, "max_retries": 0}))
	secrets.find(t, "answer to a read of config/root", []byte(c.must(200, 2, "GET", "cloud/config/root", "").body))
	c.must(200, 2, "POST", "cloud/config/rotate-root", "")
	for _, key := range srv.OperatorKeys() {
		secrets.keep(t, "rotated secret key", key.Secret)
	}
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`
	roles := map[string]map[string]any{
		"user":      {"credential_type": "iam_user", "policy_document": policy},
		"audit":     {"credential_type": "assumed_role", "role_arns": []string{"arn:aws:iam::" + awstest.Account + ":role/audit"}},
		"federated": {"credential_type": "federation_token", "policy_document": policy},
		"session":   {"credential_type": "session_token"},
	}
	ids := make(map[string]string)
	for name, role := range roles {
		c.must(204, 1, "POST", "cloud/roles/"+name, object(t, role))
		r := c.must(200, 3, "GET", "cloud/creds/"+name, "")
		secrets.keep(t, "secret key of "+name, r.field("data.secret_key"))
		if name != "user" {
			secrets.keep(t, "session token of "+name, r.field("data.security_token"))
		}
		ids[name] = r.field("lease_id")
	}
	c.must(204, 1, "PUT", "sys/leases/revoke", `{"lease_id":"`+c.must(200, 1, "GET", "cloud/creds/user", "").field("lease_id")+`","sync":true}`)

	srv.Say("the account has " + secrets["rotated secret key"] + " " + farText + secrets.plant("what AWS says at length"))
	srv.Plant(awstest.Fault{Kind: awstest.FailBefore})
	c.quiet(t, secrets, 2, "GET", "cloud/creds/user", "")
	c.quiet(t, secrets, 2, "GET", "cloud/creds/audit", "")
	c.quiet(t, secrets, 3, "PUT", "sys/leases/revoke", `{"lease_id":"`+ids["user"]+`","sync":true}`)
	srv.Heal()
	c.wantLogged(t, "InternalFailure")
	c.quiet(t, secrets, 1, "POST", "cloud/config/root", object(t, map[string]any{"access_key": "AKIAIOSFODNN7EXAMPLE",
		"secret_key": secrets.plant("secret key beside a wrong field"), "region": "no region"}))
}

// plantLogins logs in with passwords and secret IDs that are right and wrong.
func (c *cluster) plantLogins(t *testing.T, secrets canaries) {
	t.Helper()
	stranger := func(r *http.Request) { r.Header.Del("X-Vault-Token") }
	login := func(path, body string, want int) string {
		t.Helper()
		r := c.send(2, "POST", path, body, stranger)
		if r.status != want {
			t.Fatalf("POST %s: got %v, want %d", path, r, want)
		}
		return strings.TrimPrefix(r.field("auth.client_token"), "hvs.")
	}
	password := secrets.plant("user's password")
	c.must(204, 1, "POST", "sys/auth/people", `{"type":"userpass"}`)
	c.must(204, 1, "POST", "auth/people/users/ann", `{"password":"`+secrets.plant("user's first password")+`"}`)
	c.must(204, 2, "POST", "auth/people/users/ann/password", `{"password":"`+password+`"}`)
	secrets.keep(t, "user's token", login("auth/people/login/ann", `{"password":"`+password+`"}`, 200))
	login("auth/people/login/ann", `{"password":"`+secrets.plant("wrong password of a user")+`"}`, 400)
	login("auth/people/login/bob", `{"password":"`+secrets.plant("password of no user")+`"}`, 400)
	c.quiet(t, secrets, 3, "POST", "auth/people/users/cid", `{"password":"`+secrets.plant("password beside a wrong field")+`","token_ttl":"soon"}`)

	c.must(204, 1, "POST", "sys/auth/machines", `{"type":"approle"}`)
	c.must(204, 1, "POST", "auth/machines/role/ci", `{"token_ttl":"20m"}`)
	role := c.must(200, 1, "GET", "auth/machines/role/ci/role-id", "").field("data.role_id")
	made := secrets.keep(t, "secret ID", c.must(200, 2, "POST", "auth/machines/role/ci/secret-id", "").field("data.secret_id"))
	chosen := secrets.plant("secret ID of one's own")
	c.must(200, 3, "POST", "auth/machines/role/ci/custom-secret-id", `{"secret_id":"`+chosen+`"}`)
	for i, secret := range []string{made, chosen} {
		token := login("auth/machines/login", `{"role_id":"`+role+`","secret_id":"`+secret+`"}`, 200)
		secrets.keep(t, fmt.Sprintf("machine's token %d", i), token)
		c.must(200, 3, "POST", "auth/machines/role/ci/secret-id/lookup", `{"secret_id":"`+secret+`"}`)
	}
	c.must(204, 1, "POST", "auth/machines/role/ci/secret-id/destroy", `{"secret_id":"`+made+`"}`)
	login("auth/machines/login", `{"role_id":"`+role+`","secret_id":"`+secrets.plant("wrong secret ID")+`"}`, 400)
}

// plantKept stores values, wraps answers, and does it in a namespace too.
func (c *cluster) plantKept(t *testing.T, secrets canaries) {
	t.Helper()
	value := secrets.plant("value in kv")
	c.must(204, 1, "POST", "sys/mounts/secret", `{"type":"kv"}`)
	c.must(204, 1, "POST", "secret/ci/a", `{"v":"`+secrets.plant("value in kv that was replaced")+`"}`)
	c.must(204, 2, "POST", "secret/ci/a", `{"v":"`+value+`","note":{"deep":["`+secrets.plant("value deep in kv")+`"]}}`)
	c.must(204, 2, "POST", "secret/ci/b", `{"v":"`+secrets.plant("value in kv that was deleted")+`"}`)
	c.must(204, 3, "DELETE", "secret/ci/b", "")
	if r := c.must(200, 3, "GET", "secret/ci/a", ""); r.field("data.v") != value {
		t.Errorf("kv: got %v, want the value", r)
	}

	wrap := func(r *http.Request) { r.Header.Set("X-Vault-Wrap-TTL", "1h") }
	wrapped := func(what, method, path, body string) string {
		t.Helper()
		r := c.send(1, method, path, body, wrap)
		if r.status != 200 {
			t.Fatalf("wrap %s: got %v, want 200", what, r)
		}
		token := r.field("wrap_info.token")
		secrets.keep(t, "wrapping token of "+what, strings.TrimPrefix(token, "hvs."))
		return token
	}
	wrapped("a value", "GET", "secret/ci/a", "")
	token := wrapped("data", "POST", "sys/wrapping/wrap", `{"v":"`+secrets.plant("data that is wrapped")+`"}`)
	r := c.must(200, 2, "POST", "sys/wrapping/rewrap", `{"token":"`+token+`"}`)
	secrets.keep(t, "token of what is wrapped again", strings.TrimPrefix(r.field("wrap_info.token"), "hvs."))
	opened := wrapped("a token", "POST", "auth/token/create", `{"ttl":"1h"}`)
	kept := c.must(200, 3, "POST", "sys/wrapping/unwrap", `{"token":"`+opened+`"}`).field("auth.client_token")
	secrets.keep(t, "token that was wrapped", strings.TrimPrefix(kept, "hvs."))
	c.must(400, 2, "POST", "sys/wrapping/unwrap", `{"token":"`+opened+`"}`)

	tenant := func(r *http.Request) { r.Header.Set("X-Vault-Namespace", "team") }
	c.must(200, 1, "POST", "sys/namespaces/team", "")
	within := func(node int, path, body string, want int) reply {
		t.Helper()
		r := c.send(node, "POST", path, body, tenant)
		if r.status != want {
			t.Fatalf("in a namespace: POST %s: got %v, want %d", path, r, want)
		}
		return r
	}
	token = within(2, "auth/token/create", `{"ttl":"1h"}`, 200).field("auth.client_token")
	secrets.keep(t, "token of a namespace", strings.TrimPrefix(strings.Split(token, ".")[1], "hvs."))
	within(1, "sys/mounts/secret", `{"type":"kv"}`, 204)
	within(3, "secret/a", `{"v":"`+secrets.plant("value in a namespace")+`"}`, 204)
}
