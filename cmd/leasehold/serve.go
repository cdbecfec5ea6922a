package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/leasehold/leasehold/cluster"
)

// newLogger makes the logger that the settings ask for. Its level can be changed.
func newLogger(c Config, w io.Writer) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	_ = level.UnmarshalText([]byte(c.LogLevel)) // Validate has checked it
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options)), level
	}
	return slog.New(slog.NewTextHandler(w, options)), level
}

// reloader does what SIGHUP asks for: it reads the level of the log and the certificates again. All
// other settings need a restart.
type reloader struct {
	reread func() (Config, error)
	level  *slog.LevelVar
}

// run serves SIGHUP and watches the certificates until ctx ends.
func (r reloader) run(ctx context.Context, n *node, hangup <-chan os.Signal) {
	asked := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { n.certs.watch(ctx, n.log, asked) })
	defer wg.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
		}
		if c, err := r.reread(); err != nil {
			n.log.Error("the settings were not read again", "error", err)
		} else if was := r.level.Level(); r.level.UnmarshalText([]byte(c.LogLevel)) == nil {
			n.log.Info("reloading", "log_level", c.LogLevel, "was", was)
		}
		select {
		case asked <- struct{}{}:
		case <-ctx.Done():
		}
	}
}

// stopGrace bounds an orderly stop: drain, hand over leadership, close the stores.
const stopGrace = 25 * time.Second

// serve runs a node until ctx ends, or until the node itself finds that it must not go on.
func serve(ctx context.Context, c Config, log *slog.Logger, reload reloader, stdout io.Writer) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	log = log.With("node", c.NodeID)
	n, err := openNode(ctx, c, log, fail)
	if err != nil {
		return err
	}
	var reloading sync.WaitGroup
	reloading.Go(func() { reload.run(ctx, n, hangup) })
	defer reloading.Wait()
	if err := n.announce(ctx, stdout); err != nil {
		fail(err)
	}
	<-ctx.Done()
	cause := context.Cause(ctx)
	signalled := errors.Is(cause, context.Canceled)
	if signalled {
		log.Info("stopping", "reason", cause)
	} else {
		log.Error("stopping", "reason", cause)
	}
	if errors.Is(cause, cluster.ErrDiskStalled) {
		return cause // at once: an orderly stop waits for the disk, and this node would lead meanwhile
	}
	stopping, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	if err := n.close(stopping); err != nil {
		log.Error("stopped with an error", "error", err)
		return err
	}
	log.Info("stopped")
	if signalled {
		return nil
	}
	return cause
}
