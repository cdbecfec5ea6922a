package database

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/lease"
)

// Bounds and defaults of a connection.
const (
	DefaultMaxOpen  = 4
	MaxMaxOpen      = 100
	MaxURL          = 4 << 10  // bytes
	MaxPEM          = 64 << 10 // bytes of one PEM field
	MaxAllowedRoles = 256
	MaxCandidates   = 3 // passwords of the account that are tried beside the confirmed one
	connectTimeout  = 10 * time.Second
	verifyTimeout   = 15 * time.Second
)

const connectionPrefix = "config/"

func connectionKey(name string) string { return connectionPrefix + name }

// connection says which server, and with which account logins are managed there.
type connection struct {
	Plugin       string   `json:"plugin"`
	URL          string   `json:"url"` // with placeholders in place of the account
	Username     string   `json:"username,omitempty"`
	Password     string   `json:"password,omitempty"`
	AllowedRoles []string `json:"allowed_roles,omitempty"`
	// Candidates are passwords that may be in force instead of Password: see rotate.go.
	Candidates     []string      `json:"candidates,omitempty"`
	Rotation       []string      `json:"rotation,omitempty"` // root_rotation_statements
	NameTemplate   string        `json:"name_template,omitempty"`
	Authentication string        `json:"authentication,omitempty"` // "": the password as it is
	MaxOpen        int           `json:"max_open,omitempty"`       // 0: DefaultMaxOpen
	MaxIdle        int           `json:"max_idle,omitempty"`       // 0: as many as open
	MaxLifetime    time.Duration `json:"max_lifetime,omitempty"`   // 0: for ever
	CA             string        `json:"ca,omitempty"`
	Certificate    string        `json:"certificate,omitempty"`
	Key            string        `json:"key,omitempty"`
	ServerName     string        `json:"server_name,omitempty"`
}

// missingConnection is the error of a connection that is not there. The text is Vault's.
type missingConnection struct{ name string }

func (e *missingConnection) Error() string {
	return fmt.Sprintf("failed to find entry for connection with name: %q", field.CleanText(e.name))
}

// loadConnection returns a connection with its version; a *missingConnection if there is none.
func loadConnection(store backend.Store, name string) (*connection, backend.Version, error) {
	data, version, err := store.Look(connectionKey(name))
	if err != nil {
		return nil, "", fmt.Errorf("read connection %q: %w", name, err)
	}
	if version == "" {
		return nil, "", &missingConnection{name}
	}
	c := new(connection)
	if err := json.Unmarshal(data, c); err != nil {
		return nil, "", fmt.Errorf("read connection %q: %w", name, err)
	}
	return c, version, nil
}

// store puts c in place of the version that was seen.
func (c *connection) store(ctx context.Context, store backend.Store, name string, seen backend.Version) error {
	data, err := field.FormatJSON(c)
	if err != nil {
		return fmt.Errorf("encode connection: %w", err)
	}
	err = store.Swap(ctx, connectionKey(name), seen, data, 0)
	if errors.Is(err, lease.ErrChanged) {
		return lease.Errorf(lease.Conflict, "connection %q was changed by another call at the same time: look at it, then try again", name)
	}
	return err
}

func (c *connection) maxOpen() int {
	if c.MaxOpen == 0 {
		return DefaultMaxOpen
	}
	return c.MaxOpen
}

func (c *connection) maxIdle() int {
	if c.MaxIdle == 0 {
		return c.maxOpen()
	}
	return min(c.MaxIdle, c.maxOpen())
}

// passwords are those to try, in order.
func (c *connection) passwords() []string { return append([]string{c.Password}, c.Candidates...) }

// secrets are what no error may show.
func (c *connection) secrets() []string { return append(c.passwords(), c.Key) }

