package cli

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// hclToken is a piece of HCL that blanks must not part.
type hclToken struct {
	kind byte // one of {}[](),= for itself, '"' a string, '#' a comment, 'w' any other word
	text string
}

// hclLine is a line of a file, without its blanks.
type hclLine []hclToken

// formatHCL sets indents, the blanks between words, and the = of neighbouring lines below each
// other. Lines stay lines, so that it works for either version of the language and keeps comments
// where they are.
func formatHCL(text string) ([]byte, error) {
	lines, err := hclLines(text)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	depth, column := 0, 0 // column is how wide the names are of the arguments that stand together
	for i, line := range lines {
		if len(line) == 0 { // one empty line in a row, none at the ends
			if out.Len() > 0 && len(lines[i-1]) > 0 {
				out.WriteByte('\n')
			}
			continue
		}
		indent := depth
		for _, token := range line {
			if !strings.ContainsRune("}])", rune(token.kind)) {
				break
			}
			indent--
		}
		switch {
		case !isArgument(line):
			column = 0
		case i == 0 || !isArgument(lines[i-1]) || nesting(lines[i-1]) != 0:
			column = argumentsWidth(lines[i:])
		}
		out.WriteString(strings.Repeat("  ", indent))
		out.WriteString(line.join(column))
		out.WriteByte('\n')
		depth += nesting(line)
	}
	if out.Len() == 0 {
		return nil, nil
	}
	return append(bytes.TrimRight(out.Bytes(), "\n"), '\n'), nil
}

// nesting is how much deeper a line's end is than its beginning.
func nesting(line hclLine) int {
	n := 0
	for _, token := range line {
		switch token.kind {
		case '{', '[', '(':
			n++
		case '}', ']', ')':
			n--
		}
	}
	return n
}

// isArgument reports whether a line begins with a name and "=".
func isArgument(line hclLine) bool {
	return len(line) > 1 && line[1].kind == '=' && (line[0].kind == 'w' || line[0].kind == '"')
}

// argumentsWidth is the width of the longest name among the arguments that begin lines, up to the
// first that goes on below.
func argumentsWidth(lines []hclLine) int {
	width := 0
	for _, line := range lines {
		if !isArgument(line) {
			break
		}
		width = max(width, utf8.RuneCountInString(line[0].text))
		if nesting(line) != 0 {
			break
		}
	}
	return width
}

// join writes a line with the usual blanks; the name of an argument is as wide as column at least.
func (line hclLine) join(column int) string {
	var out strings.Builder
	for i, token := range line {
		if i > 0 && apart(line[i-1].kind, token.kind) {
			out.WriteByte(' ')
		}
		out.WriteString(token.text)
		if i == 0 {
			out.WriteString(strings.Repeat(" ", max(column-utf8.RuneCountInString(token.text), 0)))
		}
	}
	return out.String()
}

// apart reports whether a blank belongs between two neighbours.
func apart(left, right byte) bool {
	switch {
	case left == '[' || left == '(' || right == ']' || right == ')' || right == ',':
		return false
	case left == '{' && right == '}':
		return false
	}
	return true
}

// hclLines splits a file into lines of tokens, and finds what is not closed.
func hclLines(text string) ([]hclLine, error) {
	var lines []hclLine
	var line hclLine
	var open []byte // brackets that are not closed yet
	for rest := text; rest != ""; {
		token, err := nextToken(rest)
		if err == nil {
			open, err = match(open, token.kind)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", len(lines)+1, err)
		}
		rest = rest[len(token.text):]
		switch token.kind {
		case '\n':
			lines, line = append(lines, line), nil
		case ' ':
		default:
			token.text = strings.TrimRight(token.text, "\r")
			line = append(line, token)
		}
	}
	if len(open) > 0 {
		return nil, fmt.Errorf("line %d: the file ends before %q is closed", len(lines)+1, open[len(open)-1])
	}
	return append(lines, line), nil
}

// match keeps track of brackets.
func match(open []byte, kind byte) ([]byte, error) {
	pairs := map[byte]byte{'}': '{', ']': '[', ')': '('}
	switch kind {
	case '{', '[', '(':
		return append(open, kind), nil
	case '}', ']', ')':
		if len(open) == 0 || open[len(open)-1] != pairs[kind] {
			return nil, fmt.Errorf("%q closes nothing", kind)
		}
		return open[:len(open)-1], nil
	}
	return open, nil
}

// nextToken takes the token that text begins with. Blanks and the end of a line are tokens, too.
func nextToken(text string) (hclToken, error) {
	upTo := func(end int, kind byte) (hclToken, error) {
		if end < 0 {
			end = len(text)
		}
		return hclToken{kind, text[:end]}, nil
	}
	switch first := text[0]; {
	case first == '\n':
		return upTo(1, '\n')
	case strings.IndexByte(" \t\r", first) >= 0:
		return upTo(len(text)-len(strings.TrimLeft(text, " \t\r")), ' ')
	case strings.IndexByte("{}[](),=", first) >= 0:
		return upTo(1, first)
	case first == '#' || strings.HasPrefix(text, "//"):
		return upTo(strings.IndexByte(text, '\n'), '#')
	case strings.HasPrefix(text, "/*") || strings.HasPrefix(text, "<<"):
		return hclToken{}, fmt.Errorf("this cannot format comments within /* */ or text within <<: use # and quotes")
	case first == '"':
		for i := 1; i < len(text) && text[i] != '\n'; i++ {
			switch text[i] {
			case '\\':
				i++
			case '"':
				return upTo(i+1, '"')
			}
		}
		return hclToken{}, fmt.Errorf("a quote is not closed")
	}
	return upTo(strings.IndexAny(text, " \t\r\n{}[](),=#\""), 'w')
}
