package cluster

import (
	"context"
	"testing"
	"testing/synctest"
)

// S6: a read never takes the outcome of a round that began before it: what the voters said then does
// not speak for the time after. Reads that wait meanwhile share the next round. The door to this is
// inside the package, since from outside the moment between two rounds cannot be hit.
func TestS6_AReadWaitsForARoundThatBeginsAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		begun := uint64(0)
		r := &rounds{run: func(context.Context) (readPoint, error) {
			begun++
			point := readPoint{index: begun}
			<-release
			return point, nil
		}}
		read := func() <-chan uint64 {
			got := make(chan uint64, 1)
			go func() {
				point, err := r.join(t.Context())
				if err != nil {
					t.Error(err)
				}
				got <- point.index
			}()
			synctest.Wait()
			return got
		}
		first := read()
		second, third := read(), read() // while the first round is under way
		release <- struct{}{}
		synctest.Wait()
		if got := <-first; got != 1 {
			t.Errorf("the first read was answered by round %d, want 1", got)
		}
		select {
		case got := <-second:
			t.Fatalf("a read was answered by round %d, which began before it", got)
		default:
		}
		release <- struct{}{}
		if got, other := <-second, <-third; got != 2 || other != 2 {
			t.Errorf("the later reads were answered by rounds %d and %d, want 2 for both", got, other)
		}
		r.wait()
	})
}
