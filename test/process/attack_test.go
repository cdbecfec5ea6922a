package process

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestHostileRequests sends what strangers and broken clients send, to one cluster that must go on
// serving.
func TestHostileRequests(t *testing.T) {
	c := start(t, 3)
	c.mount("slots")
	id := c.issue(1, "slots/a", `{"ttl":"1h"}`)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *cluster, string)
	}{
		{"T2 tokens", wrongTokens}, {"T6 headers of nodes", forgedHeaders}, {"T14 T15 bytes", hostileBytes},
		{"T21 bodies", hostileBodies}, {"T22 connections", hostileConnections}, {"dead webhook", deadWebhook},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(t, c, id)
			for node := range c.Nodes {
				if r := c.lookup(node+1, id); r.status != 200 {
					t.Errorf("afterwards node %d answers a lookup with %v", node+1, r)
				}
				if strings.Contains(c.log(node+1), "panic") {
					t.Errorf("a panic in the log of node %d", node+1)
				}
			}
		})
	}
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header[name] = []string{value} }
}

var requestID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`)

// wrongTokens: no token, one that is none, and one that was revoked get one and the same answer.
func wrongTokens(t *testing.T, c *cluster, id string) {
	revoked := c.must(200, 1, "POST", "auth/token/create", `{"ttl":"1h"}`).field("auth.client_token")
	c.must(204, 1, "POST", "auth/token/revoke", `{"token":"`+revoked+`"}`)
	var first string
	for i, token := range []string{"hvs.none", revoked, strings.Repeat("x", 4000), "\u00e9"} {
		for node := range c.Nodes {
			r := c.send(node+1, "PUT", "sys/leases/lookup", `{"lease_id":"`+id+`"}`, header("X-Vault-Token", token))
			answer := requestID.ReplaceAllString(r.body, "")
			if r.status != 403 || !strings.Contains(answer, "permission denied") {
				t.Errorf("token %d at node %d: got %v, want 403 permission denied", i, node+1, r)
			}
			if first == "" {
				first = answer
			}
			if answer != first {
				t.Errorf("token %d at node %d: got %q, want %q as for the others", i, node+1, answer, first)
			}
		}
	}
}

// forgedHeaders: what only nodes say to each other is not believed from clients.
func forgedHeaders(t *testing.T, c *cluster, id string) {
	forged := []func(*http.Request){
		header("X-Leasehold-Request-Id", "forged-request-id"), header("X-Leasehold-Client-Addr", "10.9.8.7:1"),
		header("X-Leasehold-Not-Leader", "1"), header("x-leasehold-peer", "1"), header("X-Forwarded-For", "10.9.8.7"),
	}
	body := `{"lease_id":"` + id + `"}`
	for node := range c.Nodes {
		r := c.send(node+1, "PUT", "sys/leases/lookup", body, forged...)
		if r.status != 200 || strings.Contains(r.body, "forged") {
			t.Errorf("node %d: got %v, want an answer with a request ID of its own", node+1, r)
		}
		r = c.send(node+1, "PUT", "sys/leases/revoke", body, append(forged, header("X-Vault-Token", "none"))...)
		if r.status != 403 {
			t.Errorf("node %d, without a token: got %v, want 403", node+1, r)
		}
		if strings.Contains(c.log(node+1), "10.9.8.7") || strings.Contains(c.log(node+1), "forged") {
			t.Errorf("the log of node %d believes a client's headers", node+1)
		}
	}
}

// hostileBytes: control characters and tricks in IDs, paths and labels are the caller's fault, wherever
// they come, and reach no log.
func hostileBytes(t *testing.T, c *cluster, _ string) {
	for _, bad := range []string{"a\x00b", "a\r\nX-Injected: 1", "a\nlevel=ERROR msg=injected", "a\x1b[31mred", "a\u2028b", "a\u202eb", "../a", "a/../b", "%2e%2e/a", "é", "a\xffb"} {
		quoted := strings.Trim(object(t, bad), `"`)
		for what, r := range map[string]reply{
			"lookup":        c.send(1, "PUT", "sys/leases/lookup", `{"lease_id":"slots/`+quoted+`"}`),
			"renew":         c.send(2, "PUT", "sys/leases/renew", `{"lease_id":"slots/`+quoted+`"}`),
			"revoke-prefix": c.send(3, "PUT", "sys/leases/revoke-prefix/slots/"+escape(bad), ""),
			"issue":         c.send(1, "POST", "slots/"+escape(bad), `{"ttl":"1h"}`),
			"escaped twice": c.send(2, "POST", "slots/"+escape(escape(bad)), `{"ttl":"1h"}`),
			"mount":         c.send(3, "POST", "sys/mounts/"+escape(bad), `{"type":"lease"}`),
			"policy's name": c.send(1, "PUT", "sys/policies/acl/"+escape("p/"+bad), `{"policy":"path \"x\" { capabilities = [\"read\"] }"}`),
			"namespace":     c.send(1, "GET", "sys/mounts", "", header("X-Vault-Namespace", "n"+strings.Map(headerSafe, bad))),
		} {
			if r.err != nil {
				t.Errorf("%s with %q: no answer: %v", what, bad, r.err)
			} else if r.status < 400 || r.status >= 500 {
				t.Errorf("%s with %q: got %v, want 4xx", what, bad, r)
			}
		}
	}
	for _, bad := range []string{"\x00", "\r\n", "\x1b[31m", "\u2028"} {
		quoted := strings.Trim(object(t, bad), `"`)
		if r := c.send(1, "POST", "slots/x", `{"ttl":"1h","labels":{"note":"a`+quoted+`b"}}`); r.status != 400 {
			t.Errorf("label with %q: got %v, want 400", bad, r)
		}
		if r := c.send(2, "POST", "auth/token/create", `{"ttl":"1h","meta":{"note":"a`+quoted+`b"}}`); r.status != 400 {
			t.Errorf("token's meta with %q: got %v, want 400", bad, r)
		}
		if r := c.send(3, "POST", "auth/token/create", `{"ttl":"1h","display_name":"a`+quoted+`b"}`); r.status != 400 && strings.Contains(r.body, quoted) {
			t.Errorf("display name with %q: got %v, want it refused or cleaned", bad, r)
		}
	}
	for node := range c.Nodes {
		if log := c.log(node + 1); strings.ContainsAny(log, "\x00\x1b\r\u2028\u202e") || regexp.MustCompile(`(?m)^level=ERROR`).MatchString(log) {
			t.Errorf("the log of node %d holds what a client sent:\n%q", node+1, log)
		}
	}
}

