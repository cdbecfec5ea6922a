package database

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"
	"time"
)

// Bounds of names and of the templates that make them.
const (
	MaxNameTemplate = 512 // bytes
	maxNameText     = 512 // bytes, of what a function of a template makes
	minNameRandom   = 10  // letters and digits of a lease's random part that a name holds at least
	nameRandom      = 24  // at most
	namePart        = 8   // of the display name and of the role
)

// naming makes the names of one role's logins.
type naming struct {
	template string // "": v-<display name>-<role>-<mark>-<random>
	max      int    // bytes that the server takes
	display  string
	role     string
	now      time.Time
	random   io.Reader // for the template's own random parts
}

// name makes the name of one login. It holds the mark and enough of random to be unlike any other,
// whatever the template makes, and nothing but letters, digits, "_" and single dashes.
func (n *naming) name(mark, random string) string {
	fit := min(nameRandom, max(minNameRandom, n.max-len("v-xxx-xxx-")-len(mark)-1), len(random))
	random = random[:fit]
	room := n.max - len(mark) - len(random) - 1
	if n.template == "" {
		return n.vaultLike(room) + mark + "-" + random
	}
	made, err := n.expand(mark, random)
	made = safeName(made)
	if err == nil && len(made) <= n.max && strings.Contains(made, mark) && strings.Contains(made, random) {
		return made
	}
	if len(made) > room-1 {
		made = made[:max(room-1, 0)]
	}
	if made = strings.TrimRight(made, "-"); made != "" {
		made += "-"
	}
	return made + mark + "-" + random
}

// vaultLike is the part before the mark, with a dash at its end unless it is empty: at most room bytes.
func (n *naming) vaultLike(room int) string {
	part := min(namePart, (room-len("v---"))/2)
	if part < 1 {
		return ""
	}
	name := "v-"
	for _, text := range []string{n.display, n.role} {
		text = safeName(text)
		text = strings.Trim(text[:min(part, len(text))], "-")
		if text != "" {
			name += text + "-"
		}
	}
	return name
}

// safeName replaces what is not a letter, a digit, "_" or "-" by "_", and leaves no two dashes in a
// row, which begin a comment in SQL.
func safeName(text string) string {
	out := make([]byte, 0, len(text))
	for _, r := range text {
		switch {
		case r == '-' && (len(out) == 0 || out[len(out)-1] == '-'):
		case r < 0x80 && (r == '-' || r == '_' || strings.IndexByte(letters, byte(r)) >= 0):
			out = append(out, byte(r))
		default:
			out = append(out, '_')
		}
	}
	return string(out)
}

// checkNameTemplate refuses what a template may not hold, and what does not work with any value.
func checkNameTemplate(text string) error {
	if text == "" {
		return nil
	}
	n := naming{template: text, display: "token", role: "role", now: time.Unix(0, 0), random: zeros{}}
	_, err := n.expand("lh-00000000", strings.Repeat("0", minNameRandom))
	return err
}

// zeros is no randomness at all, which is enough to see whether a template works.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// expand runs the template.
func (n *naming) expand(mark, random string) (string, error) {
	if len(n.template) > MaxNameTemplate {
		return "", fmt.Errorf("%d bytes long, at most %d are taken", len(n.template), MaxNameTemplate)
	}
	t, err := template.New("username").Option("missingkey=error").Funcs(n.functions()).Parse(n.template)
	if err != nil {
		return "", fmt.Errorf("cannot be read: %w", shortTemplateError(err))
	}
	if len(t.Templates()) > 1 {
		return "", errors.New("defines a template of its own: leave it out")
	}
	if t.Tree == nil || t.Root == nil {
		return "", errors.New("is empty: clear it for the usual names")
	}
	for _, node := range t.Root.Nodes {
		if err := checkNode(node); err != nil {
			return "", err
		}
	}
	var b strings.Builder
	err = t.Execute(&b, map[string]string{
		"DisplayName": n.display, "RoleName": n.role, "Mark": mark, "Random": random,
	})
	if err != nil {
		return "", fmt.Errorf("does not work: %w", shortTemplateError(err))
	}
	return b.String(), nil
}

// shortTemplateError leaves out where in the template the error is, which repeats the text.
func shortTemplateError(err error) error {
	text := err.Error()
	if i := strings.LastIndex(text, ">: "); i >= 0 {
		text = text[i+3:]
	}
	return errors.New(strings.TrimPrefix(text, "template: username:1: "))
}

var (
	nameFields    = []string{"DisplayName", "RoleName", "Mark", "Random"}
	nameFunctions = []string{"random", "truncate", "truncate_sha256", "uppercase", "lowercase", "replace",
		"sha256", "unix_time", "unix_time_millis"}
)

// checkNode allows text, the fields, the functions and their arguments: no loops, no conditions and
// none of the functions that every template has.
func checkNode(node parse.Node) error {
	switch node := node.(type) {
	case *parse.TextNode, *parse.StringNode, *parse.NumberNode:
		return nil
	case *parse.ActionNode:
		return checkNode(node.Pipe)
	case *parse.PipeNode:
		if len(node.Decl) > 0 {
			return errors.New("has a variable: use a pipe instead")
		}
		for _, cmd := range node.Cmds {
			for _, arg := range cmd.Args {
				if err := checkNode(arg); err != nil {
					return err
				}
			}
		}
		return nil
	case *parse.FieldNode:
		if len(node.Ident) == 1 && slices.Contains(nameFields, node.Ident[0]) {
			return nil
		}
		return fmt.Errorf("%s is not known: use .%s", node, strings.Join(nameFields, ", ."))
	case *parse.IdentifierNode:
		if slices.Contains(nameFunctions, node.Ident) {
			return nil
		}
		return fmt.Errorf("the function %s is not known: use %s", node.Ident, strings.Join(nameFunctions, ", "))
	}
	return fmt.Errorf("%s is not taken: use fields and functions only", node)
}

// functions are those of Vault's templates that make sense in a name.
func (n *naming) functions() template.FuncMap {
	return template.FuncMap{
		"random": func(length int) (string, error) {
			if length < 1 || length > 100 {
				return "", fmt.Errorf("random %d: 1 to 100 characters are made", length)
			}
			return randomText(n.random, length)
		},
		"truncate": func(length int, text string) (string, error) {
			if length < 1 {
				return "", fmt.Errorf("truncate %d: keep one character or more", length)
			}
			return text[:min(length, len(text))], nil
		},
		"truncate_sha256": func(length int, text string) (string, error) {
			const tail = 8 // of the hash
			if length <= tail {
				return "", fmt.Errorf("truncate_sha256 %d: keep more than %d characters", length, tail)
			}
			if len(text) <= length {
				return text, nil
			}
			sum := sha256.Sum256([]byte(text))
			return text[:length-tail] + hex.EncodeToString(sum[:])[:tail], nil
		},
		"replace": func(find, with, text string) (string, error) {
			if find == "" || strings.Count(text, find)*len(with)+len(text) > maxNameText {
				return "", fmt.Errorf("replace: nothing to find, or more than %d bytes come of it", maxNameText)
			}
			return strings.ReplaceAll(text, find, with), nil
		},
		"sha256": func(text string) string {
			sum := sha256.Sum256([]byte(text))
			return hex.EncodeToString(sum[:])
		},
		"uppercase":        strings.ToUpper,
		"lowercase":        strings.ToLower,
		"unix_time":        func() string { return strconv.FormatInt(n.now.Unix(), 10) },
		"unix_time_millis": func() string { return strconv.FormatInt(n.now.UnixMilli(), 10) },
	}
}
