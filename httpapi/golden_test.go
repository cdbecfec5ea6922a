package httpapi_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend/fake"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
	"github.com/leasehold/leasehold/lessor/lessortest"
)

var update = flag.Bool("update", false, "rewrite the golden files of testdata")

// transcript writes down requests and answers, with what is random replaced by its kind, and
// compares the whole with a file: the wire is a contract with clients that others wrote.
type transcript struct {
	*rig
	text  strings.Builder
	names []string // pairs of text and its name
}

func newTranscript(t *testing.T) *transcript {
	s := &transcript{rig: newRig(t)}
	s.Enable("locks/", "lease", lease.MountConfig{})
	s.Enable("db/", "fake", lease.MountConfig{RevokeAttempts: 1})
	t.Cleanup(func() { s.compare(t) })
	return s
}

func (s *transcript) compare(t *testing.T) {
	file := filepath.Join("testdata", strings.TrimPrefix(t.Name(), "TestGolden")+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(s.text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	golden, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.text.String(); got != string(golden) {
		t.Errorf("%s: run with -update and read the difference\n%s", file, firstDifference(got, string(golden)))
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			other := "(end)"
			if i < len(w) {
				other = w[i]
			}
			return fmt.Sprintf("line %d\ngot  %s\nwant %s", i+1, g[i], other)
		}
	}
	return "the end is missing"
}

// name has text written as <name> from now on.
func (s *transcript) name(text, name string) string {
	s.names = append(s.names, text, "<"+name+">")
	return text
}

var kinds = []struct {
	pattern *regexp.Regexp
	kind    string
}{
	{regexp.MustCompile(`"request_id":"[0-9a-f-]{36}"`), `"request_id":"<uuid>"`},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "<uuid>"},
	{regexp.MustCompile(`lhs\.[0-9A-Za-z]{43}`), "<token>"},
	{regexp.MustCompile(`h[0-9a-f]{64}`), "<token hash>"},
	{regexp.MustCompile(`/[0-9A-Za-z]{24}\b`), "/<random>"},
	{regexp.MustCompile(`"[0-9A-Za-z]{24}"(\]|,")`), `"<random>"${1}`},
	{regexp.MustCompile(`"accessor":"[0-9A-Za-z]{24}"`), `"accessor":"<accessor>"`},
	{regexp.MustCompile(`\b(lease|fake|auth_token)_[0-9a-f]{8}`), "${1}_<hex>"},
	{regexp.MustCompile(`"server_time_utc":\d+`), `"server_time_utc":<now>`},
	{regexp.MustCompile(`"active_time":"[^"]+"`), `"active_time":"<now>"`},
	{regexp.MustCompile(`lh-[0-9a-f]{8}-[0-9A-Za-z]{24}`), "<external name>"},
	{regexp.MustCompile(`"(password|secret)":"[^"]+"`), `"${1}":"<secret>"`},
}

// normal replaces what differs from run to run.
func (s *transcript) normal(text string) string {
	text = strings.NewReplacer(s.names...).Replace(text)
	for _, k := range kinds {
		text = k.pattern.ReplaceAllString(text, k.kind)
	}
	return text
}

// say makes a request as root and writes it down with its answer.
func (s *transcript) say(what, method, path, body string) reply {
	return s.sayAs(lessortest.RootToken, what, method, path, body)
}

func (s *transcript) sayAs(token, what, method, path, body string) reply {
	s.t.Helper()
	a := s.call(method, path, token, body)
	fmt.Fprintf(&s.text, "# %s\n%s %s", what, method, s.normal(path))
	if body != "" {
		fmt.Fprintf(&s.text, " %s", s.normal(body))
	}
	fmt.Fprintf(&s.text, "\n%d", a.status)
	for _, h := range []string{"Location", "Retry-After"} {
		if v := a.header.Get(h); v != "" {
			fmt.Fprintf(&s.text, " %s: %s", h, v)
		}
	}
	if a.header.Get("X-Leasehold-Job") != "" {
		s.text.WriteString(" X-Leasehold-Job: <n>")
	}
	s.text.WriteString("\n" + s.normal(a.text))
	if a.text != "" && !strings.HasSuffix(a.text, "\n") {
		s.text.WriteString("\n")
	}
	s.text.WriteString("\n")
	return a
}