// escape writes every byte that is not plain as a percent escape, dots and slashes as they are.
func escape(s string) string { return strings.ReplaceAll(url.PathEscape(s), "%2F", "/") }

// headerSafe replaces what Go's client would not send.
func headerSafe(r rune) rune {
	if r < ' ' || r == 0x7f {
		return '!'
	}
	return r
}

// hostileBodies: too large, too deep, too many, twice.
func hostileBodies(t *testing.T, c *cluster, _ string) {
	for name, q := range map[string]struct {
		body string
		want []int
	}{
		"2 MiB":                  {`{"x":"` + strings.Repeat("x", 2<<20) + `"}`, []int{413}},
		"33 deep":                {`{"data":` + strings.Repeat(`{"a":`, 33) + "1" + strings.Repeat("}", 33) + "}", []int{400, 413}},
		"100,000 deep":           {`{"data":` + strings.Repeat("[", 100000), []int{400, 413}},
		"100,000 strings":        {`{"data":{"a":["` + strings.Repeat(`","`, 100000) + `"]}}`, []int{400, 413}},
		"a key twice":            {`{"ttl":"1h","ttl":"2h"}`, []int{400}},
		"a key twice, inside":    {`{"data":{"a":1,"a":2}}`, []int{400}},
		"two values":             {`{"ttl":"1h"}{"ttl":"2h"}`, []int{400}},
		"no object":              {`["ttl"]`, []int{400}},
		"cut off":                {`{"ttl":`, []int{400}},
		"a number that is large": {`{"ttl":1e400}`, []int{400}},
		"a negative ttl":         {`{"ttl":"-1h"}`, []int{400}},
	} {
		for node := range c.Nodes {
			r := c.send(node+1, "POST", "slots/x", q.body)
			ok := false
			for _, status := range q.want {
				ok = ok || r.status == status
			}
			if !ok {
				t.Errorf("%s at node %d: got %.200v, want %v", name, node+1, r, q.want)
			}
		}
	}
	// Four gibibytes are announced; none is read, and none is reserved.
	answer := talk(t, c, 1, "POST /v1/slots/x HTTP/1.1\r\nHost: x\r\nX-Vault-Token: "+c.Token+"\r\nContent-Length: 4294967296\r\n\r\n", 10*time.Second)
	if !strings.HasPrefix(answer, "HTTP/1.1 413 ") {
		t.Errorf("4 GiB announced: got %q, want 413", answer)
	}
	answer = talk(t, c, 2, "GET /v1/sys/health HTTP/1.1\r\nHost: x\r\nX-Large: "+strings.Repeat("x", 64<<10)+"\r\n\r\n", 10*time.Second)
	if !strings.HasPrefix(answer, "HTTP/1.1 431 ") {
		t.Errorf("64 KiB of headers: got %.80q, want 431", answer)
	}
}

