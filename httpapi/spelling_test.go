package httpapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/lessor"
)

// TestT5_EveryPathByEveryTokenInEverySpelling is the matrix in the root namespace.
func TestT5_EveryPathByEveryTokenInEverySpelling(t *testing.T) {
	m, all := newMatrix(t, "")
	m.bearers = append(m.nobodies(), m.somebodies()...)
	asked := 0
	for i, c := range all {
		t.Run(c.name(), func(t *testing.T) {
			m.t = t
			m.write(c.path)
			send := func(b *bearer, method, path string) reply {
				client := from(fmt.Sprintf("192.0.%d.%d:1", i/250, 1+i%250)) // so that failures do not add up
				return m.call(method, path, m.alive(b), c.body, client, contentType("application/merge-patch+json"))
			}
			for _, b := range m.bearers {
				plain := send(b, c.method, c.path)
				if isDenied(plain) == b.may(&c) {
					t.Errorf("token %q: got %d %s, want allowed: %t", b.name, plain.status, plain.text, b.may(&c))
					continue
				}
				m.checkRefusal(&c, b, plain)
				for _, s := range spellings(&c) {
					got := send(b, s.method, s.path)
					asked++
					m.checkSpelling(&c, b, s, plain, got)
				}
			}
		})
	}
	t.Logf("%d spellings", asked)
}

// checkRefusal: nobody is told anything; who has a valid token is told which path is meant.
func (m *matrix) checkRefusal(c *cell, b *bearer, got reply) {
	m.t.Helper()
	switch list := got.errors(); {
	case got.status != http.StatusForbidden || !isDenied(got):
	case b.nobody:
		want(m.t, b.name, got, 403, "permission denied")
		if len(list) != 1 {
			m.t.Errorf("token %q: got %q, want one text", b.name, list)
		}
	default:
		want(m.t, b.name, got, 403, multi("permission denied"))
		if len(list) != 2 || b.rule != nil && !strings.Contains(list[1], c.path) {
			m.t.Errorf("token %q: got %q, want a second text that names the path", b.name, list)
		}
	}
}

// TestT5_EveryPathInANamespace is the matrix in a namespace below another: with tokens of its own and of
// those above, by header, by path and by both.
func TestT5_EveryPathInANamespace(t *testing.T) {
	m, all := newMatrix(t, "unit/inner/")
	m.bearers = m.residents()
	asked := 0
	for i, c := range all {
		t.Run(c.name(), func(t *testing.T) {
			m.t = t
			m.write(c.path)
			send := func(b *bearer, by, path string) reply {
				client := from(fmt.Sprintf("192.0.%d.%d:1", i/250, 1+i%250))
				return m.call(c.method, path, m.alive(b), c.body, client, contentType("application/merge-patch+json"), inNamespace(by))
			}
			for _, b := range m.bearers {
				plain := send(b, "unit/inner", c.path)
				if isDenied(plain) == b.may(&c) {
					t.Errorf("token %q: got %d %s, want allowed: %t", b.name, plain.status, plain.text, b.may(&c))
				}
				for _, form := range [][2]string{
					{"/unit/inner/", c.path}, {"unit", "inner/" + c.path}, {"", "unit/inner/" + c.path}, {"", "unit%2Finner%2F" + strings.ReplaceAll(c.path, "/", "%2f")},
				} {
					got := send(b, form[0], form[1])
					if asked++; got.status != plain.status || isDenied(got) && got.text != plain.text {
						t.Errorf("token %q, %s in %q: got %d %s, want %d %s", b.name, form[1], form[0], got.status, got.text, plain.status, plain.text)
					}
				}
				for _, form := range [][2]string{
					{"UNIT/INNER", c.path}, {"unit/INNER", c.path}, {"unit", "INNER/" + c.path}, {"", "Unit/Inner/" + c.path}, {"inner", c.path}, {"", "inner/" + c.path},
					{"unit/inner/unit", c.path}, {"unit/inner", "unit/inner/" + c.path}, {"", "unit%252Finner/" + c.path}, {"unit%2Finner", c.path}, {"beside", "unit/inner/" + c.path},
				} {
					if got := send(b, form[0], form[1]); got.status/100 != 4 {
						t.Errorf("token %q, %s in %q: got %d %s, want it refused", b.name, form[1], form[0], got.status, got.text)
					}
					asked++
				}
			}
		})
	}
	t.Logf("%d requests", asked)
}

