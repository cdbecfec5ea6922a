package lessor

import (
	"context"
	"errors"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/seal"
)

// Issued is a new lease with what the client is given for it.
type Issued struct {
	Lease    *lease.Lease
	Mount    *lease.Mount
	Duration time.Duration // of the lease, rounded to the second
	Data     map[string]any
	Warnings []string
}

// Issue makes a lease. With a target behind it, the answer comes after the credential was created
// and the lease is active; if either fails, the credential is destroyed by the ordinary path.
func (l *Lessor) Issue(ctx context.Context, r Request) (*Issued, error) {
	b, err := l.backend(r.Mount, r.Path)
	if err != nil {
		return nil, err
	}
	req := l.backendRequest(r)
	plan, err := b.Prepare(ctx, req)
	if err != nil {
		return nil, backendError(err)
	}
	random, err := randomText(l.rand, lease.RandomLen)
	if err != nil {
		return nil, err
	}
	grant, err := l.grant(r, plan, random)
	if err != nil {
		return nil, err
	}
	if !plan.Target {
		return l.issuePlain(ctx, r, plan, grant)
	}
	target, ok := l.backends.Target(r.Mount.Type)
	if !ok {
		return nil, lease.Errorf(lease.Internal, "the backend %q plans for a target and has none", r.Mount.Type)
	}
	i := issue{l: l, r: r, plan: plan, target: target, req: req, id: grant.Id}
	name := plan.ExternalName
	if name == nil {
		name = backend.DefaultName
	}
	return i.run(ctx, grant, name(backend.Mark(req.Cluster), random))
}

// grant puts a plan into the form in which it travels.
func (l *Lessor) grant(r Request, plan *backend.Plan, random string) (*command.Grant, error) {
	path := r.Mount.Path + plan.Path
	id := lease.NewID(path, random, r.Mount.Namespace)
	if err := lease.CheckPath(id); err != nil {
		return nil, lease.Errorf(lease.Invalid, "no lease ID can be made of this path: %v", err)
	}
	g := &command.Grant{
		Id: id, Namespace: r.Mount.Namespace, MountId: r.Mount.ID, Path: path, Role: plan.Role, Owner: r.Token.Hash,
		Ttl: int64(plan.TTL), DefaultTtl: int64(plan.DefaultTTL), MaxTtl: int64(plan.MaxTTL),
		Renewable: plan.Renewable, Labels: plan.Labels,
	}
	if len(plan.Keep) > 0 {
		blob, err := l.seal(seal.LeasePlace(id, fieldData), plan.Keep)
		if err != nil {
			return nil, err
		}
		g.Data = blob
	}
	if r.IdempotencyKey != "" {
		key, err := idempotency(r)
		if err != nil {
			return nil, err
		}
		g.Idempotency = key
	}
	return g, nil
}

func (l *Lessor) issuePlain(ctx context.Context, r Request, plan *backend.Plan, g *command.Grant) (*Issued, error) {
	res, err := l.propose(ctx, &command.Issue{Grant: g})
	if err != nil {
		return nil, err
	}
	now := res.Lease.IssueTime
	if res.Repeated {
		now = res.Now
	}
	return issued(r.Mount, res.Lease, plan.Answer, now, plan.Warnings, capWarnings(res.Cap)), nil
}

// issued is the answer at now: the issue, or a later call with the same idempotency key.
func issued(m *lease.Mount, le *lease.Lease, data map[string]any, now lease.Time, warnings ...[]string) *Issued {
	out := &Issued{Lease: le, Mount: m, Data: data, Duration: le.Remaining(now).Round(time.Second)}
	for _, w := range warnings {
		out.Warnings = append(out.Warnings, w...)
	}
	return out
}

// issue is the issue of a lease with a target behind it, step by step.
type issue struct {
	l      *Lessor
	r      Request
	plan   *backend.Plan
	target backend.Target
	req    *backend.Request
	id     string // of the lease
}

