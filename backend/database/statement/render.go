package statement

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// plain are the values that mean nothing else wherever they stand: in a dollar quote, which may hold
// code, or in a comment, nothing can be escaped.
var plain = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.:+ -]*[A-Za-z0-9_])?$`)

// Render puts values in place of the placeholders. Where quotes are around one, the value is escaped
// for them. Where none are, "name" and "username" become a quoted name and all others a quoted text.
// It fails for a placeholder without a value, and for a value that cannot stand where it should.
func (t *Template) Render(values map[string]string) (string, error) {
	var b strings.Builder
	for i, p := range t.pieces {
		if p.placeholder == "" {
			b.WriteString(p.text)
			continue
		}
		value, ok := values[p.placeholder]
		if !ok {
			return "", fmt.Errorf("the placeholder {{%s}} has no value here", p.placeholder)
		}
		text, err := t.syntax.fit(p, value)
		if err != nil {
			return "", err
		}
		if p.place == bare {
			text = apart(b.String(), text, t.pieces[i+1:])
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

// apart sets a value that brings its own quotes off from what touches it: a quote before or behind would
// be taken for a part of it, and a letter before for the kind of its text.
func apart(before, text string, after []piece) string {
	if before != "" && touches(before[len(before)-1]) {
		text = " " + text
	}
	if len(after) > 0 && (after[0].placeholder != "" || after[0].text != "" && touches(after[0].text[0])) {
		text += " "
	}
	return text
}

// touches reports whether a byte beside a quoted value would change what the value is.
func touches(c byte) bool {
	switch {
	case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= 0x80:
		return true
	}
	return strings.IndexByte("'\"`_$&", c) >= 0
}

// fit is value as it can stand at p.
func (s Syntax) fit(p piece, value string) (string, error) {
	if strings.IndexByte(value, 0) >= 0 {
		return "", errors.New("a value holds a NUL byte")
	}
	switch p.place {
	case single:
		return s.escape(value, '\'', s == MySQL), nil
	case escaped:
		return s.escape(value, '\'', true), nil
	case double:
		return s.escape(value, '"', s == MySQL), nil
	case backtick:
		return s.escape(value, '`', false), nil
	case bare:
		if p.placeholder == "name" || p.placeholder == "username" {
			return s.QuoteName(value), nil
		}
		return s.QuoteText(value), nil
	}
	if !plain.MatchString(value) || strings.Contains(value, "--") {
		return "", fmt.Errorf("{{%s}} is in %s, where its value cannot be escaped: move it out", p.placeholder, p.place)
	}
	return value, nil
}

// escape doubles the quotes in value, and the backslashes if they escape.
func (Syntax) escape(value string, quote byte, backslash bool) string {
	if backslash {
		value = strings.ReplaceAll(value, `\`, `\\`)
	}
	return strings.ReplaceAll(value, string(quote), string(quote)+string(quote))
}

// QuoteName is name as an identifier; in MySQL, where it stands for a user, as a text.
func (s Syntax) QuoteName(name string) string {
	if s == MySQL {
		return s.QuoteText(name)
	}
	return `"` + s.escape(name, '"', false) + `"`
}

// QuoteText is text as a literal. In PostgreSQL one with a backslash is written so that the server's
// setting for them does not matter.
func (s Syntax) QuoteText(text string) string {
	switch {
	case s == MySQL:
		return "'" + s.escape(text, '\'', true) + "'"
	case strings.Contains(text, `\`):
		return " E'" + s.escape(text, '\'', true) + "'"
	}
	return "'" + s.escape(text, '\'', false) + "'"
}
