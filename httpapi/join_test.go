package httpapi_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/leasehold/leasehold/httpapi"
)

// elsewhere is a node of another cluster, on this machine, and what it was asked.
type elsewhere struct {
	*httptest.Server
	asked  atomic.Int64
	answer http.HandlerFunc
}

func newElsewhere(t *testing.T, answer http.HandlerFunc) *elsewhere {
	e := &elsewhere{answer: answer}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.asked.Add(1)
		body, _ := io.ReadAll(r.Body)
		if r.Method != "GET" || r.URL.String() != "/v1/sys/leader" || len(body) > 0 || r.Header.Get("X-Vault-Token") != "" {
			t.Errorf("asked for %s %s with body %q and headers %v", r.Method, r.URL, body, r.Header)
		}
		e.answer(w, r)
	}))
	t.Cleanup(e.Close)
	return e
}

func text(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func leaderAt(addr string) http.HandlerFunc {
	return text(200, fmt.Sprintf(`{"ha_enabled":true,"leader_cluster_address":%q}`, addr))
}

func fromHere(r *http.Request) { r.RemoteAddr = "127.0.0.1:9" }

// join tells the rig's node of a cluster, with a token that must stay here.
func (r *rig) join(addr string, edit ...func(*http.Request)) reply {
	r.t.Helper()
	return r.call("POST", "sys/storage/raft/join", "a token", fmt.Sprintf(`{"leader_api_addr":%q,"retry":true}`, addr), edit...)
}

func (r *rig) asks() (asks []string) {
	r.node.change(func(n *node) { asks = append(asks, n.asks...) })
	return asks
}

func newLostRig(t *testing.T) *rig {
	r := newRig(t)
	r.node.change(func(n *node) { n.lost = true })
	return r
}

const noClusterThere = "leader_api_addr does not name a node of a cluster that has a leader: look whether it can be reached from this node"

// TestT16_JoinReachesNodesOnly: who may tell a node of a cluster is nobody's secret, so it must not be a way
// to reach what the node reaches, nor to learn what is there.
func TestT16_JoinReachesNodesOnly(t *testing.T) {
	other := newElsewhere(t, leaderAt("10.0.0.1:8201"))
	r := newRig(t)
	if a := r.join(other.URL, fromHere); a.status != 200 || a.text != "{\"joined\":true}\n" || other.asked.Load() != 0 || len(r.asks()) != 0 {
		t.Errorf("a node with state: %d %q, asked %d times, asks %v", a.status, a.text, other.asked.Load(), r.asks())
	}
	r = newLostRig(t)
	want(t, "this machine's ports, for a caller on another", r.join(other.URL), 503, noClusterThere)
	if other.asked.Load() != 0 {
		t.Error("a caller on another machine had this machine's loopback address called")
	}
	if a := r.join(other.URL+"/", fromHere); a.status != 200 || a.text != "{\"joined\":false}\n" || fmt.Sprint(r.asks()) != "[10.0.0.1:8201]" {
		t.Errorf("a good address: %d %q, asks %v", a.status, a.text, r.asks())
	}
	asked := other.asked.Load()
	for _, addr := range []string{"", "n1:8200", "ftp://n1", "http://", "http://:8200", "http://u:p@n1:8200", "http://n1/other", "http://n1?a=b",
		"http://n1#f", "http://n1:0", "http://n1:65536", strings.Replace(other.URL, "127", "u@127", 1), other.URL + "/v1/x", other.URL + "?x"} {
		want(t, addr, r.join(addr, fromHere), 400, "leader_api_addr is to be the URL of a node of the cluster and nothing more, such as \"http://10.0.0.1:8200\"")
	}
	if got := other.asked.Load(); got != asked {
		t.Errorf("%d requests for addresses that are none", got-asked)
	}
	want(t, "a certificate that is none", r.call("POST", "sys/storage/raft/join", "", `{"leader_api_addr":"https://n1","leader_ca_cert":"x"}`), 400,
		"leader_ca_cert holds no certificate in PEM")
}

// TestT16_JoinTellsNothing of what answered, follows nobody on and takes no address that is none.
func TestT16_JoinTellsNothing(t *testing.T) {
	target := newElsewhere(t, leaderAt("10.0.0.1:8201"))
	other := newElsewhere(t, nil)
	r := newLostRig(t)
	for what, answer := range map[string]http.HandlerFunc{
		"a redirect": func(w http.ResponseWriter, q *http.Request) {
			http.Redirect(w, q, target.URL+"/v1/sys/leader", http.StatusTemporaryRedirect)
		},
		"a text":           text(200, "HIDDEN"),
		"an error":         text(500, `{"errors":["HIDDEN"],"leader_cluster_address":"10.0.0.1:8201"}`),
		"no leader":        leaderAt(""),
		"no port":          leaderAt("HIDDEN"),
		"port 0":           leaderAt("HIDDEN:0"),
		"no host":          leaderAt(":8201"),
		"metadata":         leaderAt("169.254.169.254:80"),
		"metadata, mapped": leaderAt("[::ffff:169.254.169.254]:80"),
		"a long answer":    text(200, `{"cluster_name":"`+strings.Repeat("HIDDEN", 20000)+`","leader_cluster_address":"10.0.0.1:8201"}`),
	} {
		other.answer = answer
		a := r.join(other.URL, fromHere)
		want(t, what, a, 503, noClusterThere)
		if strings.Contains(a.text, "HIDDEN") || len(a.errors()) != 1 {
			t.Errorf("%s: the reply tells %q", what, a.text)
		}
	}
	if target.asked.Load() != 0 || len(r.asks()) != 0 {
		t.Errorf("a redirect was followed %d times; the node asks at %v", target.asked.Load(), r.asks())
	}
}

// TestT16_JoinAddresses: private addresses are where clusters live; this machine's own are for who is on it.
func TestT16_JoinAddresses(t *testing.T) {
	for addr, verdict := range map[string]string{
		"10.0.0.1:8200": "anybody", "192.168.1.1:80": "anybody", "[fd00::1]:8200": "anybody", "203.0.113.1:443": "anybody",
		"127.0.0.1:8200": "local", "[::1]:8200": "local", "[::ffff:127.0.0.1]:1": "local",
		"169.254.169.254:80": "nobody", "[::ffff:169.254.169.254]:80": "nobody", "[fe80::1%eth0]:1": "nobody", "0.0.0.0:1": "nobody",
		"[::]:1": "nobody", "224.0.0.1:1": "nobody", "255.255.255.255:1": "nobody", "[ff02::1]:1": "nobody",
	} {
		for _, local := range []bool{true, false} {
			err := httpapi.CheckJoinAddress(local, addr)
			if may := verdict == "anybody" || verdict == "local" && local; may != (err == nil) {
				t.Errorf("%s, asked from this machine: %t: got %v, want it for %s", addr, local, err, verdict)
			}
		}
	}
}

// TestT16_JoinIsOneAtATime, and ends when the other side does not answer.
func TestT16_JoinIsOneAtATime(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{})
	slow := newElsewhere(t, func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
	})
	r := newLostRig(t)
	first := make(chan reply)
	go func() { first <- r.join(slow.URL, fromHere) }()
	<-begun
	other := newElsewhere(t, leaderAt("10.0.0.1:8201"))
	want(t, "a second one", r.join(other.URL, fromHere), 429, "this node is being told of a cluster by somebody else: try again in 5s")
	want(t, "one that waits in vain", <-first, 503, noClusterThere)
	want(t, "the next", r.join(other.URL, fromHere), 200)
}