func TestGoldenLookup(t *testing.T) {
	s := newTranscript(t)
	id := s.name(s.issue("locks/build/42", "root", `{"ttl":"1h","labels":{"team":"core"},"data":{"host":"ci-7"},"keep_data":true}`), "lease")
	s.say("a lease", "POST", "sys/leases/lookup", `{"lease_id":"`+id+`"}`)
	s.say("with PUT", "PUT", "sys/leases/lookup", `{"lease_id":"`+id+`"}`)
	s.say("a lease that never expires", "PUT", "sys/leases/lookup", `{"lease_id":"`+s.Root().LeaseID+`"}`)
	s.say("no ID", "PUT", "sys/leases/lookup", "")
	s.say("an empty ID", "PUT", "sys/leases/lookup", `{"lease_id":""}`)
	s.say("an unknown ID", "PUT", "sys/leases/lookup", `{"lease_id":"locks/build/42/none"}`)
	s.say("no string", "PUT", "sys/leases/lookup", `{"lease_id":42}`)
	s.say("a relative path", "PUT", "sys/leases/lookup", `{"lease_id":"../x"}`)
	s.say("the wrong verb", "GET", "sys/leases/lookup", "")
	s.say("the path form, which does not exist", "POST", "sys/leases/lookup/"+id, "")
	s.say("renewed", "PUT", "sys/leases/renew", `{"lease_id":"`+id+`","increment":"30m"}`)
	s.say("after a renewal, with a parameter nobody knows", "PUT", "sys/leases/lookup", `{"lease_id":"`+id+`","x":1}`)
	s.Clock.Advance(31 * time.Minute)
	s.say("past its end, before it is taken away", "PUT", "sys/leases/lookup", `{"lease_id":"`+id+`"}`)
	s.Settle()
	s.say("gone", "PUT", "sys/leases/lookup", `{"lease_id":"`+id+`"}`)
}

func TestGoldenList(t *testing.T) {
	s := newTranscript(t)
	for _, p := range []string{"locks/a", "locks/a/b", "locks/ab"} {
		s.issue(p, "root", "")
	}
	s.say("everything", "LIST", "sys/leases/lookup", "")
	s.say("with a slash", "LIST", "sys/leases/lookup/", "")
	s.say("with GET", "GET", "sys/leases/lookup/locks?list=true", "")
	s.say("a directory", "LIST", "sys/leases/lookup/locks/ab/", "")
	s.say("half a name is no directory", "LIST", "sys/leases/lookup/lock", "")
	s.say("a page", "LIST", "sys/leases/lookup/locks?limit=1", "")
	s.say("the next page", "LIST", "sys/leases/lookup/locks?limit=1&after=a/", "")
	s.say("behind the last page", "LIST", "sys/leases/lookup/locks?after=ab/", "")
	s.say("a bad limit", "LIST", "sys/leases/lookup/locks?limit=x", "")
	s.say("a negative limit", "LIST", "sys/leases/lookup/locks?limit=-1", "")
	s.say("list=nonsense", "GET", "sys/leases/lookup/locks?list=xyz", "")
	s.say("list and scan", "GET", "sys/leases/lookup/locks?list=1&scan=1", "")
}

func TestGoldenRenew(t *testing.T) {
	s := newTranscript(t)
	id := s.name(s.issue("locks/a", "root", `{"ttl":"1h","max_ttl":"2h"}`), "lease")
	s.say("6.1: the path form without a body", "PUT", "sys/leases/renew/"+id, "")
	s.say("the body form with whole seconds", "POST", "sys/leases/renew", `{"lease_id":"`+id+`","increment":1800}`)
	s.say("by its old name", "PUT", "sys/renew/"+id, `{"increment":"45m"}`)
	s.say("more than the maximum", "PUT", "sys/leases/renew/"+id, `{"increment":"24h"}`)
	s.say("6.77: the body's ID wins, even if it is wrong", "PUT", "sys/leases/renew/"+id, `{"lease_id":"bogus/id"}`)
	s.say("no ID", "PUT", "sys/leases/renew", "")
	s.say("an unknown lease", "PUT", "sys/leases/renew", `{"lease_id":"locks/a/none"}`)
	s.say("a slash at the end", "PUT", "sys/leases/renew/", "")
	s.say("a token's lease", "PUT", "sys/leases/renew", `{"lease_id":"`+s.NewToken(s.Root(), lessor.TokenRequest{Policies: []string{"default"}, TTL: time.Hour}).Lease.ID+`"}`)
	s.say("a lease without an end", "PUT", "sys/leases/renew", `{"lease_id":"`+s.Root().LeaseID+`"}`)
	fixed := s.name(s.issue("locks/b", "root", `{"renewable":false}`), "fixed lease")
	s.say("6.39: a lease that cannot be renewed", "PUT", "sys/leases/renew/"+fixed, "")
	s.say("a bad increment", "PUT", "sys/leases/renew/"+id, `{"increment":"abc"}`)
	s.say("a negative increment", "PUT", "sys/leases/renew/"+id, `{"increment":-5}`)
	s.say("the wrong verb", "GET", "sys/leases/renew/"+id, "")
	s.Clock.Advance(2 * time.Hour)
	s.say("past its end", "PUT", "sys/leases/renew/"+id, "")
}

