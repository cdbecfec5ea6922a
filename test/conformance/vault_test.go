package conformance

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
)

// vaultClient adapts HashiCorp's client.
type vaultClient struct{ c *api.Client }

func openVault(t testing.TB, node int) sdk {
	t.Helper()
	cfg := api.DefaultConfig()
	cfg.Address = cluster.Nodes[node-1]
	c, err := api.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.SetToken(cluster.Token)
	return &vaultClient{c}
}

func (v *vaultClient) Write(path string, data map[string]any) (*secret, error) {
	return asSecret(v.c.Logical().Write(path, data))
}
func (v *vaultClient) Read(path string) (*secret, error) { return asSecret(v.c.Logical().Read(path)) }
func (v *vaultClient) List(path string) (*secret, error) { return asSecret(v.c.Logical().List(path)) }
func (v *vaultClient) Delete(path string) error {
	_, err := v.c.Logical().Delete(path)
	return err
}

func (v *vaultClient) Lookup(id string) (*secret, error) { return asSecret(v.c.Sys().Lookup(id)) }
func (v *vaultClient) Renew(id string, n int) (*secret, error) {
	return asSecret(v.c.Sys().Renew(id, n))
}
func (v *vaultClient) Revoke(id string) error           { return v.c.Sys().Revoke(id) }
func (v *vaultClient) RevokePrefix(prefix string) error { return v.c.Sys().RevokePrefix(prefix) }
func (v *vaultClient) RevokeForce(prefix string) error  { return v.c.Sys().RevokeForce(prefix) }
func (v *vaultClient) RevokeWith(id string, prefix, force, sync bool) error {
	return v.c.Sys().RevokeWithOptions(&api.RevokeOptions{LeaseID: id, Prefix: prefix, Force: force, Sync: sync})
}

func (v *vaultClient) request(r tokenRequest) *api.TokenCreateRequest {
	return &api.TokenCreateRequest{ID: r.ID, TTL: r.TTL, ExplicitMaxTTL: r.ExplicitMaxTTL, Period: r.Period, DisplayName: r.DisplayName,
		Policies: r.Policies, Metadata: r.Metadata, NoParent: r.NoParent, NoDefaultPolicy: r.NoDefaultPolicy, NumUses: r.NumUses}
}
func (v *vaultClient) CreateToken(r tokenRequest) (*secret, error) {
	return asSecret(v.c.Auth().Token().Create(v.request(r)))
}
func (v *vaultClient) CreateOrphan(r tokenRequest) (*secret, error) {
	return asSecret(v.c.Auth().Token().CreateOrphan(v.request(r)))
}
func (v *vaultClient) CreateWithRole(r tokenRequest, role string) (*secret, error) {
	return asSecret(v.c.Auth().Token().CreateWithRole(v.request(r), role))
}
func (v *vaultClient) LookupToken(token string) (*secret, error) {
	return asSecret(v.c.Auth().Token().Lookup(token))
}
func (v *vaultClient) LookupAccessor(accessor string) (*secret, error) {
	return asSecret(v.c.Auth().Token().LookupAccessor(accessor))
}
func (v *vaultClient) LookupSelf() (*secret, error) {
	return asSecret(v.c.Auth().Token().LookupSelf())
}
func (v *vaultClient) RenewToken(token string, n int) (*secret, error) {
	return asSecret(v.c.Auth().Token().Renew(token, n))
}
func (v *vaultClient) RenewSelf(n int) (*secret, error) {
	return asSecret(v.c.Auth().Token().RenewSelf(n))
}
func (v *vaultClient) RenewAccessor(accessor string, n int) (*secret, error) {
	return asSecret(v.c.Auth().Token().RenewAccessor(accessor, n))
}
func (v *vaultClient) RevokeTree(token string) error   { return v.c.Auth().Token().RevokeTree(token) }
func (v *vaultClient) RevokeOrphan(token string) error { return v.c.Auth().Token().RevokeOrphan(token) }
func (v *vaultClient) RevokeSelf() error               { return v.c.Auth().Token().RevokeSelf("") }
func (v *vaultClient) RevokeAccessor(accessor string) error {
	return v.c.Auth().Token().RevokeAccessor(accessor)
}

func (v *vaultClient) PutPolicy(name, text string) error     { return v.c.Sys().PutPolicy(name, text) }
func (v *vaultClient) GetPolicy(name string) (string, error) { return v.c.Sys().GetPolicy(name) }
func (v *vaultClient) ListPolicies() ([]string, error)       { return v.c.Sys().ListPolicies() }
func (v *vaultClient) DeletePolicy(name string) error        { return v.c.Sys().DeletePolicy(name) }
func (v *vaultClient) CapabilitiesSelf(path string) ([]string, error) {
	return v.c.Sys().CapabilitiesSelf(path)
}

func (v *vaultClient) Capabilities(token, path string) ([]string, error) {
	return v.c.Sys().Capabilities(token, path)
}
func (v *vaultClient) CapabilitiesAccessor(accessor, path string) ([]string, error) {
	return v.c.Sys().CapabilitiesAccessor(accessor, path)
}

