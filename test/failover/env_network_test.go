package failover_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leasehold/leasehold/test/failover/faults"
)

// TestL14_Minority: a leader that is cut off, and a follower, answer writes with 503 within 2 s, and say in
// their health that there is no leader. The majority goes on; afterwards all is alike. (L14, S1)
func TestL14_Minority(t *testing.T) {
	c := envStart(t, faults.Options{})
	var ids []string
	for _, name := range []string{"symmetric partition of the leader", "symmetric partition of a follower"} {
		cut := c.leader()
		if strings.HasSuffix(name, "follower") {
			cut = c.others(cut)[0]
		}
		heal := c.strike(name, cut)
		ids = append(ids, c.write(c.others(cut)[0], envHour))
		c.eventually("the node that is cut off says that nobody leads", func() bool {
			return c.health(cut) == http.StatusServiceUnavailable
		})
		for range 5 {
			r := c.send(cut, "POST", "slots/a", envHour)
			if r.status != http.StatusServiceUnavailable || !strings.Contains(r.body, "errors") {
				t.Errorf("%s: write: got %v, want 503 and an error", name, r)
			}
			if r.took > 3*time.Second { // 2 s, and a second for a busy machine
				t.Errorf("%s: write: answered after %v, want 2 s", name, r.took)
			}
		}
		if r := c.lookup(cut, ids[0]); r.status != http.StatusServiceUnavailable {
			t.Errorf("%s: read: got %v, want 503", name, r)
		}
		heal()
		c.holds(ids)
	}
}

// TestL9_ReturnedLeader: a leader is cut off with many writes under way, which it can commit no more; the
// others go on past a snapshot. It catches up, and nothing that was acknowledged is lost. (L9, S1, S18)
func TestL9_ReturnedLeader(t *testing.T) {
	c := envStart(t, faults.Options{}, "LEASEHOLD_STORAGE__SNAPSHOT_THRESHOLD=100",
		"LEASEHOLD_STORAGE__SNAPSHOT_INTERVAL=1s", "LEASEHOLD_STORAGE__TRAILING_LOGS=100")
	for range 3 {
		ids := []string{c.write(1, envHour)}
		old := c.leader()
		var mu sync.Mutex
		var writers sync.WaitGroup
		acked := func(r envReply) {
			if r.status == http.StatusOK {
				mu.Lock()
				ids = append(ids, r.field("lease_id"))
				mu.Unlock()
			}
		}
		stop := make(chan struct{})
		for range 32 { // they write to the old leader, cut off or not
			writers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						acked(c.send(old, "POST", "slots/a", envHour))
					}
				}
			})
		}
		time.Sleep(300 * time.Millisecond)
		heal := c.strike("symmetric partition of the leader", old)
		before := len(snapshots(c.log(c.others(old)[0])))
		c.eventually("another node leads", func() bool { return c.leads(old) != 0 })
		for deadline := time.Now().Add(envPatience); len(snapshots(c.log(c.others(old)[0]))) < before+2; {
			for range 20 {
				r := c.send(c.others(old)[0], "POST", "slots/b", envHour)
				acked(r)
			}
			if time.Now().After(deadline) {
				t.Fatal("the majority takes no snapshot")
			}
		}
		close(stop)
		writers.Wait()
		heal()
		begin := time.Now()
		c.holds(ids)
		t.Logf("%d leases; alike after %v", len(ids), time.Since(begin))
	}
}

// snapshots are the lines of a log that tell of one that was taken.
func snapshots(log string) (lines []string) {
	for line := range strings.Lines(log) {
		if strings.Contains(line, "snapshot") {
			lines = append(lines, line)
		}
	}
	return lines
}
