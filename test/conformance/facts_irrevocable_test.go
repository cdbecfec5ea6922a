package conformance

import (
	"fmt"
	"net/http"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestFact04_CountWithoutIrrevocableIsZero(t *testing.T) {
	onEachNode(t, func(t *testing.T, node int) {
		r := send(t, request{node: node, method: "GET", path: "/v1/sys/leases/count?type=irrevocable"}).want(200)
		if n := r.number("data.lease_count"); n != 0 {
			t.Errorf("lease_count is %d, want 0", n)
		}
		if counts, ok := r.get("data.counts").(map[string]any); !ok || len(counts) != 0 {
			t.Errorf("counts is %v, want an empty object", r.get("data.counts"))
		}
		if r.get("warnings") != nil {
			t.Errorf("warnings are %v, want none", r.get("warnings"))
		}
	})
}

func TestFact06_ListWithoutIrrevocableIsAnEmptyArray(t *testing.T) {
	onEachNode(t, func(t *testing.T, node int) {
		r := send(t, request{node: node, method: "GET", path: "/v1/sys/leases?type=irrevocable"}).want(200)
		if n := r.number("data.lease_count"); n != 0 {
			t.Errorf("lease_count is %d, want 0", n)
		}
		if list, ok := r.get("data.leases").([]any); !ok || len(list) != 0 {
			t.Errorf("leases is %v, want an empty array", r.get("data.leases"))
		}
	})
}

// spread makes irrevocable leases at several mounts and returns how many by accessor.
func spread(t *testing.T, each ...int) map[string]int {
	t.Helper()
	s := newService(t, refusing(403, "no such account right"))
	want := make(map[string]int)
	for _, n := range each {
		path := hooks(t, s, stubborn)
		irrevocable(t, path, n)
		want[accessorOf(t, path)] = n
	}
	return want
}

func checkCounts(t *testing.T, want map[string]int) {
	t.Helper()
	total := 0
	for _, n := range want {
		total += n
	}
	onEachNode(t, func(t *testing.T, node int) {
		r := send(t, request{node: node, method: "GET", path: "/v1/sys/leases/count?type=irrevocable"}).want(200)
		r.wantGet("data.lease_count", total).wantGet("warnings", nil)
		counts, _ := r.get("data.counts").(map[string]any)
		if len(counts) != len(want) {
			t.Errorf("counts has %d mounts, want %d", len(counts), len(want))
		}
		for accessor, n := range want {
			r.wantGet("data.counts."+accessor, n)
		}
	})
}

func TestFact05_CountIsExactByMountAccessor(t *testing.T) { checkCounts(t, spread(t, 20, 17, 13)) }

func TestFact68_CountsOverThreeMountsWithTenEach(t *testing.T) {
	checkCounts(t, spread(t, 10, 10, 10))
}

type listed struct{ id, mount, text string }

// irrevocables reads the list of irrevocable leases.
func irrevocables(r *reply) []listed {
	r.t.Helper()
	list, ok := r.get("data.leases").([]any)
	if !ok {
		r.t.Fatalf("%s: data.leases is no list: %.300s", r.asked, r.body)
	}
	out := make([]listed, len(list))
	for i, v := range list {
		entry, _ := v.(map[string]any)
		out[i] = listed{fmt.Sprint(entry["lease_id"]), fmt.Sprint(entry["mount_id"]), fmt.Sprint(entry["error"])}
	}
	return out
}

func TestFact07_ListHoldsEachWithItsMount(t *testing.T) {
	want := spread(t, 30, 20)
	r := call(t, "GET", "sys/leases?type=irrevocable", nil).want(200).wantGet("data.lease_count", 50)
	got := make(map[string]int)
	for _, l := range irrevocables(r) {
		got[l.mount]++
		if !strings.Contains(l.text, "no such account right") {
			t.Errorf("the error of %s is %q, want the service's words in it", l.id, l.text)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("entries by mount_id: %v, want %v", got, want)
	}
}

func TestFact69_ListIsSortedByExpiryThenID(t *testing.T) {
	want := spread(t, 10, 10, 10)
	expiry := make(map[string]string)
	var first []listed
	onEachNode(t, func(t *testing.T, node int) {
		r := send(t, request{node: node, method: "GET", path: "/v1/sys/leases?type=irrevocable"}).want(200).wantGet("warnings", nil)
		list := irrevocables(r)
		if len(list) != 30 {
			t.Fatalf("%d entries, want 30", len(list))
		}
		if first == nil {
			first = list
		}
		if fmt.Sprint(list) != fmt.Sprint(first) {
			t.Errorf("node %d lists\n%v\nwant the same as node 1:\n%v", node, list, first)
		}
	})
	for _, l := range first {
		if want[l.mount] == 0 {
			t.Errorf("%s has the mount_id %s, which is none of %v", l.id, l.mount, want)
		}
		expiry[l.id] = lookup(t, l.id).want(200).text("data.expire_time")
	}
	if !sort.SliceIsSorted(first, func(i, j int) bool {
		a, b := first[i], first[j]
		ta, _ := time.Parse(time.RFC3339Nano, expiry[a.id])
		tb, _ := time.Parse(time.RFC3339Nano, expiry[b.id])
		return ta.Before(tb) || ta.Equal(tb) && a.id < b.id
	}) {
		t.Errorf("not sorted by expiry, then ID: %v", first)
	}
}

// many is more irrevocable leases than a list shows unasked.
const many = 10050

// manyIrrevocable makes them once for the tests that need them. The role has no issue_url, so that
// only their end calls the service.
func manyIrrevocable(t *testing.T) {
	t.Helper()
	s := newService(t, refusing(403, "refused"))
	path := hooks(t, s, map[string]any{"revoke_attempts": 1, "revoke_concurrency": 64})
	role(t, s, path, "ci", map[string]any{"issue_url": ""})
	inParallel(t, 24, many, func(i int) error {
		r, err := request{method: "POST", path: "/v1/" + path + "/creds/ci"}.do()
		if err == nil && r.status != http.StatusOK {
			err = fmt.Errorf("issue %d: %d %s", i, r.status, r.body)
		}
		return err
	})
	call(t, "PUT", "sys/leases/revoke-prefix/"+path, nil).want(202)
	eventually(t, time.Minute, fmt.Sprintf("%d irrevocable leases", many), func() bool {
		return fmt.Sprint(call(t, "GET", "sys/leases/count?type=irrevocable", nil).get("data.lease_count")) == fmt.Sprint(many)
	})
}

// inParallel calls work for 0 to n-1 on some goroutines and fails the test at the first error.
func inParallel(t testing.TB, workers, n int, work func(i int) error) {
	t.Helper()
	jobs, failures := make(chan int), make(chan error, workers)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range jobs {
				if err := work(i); err != nil {
					select {
					case failures <- err:
					default:
					}
				}
			}
		})
	}
	for i := range n {
		jobs <- i
	}
	close(jobs)
	wg.Wait()
	select {
	case err := <-failures:
		t.Fatal(err)
	default:
	}
}

