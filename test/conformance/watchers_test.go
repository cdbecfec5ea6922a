package conformance

import (
	"testing"
	"time"
)

// TestClientsFollowRedirects: asked not to forward, a follower redirects, and the client follows.
func TestClientsFollowRedirects(t *testing.T) {
	path := mount(t, "lease", nil)
	withEach(t, func(t *testing.T, at func(int) sdk) {
		for node := 1; node <= 3; node++ {
			c := at(node)
			c.AddHeader("X-Vault-No-Request-Forwarding", "true")
			made := must[*secret](t)(c.Write(path+"/a", map[string]any{"ttl": "1h"}))
			must[*secret](t)(c.Renew(made.LeaseID, 60))
			ok(t, c.Revoke(made.LeaseID))
		}
	})
}

// TestClientsWatchers lets the clients' LifetimeWatchers keep a lease and a token alive: they renew,
// and are done when the maximum does not let them renew any further.
func TestClientsWatchers(t *testing.T) {
	path := mount(t, "lease", nil)
	withEach(t, func(t *testing.T, at func(int) sdk) {
		watch := func(name string, read func(sdk) (*secret, error)) {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := must[*watched](t)(at(0).Watch(read))
				if w.err != nil {
					t.Errorf("the watcher ended with %v", w.err)
				}
				if w.renewals < 3 {
					t.Errorf("%d renewals in %s, want at least 3", w.renewals, w.took)
				}
				// It stops when what is left is shorter than its grace, which is random.
				if w.took < 3100*time.Millisecond || w.took > 8*time.Second {
					t.Errorf("the watcher was done after %s, want it past the first TTL of 3s and near the maximum of 7s", w.took)
				}
				if w.last.LeaseID == "" && w.last.Auth == nil {
					t.Errorf("the last renewal answered %+v, want the lease or the token", w.last)
				}
			})
		}
		watch("lease", func(c sdk) (*secret, error) {
			return c.Write(path+"/watched", map[string]any{"ttl": "3s", "max_ttl": "7s"})
		})
		watch("token", func(c sdk) (*secret, error) {
			return c.CreateToken(tokenRequest{TTL: "3s", ExplicitMaxTTL: "7s"})
		})
	})
}

// TestClientsWatchLogins: the same with what a login earns, whose method is asked at each renewal.
func TestClientsWatchLogins(t *testing.T) {
	withEach(t, func(t *testing.T, at func(int) sdk) {
		t.Parallel() // it waits
		ann := person(t, authMethod(t, "userpass", nil), "ann", map[string]any{"token_ttl": "2s", "token_max_ttl": "5s"})
		w := must[*watched](t)(at(0).Watch(ann.by))
		if w.err != nil || w.renewals < 2 || w.last.Auth == nil {
			t.Errorf("the watcher ended with %v after %d renewals, the last was %+v", w.err, w.renewals, w.last)
		}
		if w.took < 2100*time.Millisecond || w.took > 6*time.Second {
			t.Errorf("the watcher was done after %s, want it past the first TTL of 2s and near the user's maximum of 5s", w.took)
		}
	})
}