func TestGoldenRevoke(t *testing.T) {
	s := newTranscript(t)
	take := func(name string) string { return s.name(s.issue("db/creds/"+name, "root", ""), name) }
	a := take("a")
	s.say("queued by default", "PUT", "sys/leases/revoke", `{"lease_id":"`+a+`"}`)
	s.say("it is dead at once", "PUT", "sys/leases/lookup", `{"lease_id":"`+a+`"}`)
	s.say("and renews no more", "PUT", "sys/leases/renew", `{"lease_id":"`+a+`"}`)
	s.Settle()
	stop := s.Lead()
	s.say("6.78: an unknown lease", "PUT", "sys/leases/revoke/"+a, "")
	s.say("6.2: an unknown lease, sync", "PUT", "sys/leases/revoke/secret/foo/1234", `{"sync":true}`)
	s.say("sync", "PUT", "sys/leases/revoke/"+take("b"), `{"sync":true}`)
	s.say("by its old name", "PUT", "sys/revoke/"+take("c"), `{"sync":"true"}`)
	s.say("no ID", "PUT", "sys/leases/revoke", `{"sync":true}`)
	s.say("a bad sync", "PUT", "sys/leases/revoke", `{"lease_id":"x/y","sync":"maybe"}`)
	s.say("the wrong verb", "DELETE", "sys/leases/revoke/"+a, "")
	d := take("d")
	s.Fake.Inject(fake.Fault{Action: fake.Destroy, Times: 1})
	s.say("sync, and the target fails", "PUT", "sys/leases/revoke/"+d, `{"sync":true}`)
	stop()
	s.say("it is irrevocable now", "PUT", "sys/leases/lookup", `{"lease_id":"`+d+`"}`)
	s.say("and renews no more", "PUT", "sys/leases/renew", `{"lease_id":"`+d+`"}`)
	s.Lead()
	s.say("6.79, better than Vault: any revoke tries again", "PUT", "sys/leases/revoke/"+d, `{"sync":true}`)
	s.say("gone", "PUT", "sys/leases/lookup", `{"lease_id":"`+d+`"}`)
}

func TestGoldenRevokePrefix(t *testing.T) {
	s := newTranscript(t)
	s.Lead()
	take := func(path string) string { return s.issue(path, "root", "") }
	s.say("6.3: nothing matches", "PUT", "sys/leases/revoke-prefix/none", "")
	s.say("6.3: nothing matches, sync", "PUT", "sys/leases/revoke-prefix/none", `{"sync":true}`)
	r2 := s.name(take("db/creds/r2"), "r2")
	take("db/creds/r")
	s.say("sync", "PUT", "sys/leases/revoke-prefix/db/creds/r", `{"sync":true}`)
	s.say("6.76: r2 is left alone", "LIST", "sys/leases/lookup/db/creds", "")
	s.say("6.19: a prefix may be one lease's ID", "PUT", "sys/leases/revoke-prefix/"+r2, `{"sync":true}`)
	take("db/creds/r")
	s.say("with a slash at its end", "PUT", "sys/leases/revoke-prefix/db/creds/", `{"sync":true}`)
	one := s.name(take("db/creds/r"), "one")
	s.Fake.Inject(fake.Fault{Action: fake.Destroy, Times: 1})
	s.say("6.33: a target that fails", "PUT", "sys/leases/revoke-prefix/db", `{"sync":true}`)
	s.say("6.34: force drops it all the same", "PUT", "sys/leases/revoke-force/"+one, "")
	s.say("6.34: and it is gone", "PUT", "sys/leases/lookup", `{"lease_id":"`+one+`"}`)
	s.say("force where there is nothing", "PUT", "sys/revoke-force/db/", "")
	s.say("the prefix is not in the body", "PUT", "sys/leases/revoke-prefix", `{"prefix":"db"}`)
	s.say("a prefix that no lease can have", "PUT", "sys/leases/revoke-prefix/db/a%20b", "")
	s.say("the wrong verb", "GET", "sys/leases/revoke-prefix/db", "")
	s.say("a job", "GET", "sys/leases/jobs/1", "")
	s.say("no number", "GET", "sys/leases/jobs/x", "")
}

