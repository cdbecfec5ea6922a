package lease_test

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
	engine "github.com/leasehold/leasehold/backend/lease"
	"github.com/leasehold/leasehold/lease"
)

func prepare(path string, params map[string]any) (*backend.Plan, error) {
	return engine.New().Prepare(context.Background(), &backend.Request{
		Mount: &lease.Mount{Path: "locks/"}, Operation: backend.Write, Path: path, Params: params,
	})
}

func TestRouteTakesWritesOnAnyPathAndNothingElse(t *testing.T) {
	for _, path := range []string{"a", "build/42", "config", "roles/x"} {
		if class, err := engine.New().Route(backend.Write, path); class != backend.Issue || err != nil {
			t.Errorf("write %s: class %d, error %v; want Issue", path, class, err)
		}
		for _, op := range []backend.Operation{backend.Read, backend.List, backend.Delete} {
			_, err := engine.New().Route(op, path)
			wantCode(t, fmt.Sprintf("operation %d on %s", op, path), err, lease.Unsupported)
		}
	}
	_, err := engine.New().Route(backend.Write, "")
	wantCode(t, "write to the mount itself", err, lease.NotFound)
}

func TestPrepareReadsEveryField(t *testing.T) {
	data := map[string]any{"host": "ci-7", "n": json.Number("12"), "tag": "<a&b>"}
	got, err := prepare("build/42", map[string]any{
		"ttl": "10m", "max_ttl": json.Number("7200"), "renewable": false, "keep_data": "1",
		"labels": map[string]any{"team": "core", "n": json.Number("3")},
		"data":   data, "zebra": 1, "ant": 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := &backend.Plan{
		Path: "build/42", TTL: 10 * time.Minute, MaxTTL: 2 * time.Hour,
		Labels: map[string]string{"team": "core", "n": "3"},
		Answer: data, Keep: []byte(`{"host":"ci-7","n":12,"tag":"<a&b>"}`),
		Warnings: []string{"Endpoint ignored these unrecognized parameters: [ant zebra]"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestPrepareOfNothingIsARenewableLeaseWithTheMountsLimits(t *testing.T) {
	for _, params := range []map[string]any{nil, {}, {"renewable": nil, "ttl": "", "data": nil}} {
		got, err := prepare("x", params)
		want := &backend.Plan{Path: "x", Renewable: true}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v: got %+v, %v; want %+v", params, got, err, want)
		}
	}
}

func TestDataIsKeptOnlyOnRequest(t *testing.T) {
	got, err := prepare("x", map[string]any{"data": map[string]any{"a": "b"}})
	if err != nil || got.Keep != nil || got.Answer["a"] != "b" {
		t.Errorf("got keep %q, answer %v, error %v; want the answer alone", got.Keep, got.Answer, err)
	}
}

func TestPrepareRefusals(t *testing.T) {
	many := map[string]any{}
	for i := range engine.MaxLabels + 1 {
		many[fmt.Sprint("k", i)] = "v"
	}
	long := strings.Repeat("x", engine.MaxLabelValue+1)
	tests := []struct {
		name, path string
		params     map[string]any
		want       string // begins with
	}{
		{"a negative ttl", "x", map[string]any{"ttl": json.Number("-5")},
			`Field validation failed: error converting input for field "ttl": cannot provide negative value '-5'`},
		{"a ttl that is no duration", "x", map[string]any{"ttl": "abc"},
			`Field validation failed: error converting input for field "ttl": time: invalid duration "abc"`},
		{"a max_ttl with a fraction", "x", map[string]any{"max_ttl": json.Number("1.5")},
			`Field validation failed: error converting input for field "max_ttl": time: missing unit in duration "1.5"`},
		{"a renewable that is no bool", "x", map[string]any{"renewable": "maybe"},
			`Field validation failed: error converting input for field "renewable": '' cannot parse value as 'bool': strconv.ParseBool: invalid syntax`},
		{"data that is a list", "x", map[string]any{"data": []any{}},
			`Field validation failed: error converting input for field "data": '' expected a map, got '[]interface {}'`},
		{"too many labels", "x", map[string]any{"labels": many}, "labels: 33 labels, at most 32"},
		{"a long label", "x", map[string]any{"labels": map[string]any{"a": long}}, `labels: the value of "a" is 257 bytes`},
		{"a long label name", "x", map[string]any{"labels": map[string]any{long[:129]: ""}}, "labels: a name is 129 bytes"},
		{"a label without a name", "x", map[string]any{"labels": map[string]any{"": "v"}}, "labels: a label without a name"},
		{"a line break in a label", "x", map[string]any{"labels": map[string]any{"a": "b\r\nc"}}, `labels: "a" holds the control character U+000D`},
		{"an escape sequence in a name", "x", map[string]any{"labels": map[string]any{"\x1b[2J": "b"}}, `labels: " [2J" holds the control character U+001B`},
		{"a line separator in a label", "x", map[string]any{"labels": map[string]any{"a": "b\u2028c"}}, `labels: "a" holds the control character U+2028`},
		{"too much data", "x", map[string]any{"data": map[string]any{"a": strings.Repeat("x", engine.MaxData)}}, "data: 65544 bytes as JSON"},
		{"a path that climbs", "a/../b", nil, `relative paths not supported: "a/../b"`},
		{"an empty segment", "a//b", nil, `path "a//b" has an empty segment`},
		{"a space", "a b", nil, `path "a b" holds ' '`},
		{"a NUL", "a\x00b", nil, `path "a\x00b" holds '\x00'`},
		{"a path with no room for the random part", strings.Repeat("p", 482), nil, "path: the lease ID would be 513 bytes long"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := prepare(test.path, test.params)
			wantCode(t, "prepare", err, lease.Invalid)
			if err != nil && !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got  %q\nwant %q…", err, test.want)
			}
		})
	}
	if _, err := prepare(strings.Repeat("p", 481), nil); err != nil {
		t.Errorf("a path that just fits: %v", err)
	}
}

func wantCode(t *testing.T, what string, err error, code lease.Code) {
	t.Helper()
	var e *lease.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("%s: got error %v, want one with code %q", what, err, code)
	}
}
