package failover

import (
	"bufio"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/leasehold/leasehold/test/failover/history"
)

// recorder writes every event to a file and hands it to the checker. It is safe for concurrent use.
type recorder struct {
	mu         sync.Mutex // guards what follows
	file       *os.File
	buffer     *bufio.Writer
	checker    *history.Checker
	violations []history.Violation
	failed     error // of writing

	acked   map[history.Verb]int
	unknown int
	calls   int // of clients, attempts that did nothing included
	missed  int // of those, how many got no answer that says what happened
	pulse   pulse
}

// pulse watches the acknowledged writes since a moment.
type pulse struct {
	from, last, gap time.Duration
	done            time.Duration // the strike was done
	first           time.Duration // the first write that began after that was acknowledged then; 0: none was
}

func newRecorder(path string) (*recorder, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &recorder{
		file: file, buffer: bufio.NewWriterSize(file, 1<<16), checker: history.NewChecker(), acked: map[history.Verb]int{},
	}, nil
}

// add takes an event.
func (r *recorder) add(e history.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := history.Write(r.buffer, e); err != nil && r.failed == nil {
		r.failed = err
	}
	r.violations = append(r.violations, r.checker.Add(e)...)
	if e.Client > 0 && e.Outcome == history.OK {
		r.acked[e.Verb]++
		if e.Verb != history.Lookup && e.Verb != history.List {
			r.pulse.beat(e.Call, e.Back)
		}
	}
}

// tried counts an attempt of a client.
func (r *recorder) tried(a answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	if a.open() {
		r.unknown++
	}
	if a.open() || a.nothing() {
		r.missed++
	}
}

// violate notes what no checker can see.
func (r *recorder) violate(rule, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.violations = append(r.violations, history.Violation{Rule: rule, What: fmt.Sprintf(format, args...)})
}

// beat notes that a write was acknowledged.
func (p *pulse) beat(call, back time.Duration) {
	if p.done > 0 && call > p.done && (p.first == 0 || back < p.first) {
		p.first = back
	}
	p.gap = max(p.gap, back-p.last)
	p.last = max(p.last, back)
}

// watch begins to measure at a moment.
func (r *recorder) watch(from time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pulse = pulse{from: from, last: from}
}

// struck: the strike is done. What was acknowledged before may have come from the node that was struck.
func (r *recorder) struck(now time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pulse.done = now
}

// seen returns how long after the watch began the first write was acknowledged that began when the strike
// was done, 0 if none was, and the longest time without any until now.
func (r *recorder) seen(now time.Duration) (first, gap time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pulse.first > 0 {
		first = r.pulse.first - r.pulse.from
	}
	return first, max(r.pulse.gap, now-r.pulse.last)
}

// counts is a copy of what was counted so far.
type counts struct {
	checked, violations, calls, missed, unknown, acked int
}

func (r *recorder) counts() counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := counts{checked: r.checker.Checked, violations: len(r.violations), calls: r.calls, missed: r.missed, unknown: r.unknown}
	for _, a := range r.acked {
		n.acked += a
	}
	return n
}

// close ends the file.
func (r *recorder) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.buffer.Flush(); err != nil && r.failed == nil {
		r.failed = err
	}
	if err := r.file.Close(); err != nil && r.failed == nil {
		r.failed = err
	}
	return r.failed
}
