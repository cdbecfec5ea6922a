//go:build !linux

package bench

import (
	"context"
	"errors"
)

// poller needs epoll: the rest of the command line works without.
type poller struct{ result sample }

func newPoller(target, int, work) (*poller, error) {
	return nil, errors.New("this measurement needs Linux: run it where the nodes run")
}

func (*poller) run(context.Context) error { return nil }
func (*poller) close()                    {}
