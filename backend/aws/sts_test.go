package aws_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/aws/awstest"
	"github.com/leasehold/leasehold/lease"
)

func TestAssumedRole(t *testing.T) {
	m := newMount(t)
	m.server.AddRole(awstest.Role{ARN: roleARN, ExternalID: "partner", MaxSession: 2 * time.Hour})
	m.write("roles/deploy", map[string]any{
		"external_id": "partner", "session_tags": map[string]any{"team": "ops"}, "policy_arns": readOnly, "policy_document": document,
		"iam_groups": "staff", "default_sts_ttl": "90m", "max_sts_ttl": "2h",
	})
	l, data := m.issue("sts/deploy", nil)
	if p := l.plan; p.Renewable || p.DefaultTTL != 90*time.Minute || p.MaxTTL != 2*time.Hour || p.Path != "sts/deploy" {
		t.Errorf("plan %+v", p)
	}
	s := m.server.Sessions()
	if len(s) != 1 {
		t.Fatalf("sessions: %+v", s)
	}
	want := map[string]any{
		"access_key": s[0].Key.ID, "secret_key": s[0].Key.Secret, "security_token": s[0].Token, "session_token": s[0].Token,
		"arn": "arn:aws:sts::123456789012:assumed-role/deploy/" + l.name,
	}
	if !reflect.DeepEqual(data, want) || m.who(data) != want["arn"] {
		t.Errorf("got %v, who is %q; want %v", data, m.who(data), want)
	}
	if end := time.Until(s[0].Ends); end < 89*time.Minute || end > 90*time.Minute || !reflect.DeepEqual(s[0].Tags, map[string]string{"team": "ops"}) {
		t.Errorf("session %+v", s[0])
	}
	// The policies of the group go with it, since credentials of STS are in no group.
	var merged struct{ Statement []map[string]any }
	if err := json.Unmarshal([]byte(s[0].Policy), &merged); err != nil || len(merged.Statement) != 2 {
		t.Errorf("policy %s", s[0].Policy)
	}
	if !slices.Equal(s[0].PolicyARNs, []string{billing, readOnly}) {
		t.Errorf("policies %v", s[0].PolicyARNs)
	}
	m.endSTS(l, data)
}

// endSTS revokes a lease of STS credentials, which does nothing at AWS.
func (m *mount) endSTS(l *loan, data map[string]any) {
	m.Helper()
	if strings.Contains(string(l.internal), data["secret_key"].(string)) || strings.Contains(string(l.internal), data["security_token"].(string)) {
		m.Errorf("the lease keeps a secret: %s", l.internal)
	}
	who := m.who(data)
	m.server.Forget()
	for range 2 {
		if err := m.destroy(m.Context(), m.engine, l); err != nil {
			m.Errorf("destroy: %v", err)
		}
	}
	if calls := m.server.Calls(); len(calls) != 0 || m.who(data) != who {
		m.Errorf("revoking made the calls %v; the credentials are those of %q, want %q", calls, m.who(data), who)
	}
}

func TestAssumedRoleByName(t *testing.T) {
	m := newMount(t)
	m.server.AddRole(awstest.Role{ARN: roleARN + "2"})
	m.write("roles/deploy", map[string]any{"role_arns": []any{roleARN, roleARN + "2"}})
	_, data := m.issue("creds/deploy", map[string]any{"role_arn": roleARN + "2", "role_session_name": "nightly", "ttl": "20m"})
	if data["arn"] != "arn:aws:sts::123456789012:assumed-role/deploy2/nightly" {
		t.Errorf("got %v", data["arn"])
	}
	if end := time.Until(m.server.Sessions()[0].Ends); end > 20*time.Minute || end < 19*time.Minute {
		t.Errorf("the session ends in %v, want 20 minutes", end)
	}
	// AWS has its own limits, and says so.
	_, err := m.create(t.Context(), m.engine, m.prepare("creds/deploy", map[string]any{"role_arn": roleARN, "ttl": "5h"}))
	if code(err) != lease.Invalid || message(err) != "AWS answered ValidationError to sts:AssumeRole" {
		t.Errorf("longer than the role allows: %v", err)
	}
}

func TestFederationToken(t *testing.T) {
	m := newMount(t)
	m.write("roles/fed", map[string]any{"credential_type": "federation_token", "policy_document": document})
	l, data := m.issue("creds/fed", nil)
	s := m.server.Sessions()[0]
	if len(l.name) > 32 || s.ARN != "arn:aws:sts::123456789012:federated-user/"+l.name || s.Policy != document || data["arn"] != nil {
		t.Errorf("name %q, session %+v, answer %v", l.name, s, data)
	}
	if l.plan.DefaultTTL != time.Hour || l.plan.Renewable {
		t.Errorf("plan %+v", l.plan)
	}
	m.endSTS(l, data)
	m.write("roles/fed", map[string]any{"iam_groups": "none"})
	if _, err := m.create(t.Context(), m.engine, m.prepare("creds/fed", nil)); code(err) != lease.Invalid {
		t.Errorf("a group that is missing: %v", err)
	}
}

func TestSessionToken(t *testing.T) {
	m := newMount(t)
	m.write("roles/s", map[string]any{"credential_type": "session_token", "max_sts_ttl": "30m"})
	l, data := m.issue("creds/s", nil)
	if l.plan.DefaultTTL != 30*time.Minute || m.server.Sessions()[0].ARN != "arn:aws:iam::123456789012:user/leasehold" {
		t.Errorf("plan %+v, sessions %+v", l.plan, m.server.Sessions())
	}
	m.endSTS(l, data)

	m.write("roles/s", map[string]any{"mfa_serial_number": "arn:aws:iam::123456789012:mfa/leasehold"})
	l, _ = m.issue("creds/s", map[string]any{"mfa_code": awstest.MFACode})
	if strings.Contains(string(l.plan.Internal)+string(l.internal), awstest.MFACode) {
		t.Errorf("the code is kept: %s", l.plan.Internal)
	}
	if _, err := m.create(t.Context(), m.engine, m.prepare("creds/s", map[string]any{"mfa_code": "000000"})); code(err) != lease.Upstream {
		t.Errorf("a wrong code: %v", err)
	}
}

// Whatever fails while STS is asked, the lease ends without a call.
func TestSTSFaults(t *testing.T) {
	for name, kind := range stepFaults {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			l := m.prepare("sts/deploy", nil)
			m.server.Plant(awstest.Fault{Kind: kind})
			ctx, cancel := limited(m, kind)
			defer cancel()
			if _, err := m.create(ctx, m.engine, l); code(err) != lease.Upstream {
				t.Errorf("create: %v", err)
			}
			if err := m.destroy(t.Context(), m.engine, l); err != nil {
				t.Errorf("destroy: %v", err)
			}
			if items := m.inventory; kind == awstest.FailBefore {
				m.server.Heal()
				if len(items()) != 0 {
					t.Error("the inventory lists something")
				}
			}
		})
	}
}

// What a node of another version wrote is not guessed at.
func TestUnknownCredentialTypes(t *testing.T) {
	m := newMount(t)
	l := m.prepare("creds/deploy", nil)
	_, err := m.engine.Create(t.Context(), &backend.Intent{
		ExternalName: l.name, TTL: time.Hour, Internal: []byte(`{"type":"new"}`), Request: l.req,
	})
	if code(err) != lease.Internal {
		t.Errorf("create: %v", err)
	}
}
