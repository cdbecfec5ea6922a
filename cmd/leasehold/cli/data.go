package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/leasehold/leasehold/client"
)

// maxInput bounds, in bytes, what is read from standard input or a file: the server takes no
// bigger body.
const maxInput = 32 << 20

// parseData reads arguments of the forms key=value, key=@file, key=- (standard input), @file and
// - (a JSON object). A key given again becomes a list; "\@" begins a value that begins with "@".
func (a *app) parseData(args []string) (map[string]any, error) {
	data := map[string]any{}
	for _, arg := range args {
		key, value, isPair := strings.Cut(arg, "=")
		if !isPair || strings.HasPrefix(arg, "@") {
			object, err := a.object(arg)
			if err != nil {
				return nil, err
			}
			for k, v := range object {
				merge(data, k, v)
			}
			continue
		}
		if key == "" {
			return nil, usagef("Invalid key/value pair %s: the key is missing.", quote(arg))
		}
		text, err := a.text(value)
		if err != nil {
			return nil, err
		}
		merge(data, key, text)
	}
	return data, nil
}

// merge adds a value; a second one for a key makes a list of both.
func merge(data map[string]any, key string, value any) {
	switch old := data[key].(type) {
	case nil:
		data[key] = value
	case []any:
		data[key] = append(old, value)
	default:
		data[key] = []any{old, value}
	}
}

// object reads an argument that stands for a whole JSON object.
func (a *app) object(arg string) (map[string]any, error) {
	var text string
	var err error
	switch {
	case arg == "-":
		text, err = a.input()
	case strings.HasPrefix(arg, "@"):
		text, err = readFile(arg[1:])
	default:
		return nil, usagef("Invalid key/value pair %s: format must be key=value.", quote(arg))
	}
	if err != nil {
		return nil, err
	}
	var object map[string]any
	if err := decode([]byte(text), &object); err != nil {
		return nil, localf(fmt.Errorf("not a JSON object: %w", err), "reading "+arg, "an object such as {\"key\": \"value\"}.")
	}
	return object, nil
}

// text resolves a value: standard input, a file, or itself.
func (a *app) text(value string) (string, error) {
	switch {
	case value == "-":
		return a.input()
	case strings.HasPrefix(value, "@"):
		return readFile(value[1:])
	case strings.HasPrefix(value, `\@`):
		return value[1:], nil
	}
	return value, nil
}

// input reads standard input to its end.
func (a *app) input() (string, error) {
	content, err := io.ReadAll(io.LimitReader(a.Stdin, maxInput+1))
	if err == nil && len(content) > maxInput {
		err = fmt.Errorf("longer than %d bytes", maxInput)
	}
	if err != nil {
		return "", localf(err, "reading standard input", "")
	}
	return string(content), nil
}

func readFile(name string) (string, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return "", localf(err, "reading a file", "check the name and that you may read it.")
	}
	return string(content), nil
}

// parseQuery reads the same arguments as parameters of a query.
func (a *app) parseQuery(args []string) (url.Values, error) {
	data, err := a.parseData(args)
	if err != nil {
		return nil, err
	}
	query := url.Values{}
	for key, value := range data {
		values, ok := value.([]any)
		if !ok {
			values = []any{value}
		}
		for _, v := range values {
			query.Add(key, fmt.Sprint(v))
		}
	}
	return query, nil
}

// cleanPath takes away what a path may have too much at its ends.
func cleanPath(path string) string { return strings.Trim(strings.TrimSpace(path), "/") }

// oneArg checks for exactly one argument. Without one, missing says what it would be.
func oneArg(args []string, missing string) (string, error) {
	switch {
	case len(args) == 0 || strings.TrimSpace(args[0]) == "":
		return "", usagef("%s", missing)
	case len(args) > 1:
		return "", usagef("Too many arguments (expected 1, got %d).", len(args))
	}
	return strings.TrimSpace(args[0]), nil
}

// noArgs checks that there are none.
func noArgs(args []string) error {
	if len(args) > 0 {
		return usagef("Too many arguments (expected 0, got %d).", len(args))
	}
	return nil
}

// rawData is the data of an envelope, as it came.
func rawData[T any](envelope *client.Envelope[T]) (json.RawMessage, error) {
	var outer struct {
		Data json.RawMessage `json:"data"`
	}
	if err := decode(envelope.Raw(), &outer); err != nil {
		return nil, localf(err, "reading the answer", "")
	}
	return outer.Data, nil
}
