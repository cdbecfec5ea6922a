package approle

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/lease"
)

// How many secret_ids of deleted roles one request removes.
const (
	stepAlong  = 32 // beside its own work
	stepDelete = 1 << 10
	stepTidy   = 8 << 10
	atOnce     = 32 // removals under way, which the leader packs into one entry of the log
	maxNotes   = 64 // deleted roles looked at
	maxClaims  = 8 << 10
)

const remainsPrefix = "remains/"

// remains is a deleted role whose secret_ids have yet to be removed.
type remains struct {
	key        string
	noted      lease.Time
	generation string
}

// noteRemains writes down that the secret_ids of a generation are to be removed. The oldest note sorts
// first.
func noteRemains(ctx context.Context, r *request, generation string) error {
	key := fmt.Sprintf("%s%016x-%s", remainsPrefix, int64(r.Now), generation)
	return r.Store.Put(ctx, key, []byte(r.name))
}

func parseRemains(key string) (remains, error) {
	noted, generation, ok := strings.Cut(key, "-")
	at, err := strconv.ParseInt(noted, 16, 64)
	if !ok || err != nil {
		return remains{}, fmt.Errorf("the note %q is none of a deleted role", key)
	}
	return remains{key: remainsPrefix + key, noted: lease.Time(at), generation: generation}, nil
}

// swept says what a sweep did.
type swept struct {
	removed int
	more    bool // there is something left
}

// sweep removes at most budget secret_ids of deleted roles. Several may run at once: what is gone is
// removed by both without harm.
func sweep(ctx context.Context, r *request, budget int) (swept, error) {
	notes, more, err := r.Store.Level(remainsPrefix, "", maxNotes)
	if err != nil {
		return swept{}, fmt.Errorf("list deleted roles: %w", err)
	}
	total := swept{more: more}
	for _, note := range notes {
		rest, err := parseRemains(note)
		if err != nil {
			return total, err
		}
		if total.removed >= budget {
			total.more = true
			break
		}
		one, err := rest.sweep(ctx, r, budget-total.removed)
		total.removed += one.removed
		total.more = total.more || one.more
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// sweep removes secret_ids of one deleted role. The note outlives them by the time that a request lives: one
// that was making a secret_id while the role was deleted may still come.
func (m remains) sweep(ctx context.Context, r *request, budget int) (swept, error) {
	settled := r.Now.Sub(m.noted) > settleTime
	gone, err := m.gone(r.Store)
	if err != nil {
		return swept{}, err
	}
	if !gone { // the role has yet to be deleted, or never was
		if settled {
			err = r.Store.Delete(ctx, m.key)
		}
		return swept{}, err
	}
	prefix := secretIDPrefix + m.generation + "/"
	accessors, more, err := r.Store.Level(prefix, "", budget)
	if err != nil {
		return swept{}, fmt.Errorf("list the secret_ids of a deleted role: %w", err)
	}
	if len(accessors) == 0 && !more && settled {
		return swept{}, r.Store.Delete(ctx, m.key)
	}
	for i, accessor := range accessors {
		accessors[i] = prefix + accessor
	}
	if err := deleteAll(ctx, r.Store, accessors); err != nil {
		return swept{more: true}, err
	}
	return swept{removed: len(accessors), more: more}, nil
}

// gone reports whether the role was deleted. Without the note, which another request may have removed
// meanwhile, that is not known.
func (m remains) gone(store backend.Store) (bool, error) {
	name, noted, err := store.Get(m.key)
	if !noted || err != nil {
		return false, err
	}
	ro, err := loadRole(store, string(name))
	return err == nil && (ro == nil || ro.Generation != m.generation), err
}

// deleteAll removes keys, some at once, and returns the first error.
func deleteAll(ctx context.Context, store backend.Store, keys []string) error {
	work := make(chan string)
	errs := make(chan error, atOnce)
	var workers sync.WaitGroup
	for range min(atOnce, len(keys)) {
		workers.Go(func() {
			var first error
			for key := range work {
				if first == nil {
					first = store.Delete(ctx, key)
				}
			}
			errs <- first
		})
	}
	for _, key := range keys {
		work <- key
	}
	close(work)
	workers.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// sweepAlong takes a step beside the work of a request. That has been done, so it does not fail with the
// step: the next one takes it again.
func sweepAlong(ctx context.Context, r *request, budget int) {
	_, _ = sweep(ctx, r, budget)
}

// tidy removes what deleted roles and interrupted requests left. What has come to its end, which is what
// Vault's tidy is for, went by itself.
func (*Backend) tidy(ctx context.Context, r *request) (*backend.Response, error) {
	done, err := sweep(ctx, r, stepTidy)
	if err != nil {
		return nil, err
	}
	claims, more, err := dropClaims(ctx, r)
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf("Nothing had to be done about expired secret IDs: they go by themselves. "+
		"Removed: %d secret IDs of deleted roles, %d role IDs without a role.", done.removed, claims)
	if done.more {
		text += " There are more secret IDs to remove: call this again."
	}
	if more {
		text += " Only a part of the role IDs was looked at: call this again for others."
	}
	return &backend.Response{Warnings: []string{text}}, nil
}

// dropClaims removes role_ids that no role has. The walk begins at a random one if there are too many for
// one request, so that repeated calls come to all of them.
func dropClaims(ctx context.Context, r *request) (dropped int, more bool, err error) {
	key, err := loadKey(r.Store)
	if err != nil {
		return 0, false, err
	}
	found, more, err := r.Store.Level(roleIDPrefix, "", maxClaims)
	if err != nil {
		return 0, false, fmt.Errorf("list role_ids: %w", err)
	}
	if more {
		start, err := randomUUID(r.Random)
		if err != nil {
			return 0, false, err
		}
		if found, _, err = r.Store.Level(roleIDPrefix, start, maxClaims); err != nil {
			return 0, false, fmt.Errorf("list role_ids: %w", err)
		}
	}
	for _, hash := range found {
		gone, err := dropClaim(ctx, r, key, roleIDPrefix+hash)
		if err != nil {
			return dropped, more, err
		}
		if gone {
			dropped++
		}
	}
	return dropped, more, nil
}

func dropClaim(ctx context.Context, r *request, key macKey, indexKey string) (bool, error) {
	o, seen, err := lookOwner(r.Store, indexKey)
	if o == nil || err != nil || r.Now.Sub(o.Since) < settleTime {
		return false, err
	}
	has, err := o.has(r.Store, key, indexKey)
	if has || err != nil {
		return false, err
	}
	err = r.Store.Swap(ctx, indexKey, seen, nil, 0)
	if errors.Is(err, lease.ErrChanged) { // a role is just getting it
		return false, nil
	}
	return err == nil, err
}
