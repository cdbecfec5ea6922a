package expiration_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/fake"
	"github.com/leasehold/leasehold/expiration"
)

// stubborn is a backend whose destroy does not heed its context, as a call into a library may not.
type stubborn struct {
	*fake.Backend
	release chan struct{}
	began   chan struct{}
}

func (s stubborn) Destroy(context.Context, *backend.Destruction) error {
	close(s.began)
	<-s.release
	return nil
}

// S24: a leadership has ended when its last call has. Otherwise the node's next leadership would work
// on a lease beside a worker of this one.
func TestS24_RunWaitsForCallsThatDoNotHeedTheirContext(t *testing.T) {
	bubble(t, func(r *rig) {
		target := stubborn{r.backend, make(chan struct{}), make(chan struct{})}
		r.target("a/creds/1", time.Second)
		stop := r.lead(2, func(cfg *expiration.Config) { cfg.Backends = backend.NewRegistry(target) })
		<-target.began
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			stop()
		}()
		synctest.Wait()
		select {
		case <-ended:
			t.Error("Run returned while a call that it began was under way")
		default:
		}
		close(target.release)
		<-ended
	})
}
