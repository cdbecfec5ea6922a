package kv_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/backendtest"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/backend/kv"
	"github.com/leasehold/leasehold/lease"
)

// mount is an engine with a store.
type mount struct {
	*kv.Backend
	store backend.Store
	conf  lease.MountConfig
}

func newMount() *mount { return &mount{Backend: kv.New(), store: backendtest.NewStore()} }

func (m *mount) request(op backend.Operation, path string, params map[string]any) *backend.Request {
	return &backend.Request{
		Mount: &lease.Mount{Path: "secret/", Type: "kv", Config: m.conf}, Operation: op, Path: path, Params: params, Store: m.store,
	}
}

func (m *mount) handle(op backend.Operation, path string, params map[string]any) (*backend.Response, error) {
	return m.Handle(context.Background(), m.request(op, path, params))
}

// write must work, and answers nothing.
func (m *mount) write(t testing.TB, path string, value map[string]any) {
	t.Helper()
	if resp, err := m.handle(backend.Write, path, value); resp != nil || err != nil {
		t.Fatalf("write %q: got %v, %v; want nothing", path, resp, err)
	}
}

// read must work; nil if nothing is there.
func (m *mount) read(t testing.TB, path string) *backend.Response {
	t.Helper()
	resp, err := m.handle(backend.Read, path, nil)
	if err != nil {
		t.Fatalf("read %q: %v", path, err)
	}
	return resp
}

func (m *mount) exists(t testing.TB, path string) bool {
	t.Helper()
	ok, err := m.Exists(context.Background(), m.request(backend.Write, path, nil))
	if err != nil {
		t.Fatalf("exists %q: %v", path, err)
	}
	return ok
}

func wantCode(t testing.TB, what string, err error, code lease.Code, text string) {
	t.Helper()
	var e *lease.Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Message, text) {
		t.Errorf("%s: got error %v, want one with code %q and the text %q", what, err, code, text)
	}
}

func TestRoutesTakeEveryPath(t *testing.T) {
	for _, path := range []string{"", "a", "a/b/c", "config", "a b/ü", "data/a", strings.Repeat("x", 1000)} {
		for op, want := range map[backend.Operation]backend.Class{
			backend.Read: backend.Query, backend.List: backend.Query, backend.Write: backend.Change, backend.Delete: backend.Change,
		} {
			if class, err := kv.New().Route(op, path); class != want || err != nil {
				t.Errorf("operation %d on %q: got class %d, %v; want %d", op, path, class, err, want)
			}
		}
		_, err := kv.New().Route(backend.Operation(99), path)
		wantCode(t, "an unknown operation", err, lease.Unsupported, "unsupported operation")
	}
	_, err := kv.New().Prepare(context.Background(), newMount().request(backend.Write, "a", nil))
	wantCode(t, "prepare", err, lease.Unsupported, "unsupported operation")
	_, err = newMount().handle(backend.Operation(99), "a", nil)
	wantCode(t, "handle an unknown operation", err, lease.Unsupported, "unsupported operation")
	if got := kv.New().Type(); got != "kv" {
		t.Errorf("got type %q, want kv", got)
	}
}

// There is no lease behind a value, so there is nothing that a target would have to destroy.
func TestA10_ValuesHaveNoLeases(t *testing.T) {
	var b backend.Backend = kv.New()
	if _, ok := b.(backend.Target); ok {
		t.Error("the engine is a target: values would have leases")
	}
	if _, ok := b.(backend.Existing); !ok {
		t.Error("the engine does not tell creating from updating")
	}
}

func TestLifeOfAValue(t *testing.T) {
	m := newMount()
	if got := m.read(t, "ci"); got != nil || m.exists(t, "ci") {
		t.Errorf("before it is written: got %v, want nothing", got)
	}
	m.write(t, "ci", map[string]any{"a": "1", "b": "2"})
	m.write(t, "ci/deploy", map[string]any{"user": "robot"})
	if !m.exists(t, "ci") || !m.exists(t, "ci/deploy") || m.exists(t, "ci/dep") || m.exists(t, "") || m.exists(t, "a//b") {
		t.Error("exactly what was written exists")
	}
	m.write(t, "ci", map[string]any{"a": "3"})
	if got, want := m.read(t, "ci").Data, (map[string]any{"a": "3"}); !reflect.DeepEqual(got, want) {
		t.Errorf("a value is replaced as a whole: got %v, want %v", got, want)
	}
	for range 2 {
		if resp, err := m.handle(backend.Delete, "ci", nil); resp != nil || err != nil {
			t.Errorf("delete: got %v, %v; want nothing", resp, err)
		}
		if got := m.read(t, "ci"); got != nil || m.exists(t, "ci") {
			t.Errorf("after it is deleted: got %v, want nothing", got)
		}
	}
	if got := m.read(t, "ci/deploy"); got == nil || got.Data["user"] != "robot" {
		t.Errorf("what is below a deleted path stays: got %v", got)
	}
}

