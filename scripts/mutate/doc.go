package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

const docFile = "docs/mutations.md"

const preface = `# Mutations: the bugs that the tests must find

A test that cannot fail proves nothing. So the bugs below are planted on purpose, one at a time, in a
copy of the repository, and the test in the last column is run against each. It must pass without
the bug and fail with it. Run it again, all or some of it, with:

    scripts/mutations.sh
    scripts/mutations.sh -only 'expire|due'

The command ends with an error if a bug survives. The table is written by ` + "`scripts/mutations.sh -doc`" + `
from the list in ` + "`scripts/mutate`" + `, where the exact replacements stand; a test in the root package
fails when list, code and table part. A change that makes a replacement impossible changes the list in
the same commit. A bug that escaped to a user, or that no test here notices, gets a row and a test in
the lowest layer that can show it.

| bug planted | in | what it would cost a user | caught by |
| --- | --- | --- | --- |
`

// document is docs/mutations.md.
func document(all []mutation) []byte {
	var buf bytes.Buffer
	buf.WriteString(preface)
	for _, m := range all {
		fmt.Fprintf(&buf, "| %s | `%s` | %s | `%s` in `%s` |\n", m.name, m.file, m.cost, m.test, m.pkg)
	}
	return buf.Bytes()
}

// check makes sure that each mutation can be planted, that its test exists, and that the document is
// that of the list.
func check(all []mutation) error {
	var faults []error
	seen := map[string]bool{}
	for _, m := range all {
		if seen[m.name] {
			faults = append(faults, fmt.Errorf("%s: the name is taken", m.name))
		}
		seen[m.name] = true
		if err := m.check(); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", m.name, err))
		}
	}
	if have, err := os.ReadFile(docFile); err != nil {
		faults = append(faults, err)
	} else if !bytes.Equal(have, document(all)) {
		faults = append(faults, fmt.Errorf("%s is not what the list says: run scripts/mutations.sh -doc", docFile))
	}
	return errors.Join(faults...)
}

func (m mutation) check() error {
	text, err := os.ReadFile(m.file)
	if err != nil {
		return err
	}
	broken, err := m.apply(string(text))
	if err != nil {
		return err
	}
	if broken == string(text) {
		return errors.New("changes nothing")
	}
	if m.cost == "" || strings.ContainsAny(m.name+m.cost, "|\n") {
		return errors.New("the document needs a cost, in one line without bars")
	}
	return m.checkTest()
}

// checkTest looks for the function of the test; a subtest's name is known only when it runs.
func (m mutation) checkTest() error {
	if m.test == "" {
		return errors.New("no test is named: find one with -broad, or write one")
	}
	name, _, _ := strings.Cut(m.test, "/")
	find := regexp.MustCompile(`(?m)^func ` + regexp.QuoteMeta(name) + `\(\w+ \*testing\.[TF]\)`)
	files, err := filepath.Glob(filepath.Join(m.pkg, "*_test.go"))
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if find.Match(text) {
			return nil
		}
	}
	return fmt.Errorf("%s has no test %s", m.pkg, name)
}
