package httpapi_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/leasehold/leasehold/httpapi"
	"github.com/leasehold/leasehold/lease"
)

func TestDecodeObject(t *testing.T) {
	for in, want := range map[string]string{
		`{"a":[1,{"b":null}],"c":{},"d":"x\u00e9","e":true,"f":false}`: "",
		` {} `: "", "": "", "  ": "", "null": "",
		`nul`: "invalid character at byte 0", `nullx`: "more than one JSON value: send one object, nothing is read from byte 4 on", `{"a" 1}`: "invalid character at byte 5",
		`{"a":1,}`: "invalid character at byte 7", `{,}`: "invalid character at byte 1", `{"a":[1,]}`: "invalid character at byte 8",
		`{"a":01}`: "invalid number at byte 5", `{"a":1e}`: "invalid number at byte 5", `{"a":-}`: "invalid number at byte 5",
		`{"a":tru}`: "invalid character at byte 8", `{"a":"\x"}`: "invalid escape in the string at byte 5",
		"{\"a\":\"\n\"}": "invalid character at byte 6", "{\"a\":\"\xff\"}": "not valid UTF-8", `{"a":`: "unexpected EOF",
		`{"a":1`: "unexpected EOF", `{"a":"x\`: "unexpected EOF", `{"x":{"a":1,"a":2}}`: `"a" appears twice`,
		`{"a":` + strings.Repeat("1", 65) + `}`: "the number at byte 5 has more than 64 characters",
		`{"a":` + strings.Repeat("[", 5000):     "nested deeper than 32 levels", `true`: "json: cannot unmarshal bool into Go value of type map[string]interface {}",
	} {
		got := ""
		if _, err := httpapi.DecodeObject([]byte(in)); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%.60s: got %q, want %q", in, got, want)
		}
	}
}

// FuzzDecodeObject holds the decoder against the standard one: what is accepted means the same
// there, and what it refuses within its bounds is refused there, or is a name given twice.
func FuzzDecodeObject(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":[1,{"b":null}]}`, `{"a":1,"a":2}`, `{"a":"\ud800\u00e9"}`, `{"a":1e400}`, `{"a":[1,]}`, `null`, ` {"a" : true , "b":false } `, `{"a":-0.5E+3}`, `{"":""}{}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := httpapi.DecodeObject(data)
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.UseNumber()
		var want map[string]any
		stdErr := dec.Decode(&want)
		if err == nil {
			if len(bytes.TrimSpace(data)) > 0 && (stdErr != nil || !reflect.DeepEqual(got, want)) {
				t.Fatalf("%q: got %v, want %v, %v", data, got, want, stdErr)
			}
			return
		}
		bounds := strings.Contains(err.Error(), "twice") || strings.Contains(err.Error(), "more than") || strings.Contains(err.Error(), "deeper") || strings.Contains(err.Error(), "UTF-8")
		if !bounds && stdErr == nil {
			t.Fatalf("%q: refused with %v, which the standard decoder takes for %v", data, err, want)
		}
	})
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "a", `"`, "\\", "\n", "é", "\xff", "<&>", "\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		if err := json.Unmarshal(httpapi.AppendString(s), &got); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if utf8.ValidString(s) && got != s {
			t.Fatalf("got %q, want %q", got, s)
		}
	})
}

// FuzzRequest throws paths and bodies at the whole server: no answer may be a 5xx, and every body
// must be JSON.
func FuzzRequest(f *testing.F) {
	r := newRig(f)
	r.Enable("locks/", "lease", lease.MountConfig{})
	for _, seed := range [][3]string{
		{"PUT", "sys/leases/lookup", `{"lease_id":"a"}`}, {"LIST", "sys/leases/lookup/locks/", ""}, {"GET", "sys/leases/../x", ""},
		{"POST", "locks/a/b", `{"ttl":"1h","labels":{"a":"b"}}`}, {"PUT", "sys/leases/revoke/%2e%2e/x", "lease_id=x"}, {"DELETE", "sys/mounts/x", ""},
		{"GET", "sys/leases?type=irrevocable&limit=-1", ""}, {"POST", "auth/token/create", `{"ttl":-1}`}, {"PUT", "sys/policies/acl/x", `{"policy":"path"}`},
		{"POST", "sys/capabilities-self", `{"paths":[1,{}]}`}, {"POST", "sys/mounts/x/tune", `{"options":[1]}`},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, method, path, body string) {
		target, err := url.Parse("/v1/" + path)
		if err != nil || target.Host != "" || strings.Contains(path, "revoke") && strings.Contains(path, "token") || strings.Contains(path, "tidy") ||
			strings.Contains(path, "force") || strings.Contains(body, "sync") || strings.Contains(path, "sync") {
			return // these end the token or wait for the leader's duties
		}
		req := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		req.Method, req.URL = method, target
		req.Header.Set("X-Vault-Token", "root")
		if strings.HasPrefix(body, "l") {
			req.Header.Set("Content-Type", form)
		}
		rec := httptest.NewRecorder()
		r.server.Handler().ServeHTTP(rec, req)
		if rec.Code >= 500 && rec.Code != http.StatusNotImplemented {
			t.Fatalf("%s %q %q: got %d %s", method, path, body, rec.Code, rec.Body)
		}
		if kind := rec.Header().Get("Content-Type"); rec.Body.Len() > 0 && kind == "application/json" && !json.Valid(rec.Body.Bytes()) {
			t.Fatalf("%s %q %q: the body is no JSON: %s", method, path, body, rec.Body)
		}
	})
}