// readConnection shows everything but passwords and the key.
func readConnection(req *backend.Request, name string) (*backend.Response, error) {
	c, _, err := loadConnection(req.Store, name)
	var missing *missingConnection
	if errors.As(err, &missing) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	details := map[string]any{
		"connection_url": c.URL, "username": c.Username, "max_open_connections": c.maxOpen(),
		"max_idle_connections": c.maxIdle(), "max_connection_lifetime": c.MaxLifetime.String(),
	}
	for name, value := range map[string]string{
		"username_template": c.NameTemplate, "password_authentication": c.Authentication,
		"tls_ca": c.CA, "tls_certificate": c.Certificate, "tls_server_name": c.ServerName,
	} {
		if value != "" {
			details[name] = value
		}
	}
	return &backend.Response{Data: map[string]any{
		"plugin_name": c.Plugin, "plugin_version": "", "allowed_roles": notNil(c.AllowedRoles),
		"connection_details": details, "password_policy": "",
		"root_credentials_rotate_statements": notNil(c.Rotation),
	}}, nil
}

func notNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// writeConnection makes a connection, or changes the fields that were sent of one that is there.
func (b *Backend) writeConnection(ctx context.Context, req *backend.Request, name string) (*backend.Response, error) {
	c, seen, err := loadConnection(req.Store, name)
	var missing *missingConnection
	switch {
	case errors.As(err, &missing):
		c = new(connection)
	case err != nil:
		return nil, err
	}
	was := c.place()
	in := field.Read(req.Params)
	if err := c.read(in, req.Params); err != nil {
		return nil, err
	}
	d, err := c.check(in)
	if err != nil {
		return nil, err
	}
	warnings, err := mayMove(in, req, name, was, c.place())
	if err != nil {
		return nil, err
	}
	if in.Bool("verify_connection", true) {
		if err := in.Err(); err != nil {
			return nil, err
		}
		if err := verify(ctx, d, c); err != nil {
			return nil, err
		}
	}
	if err := in.Err(); err != nil {
		return nil, err
	}
	if err := c.store(ctx, req.Store, name, seen); err != nil {
		return nil, err
	}
	b.pools.drop(poolKey{req.Mount.ID, name})
	return warned(warnings), b.forgetLeft(ctx, req.Store, name)
}

// read takes over the fields that were sent; the empty value clears one.
func (c *connection) read(in *field.Reader, params map[string]any) error {
	for name, text := range map[string]*string{
		"plugin_name": &c.Plugin, "connection_url": &c.URL, "username": &c.Username,
		"username_template": &c.NameTemplate, "tls_ca": &c.CA, "tls_certificate": &c.Certificate,
		"private_key": &c.Key, "tls_server_name": &c.ServerName,
	} {
		if in.Has(name) {
			*text = in.String(name)
		}
	}
	if in.Has("password") {
		c.Password, c.Candidates = in.String("password"), nil
	}
	if in.Has("allowed_roles") {
		c.AllowedRoles = in.Strings("allowed_roles")
	}
	for _, name := range []string{"root_rotation_statements", "root_credentials_rotate_statements"} {
		if in.Has(name) {
			list, err := texts(params[name])
			if err != nil {
				in.Failf("%s: %s", name, err)
			}
			c.Rotation = list
		}
	}
	if in.Has("max_open_connections") {
		c.MaxOpen = in.Int("max_open_connections", 0)
	}
	if in.Has("max_idle_connections") {
		c.MaxIdle = in.Int("max_idle_connections", 0)
	}
	if in.Has("max_connection_lifetime") {
		c.MaxLifetime = in.Duration("max_connection_lifetime")
	}
	if in.Has("tls_certificate_key") { // both in one, as Vault's plugin for MySQL takes them
		c.Certificate, c.Key = in.String("tls_certificate_key"), ""
	}
	c.partPEM()
	switch method := in.String("password_authentication"); method {
	case "":
	case "password":
		c.Authentication = ""
	case scramSHA256:
		c.Authentication = scramSHA256
	default:
		in.Failf("password_authentication: %q is not known: send password or scram-sha-256", field.CleanText(method))
	}
	if in.String("password_policy") != "" {
		in.Failf("password_policy: there are no password policies here: leave it out; passwords have %d random characters with upper and lower case, digits and a dash", passwordLen)
	}
	return in.Err()
}