func TestGoldenIrrevocable(t *testing.T) {
	s := newTranscript(t)
	s.say("6.4: count of none", "GET", "sys/leases/count?type=irrevocable", "")
	s.say("6.6: list of none", "GET", "sys/leases?type=irrevocable", "")
	for range 3 {
		id := s.issue("db/creds/r", "root", "")
		s.Clock.Advance(time.Second)
		s.Fake.Inject(fake.Fault{Action: fake.Destroy, Times: 1})
		s.root("PUT", "sys/leases/revoke", `{"lease_id":"`+id+`"}`)
		s.Settle()
	}
	s.say("6.5: count", "GET", "sys/leases/count?type=Irrevocable", "")
	s.say("6.7: list", "GET", "sys/leases?type=irrevocable", "")
	s.say("cut at the limit", "GET", "sys/leases?type=irrevocable&limit=2", "")
	s.say("6.9: no limit", "GET", "sys/leases?type=irrevocable&limit=none", "")
	s.say("a limit of nothing", "GET", "sys/leases?type=irrevocable&limit=0", "")
	s.say("no number", "GET", "sys/leases?type=irrevocable&limit=abc", "")
	s.say("no type", "GET", "sys/leases", "")
	s.say("another type", "GET", "sys/leases/count?type=expired", "")
	s.say("two types", "GET", "sys/leases/count?type=a&type=b", "")
	s.say("a bad flag", "GET", "sys/leases/count?type=irrevocable&include_child_namespaces=x", "")
	s.say("the wrong verb", "POST", "sys/leases/count", `{"type":"irrevocable"}`)
	s.say("a parameter nobody knows", "GET", "sys/leases/count?type=irrevocable&x=1", "")
}

func TestGoldenTokens(t *testing.T) {
	s := newTranscript(t)
	s.say("create", "POST", "auth/token/create", `{"policies":["default"],"ttl":"1h0m0s","explicit_max_ttl":"0s","period":"0s","display_name":"ci","num_uses":0,"renewable":true,"type":"service","entity_alias":"","meta":{"team":"core"}}`)
	made := s.NewToken(s.Root(), lessor.TokenRequest{Policies: []string{"default"}, TTL: time.Hour})
	token, accessor := s.name(made.Bearer, "made"), s.name(made.Token.Accessor, "its accessor")
	s.say("create an orphan", "POST", "auth/token/create-orphan", `{"ttl":"10m","policies":"default"}`)
	s.say("capped", "POST", "auth/token/create", `{"ttl":"3h","explicit_max_ttl":"2h","policies":["default"]}`)
	s.sayAs(token, "look at itself", "GET", "auth/token/lookup-self", "")
	s.say("look up", "POST", "auth/token/lookup", `{"token":"`+token+`"}`)
	s.say("look up an unknown one", "POST", "auth/token/lookup", `{"token":"lhs.none"}`)
	s.say("look up by accessor", "POST", "auth/token/lookup-accessor", `{"accessor":"`+accessor+`"}`)
	s.say("look up by an unknown accessor", "POST", "auth/token/lookup-accessor", `{"accessor":"none"}`)
	s.sayAs(token, "renew itself", "PUT", "auth/token/renew-self", `{"increment":0}`)
	s.say("renew", "PUT", "auth/token/renew", `{"token":"`+token+`","increment":"30m"}`)
	s.say("renew by accessor", "PUT", "auth/token/renew-accessor", `{"accessor":"`+accessor+`","increment":60}`)
	s.say("renew an unknown one", "PUT", "auth/token/renew", `{"token":"lhs.none"}`)
	s.say("renew without one", "PUT", "auth/token/renew", "")
	s.say("renew root, which has no end", "PUT", "auth/token/renew-self", "")
	s.say("revoke an unknown one", "PUT", "auth/token/revoke", `{"token":"lhs.none"}`)
	s.say("revoke by an unknown accessor", "PUT", "auth/token/revoke-accessor", `{"accessor":"none"}`)
	s.say("revoke", "PUT", "auth/token/revoke", `{"token":"`+token+`"}`)
	s.sayAs(token, "it is dead at once", "GET", "auth/token/lookup-self", "")
	s.say("what may I do", "POST", "sys/capabilities-self", `{"path":"sys/mounts"}`)
	s.say("the wrong verb", "GET", "auth/token/create", "")
}

