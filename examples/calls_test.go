package examples

import (
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

func thing(action, name string, fence int) object {
	return object{
		"action": action, "external_name": name, "fencing_index": fence, "expire_time": "2030-01-02T03:04:05Z",
		"lease_id": "hooks/creds/ci/x", "role": "ci", "params": object{}, "ttl": 60, "attempt": 1,
	}
}

// A service's answers to what may come: duplicates, stale calls, what it never saw.
func TestCalls(t *testing.T) {
	each(t, func(t *testing.T, command []string) {
		url := "http://" + start(t, command)
		seen := map[any]bool{}
		for _, step := range []struct {
			call object
			want int
			held int // things that there are afterwards
		}{
			{thing("revoke", "lh-a-never", 3), 404, 0},
			{thing("issue", "lh-a-never", 2), 409, 0}, // taken back before it came
			{thing("renew", "lh-a-1", 4), 404, 0},
			{thing("issue", "lh-a-1", 5), 200, 1},
			{thing("issue", "lh-a-1", 5), 200, 1}, // its answer was lost
			{thing("issue", "lh-a-1", 6), 200, 1},
			{thing("issue", "lh-a-1", 5), 409, 1},
			{thing("issue", "lh-a-2", 1), 200, 2},
			{thing("issue", "lh-a-3", 1), 200, 3},
			{thing("renew", "lh-a-1", 5), 409, 3},
			{thing("renew", "lh-a-1", 7), 200, 3},
			{thing("revoke", "lh-a-1", 6), 409, 3},
			{thing("revoke", "lh-a-1", 8), 200, 2},
			{thing("revoke", "lh-a-1", 8), 404, 2},
			{thing("renew", "lh-a-1", 9), 404, 2},
			{thing("issue", "lh-a-1", 7), 409, 2},
			{thing("explode", "lh-a-2", 9), 400, 2},
			{thing("revoke", "lh-a-2", 9), 200, 1},
			{thing("revoke", "lh-a-3", 9), 200, 0},
		} {
			status, answer := send(t, url, step.call)
			if held := list(t, url); status != step.want || len(held) != step.held {
				t.Errorf("%v: answered %d and holds %v; want %d and %d things", step.call, status, held, step.want, step.held)
			}
			if step.call["action"] != "issue" || status != http.StatusOK {
				continue
			}
			data, _ := answer["data"].(map[string]any)
			if data["login"] != step.call["external_name"] || len(answer) != 1 || data["password"] == nil || seen[data["password"]] {
				t.Errorf("%v: answered %v, want the login and a new password", step.call, answer)
			}
			seen[data["password"]] = true
		}
	})
}

// T17: what is not signed under the secret, or not lately, does nothing.
func TestT17_UnsignedCallsAreRefused(t *testing.T) {
	each(t, func(t *testing.T, command []string) {
		url := "http://" + start(t, command)
		const body = `{"action":"issue","external_name":"lh-a-1","fencing_index":5,"expire_time":"2030-01-02T03:04:05Z"}`
		now := time.Now()
		good := signature(secret, now, body)
		for name, signed := range map[string]string{
			"none":               "",
			"another key":        signature("another key of sixteen", now, body),
			"no key":             signature("", now, body),
			"another body":       signature(secret, now, strings.Replace(body, "5", "6", 1)),
			"too old":            signature(secret, now.Add(-6*time.Minute), body),
			"from the future":    signature(secret, now.Add(6*time.Minute), body),
			"another time":       strings.Replace(good, "t=1", "t=2", 1),
			"no time":            good[strings.Index(good, "v1="):],
			"no sum":             good[:strings.Index(good, ",")],
			"an empty sum":       good[:strings.Index(good, "v1=")+3],
			"half a sum":         good[:len(good)-32],
			"not a header":       "nonsense",
			"not a time":         "t=x,v1=" + good[len(good)-64:],
			"letters beyond 127": good[:len(good)-1] + "é",
		} {
			if status, _ := post(t, url, body, signed); status != http.StatusUnauthorized {
				t.Errorf("%s: answered %d, want 401", name, status)
			}
		}
		long := `{"action":"issue","external_name":"lh-a-1","padding":"` + strings.Repeat("x", 2<<20) + `"}`
		req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(long))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Leasehold-Signature", signature(secret, now, long))
		if resp, err := http.DefaultClient.Do(req); err == nil { // else it has hung up
			resp.Body.Close()
			if resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("two megabytes: answered %d, want 401", resp.StatusCode)
			}
		}
		if held := list(t, url); len(held) != 0 {
			t.Errorf("refused calls left %v", held)
		}
		for name, signed := range map[string]string{
			"good":                  good,
			"with a later version":  good + ",v2=abc",
			"four minutes old":      signature(secret, now.Add(-4*time.Minute), body),
			"four minutes too soon": signature(secret, now.Add(4*time.Minute), body),
		} {
			if status, _ := post(t, url, body, signed); status != http.StatusOK {
				t.Errorf("%s: answered %d, want 200", name, status)
			}
		}
	})
}

func TestSamplesInsistOnASecret(t *testing.T) {
	each(t, func(t *testing.T, command []string) {
		for _, short := range []string{"", "fifteen bytes.."} {
			cmd := exec.Command(command[0], command[1:]...)
			cmd.Env = append(os.Environ(), "WEBHOOK_SECRET="+short, "WEBHOOK_LISTEN=127.0.0.1:0")
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "WEBHOOK_SECRET is shorter than 16 bytes") {
				t.Errorf("with %q: %v, %q", short, err, out)
			}
		}
	})
}

// A sample is to be copied, so it brings nothing along.
func TestSamplesNeedTheStandardLibraryAlone(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./webhook-go").Output()
	if got := strings.TrimSpace(string(out)); err != nil || got != "github.com/leasehold/leasehold/examples/webhook-go" {
		t.Errorf("webhook-go needs %q, %v", got, err)
	}
	source, err := os.ReadFile("webhook-python/receiver.py")
	if err != nil {
		t.Fatal(err)
	}
	imports := regexp.MustCompile(`(?m)^(?:import|from) (\w+)`).FindAllStringSubmatch(string(source), -1)
	if len(imports) < 8 {
		t.Fatalf("%d imports were found: this test proves nothing", len(imports))
	}
	for _, m := range imports {
		if err := exec.Command("python3", "-c", "import sys; sys.exit(sys.argv[1] not in sys.stdlib_module_names)", m[1]).Run(); err != nil {
			t.Errorf("receiver.py imports %s, which is not of the standard library: %v", m[1], err)
		}
	}
}

// The page shows how a signature is checked in Python: as the sample does.
func TestThePageShowsTheSample(t *testing.T) {
	page, err := os.ReadFile("../docs/webhook.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("webhook-python/receiver.py")
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("(?s)```python\n(.+?)```").FindSubmatch(page)
	if shown == nil {
		t.Fatal("the page shows no Python")
	}
	if !strings.Contains(string(source), string(shown[1])) {
		t.Errorf("receiver.py does not hold what the page shows:\n%s", shown[1])
	}
}
