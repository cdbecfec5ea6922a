//go:build !faultclock

package main

import "time"

// wall is the time of day. A build with the tag faultclock has another, which tests can set: see
// test/failover/faults.
func wall() time.Time { return time.Now() }
