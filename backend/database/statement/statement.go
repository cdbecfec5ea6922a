// Package statement reads the SQL that operators write into roles and connections: templates such as
//
//	CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}'; GRANT reader TO "{{name}}";
//
// Parse splits a text at the semicolons that end statements and finds the placeholders; Render puts
// values in. It knows quotes, dollar quotes and comments, so that no semicolon and no value is taken
// for what it is not: a value is written so that it stays inside the quotes around its placeholder,
// and gets quotes of its own where there are none (T18).
//
// The package is pure. Templates are never changed once made, and safe for concurrent use.
package statement

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Bounds of one text.
const (
	MaxStatements = 64
	MaxBytes      = 32 << 10
)

// Syntax is a dialect of SQL.
type Syntax uint8

// The dialects.
const (
	PostgreSQL Syntax = iota + 1
	MySQL             // and MariaDB
)

// place is what surrounds a piece of a statement.
type place uint8

const (
	bare     place = iota
	single         // '…'
	escaped        // E'…' of PostgreSQL: the backslash escapes
	double         // "…"
	backtick       // `…` of MySQL
	dollar         // $tag$…$tag$ of PostgreSQL
	line           // -- … or # …
	block          // /* … */
)

func (p place) String() string {
	return [...]string{"", "a quoted text", "a quoted text", "a quoted name", "a quoted name",
		"a dollar-quoted text", "a comment", "a comment"}[p]
}

// piece is plain text, or a placeholder by its name.
type piece struct {
	text        string
	placeholder string
	place       place
}

func (p piece) comment() bool { return p.place == line || p.place == block }

// Template is one statement with placeholders. It has no semicolon at its end.
type Template struct {
	syntax Syntax
	pieces []piece
	verb   string // its first word in capitals, "" if it begins otherwise
	second string // the word after it
}

// Parse splits text into templates. What is between two semicolons and holds nothing but white space
// and comments is dropped. The error says what in the text is wrong, without quoting more of it than
// a placeholder's name.
func Parse(syntax Syntax, text string) ([]*Template, error) {
	switch {
	case strings.IndexByte(text, 0) >= 0:
		return nil, errors.New("holds a NUL byte: leave it out")
	case len(text) > MaxBytes:
		return nil, fmt.Errorf("is %d bytes long, at most %d are taken: put the work into a function at the database", len(text), MaxBytes)
	}
	s := scanner{syntax: syntax, text: text}
	if err := s.run(); err != nil {
		return nil, err
	}
	for _, t := range s.done {
		if last := t.pieces[len(t.pieces)-1]; syntax == MySQL && last.place == bare && strings.HasSuffix(last.text, "--") {
			return nil, errors.New("has a statement that ends in --, which is a comment there and none elsewhere: leave it out")
		}
	}
	if n := len(s.done); n > MaxStatements {
		return nil, fmt.Errorf("holds %d statements, at most %d are taken: put the work into a function at the database", n, MaxStatements)
	}
	return s.done, nil
}

// Placeholders are the names of the placeholders in t, sorted, each once. Those in comments count.
func (t *Template) Placeholders() []string {
	var names []string
	for _, p := range t.pieces {
		if p.placeholder != "" {
			names = append(names, p.placeholder)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Uses reports whether t would differ with another value of the placeholder: one in a comment does
// not count.
func (t *Template) Uses(name string) bool {
	return slices.ContainsFunc(t.pieces, func(p piece) bool {
		return p.placeholder == name && !p.comment()
	})
}

// Verb is the statement's first word in capitals, such as "CREATE"; "" if it begins otherwise.
func (t *Template) Verb() string { return t.verb }

// Transactional reports whether the statement begins, ends or divides a transaction.
func (t *Template) Transactional() bool {
	switch t.verb {
	case "BEGIN", "COMMIT", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE", "END":
		return true
	case "START", "PREPARE":
		return t.second == "TRANSACTION"
	}
	return false
}

// Lasting reports whether the statement may change the session for those that come after it.
func (t *Template) Lasting() bool {
	switch t.verb {
	case "SET", "RESET", "USE", "DISCARD", "PREPARE", "LISTEN", "LOCK":
		return t.second != "LOCAL"
	}
	return false
}

// String is the template as it was written.
func (t *Template) String() string {
	var b strings.Builder
	for _, p := range t.pieces {
		if p.placeholder != "" {
			b.WriteString("{{" + p.placeholder + "}}")
		} else {
			b.WriteString(p.text)
		}
	}
	return b.String()
}
