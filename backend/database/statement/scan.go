package statement

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// braces is how a placeholder looks. Other braces, as in the array '{{1,2},{3,4}}', are text.
var braces = regexp.MustCompile(`^\{\{[ \t]*([A-Za-z_][A-Za-z0-9_]*)[ \t]*\}\}`)

// dollarTag is how a dollar quote begins and ends.
var dollarTag = regexp.MustCompile(`^\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?\$`)

// halfTag is what a value could make a dollar tag of.
var halfTag = regexp.MustCompile(`\$[A-Za-z0-9_\x80-\xff]*$`)

// scanner goes through a text once, byte by byte, and knows at each what surrounds it.
type scanner struct {
	syntax Syntax
	text   string
	at     int // next byte
	from   int // first byte that is in no piece yet
	place  place
	tag    string // of the dollar quote
	depth  int    // of nested block comments
	pieces []piece
	done   []*Template
}

func (s *scanner) run() error {
	for s.at < len(s.text) {
		if m := s.placeholder(); m != nil {
			s.cut()
			if s.place == dollar && halfTag.MatchString(s.text[:s.at]) {
				return fmt.Errorf("has {{%s}} after a dollar sign within a dollar quote: put a space between", m[1])
			}
			s.pieces = append(s.pieces, piece{placeholder: m[1], place: s.place})
			s.at += len(m[0])
			s.from = s.at
			continue
		}
		if s.place == bare {
			s.outside()
		} else {
			s.inside()
		}
	}
	s.end()
	switch s.place {
	case bare, line:
		return nil
	}
	if s.syntax == PostgreSQL && s.place == backtick {
		return errors.New("has a backtick that is not closed")
	}
	return fmt.Errorf("ends inside %s: close it", s.place)
}

func (s *scanner) placeholder() []string {
	if s.text[s.at] != '{' {
		return nil
	}
	return braces.FindStringSubmatch(s.text[s.at:])
}

// cut makes a piece of what has been passed.
func (s *scanner) cut() {
	if s.from < s.at {
		s.pieces = append(s.pieces, piece{text: s.text[s.from:s.at], place: s.place})
	}
	s.from = s.at
}

// quote passes n bytes that open quotes. They belong to what was before.
func (s *scanner) quote(p place, n int) {
	s.at += n
	s.cut()
	s.place = p
}

// remark passes n bytes that begin a comment. They belong to it.
func (s *scanner) remark(p place, n int) {
	s.cut()
	s.place = p
	s.at += n
}

// leave passes n bytes that end it. The bytes belong to it.
func (s *scanner) leave(n int) {
	s.at += n
	s.cut()
	s.place = bare
}

// outside takes one step where no quote and no comment is open.
func (s *scanner) outside() {
	rest := s.text[s.at:]
	switch c := rest[0]; {
	case c == ';':
		s.end()
		s.at++
		s.from = s.at
	case c == '\'' && s.syntax == PostgreSQL && s.escapeString():
		s.quote(escaped, 1)
	case c == '\'':
		s.quote(single, 1)
	case c == '"':
		s.quote(double, 1)
	case c == '`' && s.syntax == MySQL:
		s.quote(backtick, 1)
	case c == '#' && s.syntax == MySQL:
		s.remark(line, 1)
	case strings.HasPrefix(rest, "--") && s.lineComment(rest):
		s.remark(line, 2)
	case strings.HasPrefix(rest, "/*"):
		s.depth = 1
		s.remark(block, 2)
	case c == '$' && s.syntax == PostgreSQL && !s.afterWord(s.at):
		if s.tag = dollarTag.FindString(rest); s.tag != "" {
			s.quote(dollar, len(s.tag))
			return
		}
		s.at++
	default:
		s.at++
	}
}

// lineComment: MySQL takes two dashes for a comment only if white space or nothing follows.
func (s *scanner) lineComment(rest string) bool {
	return s.syntax != MySQL || len(rest) == 2 || rest[2] <= ' '
}

// escapeString reports whether the quote here is that of E'…'.
func (s *scanner) escapeString() bool {
	return s.at > s.from && (s.text[s.at-1] == 'e' || s.text[s.at-1] == 'E') && !s.afterWord(s.at-1)
}

// afterWord reports whether the byte before at is part of a word, which a dollar sign or an E then
// belongs to. A placeholder is none, since it gets quotes.
func (s *scanner) afterWord(at int) bool {
	if at == s.from {
		return false
	}
	c := s.text[at-1]
	return c == '_' || c == '$' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// inside takes one step within quotes or a comment.
func (s *scanner) inside() {
	rest := s.text[s.at:]
	switch s.place {
	case single, escaped:
		s.quoted(rest, '\'')
	case double:
		s.quoted(rest, '"')
	case backtick:
		s.quoted(rest, '`')
	case dollar:
		if strings.HasPrefix(rest, s.tag) {
			s.leave(len(s.tag))
			return
		}
		s.at++
	case line:
		if rest[0] == '\n' {
			s.leave(1)
			return
		}
		s.at++
	case block:
		s.comment(rest)
	}
}

// quoted takes one step within quotes of one byte: a doubled one and, where the backslash escapes,
// what follows that stay inside.
func (s *scanner) quoted(rest string, quote byte) {
	switch {
	case rest[0] == '\\' && s.backslash():
		s.at += min(2, len(rest))
	case rest[0] == quote && len(rest) > 1 && rest[1] == quote:
		s.at += 2
	case rest[0] == quote:
		s.leave(1)
	default:
		s.at++
	}
}

func (s *scanner) backslash() bool {
	return s.place == escaped || s.syntax == MySQL && s.place != backtick
}

func (s *scanner) comment(rest string) {
	switch {
	case strings.HasPrefix(rest, "*/"):
		if s.depth--; s.depth == 0 {
			s.leave(2)
			return
		}
		s.at += 2
	case strings.HasPrefix(rest, "/*") && s.syntax == PostgreSQL:
		s.depth++
		s.at += 2
	default:
		s.at++
	}
}

// end closes the statement that has been passed, and drops it if it says nothing.
func (s *scanner) end() {
	s.cut()
	pieces := trim(s.pieces)
	s.pieces = nil
	if len(pieces) == 0 {
		return
	}
	t := &Template{syntax: s.syntax, pieces: pieces}
	t.verb, t.second = words(pieces)
	s.done = append(s.done, t)
}

// trim takes white space off both ends. Nothing is left of a statement that is a comment.
func trim(pieces []piece) []piece {
	says := false
	for _, p := range pieces {
		says = says || !p.comment() && (p.placeholder != "" || strings.TrimSpace(p.text) != "")
	}
	if !says {
		return nil
	}
	if first := &pieces[0]; first.place == bare && first.placeholder == "" {
		first.text = strings.TrimLeft(first.text, " \t\r\n\f\v")
	}
	if last := &pieces[len(pieces)-1]; last.place == bare && last.placeholder == "" {
		last.text = strings.TrimRight(last.text, " \t\r\n\f\v")
	}
	return pieces
}

var word = regexp.MustCompile(`^[A-Za-z_]+`)

// words are the first two words outside comments, in capitals.
func words(pieces []piece) (first, second string) {
	var text strings.Builder
	for _, p := range pieces {
		switch {
		case p.comment():
			continue
		case p.place != bare || p.placeholder != "":
			text.WriteByte(0) // no word
			continue
		}
		text.WriteString(p.text + " ")
	}
	rest := strings.TrimSpace(text.String())
	first = word.FindString(rest)
	second = word.FindString(strings.TrimSpace(rest[len(first):]))
	return strings.ToUpper(first), strings.ToUpper(second)
}
