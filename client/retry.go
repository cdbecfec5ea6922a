package client

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// Bounds of the waits between attempts.
const (
	firstWait     = 250 * time.Millisecond
	longestWait   = 4 * time.Second
	longestWished = 30 * time.Second // the most that a Retry-After is obeyed
)

// repeatable reports whether an answer with this status is worth asking again. All of these say
// that the cluster, not the request, is at fault; 501 says that it never will.
func repeatable(status int) bool {
	switch status {
	case http.StatusPreconditionFailed, http.StatusTooManyRequests:
		return true
	case http.StatusNotImplemented:
		return false
	}
	return status >= http.StatusInternalServerError
}

// backoff is how long to wait before retry number n, counted from 0. Half of it is chance, so
// that clients which failed together do not return together.
func backoff(n int, wished time.Duration) time.Duration {
	wait := min(firstWait<<min(n, 16), longestWait)
	wait = wait/2 + rand.N(wait/2)
	if wished > 0 {
		wished = min(wished, longestWished)
		return wished + rand.N(wished/4+1)
	}
	return wait
}

// retryAfter reads a Retry-After header in either of its forms; 0 when there is none.
func retryAfter(header http.Header) time.Duration {
	value := header.Get("Retry-After")
	if seconds, err := strconv.ParseInt(value, 10, 32); err == nil && seconds > 0 {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}

// sleep waits for d, or until ctx ends, and then returns its error.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
