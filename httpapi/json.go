package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/leasehold/leasehold/backend/field"
)

// Bounds of what a body may hold (T21).
const (
	maxBody    = 1 << 20 // bytes
	maxDepth   = 32      // levels of nesting
	maxStrings = 1000    // strings in one body, names included
	maxNumber  = 64      // characters of one number
)

// jsonPrefix is what Vault's errors about a body begin with.
const jsonPrefix = "failed to decode JSON input: "

var errShortJSON = errors.New("unexpected EOF")

// decoder reads one JSON object from people nobody vouches for. Beyond what JSON asks, it refuses a
// name that appears twice in an object, since readers differ on which one counts, and anything
// after the object. Errors name positions and names, never values.
type decoder struct {
	data    []byte
	at      int
	depth   int
	strings int
}

// decodeObject returns the parameters in a JSON body; nil for an empty body and for null. Numbers
// stay json.Number.
func decodeObject(data []byte) (map[string]any, error) {
	d := &decoder{data: data}
	d.space()
	if d.at == len(data) {
		return nil, nil
	}
	if !utf8.Valid(data) {
		return nil, errors.New("not valid UTF-8")
	}
	if data[d.at] != '{' && !d.startsWith("null") {
		return nil, d.notAnObject()
	}
	v, err := d.value()
	if err != nil {
		return nil, err
	}
	if d.space(); d.at != len(data) {
		return nil, fmt.Errorf("more than one JSON value: send one object, nothing is read from byte %d on", d.at)
	}
	obj, _ := v.(map[string]any) // nil for null
	return obj, nil
}

func (d *decoder) startsWith(word string) bool {
	return len(d.data)-d.at >= len(word) && string(d.data[d.at:d.at+len(word)]) == word
}

// notAnObject says what stands in place of the object, in the words of Go's decoder.
func (d *decoder) notAnObject() error {
	kind := ""
	switch c := d.data[d.at]; {
	case c == '[':
		kind = "array"
	case c == '"':
		kind = "string"
	case c == 't' || c == 'f':
		kind = "bool"
	case c == '-' || c >= '0' && c <= '9':
		kind = "number"
	default:
		return d.invalid()
	}
	return fmt.Errorf("json: cannot unmarshal %s into Go value of type map[string]interface {}", kind)
}

func (d *decoder) invalid() error {
	if d.at >= len(d.data) {
		return errShortJSON
	}
	return fmt.Errorf("invalid character at byte %d", d.at)
}

func (d *decoder) space() {
	for d.at < len(d.data) {
		switch d.data[d.at] {
		case ' ', '\t', '\n', '\r':
			d.at++
		default:
			return
		}
	}
}

// take consumes c, after white space.
func (d *decoder) take(c byte) bool {
	d.space()
	if d.at < len(d.data) && d.data[d.at] == c {
		d.at++
		return true
	}
	return false
}

func (d *decoder) value() (any, error) {
	d.space()
	if d.at == len(d.data) {
		return nil, errShortJSON
	}
	switch c := d.data[d.at]; {
	case c == '{' || c == '[':
		if d.depth++; d.depth > maxDepth {
			return nil, fmt.Errorf("nested deeper than %d levels", maxDepth)
		}
		defer func() { d.depth-- }()
		d.at++
		if c == '{' {
			return d.object()
		}
		return d.list()
	case c == '"':
		return d.text()
	case c == 't':
		return true, d.word("true")
	case c == 'f':
		return false, d.word("false")
	case c == 'n':
		return nil, d.word("null")
	default:
		return d.number()
	}
}

func (d *decoder) word(w string) error {
	for i := range len(w) {
		if d.at >= len(d.data) || d.data[d.at] != w[i] {
			return d.invalid()
		}
		d.at++
	}
	return nil
}

func (d *decoder) object() (any, error) {
	obj := make(map[string]any)
	if d.take('}') {
		return obj, nil
	}
	for {
		if d.space(); d.at == len(d.data) || d.data[d.at] != '"' {
			return nil, d.invalid()
		}
		name, err := d.text()
		if err != nil {
			return nil, err
		}
		if _, twice := obj[name]; twice {
			return nil, fmt.Errorf("%q appears twice", field.CleanText(name))
		}
		if !d.take(':') {
			return nil, d.invalid()
		}
		if obj[name], err = d.value(); err != nil {
			return nil, err
		}
		if d.take('}') {
			return obj, nil
		}
		if !d.take(',') {
			return nil, d.invalid()
		}
	}
}

func (d *decoder) list() (any, error) {
	list := []any{}
	if d.take(']') {
		return list, nil
	}
	for {
		item, err := d.value()
		if err != nil {
			return nil, err
		}
		list = append(list, item)
		if d.take(']') {
			return list, nil
		}
		if !d.take(',') {
			return nil, d.invalid()
		}
	}
}

// text reads a string. One without escapes, which is nearly every one, is copied as it stands.
func (d *decoder) text() (string, error) {
	if d.strings++; d.strings > maxStrings {
		return "", fmt.Errorf("more than %d strings", maxStrings)
	}
	start, escaped := d.at, false
	for d.at++; d.at < len(d.data); d.at++ {
		switch c := d.data[d.at]; {
		case c == '\\':
			escaped = true
			d.at++
		case c < ' ':
			return "", d.invalid()
		case c == '"':
			d.at++
			if !escaped {
				return string(d.data[start+1 : d.at-1]), nil
			}
			var s string
			if err := json.Unmarshal(d.data[start:d.at], &s); err != nil {
				return "", fmt.Errorf("invalid escape in the string at byte %d", start)
			}
			return s, nil
		}
	}
	return "", errShortJSON
}

func (d *decoder) number() (any, error) {
	start := d.at
	for d.at < len(d.data) && numberByte(d.data[d.at]) {
		d.at++
	}
	token := d.data[start:d.at]
	switch {
	case len(token) == 0:
		return nil, d.invalid()
	case len(token) > maxNumber:
		return nil, fmt.Errorf("the number at byte %d has more than %d characters", start, maxNumber)
	case !json.Valid(token):
		return nil, fmt.Errorf("invalid number at byte %d", start)
	}
	return json.Number(token), nil
}

func numberByte(c byte) bool {
	return c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'
}
