// Package docs keeps the documents true. It runs every shell block of the README and of docs/ as it is
// printed, in order, on a cluster of its own; plays "make demo" and reads its figures; and checks
// links, names of files and targets, and the list of settings.
package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/leasehold/leasehold/test/harness"
)

var cluster *harness.Cluster

func TestMain(m *testing.M) {
	var err error
	if cluster, err = harness.Start(3, "85"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if code != 0 {
		fmt.Fprintln(os.Stderr, cluster.Logs(15))
	}
	cluster.Wipe()
	os.Exit(code)
}

// document is a page of the repository.
type document struct {
	name string // from the root
	text string
}

// documents reads the README, the changelog and everything below docs/.
func documents(t *testing.T) []document {
	t.Helper()
	names := []string{"README.md", "CHANGELOG.md"}
	err := filepath.WalkDir(filepath.Join(cluster.Root, "docs"), func(path string, d os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".md") {
			name, relErr := filepath.Rel(cluster.Root, path)
			names, err = append(names, name), relErr
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var list []document
	for _, name := range names {
		list = append(list, document{name, read(t, name)})
	}
	if len(list) < 6 {
		t.Fatalf("%d documents, want at least 6", len(list))
	}
	return list
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(cluster.Root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// block is a piece of shell in a document.
type block struct {
	line int
	text string
}

var fence = regexp.MustCompile("(?m)^```([a-z]*)$")

// blocks finds the shell blocks of a document. It fails at one that is marked otherwise than sh, since that
// would not be run.
func (d document) blocks(t *testing.T) []block {
	t.Helper()
	var out []block
	marks := fence.FindAllStringSubmatchIndex(d.text, -1)
	if len(marks)%2 != 0 {
		t.Fatalf("%s: a block has no end", d.name)
	}
	for i := 0; i < len(marks); i += 2 {
		kind, body := d.text[marks[i][2]:marks[i][3]], d.text[marks[i][1]+1:marks[i+1][0]]
		line := 1 + strings.Count(d.text[:marks[i][0]], "\n")
		switch kind {
		case "sh":
			out = append(out, block{line, body})
		case "bash", "shell", "console":
			t.Errorf("%s:%d: mark shell blocks as sh, so that they are run; this one is marked %s", d.name, line, kind)
		}
	}
	return out
}