// talk sends raw bytes to a node's API and returns the first line of what comes back, "" if the node
// closes the connection without a word.
func talk(t *testing.T, c *cluster, node int, text string, limit time.Duration) string {
	t.Helper()
	conn := dial(t, c, node)
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	_, _ = conn.Write([]byte(text)) // the other side may hang up on it
	line, err := bufio.NewReader(conn).ReadString('\n')
	if wait, ok := err.(net.Error); ok && wait.Timeout() {
		t.Errorf("node %d keeps a connection for more than %v that began with %.60q", node, limit, text)
	}
	return line
}

func dial(t *testing.T, c *cluster, node int) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.Nodes[node-1], "http://"))
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// hostileConnections: a client that never ends its header is cut off, and three thousand that say
// nothing keep nobody waiting, on the API and on the port for nodes.
func hostileConnections(t *testing.T, c *cluster, id string) {
	const idle = 3000
	conns := make([]net.Conn, 0, idle+200)
	defer func() {
		for _, conn := range conns {
			conn.Close()
		}
	}()
	for range idle {
		conns = append(conns, dial(t, c, 1))
	}
	for range 200 { // strangers on the port for nodes
		conn, err := net.Dial("tcp", "127.0.0.1:"+ports+"11")
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
		_, _ = conn.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	}
	begin := time.Now()
	for range 20 {
		if r := c.send(1, "PUT", "sys/leases/renew", `{"lease_id":"`+id+`","increment":3600}`); r.status != 200 {
			t.Errorf("beside %d idle connections: got %v, want 200", idle, r)
		}
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("20 renewals beside %d idle connections took %v", idle, took)
	}
	begin = time.Now()
	if answer := talk(t, c, 1, "GET /v1/sys/health HTTP/1.1\r\nHost: x\r\nX-Slow: ", 15*time.Second); strings.HasPrefix(answer, "HTTP/1.1 2") {
		t.Errorf("a header that does not end: got %q", answer)
	}
	if took := time.Since(begin); took < 2*time.Second {
		t.Errorf("a header that does not end was cut off after %v, want about 5 s", took)
	}
}

// deadWebhook: an engine whose service does not answer delays nobody else.
func deadWebhook(t *testing.T, c *cluster, _ string) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := closed.Addr().String()
	closed.Close()
	hanging, err := net.Listen("tcp", "127.0.0.1:0") // the kernel takes connections, nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer hanging.Close()
	c.must(204, 1, "POST", "sys/mounts/hooks", `{"type":"webhook","config":{"revoke_timeout":"2s"}}`)
	c.must(204, 1, "POST", "hooks/config", object(t, map[string]any{"allowed_hosts": []string{addr, hanging.Addr().String()}, "timeout": "2s"}))
	for role, host := range map[string]string{"dead": addr, "hangs": hanging.Addr().String()} {
		url := "http://" + host + "/x"
		c.must(204, 1, "POST", "hooks/roles/"+role, object(t, map[string]any{"issue_url": url, "revoke_url": url, "secret": "a signing key for tests"}))
		begin := time.Now()
		r := c.send(2, "POST", "hooks/creds/"+role, "")
		if r.status != 502 {
			t.Errorf("%s: got %v, want 502", role, r)
		}
		if took := time.Since(begin); took > 6*time.Second {
			t.Errorf("%s: answered after %v, want about 2 s", role, took)
		}
	}
	// Many ends that hang at once, and others that do not.
	c.must(204, 1, "POST", "hooks/roles/ends", object(t, map[string]any{"revoke_url": "http://" + hanging.Addr().String() + "/x", "secret": "a signing key for tests"}))
	for i := range 40 {
		c.must(200, i%3+1, "POST", "hooks/creds/ends", `{"ttl":"1s"}`)
	}
	short := c.issue(1, "slots/short", `{"ttl":"2s"}`)
	begin := time.Now()
	eventually(t, "another mount's lease ends", func() bool { return c.lookup(1, short).status == 400 })
	if took := time.Since(begin); took > 4*time.Second {
		t.Errorf("another mount's lease of 2 s ended after %v", took)
	}
	c.must(204, 1, "PUT", "sys/leases/revoke-force/hooks", "")
	if r := c.must(200, 1, "GET", "sys/mounts", ""); !strings.Contains(r.body, fmt.Sprintf("%q", "hooks/")) {
		t.Errorf("the mount is gone: %v", r)
	}
}
