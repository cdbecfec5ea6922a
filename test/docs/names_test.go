package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	link = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	span = regexp.MustCompile("`([^`\n]+)`")
	// made are the files that a reader makes by following a page.
	made = []string{"seal.key", "gossip.key", "body", "leasehold.hcl"}
)

// TestLinks: what a document links to is there, headings included.
func TestLinks(t *testing.T) {
	seen := 0
	for _, d := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(d.text, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			seen++
			file := filepath.Join(filepath.Dir(d.name), target)
			if target == "" {
				file = d.name
			}
			if _, err := os.Stat(filepath.Join(cluster.Root, file)); err != nil {
				t.Errorf("%s links to %s, which is not there", d.name, m[1])
				continue
			}
			if anchor != "" && !slices.Contains(anchors(read(t, file)), anchor) {
				t.Errorf("%s links to %s, and %s has no such heading", d.name, m[1], file)
			}
		}
	}
	if seen < 5 {
		t.Errorf("%d links were found, want at least 5", seen)
	}
}

// anchors are the names by which a page's headings can be linked to.
func anchors(text string) []string {
	var out []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		name := strings.ReplaceAll(strings.ToLower(m[1]), " ", "-")
		out = append(out, regexp.MustCompile(`[^a-z0-9_-]`).ReplaceAllString(name, ""))
	}
	return out
}

// TestNamedFilesExist: a word in code style that looks like a file of the repository is one, and so are
// targets of make and verbs of the scripts.
func TestNamedFilesExist(t *testing.T) {
	top := make(map[string]bool)
	entries, err := os.ReadDir(cluster.Root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		top[e.Name()] = e.IsDir()
	}
	bases := baseNames(t) // a page may speak of a file without its folder
	makefile, seen := read(t, "Makefile"), 0
	for _, d := range documents(t) {
		for _, m := range span.FindAllStringSubmatch(d.text, -1) {
			word := m[1]
			if target, ok := strings.CutPrefix(word, "make "); ok {
				seen++
				if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(strings.Fields(target)[0]) + `:`).MatchString(makefile) {
					t.Errorf("%s says %q, and the Makefile has no such target", d.name, word)
				}
			}
			word, _, _ = strings.Cut(word, " ")
			if !namesFile(word, top) || slices.Contains(made, word) {
				continue
			}
			seen++
			if _, err := os.Stat(filepath.Join(cluster.Root, word)); err == nil {
				continue
			}
			if _, err := os.Stat(filepath.Join(cluster.Root, filepath.Dir(d.name), word)); err != nil && !bases[word] {
				t.Errorf("%s names %s, which is not there", d.name, word)
			}
		}
	}
	if seen < 5 {
		t.Errorf("%d names were found, want at least 5", seen)
	}
}

// baseNames are the names of all files, without their folders.
func baseNames(t *testing.T) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	err := filepath.WalkDir(cluster.Root, func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == ".cluster" || d.Name() == "dist"):
			return filepath.SkipDir
		case !d.IsDir():
			names[d.Name()] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// namesFile reports whether a word is meant as a file of the repository: it begins with one of its
// directories, or ends as its files do.
func namesFile(word string, top map[string]bool) bool {
	if !regexp.MustCompile(`^[\w.][\w./-]*$`).MatchString(word) {
		return false
	}
	if first, _, ok := strings.Cut(word, "/"); ok && top[first] {
		return true
	}
	return slices.Contains([]string{".go", ".md", ".sh", ".yml", ".proto", ".mod"}, filepath.Ext(word))
}

// setting is a row of the table in docs/configuration.md.
var setting = regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\| `([A-Z_]+)` \\| .* \\| (.+) \\|$")

// TestConfigurationPage: the page lists exactly the settings that the server has, and says of each what
// the server says.
func TestConfigurationPage(t *testing.T) {
	help, _, code := cluster.CLI("server", "--help")
	if code != 0 {
		t.Fatalf("leasehold server --help: exit code %d", code)
	}
	help, _, _ = strings.Cut(help, "Global Flags:")
	has := make(map[string]string)
	for _, m := range regexp.MustCompile(`(?m)^ +(?:-\w, )?--([a-z-]+)(?: string(?:\[="true"\])?)? {2,}(.+)$`).FindAllStringSubmatch(help, -1) {
		// What is no setting: where they come from, the server for a first look, help.
		if m[1] != "config" && m[1] != "help" && m[1] != "dev" && !strings.HasPrefix(m[1], "dev-") {
			has[m[1]] = m[2]
		}
	}
	if len(has) < 10 {
		t.Fatalf("leasehold server --help shows %d settings:\n%s", len(has), help)
	}
	says := make(map[string]string)
	for _, m := range setting.FindAllStringSubmatch(read(t, "docs/configuration.md"), -1) {
		flag := strings.NewReplacer(".", "-", "_", "-").Replace(m[1])
		says[flag] = m[3]
		if want := "LEASEHOLD_" + strings.ToUpper(strings.ReplaceAll(m[1], ".", "__")); m[2] != want {
			t.Errorf("%s has the variable %s on the page, want %s", m[1], m[2], want)
		}
	}
	for flag, meaning := range has {
		if says[flag] != meaning {
			t.Errorf("-%s is %q to the server and %q on the page", flag, meaning, says[flag])
		}
	}
	for flag := range says {
		if has[flag] == "" {
			t.Errorf("the page has -%s, the server has not", flag)
		}
	}
}

// TestConfigurationExample: the file on the page is one that the server takes.
func TestConfigurationExample(t *testing.T) {
	m := regexp.MustCompile("(?s)```hcl\n(.*?)```").FindStringSubmatch(read(t, "docs/configuration.md"))
	if m == nil {
		t.Fatal("the page has no example")
	}
	dir := t.TempDir()
	key := filepath.Join(dir, "seal.key")
	run(t, dir, "head -c 32 /dev/urandom | base64 > seal.key && chmod 600 seal.key")
	text := strings.NewReplacer("/etc/leasehold/seal.key", key, "/var/lib/leasehold", filepath.Join(dir, "data")).Replace(m[1])
	file := filepath.Join(dir, "leasehold.hcl")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, dir, fmt.Sprintf("leasehold validate %s", file))
	if err := os.WriteFile(file, []byte(text+"\nno_such_setting = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, dir, fmt.Sprintf("! leasehold validate %s", file))
}
