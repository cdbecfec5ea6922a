package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The collector's headroom over live memory: at least minHeadroom, so that a small store does not
// collect all the time, and otherwise headroomShare percent, so that a million leases stay below the
// gigabyte that docs/benchmarks.md promises.
const (
	minHeadroom   = 96 << 20
	headroomShare = 50
	tuneInterval  = 2 * time.Second
	// openingShare holds while a node opens: a restore makes live memory only, and each collection in
	// between would walk all of it again.
	openingShare = 400
)

// tuneCollector keeps the garbage collector's headroom until ctx ends, a larger one until opened is
// closed. GOGC in the environment turns it off.
func tuneCollector(ctx context.Context, opened <-chan struct{}) {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(openingShare)
	select {
	case <-ctx.Done():
		return
	case <-opened:
	}
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	last := 0
	ticker := time.NewTicker(tuneInterval)
	defer ticker.Stop()
	for {
		metrics.Read(sample)
		if percent := gcPercent(sample[0].Value.Uint64()); percent != last {
			debug.SetGCPercent(percent)
			last = percent
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// gcPercent is the setting that gives live bytes their headroom.
func gcPercent(live uint64) int {
	const largest = 2000
	if live == 0 {
		return largest
	}
	return int(min(max(headroomShare, minHeadroom*100/live), largest))
}
