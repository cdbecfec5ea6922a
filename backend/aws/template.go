package aws

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"
)

// Bounds of a username_template, in bytes.
const (
	MaxNameTemplate = 1024
	maxMade         = 512 // of what a function makes
)

var (
	nameFields    = []string{"Type", "DisplayName", "PolicyName", "RoleName", "Mark", "Random"}
	nameFunctions = []string{"random", "truncate", "truncate_sha256", "uppercase", "lowercase", "replace", "printf",
		"sha256", "base64", "unix_time", "unix_time_millis", "timestamp", "uuid", "eq", "ne", "and", "or", "not"}
)

// checkNameTemplate refuses what a template may not hold, and what does not work with ordinary values.
func checkNameTemplate(text string) error {
	if text == "" {
		return nil
	}
	for _, kind := range []string{typeUser, typeToken} {
		n := naming{template: text, kind: kind, display: "token", role: "role", random: zeros{}}
		if _, err := n.expand("lh-00000000", strings.Repeat("0", nameRandom)); err != nil {
			return err
		}
	}
	return nil
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
	t, err := template.New("name").Option("missingkey=error").Funcs(n.functions()).Parse(n.template)
	if err != nil {
		return "", fmt.Errorf("cannot be read: %w", shorter(err))
	}
	if len(t.Templates()) > 1 {
		return "", errors.New("defines a template of its own: leave it out")
	}
	if t.Tree == nil || t.Root == nil {
		return "", errors.New("is empty: clear it for the usual names")
	}
	if err := checkNodes(t.Root); err != nil {
		return "", err
	}
	var out limited
	err = t.Execute(&out, map[string]string{
		"Type": n.kind, "DisplayName": n.display, "PolicyName": n.role, "RoleName": n.role, "Mark": mark, "Random": random,
	})
	if err != nil {
		return "", fmt.Errorf("does not work: %w", shorter(err))
	}
	return out.String(), nil
}

// limited takes at most maxMade bytes.
type limited struct{ strings.Builder }

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > maxMade {
		return 0, fmt.Errorf("more than %d bytes come of it", maxMade)
	}
	return l.Builder.Write(p)
}

// shorter leaves out where in the template an error is, which repeats the text.
func shorter(err error) error {
	text := err.Error()
	if i := strings.LastIndex(text, ">: "); i >= 0 {
		text = text[i+len(">: "):]
	}
	return errors.New(strings.TrimPrefix(text, "template: name:1: "))
}

func checkNodes(list *parse.ListNode) error {
	if list == nil {
		return nil
	}
	for _, node := range list.Nodes {
		if err := checkNode(node); err != nil {
			return err
		}
	}
	return nil
}

// checkNode allows text, conditions, the fields, the functions and their arguments: no loops, no
// variables and none of the other functions that every template has.
func checkNode(node parse.Node) error {
	switch node := node.(type) {
	case *parse.TextNode, *parse.StringNode, *parse.NumberNode, *parse.BoolNode:
		return nil
	case *parse.ActionNode:
		return checkNode(node.Pipe)
	case *parse.IfNode:
		if err := checkNode(node.Pipe); err != nil {
			return err
		}
		if err := checkNodes(node.List); err != nil {
			return err
		}
		return checkNodes(node.ElseList)
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
	return fmt.Errorf("%s is not taken: use fields, functions and conditions only", node)
}

// functions are those of Vault's templates. None makes a long text of a short one.
func (n *naming) functions() template.FuncMap {
	return template.FuncMap{
		"random": func(length int) (string, error) {
			if length < 1 || length > 100 {
				return "", fmt.Errorf("random %d: 1 to 100 characters are made", length)
			}
			return randomText(n.random, length)
		},
		"truncate":        truncate,
		"truncate_sha256": truncateHash,
		"replace":         replace,
		"printf":          printf,
		"sha256":          func(text string) string { return hash(text) },
		"base64":          func(text string) string { return base64.StdEncoding.EncodeToString([]byte(cut(text, maxMade/2))) },
		"uppercase":       func(text string) string { return strings.ToUpper(cut(text, maxMade)) },
		"lowercase":       func(text string) string { return strings.ToLower(cut(text, maxMade)) },
		"uuid": func() (string, error) {
			b := make([]byte, 16)
			_, err := io.ReadFull(n.random, b)
			return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), err
		},
		"unix_time":        func() string { return strconv.FormatInt(n.now.Unix(), 10) },
		"unix_time_millis": func() string { return strconv.FormatInt(n.now.UnixMilli(), 10) },
		"timestamp":        func(layout string) string { return cut(n.now.UTC().Format(cut(layout, 64)), maxMade) },
	}
}

func cut(text string, length int) string { return text[:min(length, len(text))] }

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func truncate(length int, text string) (string, error) {
	if length < 1 {
		return "", fmt.Errorf("truncate %d: keep one character or more", length)
	}
	return cut(text, length), nil
}

func truncateHash(length int, text string) (string, error) {
	const tail = 8 // of the hash
	if length <= tail {
		return "", fmt.Errorf("truncate_sha256 %d: keep more than %d characters", length, tail)
	}
	if len(text) <= length {
		return text, nil
	}
	return text[:length-tail] + hash(text)[:tail], nil
}

func replace(find, with, text string) (string, error) {
	if find == "" || strings.Count(text, find)*len(with)+len(text) > maxMade {
		return "", fmt.Errorf("replace: nothing to find, or more than %d bytes come of it", maxMade)
	}
	return strings.ReplaceAll(text, find, with), nil
}

// verbs are those of printf without widths and argument numbers, by which a short text makes a long one.
var verbs = regexp.MustCompile(`%[sdv%]`)

func printf(format string, args ...any) (string, error) {
	if strings.Contains(verbs.ReplaceAllString(format, ""), "%") {
		return "", fmt.Errorf("printf %q: use %%s, %%d, %%v and %%%% alone", cut(format, 32))
	}
	made := fmt.Sprintf(format, args...)
	if len(made) > maxMade {
		return "", fmt.Errorf("printf: more than %d bytes come of it", maxMade)
	}
	return made, nil
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// randomText is length letters and digits, each as likely as any other.
func randomText(random io.Reader, length int) (string, error) {
	out := make([]byte, 0, length)
	buf := make([]byte, length)
	for len(out) < length {
		if _, err := io.ReadFull(random, buf); err != nil {
			return "", fmt.Errorf("read randomness: %w", err)
		}
		for _, b := range buf {
			if len(out) < length && int(b) < 256/len(letters)*len(letters) {
				out = append(out, letters[int(b)%len(letters)])
			}
		}
	}
	return string(out), nil
}
