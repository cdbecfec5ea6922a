package policy

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// kind is what a token is: one of the letters below, or a punctuation byte as itself.
type kind byte

const (
	tokenEnd    kind = 0
	tokenIdent  kind = 'i'
	tokenString kind = 's' // quoted or a heredoc; text is what it stands for
	tokenNumber kind = 'n'
)

type token struct {
	kind kind
	text string
	line int
}

// String names the token for an error.
func (t token) String() string {
	switch t.kind {
	case tokenEnd:
		return "the end of the text"
	case tokenString:
		return fmt.Sprintf("%q", shorten(t.text))
	default:
		return "'" + shorten(t.text) + "'"
	}
}

// shorten keeps an error from repeating a whole heredoc.
func shorten(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	for cut := most; cut > 0; cut-- {
		if utf8.RuneStart(s[cut]) {
			return s[:cut] + "..."
		}
	}
	return "..."
}

// lexer cuts a text of valid UTF-8 into tokens, skipping space and comments.
type lexer struct {
	text string
	at   int
	line int
}

func (l *lexer) next() (token, error) {
	if err := l.skip(); err != nil {
		return token{}, err
	}
	rest := l.text[l.at:]
	if rest == "" {
		return token{kind: tokenEnd, line: l.line}, nil
	}
	c := rest[0]
	switch {
	case strings.IndexByte("{}[]=,:", c) >= 0:
		l.at++
		return token{kind: kind(c), text: rest[:1], line: l.line}, nil
	case c == '"':
		return l.quoted()
	case strings.HasPrefix(rest, "<<"):
		return l.heredoc()
	case c == '-' || c >= '0' && c <= '9':
		return l.number()
	}
	if n := identLength(rest); n > 0 {
		l.at += n
		return token{kind: tokenIdent, text: rest[:n], line: l.line}, nil
	}
	r, _ := utf8.DecodeRuneInString(rest)
	return token{}, fmt.Errorf("unexpected character %q on line %d", r, l.line)
}

// skip moves past space, line ends and the three kinds of comment.
func (l *lexer) skip() error {
	for l.at < len(l.text) {
		rest := l.text[l.at:]
		switch {
		case rest[0] == '\n':
			l.line++
			l.at++
		case rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\r':
			l.at++
		case rest[0] == '#' || strings.HasPrefix(rest, "//"):
			n := strings.IndexByte(rest, '\n')
			if n < 0 {
				n = len(rest)
			}
			l.at += n
		case strings.HasPrefix(rest, "/*"):
			n := strings.Index(rest[2:], "*/")
			if n < 0 {
				return fmt.Errorf("the comment that begins on line %d is not closed", l.line)
			}
			l.line += strings.Count(rest[:n+2], "\n")
			l.at += n + 4
		default:
			return nil
		}
	}
	return nil
}

func identLength(s string) int {
	for i, r := range s {
		if r == '_' || unicode.IsLetter(r) || i > 0 && (r == '-' || r == '.' || unicode.IsDigit(r)) {
			continue
		}
		return i
	}
	return len(s)
}

// number reads what JSON calls a number.
func (l *lexer) number() (token, error) {
	rest := l.text[l.at:]
	n := 0
	for n < len(rest) && (strings.IndexByte("+-.", rest[n]) >= 0 || identLength("x"+rest[n:n+1]) == 2) {
		n++
	}
	if !isNumber(rest[:n]) {
		return token{}, fmt.Errorf("invalid number '%s' on line %d", shorten(rest[:n]), l.line)
	}
	l.at += n
	return token{kind: tokenNumber, text: rest[:n], line: l.line}, nil
}

// isNumber follows the grammar of JSON: -?int frac? exp?
func isNumber(s string) bool {
	digits := func() bool {
		n := 0
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		s = s[n:]
		return n > 0
	}
	s = strings.TrimPrefix(s, "-")
	if len(s) > 1 && s[0] == '0' && s[1] >= '0' && s[1] <= '9' || !digits() {
		return false
	}
	if strings.HasPrefix(s, ".") {
		if s = s[1:]; !digits() {
			return false
		}
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		s = s[1:]
		if s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		if !digits() {
			return false
		}
	}
	return s == ""
}

