package conformance

import (
	"errors"
	"sync"
	"testing"
)

// contest is a race for something that can be had a few times only.
type contest struct {
	calls  int
	wins   int
	status int // of the refusal of those who come too late
}

// run makes the calls at once, spread over all nodes. prepare makes what they race for and says what a call is. No
// run may have more winners than the contest allows. One with fewer, or with another refusal, is a fault unless the
// leader changed meanwhile, after which the outcome of a call may be unknown: then the contest is repeated.
func (q contest) run(t *testing.T, at func(int) sdk, prepare func() func(c sdk) error) {
	t.Helper()
	for range 4 {
		try, before := prepare(), reign(t)
		won, odd := q.race(at, try)
		switch {
		case won > q.wins:
			t.Fatalf("%d of %d racing calls succeeded, want %d", won, q.calls, q.wins)
		case won == q.wins && odd == nil:
			return
		case reign(t) == before:
			t.Fatalf("%d of %d racing calls succeeded, want %d; one of the others failed with %v, want the status %d", won, q.calls, q.wins, odd, q.status)
		}
	}
	t.Fatal("no contest took place under one leader: the machine is too busy")
}

// race returns how many calls succeeded, and an error that is none of the expected refusals.
func (q contest) race(at func(int) sdk, try func(c sdk) error) (won int, odd error) {
	var all sync.WaitGroup
	begin, answers := make(chan struct{}), make(chan error, q.calls)
	for i := range q.calls {
		c := at(i%3 + 1)
		all.Go(func() {
			<-begin
			err := try(c)
			if c.Status(err) == q.status {
				err = errTooLate
			}
			answers <- err
		})
	}
	close(begin)
	all.Wait()
	close(answers)
	for err := range answers {
		switch err {
		case nil:
			won++
		case errTooLate:
		default:
			odd = err
		}
	}
	return won, odd
}

var errTooLate = errors.New("refused as it should be")

// reign tells one leadership from another.
func reign(t testing.TB) string {
	t.Helper()
	for {
		r := send(t, request{node: leader(t), method: "GET", path: "/v1/sys/leader", token: anonymous}).want(200)
		if r.get("is_self") == true {
			return r.text("leader_address") + r.text("active_time")
		}
	}
}
