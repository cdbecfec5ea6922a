package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/client"
)

// What is sent for tokens, policies, namespaces and values is what Vault's own clients send.
func TestAccessRequests(t *testing.T) {
	ctx := context.Background()
	yes, uses := true, 0
	checkRequests(t, map[string]func(*client.Client) error{
		`POST /v1/sys/auth/users {"type":"userpass","description":"d","config":{"options":null,"default_lease_ttl":"","max_lease_ttl":"","force_no_cache":false},"local":false,"seal_wrap":false,"external_entropy_access":false,"options":null}`: func(c *client.Client) error {
			return c.EnableAuth(ctx, "users/", client.MountInput{Type: "userpass", Description: "d"})
		},
		`GET /v1/sys/auth`:                    func(c *client.Client) error { _, err := c.ListAuth(ctx); return err },
		`GET /v1/sys/mounts/auth/users/tune`:  func(c *client.Client) error { _, err := c.AuthTuning(ctx, "users/"); return err },
		`DELETE /v1/sys/auth/users`:           func(c *client.Client) error { return c.DisableAuth(ctx, "users/") },
		`GET /v1/auth/token/roles?list=true`:  func(c *client.Client) error { _, err := c.TokenRoles(ctx); return err },
		`GET /v1/auth/token/roles/ci`:         func(c *client.Client) error { _, err := c.TokenRole(ctx, "ci"); return err },
		`DELETE /v1/auth/token/roles/ci`:      func(c *client.Client) error { return c.DeleteTokenRole(ctx, "ci") },
		`DELETE /v1/sys/namespaces/team`:      func(c *client.Client) error { _, err := c.DeleteNamespace(ctx, "team/"); return err },
		`GET /v1/sys/namespaces/team`:         func(c *client.Client) error { _, err := c.Namespace(ctx, "team"); return err },
		`GET /v1/kv/a/b`:                      func(c *client.Client) error { _, err := c.KVGet(ctx, "kv", "a/b"); return err },
		`DELETE /v1/kv/a/b`:                   func(c *client.Client) error { return c.KVDelete(ctx, "kv/", "a/b") },
		`GET /v1/kv/a?list=true`:              func(c *client.Client) error { _, err := c.KVList(ctx, "kv/", "a/", client.Page{}); return err },
		`GET /v1/kv?list=true`:                func(c *client.Client) error { _, err := c.KVList(ctx, "kv", "", client.Page{}); return err },
		`GET /v1/sys/internal/ui/mounts/kv/a`: func(c *client.Client) error { _, err := c.MountAt(ctx, "kv/a"); return err },
		`PUT /v1/kv/a {"k":"v"}`:              func(c *client.Client) error { return c.KVPut(ctx, "kv", "a", map[string]any{"k": "v"}) },
		`PUT /v1/sys/wrapping/unwrap {"token":"w"}`: func(c *client.Client) error {
			_, err := c.Unwrap(ctx, "w\n")
			return err
		},
		`PUT /v1/sys/wrapping/unwrap null`: func(c *client.Client) error {
			_, err := c.Unwrap(ctx, "hvs.test") // the Client's own: named twice it would be used twice
			return err
		},
		`POST /v1/sys/wrapping/lookup {"token":"w"}`: func(c *client.Client) error {
			_, err := c.LookupWrapping(ctx, "w")
			return err
		},
		`GET /v1/auth/token/accessors?after=a&limit=2&list=true`: func(c *client.Client) error {
			_, err := c.ListAccessors(ctx, client.Page{After: "a", Limit: 2})
			return err
		},
		`GET /v1/sys/namespaces?list=true`: func(c *client.Client) error {
			_, err := c.Namespaces(ctx, client.Page{})
			return err
		},
		`POST /v1/sys/namespaces/team {"custom_metadata":{}}`: func(c *client.Client) error {
			_, err := c.PutNamespace(ctx, "team", nil)
			return err
		},
		`POST /v1/sys/mounts/auth/users/tune {"options":null,"default_lease_ttl":"","max_lease_ttl":"1h","force_no_cache":false}`: func(c *client.Client) error {
			return c.TuneAuth(ctx, "users", client.MountConfigInput{MaxLeaseTTL: "1h"})
		},
		`POST /v1/auth/token/roles/ci {"allowed_policies":["app"],"disallowed_policies":[],"orphan":true,"token_num_uses":0,"token_period":"1h"}`: func(c *client.Client) error {
			return c.PutTokenRole(ctx, "ci", client.TokenRoleInput{
				AllowedPolicies: []string{"app"}, DisallowedPolicies: []string{}, Orphan: &yes, NumUses: &uses, Period: "1h",
			})
		},
		`POST /v1/sys/capabilities-self {"path":"a","token":"hvs.test"}`: func(c *client.Client) error {
			_, err := c.CapabilitiesSelf(ctx, "a")
			return err
		},
		`POST /v1/sys/capabilities {"paths":["a","b"],"token":"t"}`: func(c *client.Client) error {
			_, err := c.Capabilities(ctx, "t", "a", "b")
			return err
		},
		`POST /v1/sys/capabilities-accessor {"accessor":"acc","path":"a"}`: func(c *client.Client) error {
			_, err := c.CapabilitiesAccessor(ctx, "acc", "a")
			return err
		},
	})
}

