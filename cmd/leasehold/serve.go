package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/leasehold/leasehold/cluster"
)

// newLogger makes the logger that the settings ask for.
func newLogger(c Config, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // Validate has checked it
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// stopGrace bounds an orderly stop: drain, hand over leadership, close the stores.
const stopGrace = 25 * time.Second

// serve runs a node until ctx ends, or until the node itself finds that it must not go on.
func serve(ctx context.Context, c Config, log *slog.Logger, stdout io.Writer) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	log = log.With("node", c.NodeID)
	n, err := openNode(ctx, c, log, fail)
	if err != nil {
		return err
	}
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