// residents are the kinds of tokens that there are in a namespace: for each of those above it and itself,
// rules that fit, as its policies see the path, and rules that would fit elsewhere.
func (m *matrix) residents() []*bearer {
	homes := []struct{ name, id, below string }{{"its own", "above1", ""}, {"its parent's", "above0", "inner/"}, {"the root's", "", "unit/inner/"}}
	var list []*bearer
	add := func(b *bearer) {
		b.policy = fmt.Sprint("p", len(list))
		b.make = func() string { return m.token(b, 0) }
		list = append(list, b)
	}
	for _, h := range homes {
		at := func(rule func(string) string, below string) func(string) string {
			return func(path string) string { return rule(below + path) }
		}
		add(&bearer{name: h.name + " without sudo", home: h.id, rule: at(grant(allVerbs), h.below), may: only(verbs, false)})
		add(&bearer{name: h.name + " with sudo", home: h.id, rule: at(grant(allVerbs+`, "sudo"`), h.below), may: only(verbs, true)})
		add(&bearer{name: h.name + " with all but this", home: h.id, may: only(0, false), rule: func(path string) string {
			return grant(allVerbs+`, "sudo"`)("*") + grant(`"deny"`)(h.below+path)
		}})
		for _, other := range homes {
			if other.id != h.id {
				add(&bearer{name: h.name + " with rules as of " + other.name, home: h.id, rule: at(grant(allVerbs+`, "sudo"`), other.below), may: only(0, false)})
			}
		}
		root := &bearer{name: h.name + " root", home: h.id, may: func(*cell) bool { return true }}
		root.make = func() string {
			return m.NewToken(m.Root(), lessor.TokenRequest{Namespace: h.id, Policies: []string{"root"}, TTL: time.Hour}).Bearer
		}
		list = append(list, root)
	}
	beside := &bearer{name: "a stranger's", may: func(c *cell) bool { return c.open }, make: func() string {
		return m.NewToken(m.Root(), lessor.TokenRequest{Namespace: "beside", Policies: []string{"root"}, TTL: time.Hour}).Bearer
	}}
	nobody := &bearer{name: "nobody's", make: func() string { return "lhs.unknown" }, may: beside.may, nobody: true}
	return append(list, beside, nobody)
}

// spelling is another way to write a cell, or something that only looks like it.
type spelling struct {
	what         string
	method, path string
	same         bool // it means the same
	// aliased: the same, but the refusal names the other path.
	aliased bool
	// stranger: it means another path, for which there is no rule.
	stranger bool
}

