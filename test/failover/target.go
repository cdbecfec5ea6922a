package failover

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"math/big"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/leasehold/leasehold/test/failover/history"
)

// target is a service whose things are leased by the webhook engine, and which says at any time what it
// holds. It keeps to docs/webhook.md.
type target struct {
	url    string
	ca     string // PEM
	server *http.Server
	note   func(history.Event)
	clock  func() time.Duration

	mu     sync.Mutex        // guards what follows
	things map[string]string // lease by external name
	fences map[string]uint64
	stale  int // calls with a fencing index lower than one before
	again  int // destroys of what was gone
}

// call is what the service reads of a call.
type call struct {
	Action string `json:"action"`
	Lease  string `json:"lease_id"`
	Name   string `json:"external_name"`
	Fence  uint64 `json:"fencing_index"`
	Params struct {
		Key string `json:"key"`
	} `json:"params"`
}

// startTarget serves on a port of its own at host. clock is the run's, note takes what happens.
func startTarget(host string, clock func() time.Duration, note func(history.Event)) (*target, error) {
	cert, ca, err := selfSigned(host)
	if err != nil {
		return nil, err
	}
	listen, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, fmt.Errorf("the target: %w", err)
	}
	t := &target{
		url: "https://" + listen.Addr().String(), ca: ca, note: note, clock: clock,
		things: map[string]string{}, fences: map[string]uint64{},
	}
	t.server = &http.Server{
		Handler: t, ReadTimeout: 20 * time.Second, ErrorLog: log.New(io.Discard, "", 0), // calls that are broken off are faults
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
	}
	go t.server.ServeTLS(listen, "", "") // returns when close is called
	return t, nil
}

func (t *target) close() { t.server.Close() }

// ServeHTTP does what a call asks for. Any call may come twice, late, or from a node that leads no more.
func (t *target) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var c call
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&c); err != nil {
		http.Error(w, "no call", http.StatusBadRequest)
		return
	}
	came := t.clock()
	t.mu.Lock()
	status, e := t.act(c)
	t.mu.Unlock()
	if e.Verb != "" {
		e.Call, e.Back = came, t.clock()
		t.note(e)
	}
	w.WriteHeader(status)
	if c.Action == "issue" && status == http.StatusOK {
		fmt.Fprintf(w, `{"data":{"name":%q}}`, c.Name)
	}
}

// act is called with the lock held.
func (t *target) act(c call) (status int, e history.Event) {
	if c.Fence < t.fences[c.Name] {
		t.stale++
		return http.StatusConflict, e
	}
	t.fences[c.Name] = c.Fence
	_, there := t.things[c.Name]
	switch {
	case c.Action == "issue" && there: // its answer was lost
		return http.StatusOK, e
	case c.Action == "issue":
		t.things[c.Name] = c.Lease
		return http.StatusOK, history.Event{Verb: history.Made, Name: c.Name, Lease: c.Lease, Key: c.Params.Key}
	case c.Action == "revoke" && there:
		delete(t.things, c.Name)
		return http.StatusOK, history.Event{Verb: history.Destroyed, Name: c.Name, Lease: c.Lease}
	case c.Action == "revoke":
		t.again++
		return http.StatusNotFound, e
	case c.Action == "renew" && there:
		return http.StatusNoContent, e
	}
	return http.StatusNotFound, e
}

// held copies what there is: lease by external name.
func (t *target) held() map[string]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.things)
}

// selfSigned makes a certificate for an address, and its PEM, which is its own authority.
func selfSigned(host string) (tls.Certificate, string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "target"}, IPAddresses: []net.IP{net.ParseIP(host)},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, "", err
	}
	var text bytes.Buffer
	if err := pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
		return tls.Certificate{}, "", err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, text.String(), nil
}
