package process

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// keyPair makes a certificate of its own and its key, both in PEM.
func keyPair(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "leasehold"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

// canaries are secrets by name, planted so that they can be looked for.
type canaries map[string]string

// plant makes a new one that looks like nothing else.
func (s canaries) plant(name string) string {
	s[name] = "canary" + rand.Text()
	return s[name]
}

// forms are a secret as it is and in the usual clothes. Base64 looks different at each of three places in
// what surrounds it.
func forms(secret string) map[string]string {
	forms := map[string]string{"plain": secret, "hex": hex.EncodeToString([]byte(secret)), "URL": url.QueryEscape(secret)}
	for before := range 3 {
		whole := (before + len(secret)) / 3 * 4 // what comes after it is not in these characters
		from := (before*4 + 2) / 3              // nor what comes before it in those after these
		text := append(make([]byte, before), secret...)
		forms[fmt.Sprintf("base64 at %d", before)] = base64.StdEncoding.EncodeToString(text)[from:whole]
		forms[fmt.Sprintf("base64 for URLs at %d", before)] = base64.URLEncoding.EncodeToString(text)[from:whole]
	}
	return forms
}

// find looks for every canary in all its forms.
func (s canaries) find(t *testing.T, where string, data []byte) {
	t.Helper()
	for name, secret := range s {
		for form, text := range forms(secret) {
			if bytes.Contains(data, []byte(text)) {
				t.Errorf("%s: the %s is there (%s)", where, name, form)
			}
		}
	}
}

// TestFormsAreFound: the scan finds a secret wherever it stands in what is encoded.
func TestFormsAreFound(t *testing.T) {
	secret := "canary" + rand.Text()
	for before := range 4 {
		text := strings.Repeat("b", before) + secret + "after"
		for name, encoded := range map[string]string{"plain": text, "hex": hex.EncodeToString([]byte(text)), "URL": url.QueryEscape(text),
			"base64": base64.StdEncoding.EncodeToString([]byte(text)), "base64 for URLs": base64.RawURLEncoding.EncodeToString([]byte(text))} {
			found := false
			for _, form := range forms(secret) {
				found = found || strings.Contains(encoded, form)
			}
			if !found {
				t.Errorf("%s after %d others: not found in %s", name, before, encoded)
			}
		}
	}
}

// visible is what is not secret: finding it proves that the scan sees what is there.
const visible = "not-a-secret-at-all"

// TestT1_T10_T12_T24_NoSecretAtRest plants a known value in every field that is secret (tokens, a webhook's
// signing and client keys, what its service answers, kept data, and those of canary_engines_test.go) and
// looks for all of them in every file of every node, in the logs at their most talkative, and in a
// snapshot as an operator downloads it.
func TestT1_T10_T12_T24_NoSecretAtRest(t *testing.T) {
	t.Setenv("LEASEHOLD_LOG_LEVEL", "debug")
	secrets := make(canaries)
	c := start(t, 3)
	secrets["root token"] = c.Token
	c.plantTokens(secrets)
	c.plantData(secrets)
	c.plantWebhook(t, secrets)
	c.plantDatabase(t, secrets)
	c.plantAWS(t, secrets)
	c.plantLogins(t, secrets)
	c.plantKept(t, secrets)
	c.alike(1, 2, 3)
	c.scan(t, secrets)
	for node := range c.Nodes { // also what a node writes as it stops and starts
		snapshot := c.must(200, node+1, "GET", "sys/storage/raft/snapshot", "").body
		state := unpack(t, snapshot)
		if !bytes.Contains(state, []byte(visible)) {
			t.Errorf("node %d: the snapshot lacks what is not secret: this scan sees nothing", node+1)
		}
		secrets.find(t, fmt.Sprintf("snapshot of node %d", node+1), state)
	}
	c.script("down")
	c.script("up")
	c.scan(t, secrets)
}

func (c *cluster) plantTokens(secrets canaries) {
	c.t.Helper()
	custom := secrets.plant("token with a custom ID")
	c.must(200, 1, "POST", "auth/token/create", `{"id":"`+custom+`","meta":{"note":"`+visible+`"}}`)
	for _, kind := range []string{"create", "create-orphan"} {
		token := c.must(200, 2, "POST", "auth/token/"+kind, `{"ttl":"1h"}`).field("auth.client_token")
		secrets["token of "+kind] = strings.TrimPrefix(token, "hvs.")
		c.must(200, 3, "POST", "auth/token/lookup", `{"token":"`+token+`"}`)
		bearer := func(r *http.Request) { r.Header.Set("X-Vault-Token", token) }
		if r := c.send(1, "POST", "auth/token/renew-self", `{"increment":"2h"}`, bearer); r.status != 200 {
			c.t.Fatalf("renew-self: got %v, want 200", r)
		}
	}
	wrong := secrets.plant("token that is none")
	if r := c.send(2, "GET", "auth/token/lookup-self", "", func(r *http.Request) { r.Header.Set("X-Vault-Token", wrong) }); r.status != 403 {
		c.t.Fatalf("a token that is none: got %v, want 403", r)
	}
}

func (c *cluster) plantData(secrets canaries) {
	c.t.Helper()
	c.mount("slots")
	kept, passed := secrets.plant("data that is kept"), secrets.plant("data that is not kept")
	id := c.issue(1, "slots/kept", `{"ttl":"1h","keep_data":true,"data":{"k":"`+kept+`"},"labels":{"note":"`+visible+`"}}`)
	if r := c.lookup(2, id); !strings.Contains(r.body, kept) {
		c.t.Errorf("lookup by the owner: got %v, want the data that is kept", r)
	}
	c.issue(2, "slots/passed", `{"ttl":"1h","data":{"k":"`+passed+`"}}`)
}

func (c *cluster) plantWebhook(t *testing.T, secrets canaries) {
	t.Helper()
	password, internal := secrets.plant("password of a service"), secrets.plant("what a service gets back")
	cert, key := keyPair(t)
	block, _ := pem.Decode([]byte(key))
	secrets["client key"] = string(block.Bytes)
	secrets["client key's text"] = strings.Split(key, "\n")[1]
	returned := make(chan string, 8)
	service := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct {
			Action   string
			Internal map[string]string
		}
		if err := json.NewDecoder(r.Body).Decode(&call); err != nil || len(r.TLS.PeerCertificates) == 0 {
			t.Errorf("a call of the engine: %v, %d certificates, want one", err, len(r.TLS.PeerCertificates))
		}
		if call.Action == "issue" {
			fmt.Fprintf(w, `{"data":{"password":%q},"internal":{"id":%q}}`, password, internal)
			return
		}
		returned <- call.Internal["id"]
		w.WriteHeader(http.StatusNoContent)
	}))
	service.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	service.StartTLS()
	t.Cleanup(service.Close)
	authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: service.Certificate().Raw}))
	address, err := url.Parse(service.URL)
	if err != nil {
		t.Fatal(err)
	}
	c.must(204, 1, "POST", "sys/mounts/hooks", `{"type":"webhook"}`)
	c.must(204, 1, "POST", "hooks/config", object(t, map[string]any{
		"allowed_hosts": []string{address.Host}, "ca_cert": authority, "client_cert": cert, "client_key": key}))
	c.must(204, 2, "POST", "hooks/roles/r", object(t, map[string]any{
		"issue_url": service.URL + "/i", "renew_url": service.URL + "/r", "revoke_url": service.URL + "/d",
		"secret": secrets.plant("signing key"), "params": map[string]string{"note": visible}}))
	c.must(200, 3, "GET", "hooks/config", "")
	var issued [2]string
	for i := range issued {
		r := c.must(200, i+1, "POST", "hooks/creds/r", `{"ttl":"1h"}`)
		if !strings.Contains(r.body, password) {
			t.Errorf("issue: got %v, want the password", r)
		}
		issued[i] = r.field("lease_id")
	}
	c.must(200, 3, "PUT", "sys/leases/renew", `{"lease_id":"`+issued[0]+`","increment":7200}`)
	c.must(204, 1, "PUT", "sys/leases/revoke", `{"lease_id":"`+issued[0]+`","sync":true}`)
	for range 2 { // the renewal and the revocation
		if got := <-returned; got != internal {
			t.Errorf("a service gets back %q, want %q", got, internal)
		}
	}
}

func object(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// scan looks into every file of the cluster but the two that are secrets themselves.
func (c *cluster) scan(t *testing.T, secrets canaries) {
	t.Helper()
	seen := make(map[string]int)
	err := filepath.WalkDir(c.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == "seal.key" || entry.Name() == "root-token" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, c.Dir)
		secrets.find(t, name, data)
		if bytes.Contains(data, []byte(visible)) {
			seen[entry.Name()]++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen["raft.db"] != 3 {
		t.Errorf("raft.db of %d nodes holds what is not secret, want 3: this scan sees nothing", seen["raft.db"])
	}
}

// unpack returns all files of a snapshot's archive, one after the other.
func unpack(t *testing.T, archive string) []byte {
	t.Helper()
	unzipped, err := gzip.NewReader(strings.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	files := tar.NewReader(unzipped)
	for {
		if _, err := files.Next(); errors.Is(err, io.EOF) {
			return all.Bytes()
		} else if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(&all, files); err != nil {
			t.Fatal(err)
		}
	}
}
