package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// maxConfigFile bounds a configuration file, in bytes.
const maxConfigFile = 1 << 20

// blockLabels are the blocks of a file that carry a type, as Vault's do, and the types there are.
var blockLabels = map[string]string{"listener": "tcp", "storage": "raft", "seal": "static"}

// loader joins the sources of a configuration. It goes on after a fault, so that all of them can be
// told at once, and remembers where each value came from, so that each can be told with its place.
type loader struct {
	config  Config
	file    string
	src     []byte
	origins map[string]origin // by key; none for defaults
	faults  []string          // with their places
	faulty  map[string]bool   // keys that have one already
	unknown []string          // LEASEHOLD_ variables that mean nothing
}

// origin is where a value came from: a range of the file, or a variable or flag by name.
type origin struct {
	name string
	at   hcl.Range
}

func newLoader(base Config) *loader {
	return &loader{config: base, origins: make(map[string]origin), faulty: make(map[string]bool)}
}

// readConfig joins base, the file, the environment and the flags, the later before the earlier. The
// error tells every fault; unknown are the variables that look like settings and are none.
func readConfig(base Config, file string, environ []string, flags map[string]string) (c Config, unknown []string, err error) {
	l := newLoader(base)
	readable := true
	if file != "" {
		if readable, err = l.loadFile(file); err != nil {
			return c, nil, err
		}
	}
	l.loadEnv(environ)
	for _, s := range settings {
		if text, given := flags[s.key]; given {
			l.set(s.key, text, "-"+flagName(s.key))
		}
	}
	if address, given := flags[devListenAddress]; given {
		l.set("listener.address", address, "-"+flagName(devListenAddress))
	}
	l.config.DevRootTokenID = flags[devRootTokenID]
	l.config.complete()
	if readable { // of half a file the rest would only seem to be missing
		for _, f := range l.config.Validate() {
			l.fault(f.key, f.text)
		}
	}
	switch n := len(l.faults); n {
	case 0:
		return l.config, l.unknown, nil
	case 1:
		return c, nil, errors.New("the configuration has a fault:\n\n" + l.faults[0])
	default:
		return c, nil, fmt.Errorf("the configuration has %d faults:\n\n%s", n, strings.Join(l.faults, "\n"))
	}
}

// fault notes what is wrong with a key, at the place of its value, unless the key has a fault.
func (l *loader) fault(key, text string) {
	if l.faulty[key] {
		return
	}
	l.faulty[key] = true
	switch o, given := l.origins[key]; {
	case !given:
		l.faults = append(l.faults, key+" "+text)
	case o.name != "":
		l.faults = append(l.faults, o.name+" "+text)
	default:
		l.faults = append(l.faults, l.place(o.at, key+" "+text))
	}
}

// place gives text the file, line and column of a range, the line itself, and a caret below it.
func (l *loader) place(at hcl.Range, text string) string {
	start := min(max(at.Start.Byte, 0), len(l.src))
	begin := bytes.LastIndexByte(l.src[:start], '\n') + 1
	end := len(l.src)
	if n := bytes.IndexByte(l.src[start:], '\n'); n >= 0 {
		end = start + n
	}
	indent := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r // as wide below as above
		}
		return ' '
	}, string(l.src[begin:start]))
	length := len([]rune(string(l.src[start:max(start, min(at.End.Byte, end))])))
	return fmt.Sprintf("%s:%d:%d: %s\n  %s\n  %s%s", l.file, at.Start.Line, at.Start.Column, text,
		strings.TrimRight(string(l.src[begin:end]), "\r"), indent, strings.Repeat("^", max(length, 1)))
}

// loadFile reads an HCL or JSON file. It returns false if the file cannot be understood as a whole;
// the error is that it cannot be read.
func (l *loader) loadFile(path string) (bool, error) {
	info, err := os.Stat(path)
	if err != nil {
		return false, fmt.Errorf("read configuration: %w", err)
	}
	if info.Size() > maxConfigFile {
		return false, fmt.Errorf("read configuration: %s is larger than %d bytes, which no configuration is", path, maxConfigFile)
	}
	if l.src, err = os.ReadFile(path); err != nil {
		return false, fmt.Errorf("read configuration: %w", err)
	}
	l.file = path
	parse := hclparse.NewParser().ParseHCL
	if strings.HasSuffix(path, ".json") || bytes.HasPrefix(bytes.TrimSpace(l.src), []byte("{")) {
		parse = hclparse.NewParser().ParseJSON
	}
	file, diags := parse(l.src, path)
	if diags.HasErrors() {
		l.report(diags[:1]) // what follows the first is often only its echo
		return false, nil
	}
	l.decode(file.Body, "")
	return true, nil
}

// report notes what the parser of the file found.
func (l *loader) report(diags hcl.Diagnostics) {
	for _, d := range diags {
		if d.Severity != hcl.DiagError {
			continue
		}
		text := strings.ReplaceAll(d.Detail, "\n", " ")
		if text == "" {
			text = d.Summary
		}
		if d.Subject == nil {
			l.faults = append(l.faults, l.file+": "+text)
			continue
		}
		// The parser itself suggests names of the same block that are alike.
		word := strings.Trim(string(d.Subject.SliceBytes(l.src)), `"`)
		unknown := d.Summary == "Unsupported argument" || d.Summary == "Unsupported block type" || d.Summary == "Extraneous JSON object property"
		if near := elsewhere(word); unknown && near != "" && !strings.Contains(text, "Did you mean") {
			text += " Did you mean " + near + "?"
		}
		l.faults = append(l.faults, l.place(*d.Subject, text))
	}
}

