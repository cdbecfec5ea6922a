// Package conformance holds Leasehold against what others expect of it: clients that nobody here
// wrote (the Go clients of Vault and OpenBao, Python's hvac, curl), the requests of the stock command
// line, and the behaviours that upstream tests assert. All of it runs on three real node processes, and
// the requests are spread over all three, so that each behaviour is seen through followers as well.
//
// A test named TestFact<n> checks line n of the list of upstream behaviours; facts_test.go holds the
// list and checks that no line was forgotten.
package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leasehold/leasehold/test/harness"
)

var cluster *harness.Cluster

func TestMain(m *testing.M) {
	var err error
	if cluster, err = harness.Start(3, "83"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if code != 0 {
		fmt.Fprintln(os.Stderr, cluster.Logs(15))
	}
	cluster.Wipe()
	os.Exit(code)
}

// plain sends requests as they are: no redirects, no retries, enough connections for the load tests.
var plain = &http.Client{
	Timeout:       100 * time.Second,
	Transport:     &http.Transport{MaxIdleConnsPerHost: 64},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// turn spreads requests over the nodes.
var turn atomic.Uint64

func nextNode() int { return int(turn.Add(1)) % len(cluster.Nodes) }

// reply is what came back.
type reply struct {
	t      testing.TB
	asked  string
	status int
	header http.Header
	body   string
	object map[string]any // the body, if it is a JSON object
}

// request says what to send where. The zero value of a field leaves it out.
type request struct {
	node   int // 1 to 3; 0: the next in turn
	method string
	path   string
	body   any // a string goes as it is, anything else as JSON
	token  string
	header map[string]string
}

// anonymous as a token sends none.
const anonymous = "-"

func (q request) do() (*reply, error) { return q.by(plain) }

// by sends the request through a client of its own manners.
func (q request) by(client *http.Client) (*reply, error) {
	node := q.node - 1
	if q.node == 0 {
		node = nextNode()
	}
	var body io.Reader
	switch b := q.body.(type) {
	case nil:
	case string:
		body = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequest(q.method, cluster.Nodes[node]+q.path, body)
	if err != nil {
		return nil, err
	}
	switch q.token {
	case "":
		req.Header.Set("X-Vault-Token", cluster.Token)
	case anonymous:
	default:
		req.Header.Set("X-Vault-Token", q.token)
	}
	for name, value := range q.header {
		req.Header.Set(name, value)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	r := &reply{asked: fmt.Sprintf("node %d: %s %s", node+1, q.method, q.path), status: resp.StatusCode, header: resp.Header, body: string(text)}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if dec.Decode(&r.object) != nil {
		r.object = nil
	}
	return r, nil
}

// send sends a request and fails the test if no answer comes.
func send(t testing.TB, q request) *reply {
	t.Helper()
	r, err := q.do()
	if err != nil {
		t.Fatalf("%s %s: %v", q.method, q.path, err)
	}
	r.t = t
	return r
}

// call sends a request with the root token to the next node.
func call(t testing.TB, method, path string, body any) *reply {
	t.Helper()
	return send(t, request{method: method, path: "/v1/" + path, body: body})
}

// want fails the test if the status is another.
func (r *reply) want(status int) *reply {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("%s: got %d %s, want %d", r.asked, r.status, r.body, status)
	}
	return r
}

// wantError fails the test unless the answer is exactly this one error, or the empty list for "".
func (r *reply) wantError(status int, text string) *reply {
	r.t.Helper()
	r.want(status)
	want := []any{}
	if text != "" {
		want = append(want, text)
	}
	if got, _ := json.Marshal(r.object["errors"]); string(got) != string(mustJSON(want)) {
		r.t.Fatalf("%s: got errors %s, want %s", r.asked, got, mustJSON(want))
	}
	return r
}

// wantErrorWith fails the test unless the errors hold a text.
func (r *reply) wantErrorWith(status int, part string) *reply {
	r.t.Helper()
	r.want(status)
	errors, ok := r.object["errors"].([]any)
	if !ok || !strings.Contains(fmt.Sprint(errors...), part) {
		r.t.Fatalf("%s: got %s, want errors with %q", r.asked, r.body, part)
	}
	return r
}

func mustJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

// get follows a dotted path into the answer; nil when it leads nowhere.
func (r *reply) get(path string) any {
	var at any = r.object
	for _, key := range strings.Split(path, ".") {
		object, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = object[key]
	}
	return at
}

func (r *reply) text(path string) string {
	r.t.Helper()
	s, ok := r.get(path).(string)
	if !ok {
		r.t.Fatalf("%s: %s is %v, want a string; the answer is %s", r.asked, path, r.get(path), r.body)
	}
	return s
}

func (r *reply) number(path string) int64 {
	r.t.Helper()
	n, ok := r.get(path).(json.Number)
	if !ok {
		r.t.Fatalf("%s: %s is %v, want a number; the answer is %s", r.asked, path, r.get(path), r.body)
	}
	i, err := n.Int64()
	if err != nil {
		r.t.Fatalf("%s: %s is %v, want a whole number", r.asked, path, n)
	}
	return i
}

func (r *reply) strings(path string) []string {
	r.t.Helper()
	list, ok := r.get(path).([]any)
	if !ok {
		r.t.Fatalf("%s: %s is %v, want a list; the answer is %s", r.asked, path, r.get(path), r.body)
	}
	out := make([]string, len(list))
	for i, v := range list {
		if out[i], ok = v.(string); !ok {
			r.t.Fatalf("%s: %s[%d] is %v, want a string", r.asked, path, i, v)
		}
	}
	return out
}

// wantGet fails the test unless the value at path prints as want.
func (r *reply) wantGet(path string, want any) *reply {
	r.t.Helper()
	if got := r.get(path); fmt.Sprint(got) != fmt.Sprint(want) {
		r.t.Fatalf("%s: %s is %v, want %v; the answer is %s", r.asked, path, got, want, r.body)
	}
	return r
}

// eventually polls until the condition holds.
func eventually(t testing.TB, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	begin := time.Now()
	for !condition() {
		if time.Since(begin) > limit {
			t.Fatalf("after %s still not: %s", limit, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// onEachNode runs the check once against each node.
func onEachNode(t *testing.T, check func(t *testing.T, node int)) {
	t.Helper()
	for node := 1; node <= len(cluster.Nodes); node++ {
		t.Run(fmt.Sprintf("node%d", node), func(t *testing.T) { check(t, node) })
	}
}