func TestGoldenMountsAndPolicies(t *testing.T) {
	s := newTranscript(t)
	s.say("enable as the stock client does", "POST", "sys/mounts/hold", `{"type":"lease","description":"d","config":{"options":null,"default_lease_ttl":"0s","max_lease_ttl":"0s","force_no_cache":false},"local":false,"seal_wrap":false,"external_entropy_access":false,"options":null}`)
	s.say("the path is in use", "POST", "sys/mounts/hold", `{"type":"lease"}`)
	s.say("an unknown type", "POST", "sys/mounts/aws", `{"type":"aws"}`)
	s.say("list", "GET", "sys/mounts", "")
	s.say("list the auth methods", "GET", "sys/auth", "")
	s.say("tune", "POST", "sys/mounts/hold/tune", `{"options":null,"default_lease_ttl":"10m0s","max_lease_ttl":"1h0m0s","force_no_cache":false}`)
	s.say("read the tuning", "GET", "sys/mounts/hold/tune", "")
	s.say("more than the maximum", "POST", "sys/mounts/hold/tune", `{"default_lease_ttl":36000,"max_lease_ttl":3600}`)
	s.say("tune what is not there", "POST", "sys/mounts/a/tune", `{"default_lease_ttl":1}`)
	s.say("read what is not there", "GET", "sys/mounts/a", "")
	s.say("kv's preflight", "GET", "sys/internal/ui/mounts/hold/x", "")
	s.say("kv's preflight where nothing is", "GET", "sys/internal/ui/mounts/nope/x", "")
	s.say("the mounts one can reach", "GET", "sys/internal/ui/mounts", "")
	s.Lead()
	s.say("disable", "DELETE", "sys/mounts/hold", "")
	s.say("disable what is not there", "DELETE", "sys/mounts/hold", "")
	s.issue("db/creds/r", "root", "")
	s.Fake.Inject(fake.Fault{Action: fake.Destroy, Times: 1})
	s.say("6.80: disable, and the target fails", "DELETE", "sys/mounts/db", "")
	s.say("6.80: the mount is tainted", "GET", "db/creds/r", "")
	s.say("6.80: again, once the target works", "DELETE", "sys/mounts/db", "")
	s.say("write a policy", "PUT", "sys/policies/acl/app", `{"policy":"path \"locks/*\" {\n capabilities = [\"update\"]\n}"}`)
	s.say("a policy that is none", "PUT", "sys/policies/acl/app", `{"policy":"path {"}`)
	s.say("an empty policy", "PUT", "sys/policies/acl/app", `{}`)
	s.say("read it", "GET", "sys/policies/acl/app", "")
	s.say("read it by the old path", "GET", "sys/policy/app", "")
	s.say("list", "LIST", "sys/policies/acl", "")
	s.say("list by the old path", "GET", "sys/policy", "")
	s.say("delete it", "DELETE", "sys/policies/acl/app", "")
	s.say("delete what is not there", "DELETE", "sys/policies/acl/app", "")
	s.say("read what is not there", "GET", "sys/policies/acl/app", "")
	s.say("delete root", "DELETE", "sys/policies/acl/root", "")
}

