package conformance

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/openbao/openbao/api/v2"
)

// baoClient adapts OpenBao's client.
type baoClient struct{ c *api.Client }

func openBao(t testing.TB, node int) sdk {
	t.Helper()
	cfg := api.DefaultConfig()
	cfg.Address = cluster.Nodes[node-1]
	c, err := api.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.SetToken(cluster.Token)
	return &baoClient{c}
}

func (b *baoClient) Write(path string, data map[string]any) (*secret, error) {
	return asSecret(b.c.Logical().Write(path, data))
}
func (b *baoClient) Read(path string) (*secret, error) { return asSecret(b.c.Logical().Read(path)) }
func (b *baoClient) List(path string) (*secret, error) { return asSecret(b.c.Logical().List(path)) }
func (b *baoClient) Delete(path string) error {
	_, err := b.c.Logical().Delete(path)
	return err
}

func (b *baoClient) Lookup(id string) (*secret, error) { return asSecret(b.c.Sys().Lookup(id)) }
func (b *baoClient) Renew(id string, n int) (*secret, error) {
	return asSecret(b.c.Sys().Renew(id, n))
}
func (b *baoClient) Revoke(id string) error           { return b.c.Sys().Revoke(id) }
func (b *baoClient) RevokePrefix(prefix string) error { return b.c.Sys().RevokePrefix(prefix) }
func (b *baoClient) RevokeForce(prefix string) error  { return b.c.Sys().RevokeForce(prefix) }
func (b *baoClient) RevokeWith(id string, prefix, force, sync bool) error {
	return b.c.Sys().RevokeWithOptions(&api.RevokeOptions{LeaseID: id, Prefix: prefix, Force: force, Sync: sync})
}

func (b *baoClient) request(r tokenRequest) *api.TokenCreateRequest {
	return &api.TokenCreateRequest{ID: r.ID, TTL: r.TTL, ExplicitMaxTTL: r.ExplicitMaxTTL, Period: r.Period, DisplayName: r.DisplayName,
		Policies: r.Policies, Metadata: r.Metadata, NoParent: r.NoParent, NoDefaultPolicy: r.NoDefaultPolicy, NumUses: r.NumUses}
}
func (b *baoClient) CreateToken(r tokenRequest) (*secret, error) {
	return asSecret(b.c.Auth().Token().Create(b.request(r)))
}
func (b *baoClient) CreateOrphan(r tokenRequest) (*secret, error) {
	return asSecret(b.c.Auth().Token().CreateOrphan(b.request(r)))
}
func (b *baoClient) CreateWithRole(r tokenRequest, role string) (*secret, error) {
	return asSecret(b.c.Auth().Token().CreateWithRole(b.request(r), role))
}
func (b *baoClient) LookupToken(token string) (*secret, error) {
	return asSecret(b.c.Auth().Token().Lookup(token))
}
func (b *baoClient) LookupAccessor(accessor string) (*secret, error) {
	return asSecret(b.c.Auth().Token().LookupAccessor(accessor))
}
func (b *baoClient) LookupSelf() (*secret, error) {
	return asSecret(b.c.Auth().Token().LookupSelf())
}
func (b *baoClient) RenewToken(token string, n int) (*secret, error) {
	return asSecret(b.c.Auth().Token().Renew(token, n))
}
func (b *baoClient) RenewSelf(n int) (*secret, error) {
	return asSecret(b.c.Auth().Token().RenewSelf(n))
}
func (b *baoClient) RenewAccessor(accessor string, n int) (*secret, error) {
	return asSecret(b.c.Auth().Token().RenewAccessor(accessor, n))
}
func (b *baoClient) RevokeTree(token string) error   { return b.c.Auth().Token().RevokeTree(token) }
func (b *baoClient) RevokeOrphan(token string) error { return b.c.Auth().Token().RevokeOrphan(token) }
func (b *baoClient) RevokeSelf() error               { return b.c.Auth().Token().RevokeSelf("") }
func (b *baoClient) RevokeAccessor(accessor string) error {
	return b.c.Auth().Token().RevokeAccessor(accessor)
}

func (b *baoClient) PutPolicy(name, text string) error     { return b.c.Sys().PutPolicy(name, text) }
func (b *baoClient) GetPolicy(name string) (string, error) { return b.c.Sys().GetPolicy(name) }
func (b *baoClient) ListPolicies() ([]string, error)       { return b.c.Sys().ListPolicies() }
func (b *baoClient) DeletePolicy(name string) error        { return b.c.Sys().DeletePolicy(name) }
func (b *baoClient) CapabilitiesSelf(path string) ([]string, error) {
	return b.c.Sys().CapabilitiesSelf(path)
}

func (b *baoClient) Capabilities(token, path string) ([]string, error) {
	return b.c.Sys().Capabilities(token, path)
}

