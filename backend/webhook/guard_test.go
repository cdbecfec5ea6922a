package webhook

// These tests are inside the package because most of the addresses they judge cannot be dialled
// from a test, and because only here can be seen what is kept and what a client may do.

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend/field"
)

func TestT16_AddressesOfAHostListedByName(t *testing.T) {
	g := &guard{config: config{AllowedHosts: []string{"hooks.test"}}}
	tests := map[string]string{ // address: why it is refused
		"203.0.113.9": "", "2606:4700::1111": "",
		"10.1.2.3": "", "172.16.0.1": "", "192.168.1.1": "", "fd12::1": "", "100.64.0.1": "",
		"127.0.0.1": "", "::1": "", "::ffff:127.0.0.1": "", "::ffff:10.0.0.1": "",
		"169.254.169.254":        "link-local",
		"::ffff:169.254.169.254": "link-local",
		"64:ff9b::a9fe:a9fe":     "link-local", // the same through NAT64
		"2002:a9fe:a9fe::1":      "link-local", // and through 6to4
		"::ffff:0:a9fe:a9fe":     "link-local", // and through a stateless translator
		"::a9fe:a9fe":            "reserved",
		"64:ff9b:1::1":           "translated",
		"2001:0:4136:e378::1":    "tunnelled",
		"169.254.170.2":          "link-local",
		"fe80::1":                "link-local",
		"fe80::1%eth0":           "link-local",
		"fec0::1":                "link-local",
		"fd00:ec2::254":          "metadata",
		"fd00:ec2::23":           "metadata",
		"fd00:42::42":            "metadata",
		"fd00:c1::a9fe:a9fe":     "metadata",
		"fd20:ce::254":           "metadata",
		"100.100.100.200":        "metadata",
		"168.63.129.16":          "metadata",
		"64:ff9b::6464:64c8":     "metadata",
		"192.0.0.192":            "metadata",
		"0.0.0.0":                "unspecified",
		"0.1.2.3":                "unspecified",
		"::":                     "reserved",
		"192.0.0.8":              "reserved",
		"255.255.255.255":        "reserved",
		"224.0.0.1":              "multicast",
		"ff02::1":                "multicast",
	}
	for addr, want := range tests {
		err := g.check("hooks.test", "443", netip.AddrPortFrom(netip.MustParseAddr(addr), 443).String())
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want a refusal that speaks of %q", addr, err, want)
		}
	}
}

func TestT16_AnAddressThatIsListedItselfIsMeant(t *testing.T) {
	g := &guard{config: config{AllowedHosts: []string{"169.254.10.10:8443", "hooks.test"}}}
	for _, host := range []string{"169.254.10.10", "hooks.test"} {
		if err := g.check(host, "8443", "169.254.10.10:8443"); err != nil {
			t.Errorf("%s: got %v, want none", host, err)
		}
		if err := g.check(host, "443", "169.254.10.10:443"); err == nil {
			t.Errorf("%s on another port: got no error", host)
		}
	}
}

func TestT16_LoopbackNamesReachLoopbackOnly(t *testing.T) {
	g := &guard{config: config{AllowedHosts: []string{"localhost"}}, dev: true}
	if err := g.check("localhost", "80", "10.0.0.1:80"); err == nil {
		t.Error("localhost at 10.0.0.1: got no error")
	}
	if err := g.check("localhost", "80", "[::1]:80"); err != nil {
		t.Errorf("localhost at ::1: %v", err)
	}
}

func TestT16_DialRefusesWhatIsNotListed(t *testing.T) {
	g := &guard{config: config{AllowedHosts: []string{"hooks.test"}}, dev: true}
	for _, address := range []string{"other.test:443", "10.0.0.1:443", "2130706433:80", "bad host:80", "nothing"} {
		if conn, err := g.dial(t.Context(), "tcp", address); err == nil {
			conn.Close()
			t.Errorf("%s: dialled", address)
		}
	}
}

