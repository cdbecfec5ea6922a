package docs

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// elsewhere lists the blocks that are not run here, by their text, with what runs them instead.
var elsewhere = map[string]string{
	"make demo": "TestDemo, in this package: before the rest of the README, which goes on with what it leaves",
	"make test": "itself: it runs this test, and CI runs it; TestCIRunsTheGate checks that",
}

// prelude lets curl fail at an error of the server, which a document's sample must not meet.
const prelude = `set -euo pipefail
curl() { command curl --fail-with-body --silent --show-error "$@"; }
`

// run runs shell in a directory and returns its output.
func run(t *testing.T, dir, shell string, env ...string) string {
	t.Helper()
	cmd := exec.Command("bash", "-c", shell)
	cmd.Dir = dir
	cmd.Env = append(cluster.Env(), "PATH="+filepath.Join(cluster.Root, "bin")+":"+os.Getenv("PATH"))
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, shell, out)
	}
	return string(out)
}

// figures are what the demo prints, each with a number that tells.
var figures = []string{
	`up and serving after \d+ ms`, `issued   demo/jobs/nightly/\w{24} in \d+ ms`, `renewed  in \d+ ms`, `(?m)^ttl +(2h|1h59m\S+)$`,
	`(?m)^n[123]  leader`, `gone \d+ ms after`, `all gone after \d+ ms`, `Done in \d+ s`,
	`next acknowledged write.* \d+ acknowledged leases looked up, 0 lost`, `1\d{4} done, 0 failed`,
}

// TestDemo plays the demo on this package's cluster.
func TestDemo(t *testing.T) {
	out := run(t, cluster.Root, "make demo")
	for _, figure := range figures {
		if !regexp.MustCompile(figure).MatchString(out) {
			t.Errorf("the demo does not print %s:\n%s", figure, out)
		}
	}
	if ms := regexp.MustCompile(`issued for 3 s, gone (\d+) ms`).FindStringSubmatch(out); ms == nil || len(ms[1]) != 4 || ms[1] < "2900" || ms[1] > "4500" {
		t.Errorf("the lease of 3 s was gone after %v ms", ms)
	}
}

// TestREADME runs the README's blocks, from the root of the repository as a reader does.
func TestREADME(t *testing.T) {
	if out, _, code := cluster.CLI("secrets", "list"); code != 0 || !strings.Contains(out, "demo/") {
		t.Skip("the README goes on where the demo ends: run TestDemo as well")
	}
	ran := 0
	for _, b := range (document{"README.md", read(t, "README.md")}).blocks(t) {
		if elsewhere[strings.TrimSpace(b.text)] != "" {
			continue
		}
		ran++
		out := run(t, cluster.Root, prelude+b.text)
		for _, want := range []string{"demo/", `"lease_id":"demo/slots/one/`, "queued"} {
			if !strings.Contains(out, want) {
				t.Errorf("README.md:%d prints no %q:\n%s", b.line, want, out)
			}
		}
	}
	if ran != 1 {
		t.Errorf("%d blocks were run, want 1: say here what a new one prints", ran)
	}
}

// receiver stands for the service of docs/webhook.md, at the address that the page uses.
type receiver struct {
	t    *testing.T
	seen map[string]int // calls by action
}

const pageSecret = "correct horse battery staple"

func (s *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Error(err)
	}
	stamp, sum, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("X-Leasehold-Signature"), "t="), ",v1=")
	mac := hmac.New(sha256.New, []byte(pageSecret))
	fmt.Fprintf(mac, "%s.%s", stamp, body)
	if sum != hex.EncodeToString(mac.Sum(nil)) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	action := strings.TrimPrefix(r.URL.Path, "/leasehold/")
	s.seen[action]++
	if action == "issue" {
		io.WriteString(w, `{"data":{"login":"a","password":"b"}}`)
		return
	}
	w.WriteHeader(http.StatusNotFound) // "a name it never saw"
}

// TestWebhookPage runs the blocks of docs/webhook.md. The page's service has no address of ours, so
// its name is replaced by that of one on this machine; nothing else is.
func TestWebhookPage(t *testing.T) {
	service := &receiver{t: t, seen: make(map[string]int)}
	server := httptest.NewServer(service)
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	here := strings.NewReplacer("https://accounts.example.com", server.URL, "accounts.example.com", host)
	page := document{"docs/webhook.md", read(t, "docs/webhook.md")}

	dir := t.TempDir()
	vector := regexp.MustCompile(`(?m)^    (\{"action":"revoke".*\})$`).FindStringSubmatch(page.text)
	header := regexp.MustCompile(`X-Leasehold-Signature: t=1800003600,v1=([0-9a-f]{64})`).FindStringSubmatch(page.text)
	if vector == nil || header == nil {
		t.Fatal("the page has no body or no header to check a signature against")
	}
	if err := os.WriteFile(filepath.Join(dir, "body"), []byte(vector[1]), 0o600); err != nil {
		t.Fatal(err)
	}
	// What each block must print, in their order.
	wants := []string{"", `"lease_id":"hooks/creds/ci/`, header[1], "HTTP/1.1 404"}
	blocks := page.blocks(t)
	if len(blocks) != len(wants) {
		t.Fatalf("%d blocks, want %d: say here what a new one prints", len(blocks), len(wants))
	}
	for i, b := range blocks {
		shell := prelude + here.Replace(b.text)
		if strings.HasPrefix(wants[i], "HTTP/1.1 4") { // an error is what the page announces
			shell = "set -euo pipefail\n" + here.Replace(b.text)
		}
		if out := run(t, dir, shell, "SECRET="+pageSecret); !strings.Contains(out, wants[i]) {
			t.Errorf("docs/webhook.md:%d prints no %q:\n%s", b.line, wants[i], out)
		}
	}
	if service.seen["issue"] != 1 || service.seen["revoke"] != 1 {
		t.Errorf("the service saw %v, want one issue and the revoke by hand", service.seen)
	}
	run(t, dir, prelude+"leasehold lease revoke -prefix -sync hooks && leasehold secrets disable hooks")
}

// TestOtherPages runs all other blocks, each page in a directory of its own.
func TestOtherPages(t *testing.T) {
	for _, d := range documents(t) {
		if d.name == "README.md" || d.name == "docs/webhook.md" {
			continue
		}
		t.Run(d.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, b := range d.blocks(t) {
				text := strings.TrimSpace(b.text)
				if why := elsewhere[text]; why != "" {
					continue
				}
				run(t, dir, prelude+b.text)
			}
		})
	}
}

// TestCIRunsTheGate: "make test" is everything that CI runs.
func TestCIRunsTheGate(t *testing.T) {
	if ci := read(t, ".ci/run"); !regexp.MustCompile(`(?m)^(exec )?make test$`).MatchString(ci) {
		t.Errorf(".ci/run does not run make test:\n%s", ci)
	}
	if gate := read(t, "scripts/test.sh"); !strings.Contains(gate, "./test/...") {
		t.Error("scripts/test.sh does not run the tests below test/")
	}
}