// TestMoreIrrevocableThanAListShows holds the upstream tests that need more than 10,000: they share
// the leases, which take a while to make.
func TestMoreIrrevocableThanAListShows(t *testing.T) {
	manyIrrevocable(t)
	const warning = "Command halted because many irrevocable leases were found."
	cut := func(t *testing.T, query string, want int) {
		r := call(t, "GET", "sys/leases?type=irrevocable"+query, nil).want(200)
		r.wantGet("data.lease_count", want).wantGet("data.total_count", many)
		if list := irrevocables(r); len(list) != want {
			t.Errorf("%d entries, want %d", len(list), want)
		}
		if w := r.strings("warnings"); len(w) != 1 || !strings.HasPrefix(w[0], warning) {
			t.Errorf("warnings are %q, want the one that begins with %q", w, warning)
		}
	}
	whole := func(t *testing.T, query string) {
		r := call(t, "GET", "sys/leases?type=irrevocable"+query, nil).want(200)
		r.wantGet("data.lease_count", many).wantGet("warnings", nil)
		if list := irrevocables(r); len(list) != many {
			t.Errorf("%d entries, want %d", len(list), many)
		}
	}
	t.Run("TestFact08_WithoutLimitOneWarning", func(t *testing.T) { cut(t, "", 10000) })
	t.Run("TestFact09_LimitNoneShowsAll", func(t *testing.T) { whole(t, "&limit=none"); whole(t, "&limit=NONE") })
	t.Run("TestFact70_TenThousandAndTheWarningOrAll", func(t *testing.T) {
		cut(t, "", 10000)
		whole(t, "&limit=20000")
	})
	t.Run("first by expiry", func(t *testing.T) {
		all := irrevocables(call(t, "GET", "sys/leases?type=irrevocable&limit=none", nil).want(200))
		few := irrevocables(call(t, "GET", "sys/leases?type=irrevocable&limit=3", nil).want(200))
		if fmt.Sprint(few) != fmt.Sprint(all[:3]) {
			t.Errorf("limit=3 shows %v, want the first three of all: %v", few, all[:3])
		}
	})
}

