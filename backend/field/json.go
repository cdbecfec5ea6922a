package field

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxDepth is how deep JSON from outside may nest (T21).
const MaxDepth = 32

// ParseObject reads one JSON object and nothing after it. Numbers stay json.Number; a repeated
// key and more than MaxDepth levels are refused. The error never quotes the input's values, which
// may be secret; a repeated key is named.
func ParseObject(data []byte) (map[string]any, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("not valid UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	tok, err := dec.Token()
	if err != nil {
		return nil, errNotJSON
	}
	if tok != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	obj, err := object(dec, 1)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("more than one JSON value")
	}
	return obj, nil
}

var errNotJSON = errors.New("not valid JSON")

func object(dec *json.Decoder, depth int) (map[string]any, error) {
	obj := make(map[string]any)
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return nil, errNotJSON
		}
		key, ok := tok.(string)
		if !ok {
			return nil, errNotJSON
		}
		if _, twice := obj[key]; twice {
			return nil, fmt.Errorf("key %q appears twice", key)
		}
		if obj[key], err = value(dec, depth); err != nil {
			return nil, err
		}
	}
	return obj, closing(dec)
}

func value(dec *json.Decoder, depth int) (any, error) {
	tok, err := dec.Token()
	if err != nil {
		return nil, errNotJSON
	}
	delim, ok := tok.(json.Delim)
	if !ok {
		return tok, nil
	}
	if depth++; depth > MaxDepth {
		return nil, fmt.Errorf("nested deeper than %d levels", MaxDepth)
	}
	if delim == '{' {
		return object(dec, depth)
	}
	list := []any{}
	for dec.More() {
		item, err := value(dec, depth)
		if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	return list, closing(dec)
}

// closing takes the bracket at which More stopped; at a truncated end there is none.
func closing(dec *json.Decoder) error {
	if _, err := dec.Token(); err != nil {
		return errNotJSON
	}
	return nil
}

// FormatJSON encodes v on one line, without the escapes for HTML that would change what others
// sign or compare.
func FormatJSON(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// CheckText returns an error when s could forge a line or hide a part of itself where it is
// printed: control characters, line and paragraph separators, changes of writing direction, bytes
// that are not UTF-8 (T14).
func CheckText(s string) error {
	if !utf8.ValidString(s) {
		return errors.New("not valid UTF-8")
	}
	for _, r := range s {
		if unprintable(r) {
			return fmt.Errorf("holds the control character %U", r)
		}
	}
	return nil
}

// CleanText replaces with a space what CheckText refuses.
func CleanText(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unprintable(r) {
			return ' '
		}
		return r
	}, s)
}

func unprintable(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
}