// run holds the turn of its lease from before the intent on: a call that repeats this one comes
// after it.
func (i *issue) run(ctx context.Context, grant *command.Grant, externalName string) (*Issued, error) {
	done, err := i.l.turns.take(ctx, i.id)
	if err != nil {
		return nil, err
	}
	defer done()
	blob, err := i.sealInternal(i.plan.Internal)
	if err != nil {
		return nil, err
	}
	res, err := i.l.propose(ctx, &command.Reserve{
		Grant: grant, ExternalName: externalName, Internal: blob, Deadline: int64(i.l.intentDeadline),
	})
	switch {
	case err != nil:
		i.doubt(ctx, err)
		return nil, err
	case res.Repeated:
		return i.repeat(ctx, res.Lease)
	}
	return i.create(ctx, res.Lease)
}

// create goes from the committed intent to the answer. Whatever fails, what may have been created
// is taken back.
func (i *issue) create(ctx context.Context, intent *lease.Lease) (*Issued, error) {
	asked := i.l.now()
	ttl, cut, err := i.ttl(intent, asked)
	if err != nil {
		i.abandon(ctx)
		return nil, asError(err)
	}
	made, err := i.callCreate(ctx, intent, ttl)
	if err != nil {
		i.abandon(ctx)
		return nil, backendError(err)
	}
	activate, err := i.activation(made, ttl, asked)
	if err != nil {
		i.abandon(ctx)
		return nil, err
	}
	res, err := i.l.propose(ctx, activate)
	if err != nil {
		if uncertain(err) {
			i.doubt(ctx, err)
		} else {
			i.abandon(ctx)
			if errors.Is(err, lease.ErrNotLeader) { // which would say that there is nothing to be taken back
				err = &lease.Error{Code: lease.Unavailable, Err: err,
					Message: "leadership changed while the credential was being made: it is taken back, try again"}
			}
		}
		return nil, err
	}
	return issued(i.r.Mount, res.Lease, made.Data, res.Lease.IssueTime, i.plan.Warnings, made.Warnings, capWarnings(cut)), nil
}

// activation is the command that makes the intent a lease, no longer than the target allows.
func (i *issue) activation(made *backend.Created, ttl time.Duration, asked lease.Time) (*command.Activate, error) {
	left := lasting(ttl, made.TTL, asked, i.l.now())
	if left <= 0 {
		return nil, lease.Errorf(lease.Upstream, "the target took so long that nothing is left of the TTL of %s", human(ttl))
	}
	internal, err := i.sealInternal(made.Internal)
	if err != nil {
		return nil, err
	}
	return &command.Activate{Id: i.id, Internal: internal, Ttl: int64(left)}, nil
}

// doubt deals with a command that may or may not be in the log. An issue whose answer its client
// never gets cleans up after itself, unless the client can come back for the lease by its key.
func (i *issue) doubt(ctx context.Context, err error) {
	if uncertain(err) && i.r.IdempotencyKey == "" {
		i.abandon(ctx)
	}
}

// ttl is what the lease would be granted if it became active at now.
func (i *issue) ttl(intent *lease.Lease, now lease.Time) (time.Duration, *lease.Cap, error) {
	var lim lease.Limits
	i.l.state.Read(func(v *fsm.View) { lim = limits(v, intent) })
	return lease.Grant(now, now, intent.TTL, lim)
}

func (i *issue) callCreate(ctx context.Context, le *lease.Lease, ttl time.Duration) (*backend.Created, error) {
	ctx, cancel := context.WithTimeout(ctx, i.l.createTimeout)
	defer cancel()
	made, err := i.target.Create(ctx, &backend.Intent{
		LeaseID: le.ID, ExternalName: le.ExternalName, Role: le.Role, Generation: le.Generation, Fence: le.Fence,
		TTL: ttl, ExpireTime: i.l.targetEnd(ttl), Internal: i.plan.Internal, Request: i.req,
	})
	if err == nil && made == nil {
		made = new(backend.Created)
	}
	return made, err
}

func (i *issue) sealInternal(plaintext []byte) ([]byte, error) {
	if len(plaintext) == 0 {
		return nil, nil
	}
	return i.l.seal(seal.LeasePlace(i.id, fieldInternal), plaintext)
}

// abandon takes the intent back, whoever is still waiting. If that fails the intent's deadline
// does it.
func (i *issue) abandon(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	_, err := i.l.propose(ctx, &command.Revoke{
		Ids: []string{i.id}, Namespace: i.r.Mount.Namespace, Cause: string(lease.CauseAbandoned),
	})
	if err != nil {
		i.l.log.Warn("an intent was left to its deadline", "mount", i.r.Mount.Path, "role", i.plan.Role, "error", err)
	}
}