func TestFact61_MarkedIrrevocableWithItsError(t *testing.T) {
	s := newService(t, refusing(422, "cannot do that"))
	path := hooks(t, s, stubborn)
	id := irrevocable(t, path, 1)[0]
	onEachNode(t, func(t *testing.T, node int) {
		r := send(t, request{node: node, method: "PUT", path: "/v1/sys/leases/lookup", body: map[string]any{"lease_id": id}}).want(200)
		r.wantGet("data.renewable", false).wantGet("data.status", "irrevocable")
		if text := r.text("data.revoke_error"); !strings.Contains(text, "cannot do that") {
			t.Errorf("revoke_error is %q, want the service's words in it", text)
		}
		if ttl := r.number("data.ttl"); ttl > 0 {
			t.Errorf("ttl is %d, want none left", ttl)
		}
	})
	call(t, "PUT", "sys/leases/renew", map[string]any{"lease_id": id}).
		wantError(400, "lease is expired and has failed previous revocation attempts")
	keys := call(t, "GET", "sys/leases/lookup/"+path+"/creds/ci?list=true", nil).want(200).strings("data.keys")
	if len(keys) != 1 {
		t.Errorf("LIST shows %v, want the irrevocable lease", keys)
	}
}

func TestFact62_TimesOfAnIrrevocableLeaseStay(t *testing.T) {
	s := newService(t, refusing(403, "no"))
	path := hooks(t, s, stubborn)
	id := issue(t, path+"/creds/ci", map[string]any{"ttl": "3s"})
	call(t, "PUT", "sys/leases/renew", map[string]any{"lease_id": id, "increment": 2}).want(200)
	before := lookup(t, id).want(200)
	eventually(t, 10*time.Second, "the lease is irrevocable", func() bool {
		return lookup(t, id).want(200).get("data.status") == "irrevocable"
	})
	after := lookup(t, id)
	for _, field := range []string{"data.issue_time", "data.expire_time", "data.last_renewal"} {
		after.wantGet(field, before.get(field))
	}
}

func TestFact63_ForceTakesIrrevocableAway(t *testing.T) {
	s := newService(t, refusing(403, "no"))
	path := hooks(t, s, stubborn)
	ids := irrevocable(t, path, 3)
	keys := call(t, "LIST", "sys/leases/lookup/"+path+"/creds/ci", nil).want(200).strings("data.keys")
	if len(keys) != 3 {
		t.Errorf("marking changed what is listed: %v, want three", keys)
	}
	call(t, "PUT", "sys/leases/revoke-force/"+ids[0], nil).want(204)
	onEachNode(t, func(t *testing.T, node int) {
		send(t, request{node: node, method: "GET", path: "/v1/sys/leases/count?type=irrevocable"}).wantGet("data.lease_count", 2)
		send(t, request{node: node, method: "PUT", path: "/v1/sys/leases/lookup", body: map[string]any{"lease_id": ids[0]}}).
			wantError(400, "invalid lease")
	})
}

func TestFact66_APermanentErrorMakesIrrevocableAtOnce(t *testing.T) {
	for _, status := range []int{400, 403, 422} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			s := newService(t, refusing(status, "never"))
			path := hooks(t, s, nil) // six attempts would be allowed
			id := irrevocable(t, path, 1)[0]
			if calls := s.of("revoke", id); len(calls) != 1 {
				t.Errorf("%d revoke calls, want 1", len(calls))
			}
		})
	}
}

func TestFact67_APassingErrorDoesNot(t *testing.T) {
	for _, status := range []int{429, 500, 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			s := newService(t, refusing(status, "later"))
			path := hooks(t, s, nil)
			id := issue(t, path+"/creds/ci", nil)
			call(t, "PUT", "sys/leases/revoke", map[string]any{"lease_id": id}).want(202)
			eventually(t, 5*time.Second, "a revoke call", func() bool { return len(s.of("revoke", id)) == 1 })
			for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); {
				lookup(t, id).want(200).wantGet("data.status", "revoking")
			}
			call(t, "GET", "sys/leases/count?type=irrevocable", nil).wantGet("data.lease_count", 0)
		})
	}
}

// TestFact79_RevokeOfAnIrrevocableLeaseTriesAgain: upstream does nothing there, which is a known
// fault; here the lease is tried at once.
func TestFact79_RevokeOfAnIrrevocableLeaseTriesAgain(t *testing.T) {
	s := newService(t, refusing(403, "no"))
	path := hooks(t, s, stubborn)
	id := irrevocable(t, path, 1)[0]
	s.set(healthy)
	call(t, "PUT", "sys/leases/revoke/"+id, map[string]any{"sync": false}).want(202)
	eventually(t, 5*time.Second, "the lease is gone", func() bool { return gone(t, id) })
	if calls := s.of("revoke", id); len(calls) != 2 {
		t.Errorf("%d revoke calls, want 2: the first and the one asked for", len(calls))
	}
}
