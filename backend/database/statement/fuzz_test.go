package statement_test

import (
	"strings"
	"testing"

	"github.com/leasehold/leasehold/backend/database/statement"
)

// What is parsed says the same when it is parsed again, and no value, put in, makes more or fewer
// statements of it.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		`CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'; GRANT r TO "{{name}}";`,
		"do $x$ begin {{name}}; end $x$; a$$b; -- it's {{name}}\n c /* /* ; */ */",
		`a E'\'{{name}}'; tabl_e'\'; U&"{{name}}"; '{{1,2},{3;4}}' ; ${{name}}$; $a{{name}}$`,
		"a `{{name}}`;b # {{name}}\n; --{{name}}; \"{{name}}\\\"\" */{{name}}/*",
		"'{{name}}''{{password}}'{{name}}{{password}}E{{password}}'", "{{name}}$$;{{name}}$$", "{{name}}e'\\';'",
	} {
		f.Add(text, "v-token-lh-0a1b2c3d-x9", false)
		f.Add(text, `a'"`+"`;\\$$", true)
	}
	f.Fuzz(func(t *testing.T, text, value string, mysql bool) {
		syntax := statement.PostgreSQL
		if mysql {
			syntax = statement.MySQL
		}
		list, err := statement.Parse(syntax, text)
		if err != nil {
			return
		}
		if strings.Contains(value, "{") {
			return // it could be taken for a placeholder below
		}
		for _, s := range list {
			again, err := statement.Parse(syntax, s.String())
			if err != nil || len(again) != 1 || again[0].String() != s.String() {
				t.Fatalf("%q: parsed again %q becomes %v, %v", text, s, again, err)
			}
			values := map[string]string{}
			for _, name := range s.Placeholders() {
				values[name] = value
			}
			out, err := s.Render(values)
			if err != nil {
				continue
			}
			if made, err := statement.Parse(syntax, out); err != nil || len(made) != 1 {
				t.Fatalf("%q with %q: rendered to %q, which is %d statements, %v", s, value, out, len(made), err)
			}
		}
	})
}
