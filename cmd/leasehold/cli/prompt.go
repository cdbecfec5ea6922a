package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// maxTyped bounds, in bytes, what is typed at a prompt: no terminal hands over a longer line.
const maxTyped = 4096

// canAsk reports whether a person sits at standard input.
func (a *app) canAsk() bool {
	file, ok := a.Stdin.(*os.File)
	if !ok {
		return false
	}
	_, err := readMode(file)
	return err == nil
}

// ask has the person at the terminal type a line that is not shown. It asks the terminal itself, so
// that what the command prints can go elsewhere.
func (a *app) ask(ctx context.Context, prompt string) (string, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", localf(err, "opening the terminal", "the value from a file (KEY=@FILE) or from standard input (KEY=-).")
	}
	defer tty.Close()
	show, err := hide(tty)
	if err != nil {
		return "", localf(err, "hiding what is typed", "the value from a file (KEY=@FILE).")
	}
	defer show()
	// Whoever interrupts the command is not kept waiting for the end of the line.
	defer context.AfterFunc(ctx, func() {
		_ = tty.SetReadDeadline(time.Unix(1, 0)) // where it cannot be set, the line's end ends the wait
	})()
	fmt.Fprint(tty, prompt)
	line, err := bufio.NewReader(io.LimitReader(tty, maxTyped)).ReadString('\n')
	if ctx.Err() != nil {
		fmt.Fprintln(tty)
		return "", localf(ctx.Err(), "asking", "")
	}
	if err != nil && err != io.EOF { // at the end of input, what was typed so far counts
		return "", localf(err, "reading from the terminal", "")
	}
	return strings.TrimRight(line, "\r\n"), nil
}
