package httpapi_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/leasehold/leasehold/lessor"
)

func TestGoldenResultant(t *testing.T) {
	s := newTranscript(t)
	s.policyToken("app", `
		path "db/creds/+" { capabilities = ["read"] }
		path "db/+/x*" { capabilities = ["update"] required_parameters = ["reason"] }
		path "db/*" { capabilities = ["list"] min_wrapping_ttl = "1m" max_wrapping_ttl = "1h" }
		path "db/config" { policy = "deny" }
		path "db/roles" { capabilities = ["create", "sudo"] allowed_parameters = { "ttl" = ["1h", 60] "*" = [] } denied_parameters = { "max_ttl" = [] } }
		path "nothing" {}
		path "*" { capabilities = ["read"] lease_scope = "own" }`)
	s.policyToken("more", `path "db/creds/+" { capabilities = ["list"] }`)
	made := s.NewToken(s.Root(), lessor.TokenRequest{Policies: []string{"app", "more", "default"}, TTL: time.Hour})
	token := s.name(made.Bearer, "made")
	s.sayAs(token, "what a token may do", "GET", "sys/internal/ui/resultant-acl", "")
	s.say("what root may do", "GET", "sys/internal/ui/resultant-acl", "")
	none := s.name(s.policyToken("none", `path "x" { policy = "read" }`), "none")
	s.sayAs(none, "without the policy default", "GET", "sys/internal/ui/resultant-acl", "")
	s.say("the wrong verb", "POST", "sys/internal/ui/resultant-acl", "")
}

// The paths of a tenant's token begin with its namespace, wherever it asks.
func TestTheRulesInForceNameWholePaths(t *testing.T) {
	r := newRig(t)
	r.namespace("abc12", "team/")
	r.namespace("abc34", "team/inner/")
	if err := r.Lessor.PutPolicy(t.Context(), "abc12", "app", `path "a" { policy = "read" } path "inner/*" { policy = "write" }
		path "+/b" { policy = "deny" } path "sys/internal/ui/resultant-acl" { policy = "read" }`); err != nil {
		t.Fatal(err)
	}
	token := r.NewToken(r.Root(), lessor.TokenRequest{Namespace: "abc12", Policies: []string{"app"}, NoDefaultPolicy: true, TTL: time.Hour}).Bearer
	for _, ns := range []string{"team", "team/inner"} {
		got := r.call("GET", "sys/internal/ui/resultant-acl", token, "", inNamespace(ns))
		want(t, ns, got, 200)
		for paths, names := range map[string][]string{"exact_paths": {"team/a", "team/sys/internal/ui/resultant-acl"}, "glob_paths": {"team/inner/", "team/+/b"}} {
			listed, _ := got.data()[paths].(map[string]any)
			for _, name := range names {
				if listed[name] == nil || len(listed) != len(names) {
					t.Errorf("in %s: got %s of %v, want %q", ns, paths, fmt.Sprint(listed), names)
				}
			}
		}
	}
}
