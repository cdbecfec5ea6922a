package httpapi_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/httpapi"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor/lessortest"
)

const form = "application/x-www-form-urlencoded"

func contentType(value string) func(*http.Request) { return header("Content-Type", value) }

// TestLeniency is Vault's tolerance on the request's side (vault-api-facts 0.1), with renewals, since
// they take a text and a duration.
func TestLeniency(t *testing.T) {
	r := newRig(t)
	r.Enable("locks/", "lease", lease.MountConfig{})
	id := r.issue("locks/a", "root", `{"ttl":"1h"}`)
	increment := func(value string) string { return `{"lease_id":"` + id + `","increment":` + value + `}` }
	field := func(name, why string) string {
		return fmt.Sprintf("Field validation failed: error converting input for field %q: %s", name, why)
	}
	for _, c := range []struct {
		what, contentType, body string
		status                  int
		text                    string // the first error
		duration                string
	}{
		{"whole seconds", "", increment("600"), 200, "", "600"},
		{"seconds as text", "", increment(`"600"`), 200, "", "600"},
		{"Go's durations", "", increment(`"1h30m"`), 200, "", "5400"},
		{"less than a second is nothing asked for", "", increment(`"500ms"`), 200, "", "3600"},
		{"days", "", increment(`"1d"`), 200, "", "86400"},
		{"days and hours", "", increment(`"1d12h"`), 400, field("increment", `time: unknown unit "d" in duration "1d12h"`), ""},
		{"nothing", "", increment(`""`), 200, "", "3600"},
		{"null", "", increment("null"), 200, "", "3600"},
		{"a fraction", "", increment("1.5"), 400, field("increment", `time: missing unit in duration "1.5"`), ""},
		{"no duration", "", increment(`"abc"`), 400, field("increment", `time: invalid duration "abc"`), ""},
		{"a negative one", "", increment("-5"), 400, field("increment", "cannot provide negative value '-5'"), ""},
		{"whatever the content type", "text/plain", increment("60"), 200, "", "60"},
		{"curl's -d with JSON", form, increment("60"), 200, "", "60"},
		{"curl's -d with a form", form, "increment=60&lease_id=" + id, 200, "", "60"},
		{"a form with a charset", form + "; charset=utf-8", "lease_id=" + id, 200, "", "3600"},
		{"a form without its content type", "", "lease_id=" + id, 400, "failed to decode JSON input: invalid character at byte 0", ""},
		{"a repeated form value", form, "lease_id=a&lease_id=b", 400, "invalid lease ID", ""},
		{"an empty body", "", "", 400, "lease_id must be specified", ""},
		{"null as the CLI's -f sends it", "", "null", 400, "lease_id must be specified", ""},
		{"a null ID", "", `{"lease_id":null}`, 400, "lease_id must be specified", ""},
		{"a number for an ID", "", `{"lease_id":1}`, 400, "invalid lease ID", ""},
		{"an array", "", `[1]`, 400, "failed to decode JSON input: json: cannot unmarshal array into Go value of type map[string]interface {}", ""},
		{"a string", "", `"x"`, 400, "failed to decode JSON input: json: cannot unmarshal string into Go value of type map[string]interface {}", ""},
		{"cut short", "", `{"lease_id":"a`, 400, "failed to decode JSON input: unexpected EOF", ""},
		{"6: a second value", "", increment("1") + `{}`, 400, fmt.Sprintf("failed to decode JSON input: more than one JSON value: send one object, nothing is read from byte %d on", len(increment("1"))), ""},
		{"a name twice", "", `{"lease_id":"a","lease_id":"b"}`, 400, `failed to decode JSON input: "lease_id" appears twice`, ""},
		{"escapes", "", `{"\u006cease_id":"` + strings.ReplaceAll(id, "/", `\/`) + `"}`, 200, "", "3600"},
	} {
		got := r.root("PUT", "sys/leases/renew", c.body, contentType(c.contentType))
		if c.text != "" {
			want(t, c.what, got, c.status, c.text)
			continue
		}
		want(t, c.what, got, c.status)
		if d := fmt.Sprint(got.body["lease_duration"]); d != c.duration {
			t.Errorf("%s: got a duration of %s, want %s", c.what, d, c.duration)
		}
	}
}

