package field_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/lease"
)

// The texts are those of vault-compatible servers: clients show them, scripts match them.
func TestDuration(t *testing.T) {
	tests := []struct {
		in   any
		want time.Duration
		err  string
	}{
		{json.Number("600"), 10 * time.Minute, ""},
		{"600", 10 * time.Minute, ""},
		{"30m", 30 * time.Minute, ""},
		{"1h30m", 90 * time.Minute, ""},
		{"1d", 24 * time.Hour, ""},
		{"500ms", 0, ""},
		{"1900ms", time.Second, ""},
		{"", 0, ""},
		{nil, 0, ""},
		{json.Number("0"), 0, ""},
		{60, time.Minute, ""},
		{json.Number("99999999999999"), field.MaxDuration, ""},
		{"106752d", field.MaxDuration, ""},
		{json.Number("9223372036"), 9223372036 * time.Second, ""},
		{json.Number("1.5"), 0, `time: missing unit in duration "1.5"`},
		{1.5, 0, `time: missing unit in duration "1.5"`},
		{"abc", 0, `time: invalid duration "abc"`},
		{"1d12h", 0, `time: unknown unit "d" in duration "1d12h"`},
		{"-5", 0, "cannot provide negative value '-5'"},
		{json.Number("-5"), 0, "cannot provide negative value '-5'"},
		{"-2m", 0, "cannot provide negative value '-120'"},
		{"-1d", 0, "cannot provide negative value '-86400'"},
		{"-500ms", 0, "cannot provide negative value '-500ms'"},
		{"-99999999999999", 0, "cannot provide negative value '-9223372036'"},
		{"xd", 0, `strconv.ParseInt: parsing "x": invalid syntax`},
		{true, 0, "could not parse duration from input"},
		{[]any{"1h"}, 0, "could not parse duration from input"},
	}
	for _, test := range tests {
		got, err := field.ParseDuration(test.in)
		if got != test.want || text(err) != test.err {
			t.Errorf("%#v: got %v, %q; want %v, %q", test.in, got, text(err), test.want, test.err)
		}
	}
}

func TestBool(t *testing.T) {
	for _, in := range []any{true, "true", "1", "t", json.Number("1")} {
		if got, err := field.ParseBool(in); !got || err != nil {
			t.Errorf("%#v: got %v, %v; want true", in, got, err)
		}
	}
	for _, in := range []any{false, "false", "0", "f", json.Number("0"), "", nil} {
		if got, err := field.ParseBool(in); got || err != nil {
			t.Errorf("%#v: got %v, %v; want false", in, got, err)
		}
	}
	for in, want := range map[any]string{
		"maybe":          "'' cannot parse value as 'bool': strconv.ParseBool: invalid syntax",
		json.Number("2"): "'' cannot parse value as 'bool': strconv.ParseBool: invalid syntax",
		3.5:              "'' expected type 'bool', got unconvertible type 'float64'",
	} {
		if _, err := field.ParseBool(in); text(err) != want {
			t.Errorf("%#v: got %q, want %q", in, text(err), want)
		}
	}
}

