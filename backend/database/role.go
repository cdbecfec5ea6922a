package database

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/database/statement"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/lease"
)

const rolePrefix = "roles/"

func roleKey(name string) string { return rolePrefix + name }

// role says on which connection logins are made, and how.
type role struct {
	Connection string        `json:"connection"`
	Creation   []string      `json:"creation,omitempty"`
	Revocation []string      `json:"revocation,omitempty"`
	Renewal    []string      `json:"renewal,omitempty"`
	Rollback   []string      `json:"rollback,omitempty"`
	DefaultTTL time.Duration `json:"default_ttl,omitempty"`
	MaxTTL     time.Duration `json:"max_ttl,omitempty"`
}

// The placeholders of each kind of statement.
var (
	creationPlaceholders   = []string{"name", "username", "password", "expiration"}
	revocationPlaceholders = []string{"name", "username"}
	renewalPlaceholders    = []string{"name", "username", "expiration"}
	rotationPlaceholders   = []string{"name", "username", "password"}
)

// statements are the role's texts with the field and the placeholders of each.
func (r *role) statements() []struct {
	field        string
	texts        *[]string
	placeholders []string
} {
	return []struct {
		field        string
		texts        *[]string
		placeholders []string
	}{
		{"creation_statements", &r.Creation, creationPlaceholders},
		{"revocation_statements", &r.Revocation, revocationPlaceholders},
		{"renew_statements", &r.Renewal, renewalPlaceholders},
		{"rollback_statements", &r.Rollback, creationPlaceholders},
	}
}

// loadRole returns nil if there is no such role.
func loadRole(store backend.Store, name string) (*role, error) {
	data, ok, err := store.Get(roleKey(name))
	if err != nil {
		return nil, fmt.Errorf("read role %q: %w", name, err)
	}
	if !ok {
		return nil, nil
	}
	r := new(role)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("read role %q: %w", name, err)
	}
	return r, nil
}

func readRole(req *backend.Request, name string) (*backend.Response, error) {
	r, err := loadRole(req.Store, name)
	if r == nil || err != nil {
		return nil, err
	}
	data := map[string]any{
		"db_name": r.Connection, "credential_type": "password",
		"default_ttl": int64(r.DefaultTTL / time.Second), "max_ttl": int64(r.MaxTTL / time.Second),
	}
	for _, s := range r.statements() {
		data[s.field] = notNil(*s.texts)
	}
	return &backend.Response{Data: data}, nil
}

// writeRole makes a role, or changes the fields that were sent of one that is there.
func writeRole(ctx context.Context, req *backend.Request, name string) error {
	r, err := loadRole(req.Store, name)
	if err != nil {
		return err
	}
	if r == nil {
		r = new(role)
	}
	was := r.Connection
	in := field.Read(req.Params)
	r.read(in, req.Params)
	if err := in.Err(); err != nil {
		return err
	}
	if err := r.check(in, req.Store); err != nil {
		return err
	}
	data, err := field.FormatJSON(r)
	if err != nil {
		return fmt.Errorf("encode role: %w", err)
	}
	if was == r.Connection {
		was = ""
	}
	if err := leaveConnection(ctx, req, name, was); err != nil {
		return err
	}
	return req.Store.Put(ctx, roleKey(name), data)
}

// read takes over the fields that were sent; the empty value clears one.
func (r *role) read(in *field.Reader, params map[string]any) {
	if in.Has("db_name") {
		r.Connection = in.String("db_name")
	}
	for _, s := range r.statements() {
		if in.Has(s.field) {
			list, err := texts(params[s.field])
			if err != nil {
				in.Failf("%s: %s", s.field, err)
			}
			*s.texts = list
		}
	}
	if in.Has("default_ttl") {
		r.DefaultTTL = in.Duration("default_ttl")
	}
	if in.Has("max_ttl") {
		r.MaxTTL = in.Duration("max_ttl")
	}
	if kind := in.String("credential_type"); kind != "" && kind != "password" {
		in.Failf("credential_type: %q is not made here: leave it out, or send password", field.CleanText(kind))
	}
	for key, value := range in.StringMap("credential_config") {
		if value != "" {
			in.Failf("credential_config: %q is not known here: leave it out", field.CleanText(key))
		}
	}
}