// TestSampleCallsOfTheLeasesPage: `curl --request GET -d type=irrevocable` works here as printed.
func TestSampleCallsOfTheLeasesPage(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{"sys/leases/count", "sys/leases"} {
		want(t, path+" with a form", r.root("GET", path, "type=irrevocable", contentType(form)), 200)
		want(t, path+" with JSON", r.root("GET", path, `{"type":"irrevocable"}`, contentType(form)), 200)
		want(t, path+" with both, of which the query counts", r.root("GET", path+"?type=x", "type=irrevocable", contentType(form)), 404)
	}
	want(t, "a body that a GET does not take is ignored", r.root("GET", "sys/mounts", `{"broken`), 200)
}

func TestMethods(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		method, path, contentType string
		status                    int
		text                      string
	}{
		{"OPTIONS", "sys/mounts", "", 400, "cannot handle internal-only request operation"},
		{"PATCH", "sys/mounts", "", 415, ""},
		{"PATCH", "sys/mounts", "application/merge-patch+json", 405, multi("unsupported operation")},
		{"TRACE", "sys/mounts", "", 405, ""},
		{"POST", "sys/leases/renew/", "", 400, "cannot write to a path ending in '/'"},
		{"POST", "locks/x/", "", 400, "cannot write to a path ending in '/'"},
		{"GET", "sys/mounts?list=xyz", "", 400, ""},
		{"GET", "sys/mounts?help=1", "", 200, ""},
		{"GET", "sys/mounts?a=%zz", "", 400, "the query string cannot be read"},
	} {
		got := r.root(c.method, c.path, "", contentType(c.contentType))
		if c.text == "" {
			want(t, c.method+" "+c.path, got, c.status)
			if c.status >= 400 && len(got.errors()) != 0 {
				t.Errorf("%s %s: got %q, want no text", c.method, c.path, got.errors())
			}
			continue
		}
		want(t, c.method+" "+c.path, got, c.status, c.text)
	}
	head := r.call("HEAD", "sys/health", "", "")
	want(t, "HEAD sys/health", head, 200)
	if head.text != "" {
		t.Errorf("HEAD: got the body %q, want none", head.text)
	}
}

// TestT15_PathsAreDecodedOnceAndNeverCleaned: what is unclean is redirected or refused.
func TestT15_PathsAreDecodedOnceAndNeverCleaned(t *testing.T) {
	r := newRig(t)
	r.Enable("locks/", "lease", lease.MountConfig{})
	id := r.issue("locks/a", "root", "")
	for _, c := range []struct {
		path, location string
		status         int
	}{
		{"sys//mounts?x=1", "/v1/sys/mounts?x=1", 307},
		{"sys/leases/lookup/aws%2F%2Fcreds/?list=true", "/v1/sys/leases/lookup/aws/creds/?list=true", 307},
		{"/evil.example/x", "/v1/evil.example/x", 307},
		{"sys/leases/../mounts", "", 400},
		{"sys/leases/%2e%2e/mounts", "", 400},
		{"sys/./mounts", "", 400},
		{"sys/mounts%0d%0aX-Evil:1", "", 400},
		{"sys/mounts%00", "", 400},
		{"sys/mounts%E2%80%A8", "", 400},
		{"sys/mounts%ff", "", 400},
		{"", "", 404},
	} {
		got := r.root("GET", c.path, "")
		want(t, c.path, got, c.status)
		if l := got.header.Get("Location"); l != c.location {
			t.Errorf("%s: got location %q, want %q", c.path, l, c.location)
		}
	}
	for _, path := range []string{"/", "/v2/sys/mounts", "/v1", "/ui"} {
		got := ask(t, r.server.Handler(), "GET", "x", "root", "", func(req *http.Request) { req.URL.Path = path })
		want(t, path, got, 404)
	}
	want(t, "an escaped slash is a slash", r.root("PUT", "sys/leases/renew/"+strings.ReplaceAll(id, "/", "%2F"), ""), 200)
	want(t, "an escape is not decoded twice", r.root("PUT", "sys/leases/renew/"+strings.ReplaceAll(id, "/", "%252F"), ""), 400, "lease not found")
}

