package webhook_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/backendtest"
)

// S12, S13, S14: the suite of all targets, with a service that goes wrong as the suite says.
func TestConformance(t *testing.T) {
	for name, start := range map[string]func(http.Handler) *httptest.Server{
		"https": startTLS, "http on loopback": startPlain, "HTTP/2": startHTTP2,
	} {
		t.Run(name, func(t *testing.T) {
			backendtest.Run(t, func(t *testing.T) *backendtest.Harness {
				s := newService(t, start)
				m := forService(t, s.srv)
				return &backendtest.Harness{
					Backend: m.engine,
					Request: func() *backend.Request { return m.request(backend.Read, "creds/ci", nil) },
					Living:  s.living,
					Until:   s.until,
					Plant:   s.plant,
					Heal:    s.heal,
					Forget: func() {
						if _, err := m.handle(backend.Delete, "roles/ci", nil); err != nil {
							t.Fatal(err)
						}
					},
					Secrets: []string{signingKey, handle},
					Also:    []backendtest.Fault{backendtest.FailAfter, backendtest.Twice},
					FailAt:  s.failStep,
					Fenced:  true,
				}
			})
		})
	}
}
