package statement_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/leasehold/leasehold/backend/database/statement"
)

const (
	pg = statement.PostgreSQL
	my = statement.MySQL
)

func TestSplitting(t *testing.T) {
	tests := []struct {
		what   string
		syntax statement.Syntax
		text   string
		want   []string
	}{
		{"statements end at semicolons", pg, "a; b ;\n c", []string{"a", "b", "c"}},
		{"nothing is no statement", pg, " ;; \n;", nil},
		{"a comment alone is no statement", pg, "-- a; b\n; /* c; */ ; d", []string{"d"}},
		{"a quoted semicolon ends nothing", pg, `a ';' b; c "x;y"`, []string{`a ';' b`, `c "x;y"`}},
		{"a doubled quote stays inside", pg, `a 'it''s; b'; c`, []string{`a 'it''s; b'`, "c"}},
		{"the backslash is plain in a quoted text of PostgreSQL", pg, `a '\'; b`, []string{`a '\'`, "b"}},
		{"the backslash escapes in E''", pg, `a E'\'; b'; c`, []string{`a E'\'; b'`, "c"}},
		{"an E that ends a word is no E''", pg, `tabl_e'\'; b`, []string{`tabl_e'\'`, "b"}},
		{"a dollar quote is one thing", pg, "do $$ begin a; b; end $$; c", []string{"do $$ begin a; b; end $$", "c"}},
		{"a dollar quote ends at its own tag", pg, "do $x$ a; $$; $y$; $x$; c", []string{"do $x$ a; $$; $y$; $x$", "c"}},
		{"a dollar within a word begins no quote", pg, "a$$b; c", []string{"a$$b", "c"}},
		{"a parameter begins no quote", pg, "a $1; b $1", []string{"a $1", "b $1"}},
		{"a quote within a comment opens nothing", pg, "a -- it's; \n; b /* ' */; c", []string{"a -- it's;", "b /* ' */", "c"}},
		{"comments nest in PostgreSQL", pg, "a /* /* ; */ ; */; b", []string{"a /* /* ; */ ; */", "b"}},
		{"comments do not nest in MySQL", my, "a /* /* ; */; b", []string{"a /* /* ; */", "b"}},
		{"the backslash escapes in MySQL", my, `a '\'; b'; c "\";"`, []string{`a '\'; b'`, `c "\";"`}},
		{"backticks quote in MySQL", my, "a `;` ``; b", []string{"a `;` ``", "b"}},
		{"a number sign begins a comment in MySQL", my, "a # ; ' \n ; b", []string{"a # ; '", "b"}},
		{"a number sign is an operator in PostgreSQL", pg, "a # b; c", []string{"a # b", "c"}},
		{"two dashes need white space in MySQL", my, "a --1; b -- ; \n; c", []string{"a --1", "b -- ;", "c"}},
		{"placeholders stay", pg, `a "{{name}}"; b '{{ password }}'`, []string{`a "{{name}}"`, `b '{{password}}'`}},
		{"other braces are text", pg, `a '{{1,2},{3;4}}'; b`, []string{`a '{{1,2},{3;4}}'`, "b"}},
	}
	for _, test := range tests {
		list, err := statement.Parse(test.syntax, test.text)
		if err != nil {
			t.Errorf("%s: %v", test.what, err)
			continue
		}
		var got []string
		for _, s := range list {
			got = append(got, strings.TrimSpace(s.String()))
		}
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.what, got, test.want)
		}
	}
}

func TestBadTexts(t *testing.T) {
	for text, want := range map[string]string{
		"a 'b":               "ends inside a quoted text",
		`a "b`:               "ends inside a quoted name",
		"a $$ b $":           "ends inside a dollar-quoted text",
		"a /* /* */":         "ends inside a comment",
		"a \x00":             "NUL",
		"do $$ a$b{{x}}$ $$": "after a dollar sign",
		strings.Repeat("a;", statement.MaxStatements+1): "65 statements",
		strings.Repeat("a", statement.MaxBytes+1):       "32769 bytes",
	} {
		if _, err := statement.Parse(pg, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: got %v, want an error with %q", text, err, want)
		}
	}
}