// TestT21_BodyLimits pins the bounds from both sides.
func TestT21_BodyLimits(t *testing.T) {
	r := newRig(t)
	r.Enable("locks/", "lease", lease.MountConfig{})
	deep := func(n int) string {
		return `{"x":` + strings.Repeat(`{"a":`, n-1) + `1` + strings.Repeat(`}`, n-1) + `}`
	}
	strs := func(n int) string { return `{"x":["` + strings.Repeat(`a","`, n-2) + `a"]}` }
	sized := func(n int) string { return `{"x":"` + strings.Repeat("a", n-8) + `"}` }
	for _, c := range []struct {
		what, body string
		status     int
	}{
		{"as deep as may be", deep(32), 400}, {"too deep", deep(33), 400},
		{"many strings", strs(1000), 400}, {"too many strings", strs(1001), 400},
		{"as long as may be", sized(1 << 20), 400}, {"too long", sized(1<<20 + 1), 413},
	} {
		got := r.root("PUT", "sys/leases/lookup", c.body)
		want(t, c.what, got, c.status)
		text := strings.Join(got.errors(), "")
		if fits := text == "lease_id must be specified"; fits != strings.HasPrefix(c.what, "as ") && !strings.HasPrefix(c.what, "many") {
			t.Errorf("%s: got %q", c.what, text)
		}
		streamed := r.root("PUT", "sys/leases/lookup", c.body, func(req *http.Request) { req.ContentLength = -1 })
		if streamed.status != got.status {
			t.Errorf("%s, without a length: got %d, want %d", c.what, streamed.status, got.status)
		}
	}
	want(t, "too many query parameters", r.root("GET", "sys/mounts?"+strings.Repeat("a&", 1001), ""), 413)
	want(t, "a body shorter than it says", r.root("PUT", "sys/leases/lookup", "{}", func(req *http.Request) { req.ContentLength = 10 }), 400)
}

func TestHeadersOfEveryAnswer(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{"sys/mounts", "sys/nothing", "sys/health", "nope/x"} {
		got := r.root("GET", path, "")
		for name, value := range map[string]string{
			"Cache-Control": "no-store", "Strict-Transport-Security": "max-age=31536000; includeSubDomains", "Content-Type": "application/json",
			"X-Vault-Index": fmt.Sprint(r.State.Applied()),
		} {
			if h := got.header.Get(name); h != value {
				t.Errorf("%s: got %s %q, want %q", path, name, h, value)
			}
		}
	}
}

func TestIdempotencyKey(t *testing.T) {
	r := newRig(t)
	r.Enable("locks/", "lease", lease.MountConfig{})
	key := header("Idempotency-Key", "k1")
	first := r.root("POST", "locks/a", `{"ttl":"1h"}`, key)
	again := r.root("POST", "locks/a", `{"ttl":"1h"}`, key)
	if first.str("lease_id") == "" || first.str("lease_id") != again.str("lease_id") {
		t.Errorf("got leases %q and %q, want the same", first.str("lease_id"), again.str("lease_id"))
	}
	want(t, "another body", r.root("POST", "locks/a", `{"ttl":"2h"}`, key), 409)
	want(t, "a key too long", r.root("POST", "locks/a", "", header("Idempotency-Key", strings.Repeat("k", 257))), 400)
}

func TestHealthStatuses(t *testing.T) {
	r := newRig(t)
	health := func(query string) int { return r.call("GET", "sys/health"+query, "", "").status }
	check := func(what, query string, status int) {
		t.Helper()
		if got := health(query); got != status {
			t.Errorf("%s: got %d, want %d", what, got, status)
		}
	}
	check("leader", "", 200)
	check("leader with its own code", "?activecode=299", 299)
	check("the stock client's question", "?uninitcode=299&sealedcode=299&standbycode=299&drsecondarycode=299&performancestandbycode=299&removedcode=299&haunhealhty=299&standbyok=true", 200)
	check("no number", "?standbycode=x", 400)
	check("a bad flag", "?standbyok=x", 400)
	check("no status", "?activecode=99999", 400)
	r.node.change(func(n *node) { n.ready = false })
	check("elected and not ready", "", 503)
	r.node.change(func(n *node) { n.leader = "n2" })
	check("follower", "", 429)
	check("follower, which is fine", "?standbyok=true", 200)
	check("follower with its own code", "?standbycode=298", 298)
	r.node.change(func(n *node) { n.leader = "" })
	check("no leader", "?standbyok=true", 503)
	fresh := newRigWith(t, lessortest.Options{Uninitialized: true})
	for what, c := range map[string]struct {
		method, path string
		status       int
	}{
		"not initialized": {"GET", "sys/health", 501}, "own code": {"GET", "sys/health?uninitcode=200", 200},
		"anything else": {"GET", "sys/mounts", 503}, "initialize": {"PUT", "sys/init", 200}, "then": {"GET", "sys/health", 501},
	} {
		if what == "initialize" || what == "then" {
			continue
		}
		want(t, what, fresh.call(c.method, c.path, "x", ""), c.status)
	}
	made := fresh.call("PUT", "sys/init", "", "")
	want(t, "initialize", made, 200)
	want(t, "health after that", fresh.call("GET", "sys/health", "", ""), 200)
	want(t, "with the root token", fresh.call("GET", "sys/mounts", made.str("root_token"), ""), 200)
}