func TestStringsAndMaps(t *testing.T) {
	check := func(name string, got any, err error, want any, wantErr string) {
		t.Helper()
		if !reflect.DeepEqual(got, want) || text(err) != wantErr {
			t.Errorf("%s: got %#v, %q; want %#v, %q", name, got, text(err), want, wantErr)
		}
	}
	s, err := field.ParseString(json.Number("42"))
	check("a number as text", s, err, "42", "")
	s, err = field.ParseString([]any{})
	check("a list as text", s, err, "", "'' expected type 'string', got unconvertible type '[]interface {}'")
	n, err := field.ParseInt("12")
	check("digits as a number", n, err, 12, "")
	n, err = field.ParseInt("x")
	check("a word as a number", n, err, 0, "'' cannot parse value as 'int': strconv.ParseInt: invalid syntax")

	l, err := field.ParseStrings(" a, b,,c ")
	check("a comma list", l, err, []string{"a", "b", "c"}, "")
	l, err = field.ParseStrings([]any{"a", json.Number("1"), ""})
	check("a JSON list", l, err, []string{"a", "1"}, "")
	l, err = field.ParseStrings("")
	check("no list", l, err, []string(nil), "")

	m, err := field.ParseStringMap(map[string]any{"a": "b", "n": json.Number("1")})
	check("a map", m, err, map[string]string{"a": "b", "n": "1"}, "")
	m, err = field.ParseStringMap(`{"a":"b"}`)
	check("a map in text", m, err, map[string]string{"a": "b"}, "")
	m, err = field.ParseStringMap([]any{"a=b", "c=d=e"})
	check("pairs", m, err, map[string]string{"a": "b", "c": "d=e"}, "")
	m, err = field.ParseStringMap("a=b")
	check("one pair", m, err, map[string]string{"a": "b"}, "")
	m, err = field.ParseStringMap("a")
	check("half a pair", m, err, map[string]string(nil), `invalid key pair "a"`)
	m, err = field.ParseStringMap(map[string]any{"a": []any{}})
	check("a nested list", m, err, map[string]string(nil), "'a' expected type 'string', got unconvertible type '[]interface {}'")
}

func TestReaderKeepsTheFirstFaultAndNamesTheField(t *testing.T) {
	in := field.Read(map[string]any{"ttl": "abc", "sync": "maybe", "n": json.Number("3")})
	if got := in.Int("n", 1); got != 3 {
		t.Errorf("n: got %d, want 3", got)
	}
	in.Duration("ttl")
	in.Bool("sync", true)
	in.Failf("later")
	want := `Field validation failed: error converting input for field "ttl": time: invalid duration "abc"`
	var e *lease.Error
	if err := in.Err(); !errors.As(err, &e) || e.Code != lease.Invalid || e.Message != want {
		t.Errorf("got %v, want %q", err, want)
	}
	if err := field.Read(nil).Err(); err != nil {
		t.Errorf("a reader without faults: got %v, want nil", err)
	}
}

