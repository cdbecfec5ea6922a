package conformance

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// wrap asks for an answer through a client that has it wrapped, and returns that with the wrapping token.
func wrap(t *testing.T, c sdk, path, ttl string, data map[string]any) (*secret, string) {
	t.Helper()
	c.Wrap(path, ttl)
	s := must[*secret](t)(c.Write(path, data))
	if s.WrapInfo == nil || s.WrapInfo.Token == "" || s.Data != nil || s.Auth != nil || s.LeaseID != "" {
		t.Fatalf("%s is answered as %+v, want a wrapping token and nothing else", path, s)
	}
	return s, s.WrapInfo.Token
}

const badWrapping = "* wrapping token is not valid or does not exist"

// shut fails the test unless a wrapping token opens nothing, at any node.
func shut(t *testing.T, at func(int) sdk, token string) {
	t.Helper()
	for node := 1; node <= 3; node++ {
		c := at(node)
		_, err := c.Unwrap(token)
		refused(t, c, err, 400)
		if lastLine(err) != badWrapping {
			t.Errorf("refused with %v, want %q", err, badWrapping)
		}
	}
}

func TestClientsWrapping(t *testing.T) {
	path := mount(t, "lease", nil)
	withEach(t, func(t *testing.T, at func(int) sdk) {
		s := must[*secret](t)
		base := path + "/" + unique("jobs")
		wrapped, token := wrap(t, at(1), base, "90s", map[string]any{"ttl": "1h", "data": map[string]any{"host": "ci-7"}})
		if i := wrapped.WrapInfo; i.TTL != 90 || i.CreationPath != base || i.Accessor == "" || time.Since(i.CreationTime) > time.Minute {
			t.Errorf("wrap_info is %+v", i)
		}
		for node := 1; node <= 3; node++ { // to look at it takes no token and no use
			c := at(node)
			c.ClearToken()
			d := s(c.Write("sys/wrapping/lookup", map[string]any{"token": token})).Data
			if d["creation_path"] != base || fmt.Sprint(d["creation_ttl"]) != "90" || d["creation_time"] == nil {
				t.Errorf("node %d: sys/wrapping/lookup answers %v", node, d)
			}
		}
		next := s(at(3).Write("sys/wrapping/rewrap", map[string]any{"token": token})).WrapInfo
		if next.Token == token || next.TTL != 90 || next.CreationPath != base {
			t.Errorf("rewrapped as %+v", next)
		}
		shut(t, at, token)
		opened := s(at(2).Unwrap(next.Token))
		if !strings.HasPrefix(opened.LeaseID, base+"/") || opened.LeaseDuration != 3600 || !opened.Renewable || opened.Data["host"] != "ci-7" {
			t.Errorf("unwrapped %+v, want the lease as it was issued", opened)
		}
		s(at(1).Renew(opened.LeaseID, 60))
		shut(t, at, next.Token)

		short, token := wrap(t, at(2), base, "1s", nil)
		eventually(t, 5*time.Second, "a wrapping token ends", func() bool {
			_, err := at(0).Write("sys/wrapping/lookup", map[string]any{"token": token})
			return err != nil && time.Since(short.WrapInfo.CreationTime) > 900*time.Millisecond
		})
		shut(t, at, token)
		shut(t, at, s(at(0).CreateToken(tokenRequest{TTL: "1h"})).Auth.ClientToken) // a token of another kind
	})
}

// TestClientsWrapEverything: tokens, reads, lists and a caller's own values come out as they went in.
func TestClientsWrapEverything(t *testing.T) {
	withEach(t, func(t *testing.T, at func(int) sdk) {
		s := must[*secret](t)
		made, token := wrap(t, at(1), "auth/token/create", "5m", map[string]any{"policies": []string{"default"}, "ttl": "1h"})
		self := at(2) // who has nothing but the wrapping token opens it with that as its own
		self.SetToken(token)
		auth := s(self.Unwrap("")).Auth
		if auth == nil || auth.Accessor != made.WrapInfo.WrappedAccessor || auth.LeaseDuration != 3600 {
			t.Errorf("unwrapped the token %+v, want the one with the accessor %s", auth, made.WrapInfo.WrappedAccessor)
		}
		s(as(at, auth.ClientToken).LookupSelf())
		shut(t, at, token)

		_, token = wrap(t, at(3), "sys/wrapping/wrap", "5m", map[string]any{"password": "s3cret", "n": 7})
		own := s(at(1).Unwrap(token)).Data
		if fmt.Sprint(own) != "map[n:7 password:s3cret]" {
			t.Errorf("unwrapped %v, want the values that were wrapped", own)
		}
		// By themselves the clients ask to have what they wrap for five minutes.
		if i := s(at(2).Write("sys/wrapping/wrap", map[string]any{"a": 1})).WrapInfo; i == nil || i.TTL != 300 {
			t.Errorf("wrapped as %+v, want a time of 300 s", i)
		}

		c := at(3)
		c.Wrap("sys/policies/acl", "60")
		listed := s(c.List("sys/policies/acl")).WrapInfo
		if keys := s(at(1).Unwrap(listed.Token)).Data["keys"]; !strings.HasPrefix(fmt.Sprint(keys), "[default ") {
			t.Errorf("unwrapped the keys %v, want the names of policies", keys)
		}
		c.Wrap("auth/token/lookup-self", "1m")
		read := s(c.Read("auth/token/lookup-self")).WrapInfo
		if d := s(at(2).Unwrap(read.Token)).Data; d["id"] != cluster.Token {
			t.Errorf("unwrapped %v, want what lookup-self answers", d)
		}

		// A wrapping token is good for nothing else, and is not spent on the attempt.
		_, token = wrap(t, at(0), "sys/wrapping/wrap", "5m", nil)
		for node := 1; node <= 3; node++ {
			c := at(node)
			c.SetToken(token)
			_, err := c.LookupSelf()
			refused(t, c, err, 403)
		}
		s(at(1).Unwrap(token))
	})
}

// TestClientsRacingUnwraps: of many who open a wrapping token at once on different nodes, one gets it; who moves it
// behind a new one is one of them.
func TestClientsRacingUnwraps(t *testing.T) {
	withEach(t, func(t *testing.T, at func(int) sdk) {
		for round := range 8 {
			contest{calls: 12, wins: 1, status: 400}.run(t, at, func() func(sdk) error {
				_, token := wrap(t, at(0), "sys/wrapping/wrap", "5m", map[string]any{"round": round})
				turn := make(chan bool, 12)
				for i := range 12 {
					turn <- round%2 == 1 && i%4 == 0
				}
				return func(c sdk) error {
					if <-turn {
						_, err := c.Write("sys/wrapping/rewrap", map[string]any{"token": token})
						return err
					}
					s, err := c.Unwrap(token)
					if err == nil && fmt.Sprint(s.Data["round"]) != fmt.Sprint(round) {
						t.Errorf("unwrapped %v, want what was wrapped", s.Data)
					}
					return err
				}
			})
		}
	})
}