// Without its last part a path would name something else: all of a mount, or the list itself.
func TestNamesAreNotEmpty(t *testing.T) {
	ctx := context.Background()
	c := newServer(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("got %s, want no request", r.URL) })
	for call, do := range map[string]func() error{
		"KVGet":           func() error { _, err := c.KVGet(ctx, "kv", ""); return err },
		"KVPut":           func() error { return c.KVPut(ctx, "kv", "/", nil) },
		"KVDelete":        func() error { return c.KVDelete(ctx, "kv", "") },
		"TokenRole":       func() error { _, err := c.TokenRole(ctx, ""); return err },
		"PutTokenRole":    func() error { return c.PutTokenRole(ctx, "", client.TokenRoleInput{}) },
		"DeleteTokenRole": func() error { return c.DeleteTokenRole(ctx, "") },
		"Namespace":       func() error { _, err := c.Namespace(ctx, "/"); return err },
		"PutNamespace":    func() error { _, err := c.PutNamespace(ctx, "", nil); return err },
		"DeleteNamespace": func() error { _, err := c.DeleteNamespace(ctx, ""); return err },
		"KVGet climbing":  func() error { _, err := c.KVGet(ctx, "kv", "../sys/mounts"); return err },
	} {
		if err := do(); !errors.Is(err, client.ErrPath) {
			t.Errorf("%s: got %v, want ErrPath", call, err)
		}
	}
	if _, err := c.LoginUserpass(ctx, "userpass", "", "x"); err == nil {
		t.Error("a login without a user was sent")
	}
	if _, err := c.LoginAppRole(ctx, "approle", "", "x"); err == nil {
		t.Error("a login without a role ID was sent")
	}
}

// A login goes out without a token, and must come back with one.
func TestLogin(t *testing.T) {
	const auth = `{"auth":{"client_token":"hvs.made","policies":["app"],"lease_duration":600,"renewable":true}}`
	ctx := context.Background()
	user := func(c *client.Client) (*client.Secret, error) { return c.LoginUserpass(ctx, "users/", "ann", "p<w") }
	role := func(c *client.Client) (*client.Secret, error) { return c.LoginAppRole(ctx, "approle", "r", "s") }
	for _, test := range []struct {
		name, want, answer, err string
		status                  int
		do                      func(*client.Client) (*client.Secret, error)
	}{
		{"userpass", `PUT /v1/auth/users/login/ann {"password":"p\u003cw"}`, auth, "", 200, user},
		{"approle", `PUT /v1/auth/approle/login {"role_id":"r","secret_id":"s"}`, auth, "", 200, role},
		{"approle without a secret ID", `PUT /v1/auth/approle/login {"role_id":"r"}`, auth, "", 200,
			func(c *client.Client) (*client.Secret, error) { return c.LoginAppRole(ctx, "approle", "r", "") }},
		{"refused", `PUT /v1/auth/approle/login {"role_id":"r","secret_id":"s"}`, `{"errors":["invalid role or secret ID"]}`,
			"invalid role or secret ID", 400, role},
		{"no token in the answer", `PUT /v1/auth/users/login/ann {"password":"p\u003cw"}`, `{"data":{}}`, "holds no token", 200, user},
	} {
		c := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			if got := requestLine(r); got != test.want {
				t.Errorf("%s: got request %s, want %s", test.name, got, test.want)
			}
			if token, sent := r.Header["X-Vault-Token"]; sent {
				t.Errorf("%s: the login bore the token %q, want none", test.name, token)
			}
			w.WriteHeader(test.status)
			io.WriteString(w, test.answer)
		})
		secret, err := test.do(c)
		switch {
		case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
			t.Errorf("%s: got error %v, want %q", test.name, err, test.err)
		case test.err == "" && (err != nil || secret.Auth.ClientToken != "hvs.made"):
			t.Errorf("%s: got %+v, %v, want the token", test.name, secret, err)
		}
	}
}