// check refuses what cannot work, and takes an account that is written into the URL out of it.
func (c *connection) check(in *field.Reader) (dialect, error) {
	if c.Plugin == "" {
		return nil, lease.Errorf(lease.Invalid, "empty plugin name")
	}
	d, ok := dialects[c.Plugin]
	if !ok {
		return nil, lease.Errorf(lease.Invalid, "plugin_name: %q is not known: send %s", field.CleanText(c.Plugin), pluginNames)
	}
	for name, text := range map[string]string{"username": c.Username, "password": c.Password, "connection_url": c.URL} {
		if len(text) > MaxURL {
			in.Failf("%s: %d bytes long, at most %d are taken", name, len(text), MaxURL)
		}
		if strings.ContainsAny(text, "\x00\r\n") || name == "username" && strings.ContainsAny(text, `\{`) {
			in.Failf("%s: holds a character that is not taken there", name)
		}
	}
	if c.MaxOpen < 0 || c.MaxOpen > MaxMaxOpen {
		in.Failf("max_open_connections: %d is outside 1 to %d: a target's connections are bounded", c.MaxOpen, MaxMaxOpen)
	}
	if c.MaxIdle < 0 {
		in.Failf("max_idle_connections: %d is negative: leave it out to keep as many as are open", c.MaxIdle)
	}
	if n := len(c.AllowedRoles); n > MaxAllowedRoles {
		in.Failf("allowed_roles: %d entries, at most %d are taken: use globs such as app-*", n, MaxAllowedRoles)
	}
	if c.Authentication != "" && d.syntax() != postgresSyntax {
		in.Failf("password_authentication: only the PostgreSQL plugin takes %s", c.Authentication)
	}
	if err := checkNameTemplate(c.NameTemplate); err != nil {
		in.Failf("username_template: %s", err)
	}
	if _, err := parseAll(d.syntax(), c.Rotation, rotationPlaceholders); err != nil {
		in.Failf("root_rotation_statements: %s", err)
	}
	if _, err := c.tlsConfig(""); err != nil {
		in.Failf("%s", err)
	}
	if err := in.Err(); err != nil {
		return nil, err
	}
	if err := d.adopt(c); err != nil {
		return nil, lease.Errorf(lease.Invalid, "connection_url: %s", err)
	}
	return d, nil
}

// verify opens a connection of its own.
func verify(ctx context.Context, d dialect, c *connection) error {
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	srv, err := d.open(c)
	if err == nil {
		err = srv.ping(ctx)
		srv.close()
	}
	if err != nil {
		return &lease.Error{Code: lease.Invalid,
			Message: "error creating database object: error verifying connection: " + clean(err, c.secrets())}
	}
	return nil
}

// partPEM takes the key out of the certificates, which are shown.
func (c *connection) partPEM() {
	var certificates, keys []byte
	for rest := []byte(c.Certificate); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "CERTIFICATE" {
			certificates = append(certificates, pem.EncodeToMemory(block)...)
		} else {
			keys = append(keys, pem.EncodeToMemory(block)...)
		}
	}
	if keys != nil {
		c.Certificate, c.Key = string(certificates), string(keys)
	}
}

// tlsConfig is what the connection says of TLS for a server at host; nil if it says nothing.
func (c *connection) tlsConfig(host string) (*tls.Config, error) {
	if c.CA == "" && c.Certificate == "" && c.ServerName == "" {
		return nil, nil
	}
	if max(len(c.CA), len(c.Certificate), len(c.Key)) > MaxPEM {
		return nil, fmt.Errorf("tls_ca, tls_certificate, private_key: at most %d bytes of PEM are taken each", MaxPEM)
	}
	if c.ServerName != "" {
		host = c.ServerName
	}
	config := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(c.CA)) {
			return nil, errors.New("tls_ca: holds no certificate: send one or more in PEM")
		}
	}
	if c.Certificate != "" {
		pair, err := tls.X509KeyPair([]byte(c.Certificate), []byte(c.Key))
		if err != nil {
			return nil, errors.New("tls_certificate and private_key are no pair of a certificate and its key: send both in PEM")
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
