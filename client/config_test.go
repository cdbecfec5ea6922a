package client_test

import (
	"context"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/client"
)

func clearEnv(t *testing.T) {
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "VAULT_") || strings.HasPrefix(name, "BAO_") {
			t.Setenv(name, "")
		}
	}
}

func TestConfigFromEnv(t *testing.T) {
	clearEnv(t)
	got, err := client.ConfigFromEnv()
	if want := (client.Config{}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("without variables: got %+v, %v, want %+v", got, err, want)
	}
	for name, value := range map[string]string{
		"VAULT_ADDR": "http://v:1", "BAO_ADDR": "http://b:1", "VAULT_TOKEN": "t", "VAULT_NAMESPACE": "ns",
		"BAO_WRAP_TTL": "60s", "VAULT_CACERT": "ca", "VAULT_CAPATH": "dir", "VAULT_CLIENT_CERT": "cert",
		"VAULT_CLIENT_KEY": "key", "VAULT_TLS_SERVER_NAME": "name", "VAULT_SKIP_VERIFY": "1",
		"VAULT_CLIENT_TIMEOUT": "30", "VAULT_MAX_RETRIES": "5",
	} {
		t.Setenv(name, value)
	}
	want := client.Config{
		Address: "http://b:1", Token: "t", Namespace: "ns", WrapTTL: "60s",
		TLS:     client.TLSConfig{CACert: "ca", CAPath: "dir", ClientCert: "cert", ClientKey: "key", ServerName: "name", SkipVerify: true},
		Timeout: 30 * time.Second, MaxRetries: 5,
	}
	if got, err := client.ConfigFromEnv(); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if value, variable := client.Env("ADDR"); value != "http://b:1" || variable != "BAO_ADDR" {
		t.Errorf("Env: got %s from %s, want http://b:1 from BAO_ADDR", value, variable)
	}
	t.Setenv("VAULT_MAX_RETRIES", "0")
	if got, err := client.ConfigFromEnv(); err != nil || got.MaxRetries != client.NoRetries {
		t.Errorf("no retries: got %d, %v, want %d", got.MaxRetries, err, client.NoRetries)
	}
	for name, value := range map[string]string{
		"VAULT_SKIP_VERIFY": "maybe", "VAULT_CLIENT_TIMEOUT": "soon", "VAULT_MAX_RETRIES": "-1",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, value)
			if _, err := client.ConfigFromEnv(); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s=%s: got %v, want an error that names it", name, value, err)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, config := range map[string]client.Config{
		"want http://host:port": {Address: "127.0.0.1:8200"},
		"want http":             {Address: "http://[::1"},
		"want http://":          {Address: "unix:///run/x"},
		"no PEM certificate":    {TLS: client.TLSConfig{CACert: empty}},
		"read certificate":      {TLS: client.TLSConfig{CACert: "missing.pem"}},
		"read certificate dir":  {TLS: client.TLSConfig{CAPath: "missing"}},
		"needs its key":         {TLS: client.TLSConfig{ClientCert: empty}},
		"load client":           {TLS: client.TLSConfig{ClientCert: empty, ClientKey: empty}},
		"token holds":           {Token: "a\nb"},
	} {
		if _, err := client.New(config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want an error with %q", config, err, want)
		}
	}
}

// Whom a client trusts, and that distrust is not tried again.
func TestTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are the point
	server.StartTLS()
	defer server.Close()
	dir := t.TempDir()
	authority := filepath.Join(dir, "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(authority, block, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		tls client.TLSConfig
		ok  bool
	}{
		"nobody":            {client.TLSConfig{}, false},
		"the authority":     {client.TLSConfig{CACert: authority}, true},
		"a directory of it": {client.TLSConfig{CAPath: dir}, true},
		"anyone":            {client.TLSConfig{SkipVerify: true}, true},
		"by a right name":   {client.TLSConfig{CACert: authority, ServerName: "example.com"}, true},
		"by a wrong name":   {client.TLSConfig{CACert: authority, ServerName: "other.example"}, false},
	} {
		start := time.Now()
		c := newClient(t, client.Config{Address: server.URL, TLS: test.tls, MaxRetries: 100})
		_, err := c.Read(context.Background(), "a", nil)
		if (err == nil) != test.ok {
			t.Errorf("trusting %s: got %v, want ok %v", name, err, test.ok)
		}
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("trusting %s: got an answer after %v, want no retries", name, took)
		}
	}
}
