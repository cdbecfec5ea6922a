package database_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/lease"
)

const randomPart = "0YC32hlVYSVDUMa6WYISNrZ2" // of a lease

// nameOf is the name that a login of a role gets, for a token with a display name.
func (m *mount) nameOf(display, role string) string {
	m.t.Helper()
	m.display = display
	plan, err := m.engine.Prepare(m.t.Context(), m.request(backend.Read, "creds/"+role, nil))
	must(m.t, err)
	return plan.ExternalName(mark, randomPart)
}

func TestNames(t *testing.T) {
	tests := []struct{ kind, display, role, template, want string }{
		{"postgres", "token", "readonly", "", "v-token-readonly-" + mark + "-" + randomPart},
		{"postgres", "userpass-bob", "a-role-with-a-long-name", "", "v-userpass-a-role-w-" + mark + "-" + randomPart},
		{"postgres", "", "ro", "", "v-ro-" + mark + "-" + randomPart},
		{"postgres", `x"; DROP ROLE`, "a--b", "", "v-x___DROP-a-b-" + mark + "-" + randomPart},
		{"postgres", "$$é'\\", "r@x", "", "v-_____-r_x-" + mark + "-" + randomPart},
		{"postgres", "--", "r", "", "v-r-" + mark + "-" + randomPart},
		{"mariadb", "token", "readonly", "", "v-tok-rea-" + mark + "-" + randomPart[:10]},
		{"mariadb", "", "ro", "", "v-ro-" + mark + "-" + randomPart[:10]},
		{"postgres", "token", "app", "{{.Mark}}_{{.Random}}", mark + "_" + randomPart},
		{"postgres", "token", "app", "{{.RoleName | uppercase}}-{{.DisplayName | truncate 3}}", "APP-tok-" + mark + "-" + randomPart},
		{"postgres", "token", "app", `{{printf "x"}}`, ""},
		{"postgres", "token", "app", "{{range 9}}x{{end}}", ""},
		{"postgres", "token", "app", "{{$x := .RoleName}}", ""},
		{"postgres", "token", "app", "{{.Password}}", ""},
		{"postgres", "token", "app", "{{random 1000}}", ""},
		{"postgres", "token", "app", `{{replace "" "x" .RoleName}}`, ""},
		{"postgres", "token", "app", `{{define "x"}}{{end}}`, ""},
		{"postgres", "token", "app", "{{.RoleName", ""},
		{"postgres", "token", "app", strings.Repeat("x", 513), ""},
		{"postgres", "token", "app", "a b;'\"$$é", "a_b______-" + mark + "-" + randomPart},
		{"postgres", "token", "app", strings.Repeat("x", 100), strings.Repeat("x", 26) + "-" + mark + "-" + randomPart},
		{"mariadb", "token", "app", "svc-{{.RoleName}}-{{.DisplayName}}", "svc-app-t-" + mark + "-" + randomPart[:10]},
	}
	for _, test := range tests {
		m := newMount(t, test.kind)
		params := map[string]any{
			"plugin_name": plugins[test.kind], "connection_url": m.srv.URL("h:1"), "allowed_roles": "*",
			"verify_connection": "false", "username_template": test.template,
		}
		_, err := m.do(backend.Write, "config/main", params)
		if test.want == "" {
			wantError(t, err, lease.Invalid, "username_template: ")
			continue
		}
		must(t, err)
		m.role(test.role, nil)
		if got := m.nameOf(test.display, test.role); got != test.want {
			t.Errorf("%s, %q, %q, %q: got %s, want %s", test.kind, test.display, test.role, test.template, got, test.want)
		}
	}
}

// Functions of templates, and that two names of one template differ.
func TestNameFunctions(t *testing.T) {
	m := newMount(t, "postgres")
	m.connect(m.srv.Addr, map[string]any{"username_template": `{{random 4}}{{unix_time}}{{.RoleName | replace "-" "_" | lowercase | truncate_sha256 12}}`})
	m.role("My-Long-Role-Name", nil)
	first, second := m.nameOf("token", "My-Long-Role-Name"), m.nameOf("token", "My-Long-Role-Name")
	if !regexp.MustCompile(`^[A-Za-z0-9]{4}\d{10}my_l[0-9a-f]{8}-` + mark).MatchString(first) {
		t.Errorf("got %s", first)
	}
	if first == second {
		t.Errorf("the random part is the same twice: %s", first)
	}
}

// Whatever a template makes of whatever names, the login's name bears the mark and the lease's random
// part, fits the server, and holds nothing that means something in SQL.
func FuzzNames(f *testing.F) {
	f.Add("{{.DisplayName}}-{{.RoleName}}", "it's; -- $$", true)
	f.Add("{{.Mark}}{{.Random}}{{random 100}}", "x", false)
	f.Add("{{.DisplayName | sha256 | replace \"a\" \"--\"}}", "", false)
	safe := regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	f.Fuzz(func(t *testing.T, template, display string, mysql bool) {
		kind, max, random := "postgres", 63, randomPart
		if mysql {
			kind, max, random = "mariadb", 32, randomPart[:10]
		}
		m := &mount{t: t, kind: kind}
		m.reset(t)
		defer m.engine.Close()
		_, err := m.do(backend.Write, "config/main", map[string]any{
			"plugin_name": plugins[kind], "allowed_roles": "*", "verify_connection": "false", "username_template": template,
			"connection_url": map[string]string{"postgres": "postgres://{{username}}@h/d", "mariadb": "{{username}}@tcp(h:1)/"}[kind],
		})
		if err != nil {
			return
		}
		m.role("role", nil)
		name := m.nameOf(display, "role")
		if len(name) > max || !safe.MatchString(name) || strings.Contains(name, "--") ||
			!strings.Contains(name, mark) || !strings.Contains(name, random) {
			t.Errorf("%q for %q makes %q", template, display, name)
		}
	})
}

// T18: what callers and their tokens are called never reaches SQL as it is.
func TestT18_HostileNamesReachNoSQL(t *testing.T) {
	bothKinds(t, func(t *testing.T, kind string) {
		m := newMount(t, kind)
		m.connect(m.srv.Addr, map[string]any{"username_template": "{{.DisplayName}}{{.RoleName}}"})
		m.role("app@x", nil)
		for _, display := range []string{`"; DROP TABLE x; --`, "'; SELECT 1; #", "`$$\\", "{{password}}", "é\u202e\x00\n", strings.Repeat("'", 99)} {
			m.display = display
			l := m.issue("app@x")
			l.session()
			must(t, l.renew(t.Context()))
			must(t, l.destroy(t.Context()))
			l.wantLiving(false)
		}
		resp, err := m.do(backend.Read, "config/main", nil)
		must(t, err)
		if text, err := json.Marshal(resp.Data); err != nil || !strings.Contains(string(text), "DisplayName") {
			t.Errorf("the template is not shown: %s", text)
		}
	})
}
