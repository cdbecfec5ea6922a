// Command mutate proves that the tests can fail. It copies the repository aside, plants one bug of
// its list at a time, and runs the test that must notice:
//
//	scripts/mutations.sh                    all of them; exits 1 if one survives
//	scripts/mutations.sh -only 'expire|due' those whose names match
//	scripts/mutations.sh -check             the list fits the code and docs/mutations.md; runs no test
//	scripts/mutations.sh -doc               rewrites docs/mutations.md from the list
//
// A bug is an exact replacement in a named file. It is refused when the text is not found exactly
// once, when the result does not compile, and when the test fails without it: what is caught then
// would not be the bug. The working tree itself is never touched.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

// mutation is one deliberate bug.
type mutation struct {
	name  string
	file  string
	edits []edit
	cost  string // what it would cost a user; a sentence of docs/mutations.md
	pkg   string // of the test, below the module's root
	test  string // that must fail
}

// edit replaces a text that occurs exactly once.
type edit struct{ old, new string }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	only := flag.String("only", "", "plant the mutations whose names match this `expression`")
	with := flag.String("with", "", "run the tests that match this `expression` instead of the one named, to find one")
	limit := flag.Duration("timeout", 2*time.Minute, "how long one run of a test may take")
	checkOnly := flag.Bool("check", false, "check the list and the document, run no test")
	doc := flag.Bool("doc", false, "rewrite "+docFile)
	flag.Parse()
	pattern, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	all := mutations()
	if *doc {
		return os.WriteFile(docFile, document(all), 0o644)
	}
	if err := check(all); err != nil && (*checkOnly || *with == "") {
		return err
	}
	if *checkOnly {
		fmt.Printf("%d mutations fit the code and %s\n", len(all), docFile)
		return nil
	}
	dir, err := copyTree(ctx)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := bench{dir: dir, with: *with, limit: *limit, green: map[string]bool{}}
	survived, planted := 0, 0
	for _, m := range all {
		if !pattern.MatchString(m.name) {
			continue
		}
		planted++
		start := time.Now()
		by, err := b.plant(ctx, m)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		switch took := time.Since(start).Round(100 * time.Millisecond); {
		case errors.Is(err, errSurvived):
			survived++
			fmt.Printf("%-44s SURVIVED %s %s (%s)\n", m.name, m.pkg, m.test, took)
		case err != nil:
			return fmt.Errorf("%s: %w", m.name, err)
		default:
			fmt.Printf("%-44s caught by %s in %s (%s)\n", m.name, by, m.pkg, took)
		}
	}
	if planted == 0 {
		return fmt.Errorf("no mutation matches %q", *only)
	}
	if survived > 0 {
		return fmt.Errorf("%d of %d mutations survived", survived, planted)
	}
	fmt.Printf("all %d mutations were caught\n", planted)
	return nil
}
