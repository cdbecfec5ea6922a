package cli

// This test is inside the package because a command can only show single files.

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// Whatever is formatted says the same afterwards, word by word and line by line, and is left alone
// the second time.
func TestFormattingKeepsTheWords(t *testing.T) {
	pieces := []string{
		"path", `"a/*"`, `"é\"}#"`, "{", "}", "[", "]", "(", ")", ",", "=", "\n", "\n", "\r\n", " ", "\t", "# note", "// note",
		"capabilities", `"read"`, "1h", "<", "/",
	}
	words := func(text string) []hclLine {
		lines, err := hclLines(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		var full []hclLine
		for _, line := range lines {
			if len(line) > 0 {
				full = append(full, line)
			}
		}
		return full
	}
	const seed = 7
	random, formatted := rand.New(rand.NewPCG(seed, seed)), 0
	for range 20000 {
		var text strings.Builder
		for range 1 + random.IntN(14) {
			text.WriteString(pieces[random.IntN(len(pieces))])
		}
		once, err := formatHCL(text.String())
		if err != nil {
			continue
		}
		formatted++
		if !reflect.DeepEqual(words(text.String()), words(string(once))) {
			t.Fatalf("seed %d: %q became %q, which says something else", seed, text.String(), once)
		}
		if twice, err := formatHCL(string(once)); err != nil || string(twice) != string(once) {
			t.Fatalf("seed %d: %q became %q and then %q, %v", seed, text.String(), once, twice, err)
		}
	}
	if formatted < 1000 {
		t.Errorf("%d texts could be formatted, want at least 1000", formatted)
	}
}