const wrapAnswer = `{"request_id":"","data":null,"wrap_info":{"token":"hvs.wrap","accessor":"acc","ttl":90,
	"creation_time":"2026-01-02T03:04:05.6Z","creation_path":"sys/wrapping/wrap","wrapped_accessor":"acc2"}}`

// What is wrapped says for how long; fetching it is never wrapped itself.
func TestWrapping(t *testing.T) {
	ctx := context.Background()
	for _, test := range []struct {
		name, want, ttl string
		do              func(*client.Client) error
	}{
		{"Wrap", `POST /v1/sys/wrapping/wrap {"k":"v"}`, "1m30s", func(c *client.Client) error {
			info, err := c.Wrap(ctx, map[string]any{"k": "v"}, 90*time.Second)
			if err == nil && (info.Token != "hvs.wrap" || info.TTL != 90 || info.WrappedAccessor != "acc2") {
				t.Errorf("Wrap: got %+v, want what was sent", info)
			}
			return err
		}},
		{"Wrap by default", `POST /v1/sys/wrapping/wrap {}`, "5m0s", func(c *client.Client) error {
			_, err := c.WithWrapTTL(0).Wrap(ctx, map[string]any{}, 0)
			return err
		}},
		{"Write by default", `PUT /v1/sys/wrapping/wrap {"k":"v"}`, "5m0s", func(c *client.Client) error {
			_, err := c.WithWrapTTL(0).Write(ctx, "/sys/wrapping/wrap", map[string]any{"k": "v"})
			return err
		}},
		{"Write as the Client says", `PUT /v1/sys/wrapping/wrap {"k":"v"}`, "1h0m0s", func(c *client.Client) error {
			_, err := c.Write(ctx, "sys/wrapping/wrap", map[string]any{"k": "v"})
			return err
		}},
		{"Read", `GET /v1/a`, "1h0m0s", func(c *client.Client) error { _, err := c.Read(ctx, "a", nil); return err }},
		{"Read unwrapped", `GET /v1/a`, "", func(c *client.Client) error { _, err := c.WithWrapTTL(0).Read(ctx, "a", nil); return err }},
		{"Unwrap", `PUT /v1/sys/wrapping/unwrap {"token":"w"}`, "", func(c *client.Client) error { _, err := c.Unwrap(ctx, "w"); return err }},
		{"LookupWrapping", `POST /v1/sys/wrapping/lookup {"token":"w"}`, "", func(c *client.Client) error {
			_, err := c.LookupWrapping(ctx, "w")
			return err
		}},
		{"Rewrap", `POST /v1/sys/wrapping/rewrap {"token":"w"}`, "", func(c *client.Client) error { _, err := c.Rewrap(ctx, "w"); return err }},
		{"Login", `PUT /v1/auth/approle/login {"role_id":"r"}`, "1h0m0s", func(c *client.Client) error {
			secret, err := c.LoginAppRole(ctx, "approle", "r", "")
			if err == nil && secret.WrapInfo == nil {
				t.Errorf("Login: got %+v, want a WrapInfo", secret)
			}
			return err
		}},
	} {
		c := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			if got := requestLine(r); got != test.want {
				t.Errorf("%s: got request %s, want %s", test.name, got, test.want)
			}
			if got := r.Header.Get("X-Vault-Wrap-TTL"); got != test.ttl {
				t.Errorf("%s: got X-Vault-Wrap-TTL %q, want %q", test.name, got, test.ttl)
			}
			io.WriteString(w, wrapAnswer)
		})
		if err := test.do(c.WithWrapTTL(time.Hour)); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// Who has no token but a wrapping one bears that one.
