package conformance

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// tidy starts to tidy and returns the job that does it.
func tidy(t testing.TB, node int) string {
	t.Helper()
	r := send(t, request{node: node, method: "PUT", path: "/v1/sys/leases/tidy"}).want(202)
	if w := r.strings("warnings"); len(w) != 1 || !strings.HasPrefix(w[0], "Tidy operation successfully started.") || r.get("data") != nil {
		t.Errorf("%s: got %s, want Vault's warning and no data", r.asked, r.body)
	}
	job := r.header.Get("X-Leasehold-Job")
	if job == "" {
		t.Fatalf("%s: no job is named in %v", r.asked, r.header)
	}
	return job
}

// TestTidyIsAJob: what tidying does is read at another node than the one that was asked, and leases of living tokens
// stay.
func TestTidyIsAJob(t *testing.T) {
	path := mount(t, "lease", nil)
	token := newToken(t, map[string]any{"ttl": "1h"}).text("auth.client_token")
	var ids []string
	for range 20 {
		ids = append(ids, send(t, request{method: "POST", path: "/v1/" + path + "/a", token: token}).want(200).text("lease_id"))
	}
	for node := 1; node <= 3; node++ {
		job := "/v1/sys/leases/jobs/" + tidy(t, node)
		eventually(t, 10*time.Second, "the job is finished, as another node shows", func() bool {
			r := send(t, request{node: node%3 + 1, method: "GET", path: job}).want(200)
			r.wantGet("data.cause", "tidy").wantGet("data.failed", 0)
			return r.text("data.state") == "finished" && r.get("data.finished") != nil
		})
		last := send(t, request{node: (node+1)%3 + 1, method: "GET", path: job}).want(200)
		last.wantGet("data.left", 0).wantGet("data.total", 0) // nothing here is without an owner
	}
	for _, id := range ids {
		lookup(t, id).want(200).wantGet("data.status", "active")
	}
	call(t, "GET", "sys/leases/tidy", nil).want(405)
	rules := policy(t, `path "sys/leases/tidy" { capabilities = ["update"] }`)
	may := newToken(t, map[string]any{"ttl": "1h", "policies": []string{rules}, "no_default_policy": true}).text("auth.client_token")
	send(t, request{method: "PUT", path: "/v1/sys/leases/tidy", token: may}).want(202) // no sudo
}

// TestOneTidyAtATime: while one marks leases, who asks for another, at any node, is told of that one.
func TestOneTidyAtATime(t *testing.T) {
	const leases, callers = 4000, 6
	path := mount(t, "lease", nil)
	inParallel(t, 24, leases, func(i int) error {
		r, err := request{method: "POST", path: fmt.Sprintf("/v1/%s/%d", path, i%7), body: `{"ttl":"1h"}`}.do()
		if err == nil && r.status != 200 {
			err = fmt.Errorf("issue: %d %s", r.status, r.body)
		}
		return err
	})
	together := 0
	for range 8 {
		jobs := make([]string, callers)
		var all sync.WaitGroup
		begin := make(chan struct{})
		for i := range jobs {
			all.Go(func() {
				<-begin
				r, err := request{node: i%3 + 1, method: "PUT", path: "/v1/sys/leases/tidy"}.do()
				switch {
				case err != nil:
					t.Error(err)
				case r.status == 202:
					jobs[i] = r.header.Get("X-Leasehold-Job")
				case r.status < 503: // during an election the answer may be that nothing is known
					t.Errorf("%s: got %d %s", r.asked, r.status, r.body)
				}
			})
		}
		close(begin)
		marking := tidying(t)
		all.Wait()
		if marking > 1 {
			t.Fatalf("%d jobs tidy at once", marking)
		}
		distinct := make(map[string]int)
		for _, job := range jobs {
			distinct[job]++
		}
		for job, n := range distinct {
			if job != "" && n > 1 {
				together++
			}
		}
		eventually(t, 10*time.Second, "nobody tidies any more", func() bool { return tidying(t) == 0 })
	}
	if together == 0 {
		t.Error("no call met a job that was under way, though 6 came at once 8 times: they start one each")
	}
	if keys := call(t, "LIST", "sys/leases/lookup/"+path+"/0", nil).want(200).strings("data.keys"); len(keys) != (leases+6)/7 {
		t.Errorf("%d leases are left of %d", len(keys), (leases+6)/7)
	}
}

// tidying is how many jobs mark leases without an owner.
func tidying(t testing.TB) int {
	t.Helper()
	n := 0
	jobs, _ := call(t, "GET", "sys/leases/jobs?limit=20", nil).want(200).get("data.jobs").([]any)
	for _, v := range jobs {
		if j, _ := v.(map[string]any); j["cause"] == "tidy" && j["state"] == "sweeping" {
			n++
		}
	}
	return n
}
