package client

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Defaults of a Config.
const (
	DefaultAddress    = "https://127.0.0.1:8200"
	DefaultTimeout    = 60 * time.Second
	DefaultMaxRetries = 2
)

// NoRetries, as Config.MaxRetries, makes a Client try every call once.
const NoRetries = -1

// Config says how to reach a cluster. The zero value means the defaults throughout.
type Config struct {
	Address    string        // of any node, "https://host:port"; a path before /v1 is kept
	Token      string        // the bearer token, "" for calls that need none
	Namespace  string        // "" is the root namespace
	WrapTTL    string        // asks the server to put answers aside under a single-use token
	TLS        TLSConfig     //
	Timeout    time.Duration // of one call with all its retries
	MaxRetries int           // after the first attempt; 0 is DefaultMaxRetries, NoRetries is none
	Header     http.Header   // sent with every request besides the client's own

	// Transport carries the requests when TLS cannot describe how; TLS is then ignored.
	Transport http.RoundTripper
}

// TLSConfig says whom to trust and who to be. All but ServerName name files.
type TLSConfig struct {
	CACert     string // PEM file of authorities; without it and CAPath, the system's
	CAPath     string // directory of such files
	ClientCert string
	ClientKey  string
	ServerName string // name to verify, when the address does not say it
	SkipVerify bool   // trust anyone: for experiments only
}

// Env reads one of the variables that Vault's and OpenBao's tools share, by the name without its
// prefix ("ADDR"). BAO_* goes before VAULT_*. It returns the value and the name of the variable
// that had it, both empty when neither is set; a variable set to nothing counts as unset.
func Env(name string) (value, variable string) {
	for _, prefix := range [...]string{"BAO_", "VAULT_"} {
		if v := os.Getenv(prefix + name); v != "" {
			return v, prefix + name
		}
	}
	return "", ""
}

// ConfigFromEnv reads ADDR, TOKEN, NAMESPACE, WRAP_TTL, CACERT, CAPATH, CLIENT_CERT, CLIENT_KEY,
// TLS_SERVER_NAME, SKIP_VERIFY, CLIENT_TIMEOUT and MAX_RETRIES, each as BAO_* or VAULT_*.
func ConfigFromEnv() (Config, error) {
	env := func(name string) string { v, _ := Env(name); return v }
	config := Config{
		Address:   env("ADDR"),
		Token:     env("TOKEN"),
		Namespace: env("NAMESPACE"),
		WrapTTL:   env("WRAP_TTL"),
		TLS: TLSConfig{
			CACert:     env("CACERT"),
			CAPath:     env("CAPATH"),
			ClientCert: env("CLIENT_CERT"),
			ClientKey:  env("CLIENT_KEY"),
			ServerName: env("TLS_SERVER_NAME"),
		},
	}
	if v, name := Env("SKIP_VERIFY"); name != "" {
		skip, err := strconv.ParseBool(v)
		if err != nil {
			return Config{}, fmt.Errorf("%s is %q: it must be true or false", name, v)
		}
		config.TLS.SkipVerify = skip
	}
	if v, name := Env("CLIENT_TIMEOUT"); name != "" {
		timeout, err := parseSeconds(v)
		if err != nil {
			return Config{}, fmt.Errorf("%s is %q: it must be seconds or a duration such as 30s", name, v)
		}
		config.Timeout = timeout
	}
	if v, name := Env("MAX_RETRIES"); name != "" {
		retries, err := strconv.Atoi(v)
		if err != nil || retries < 0 {
			return Config{}, fmt.Errorf("%s is %q: it must be a number, 0 or more", name, v)
		}
		config.MaxRetries = retries
		if retries == 0 {
			config.MaxRetries = NoRetries
		}
	}
	return config, nil
}

// parseSeconds reads a bare number as seconds and anything else as a Go duration.
func parseSeconds(text string) (time.Duration, error) {
	if n, err := strconv.Atoi(text); err == nil {
		return time.Duration(n) * time.Second, nil
	}
	return time.ParseDuration(text)
}

// transport makes what carries the requests.
func (c Config) transport() (http.RoundTripper, error) {
	if c.Transport != nil {
		return c.Transport, nil
	}
	config := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         c.TLS.ServerName,
		InsecureSkipVerify: c.TLS.SkipVerify,
	}
	pool, err := c.TLS.authorities()
	if err != nil {
		return nil, err
	}
	config.RootCAs = pool
	if (c.TLS.ClientCert == "") != (c.TLS.ClientKey == "") {
		return nil, fmt.Errorf("a client certificate needs its key, and the key its certificate: only one is given")
	}
	if c.TLS.ClientCert != "" {
		pair, err := tls.LoadX509KeyPair(c.TLS.ClientCert, c.TLS.ClientKey)
		if err != nil {
			return nil, fmt.Errorf("load client certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = config
	transport.ForceAttemptHTTP2 = true
	transport.MaxIdleConnsPerHost = 100 // a program with many renewers keeps its connections
	return transport, nil
}

// authorities reads the PEM files to trust; nil stands for the system's own.
func (t TLSConfig) authorities() (*x509.CertPool, error) {
	files := []string{}
	switch {
	case t.CACert != "":
		files = append(files, t.CACert)
	case t.CAPath != "":
		entries, err := os.ReadDir(t.CAPath)
		if err != nil {
			return nil, fmt.Errorf("read certificate directory: %w", err)
		}
		for _, entry := range entries {
			if !entry.IsDir() {
				files = append(files, filepath.Join(t.CAPath, entry.Name()))
			}
		}
	default:
		return nil, nil
	}
	pool := x509.NewCertPool()
	found := false
	for _, file := range files {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read certificate: %w", err)
		}
		found = pool.AppendCertsFromPEM(pem) || found
	}
	if !found {
		return nil, fmt.Errorf("no PEM certificate in %s%s", t.CACert, t.CAPath)
	}
	return pool, nil
}
