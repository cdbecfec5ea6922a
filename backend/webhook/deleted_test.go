package webhook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/webhook"
	"github.com/leasehold/leasehold/lease"
)

const rotatedKey = "the-key-after-its-rotation"

// keyOf says which of the keys signed a call.
func keyOf(t *testing.T, r *http.Request) string {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	stamp, sum, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("X-Leasehold-Signature"), "t="), ",v1=")
	for _, key := range []string{signingKey, rotatedKey} {
		mac := hmac.New(sha256.New, []byte(key))
		fmt.Fprintf(mac, "%s.%s", stamp, body)
		if hex.EncodeToString(mac.Sum(nil)) == sum {
			return key
		}
	}
	return "none"
}

// A service that has moved and changed its key must still be reached when the role is gone: what the
// lease kept is older than both changes.
func TestChangedAndDeletedRoles(t *testing.T) {
	var called []string
	srv := startPlain(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		called = append(called, r.URL.Path+" "+keyOf(t, r))
	}))
	defer srv.Close()
	m := forService(t, srv)
	internal := m.prepare("ci", nil).Internal
	step := func(want ...string) {
		t.Helper()
		called = nil
		if err := m.engine.Destroy(t.Context(), m.destruction(internal)); err != nil || !reflect.DeepEqual(called, want) {
			t.Errorf("called %q, %v; want %q", called, err, want)
		}
	}
	remove := func() {
		t.Helper()
		if _, err := m.handle(backend.Delete, "roles/ci", nil); err != nil {
			t.Fatal(err)
		}
	}
	step("/revoke " + signingKey)
	m.write("roles/ci", map[string]any{"revoke_url": srv.URL + "/moved", "secret": rotatedKey})
	step("/moved " + rotatedKey)
	for range 2 {
		remove()
		step("/moved " + rotatedKey)
	}
	if resp, err := m.handle(backend.Read, "roles/ci", nil); resp != nil || err != nil {
		t.Errorf("a deleted role shows %v, %v", resp, err)
	}
	// The role may come back, so its leases stay renewable.
	_, err := m.engine.Renew(t.Context(), m.renewal(internal))
	if err == nil || errors.Is(err, backend.ErrRefused) || !strings.Contains(err.Error(), `role "ci" was deleted`) || len(called) != 1 {
		t.Errorf("renew: got %v and %d calls, want an error and none", err, len(called)-1)
	}
	// What was made anew counts, and is remembered in its turn.
	m.write("roles/ci", map[string]any{"revoke_url": srv.URL + "/again", "secret": signingKey})
	step("/again " + signingKey)
	remove()
	step("/again " + signingKey)
	// When the deleted role is forgotten there is still what the lease kept.
	if err := m.store.Delete(t.Context(), "deleted/ci"); err != nil {
		t.Fatal(err)
	}
	step("/revoke " + signingKey)
}

// A deleted role is remembered for as long as its longest lease may live, and no longer than needed.
func TestDeletedRolesAreForgottenInTheEnd(t *testing.T) {
	const day = 24 * time.Hour
	for maxTTL, want := range map[string]time.Duration{"": 62 * day, "1h": 62 * day, "2400h": 130 * day} {
		m := newMount(t, webhook.Options{})
		m.write("config", map[string]any{"allowed_hosts": "a.test"})
		m.write("roles/ci", map[string]any{"revoke_url": "https://a.test/r", "secret": signingKey, "max_ttl": maxTTL})
		if _, err := m.handle(backend.Delete, "roles/ci", nil); err != nil {
			t.Fatal(err)
		}
		if got := m.store.TTL("deleted/ci"); got != want {
			t.Errorf("max_ttl %q: remembered for %v, want %v", maxTTL, got, want)
		}
	}
	if lease.DefaultMax != 32*day {
		t.Errorf("leases live %v at most, the figures above say 32 days", lease.DefaultMax)
	}
}

// Who points a role elsewhere while leases are destroyed by its URL is told how many; so is who makes a deleted
// role anew.
func TestAChangedRevokeURLIsWarnedOfWhileLeasesLive(t *testing.T) {
	m := forService(t, startPlain(http.NotFoundHandler()))
	live := 0
	write := func(url string) *backend.Response {
		t.Helper()
		req := m.request(backend.Write, "roles/ci", map[string]any{"revoke_url": "http://127.0.0.1:1" + url, "secret": signingKey})
		req.Live = func(role string) int { return map[string]int{"ci": live}[role] }
		resp, err := m.engine.Handle(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	if resp := write("/a"); resp != nil {
		t.Errorf("without leases: got %+v", resp)
	}
	live = 3
	if resp := write("/a"); resp != nil {
		t.Errorf("the same URL: got %+v", resp)
	}
	if resp := write("/b"); resp == nil || len(resp.Warnings) != 1 || !strings.Contains(resp.Warnings[0], ": 3.") {
		t.Errorf("another URL: got %+v, want a warning with the number", resp)
	}
	if _, err := m.handle(backend.Delete, "roles/ci", nil); err != nil {
		t.Fatal(err)
	}
	if resp := write("/c"); resp == nil {
		t.Error("a deleted role made anew with another URL: no warning")
	}
}
