package aws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/lease"
)

// Bounds and defaults of config/root.
const (
	DefaultRegion = "us-east-1"
	MaxKey        = 256 // bytes of access_key and of secret_key
	MaxEndpoint   = 512 // bytes
	MaxMaxRetries = 10
	ownRetries    = -1 // max_retries: as the SDK has it
)

const rootKey = "config/root"

// root says with which credentials a mount manages its account, and where AWS is.
type root struct {
	// AccessKey and SecretKey are empty for those of the node's surroundings.
	AccessKey    string `json:"access_key,omitempty"`
	SecretKey    string `json:"secret_key,omitempty"`
	Region       string `json:"region,omitempty"` // "": DefaultRegion
	IAMEndpoint  string `json:"iam_endpoint,omitempty"`
	STSEndpoint  string `json:"sts_endpoint,omitempty"`
	MaxRetries   int    `json:"max_retries"`
	NameTemplate string `json:"name_template,omitempty"`
	// Rotation is under way, or has stopped half-way: see rotate.go. Nil: none.
	Rotation *rotation `json:"rotation,omitempty"`
	// KeySince is when the last rotation put its key in force; zero: no rotation did.
	KeySince time.Time `json:"key_since,omitzero"`
}

// errNoRoot is the error of a mount whose config/root was never written.
var errNoRoot = lease.Errorf(lease.Invalid,
	"config/root is missing: write it, with access_key and secret_key, or empty to use the credentials of the nodes")

// loadRoot returns the config with its version; errNoRoot if there is none.
func loadRoot(store backend.Store) (*root, backend.Version, error) {
	data, version, err := store.Look(rootKey)
	if err != nil {
		return nil, "", fmt.Errorf("read config/root: %w", err)
	}
	if version == "" {
		return nil, "", errNoRoot
	}
	r := new(root)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, "", fmt.Errorf("read config/root: %w", err)
	}
	return r, version, nil
}

// store puts r in place of the version that was seen.
func (r *root) store(ctx context.Context, store backend.Store, seen backend.Version) error {
	data, err := field.FormatJSON(r)
	if err != nil {
		return fmt.Errorf("encode config/root: %w", err)
	}
	err = store.Swap(ctx, rootKey, seen, data, 0)
	if errors.Is(err, lease.ErrChanged) {
		return lease.Errorf(lease.Conflict, "config/root was changed by another call at the same time: look at it, then try again")
	}
	return err
}

// secrets are what no error may show.
func (r *root) secrets() []string {
	list := []string{r.SecretKey, r.AccessKey}
	if r.Rotation != nil {
		list = append(list, r.Rotation.SecretKey, r.Rotation.AccessKey, r.Rotation.Old)
	}
	return list
}

// readRoot shows everything but the secret key.
func readRoot(req *backend.Request) (*backend.Response, error) {
	r, _, err := loadRoot(req.Store)
	if errors.Is(err, errNoRoot) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &backend.Response{Data: map[string]any{
		"access_key": r.AccessKey, "region": r.Region, "iam_endpoint": r.IAMEndpoint, "sts_endpoint": r.STSEndpoint,
		"max_retries": r.MaxRetries, "username_template": r.NameTemplate,
	}}, nil
}

// writeRoot changes the fields that were sent; the others stay. The empty value clears a field.
func writeRoot(ctx context.Context, req *backend.Request) (*backend.Response, error) {
	r, seen, err := loadRoot(req.Store)
	switch {
	case errors.Is(err, errNoRoot):
		r = &root{MaxRetries: ownRetries}
	case err != nil:
		return nil, err
	}
	in := field.Read(req.Params)
	before := r.AccessKey
	warnings := r.read(in)
	r.check(in)
	if err := in.Err(); err != nil {
		return nil, err
	}
	for _, e := range r.endpoints() {
		if u, err := url.Parse(*e.text); err == nil && u.Scheme == "http" && !loopback(u.Hostname()) {
			warnings = append(warnings, e.name+" is plain http: the credentials that AWS answers with can be read on the way")
		}
	}
	if req.Live != nil && before != "" && r.AccessKey != before {
		if n := req.Live(""); n > 0 {
			warnings = append(warnings, fmt.Sprintf("%d leases were made with another access key: users among them are ended only if the new key is one of the same account", n))
		}
	}
	if err := r.store(ctx, req.Store, seen); err != nil {
		return nil, err
	}
	return answered(append(warnings, in.Warnings()...)), nil
}