func TestReaderWarnsOfWhatNobodyAskedFor(t *testing.T) {
	in := field.Read(map[string]any{"b": 1, "a\n": 2, "ttl": "1h", "name": "x"})
	in.Captured("name")
	in.Duration("ttl")
	want := []string{
		"Endpoint ignored these unrecognized parameters: [a  b]",
		"Endpoint replaced the value of these parameters with the values captured from the endpoint's path: [name]",
	}
	if got := in.Warnings(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestPage(t *testing.T) {
	keys := []string{"a", "b", "c", "d"}
	tests := []struct {
		params map[string]any
		want   map[string]any
	}{
		{nil, map[string]any{"keys": keys}},
		{map[string]any{"limit": "2"}, map[string]any{"keys": keys[:2], "next": "b"}},
		{map[string]any{"after": "b", "limit": "2"}, map[string]any{"keys": keys[2:]}},
		{map[string]any{"after": "bb"}, map[string]any{"keys": keys[2:]}},
		{map[string]any{"after": "d"}, nil},
	}
	for _, test := range tests {
		in := field.Read(test.params)
		if got, _ := in.Page(keys); !reflect.DeepEqual(got, test.want) || in.Err() != nil {
			t.Errorf("%v: got %v, %v; want %v", test.params, got, in.Err(), test.want)
		}
	}
	for _, limit := range []string{"-1", "x"} {
		in := field.Read(map[string]any{"limit": limit})
		if got, _ := in.Page(keys); got != nil || in.Err() == nil {
			t.Errorf("limit %s: got %v, want an error", limit, got)
		}
	}
	many := make([]string, field.MaxPage+1)
	for i := range many {
		many[i] = string(rune('a' + i))
	}
	got, warnings := field.Read(nil).Page(many)
	if n := len(got["keys"].([]string)); n != field.MaxPage || len(warnings) != 1 {
		t.Errorf("a long list: got %d keys and %d warnings, want %d and 1", n, len(warnings), field.MaxPage)
	}
}

func TestParseObject(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	tests := []struct{ in, err string }{
		{`{"a":[1,{"b":null}],"c":{}}`, ""},
		{deep(field.MaxDepth), ""},
		{deep(field.MaxDepth + 1), "nested deeper than 32 levels"},
		{`{"a":` + strings.Repeat("[", 5000), "nested deeper than 32 levels"},
		{`{"a":1,"a":2}`, `key "a" appears twice`},
		{`{"x":{"a":1,"a":2}}`, `key "a" appears twice`},
		{`{"a":1}{}`, "more than one JSON value"},
		{`{"a":1} x`, "more than one JSON value"},
		{`[1]`, "not a JSON object"},
		{`"secret"`, "not a JSON object"},
		{`{"a":secret}`, "not valid JSON"},
		{`{"a":1`, "not valid JSON"},
		{`{"a":[1`, "not valid JSON"},
		{``, "not valid JSON"},
		{"{\"a\":\"\xff\"}", "not valid UTF-8"},
	}
	for _, test := range tests {
		if _, err := field.ParseObject([]byte(test.in)); text(err) != test.err {
			t.Errorf("%.40s: got %q, want %q", test.in, text(err), test.err)
		}
	}
	got, err := field.ParseObject([]byte(`{"n":12345678901234567890,"l":[]}`))
	want := map[string]any{"n": json.Number("12345678901234567890"), "l": []any{}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v, %v; want %#v", got, err, want)
	}
}

func TestT14_CheckText(t *testing.T) {
	for _, bad := range []string{"a\nb", "a\rb", "\x00", "\x1b[31m", "\u2028", "\u2029", "\u0085", "\u202e", "\u2066", "\x7f", "\xff"} {
		if field.CheckText(bad) == nil {
			t.Errorf("%q: got no error, want one", bad)
		}
		if clean := field.CleanText(bad); field.CheckText(clean) != nil {
			t.Errorf("%q: cleaned to %q, which is still refused", bad, clean)
		}
	}
	for _, good := range []string{"", "plain", "Grüße, 世界 🙂", "a\u00a0b"} {
		if err := field.CheckText(good); err != nil {
			t.Errorf("%q: got %v, want none", good, err)
		}
	}
}

func FuzzDuration(f *testing.F) {
	for _, s := range []string{"600", "1h30m", "1d", "-5", "1.5", "9223372036854775807", "-106752d", "1e9", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, in := range []any{s, json.Number(s)} {
			d, err := field.ParseDuration(in)
			if d < 0 || d > field.MaxDuration || d%time.Second != 0 {
				t.Errorf("%q: got %d, want whole seconds between zero and the maximum", s, d)
			}
			if err != nil && d != 0 {
				t.Errorf("%q: got %v beside the error %v", s, d, err)
			}
		}
	})
}

func FuzzParseObject(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":[1,{"b":null}]}`, `{"a":1,"a":2}`, `{"a":"\ud800"}`, `{"a":1e400}`, `{"a":[1,]}`, `{,}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		obj, err := field.ParseObject(data)
		if err != nil {
			if obj != nil {
				t.Errorf("%q: got an object beside the error %v", data, err)
			}
			if !utf8.ValidString(err.Error()) {
				t.Errorf("%q: the error is not text: %q", data, err)
			}
			return
		}
		// What is accepted, the standard decoder accepts too, and it survives a round trip.
		if !json.Valid(data) {
			t.Fatalf("%q: accepted, but it is not JSON", data)
		}
		out, err := field.FormatJSON(obj)
		if err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		again, err := field.ParseObject(out)
		if err != nil || !reflect.DeepEqual(obj, again) {
			t.Errorf("%q: got %v, %v after a round trip; want %v", data, again, err, obj)
		}
	})
}

func FuzzStringMap(f *testing.F) {
	for _, s := range []string{"a=b", `{"a":"b"}`, `{"a":{}}`, "=", "", " {", `{"a":null}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := field.ParseStringMap(s)
		if err != nil && m != nil {
			t.Errorf("%q: got %v beside the error %v", s, m, err)
		}
		if _, err := field.ParseStrings(s); err != nil {
			t.Errorf("%q: as a list: %v", s, err)
		}
	})
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