// elsewhere is where a setting of this name is to be written: "path in block storage".
func elsewhere(word string) string {
	for _, s := range settings {
		block, attr, nested := strings.Cut(s.key, ".")
		switch {
		case nested && (attr == word || block+"_"+attr == word):
			return fmt.Sprintf("%q in block %q", attr, block)
		case !nested && s.key == word:
			return fmt.Sprintf("%q outside of any block", word)
		}
	}
	return ""
}

// schemaOf lists what may stand in a block, "" for the file itself.
func schemaOf(block string) *hcl.BodySchema {
	schema := new(hcl.BodySchema)
	var blocks []string
	for _, s := range settings {
		name, attr, nested := strings.Cut(s.key, ".")
		switch {
		case !nested && block == "":
			schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: s.key})
		case nested && block == name:
			schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: attr})
		case nested && block == "" && !slices.Contains(blocks, name):
			blocks = append(blocks, name)
			head := hcl.BlockHeaderSchema{Type: name}
			if blockLabels[name] != "" {
				head.LabelNames = []string{"type"}
			}
			schema.Blocks = append(schema.Blocks, head)
		}
	}
	return schema
}

// decode sets what a body says; block is its block's name, "" for the file itself.
func (l *loader) decode(body hcl.Body, block string) {
	content, diags := body.Content(schemaOf(block))
	l.report(diags)
	for _, s := range settings { // in their order, not the map's
		name, attr, nested := strings.Cut(s.key, ".")
		if !nested {
			name, attr = "", s.key
		}
		given := content.Attributes[attr]
		if name != block || given == nil {
			continue
		}
		l.origins[s.key] = origin{at: given.Expr.Range()}
		value, diags := given.Expr.Value(nil)
		if l.report(diags); diags.HasErrors() {
			l.faulty[s.key] = true
			continue
		}
		if err := setFromValue(&l.config, s.key, value); err != nil {
			l.fault(s.key, err.Error())
		}
	}
	seen := make(map[string]bool)
	for _, b := range content.Blocks {
		if want := blockLabels[b.Type]; want != "" && b.Labels[0] != want {
			l.faults = append(l.faults, l.place(b.LabelRanges[0],
				fmt.Sprintf("%s %q is unknown: the only type there is is %q", b.Type, b.Labels[0], want)))
		} else if seen[b.Type] {
			l.faults = append(l.faults, l.place(b.DefRange, fmt.Sprintf("a second block %q: put its settings into the first", b.Type)))
		}
		seen[b.Type] = true
		l.decode(b.Body, b.Type)
	}
}

// loadEnv sets what the environment names.
func (l *loader) loadEnv(environ []string) {
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, envPrefix) {
			continue
		}
		if i := slices.IndexFunc(settings, func(s setting) bool { return envName(s.key) == name }); i >= 0 {
			l.set(settings[i].key, value, name)
		} else {
			l.unknown = append(l.unknown, name)
		}
	}
}

// set sets a key from the text of a variable or flag.
func (l *loader) set(key, text, from string) {
	l.origins[key] = origin{name: from}
	delete(l.faulty, key) // that of a source before this one has been told
	if err := setFromText(&l.config, key, text); err != nil {
		l.fault(key, err.Error())
	}
}

var errWantList = errors.New(`is to be a list of strings, such as ["10.0.0.2:8301", "10.0.0.3:8301"]`)

func setFromValue(c *Config, key string, v cty.Value) error {
	if v.IsNull() {
		return nil
	}
	s, _ := findSetting(key)
	if list, ok := s.into(c).(*[]string); ok {
		if !v.CanIterateElements() {
			return errWantList
		}
		*list = nil
		for it := v.ElementIterator(); it.Next(); {
			_, e := it.Element()
			if e.IsNull() || e.Type() != cty.String {
				return errWantList
			}
			*list = append(*list, e.AsString())
		}
		return nil
	}
	text, err := convert.Convert(v, cty.String)
	if err != nil {
		return errors.New("is to be a single value")
	}
	return setFromText(c, key, text.AsString())
}

// setFromText sets a key from the form it has in the environment and in flags. Lists are separated
// by commas, durations are "500ms" or a number of seconds.
func setFromText(c *Config, key, text string) error {
	s, ok := findSetting(key)
	if !ok {
		return fmt.Errorf("unknown setting %q", key)
	}
	switch p := s.into(c).(type) {
	case *string:
		*p = text
	case *bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		*p = b
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is no whole number", text)
		}
		*p = n
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if seconds, numeric := strconv.ParseInt(text, 10, 32); numeric == nil {
			d, err = time.Duration(seconds)*time.Second, nil
		}
		if err != nil {
			return fmt.Errorf(`%q is no duration: write a number with a unit, such as "500ms" or "2s", or a number of seconds`, text)
		}
		*p = d
	case *[]string:
		*p = nil
		for _, part := range strings.Split(text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				*p = append(*p, part)
			}
		}
	}
	return nil
}

func findSetting(key string) (setting, bool) {
	for _, s := range settings {
		if s.key == key {
			return s, true
		}
	}
	return setting{}, false
}

// nearestEnv is the variable that name was meant to be, "" if none is like it.
func nearestEnv(name string) string {
	best, least := "", 4 // letters that may differ
	for _, s := range settings {
		if d := distance(name, envName(s.key)); d < least {
			best, least = envName(s.key), d
		}
	}
	return best
}

// distance is how many letters must be put in, taken out or changed to make one word the other.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