func (v *vaultClient) Mount(path, engine, defaultTTL, maxTTL string) error {
	return v.c.Sys().Mount(path, &api.MountInput{Type: engine, Config: api.MountConfigInput{DefaultLeaseTTL: defaultTTL, MaxLeaseTTL: maxTTL}})
}
func (v *vaultClient) TuneMount(path, defaultTTL, maxTTL string) error {
	return v.c.Sys().TuneMountAllowNil(path, api.TuneMountConfigInput{DefaultLeaseTTL: &defaultTTL, MaxLeaseTTL: &maxTTL})
}
func (v *vaultClient) MountConfig(path string) (map[string]any, error) {
	return asMap(v.c.Sys().MountConfig(path))
}
func (v *vaultClient) ListMounts() (map[string]any, error) { return asMap(v.c.Sys().ListMounts()) }
func (v *vaultClient) Unmount(path string) error           { return v.c.Sys().Unmount(path) }

func (v *vaultClient) EnableAuth(path, method, description, defaultTTL string) error {
	return v.c.Sys().EnableAuthWithOptions(path, &api.EnableAuthOptions{Type: method, Description: description,
		Config: api.AuthConfigInput{DefaultLeaseTTL: defaultTTL}})
}
func (v *vaultClient) ListAuth() (map[string]any, error) { return asMap(v.c.Sys().ListAuth()) }
func (v *vaultClient) DisableAuth(path string) error     { return v.c.Sys().DisableAuth(path) }

func (v *vaultClient) Wrap(path, ttl string) {
	v.c.SetWrappingLookupFunc(func(_, asked string) string {
		if asked == path {
			return ttl
		}
		return ""
	})
}
func (v *vaultClient) Unwrap(token string) (*secret, error) {
	return asSecret(v.c.Logical().Unwrap(token))
}

func (v *vaultClient) KVGet(mount, path string) (map[string]any, error) {
	got, err := v.c.KVv1(mount).Get(context.Background(), path)
	if err != nil {
		return nil, err
	}
	return got.Data, nil
}
func (v *vaultClient) KVPut(mount, path string, data map[string]any) error {
	return v.c.KVv1(mount).Put(context.Background(), path, data)
}
func (v *vaultClient) KVDelete(mount, path string) error {
	return v.c.KVv1(mount).Delete(context.Background(), path)
}

func (v *vaultClient) Health() (map[string]any, error)     { return asMap(v.c.Sys().Health()) }
func (v *vaultClient) Leader() (map[string]any, error)     { return asMap(v.c.Sys().Leader()) }
func (v *vaultClient) SealStatus() (map[string]any, error) { return asMap(v.c.Sys().SealStatus()) }
func (v *vaultClient) InitStatus() (bool, error)           { return v.c.Sys().InitStatus() }
func (v *vaultClient) Snapshot(w io.Writer) error          { return v.c.Sys().RaftSnapshot(w) }

func (v *vaultClient) Watch(read func(sdk) (*secret, error)) (*watched, error) {
	s, err := read(v)
	if err != nil {
		return nil, err
	}
	if s.Auth != nil {
		v.c.SetToken(s.Auth.ClientToken)
	}
	w, err := v.c.NewLifetimeWatcher(&api.LifetimeWatcherInput{Secret: s.original.(*api.Secret)})
	if err != nil {
		return nil, err
	}
	begin, out := time.Now(), new(watched)
	go w.Start()
	defer w.Stop()
	for {
		select {
		case out.err = <-w.DoneCh():
			out.took = time.Since(begin)
			return out, nil
		case r := <-w.RenewCh():
			out.renewals++
			if out.last, err = asSecret(r.Secret, nil); err != nil {
				return nil, err
			}
		}
	}
}

func (v *vaultClient) SetToken(token string)        { v.c.SetToken(token) }
func (v *vaultClient) ClearToken()                  { v.c.ClearToken() }
func (v *vaultClient) SetNamespace(ns string)       { v.c.SetNamespace(ns) }
func (v *vaultClient) WithNamespace(ns string) sdk  { return &vaultClient{v.c.WithNamespace(ns)} }
func (v *vaultClient) AddHeader(name, value string) { v.c.AddHeader(name, value) }

func (v *vaultClient) Status(err error) int {
	var e *api.ResponseError
	if errors.As(err, &e) {
		return e.StatusCode
	}
	return 0
}

// TestVaultGetAuth: HashiCorp's client reads one auth method, by the path of engines.
func TestVaultGetAuth(t *testing.T) {
	path := authMethod(t, "approle", nil)
	onEachNode(t, func(t *testing.T, node int) {
		got, err := openVault(t, node).(*vaultClient).c.Sys().GetAuth(path)
		if err != nil || got.Type != "approle" || got.Accessor == "" {
			t.Errorf("got %+v, %v; want the approle method", got, err)
		}
	})
}