func (r *role) check(in *field.Reader, store backend.Store) error {
	if r.Connection == "" {
		return lease.Errorf(lease.Invalid, "database name is required")
	}
	if err := checkName(r.Connection); err != nil {
		return lease.Errorf(lease.Invalid, "db_name: %q can be no connection's name", field.CleanText(r.Connection))
	}
	if r.MaxTTL > 0 && r.DefaultTTL > r.MaxTTL {
		in.Failf("default_ttl: %v is longer than max_ttl %v: make it shorter, or max_ttl longer", r.DefaultTTL, r.MaxTTL)
	}
	syntaxes := []statement.Syntax{postgresSyntax, mysqlSyntax}
	if c, _, err := loadConnection(store, r.Connection); err == nil {
		if d, ok := dialects[c.Plugin]; ok {
			syntaxes = []statement.Syntax{d.syntax()}
		}
	}
	// A role may be written before its connection. Then what is wrong in every dialect is refused,
	// and the rest when a login is asked for.
	err := r.parse(syntaxes[0])
	if err != nil && len(syntaxes) > 1 && r.parse(syntaxes[1]) == nil {
		err = nil
	}
	if err != nil {
		in.Failf("%s", err)
	}
	return in.Err()
}

// parse checks all statements as those of one dialect.
func (r *role) parse(syntax statement.Syntax) error {
	for _, s := range r.statements() {
		list, err := parseAll(syntax, *s.texts, s.placeholders)
		if err != nil {
			return fmt.Errorf("%s: %w", s.field, err)
		}
		if s.field != "creation_statements" {
			continue
		}
		if len(list) == 0 {
			return errNoCreation
		}
		if !slices.ContainsFunc(list, func(t *statement.Template) bool { return t.Uses("name") || t.Uses("username") }) {
			return errors.New("creation_statements: {{name}} is missing: a login with a name of its own could not be ended")
		}
	}
	return nil
}

// errNoCreation has Vault's text.
var errNoCreation = errors.New("empty creation statements")

// parseAll reads statements that may hold the given placeholders and no others.
func parseAll(syntax statement.Syntax, texts, placeholders []string) ([]*statement.Template, error) {
	var all []*statement.Template
	total := 0
	for _, text := range texts {
		list, err := statement.Parse(syntax, text)
		if err != nil {
			return nil, err
		}
		all, total = append(all, list...), total+len(text)
	}
	if len(all) > statement.MaxStatements || total > statement.MaxBytes {
		return nil, fmt.Errorf("%d statements of %d bytes, at most %d of %d are taken: put the work into a function at the database",
			len(all), total, statement.MaxStatements, statement.MaxBytes)
	}
	for _, t := range all {
		if t.Transactional() {
			return nil, fmt.Errorf("%s: leave it out: the statements run in a transaction where the server has them", t.Verb())
		}
		for _, name := range t.Placeholders() {
			if !slices.Contains(placeholders, name) {
				return nil, fmt.Errorf("{{%s}} is not known here: use {{%s}}", name, strings.Join(placeholders, "}}, {{"))
			}
		}
	}
	return all, nil
}

// texts reads a list of statements: a list, one text, or a JSON list as text. Unlike other lists it is
// not split at commas, which are a part of SQL.
func texts(v any) ([]string, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		var list []string
		if strings.HasPrefix(strings.TrimSpace(v), "[") && json.Unmarshal([]byte(v), &list) == nil {
			return dropEmpty(list), nil
		}
		return dropEmpty([]string{v}), nil
	case []string:
		return dropEmpty(v), nil
	case []any:
		list := make([]string, 0, len(v))
		for _, item := range v {
			s, ok := item.(string)
			if !ok {
				return nil, errors.New("send a list of texts")
			}
			list = append(list, s)
		}
		return dropEmpty(list), nil
	}
	return nil, errors.New("send a text or a list of texts")
}

func dropEmpty(list []string) []string {
	var out []string
	for _, s := range list {
		if strings.TrimSpace(s) != "" {
			out = append(out, s)
		}
	}
	return out
}
