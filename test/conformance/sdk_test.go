package conformance

import (
	"encoding/json"
	"io"
	"testing"
	"time"
)

// sdk is a Go client that we did not write, behind the calls that the suite in clients_test.go
// makes. Each adapter hands them to the methods of the same name and does nothing else; answers are
// passed on as the JSON that the client's own types encode to.
type sdk interface {
	Write(path string, data map[string]any) (*secret, error)
	Read(path string) (*secret, error)
	List(path string) (*secret, error)
	Delete(path string) error

	Lookup(id string) (*secret, error)
	Renew(id string, increment int) (*secret, error)
	Revoke(id string) error
	RevokePrefix(prefix string) error
	RevokeForce(prefix string) error
	RevokeWith(id string, prefix, force, sync bool) error

	CreateToken(tokenRequest) (*secret, error)
	CreateOrphan(tokenRequest) (*secret, error)
	CreateWithRole(r tokenRequest, role string) (*secret, error)
	LookupToken(token string) (*secret, error)
	LookupAccessor(accessor string) (*secret, error)
	LookupSelf() (*secret, error)
	RenewToken(token string, increment int) (*secret, error)
	RenewSelf(increment int) (*secret, error)
	RenewAccessor(accessor string, increment int) (*secret, error)
	RevokeTree(token string) error
	RevokeOrphan(token string) error
	RevokeSelf() error
	RevokeAccessor(accessor string) error

	PutPolicy(name, text string) error
	GetPolicy(name string) (string, error)
	ListPolicies() ([]string, error)
	DeletePolicy(name string) error
	CapabilitiesSelf(path string) ([]string, error)
	Capabilities(token, path string) ([]string, error)
	CapabilitiesAccessor(accessor, path string) ([]string, error)

	Mount(path, engine, defaultTTL, maxTTL string) error
	TuneMount(path, defaultTTL, maxTTL string) error
	MountConfig(path string) (map[string]any, error)
	ListMounts() (map[string]any, error)
	Unmount(path string) error

	EnableAuth(path, method, description, defaultTTL string) error
	ListAuth() (map[string]any, error)
	DisableAuth(path string) error

	// Wrap makes the server wrap what the client asks of one path from now on.
	Wrap(path, ttl string)
	Unwrap(token string) (*secret, error)

	KVGet(mount, path string) (map[string]any, error)
	KVPut(mount, path string, data map[string]any) error
	KVDelete(mount, path string) error

	Health() (map[string]any, error)
	Leader() (map[string]any, error)
	SealStatus() (map[string]any, error)
	InitStatus() (bool, error)
	Snapshot(io.Writer) error

	// Watch starts a LifetimeWatcher on the answer to an issue or a token's creation. It reports
	// renewals until the watcher is done.
	Watch(read func(sdk) (*secret, error)) (*watched, error)

	SetToken(string)
	ClearToken()
	SetNamespace(string)
	WithNamespace(string) sdk // another client, of that namespace
	AddHeader(name, value string)
	Status(error) int // of the server's answer, 0 if the error is none
}

// secret is what both clients decode an envelope to.
type secret struct {
	LeaseID       string         `json:"lease_id"`
	LeaseDuration int            `json:"lease_duration"`
	Renewable     bool           `json:"renewable"`
	Data          map[string]any `json:"data"`
	Warnings      []string       `json:"warnings"`
	Auth          *struct {
		ClientToken   string            `json:"client_token"`
		Accessor      string            `json:"accessor"`
		Policies      []string          `json:"policies"`
		TokenPolicies []string          `json:"token_policies"`
		Metadata      map[string]string `json:"metadata"`
		Orphan        bool              `json:"orphan"`
		LeaseDuration int               `json:"lease_duration"`
		Renewable     bool              `json:"renewable"`
	} `json:"auth"`
	WrapInfo *struct {
		Token           string    `json:"token"`
		Accessor        string    `json:"accessor"`
		TTL             int       `json:"ttl"`
		CreationTime    time.Time `json:"creation_time"`
		CreationPath    string    `json:"creation_path"`
		WrappedAccessor string    `json:"wrapped_accessor"`
	} `json:"wrap_info"`

	original any // the client's own secret, for Watch
}

// tokenRequest holds the fields of a token's creation that the suite uses.
type tokenRequest struct {
	ID, TTL, ExplicitMaxTTL, Period, DisplayName string
	Policies                                     []string
	Metadata                                     map[string]string
	NoParent, NoDefaultPolicy                    bool
	NumUses                                      int
}

// watched is what a LifetimeWatcher did.
type watched struct {
	renewals int
	last     *secret
	took     time.Duration
	err      error
}

// convert passes a client's type on as JSON.
func convert[T any](from any) (T, error) {
	var to T
	text, err := json.Marshal(from)
	if err == nil {
		err = json.Unmarshal(text, &to)
	}
	return to, err
}

// asSecret converts the clients' secrets; nil stays nil, which is how they say "not found".
func asSecret[S any](from *S, err error) (*secret, error) {
	if err != nil || from == nil {
		return nil, err
	}
	s, err := convert[*secret](from)
	if s != nil {
		s.original = from
	}
	return s, err
}

// asMap converts any of the clients' structures.
func asMap(from any, err error) (map[string]any, error) {
	if err != nil {
		return nil, err
	}
	return convert[map[string]any](from)
}

// brands are the clients. Each makes a client of one node with the root token.
var brands = []struct {
	name string
	open func(t testing.TB, node int) sdk
}{
	{"vault", openVault},
	{"openbao", openBao},
}

// withEach runs a test with each brand. at makes a client of one node; node 0 is the next in turn.
func withEach(t *testing.T, test func(t *testing.T, at func(node int) sdk)) {
	t.Helper()
	for _, b := range brands {
		t.Run(b.name, func(t *testing.T) {
			test(t, func(node int) sdk {
				if node == 0 {
					node = nextNode() + 1
				}
				return b.open(t, node)
			})
		})
	}
}
