package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	// MaxText is the longest policy text that is read, in bytes.
	MaxText = 256 << 10
	// maxDepth bounds how deep lists and objects nest; a policy needs five levels.
	maxDepth = 16
)

// value is a string, json.Number, bool, nil, []value or []item, and the line it begins on.
type value struct {
	is   any
	line int
}

// item is one argument or block of an object: key = value, or key "label" { ... }.
type item struct {
	key    string
	labels []string
	line   int
	value  value
}

// parser reads the grammar of HCL 1, of which JSON is nearly a part:
//
//	text   = items | "{" items "}"
//	items  = { key { label } ( "=" value | ":" value | object ) [ "," ] }
//	value  = string | number | true | false | null | "[" { value "," } "]" | object
//	object = "{" items "}"
type parser struct {
	lex   lexer
	tok   token // the next one, not yet taken
	depth int
}

// parseText reads a whole policy text as the items of one object.
func parseText(text string) ([]item, error) {
	if len(text) > MaxText {
		return nil, fmt.Errorf("the policy has %d bytes; at most %d are allowed", len(text), MaxText)
	}
	if !utf8.ValidString(text) {
		return nil, errors.New("the policy is not valid UTF-8")
	}
	p := &parser{lex: lexer{text: strings.TrimPrefix(text, "\ufeff"), line: 1}}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.tok.kind != '{' {
		return p.items(tokenEnd)
	}
	items, err := p.object()
	if err != nil {
		return nil, err
	}
	if p.tok.kind != tokenEnd {
		return nil, fmt.Errorf("unexpected %s after the closing '}' on line %d", p.tok, p.tok.line)
	}
	return items, nil
}

// advance takes the next token. After an error the token stays what it was.
func (p *parser) advance() error {
	tok, err := p.lex.next()
	if err == nil {
		p.tok = tok
	}
	return err
}

// items reads up to the token end, which it leaves.
func (p *parser) items(end kind) ([]item, error) {
	var items []item
	for p.tok.kind != end {
		it, err := p.item()
		if err != nil {
			return nil, err
		}
		items = append(items, it)
		if p.tok.kind == ',' {
			if err := p.advance(); err != nil {
				return nil, err
			}
		}
	}
	return items, nil
}

func (p *parser) item() (item, error) {
	if p.tok.kind != tokenIdent && p.tok.kind != tokenString {
		return item{}, fmt.Errorf("expected a name, not %s, on line %d", p.tok, p.tok.line)
	}
	it := item{key: p.tok.text, line: p.tok.line}
	for {
		if err := p.advance(); err != nil {
			return item{}, err
		}
		if p.tok.kind != tokenString && p.tok.kind != tokenIdent {
			break
		}
		it.labels = append(it.labels, p.tok.text)
	}
	switch {
	case p.tok.kind == '{':
	case (p.tok.kind == '=' || p.tok.kind == ':') && it.labels == nil:
		if err := p.advance(); err != nil {
			return item{}, err
		}
	case it.labels == nil:
		return item{}, fmt.Errorf("expected '=' or '{' after %q, not %s, on line %d", shorten(it.key), p.tok, p.tok.line)
	default:
		return item{}, fmt.Errorf("expected '{' after %s %q, not %s, on line %d", it.key,
			shorten(it.labels[len(it.labels)-1]), p.tok, p.tok.line)
	}
	var err error
	it.value, err = p.value()
	return it, err
}

func (p *parser) value() (value, error) {
	v := value{line: p.tok.line}
	var err error
	switch p.tok.kind {
	case '{':
		v.is, err = p.object()
		return v, err
	case '[':
		v.is, err = p.list()
		return v, err
	case tokenString:
		v.is = p.tok.text
	case tokenNumber:
		v.is = json.Number(p.tok.text)
	default:
		switch p.tok.text {
		case "true":
			v.is = true
		case "false":
			v.is = false
		case "null":
			v.is = nil
		default:
			return v, fmt.Errorf("expected a value, not %s, on line %d", p.tok, p.tok.line)
		}
	}
	return v, p.advance()
}

func (p *parser) object() ([]item, error) {
	open := p.tok.line
	if err := p.descend(); err != nil {
		return nil, err
	}
	items, err := p.items('}')
	if err != nil {
		return nil, unclosed(err, p.tok, '{', open)
	}
	p.depth--
	if items == nil {
		items = []item{}
	}
	return items, p.advance()
}

func (p *parser) list() ([]value, error) {
	open := p.tok.line
	if err := p.descend(); err != nil {
		return nil, err
	}
	list := []value{}
	for p.tok.kind != ']' {
		v, err := p.value()
		if err != nil {
			return nil, unclosed(err, p.tok, '[', open)
		}
		list = append(list, v)
		if p.tok.kind == ',' {
			if err := p.advance(); err != nil {
				return nil, err
			}
		} else if p.tok.kind == tokenEnd {
			return nil, unclosed(nil, p.tok, '[', open)
		} else if p.tok.kind != ']' {
			return nil, fmt.Errorf("expected ',' or ']', not %s, on line %d", p.tok, p.tok.line)
		}
	}
	p.depth--
	return list, p.advance()
}

// descend takes an opening bracket.
func (p *parser) descend() error {
	if p.depth++; p.depth > maxDepth {
		return fmt.Errorf("nested more than %d deep on line %d", maxDepth, p.tok.line)
	}
	return p.advance()
}

// errUnclosed is a text that ends inside a bracket; the innermost one is named.
type errUnclosed struct{ text string }

func (e errUnclosed) Error() string { return e.text }

func unclosed(err error, tok token, bracket byte, line int) error {
	if tok.kind != tokenEnd || errors.As(err, new(errUnclosed)) {
		return err
	}
	return errUnclosed{fmt.Sprintf("the '%c' on line %d is not closed", bracket, line)}
}
