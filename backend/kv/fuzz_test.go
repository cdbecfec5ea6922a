package kv_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/lease"
)

// FuzzPath: a path is refused, or a value written there is found by a read and by lists from the mount
// down, nowhere else, until it is deleted.
func FuzzPath(f *testing.F) {
	for _, path := range []string{"a", "a/b/c", "", "a//b", "a/../b", ".", "...", "a b", "grüße/世界", "a\x00", "a\xff", "a\u202eb", "*", "+/a", "a%2fb", strings.Repeat("x/", 256), "~/!/0"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		m := newMount()
		value := map[string]any{"path": "x"}
		if _, err := m.handle(backend.Write, path, value); err != nil {
			var e *lease.Error
			if !errors.As(err, &e) || e.Code != lease.Invalid || field.CheckText(e.Message) != nil {
				t.Fatalf("%q: got error %q, want one line with code invalid", path, err)
			}
			if _, err := m.handle(backend.Read, path, nil); err == nil && path != "" {
				t.Fatalf("%q: cannot be written and can be read", path)
			}
			return
		}
		if got := m.read(t, path); got == nil || !reflect.DeepEqual(got.Data, value) || !m.exists(t, path) {
			t.Fatalf("%q: got %v, want %v", path, got, value)
		}
		folder := ""
		segments := strings.Split(path, "/")
		for i, segment := range segments {
			key := segment
			if i < len(segments)-1 {
				key += "/"
				if at := strings.Join(segments[:i+1], "/"); m.read(t, at) != nil {
					t.Fatalf("%q: a value stands at %q too", path, at)
				}
			}
			resp, err := m.handle(backend.List, folder, nil)
			if err != nil || resp == nil || !slices.Equal(resp.Data["keys"].([]string), []string{key}) {
				t.Fatalf("%q: the list of %q is %v, %v; want %q", path, folder, resp, err, key)
			}
			folder = strings.Join(segments[:i+1], "/")
		}
		if _, err := m.handle(backend.Delete, path, nil); err != nil {
			t.Fatal(err)
		}
		if keys, _ := m.store.List(""); m.read(t, path) != nil || keys != nil {
			t.Fatalf("%q: %q is left after the delete", path, keys)
		}
	})
}

// FuzzValue: whatever JSON object is sent is refused, or read exactly as it was sent.
func FuzzValue(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(text))
	}
	f.Add([]byte(`{"ttl":1e400,"lease":{}}`))
	f.Add([]byte(`{"a":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		value, err := field.ParseObject(text)
		if err != nil {
			return
		}
		m := newMount()
		_, err = m.handle(backend.Write, "a", value)
		var e *lease.Error
		switch {
		case len(value) == 0 || errors.As(err, &e) && e.Code == lease.TooLarge:
			if err == nil || m.read(t, "a") != nil {
				t.Fatalf("%q: got %v and a value, want an error alone", text, err)
			}
			return
		case err != nil:
			t.Fatalf("%q: refused: %v", text, err)
		}
		if got := m.read(t, "a"); got == nil || !reflect.DeepEqual(got.Data, value) || got.Duration < 0 {
			t.Fatalf("%q: got %+v, want %v", text, got, value)
		}
	})
}

// FuzzForm: names and values of a form may be any bytes. They are read as they were sent or refused.
func FuzzForm(f *testing.F) {
	for _, pair := range [][2]string{{"a", "b"}, {"", ""}, {"a\xff", "b"}, {"a", "\xfe"}, {"\xc9", "\x80"}, {"ttl", "1h"}, {"\ufffd", "\xed\xa0\x80"}, {"\x00", "\u2028"}} {
		f.Add(pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		m, value := newMount(), map[string]any{name: text, "list": []any{text, name}}
		_, err := m.handle(backend.Write, "a", value)
		if err == nil {
			if got := m.read(t, "a"); got == nil || !reflect.DeepEqual(got.Data, value) {
				t.Fatalf("got %+v, want %q", got, value)
			}
			return
		}
		var e *lease.Error
		if utf8.ValidString(name) && utf8.ValidString(text) && (!errors.As(err, &e) || e.Code != lease.TooLarge) {
			t.Fatalf("%q: refused: %v", value, err)
		}
		if m.read(t, "a") != nil {
			t.Fatalf("%q: stored though it was refused", value)
		}
	})
}