func TestGoldenCluster(t *testing.T) {
	s := newTranscript(t)
	s.say("seal status", "GET", "sys/seal-status", "")
	s.say("health", "GET", "sys/health", "")
	s.say("leader", "GET", "sys/leader", "")
	s.say("initialized", "GET", "sys/init", "")
	s.say("initialize again", "PUT", "sys/init", `{"secret_shares":5,"secret_threshold":3}`)
	s.say("members", "GET", "sys/storage/raft/configuration", "")
	s.say("remove one", "POST", "sys/storage/raft/remove-peer", `{"server_id":"n2"}`)
	s.say("remove nobody", "POST", "sys/storage/raft/remove-peer", `{}`)
	s.say("how members are", "GET", "sys/ha-status", "")
	s.say("autopilot's settings", "GET", "sys/storage/raft/autopilot/configuration", "")
	s.say("cleanup without a quorum", "POST", "sys/storage/raft/autopilot/configuration", `{"cleanup_dead_servers":true,"min_quorum":2}`)
	s.say("cleanup too soon", "POST", "sys/storage/raft/autopilot/configuration", `{"dead_server_last_contact_threshold":"1s"}`)
	s.say("an empty setting", "POST", "sys/storage/raft/autopilot/configuration", `{"max_trailing_logs":0}`)
	s.say("no such thing", "POST", "sys/storage/raft/autopilot/configuration", `{"disable_upgrade_migration":true}`)
	s.say("cleanup", "POST", "sys/storage/raft/autopilot/configuration", `{"cleanup_dead_servers":true,"dead_server_last_contact_threshold":"10m","min_quorum":3,"max_trailing_logs":500,"last_contact_threshold":"5s","server_stabilization_time":"20s"}`)
	s.say("the others stay", "POST", "sys/storage/raft/autopilot/configuration", `{"min_quorum":5}`)
	s.say("autopilot's settings now", "GET", "sys/storage/raft/autopilot/configuration", "")
	s.say("autopilot's state", "GET", "sys/storage/raft/autopilot/state", "")
	s.say("a join token", "POST", "sys/storage/raft/join-token", `{"node_id":"n4","ttl":"1m"}`)
	s.say("a join token for nobody", "POST", "sys/storage/raft/join-token", `{}`)
	s.say("a join token for a bad name", "POST", "sys/storage/raft/join-token", `{"node_id":"n 4"}`)
	s.say("a join token for long", "POST", "sys/storage/raft/join-token", `{"node_id":"n4","ttl":"11m"}`)
	s.say("gossip keys", "GET", "sys/storage/raft/gossip-keyring", "")
	s.say("a new gossip key", "POST", "sys/storage/raft/gossip-keyring/install", `{"key":"c2VjcmV0"}`)
	s.say("no gossip key", "POST", "sys/storage/raft/gossip-keyring/install", `{}`)
	s.say("use it", "POST", "sys/storage/raft/gossip-keyring/use", `{"key":"0a1b2c3d"}`)
	s.say("remove the primary", "POST", "sys/storage/raft/gossip-keyring/remove", `{"key":"0a1b2c3d"}`)
	s.say("join, as a member", "POST", "sys/storage/raft/join", `{"leader_api_addr":"http://n1:8200","leader_ca_cert":"","retry":false}`)
	s.say("step down", "PUT", "sys/step-down", "")
	s.say("help", "GET", "sys/leases/count?help=1", "")
	s.say("help of what cannot be read", "GET", "sys/leases/renew?help=1", "")
	s.say("help not wanted", "GET", "sys/leases/renew?help=0", "")
}

func TestGoldenEngine(t *testing.T) {
	s := newTranscript(t)
	s.say("issue by the lease engine", "POST", "locks/build/42", `{"ttl":"10m","data":{"host":"ci-7"}}`)
	s.say("capped", "POST", "locks/x", `{"ttl":"10m","max_ttl":"5m"}`)
	s.say("issue by an engine with a target", "GET", "db/creds/r", "")
	s.say("read nothing", "GET", "db/config", "")
	s.say("write", "POST", "db/config", `{"value":"v"}`)
	s.say("read", "GET", "db/config", "")
	s.say("delete", "DELETE", "db/config", "")
	s.say("a path the engine does not have", "GET", "db/none", "")
	s.say("a verb the path does not take", "GET", "locks/x", "")
	s.say("a bad parameter", "POST", "locks/x", `{"ttl":"abc"}`)
	s.Fake.Inject(fake.Fault{Action: fake.Create, Times: 1})
	s.say("the target fails", "GET", "db/creds/r", "")
}
