package conformance

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestExpiryAtItsSecondOnEveryNode: a lease is there until its end, and gone on all nodes soon after.
func TestExpiryAtItsSecondOnEveryNode(t *testing.T) {
	path := mount(t, "lease", nil)
	id := issue(t, path+"/a", map[string]any{"ttl": "2s"})
	end, err := time.Parse(time.RFC3339Nano, lookup(t, id).want(200).text("data.expire_time"))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for node := 1; node <= 3; node++ {
		wg.Go(func() {
			var last time.Time // it was seen alive
			for {
				asked := time.Now()
				r, err := request{node: node, method: "PUT", path: "/v1/sys/leases/lookup", body: map[string]any{"lease_id": id}}.do()
				if err != nil || r.status != 200 && r.status != 400 {
					t.Errorf("node %d: %v %+v", node, err, r)
					return
				}
				if r.status == 400 {
					// The cluster's time is the machine's here, but for what the start of the cluster took.
					if early := end.Sub(asked); early > 250*time.Millisecond {
						t.Errorf("node %d: gone %s before its end", node, early)
					}
					return
				}
				if last = asked; last.Sub(end) > time.Second {
					t.Errorf("node %d: still there %s after its end", node, last.Sub(end))
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	wg.Wait()
}

// TestRevokePrefixOfTenThousand: one call; dead at once on every node; a job tells the progress.
func TestRevokePrefixOfTenThousand(t *testing.T) {
	const n = 10000
	path := mount(t, "lease", nil)
	ids := make([]string, n)
	inParallel(t, 24, n, func(i int) error {
		r, err := request{method: "POST", path: fmt.Sprintf("/v1/%s/jobs/%d", path, i%10), body: `{"ttl":"1h"}`}.do()
		if err != nil {
			return err
		}
		var ok bool
		if ids[i], ok = r.get("lease_id").(string); !ok {
			return fmt.Errorf("issue: %d %s", r.status, r.body)
		}
		return nil
	})
	begin := time.Now()
	r := call(t, "PUT", "sys/leases/revoke-prefix/"+path+"/jobs", nil).want(202)
	if took := time.Since(begin); took > time.Second {
		t.Errorf("the call took %s", took)
	}
	job := r.header.Get("X-Leasehold-Job")
	if job == "" || r.body != "" {
		t.Fatalf("no X-Leasehold-Job, or a body: %v %q", r.header, r.body)
	}
	for node := 1; node <= 3; node++ { // at once: nothing waits for the sweep
		for _, id := range []string{ids[0], ids[n/2], ids[n-1]} {
			send(t, request{node: node, method: "PUT", path: "/v1/sys/leases/renew", body: map[string]any{"lease_id": id}}).want(400)
			r := send(t, request{node: node, method: "PUT", path: "/v1/sys/leases/lookup", body: map[string]any{"lease_id": id}})
			if r.status == 200 {
				r.wantGet("data.status", "revoking").wantGet("data.renewable", false)
			}
		}
	}
	eventually(t, 20*time.Second, "the job is finished", func() bool {
		r := call(t, "GET", "sys/leases/jobs/"+job, nil).want(200)
		done, left := r.number("data.done"), r.number("data.left")
		if done > n || left > n || done < 0 || left < 0 {
			t.Fatalf("the job's figures are wrong: %s", r.body)
		}
		return r.get("data.finished") != nil
	})
	call(t, "GET", "sys/leases/jobs/"+job, nil).want(200).wantGet("data.total", n).wantGet("data.done", n).wantGet("data.left", 0).wantGet("data.failed", 0)
	onEachNode(t, func(t *testing.T, node int) {
		send(t, request{node: node, method: "LIST", path: "/v1/sys/leases/lookup/" + path}).wantError(404, "")
	})
}

// TestATreeOfTokens: the root of a tree takes its children and all that they leased with it, in one
// step and on every node.
func TestATreeOfTokens(t *testing.T) {
	path := mount(t, "lease", nil)
	root := newToken(t, map[string]any{"ttl": "1h"}).text("auth.client_token")
	tokens, level := []string{root}, []string{root}
	for range 4 {
		var next []string
		for _, parent := range level {
			for range 3 {
				next = append(next, newTokenBy(t, parent, map[string]any{"ttl": "1h"}).text("auth.client_token"))
			}
		}
		tokens, level = append(tokens, next...), next
	}
	var ids []string
	for _, token := range tokens {
		ids = append(ids, send(t, request{method: "POST", path: "/v1/" + path + "/of/tree", token: token}).want(200).text("lease_id"))
	}
	r := call(t, "PUT", "auth/token/revoke", map[string]any{"token": root}).want(204)
	if r.header.Get("X-Leasehold-Job") == "" {
		t.Error("no X-Leasehold-Job")
	}
	for node := 1; node <= 3; node++ {
		for i := 0; i < len(tokens); i += 7 {
			send(t, request{node: node, method: "GET", path: "/v1/auth/token/lookup-self", token: tokens[i]}).wantError(403, "permission denied")
			send(t, request{node: node, method: "PUT", path: "/v1/sys/leases/renew", body: map[string]any{"lease_id": ids[i]}}).want(400)
		}
	}
	eventually(t, 5*time.Second, "all leases are gone", func() bool { return call(t, "LIST", "sys/leases/lookup/"+path, nil).status == 404 })
}

func TestATokensExpiryKillsItsLeases(t *testing.T) {
	path := mount(t, "lease", nil)
	token := newToken(t, map[string]any{"ttl": "1s"}).text("auth.client_token")
	id := send(t, request{method: "POST", path: "/v1/" + path + "/a", body: `{"ttl":"1h"}`, token: token}).want(200).text("lease_id")
	lookup(t, id).want(200)
	eventually(t, 3*time.Second, "its lease is dead on every node", func() bool {
		for node := 1; node <= 3; node++ {
			r := send(t, request{node: node, method: "PUT", path: "/v1/sys/leases/renew", body: map[string]any{"lease_id": id}})
			if r.status != 400 {
				return false
			}
		}
		return true
	})
	send(t, request{method: "GET", path: "/v1/auth/token/lookup-self", token: token}).wantError(403, "permission denied")
}

// TestOwnLeasesOnly: the built-in policy lets a token look up and renew what it leased itself, and
// tells nothing about what others leased, not even whether it is there.
func TestOwnLeasesOnly(t *testing.T) {
	path := mount(t, "lease", nil)
	user := policy(t, fmt.Sprintf(`path "%s/*" { capabilities = ["update"] }`, path))
	token := newToken(t, map[string]any{"ttl": "1h", "policies": []string{user}}).text("auth.client_token")
	own := send(t, request{method: "POST", path: "/v1/" + path + "/a", token: token}).want(200).text("lease_id")
	others := issue(t, path+"/a", nil)
	onEachNode(t, func(t *testing.T, node int) {
		put := func(verb, id string) *reply {
			return send(t, request{node: node, method: "PUT", path: "/v1/sys/leases/" + verb, body: map[string]any{"lease_id": id}, token: token})
		}
		put("lookup", own).want(200)
		put("renew", own).want(200)
		for _, verb := range []string{"lookup", "renew", "revoke"} {
			there, missing := put(verb, others).want(403), put(verb, path+"/a/000000000000000000000000").want(403)
			if there.body != missing.body {
				t.Errorf("%s tells a lease that is there (%s) from one that is not (%s)", verb, there.body, missing.body)
			}
		}
	})
}

// TestWhatAWriteDidIsSeenEverywhere: written through one node and read at once through another, a
// thousand times, and never an older state.
func TestWhatAWriteDidIsSeenEverywhere(t *testing.T) {
	path := mount(t, "lease", nil)
	const clients, rounds = 5, 200
	ids := make([]string, clients)
	for i := range ids {
		ids[i] = issue(t, path+"/a", map[string]any{"ttl": "24h"})
	}
	inParallel(t, clients, clients, func(c int) error {
		for i := range rounds {
			at, from := (c+i)%3+1, (c+i+1+i/3%2)%3+1
			increment := 3600 + 60*(i%600)
			body := map[string]any{"lease_id": ids[c], "increment": increment}
			if r, err := (request{node: at, method: "PUT", path: "/v1/sys/leases/renew", body: body}).do(); err != nil || r.status != 200 {
				return fmt.Errorf("renew: %v %+v", err, r)
			}
			r, err := request{node: from, method: "PUT", path: "/v1/sys/leases/lookup", body: body}.do()
			if err != nil || r.status != 200 {
				return fmt.Errorf("lookup: %v %+v", err, r)
			}
			ttl, _ := r.get("data.ttl").(json.Number)
			if n, err := ttl.Int64(); err != nil || n > int64(increment) || n < int64(increment)-5 {
				return fmt.Errorf("round %d: renewed by %d s at node %d, node %d shows %s s", i, increment, at, from, ttl)
			}
		}
		return nil
	})
}

// TestStaleReadsAndIndexes: a stale read comes from the node's own state, and an index asked for is
// waited for.
func TestStaleReadsAndIndexes(t *testing.T) {
	path := mount(t, "lease", nil)
	onEachNode(t, func(t *testing.T, node int) {
		made := call(t, "POST", path+"/a", map[string]any{"ttl": "1h"}).want(200)
		id, index := made.text("lease_id"), made.header.Get("X-Vault-Index")
		body := map[string]any{"lease_id": id}
		send(t, request{node: node, method: "PUT", path: "/v1/sys/leases/lookup", body: body,
			header: map[string]string{"X-Vault-Index": index, "X-Leasehold-Consistency": "stale"}}).want(200)
		eventually(t, 2*time.Second, "a stale read shows it", func() bool {
			return send(t, request{node: node, method: "PUT", path: "/v1/sys/leases/lookup?consistency=stale", body: body}).status == 200
		})
		send(t, request{node: node, method: "GET", path: "/v1/auth/token/lookup-self", header: map[string]string{"X-Vault-Index": "999999999999"}}).want(412)
	})
}

func TestListsByPages(t *testing.T) {
	path := mount(t, "lease", nil)
	var want []string
	for range 25 {
		id := issue(t, path+"/a", nil)
		want = append(want, id[strings.LastIndex(id, "/")+1:])
	}
	slices.Sort(want)
	var got []string
	after := ""
	for {
		r := call(t, "LIST", "sys/leases/lookup/"+path+"/a?limit=10&after="+after, nil)
		if r.status == 404 {
			break
		}
		keys := r.want(200).strings("data.keys")
		if len(keys) > 10 {
			t.Fatalf("a page has %d keys, want at most 10", len(keys))
		}
		got = append(got, keys...)
		if after = keys[len(keys)-1]; len(keys) == 10 {
			r.wantGet("data.next", after)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the pages hold %v, want %v", got, want)
	}
}

// TestIdempotencyKey: a repeated issue is the first one.
func TestIdempotencyKey(t *testing.T) {
	path := mount(t, "lease", nil)
	post := func(body string) *reply {
		return send(t, request{method: "POST", path: "/v1/" + path + "/a", body: body, header: map[string]string{"Idempotency-Key": t.Name()}})
	}
	first := post(`{"ttl":"1h"}`).want(200).text("lease_id")
	for range 3 {
		post(`{"ttl":"1h"}`).want(200).wantGet("lease_id", first)
	}
	post(`{"ttl":"2h"}`).want(409)
	if keys := call(t, "LIST", "sys/leases/lookup/"+path+"/a", nil).want(200).strings("data.keys"); len(keys) != 1 {
		t.Errorf("%d leases, want 1", len(keys))
	}
}

// TestKeptData: data is shown again only to the owner, and only if it was to be kept.
func TestKeptData(t *testing.T) {
	path := mount(t, "lease", nil)
	for _, keep := range []bool{true, false} {
		id := issue(t, path+"/a", map[string]any{"data": map[string]any{"host": "ci-7"}, "keep_data": keep})
		shown := strings.Contains(lookup(t, id).want(200).body, "ci-7")
		if shown != keep {
			t.Errorf("keep_data %v: lookup shows the data: %v", keep, shown)
		}
	}
}

// stateHashes returns each node's hash once all have applied the same, and nothing is under way.
func stateHashes(t testing.TB) []string {
	t.Helper()
	var hashes []string
	eventually(t, 20*time.Second, "all nodes have applied the same entries", func() bool {
		hashes = hashes[:0]
		indexes := make(map[json.Number]bool)
		for node := 1; node <= 3; node++ {
			r, err := request{node: node, method: "GET", path: "/v1/sys/internal/state-hash"}.do()
			if err != nil || r.status != 200 {
				return false
			}
			index, _ := r.get("applied_index").(json.Number)
			hash, _ := r.get("hash").(string)
			if index == "" || hash == "" {
				t.Fatalf("state-hash answers %s", r.body)
			}
			indexes[index], hashes = true, append(hashes, hash)
		}
		return len(indexes) == 1
	})
	return hashes
}

func TestStateHashesAgree(t *testing.T) {
	path := mount(t, "lease", nil)
	before := stateHashes(t)
	issue(t, path+"/a", map[string]any{"ttl": "1h", "labels": map[string]any{"a": "b"}})
	newToken(t, map[string]any{"ttl": "1h"})
	after := stateHashes(t)
	for _, h := range [][]string{before, after} {
		if h[0] != h[1] || h[1] != h[2] {
			t.Errorf("hashes differ at the same index: %v", h)
		}
	}
	if before[0] == after[0] {
		t.Error("the hash does not depend on the state")
	}
}
