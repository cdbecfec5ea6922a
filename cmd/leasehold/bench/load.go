package bench

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// sample is what a load came to.
type sample struct {
	took   time.Duration
	each   []time.Duration // of calls that went well, sorted
	failed int
	first  string // the first failure's text
}

func (s *sample) rate() float64 { return float64(len(s.each)) / s.took.Seconds() }

// at is the q-th quantile.
func (s *sample) at(q float64) time.Duration { return quantile(s.each, q) }

func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func (s *sample) print(w io.Writer, name string) {
	fmt.Fprintf(w, "%-14s %9.0f/s   p50 %8s   p99 %8s   max %8s   %d done, %d failed\n", name, s.rate(),
		round(s.at(0.5)), round(s.at(0.99)), round(s.at(1)), len(s.each), s.failed)
	if s.first != "" {
		fmt.Fprintf(w, "%-14s first failure: %s\n", "", s.first)
	}
}

func round(d time.Duration) string {
	if d > 10*time.Second {
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}

// request is one call as it is sent.
type request struct {
	method, path string
	body         []byte
}

// work is what the workers of a load do.
type work struct {
	// next is the n-th request of worker w; false: there is nothing left for it.
	next func(w, n int) (request, bool)
	// answered takes the answer and returns an error unless it is the one wanted. The body is valid
	// until it returns.
	answered func(w, status int, body []byte) error
}

// load has clients connections, spread over addresses, each send one request after the other, until
// ctx ends or there is nothing left to send.
func load(ctx context.Context, t target, clients int, do work) (*sample, error) {
	p, err := newPoller(t, clients, do)
	if err != nil {
		return nil, err
	}
	defer p.close()
	begin := time.Now()
	if err := p.run(ctx); err != nil {
		return nil, err
	}
	p.result.took = time.Since(begin)
	slices.Sort(p.result.each)
	return &p.result, nil
}

// want turns an unexpected answer into an error.
func want(status int, body []byte, err error, codes ...int) error {
	if err != nil {
		return err
	}
	if slices.Contains(codes, status) {
		return nil
	}
	return fmt.Errorf("status %d: %.200s", status, body)
}