func TestT16_PermitTable(t *testing.T) {
	c := &config{AllowedHosts: []string{
		"hooks.test", "Ported.Test.:8443", "10.0.0.1", "[2001:db8::1]:9000", "2001:db8::2", "::ffff:192.0.2.7",
	}}
	tests := []struct{ url, want string }{
		{"https://hooks.test/a?b=c", ""},
		{"https://HOOKS.test.:8443/", ""},
		{"https://ported.test:8443/", ""},
		{"https://10.0.0.1:1/", ""},
		{"https://[::ffff:10.0.0.1]/", ""},
		{"https://[2001:db8::1]:9000/", ""},
		{"https://[2001:DB8:0::2]/", ""},
		{"https://192.0.2.7/", ""},
		{"https://ported.test/", "host ported.test:443 is not in the mount's allowed_hosts: add it"},
		{"https://[2001:db8::1]/", "is not in the mount's allowed_hosts"},
		{"https://sub.hooks.test/", "is not in the mount's allowed_hosts"},
		{"https://hooks.test.evil.test/", "is not in the mount's allowed_hosts"},
		{"https://127.0.0.1/", "is not in the mount's allowed_hosts"},
		{"https://169.254.169.254/latest/meta-data", "is not in the mount's allowed_hosts"},
		{"http://hooks.test/", "plain http to hooks.test"},
		{"http://10.0.0.1/", "plain http to 10.0.0.1"},
		{"https://user:pw@hooks.test/", "holds a user name"},
		{"https://hooks.test/#x", "holds a fragment"},
		{"ftp://hooks.test/", "neither https nor http"},
		{"hooks.test/path", "neither https nor http"},
		{"https:///path", "its host is empty"},
		{"https://hooks.test:0/", "no valid port"},
		{"https://hooks.test:/", "no valid port"},
		{"https://hooks.test:99999/", "no valid port"},
		{"https://127.1/", "neither a host name nor a whole address"},
		{"https://2130706433/", "neither a host name nor a whole address"},
		{"https://0x7f000001/", "neither a host name nor a whole address"},
		{"https://[fe80::1%25eth0]/", "names a network interface"},
		{"https://0.0.0.0/", "is no address of one host"},
		{"https://höst.test/", "is no host name"},
		{"https://hooks.test/\r\nX: y", "holds the control character"},
		{"https://hooks.test/\u2028", "holds the control character"},
		{"https://hooks.test/%zz", "not a URL"},
		{"https://hooks.test/" + strings.Repeat("x", MaxURL), "bytes long"},
	}
	for _, test := range tests {
		_, err := c.permit(test.url, false)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.60q: got %v, want %q", test.url, err, test.want)
		}
	}
	for url, ok := range map[string]bool{
		"http://127.0.0.1:8080/": true, "http://localhost/": true, "http://[::1]/": true, "http://[::ffff:127.0.0.1]/": true,
		"http://localhost.evil.test/": false, "https://hooks.test/": false, "http://10.0.0.1/": false,
	} {
		if _, err := new(config).permit(url, true); (err == nil) != ok {
			t.Errorf("-dev and no list: %s: got %v, want it allowed: %v", url, err, ok)
		}
		if _, err := new(config).permit(url, false); err == nil {
			t.Errorf("no list: %s: allowed", url)
		}
	}
}

