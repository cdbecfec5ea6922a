package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
)

// Bounds and defaults of a config.
const (
	DefaultTimeout   = 30 * time.Second
	MinTimeout       = time.Second
	MaxTimeout       = 5 * time.Minute
	DefaultMaxAnswer = 64 << 10 // bytes
	MinMaxAnswer     = 1 << 10
	MaxMaxAnswer     = 1 << 20
	MaxAllowedHosts  = 64
	MaxPEM           = 64 << 10 // bytes of one PEM field
)

const configKey = "config"

// config says which hosts a mount may call, and how. The zero config calls nobody.
type config struct {
	AllowedHosts []string      `json:"allowed_hosts,omitempty"`
	CACert       string        `json:"ca_cert,omitempty"`
	ClientCert   string        `json:"client_cert,omitempty"`
	ClientKey    string        `json:"client_key,omitempty"`
	ServerName   string        `json:"tls_server_name,omitempty"` // "": the host of the URL
	Timeout      time.Duration `json:"timeout,omitempty"`         // 0: DefaultTimeout
	MaxAnswer    int           `json:"max_answer,omitempty"`      // 0: DefaultMaxAnswer
}

func (c *config) timeout() time.Duration {
	if c.Timeout == 0 {
		return DefaultTimeout
	}
	return c.Timeout
}

func (c *config) maxAnswer() int {
	if c.MaxAnswer == 0 {
		return DefaultMaxAnswer
	}
	return c.MaxAnswer
}

// loadConfig returns the mount's config, the zero one if none was written.
func loadConfig(store backend.Store) (*config, error) {
	c := new(config)
	data, ok, err := store.Get(configKey)
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	if ok {
		if err := decodeStored(data, c); err != nil {
			return nil, fmt.Errorf("read config: %w", err)
		}
	}
	return c, nil
}

// readConfig shows everything but the key.
func readConfig(req *backend.Request) (*backend.Response, error) {
	c, err := loadConfig(req.Store)
	if err != nil {
		return nil, err
	}
	hosts := c.AllowedHosts
	if hosts == nil {
		hosts = []string{}
	}
	return &backend.Response{Data: map[string]any{
		"allowed_hosts":   hosts,
		"ca_cert":         c.CACert,
		"client_cert":     c.ClientCert,
		"tls_server_name": c.ServerName,
		"timeout":         int64(c.timeout() / time.Second),
		"max_answer":      c.maxAnswer(),
	}}, nil
}

// writeConfig changes the fields that were sent; the others stay. The empty value clears a field.
func writeConfig(ctx context.Context, req *backend.Request) error {
	c, err := loadConfig(req.Store)
	if err != nil {
		return err
	}
	in := field.Read(req.Params)
	if in.Has("allowed_hosts") {
		c.AllowedHosts = in.Strings("allowed_hosts")
		checkAllowedHosts(in, c.AllowedHosts)
	}
	for _, f := range c.pems() {
		if in.Has(f.name) {
			*f.text = in.String(f.name)
		}
	}
	if in.Has("tls_server_name") {
		c.ServerName = in.String("tls_server_name")
	}
	if in.Has("timeout") {
		c.Timeout = in.Duration("timeout")
	}
	if in.Has("max_answer") {
		c.MaxAnswer = in.Int("max_answer", 0)
	}
	c.check(in)
	if err := in.Err(); err != nil {
		return err
	}
	data, err := field.FormatJSON(c)
	if err != nil {
		return fmt.Errorf("encode config: %w", err)
	}
	return req.Store.Put(ctx, configKey, data)
}

func (c *config) check(in *field.Reader) {
	if t := c.timeout(); t < MinTimeout || t > MaxTimeout {
		in.Failf("timeout: %v is outside %v to %v: choose one between", t, MinTimeout, MaxTimeout)
	}
	if n := c.maxAnswer(); n < MinMaxAnswer || n > MaxMaxAnswer {
		in.Failf("max_answer: %d bytes are outside %d to %d: choose a size between", n, MinMaxAnswer, MaxMaxAnswer)
	}
	for _, f := range c.pems() {
		if n := len(*f.text); n > MaxPEM {
			in.Failf("%s: %d bytes long, at most %d are taken: leave out certificates that are not needed", f.name, n, MaxPEM)
		}
	}
	if _, err := c.roots(); err != nil {
		in.Failf("ca_cert: %s: send one or more certificates in PEM", err)
	}
	if (c.ClientCert == "") != (c.ClientKey == "") {
		in.Failf("client_cert and client_key belong together: send both, or clear both")
	}
	if _, err := c.certificates(); err != nil {
		in.Failf("client_cert and client_key are no pair of a certificate and its key: send both in PEM")
	}
	if c.ServerName != "" {
		if _, err := canonicalHost(c.ServerName); err != nil {
			in.Failf("tls_server_name: %q %s: write the name or address that the service's certificate bears, without a port",
				field.CleanText(c.ServerName), err)
		}
	}
}

type pemField struct {
	name string
	text *string
}

func (c *config) pems() []pemField {
	return []pemField{{"ca_cert", &c.CACert}, {"client_cert", &c.ClientCert}, {"client_key", &c.ClientKey}}
}

// roots is whom to trust; nil stands for the system's list.
func (c *config) roots() (*x509.CertPool, error) {
	if c.CACert == "" {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(c.CACert)) {
		return nil, fmt.Errorf("no certificate in it")
	}
	return pool, nil
}

func (c *config) certificates() ([]tls.Certificate, error) {
	if c.ClientCert == "" {
		return nil, nil
	}
	pair, err := tls.X509KeyPair([]byte(c.ClientCert), []byte(c.ClientKey))
	if err != nil {
		return nil, fmt.Errorf("client certificate: %w", err)
	}
	return []tls.Certificate{pair}, nil
}

// decodeStored reads what this package wrote: numbers inside params stay as they were sent.
func decodeStored(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return dec.Decode(v)
}
