package httpapi_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
)

// The benchmarks measure a request from the handler on, without the connection: parsing, routing,
// authentication, access, the handler, the answer.

// discard is a ResponseWriter that keeps nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

func benchmark(b *testing.B, path, body string, asRoot bool) {
	r := newRig(b)
	r.Enable("locks/", "lease", lease.MountConfig{})
	token := "root"
	if !asRoot {
		if err := r.Lessor.PutPolicy(b.Context(), "", "issue", `path "locks/*" { capabilities = ["update"] }`); err != nil {
			b.Fatal(err)
		}
		token = r.NewToken(r.Root(), lessor.TokenRequest{Policies: []string{"issue", "default"}, TTL: time.Hour}).Bearer
	}
	body = strings.ReplaceAll(body, "$id", r.issue("locks/build/42", token, `{"ttl":"1h"}`))
	h := r.server.Handler()
	b.ReportAllocs()
	for b.Loop() {
		req := httptest.NewRequest("PUT", "/v1/"+path, strings.NewReader(body))
		req.Header.Set("X-Vault-Token", token)
		h.ServeHTTP(discard{http.Header{}}, req)
	}
}

func BenchmarkLookup(b *testing.B)    { benchmark(b, "sys/leases/lookup", `{"lease_id":"$id"}`, true) }
func BenchmarkLookupOwn(b *testing.B) { benchmark(b, "sys/leases/lookup", `{"lease_id":"$id"}`, false) }
func BenchmarkRenew(b *testing.B) {
	benchmark(b, "sys/leases/renew", `{"lease_id":"$id","increment":3600}`, true)
}
func BenchmarkIssue(b *testing.B) { benchmark(b, "locks/build/42", `{"ttl":"1h"}`, false) }

// BenchmarkLookupOfAThousandPolicies is BenchmarkLookupOwn in a cluster of 1,000 policies of 100 rules,
// by tokens that carry 10 and all of them. What access control alone costs is BenchmarkAuthorize.
func BenchmarkLookupOfAThousandPolicies(b *testing.B) {
	r := newRig(b)
	r.Enable("locks/", "lease", lease.MountConfig{})
	names := make([]string, 1000)
	for i := range names {
		names[i] = fmt.Sprintf("team-%03d", i)
		text := []byte("path \"locks/*\" { capabilities = [\"update\"] }\n")
		for j := range 99 {
			text = fmt.Appendf(text, "path \"kv-%d/+/app-%d/*\" { capabilities = [\"read\", \"list\"] }\n", i, j)
		}
		if err := r.Lessor.PutPolicy(b.Context(), "", names[i], string(text)); err != nil {
			b.Fatal(err)
		}
	}
	h := r.server.Handler()
	for _, n := range []int{10, 1000} {
		token := r.NewToken(r.Root(), lessor.TokenRequest{Policies: names[:n], TTL: time.Hour}).Bearer
		body := `{"lease_id":"` + r.issue("locks/build/42", token, `{"ttl":"1h"}`) + `"}`
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				req := httptest.NewRequest("PUT", "/v1/sys/leases/lookup", strings.NewReader(body))
				req.Header.Set("X-Vault-Token", token)
				h.ServeHTTP(discard{http.Header{}}, req)
			}
		})
	}
}

// BenchmarkNothing is what the frame of the others costs.
func BenchmarkNothing(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		req := httptest.NewRequest("PUT", "/v1/sys/leases/lookup", strings.NewReader(`{"lease_id":"x"}`))
		req.Header.Set("X-Vault-Token", "root")
		http.NotFound(discard{http.Header{}}, req)
	}
}