func TestUnwrapWithoutAToken(t *testing.T) {
	c := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		if got, want := requestLine(r)+" "+r.Header.Get("X-Vault-Token"), `PUT /v1/sys/wrapping/unwrap null hvs.wrap`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		io.WriteString(w, `{"data":{"k":"v"}}`)
	})
	secret, err := c.WithToken("").Unwrap(context.Background(), "hvs.wrap")
	if err != nil || secret.Data["k"] != "v" {
		t.Errorf("got %+v, %v, want what was wrapped", secret, err)
	}
}

func TestWrapNeedsAWrappingToken(t *testing.T) {
	c := newServer(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"data":{"k":"v"}}`) })
	if info, err := c.Wrap(context.Background(), nil, time.Minute); err == nil {
		t.Errorf("got %+v, want an error: the answer was not wrapped", info)
	}
}

func TestNamespaces(t *testing.T) {
	c := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		switch requestLine(r) + " in " + r.Header.Get("X-Vault-Namespace") {
		case "GET /v1/sys/namespaces?list=true in teams/blue":
			io.WriteString(w, `{"data":{"keys":["a/"],"key_info":{"a/":{"id":"Xy12","path":"teams/blue/a/","custom_metadata":{"k":"v"}}}}}`)
		case "DELETE /v1/sys/namespaces/a in teams/blue":
			w.Header().Set(client.JobHeader, "17")
			w.WriteHeader(http.StatusAccepted)
			io.WriteString(w, `{"data":{"status":"in-progress"}}`)
		case "DELETE /v1/sys/namespaces/a in ":
			io.WriteString(w, `{"data":null,"warnings":["requested namespace does not exist"]}`)
		default:
			t.Errorf("got %s in %q, which nobody wanted", r.URL, r.Header.Get("X-Vault-Namespace"))
		}
	})
	ctx, blue := context.Background(), c.WithNamespace("teams/blue")
	list, err := blue.Namespaces(ctx, client.Page{})
	want := client.Namespace{ID: "Xy12", Path: "teams/blue/a/", CustomMetadata: map[string]string{"k": "v"}}
	if err != nil || !reflect.DeepEqual(list.Data.KeyInfo["a/"], want) || len(list.Data.Keys) != 1 {
		t.Errorf("got %+v, %v, want %+v", list, err, want)
	}
	if ended, err := blue.DeleteNamespace(ctx, "a"); err != nil || ended.Job() != "17" || ended.Data["status"] != "in-progress" {
		t.Errorf("got %+v, %v, want job 17", ended, err)
	}
	if ended, err := c.DeleteNamespace(ctx, "a"); err != nil || ended.Job() != "" || ended.Data != nil || len(ended.Warnings) != 1 {
		t.Errorf("got %+v, %v, want a warning: there was none", ended, err)
	}
}

func TestCapabilities(t *testing.T) {
	c := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"capabilities":["root"],"a":["root"],"data":{"capabilities":["read","sudo"],"a":["read","sudo"]}}`)
	})
	got, err := c.CapabilitiesSelf(context.Background(), "a")
	if want := []string{"read", "sudo"}; err != nil || !reflect.DeepEqual(got.Data["a"], want) {
		t.Errorf("got %+v, %v, want %q", got, err, want)
	}
}

// WaitJob looks until the job is finished, and tells what it saw meanwhile.
func TestWaitJob(t *testing.T) {
	states := []string{client.JobSweeping, client.JobRevoking, client.JobFinished}
	asked := 0
	c := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"data":{"id":"7","state":"`+states[min(asked, 2)]+`"}}`)
		asked++
	})
	var seen []string
	job, err := c.WaitJob(context.Background(), "7", func(j *client.Job) { seen = append(seen, j.State) })
	if err != nil || job.State != client.JobFinished || !reflect.DeepEqual(seen, states) {
		t.Errorf("got %+v, %v after %q, want the finished job after %q", job, err, seen, states)
	}

	c = newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"data":{"id":"7","state":"revoking"}}`)
	})
	ctx, cancel := context.WithCancel(context.Background())
	job, err = c.WaitJob(ctx, "7", func(*client.Job) { cancel() })
	if !errors.Is(err, context.Canceled) || job == nil || job.State != client.JobRevoking {
		t.Errorf("got %+v, %v after the context's end, want the job as last seen", job, err)
	}
}
