package cli_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/leasehold/leasehold/cmd/leasehold/cli"
)

// TestMain makes the test binary serve as the leasehold command of the scripts. Like the real one
// it ends its context when it is interrupted.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"leasehold": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		os.Exit(cli.Run(ctx, os.Args[1:], cli.Options{
			Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Version: "1.2.3",
		}))
	}})
}

// TestScripts runs the scripts in testdata. Beside the usual commands they have
//
//	api FILE             serve what FILE scripts (see readExchanges); VAULT_ADDR then names it
//	served               every request of FILE has come, and no other
//	exits CODE CMD...    run CMD and want this very exit code
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("VAULT_TOKEN", "hvs.test")
			env.Setenv("VAULT_ADDR", "http://127.0.0.1:1") // nothing listens there
			// Under the race detector every process would else wait a second before it exits.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"api": startAPI, "served": checkServed, "exits": exits,
		},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE CMD...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code: got %d, want %d", got, want)
	}
}
