package lessor

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// idempotency is the form in which a client's key travels: bound to who uses it where, and to what
// is asked. Object keys are sorted in the hashed form, so their order means nothing.
func idempotency(r Request) (*command.Idempotency, error) {
	params, err := json.Marshal(r.Params)
	if err != nil {
		return nil, &lease.Error{Code: lease.Invalid, Message: "the parameters cannot be encoded", Err: err}
	}
	return &command.Idempotency{
		Key:  digest(r.Mount.Namespace, r.Token.Hash, r.Mount.Path, r.IdempotencyKey),
		Body: digest(r.Path, string(params)),
	}, nil
}

// digest hashes parts so that no two lists of parts have one hash.
func digest(parts ...string) []byte {
	h := sha256.New()
	for _, p := range parts {
		h.Write(binary.AppendUvarint(nil, uint64(len(p))))
		h.Write([]byte(p))
	}
	return h.Sum(nil)
}

// repeat answers a call whose key has made a lease before. The secret was never kept, so it is made
// anew under the same name, as long as nobody can have relied on the first one by renewing. An
// intent that its first call left open is carried on.
func (i *issue) repeat(ctx context.Context, first *lease.Lease) (*Issued, error) {
	done, err := i.l.turns.take(ctx, first.ID)
	if err != nil {
		return nil, err
	}
	defer done()
	i.id = first.ID
	le, now, err := i.repeatable()
	if err != nil {
		return nil, err
	}
	if le.Status == lease.Pending {
		return i.create(ctx, le)
	}
	made, err := i.callCreate(ctx, le, le.Remaining(now))
	if err != nil {
		return nil, backendError(err)
	}
	if err := i.stillActive(ctx, le); err != nil {
		return nil, err
	}
	return issued(i.r.Mount, le, made.Data, now, i.plan.Warnings, made.Warnings), nil
}

// repeatable returns the lease if its credential may be made, or made anew.
func (i *issue) repeatable() (*lease.Lease, lease.Time, error) {
	now := i.l.now()
	var le *lease.Lease
	var standing lease.Status
	restored := false // perhaps renewed after the snapshot that was restored
	i.l.state.Read(func(v *fsm.View) {
		if le = v.Lease(i.id); le != nil {
			standing = v.Standing(le, now)
			restored = v.Hold() != nil && le.IssueTime <= v.Hold().Since
		}
	})
	conflict := func(why string) (*lease.Lease, lease.Time, error) {
		return nil, 0, lease.Errorf(lease.Conflict, "this Idempotency-Key has made the lease %q, which %s", i.id, why)
	}
	switch {
	case standing == lease.Pending && le.Remaining(now) < i.l.createTimeout:
		return conflict("is being given up: use another key")
	case standing == lease.Pending:
	case standing != lease.Active:
		return conflict("has ended: use another key")
	case restored:
		return conflict("comes from a snapshot that was restored: its secret is not made anew before the hold is released")
	case le.Generation > 0:
		return conflict("was renewed since: its secret is not made anew")
	case le.Remaining(now) < time.Second:
		return conflict("is about to end: use another key")
	}
	// What stands for nothing that could be found again would be a second credential (settled decision 13).
	if itemized, ok := i.target.(backend.Itemized); ok && le.Status == lease.Active && !i.l.hasItem(itemized, le) {
		return conflict("cannot be shown again: use another key for another one")
	}
	return le, now, nil
}

// stillActive makes sure that the lease was not ended while its credential was made anew, after it
// had been destroyed perhaps. An entry of our own puts an end to the doubt: a destruction claimed
// after it will find what was made, one claimed before it shows now.
func (i *issue) stillActive(ctx context.Context, le *lease.Lease) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), targetTimeout)
	defer cancel()
	res, err := i.l.propose(ctx, &command.Tick{})
	if err != nil {
		return err
	}
	ended, held := false, false
	i.l.state.Read(func(v *fsm.View) {
		cur := v.Lease(le.ID)
		ended = cur == nil || v.Standing(cur, res.Now) != lease.Active
		held = v.Hold() != nil
	})
	switch {
	case !ended:
		return nil
	case held:
		return lease.ErrHeld // what was made is destroyed with the lease, or found as an orphan
	}
	internal, err := i.l.OpenInternal(le)
	if err == nil {
		err = i.target.Destroy(ctx, &backend.Destruction{
			LeaseID: le.ID, ExternalName: le.ExternalName, Role: le.Role, Mount: i.r.Mount, Generation: le.Generation,
			Fence: res.Seq, Attempt: 1, ExpireTime: i.l.wall(), Internal: internal, Store: i.req.Store,
		})
	}
	if err != nil {
		i.l.log.Error("a credential made anew for an ended lease could not be destroyed",
			"external_name", le.ExternalName, "mount", i.r.Mount.Path, "error", causeText(err))
	}
	return lease.Errorf(lease.Conflict, "the lease %q that this Idempotency-Key made has ended", le.ID)
}
