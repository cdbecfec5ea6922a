package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// writeYAML prints a JSON value as YAML. JSON's values are all of YAML that is needed, so this is
// a small writer instead of a library: block style, keys sorted, text quoted where a
// reader of YAML could take it for something else.
func writeYAML(to io.Writer, raw []byte) error {
	var value any
	if err := decode(raw, &value); err != nil {
		return localf(err, "reading the answer", "")
	}
	var out strings.Builder
	yamlValue(&out, value, 0)
	text := strings.TrimPrefix(out.String(), "\n")
	_, err := io.WriteString(to, strings.TrimPrefix(text, " "))
	return err
}

// yamlValue writes value behind a key or a dash: a scalar on the same line, anything else on the
// lines below.
func yamlValue(out *strings.Builder, value any, indent int) {
	switch v := value.(type) {
	case map[string]any:
		if len(v) == 0 {
			out.WriteString(" {}\n")
			return
		}
		out.WriteByte('\n')
		for _, key := range slices.Sorted(maps.Keys(v)) {
			out.WriteString(strings.Repeat(" ", indent) + yamlText(key) + ":")
			yamlValue(out, v[key], indent+2)
		}
	case []any:
		if len(v) == 0 {
			out.WriteString(" []\n")
			return
		}
		out.WriteByte('\n')
		for _, item := range v {
			out.WriteString(strings.Repeat(" ", indent) + "-")
			yamlItem(out, item, indent+2)
		}
	case string:
		out.WriteString(" " + yamlText(v) + "\n")
	case nil:
		out.WriteString(" null\n")
	default:
		fmt.Fprintf(out, " %v\n", v)
	}
}

// yamlItem writes an item of a list; the first line of a mapping or a list in it stands behind
// the dash.
func yamlItem(out *strings.Builder, item any, indent int) {
	var inner strings.Builder
	yamlValue(&inner, item, indent)
	text := inner.String()
	if rest, ok := strings.CutPrefix(text, "\n"); ok {
		text = " " + strings.TrimLeft(rest, " ")
	}
	out.WriteString(text)
}

// yamlText writes text bare if it can only be read as text, and else in double quotes, whose
// escapes are those of JSON.
func yamlText(text string) string {
	if plainYAML(text) {
		return text
	}
	quoted, err := encode(text)
	if err != nil {
		panic(err) // a string always encodes
	}
	return string(quoted)
}

// plainYAML allows little: it begins with a letter, goes on with what lease IDs, tokens and names
// are made of, and is none of the words that YAML 1.1 or 1.2 read as a boolean or null.
func plainYAML(text string) bool {
	switch strings.ToLower(text) {
	case "", "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		return false
	}
	for i, r := range text {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		inside := i > 0 && (r >= '0' && r <= '9' || strings.ContainsRune("_-./", r))
		if !letter && !inside {
			return false
		}
	}
	return true
}