func TestWhatAStatementDoes(t *testing.T) {
	tests := []struct {
		text                   string
		verb                   string
		transactional, lasting bool
	}{
		{"create role x", "CREATE", false, false},
		{"-- x\n /* y */ Commit", "COMMIT", true, false},
		{"start /* z */ transaction", "START", true, false},
		{"start slave", "START", false, false},
		{"prepare transaction 'x'", "PREPARE", true, true},
		{"set role x", "SET", false, true},
		{"set local role x", "SET", false, false},
		{`"commit"`, "", false, false},
		{"{{name}} x", "", false, false},
	}
	for _, test := range tests {
		list, err := statement.Parse(pg, test.text)
		if err != nil || len(list) != 1 {
			t.Fatalf("%q: %d statements, %v", test.text, len(list), err)
		}
		s := list[0]
		if s.Verb() != test.verb || s.Transactional() != test.transactional || s.Lasting() != test.lasting {
			t.Errorf("%q: got %q, %v, %v; want %+v", test.text, s.Verb(), s.Transactional(), s.Lasting(), test)
		}
	}
}

func TestPlaceholders(t *testing.T) {
	list, err := statement.Parse(pg, `create "{{name}}" '{{password}}' {{name}} -- {{expiration}}`)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := list[0].Placeholders(), []string{"expiration", "name", "password"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if !list[0].Uses("name") || list[0].Uses("expiration") {
		t.Error("a placeholder in a comment counts as used, or one outside does not")
	}
}

// Whatever a value holds, it stays where it was put (T18).
func TestT18_ValuesStayInTheirQuotes(t *testing.T) {
	evil := map[string]string{"name": `a"'\` + "`;$$--/*x", "password": `p'"\` + "`;$$"}
	tests := []struct {
		syntax     statement.Syntax
		text, want string
	}{
		{pg, `x "{{name}}"`, `x "a""'\` + "`;$$--/*x" + `"`},
		{pg, `x '{{password}}'`, `x 'p''"\` + "`;$$" + `'`},
		{pg, `x E'{{password}}'`, `x E'p''"\\` + "`;$$" + `'`},
		{pg, `x {{name}}`, `x "a""'\` + "`;$$--/*x" + `"`},
		{pg, `x {{password}}`, `x  E'p''"\\` + "`;$$" + `'`},
		{my, `x '{{name}}'@'%'`, `x 'a"''\\` + "`;$$--/*x" + `'@'%'`},
		{my, "x `{{password}}`", "x `p'\"\\``;$$`"},
		{my, `x "{{password}}"`, `x "p'""\\` + "`;$$" + `"`},
		{my, `x {{name}}@'%'`, `x 'a"''\\` + "`;$$--/*x" + `'@'%'`},
	}
	for _, test := range tests {
		list, err := statement.Parse(test.syntax, test.text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := list[0].Render(evil); got != test.want || err != nil {
			t.Errorf("%s: got %s, %v; want %s", test.text, got, err, test.want)
		}
	}
	for _, text := range []string{"do $$ {{name}} $$", "x -- {{name}}", "x /* {{name}} */"} {
		list, err := statement.Parse(pg, text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := list[0].Render(evil); err == nil {
			t.Errorf("%s: got %s, want an error", text, got)
		}
		if _, err := list[0].Render(map[string]string{"name": "v-token-lh-0a1b-c2"}); err != nil {
			t.Errorf("%s: a name as ours are: %v", text, err)
		}
	}
	list, _ := statement.Parse(pg, "x {{other}}")
	if got, err := list[0].Render(evil); err == nil {
		t.Errorf("an unknown placeholder: got %s, want an error", got)
	}
}