// As in Vault, the mount itself can only be listed.
func TestTheMountItselfHasNoValue(t *testing.T) {
	m := newMount()
	if got := m.read(t, ""); got != nil {
		t.Errorf("read: got %v, want nothing", got)
	}
	if resp, err := m.handle(backend.Delete, "", nil); resp != nil || err != nil {
		t.Errorf("delete: got %v, %v; want nothing", resp, err)
	}
	_, err := m.handle(backend.Write, "", map[string]any{"a": "b"})
	wantCode(t, "write", err, lease.Invalid, "missing path")
}

func TestReadShowsHowSoonToReadAgain(t *testing.T) {
	const std = lease.DefaultTTL
	for _, test := range []struct {
		name  string
		conf  lease.MountConfig
		value map[string]any
		want  time.Duration
	}{
		{"nothing is said", lease.MountConfig{}, map[string]any{"a": "b"}, std},
		{"the mount is tuned", lease.MountConfig{DefaultTTL: time.Hour}, map[string]any{"a": "b"}, time.Hour},
		{"the mount has a short limit", lease.MountConfig{MaxTTL: time.Minute}, map[string]any{"a": "b"}, time.Minute},
		{"ttl in text", lease.MountConfig{DefaultTTL: time.Hour}, map[string]any{"ttl": "30m"}, 30 * time.Minute},
		{"ttl in days", lease.MountConfig{}, map[string]any{"ttl": "90d"}, 90 * 24 * time.Hour},
		{"ttl as a number", lease.MountConfig{}, map[string]any{"ttl": json.Number("45")}, 45 * time.Second},
		{"ttl beyond the mount's limit", lease.MountConfig{MaxTTL: time.Minute}, map[string]any{"ttl": "2h"}, 2 * time.Hour},
		{"lease", lease.MountConfig{}, map[string]any{"lease": "10m"}, 10 * time.Minute},
		{"ttl before lease", lease.MountConfig{}, map[string]any{"lease": "10m", "ttl": "5m"}, 5 * time.Minute},
		{"a bad ttl hides lease", lease.MountConfig{}, map[string]any{"lease": "10m", "ttl": "soon"}, std},
		{"ttl is zero", lease.MountConfig{}, map[string]any{"ttl": json.Number("0")}, 0},
		{"ttl is null", lease.MountConfig{}, map[string]any{"ttl": nil}, 0},
		{"ttl is no duration", lease.MountConfig{}, map[string]any{"ttl": "in the evening"}, std},
		{"ttl is negative", lease.MountConfig{}, map[string]any{"ttl": "-5m"}, std},
		{"ttl is a list", lease.MountConfig{}, map[string]any{"ttl": []any{"5m"}}, std},
		{"ttl is absurd", lease.MountConfig{}, map[string]any{"ttl": json.Number("99999999999999999")}, field.MaxDuration},
	} {
		m := newMount()
		m.conf = test.conf
		m.write(t, "a", test.value)
		if got := m.read(t, "a"); got.Duration != test.want || !reflect.DeepEqual(got.Data, test.value) {
			t.Errorf("%s: got %v for %v, want %v", test.name, got.Duration, got.Data, test.want)
		}
	}
}

