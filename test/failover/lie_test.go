package failover

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/leasehold/leasehold/test/failover/history"
)

// liar stands between the clients and the nodes. It acknowledges one renewal in twenty that it does not
// pass on.
type liar struct {
	http.RoundTripper
	renewals atomic.Int64
}

func (l *liar) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(r.URL.Path, "/sys/leases/renew") || l.renewals.Add(1)%20 > 0 {
		return l.RoundTripper.RoundTrip(r)
	}
	var asked struct {
		Lease     string `json:"lease_id"`
		Increment int    `json:"increment"`
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		return nil, err
	}
	r.Body.Close()
	answer := fmt.Sprintf(`{"lease_id":%q,"lease_duration":%d,"renewable":true}`, asked.Lease, asked.Increment)
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{}, Request: r, Body: io.NopCloser(bytes.NewReader([]byte(answer))),
	}, nil
}

// TestALostRenewalIsFound plays a whole run against real nodes behind something that loses renewals: the
// run finds it, leaves what is needed to look into it, and its history alone shows it again.
// (guarantees.md section 6)
func TestALostRenewalIsFound(t *testing.T) {
	c, err := startProcesses(3, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Wipe)
	lie := new(liar)
	report, err := Play(context.Background(), Options{
		Others: 1, Only: killFollower, Seed: 1, Dir: t.TempDir(), Log: t.Logf,
		Through: func(next http.RoundTripper) http.RoundTripper { lie.RoundTripper = next; return lie },
	}, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lie.renewals.Load() < 40 {
		t.Fatalf("only %d renewals were seen: the run shows nothing", lie.renewals.Load())
	}
	if !strings.Contains(strings.Join(report.Violations, "\n"), "S5") {
		t.Errorf("renewals were lost, and the run found %q", report.Violations)
	}
	for _, name := range []string{"seed", "n1/log", "n2/data", "n3/config.hcl"} {
		if _, err := os.Stat(filepath.Join(report.Dir, name)); err != nil {
			t.Errorf("a run that found something leaves nothing to look into: %v", err)
		}
	}
	file, err := os.Open(filepath.Join(report.Dir, "history.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	again, checker := 0, history.NewChecker()
	if err := history.Read(file, func(e history.Event) { again += len(checker.Add(e)) }); err != nil {
		t.Fatal(err)
	}
	if again != len(report.Violations) {
		t.Errorf("the stored history shows %d violations, the run found %d", again, len(report.Violations))
	}
}