// CapabilitiesAccessor has no method of its own in this client.
func (b *baoClient) CapabilitiesAccessor(accessor, path string) ([]string, error) {
	s, err := b.Write("sys/capabilities-accessor", map[string]any{"accessor": accessor, "path": path})
	if err != nil {
		return nil, err
	}
	return convert[[]string](s.Data[path])
}

func (b *baoClient) Mount(path, engine, defaultTTL, maxTTL string) error {
	return b.c.Sys().Mount(path, &api.MountInput{Type: engine, Config: api.MountConfigInput{DefaultLeaseTTL: defaultTTL, MaxLeaseTTL: maxTTL}})
}
func (b *baoClient) TuneMount(path, defaultTTL, maxTTL string) error {
	return b.c.Sys().TuneMount(path, api.MountConfigInput{DefaultLeaseTTL: defaultTTL, MaxLeaseTTL: maxTTL})
}
func (b *baoClient) MountConfig(path string) (map[string]any, error) {
	return asMap(b.c.Sys().MountConfig(path))
}
func (b *baoClient) ListMounts() (map[string]any, error) { return asMap(b.c.Sys().ListMounts()) }
func (b *baoClient) Unmount(path string) error           { return b.c.Sys().Unmount(path) }

func (b *baoClient) EnableAuth(path, method, description, defaultTTL string) error {
	return b.c.Sys().EnableAuthWithOptions(path, &api.EnableAuthOptions{Type: method, Description: description,
		Config: api.AuthConfigInput{DefaultLeaseTTL: defaultTTL}})
}
func (b *baoClient) ListAuth() (map[string]any, error) { return asMap(b.c.Sys().ListAuth()) }
func (b *baoClient) DisableAuth(path string) error     { return b.c.Sys().DisableAuth(path) }

func (b *baoClient) Wrap(path, ttl string) {
	b.c.SetWrappingLookupFunc(func(_, asked string) string {
		if asked == path {
			return ttl
		}
		return ""
	})
}
func (b *baoClient) Unwrap(token string) (*secret, error) {
	return asSecret(b.c.Logical().Unwrap(token))
}

func (b *baoClient) KVGet(mount, path string) (map[string]any, error) {
	got, err := b.c.KVv1(mount).Get(context.Background(), path)
	if err != nil {
		return nil, err
	}
	return got.Data, nil
}
func (b *baoClient) KVPut(mount, path string, data map[string]any) error {
	return b.c.KVv1(mount).Put(context.Background(), path, data)
}
func (b *baoClient) KVDelete(mount, path string) error {
	return b.c.KVv1(mount).Delete(context.Background(), path)
}

func (b *baoClient) Health() (map[string]any, error)     { return asMap(b.c.Sys().Health()) }
func (b *baoClient) Leader() (map[string]any, error)     { return asMap(b.c.Sys().Leader()) }
func (b *baoClient) SealStatus() (map[string]any, error) { return asMap(b.c.Sys().SealStatus()) }
func (b *baoClient) InitStatus() (bool, error)           { return b.c.Sys().InitStatus() }
func (b *baoClient) Snapshot(w io.Writer) error          { return b.c.Sys().RaftSnapshot(w) }

func (b *baoClient) Watch(read func(sdk) (*secret, error)) (*watched, error) {
	s, err := read(b)
	if err != nil {
		return nil, err
	}
	if s.Auth != nil {
		b.c.SetToken(s.Auth.ClientToken)
	}
	w, err := b.c.NewLifetimeWatcher(&api.LifetimeWatcherInput{Secret: s.original.(*api.Secret)})
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

func (b *baoClient) SetToken(token string)        { b.c.SetToken(token) }
func (b *baoClient) ClearToken()                  { b.c.ClearToken() }
func (b *baoClient) SetNamespace(ns string)       { b.c.SetNamespace(ns) }
func (b *baoClient) WithNamespace(ns string) sdk  { return &baoClient{b.c.WithNamespace(ns)} }
func (b *baoClient) AddHeader(name, value string) { b.c.AddHeader(name, value) }

func (b *baoClient) Status(err error) int {
	var e *api.ResponseError
	if errors.As(err, &e) {
		return e.StatusCode
	}
	return 0
}

// TestOpenBaoPages: OpenBao's client asks for lists by pages.
func TestOpenBaoPages(t *testing.T) {
	path := mount(t, "lease", nil)
	for range 5 {
		issue(t, path+"/a", nil)
	}
	b := openBao(t, nextNode()+1).(*baoClient)
	var got []string
	for after := ""; ; {
		page, err := b.c.Logical().ListPage("sys/leases/lookup/"+path+"/a", after, 2)
		if err != nil {
			t.Fatal(err)
		}
		if page == nil {
			break
		}
		for _, key := range page.Data["keys"].([]any) {
			after = key.(string)
			got = append(got, after)
		}
		if len(got) > 5 {
			break
		}
	}
	if len(got) != 5 || !slices.IsSorted(got) {
		t.Errorf("the pages hold %v, want five keys, sorted", got)
	}
}