// read takes over the fields that were sent. The two parts of a key are sent together.
func (r *root) read(in *field.Reader) (warnings []string) {
	if hasID, hasSecret := in.Has("access_key"), in.Has("secret_key"); hasID || hasSecret {
		id, secret := in.String("access_key"), in.String("secret_key")
		switch {
		case hasID && !hasSecret && id != "" && id != r.AccessKey:
			in.Failf("secret_key: missing: send it with its access_key")
		case hasID && !hasSecret && id == r.AccessKey:
			secret = r.SecretKey
		case !hasID:
			id = r.AccessKey
		}
		if rot := r.Rotation; rot != nil && (id != r.AccessKey || secret != r.SecretKey) {
			warnings = append(warnings, rot.abandoned())
			r.Rotation = nil
		}
		if id != r.AccessKey || secret != r.SecretKey {
			r.KeySince = time.Time{}
		}
		r.AccessKey, r.SecretKey = id, secret
	}
	for name, text := range map[string]*string{
		"region": &r.Region, "iam_endpoint": &r.IAMEndpoint, "sts_endpoint": &r.STSEndpoint, "username_template": &r.NameTemplate,
	} {
		if in.Has(name) {
			*text = strings.TrimSpace(in.String(name))
		}
	}
	if in.Has("max_retries") {
		r.MaxRetries = in.Int("max_retries", ownRetries)
	}
	return warnings
}

var regionText = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

func (r *root) check(in *field.Reader) {
	if (r.AccessKey == "") != (r.SecretKey == "") {
		in.Failf("access_key and secret_key belong together: send both, or clear both to use the credentials of the nodes")
	}
	for name, text := range map[string]string{"access_key": r.AccessKey, "secret_key": r.SecretKey} {
		if len(text) > MaxKey || strings.ContainsFunc(text, notGraphic) {
			in.Failf("%s: is no key: send at most %d printable characters without spaces", name, MaxKey)
		}
	}
	if r.Region != "" && !regionText.MatchString(r.Region) {
		in.Failf("region: %q is no region: send one such as eu-central-1", field.CleanText(r.Region))
	}
	for _, e := range r.endpoints() {
		if err := checkEndpoint(*e.text); err != nil {
			in.Failf("%s: %s", e.name, err)
		}
	}
	if r.MaxRetries < ownRetries || r.MaxRetries > MaxMaxRetries {
		in.Failf("max_retries: %d is outside %d to %d: choose one between; %d leaves it to the SDK",
			r.MaxRetries, ownRetries, MaxMaxRetries, ownRetries)
	}
	if err := checkNameTemplate(r.NameTemplate); err != nil {
		in.Failf("username_template: %s", err)
	}
}

func notGraphic(c rune) bool { return c <= ' ' || c > '~' }

type endpoint struct {
	name string
	text *string
}

func (r *root) endpoints() []endpoint {
	return []endpoint{{"iam_endpoint", &r.IAMEndpoint}, {"sts_endpoint", &r.STSEndpoint}}
}

// checkEndpoint takes what the SDK can call: a URL with a host. Plain http is taken as well, since an
// endpoint is written by the operator and stands for a server of theirs.
func checkEndpoint(text string) error {
	if text == "" {
		return nil
	}
	if len(text) > MaxEndpoint {
		return fmt.Errorf("%d bytes long, at most %d are taken", len(text), MaxEndpoint)
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || field.CheckText(text) != nil:
		return errors.New("is no URL: send one such as https://iam.example.com")
	case u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "":
		return errors.New("is no URL of a server: send one such as https://iam.example.com")
	case u.User != nil, u.RawQuery != "", u.Fragment != "":
		return errors.New("holds a user, a query or a fragment: leave them out")
	}
	return nil
}

func loopback(host string) bool {
	return host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.")
}