// spellings returns all that differ from the plain one.
func spellings(c *cell) []spelling {
	first, rest, _ := strings.Cut(c.path, "/")
	last := c.path[strings.LastIndexByte(c.path, '/')+1:]
	list := []spelling{
		{what: "an encoded letter", path: fmt.Sprintf("%%%02X%s", c.path[0], c.path[1:]), same: true},
		{what: "an encoded letter in lower case", path: c.path[:len(c.path)-1] + fmt.Sprintf("%%%02x", c.path[len(c.path)-1]), same: true},
		{what: "encoded slashes", path: strings.ReplaceAll(c.path, "/", "%2F"), same: true},
		{what: "a slash at the end", path: c.path + "/", same: c.slashed()},
		{what: "an encoded slash at the end", path: c.path + "%2f", same: c.slashed()},
		{what: "a double slash", path: first + "//" + rest},
		{what: "a double slash at the end", path: c.path + "//"},
		{what: "a slash at the beginning", path: "/" + c.path},
		{what: "a dot", path: "./" + c.path},
		{what: "a way down and up", path: "x/../" + c.path},
		{what: "an encoded way down and up", path: "x/%2e%2e/" + c.path},
		{what: "encoded twice", path: strings.Replace(c.path+"/x", "/", "%252F", 1), stranger: true},
		{what: "upper case", path: strings.ToUpper(c.path), stranger: true},
		{what: "the first part in upper case", path: strings.ToUpper(first) + c.path[len(first):], stranger: true},
		{what: "the last part in upper case", path: c.path[:len(c.path)-len(last)] + strings.ToUpper(last), same: c.folds, stranger: !c.folds && last != strings.ToUpper(last)},
		{what: "less", path: strings.TrimSuffix(c.path[:len(c.path)-1], "/"), stranger: true},
		{what: "more", path: c.path + "x", stranger: true},
		{what: "a slash encoded twice at the end", path: c.path + "%252F", stranger: true},
		{what: "a part more", path: c.path + "/x", stranger: true},
		{what: "a blank", path: c.path + "%20", stranger: true},
	}
	if c.alias != "" {
		list = append(list, spelling{what: "the old name", path: c.alias, same: true, aliased: true})
	}
	if c.also != "" {
		list = append(list, spelling{what: "another case", path: c.also, same: true})
	}
	for i := range list {
		list[i].method = c.method
	}
	switch c.method {
	case "LIST":
		list = append(list, spelling{what: "list by a query", method: "GET", path: c.path + "?list=true", same: true},
			spelling{what: "list by a query and a slash", method: "GET", path: c.path + "/?list=1", same: true})
	case "POST":
		list = append(list, spelling{what: "PUT", method: "PUT", path: c.path, same: true})
	}
	return list
}

// slashed: a slash at the end makes no difference. Of what an engine serves that is so for lists only.
func (c *cell) slashed() bool {
	begins := func(prefixes ...string) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(c.path, p) })
	}
	switch c.method {
	case "LIST":
		return true
	case "DELETE":
		return !c.ofMount
	case "GET":
		return begins("sys/mounts/", "sys/auth/", "sys/internal/ui/mounts/", "sys/namespaces/")
	case "POST":
		return begins("sys/leases/revoke-prefix/", "sys/leases/revoke-force/", "sys/revoke-prefix/", "sys/revoke-force/")
	}
	return false
}

// checkSpelling: what means the same is decided and answered in the same way; what does not is neither
// served nor allowed by a rule for the path that it looks like.
func (m *matrix) checkSpelling(c *cell, b *bearer, s spelling, plain, got reply) {
	m.t.Helper()
	what := fmt.Sprintf("token %q, %s %s (%s)", b.name, s.method, s.path, s.what)
	switch {
	case s.same && (isDenied(got) != isDenied(plain) || got.status != plain.status):
		m.t.Errorf("%s: got %d %s, want %d as for the plain path", what, got.status, got.text, plain.status)
	case s.same && isDenied(got) && !s.aliased && got.text != plain.text:
		m.t.Errorf("%s: got %s, want %s as for the plain path", what, got.text, plain.text)
	case s.same:
	case s.stranger && !b.wide && !c.serves(s.path) && !isDenied(got):
		m.t.Errorf("%s: got %d %s, want it denied: it is another path", what, got.status, got.text)
	case !s.stranger && got.status/100 == 2:
		m.t.Errorf("%s: got %d %s, want it refused or redirected", what, got.status, got.text)
	case !s.stranger && got.status == http.StatusTemporaryRedirect:
		if to := got.header.Get("Location"); strings.Contains(to, "//") || !strings.HasPrefix(to, "/v1/") {
			m.t.Errorf("%s: redirected to %q", what, to)
		}
	}
}

// serves: the path, which means another one, is served by a route that asks for no policy, too.
func (c *cell) serves(path string) bool {
	const below = "sys/internal/ui/mounts"
	return strings.HasPrefix(c.path, below) && strings.HasPrefix(path, below+"/")
}
