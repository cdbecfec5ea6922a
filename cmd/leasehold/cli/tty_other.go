//go:build !linux

package cli

import (
	"errors"
	"os"
)

// errShown is why nobody is asked for a secret where what is typed would be seen.
var errShown = errors.New("on this system the terminal would show what is typed")

func readMode(*os.File) (struct{}, error) { return struct{}{}, errShown }

func hide(*os.File) (show func(), err error) { return nil, errShown }
