package userpass

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/lease"
)

// The lock-out of a mount whose options do not say otherwise.
const (
	DefaultThreshold    = 5                // failures
	DefaultDuration     = 15 * time.Minute // of the lock
	DefaultCounterReset = 15 * time.Minute // since the last failure
)

// Bounds of the options.
const (
	MaxThreshold = 1000
	MinLockout   = time.Second
	MaxLockout   = 30 * 24 * time.Hour
)

// Options of a mount.
const (
	optionPrefix       = "lockout_"
	optionThreshold    = "lockout_threshold"
	optionDuration     = "lockout_duration"
	optionCounterReset = "lockout_counter_reset"
	optionDisable      = "lockout_disable"
)

// lockout is a mount's rule: so many failures, with never more than counterReset between one and the
// next, lock a name for duration.
type lockout struct {
	threshold    int
	duration     time.Duration
	counterReset time.Duration
	disable      bool
}

// CheckMount refuses options of a mount that cannot be. Options that do not begin with "lockout_" are
// not this package's; an empty value is the default.
func (*Backend) CheckMount(options map[string]string) error {
	_, err := readLockout(options)
	return err
}

func readLockout(options map[string]string) (lockout, error) {
	l := lockout{threshold: DefaultThreshold, duration: DefaultDuration, counterReset: DefaultCounterReset}
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if !strings.HasPrefix(name, optionPrefix) {
			continue
		}
		if err := l.read(name, strings.TrimSpace(options[name])); err != nil {
			return lockout{}, err
		}
	}
	return l, nil
}

func (l *lockout) read(name, value string) error {
	var err error
	switch name {
	case optionThreshold:
		if value != "" {
			if l.threshold, err = strconv.Atoi(value); err != nil || l.threshold < 1 || l.threshold > MaxThreshold {
				return badOption(name, value, fmt.Sprintf("give a number of failures from 1 to %d, or set %s", MaxThreshold, optionDisable))
			}
		}
	case optionDuration:
		return readTime(&l.duration, name, value)
	case optionCounterReset:
		return readTime(&l.counterReset, name, value)
	case optionDisable:
		if l.disable, err = field.ParseBool(value); err != nil {
			return badOption(name, value, "give true or false")
		}
	default:
		return lease.Errorf(lease.Invalid, "option %s: there is none of this name: use %s, %s, %s or %s", field.CleanText(name),
			optionThreshold, optionDuration, optionCounterReset, optionDisable)
	}
	return nil
}

func readTime(to *time.Duration, name, value string) error {
	if value == "" {
		return nil
	}
	d, err := field.ParseDuration(value)
	if err != nil || d < MinLockout || d > MaxLockout {
		return badOption(name, value, fmt.Sprintf("give a time from %v to %v, such as 15m", MinLockout, MaxLockout))
	}
	*to = d
	return nil
}

func badOption(name, value, remedy string) error {
	return lease.Errorf(lease.Invalid, "option %s: %q is not possible: %s", name, field.CleanText(value), remedy)
}

// failures are those of one name.
type failures struct {
	Name  string     `json:"name"` // what nameID makes of it
	Count int        `json:"count"`
	Last  lease.Time `json:"last"`
}

// locks reports whether the failures lock their name at now.
func (l lockout) locks(f failures, now lease.Time) bool {
	return f.Count >= l.threshold && now < l.end(f)
}

// end is when the failures are forgotten.
func (l lockout) end(f failures) lease.Time {
	if f.Count >= l.threshold {
		return f.Last.Add(l.duration)
	}
	return f.Last.Add(l.counterReset)
}

// slotNames is how many names one slot keeps count of.
const slotNames = 64

// slot keeps the failures of the names that share it.
type slot struct {
	Names []failures `json:"names"`
}

// expire drops what is to be forgotten by now.
func (s *slot) expire(l lockout, now lease.Time) {
	s.Names = slices.DeleteFunc(s.Names, func(f failures) bool { return now >= l.end(f) })
}

// of returns the index of a name's failures, -1 if there are none.
func (s *slot) of(name string) int {
	return slices.IndexFunc(s.Names, func(f failures) bool { return f.Name == name })
}

// fail counts a failure. A slot that is full first drops the failures that are forgotten first, of a name that
// is not locked if there is one.
func (s *slot) fail(l lockout, name string, now lease.Time) {
	i := s.of(name)
	if i < 0 {
		if len(s.Names) >= slotNames {
			s.drop(l, now)
		}
		s.Names = append(s.Names, failures{Name: name})
		i = len(s.Names) - 1
	}
	f := &s.Names[i]
	f.Count++
	f.Last = max(f.Last, now) // a request that began earlier may be counted later
}

func (s *slot) drop(l lockout, now lease.Time) {
	rank := func(f failures) (locked int, end lease.Time) {
		if l.locks(f, now) {
			locked = 1
		}
		return locked, l.end(f)
	}
	first := 0
	for i, f := range s.Names {
		locked, end := rank(f)
		if least, soonest := rank(s.Names[first]); locked < least || locked == least && end < soonest {
			first = i
		}
	}
	s.Names = slices.Delete(s.Names, first, first+1)
}

// forget drops the failures of one name and reports whether there were any.
func (s *slot) forget(name string) bool {
	i := s.of(name)
	if i < 0 {
		return false
	}
	s.Names = slices.Delete(s.Names, i, i+1)
	return true
}

// left is how long the slot still says something.
func (s *slot) left(l lockout, now lease.Time) time.Duration {
	var left time.Duration
	for _, f := range s.Names {
		left = max(left, l.end(f).Sub(now))
	}
	return left
}