// quoted reads "...". A dollar and a brace mean themselves: policies have no interpolation.
func (l *lexer) quoted() (token, error) {
	start := l.line
	var b strings.Builder
	for i := l.at + 1; i < len(l.text); {
		switch c := l.text[i]; c {
		case '"':
			l.at = i + 1
			return token{kind: tokenString, text: b.String(), line: start}, nil
		case '\n':
			return token{}, fmt.Errorf("the string that begins on line %d is not closed", start)
		case '\\':
			r, n := unescape(l.text[i+1:])
			if n == 0 {
				return token{}, fmt.Errorf("invalid escape in the string on line %d", start)
			}
			b.WriteRune(r)
			i += 1 + n
		default:
			b.WriteByte(c)
			i++
		}
	}
	return token{}, fmt.Errorf("the string that begins on line %d is not closed", start)
}

var escapes = map[byte]rune{'"': '"', '\\': '\\', '/': '/', 'a': '\a', 'b': '\b', 'f': '\f', 'n': '\n',
	'r': '\r', 't': '\t', 'v': '\v'}

// unescape reads what follows a backslash: the rune, and the bytes it took; 0 if it is invalid.
func unescape(s string) (rune, int) {
	if s == "" {
		return 0, 0
	}
	if r, ok := escapes[s[0]]; ok {
		return r, 1
	}
	if s[0] == 'U' {
		return hexRune(s[1:], 8, 9)
	}
	if s[0] != 'u' {
		return 0, 0
	}
	r, n := hexRune(s[1:], 4, 5)
	if n == 0 || !utf16.IsSurrogate(r) {
		return r, n
	}
	if !strings.HasPrefix(s[5:], `\u`) {
		return 0, 0
	}
	low, n := hexRune(s[7:], 4, 11)
	if r = utf16.DecodeRune(r, low); n == 0 || r == utf8.RuneError {
		return 0, 0
	}
	return r, n
}

// hexRune reads a rune of so many hex digits; took is what the whole escape took if it is valid.
func hexRune(s string, digits, took int) (rune, int) {
	if len(s) < digits {
		return 0, 0
	}
	var r rune
	for _, c := range []byte(s[:digits]) {
		d := strings.IndexByte("0123456789abcdef", c|0x20)
		if d < 0 {
			return 0, 0
		}
		r = r<<4 | rune(d)
	}
	if digits == 8 && !utf8.ValidRune(r) {
		return 0, 0
	}
	return r, took
}

// heredoc reads <<WORD up to a line that is WORD alone; with <<-WORD the indent all lines share is
// cut.
func (l *lexer) heredoc() (token, error) {
	start := l.line
	head, body, ok := strings.Cut(l.text[l.at+2:], "\n")
	word, dedent := strings.CutPrefix(strings.TrimSuffix(head, "\r"), "-")
	if !ok || word == "" || identLength(word) != len(word) {
		return token{}, fmt.Errorf("invalid heredoc on line %d", start)
	}
	var lines []string
	for at := len(l.text) - len(body); at < len(l.text); {
		line, _, more := strings.Cut(l.text[at:], "\n")
		if strings.TrimSpace(line) == word {
			l.at = at + len(line)
			l.line += len(lines) + 1
			return token{kind: tokenString, text: joinHeredoc(lines, dedent), line: start}, nil
		}
		if !more {
			break
		}
		lines = append(lines, line)
		at += len(line) + 1
	}
	return token{}, fmt.Errorf("the heredoc that begins on line %d is not closed by '%s'", start, shorten(word))
}

func joinHeredoc(lines []string, dedent bool) string {
	if dedent {
		indent := -1
		for _, line := range lines {
			if n := len(line) - len(strings.TrimLeft(line, " \t")); indent < 0 || n < indent {
				indent = n
			}
		}
		for i := range lines {
			lines[i] = lines[i][indent:]
		}
	}
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}
