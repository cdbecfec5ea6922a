//go:build faultclock

package main

import (
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// faultClockFile names a file that says how far this node's time of day is off, such as "-1h". It is
// read again and again: writing it makes the clock jump. No release has this code.
const faultClockFile = "FAULTCLOCK_FILE"

// faultClockOff is how far the time of day is off, in nanoseconds.
var faultClockOff atomic.Int64

func init() {
	file := os.Getenv(faultClockFile)
	if file == "" {
		return
	}
	faultClockRead(file)
	go func() {
		for range time.Tick(20 * time.Millisecond) {
			faultClockRead(file)
		}
	}()
}

func faultClockRead(file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		return // the run is over
	}
	if off, err := time.ParseDuration(strings.TrimSpace(string(text))); err == nil {
		faultClockOff.Store(int64(off))
	}
}

// wall is the time of day as this node's clock has it. Monotonic time is left alone, as by a clock that
// is set: so the reading carries none.
func wall() time.Time { return time.Now().Round(0).Add(time.Duration(faultClockOff.Load())) }
