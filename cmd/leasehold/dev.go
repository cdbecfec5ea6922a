package main

import (
	"context"
	"errors"
	"time"

	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
)

// devMount is where the -dev server leases what a newcomer asks for.
const devMount = "demo/"

// enableDevMount waits for the lone node to lead and be initialised, then enables the mount.
func (n *node) enableDevMount(ctx context.Context) error {
	for {
		_, err := n.lessor.Keyring()
		if err == nil {
			_, err = n.lessor.EnableMount(ctx, lessor.MountRequest{Path: devMount, Type: "lease", Description: "for a first look"})
		}
		var refusal *lease.Error
		if err == nil || (errors.As(err, &refusal) && refusal.Code != lease.Unavailable) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}
