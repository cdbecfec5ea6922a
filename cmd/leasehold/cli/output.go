package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/leasehold/leasehold/client"
)

// The formats of -format.
const (
	formatTable = "table"
	formatJSON  = "json"
	formatYAML  = "yaml"
)

// format is the one asked for by flag or environment.
func (a *app) format() string {
	if a.global.format != "" {
		return a.global.format
	}
	if value, variable := client.Env("FORMAT"); variable != "" {
		return value
	}
	return formatTable
}

// run makes a RunE: it checks what can be checked before anything is sent, and connects.
func (a *app) run(do func(cmd *cobra.Command, c *client.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		switch a.format() {
		case formatTable, formatJSON, formatYAML:
		default:
			return usagef("Invalid output format: %s. It is one of table, json, yaml.", quote(a.format()))
		}
		c, err := a.connect()
		if err != nil {
			return err
		}
		return do(cmd, c, args)
	}
}

// fieldFlag gives cmd the flag -field.
func (a *app) fieldFlag(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVar(&a.field, "field", "", "print only this field, bare")
	return cmd
}

// success tells that a command without an answer is done. With a format for programs it is not
// part of the output.
func (a *app) success(format string, args ...any) {
	to := a.Stdout
	if a.format() != formatTable {
		to = a.Stderr
	}
	fmt.Fprintf(to, format+"\n", args...)
}

// secret prints an answer in its envelope: the field asked for, or all of it.
func (a *app) secret(raw []byte) error {
	var secret client.Secret
	if err := decode(raw, &secret); err != nil {
		return localf(err, "reading the answer", "")
	}
	if a.field != "" {
		return a.oneField(&secret)
	}
	if a.format() != formatTable {
		return a.value(raw)
	}
	a.secretTable(&secret)
	return nil
}

// secretTable prints an answer as a table, its warnings apart.
func (a *app) secretTable(secret *client.Secret) {
	a.warn(secret.Warnings)
	if rows := secretRows(secret); len(rows) > 0 {
		a.table(append([][]string{{"Key", "Value"}}, rows...))
	}
}

// value prints a JSON value in the format asked for, which is not table.
func (a *app) value(raw []byte) error {
	if a.format() == formatYAML {
		return writeYAML(a.Stdout, raw)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", "  "); err != nil {
		return localf(err, "reading the answer", "")
	}
	_, err := fmt.Fprintf(a.Stdout, "%s\n", bytes.TrimSpace(out.Bytes()))
	return err
}

// marshalled is value for a Go value.
func (a *app) marshalled(v any) error {
	raw, err := encode(v)
	if err != nil {
		return localf(err, "writing the answer", "")
	}
	return a.value(raw)
}

// keys prints the names of a list.
func (a *app) keys(keys []string, header string) error {
	if a.format() != formatTable {
		return a.marshalled(keys)
	}
	if header == "" {
		for _, key := range keys {
			fmt.Fprintln(a.Stdout, key)
		}
		return nil
	}
	rows := [][]string{{header}}
	for _, key := range keys {
		rows = append(rows, []string{key})
	}
	a.table(rows)
	return nil
}

// nothing tells that there is no value at path, with the exit code for it.
func (a *app) nothing(path string) error {
	if a.format() == formatJSON {
		fmt.Fprintln(a.Stdout, "{}")
	}
	fmt.Fprintf(a.Stderr, "No value found at %s\n", path)
	return exitCode(exitServer)
}

// warn tells the server's warnings.
func (a *app) warn(warnings []string) {
	if len(warnings) == 0 {
		return
	}
	fmt.Fprint(a.Stderr, "WARNING! The following warnings were returned from the server:\n\n")
	for _, warning := range warnings {
		fmt.Fprintf(a.Stderr, "  * %s\n\n", warning)
	}
}

// oneField prints one field: text bare, anything else as JSON. A newline follows only on a
// terminal, so that a file gets the value and nothing more.
func (a *app) oneField(secret *client.Secret) error {
	value, ok := fieldOf(secret, a.field)
	if !ok {
		return localf(fmt.Errorf("field %s not present in secret", quote(a.field)), "printing the field",
			"the same without -field shows all of them.")
	}
	raw, err := encode(value)
	if err != nil {
		return localf(err, "printing the field", "")
	}
	if a.format() != formatTable {
		return a.value(raw)
	}
	text := string(raw)
	if s, ok := value.(string); ok {
		text = s
	}
	if terminal(a.Stdout) {
		text += "\n"
	}
	_, err = io.WriteString(a.Stdout, text)
	return err
}

// terminal reports whether a person reads w.
func terminal(w any) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// table prints rows in columns, four blanks apart, the first row underlined. An empty cell is
// "n/a", so that tools which count columns keep their count.
func (a *app) table(rows [][]string) {
	dashes := make([]string, len(rows[0]))
	for i, title := range rows[0] {
		dashes[i] = strings.Repeat("-", utf8.RuneCountInString(title))
	}
	rows = slices.Insert(slices.Clone(rows), 1, dashes)
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i := range row {
			if row[i] == "" {
				row[i] = "n/a"
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	var out strings.Builder
	for _, row := range rows {
		for i, cell := range row {
			out.WriteString(cell)
			if i < len(row)-1 {
				out.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+4))
			}
		}
		out.WriteByte('\n')
	}
	io.WriteString(a.Stdout, out.String())
}

// human prints a duration as Vault does: without parts that are zero.
func human(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if i := strings.Index(text, "h0m"); i > 0 {
		text = text[:i+1] + text[i+3:]
	}
	return text
}

// encode writes JSON without escaping what only HTML needs escaped.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), err
}

// decode reads JSON and keeps numbers as they are written.
func decode(raw []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	return decoder.Decode(into)
}
