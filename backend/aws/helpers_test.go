package aws_test

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/aws"
	"github.com/leasehold/leasehold/backend/aws/awstest"
	"github.com/leasehold/leasehold/backend/backendtest"
	"github.com/leasehold/leasehold/lease"
)

const (
	readOnly = "arn:aws:iam::aws:policy/ReadOnlyAccess"
	billing  = "arn:aws:iam::aws:policy/Billing"
	roleARN  = "arn:aws:iam::123456789012:role/deploy"
	document = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}]}`
)

var (
	mark     = backend.Mark("a1b2c3d4")
	settings = map[string]any{"region": "eu-central-1", "max_retries": 0}
	// fullRole gives a user something of everything, so that ending it has every step.
	fullRole = map[string]any{
		"credential_type": "iam_user", "policy_arns": []any{readOnly, billing}, "policy_document": document, "iam_groups": "staff",
		"iam_tags": map[string]any{"team": "ops"}, "user_path": "/leased/", "permissions_boundary_arn": billing,
	}
)

// mount is one mount of the engine with its store, and the account behind it.
type mount struct {
	*testing.T
	engine *aws.Backend
	store  backend.Store
	server *awstest.Server
	clock  *clock
}

// clock is the real one, and runs on as tests want it.
type clock struct{ ahead, step atomic.Int64 }

// now is later by step at each look.
func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Add(c.step.Load()))) }

func (c *clock) pass(d time.Duration) { c.ahead.Add(int64(d)) }

// newMount is a mount whose account has the group staff and the roles full and deploy.
func newMount(t *testing.T) *mount {
	m := &mount{T: t, store: backendtest.NewStore(), server: awstest.New(), clock: new(clock)}
	t.Cleanup(m.server.Close)
	m.engine = m.node()
	m.server.AddGroup("staff", map[string]string{"own": document}, billing)
	m.server.AddRole(awstest.Role{ARN: roleARN})
	m.point(m.server)
	m.write("roles/full", fullRole)
	m.write("roles/deploy", map[string]any{"credential_type": "assumed_role", "role_arns": roleARN})
	return m
}

// node is another engine on the same mount.
func (m *mount) node() *aws.Backend {
	engine := aws.New(aws.Options{Now: m.clock.now})
	engine.Hurry(60 * time.Millisecond)
	m.Cleanup(func() { engine.Close() })
	return engine
}

// point writes config/root for a server.
func (m *mount) point(s *awstest.Server) {
	m.Helper()
	params := map[string]any{
		"access_key": s.Key.ID, "secret_key": s.Key.Secret, "iam_endpoint": s.URL, "sts_endpoint": s.URL,
	}
	for key, value := range settings {
		params[key] = value
	}
	m.write("config/root", params)
}

func (m *mount) request(op backend.Operation, path string, params map[string]any) *backend.Request {
	return &backend.Request{
		Mount: &lease.Mount{Path: "cloud/aws/", Type: "aws", ID: "m1"}, Operation: op, Path: path, Params: params,
		Store: m.store, Cluster: "a1b2c3d4", Token: &lease.Token{DisplayName: "token"},
		Now: lease.At(m.clock.now()), Random: rand.Reader,
	}
}

func (m *mount) handle(op backend.Operation, path string, params map[string]any) (*backend.Response, error) {
	return m.engine.Handle(m.Context(), m.request(op, path, params))
}

func (m *mount) write(path string, params map[string]any) {
	m.Helper()
	if _, err := m.handle(backend.Write, path, params); err != nil {
		m.Fatalf("write %s: %v", path, err)
	}
}

func (m *mount) read(path string) map[string]any {
	m.Helper()
	resp, err := m.handle(backend.Read, path, nil)
	if err != nil || resp == nil {
		m.Fatalf("read %s: %v, %v", path, resp, err)
	}
	return resp.Data
}

// loan is a lease as the lessor and the revoker know it.
type loan struct {
	req      *backend.Request
	plan     *backend.Plan
	name     string
	internal []byte
	attempt  int
}

func (m *mount) prepare(path string, params map[string]any) *loan {
	m.Helper()
	req := m.request(backend.Write, path, params)
	plan, err := m.engine.Prepare(m.Context(), req)
	if err != nil {
		m.Fatalf("prepare %s: %v", path, err)
	}
	if !plan.Target {
		m.Fatalf("prepare %s: the plan has no target", path)
	}
	return &loan{req: req, plan: plan, name: plan.ExternalName(mark, rand.Text()[:24]), internal: plan.Internal}
}

func (m *mount) create(ctx context.Context, on *aws.Backend, l *loan) (map[string]any, error) {
	ttl := l.plan.TTL
	if ttl == 0 {
		ttl = l.plan.DefaultTTL
	}
	if ttl == 0 {
		ttl = time.Hour
	}
	made, err := on.Create(ctx, &backend.Intent{
		LeaseID: "cloud/aws/" + l.plan.Path + "/x", ExternalName: l.name, Role: l.plan.Role, Generation: 1, Fence: 1,
		TTL: ttl, ExpireTime: time.Now().Add(ttl), Internal: l.plan.Internal, Request: l.req,
	})
	if err != nil {
		return nil, err
	}
	if made.Internal != nil {
		l.internal = made.Internal
	}
	return made.Data, nil
}

// issue makes what a path leases.
func (m *mount) issue(path string, params map[string]any) (*loan, map[string]any) {
	m.Helper()
	l := m.prepare(path, params)
	data, err := m.create(m.Context(), m.engine, l)
	if err != nil {
		m.Fatalf("create at %s: %v", path, err)
	}
	return l, data
}

func (m *mount) destroy(ctx context.Context, on *aws.Backend, l *loan) error {
	l.attempt++
	return on.Destroy(ctx, &backend.Destruction{
		LeaseID: "cloud/aws/" + l.plan.Path + "/x", ExternalName: l.name, Role: l.plan.Role, Mount: l.req.Mount,
		Generation: 1, Fence: 2, Attempt: l.attempt, Internal: l.internal, Store: m.store,
	})
}

// end destroys, and wants nothing of the lease to be left.
func (m *mount) end(l *loan) {
	m.Helper()
	if err := m.destroy(m.Context(), m.engine, l); err != nil {
		m.Fatalf("destroy: %v", err)
	}
	if m.lives(l.name) {
		m.Fatalf("%s is destroyed and still there: %+v", l.name, m.server.Users())
	}
}

func (m *mount) lives(name string) bool { return slices.Contains(m.names(), name) }

func (m *mount) names() []string {
	var names []string
	for _, u := range m.server.Users() {
		names = append(names, u.Name)
	}
	return names
}

func (m *mount) user(name string) awstest.User {
	m.Helper()
	for _, u := range m.server.Users() {
		if u.Name == name {
			return u
		}
	}
	m.Fatalf("no user %s among %v", name, m.names())
	return awstest.User{}
}

// inventory is what the engine lists.
func (m *mount) inventory() []backend.Item {
	m.Helper()
	var items []backend.Item
	err := m.engine.Inventory(m.Context(), &backend.InventoryRequest{
		Mount: &lease.Mount{Path: "cloud/aws/", ID: "m1"}, Store: m.store, Mark: mark,
	}, func(i backend.Item) error {
		items = append(items, i)
		return nil
	})
	if err != nil {
		m.Fatalf("inventory: %v", err)
	}
	return items
}

// who asks AWS whose credentials these are: "" if it does not take them.
func (m *mount) who(data map[string]any) string {
	m.Helper()
	token, _ := data["security_token"].(string)
	client := sts.New(sts.Options{
		Region: "us-east-1", BaseEndpoint: &m.server.URL, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(data["access_key"].(string), data["secret_key"].(string), token),
	})
	out, err := client.GetCallerIdentity(m.Context(), &sts.GetCallerIdentityInput{})
	if err != nil {
		if !strings.Contains(err.Error(), "InvalidClientTokenId") {
			m.Errorf("get-caller-identity: %v", err)
		}
		return ""
	}
	return awssdk.ToString(out.Arn)
}

func emptyStore() backend.Store { return backendtest.NewStore() }

// code is that of a lease.Error.
func code(err error) lease.Code {
	var e *lease.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// message is what the caller of the API sees of an error.
func message(err error) string {
	var e *lease.Error
	if errors.As(err, &e) {
		return e.Message
	}
	if err == nil {
		return ""
	}
	return err.Error()
}
