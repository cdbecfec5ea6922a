package failover

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/leasehold/leasehold/test/failover/history"
)

// Bounds of what an audit waits for.
const (
	catchUp = 30 * time.Second // a node that returned has what the others have (L9)
	// tidy: what needs time is done. Open intents of a leader that died wait for their deadline, and
	// 30 s more at most (L6).
	tidy        = intentDeadline + 30*time.Second
	auditors    = 12
	lookupTries = 20
)

// audit has the clients pause, looks every lease up on every node, compares states, leases and target,
// and has all of it judged. The cluster is well.
func (l *load) audit(ctx context.Context, t *target) error {
	l.gate.Lock()
	defer l.gate.Unlock()
	listed, err := l.settle(ctx, t)
	if err != nil {
		return err
	}
	if err := l.lookAtAll(ctx); err != nil {
		return err
	}
	hashes, err := l.hashes(ctx)
	if err != nil {
		return err
	}
	now := l.now()
	l.rec.add(history.Event{Verb: history.Audit, Call: now, Back: now, Hashes: hashes, Held: t.held(), Listed: listed})
	return nil
}

// hashes waits until every node shows the same index, and returns index and hash of each.
func (l *load) hashes(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, catchUp)
	defer cancel()
	var last []string
	for ctx.Err() == nil {
		indexes := map[uint64]bool{}
		last = last[:0]
		for node := 1; node <= l.c.Size(); node++ {
			var got struct {
				Index uint64 `json:"applied_index"`
				Hash  string `json:"hash"`
			}
			a := l.send(ctx, node, http.MethodGet, "sys/internal/state-hash", "")
			if a.status != http.StatusOK || a.decode(&got) != nil || got.Hash == "" {
				break
			}
			indexes[got.Index] = true
			last = append(last, fmt.Sprintf("%d %s", got.Index, got.Hash))
		}
		if len(last) == l.c.Size() && len(indexes) == 1 {
			return last, nil
		}
		pause(ctx, 30*time.Millisecond)
	}
	return nil, fmt.Errorf("the nodes do not reach one index within %s (L9): %v", catchUp, last)
}

// settle waits until the target holds nothing that is not listed as a lease, and returns what is listed.
// It gives up after a while: then the checker will say so.
func (l *load) settle(ctx context.Context, t *target) (listed []string, err error) {
	for end := time.Now().Add(tidy); ; pause(ctx, 100*time.Millisecond) {
		if listed, err = l.leasesOf(ctx, "hooks/creds"); err != nil {
			return nil, err
		}
		there := map[string]bool{}
		for _, id := range listed {
			there[id] = true
		}
		strays := 0
		for _, id := range t.held() {
			if !there[id] {
				strays++
			}
		}
		if strays == 0 || time.Now().After(end) || ctx.Err() != nil {
			return listed, ctx.Err()
		}
	}
}

// leasesOf lists all leases below a path of one level of groups.
func (l *load) leasesOf(ctx context.Context, path string) (ids []string, err error) {
	groups, err := l.level(ctx, path)
	for _, group := range groups {
		if !strings.HasSuffix(group, "/") {
			ids = append(ids, path+"/"+group)
			continue
		}
		below, err := l.level(ctx, path+"/"+strings.TrimSuffix(group, "/"))
		if err != nil {
			return nil, err
		}
		for _, key := range below {
			ids = append(ids, path+"/"+group+key)
		}
	}
	return ids, err
}

// level lists one level on a cluster that is well, if need be again.
func (l *load) level(ctx context.Context, path string) ([]string, error) {
	var a answer
	for try := range lookupTries {
		a = l.send(ctx, try%l.c.Size()+1, http.MethodGet, "sys/leases/lookup/"+path+"?list=true", "")
		if keys, ok := keysOf(a); ok {
			return keys, nil
		}
		pause(ctx, 100*time.Millisecond)
	}
	return nil, fmt.Errorf("list %s on a cluster that is well: %d %s (%v)", path, a.status, a.body, a.err)
}

// lookAtAll looks every lease up: those that live on every node, the others on one, until they are gone
// or it takes too long.
func (l *load) lookAtAll(ctx context.Context) error {
	entries := make(chan *entry)
	failed := make(chan error, auditors)
	var wg sync.WaitGroup
	for i := range auditors {
		wg.Go(func() {
			for e := range entries {
				if err := l.lookAt(ctx, e, i); err != nil {
					failed <- err
					for range entries { // so that nobody waits for this one
					}
					return
				}
			}
		})
	}
	for _, e := range l.book.all() {
		entries <- e
	}
	close(entries)
	wg.Wait()
	close(failed)
	return <-failed
}

func (l *load) lookAt(ctx context.Context, e *entry, first int) error {
	seen := history.Standing("")
	for n := range l.c.Size() {
		node := (first+n)%l.c.Size() + 1
		for try := 0; ; try++ {
			if seen = l.lookup(ctx, 0, node, e); seen != "" {
				break
			}
			if try == lookupTries || ctx.Err() != nil {
				return fmt.Errorf("%s cannot be looked up at node %d of a cluster that is well", e.id, node)
			}
			pause(ctx, 100*time.Millisecond)
		}
		if seen == history.Gone {
			break // as every other node says: the checker saw to it that nothing comes back
		}
	}
	if seen != history.Active {
		l.book.forget(e)
	}
	return nil
}

// swept waits until every lease of the webhook mount lives or is gone, and the target holds just those
// that live: nothing that ended is left behind. (L5)
func (l *load) swept(ctx context.Context, t *target) error {
	ctx, cancel := context.WithTimeout(ctx, tidy+time.Minute)
	defer cancel()
	for {
		listed, err := l.leasesOf(ctx, "hooks/creds")
		if err != nil {
			return err
		}
		ending := 0
		for _, id := range listed {
			a := l.send(ctx, 1, http.MethodPut, "sys/leases/lookup", fmt.Sprintf(`{"lease_id":%q}`, id))
			if a.status == http.StatusOK && a.says(`"status":"active"`) {
				continue
			}
			ending++
		}
		if ending == 0 && len(t.held()) == len(listed) {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%d leases that ended are still there, %d are listed and the target holds %d (L5)", ending, len(listed), len(t.held()))
		}
		pause(ctx, 200*time.Millisecond)
	}
}