func TestAllowedHostsEntries(t *testing.T) {
	for _, bad := range []string{"*", "*.test", "http://hooks.test", "hooks.test/path", "10.0.0.0/8", "hooks.test:x", "hooks.test:0",
		"0.0.0.0", "::", "224.0.0.1", "fe80::1%eth0", "a b", "a..b", "-" + strings.Repeat("a", 63), "127.1", ":80"} {
		in := field.Read(nil)
		checkAllowedHosts(in, []string{bad})
		if in.Err() == nil {
			t.Errorf("%q: taken", bad)
		}
	}
	for _, good := range []string{"hooks.test", "hooks", "a_b.test:1", "10.0.0.1", "10.0.0.1:80", "::1", "[::1]", "[::1]:80", "169.254.1.1"} {
		in := field.Read(nil)
		checkAllowedHosts(in, []string{good})
		if err := in.Err(); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

func TestT16_ClientsUseNoProxy(t *testing.T) {
	client, err := newClient(&guard{})
	if err != nil {
		t.Fatal(err)
	}
	if client.Transport.(*http.Transport).Proxy != nil {
		t.Error("a proxy may be used")
	}
}

func TestClientsAreKeptPerConfigAndBounded(t *testing.T) {
	c := new(clients)
	get := func(host string, dev bool) *http.Client {
		t.Helper()
		client, err := c.get(&config{AllowedHosts: []string{host}}, dev)
		if err != nil {
			t.Fatal(err)
		}
		return client
	}
	first := get("first", false)
	if get("first", false) != first {
		t.Error("the same config: another client")
	}
	if get("first", true) == first {
		t.Error("-dev shares a client with a stricter server")
	}
	for i := range maxClients * 2 {
		get(fmt.Sprint("host", i), false)
		if get("first", false) != first {
			t.Fatalf("a client in use was dropped after %d others", i+1)
		}
	}
	if len(c.recent) != maxClients {
		t.Errorf("%d clients are kept, want %d", len(c.recent), maxClients)
	}
	if c.close(); len(c.recent) != 0 {
		t.Error("clients are left after close")
	}
}

// The numbers on the page are what service authors test their code with.
func TestT17_TheVectorOnThePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/webhook.md")
	if err != nil {
		t.Fatal(err)
	}
	find := func(pattern string) []string {
		t.Helper()
		m := regexp.MustCompile(pattern).FindStringSubmatch(string(page))
		if m == nil {
			t.Fatalf("the page holds nothing like %s", pattern)
		}
		return m
	}
	secret := find(`The secret:\n\n    (.+)\n`)[1]
	body := find(`without a line end:\n\n    (.+)\n`)[1]
	header := find(`X-Leasehold-Signature: (t=(\d+),v1=[0-9a-f]{64})\n`)
	var unix int64
	if _, err := fmt.Sscan(header[2], &unix); err != nil {
		t.Fatal(err)
	}
	if got, want := sign(secret, unix, []byte(body)), header[1]; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	// The body itself is what the engine would send.
	var c call
	if err := json.Unmarshal([]byte(body), &c); err != nil {
		t.Fatal(err)
	}
	if again, err := field.FormatJSON(&c); err != nil || string(again) != body {
		t.Errorf("the body on the page is not as the engine writes it:\ngot  %s, %v\nwant %s", again, err, body)
	}
	if find(`printf '%s\.' (\d+)`)[1] != header[2] {
		t.Error("the shell sample has another time than the header")
	}
}

func TestScrub(t *testing.T) {
	long := strings.Repeat("é", MaxErrorText)
	for _, test := range []struct{ in, want string }{
		{"a\r\n\tb\x1b[31m c\u2028d", "a b [31m c d"},
		{"key=s3cr3t-signing-key!", "key=[redacted]!"},
		{"bad \xff bytes", "bad ? bytes"},
		{long, long[:MaxErrorText]},
		{"x" + long, ("x" + long)[:MaxErrorText-1]},
	} {
		if got := scrub(test.in, []string{"s3cr3t-signing-key"}); got != test.want {
			t.Errorf("%.30q: got %q, want %q", test.in, got, test.want)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		``, `{}`, `{"data":{"a":1},"internal":{"b":[]},"ttl":60}`, `{"ttl":1e3}`, `{"ttl":-1}`, `{"ttl":99999999999999999999}`,
		`{"data":null,"internal":null,"ttl":null}`, `{"data":[]}`, `{"x":1}`, `[]`, `{"data":{"a":1},"data":{}}`,
	} {
		f.Add([]byte(s), int64(time.Hour))
	}
	f.Fuzz(func(t *testing.T, body []byte, asked int64) {
		ttl := time.Duration(max(asked, 1))
		k := &kept{Role: role{RevokeURL: "https://hooks.test/", Secret: "0123456789abcdef"}}
		a := &answer{body: body}
		made, err := a.created(k, ttl)
		if err != nil {
			if made != nil {
				t.Fatalf("%q: a result beside the error %v", body, err)
			}
			return
		}
		if made.TTL < 0 || made.TTL >= ttl && made.TTL != 0 {
			t.Errorf("%q: ttl %v of %v asked", body, made.TTL, ttl)
		}
		// What the lease keeps must still lead to the service.
		if made.Internal != nil {
			again, err := decodeKept(made.Internal)
			if err != nil || again.Role.RevokeURL != k.Role.RevokeURL || again.Role.Secret != k.Role.Secret || !json.Valid(again.Internal) {
				t.Errorf("%q: kept as %q, read as %+v, %v", body, made.Internal, again, err)
			}
		}
		if _, err := a.renewed(ttl); err != nil {
			t.Errorf("%q: an answer to issue, but not to renew: %v", body, err)
		}
	})
}

func FuzzPermit(f *testing.F) {
	for _, s := range []string{"https://hooks.test/", "http://[::1]/", "https://hooks.test@evil.test/", "https://hooks.test\\@evil.test/", "https://a:1:2/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := (&config{AllowedHosts: []string{"hooks.test", "::1"}}).permit(raw, false)
		if err != nil {
			return
		}
		// What was permitted is what an HTTP client will call.
		req, err := http.NewRequest(http.MethodPost, u.String(), nil)
		if err != nil {
			t.Fatalf("%q: permitted, but cannot be called: %v", raw, err)
		}
		if host, err := canonicalHost(req.URL.Hostname()); err != nil || host != "hooks.test" && host != "::1" {
			t.Errorf("%q: permitted, and would call %q", raw, req.URL.Hostname())
		}
	})
}
