package aws_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/aws/awstest"
	"github.com/leasehold/leasehold/lease"
)

// What a lease of an IAM user is, from the caller's side and from AWS's.
func TestTheLifeOfAUser(t *testing.T) {
	m := newMount(t)
	l, data := m.issue("creds/full", nil)
	u := m.user(l.name)
	want := awstest.User{
		Name: l.name, Path: "/leased/", Boundary: billing, Keys: u.Keys, Attached: []string{readOnly, billing}, Groups: []string{"staff"},
		Inline: map[string]string{l.name: document},
		Tags:   map[string]string{"team": "ops", "leasehold:cluster": "a1b2c3d4", "leasehold:mount": "cloud/aws", "leasehold:role": "full"},
	}
	if !reflect.DeepEqual(u, want) {
		t.Errorf("at AWS is\n%+v\nwant\n%+v", u, want)
	}
	if len(u.Keys) != 1 || !reflect.DeepEqual(data, map[string]any{
		"access_key": u.Keys[0].ID, "secret_key": u.Keys[0].Secret, "security_token": nil, "session_token": nil,
	}) {
		t.Errorf("the answer is %v, the keys are %v", data, u.Keys)
	}
	if who := m.who(data); !strings.HasSuffix(who, ":user/leased/"+l.name) {
		t.Errorf("the key is that of %q", who)
	}
	// T10: what the lease keeps is no secret.
	if strings.Contains(string(l.internal), u.Keys[0].Secret) || strings.Contains(string(l.plan.Internal), m.server.Key.Secret) {
		t.Errorf("the lease keeps a secret: %s", l.internal)
	}
	m.end(l)
	if m.who(data) != "" {
		t.Error("the key works after the lease's end")
	}
}

// A bare user has the default path and nothing else.
func TestABareUser(t *testing.T) {
	m := newMount(t)
	m.write("roles/bare", map[string]any{"credential_type": "iam_user"})
	m.server.Forget()
	l, _ := m.issue("creds/bare", nil)
	if u := m.user(l.name); u.Path != "/" || u.Boundary != "" || len(u.Attached)+len(u.Groups)+len(u.Inline) != 0 {
		t.Errorf("at AWS is %+v", u)
	}
	if calls := m.server.Calls(); !slices.Equal(calls, []string{"CreateUser", "CreateAccessKey"}) {
		t.Errorf("calls %v", calls)
	}
	m.end(l)
}

// TestInventory: what bears the mark is listed, page by page, and nothing else.
func TestInventory(t *testing.T) {
	m := newMount(t)
	m.server.PageSize(7)
	strangers := []string{
		"alice", "vault-token-r-lh-ffffffff-x", "x" + mark + "-1", mark + "0-1", "lh-a1b2c3d", strings.ToUpper(mark) + "-1",
	}
	var want []string
	for i := range 20 {
		want = append(want, fmt.Sprintf("vault-token-r-%s-%02d", mark, i))
	}
	want = append(want, mark, mark+"-a", "a."+mark)
	for _, name := range append(strangers, want...) {
		m.server.AddUser(name)
	}
	begin := time.Now().Add(-time.Minute)
	var got []string
	for _, item := range m.inventory() {
		got = append(got, item.ExternalName)
		if item.Created.Before(begin) || item.Created.After(time.Now().Add(time.Minute)) || item.Role != "" {
			t.Errorf("item %+v", item)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	stop := errors.New("enough")
	calls := 0
	err := m.engine.Inventory(t.Context(), &backend.InventoryRequest{Store: m.store, Mark: mark}, func(backend.Item) error {
		calls++
		return stop
	})
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("stopped: %v after %d items", err, calls)
	}
	m.server.Plant(awstest.Fault{Kind: awstest.FailBefore})
	err = m.engine.Inventory(t.Context(), &backend.InventoryRequest{Store: m.store, Mark: mark}, func(backend.Item) error { return nil })
	if code(err) != lease.Upstream {
		t.Errorf("a fault: %v", err)
	}
}

// What inventories list is a user: the comparison of a mount with its account looks for nothing else.
func TestOnlyUsersAreItems(t *testing.T) {
	m := newMount(t)
	user, _ := m.issue("creds/full", nil)
	role, _ := m.issue("creds/deploy", nil)
	for name, internal := range map[string][]byte{"planned": user.plan.Internal, "made": user.internal} {
		if !m.engine.HasItem(internal) {
			t.Errorf("a user, %s: is no item", name)
		}
	}
	if m.engine.HasItem(role.plan.Internal) || m.engine.HasItem(role.internal) || m.engine.HasItem([]byte("{")) {
		t.Error("STS credentials are an item")
	}
}

// TestT12_NoErrorShowsAKey: AWS quotes what it was sent, and so might a server that pretends to be it.
func TestT12_NoErrorShowsAKey(t *testing.T) {
	m := newMount(t)
	l, data := m.issue("creds/full", nil)
	const canary = "canary-of-a-secret-key-0123456789abcdefg"
	m.write("config/root", map[string]any{"access_key": m.server.Key.ID, "secret_key": canary})
	var errs []error
	try := func() {
		_, err := m.create(t.Context(), m.engine, m.prepare("creds/full", nil))
		errs = append(errs, err)
		_, err = m.create(t.Context(), m.engine, m.prepare("creds/deploy", nil))
		errs = append(errs, err)
		_, err = m.rotate()
		errs = append(errs, err, m.destroy(t.Context(), m.engine, l))
	}
	try() // SignatureDoesNotMatch, with the request quoted
	m.server.Say(fmt.Sprintf("%s and %s\r\n\x1b[31m %s", canary, m.server.Key.ID, strings.Repeat("é", 9000)))
	for _, kind := range []awstest.Kind{awstest.FailBefore, awstest.Throttle, awstest.Deny, awstest.Garbage, awstest.Drop, awstest.Redirect} {
		m.server.Plant(awstest.Fault{Kind: kind})
		try()
		m.server.Heal()
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	_, err := m.create(ctx, m.engine, m.prepare("creds/full", nil))
	errs = append(errs, err)
	for _, err := range errs {
		text := fmt.Sprint(err)
		if err == nil || strings.Contains(text, canary) || strings.Contains(text, m.server.Key.ID) || strings.ContainsAny(text, "\r\n\x1b") {
			t.Errorf("got %q", text)
		}
		for cause := err; cause != nil; cause = errors.Unwrap(cause) {
			if f := fmt.Sprintf("%T", cause); f == "*aws.failure" && len(cause.Error()) > 256 {
				t.Errorf("an error of %d bytes: %q", len(cause.Error()), cause)
			}
		}
	}
	if secret := data["secret_key"].(string); strings.Contains(fmt.Sprint(errs), secret) {
		t.Error("an error holds a leased key")
	}
}

// With no key in config/root the credentials of the node are used.
func TestCredentialsOfTheNode(t *testing.T) {
	m := newMount(t)
	t.Setenv("AWS_ACCESS_KEY_ID", m.server.Key.ID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", m.server.Key.Secret)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	m.write("config/root", map[string]any{"access_key": "", "secret_key": ""})
	l, data := m.issue("creds/full", nil)
	if m.who(data) == "" {
		t.Error("the key does not work")
	}
	m.end(l)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", t.TempDir()+"/none")
	t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/none")
	m.engine = m.node()
	if _, err := m.create(t.Context(), m.engine, m.prepare("creds/full", nil)); code(err) != lease.Upstream || !strings.Contains(message(err), "was not sent to AWS") {
		t.Errorf("without any: %v", err)
	}
}