func TestRefusals(t *testing.T) {
	some := map[string]any{"a": "b"}
	deep, lists := any("bottom"), any("bottom")
	for range field.MaxDepth {
		deep, lists = map[string]any{"a": deep}, []any{lists}
	}
	long := strings.Repeat("x", kv.MaxPath)
	for _, test := range []struct {
		name, path string
		value      map[string]any
		code       lease.Code
		text       string
	}{
		{"no value", "a", nil, lease.Invalid, "missing data fields"},
		{"an empty value", "a", map[string]any{}, lease.Invalid, "missing data fields"},
		{"an empty segment", "a//b", some, lease.Invalid, `path: "a//b" has an empty segment`},
		{"a slash at the end", "a/", some, lease.Invalid, `path: "a/" has an empty segment`},
		{"a path that climbs", "a/../b", some, lease.Invalid, `path: "a/../b" has the segment "..": relative paths not supported`},
		{"a path that stays", "./b", some, lease.Invalid, "relative paths not supported"},
		{"a line break", "a\nb", some, lease.Invalid, `path: "a b" holds the control character U+000A: use plain text`},
		{"a change of direction", "a\u202eb", some, lease.Invalid, `path: "a b" holds the control character U+202E`},
		{"no text", "a\xff", some, lease.Invalid, `path: "a " not valid UTF-8`},
		{"a long path", long + "y", some, lease.Invalid, "path: 513 bytes long, at most 512 are allowed"},
		{"a large value", "a", map[string]any{"a": strings.Repeat("x", kv.MaxValue-7)}, lease.TooLarge,
			"value: 261121 bytes as JSON, at most 261120 are kept: split it over several paths"},
		{"a deep value", "a", map[string]any{"a": deep}, lease.Invalid, "value: nested deeper than 32 levels"},
		{"a deep list", "a", map[string]any{"a": lists}, lease.Invalid, "value: nested deeper than 32 levels"},
		{"bytes from a form", "a", map[string]any{"a": "secret\xff"}, lease.Invalid, "value: holds text that is not valid UTF-8"},
		{"bytes further down", "a", map[string]any{"a": []any{map[string]any{"b": "secret\xff"}}}, lease.Invalid, "not valid UTF-8"},
		{"a name of bytes", "a", map[string]any{"secret\xff": "a"}, lease.Invalid, "value: holds text that is not valid UTF-8"},
		{"no number", "a", map[string]any{"a": json.Number("0x10")}, lease.Invalid, "value: not encodable as JSON"},
	} {
		m := newMount()
		_, err := m.handle(backend.Write, test.path, test.value)
		wantCode(t, test.name, err, test.code, test.text)
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error tells the value: %v", test.name, err)
		}
		if keys, _ := m.store.List(""); keys != nil {
			t.Errorf("%s: something was stored: %q", test.name, keys)
		}
	}
	// A path that cannot be written is refused by the other verbs too, instead of being not found for ever.
	for _, op := range []backend.Operation{backend.Read, backend.List, backend.Delete} {
		_, err := newMount().handle(op, "a//b", nil)
		wantCode(t, fmt.Sprintf("operation %d", op), err, lease.Invalid, "has an empty segment")
	}
	m := newMount()
	m.write(t, long, some)
	m.write(t, "a", map[string]any{"a": strings.Repeat("x", kv.MaxValue-8)})
	m.write(t, "b", deep.(map[string]any))
	if got := m.read(t, "b"); !reflect.DeepEqual(got.Data, deep) {
		t.Errorf("a value as deep as there may be: got %v", got.Data)
	}
	m.write(t, "c", map[string]any{"a": lists.([]any)[0]})
	if got := m.read(t, "c"); !reflect.DeepEqual(got.Data["a"], lists.([]any)[0]) {
		t.Errorf("lists as deep as there may be: got %v", got.Data)
	}
}

// A value that does not come from this engine is a fault here, and its text stays out of the error.
func TestAnUnreadableValueIsAnInternalError(t *testing.T) {
	m := newMount()
	if err := m.store.Put(context.Background(), "a", []byte(`secret`)); err != nil {
		t.Fatal(err)
	}
	_, err := m.handle(backend.Read, "a", nil)
	wantCode(t, "read", err, lease.Internal, "the value cannot be read")
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the error tells the value: %v", err)
	}
}

func TestMountOptions(t *testing.T) {
	for _, good := range []map[string]string{
		nil, {}, {"version": "1"}, {"version": ""}, {"other": "2"}, {"leased_passthrough": "false"}, {"version": "1", "leased_passthrough": ""},
	} {
		if err := kv.New().CheckMount(good); err != nil {
			t.Errorf("%v: got %v, want no error", good, err)
		}
	}
	for _, test := range []struct {
		options map[string]string
		text    string
	}{
		{map[string]string{"version": "2"}, "kv version 2 is not supported: leave options.version out or set it to 1"},
		{map[string]string{"version": "v1\n"}, "kv version v1  is not supported"},
		{map[string]string{"version": "01"}, "kv version 01 is not supported"},
		{map[string]string{"leased_passthrough": "true"}, "kv issues no leases: leave options.leased_passthrough out"},
		{map[string]string{"leased_passthrough": "perhaps"}, "kv issues no leases"},
	} {
		wantCode(t, fmt.Sprint(test.options), kv.New().CheckMount(test.options), lease.Invalid, test.text)
	}
}