// TestSnapshotArchive reads the archive as the stock client does: the sums must fit.
func TestSnapshotArchive(t *testing.T) {
	r := newRig(t)
	got := r.root("GET", "sys/storage/raft/snapshot", "")
	want(t, "snapshot", got, 200)
	unzipped, err := gzip.NewReader(strings.NewReader(got.text))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for archive := tar.NewReader(unzipped); ; {
		h, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"meta.json", "state.bin"} {
		sum := sha256.Sum256(files[name])
		if line := hex.EncodeToString(sum[:]) + "  " + name; !strings.Contains(string(files["SHA256SUMS"]), line) {
			t.Errorf("SHA256SUMS lacks %q:\n%s", line, files["SHA256SUMS"])
		}
	}
	// The stock clients take an archive without this one for one that was cut short.
	if len(files["SHA256SUMS.sealed"]) == 0 || bytes.Equal(files["SHA256SUMS.sealed"], files["SHA256SUMS"]) {
		t.Errorf("SHA256SUMS.sealed is %q, want the checksums, sealed", files["SHA256SUMS.sealed"])
	}
	if err := fsm.New().Restore(bytes.NewReader(files["state.bin"])); err != nil {
		t.Errorf("state.bin: %v", err)
	}
}

func TestStateHash(t *testing.T) {
	r := newRig(t)
	index, hash := r.State.Hash()
	got := r.root("GET", "sys/internal/state-hash", "")
	if fmt.Sprint(got.body["applied_index"]) != fmt.Sprint(index) || got.str("hash") != hash {
		t.Errorf("got %s, want index %d and hash %s", got.text, index, hash)
	}
}

func TestTidy(t *testing.T) {
	r := newRig(t)
	got := r.root("POST", "sys/leases/tidy", "")
	want(t, "tidy", got, 202)
	if w := fmt.Sprint(got.body["warnings"]); !strings.Contains(w, "Tidy operation successfully started.") || got.body["data"] != nil {
		t.Errorf("got %s, want the warning and no data", got.text)
	}
	want(t, "with GET", r.root("GET", "sys/leases/tidy", ""), 405)
	job := r.root("GET", "sys/leases/jobs/"+got.header.Get("X-Leasehold-Job"), "")
	if job.data()["cause"] != "tidy" || job.data()["state"] != "sweeping" {
		t.Errorf("got %s, want the job of tidy", job.text)
	}
}

func TestInternalFaultsAreNotShown(t *testing.T) {
	r := newRig(t)
	r.node.change(func(n *node) { n.onReading = func() { panic("secret detail") } })
	got := r.root("GET", "sys/mounts", "")
	want(t, "a panic", got, 500, multi("internal error"))
	if strings.Contains(got.text, "detail") {
		t.Errorf("got %s, want nothing of the cause", got.text)
	}
}

// Of the members of data only those that the envelope lacks are copied to the top.
func TestTopLevelCopies(t *testing.T) {
	for in, want := range map[string]string{
		`{}`: "", `null`: "", `{"a":1}`: `"a":1,`, `{"data":1,"a":[1,{"b":"},{"}],"renewable":true}`: `"a":[1,{"b":"},{"}],`,
		`{"a\"b":"c\\","lease_id":"x"}`: `"a\"b":"c\\",`,
	} {
		if got := string(httpapi.AppendTop([]byte(in))); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

// TestT22_ConnectionsAreCapped: the one too many waits until another is closed.
func TestT22_ConnectionsAreCapped(t *testing.T) {
	inner := newPeerListener()
	l := httpapi.LimitListener(inner, 1)
	go inner.dial(t.Context())
	first, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	second := make(chan error, 1)
	go inner.dial(t.Context())
	go func() {
		_, err := l.Accept()
		second <- err
	}()
	select {
	case err := <-second:
		t.Fatalf("a second connection was accepted beside the first: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	first.Close()
	first.Close() // closing twice frees one place, not two
	if err := <-second; err != nil {
		t.Fatalf("after the first was closed: %v", err)
	}
	l.Close()
	if _, err := l.Accept(); err == nil {
		t.Error("a closed listener accepts")
	}
}
