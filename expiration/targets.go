package expiration

import (
	"context"
	"slices"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// takeOver begins with what the last leader reported: a target that was down is probed before all that
// waits for it is let loose. Who asked for attempts under that leader has had them, or asks again.
func (r *run) takeOver() {
	r.State.TakeAsked()
	r.State.Read(func(v *fsm.View) {
		for _, m := range v.DownMounts() {
			r.busy.Targets[m.ID] = &Target{Open: true, err: m.Down.Error}
		}
	})
}

// remember takes in what was asked for, and forgets targets of which there is nothing to know: the mount
// is gone, or nothing waits that could tell whether it answers.
func (r *run) remember(now lease.Time, v *fsm.View, asked map[string][]string) {
	for id, t := range r.busy.Targets {
		if v.Mount(id) == nil {
			delete(r.busy.Targets, id)
			continue
		}
		if !t.Open {
			if t.idle(now) && v.Mount(id).Down == nil {
				delete(r.busy.Targets, id)
			}
			continue
		}
		if r.busy.Mounts[id] == 0 && v.MountCounts(id).Of(lease.Revoking)+v.MountCounts(id).Of(lease.Irrevocable) == 0 {
			t.answered(now)
			continue
		}
		t.Asked = append(t.Asked, asked[id]...)
		t.Asked = slices.DeleteFunc(t.Asked, func(id string) bool { return !waits(v.Lease(id), now) })
		t.Asked = t.Asked[:min(len(t.Asked), maxAsked)]
	}
}

// begin notes that a claimed lease's attempt begins.
func (r *run) begin(c Claim) {
	if c.Rated {
		r.target(c.Mount).began(r.Now())
	}
	if c.Probe {
		r.target(c.Mount).probe = c.ID
	}
}

func (r *run) target(mount string) *Target {
	t := r.busy.Targets[mount]
	if t == nil {
		t = new(Target)
		r.busy.Targets[mount] = t
	}
	return t
}

// learn notes what an attempt says of its target.
func (r *run) learn(out outcome) {
	if out.mount == nil || out.verdict != fails && r.busy.Targets[out.mount.ID] == nil {
		return
	}
	t := r.target(out.mount.ID)
	switch t.learn(r.Now(), out, r.Rand()) {
	case opened:
		r.Log.Warn("a target does not answer: its mount's revocations wait", "mount", out.mount.Path, "failures", t.failures,
			"err", t.err, "next_probe", t.ProbeAt.Std())
	case closed:
		r.Log.Info("a target answers again: its mount's revocations go on", "mount", out.mount.Path)
	}
}

// retry makes leases due. What is unknown of its outcome is asked for again by the next plan.
func (r *run) retry(ctx context.Context, step *Retry) {
	t := r.busy.Targets[step.Mount]
	from, after := t.From, t.After
	done := func() {
		if step.Walk && t.From == from && t.After == after { // and no other outage has come and gone meanwhile
			t.From, t.After, t.Recovering = step.From, step.After, t.Recovering && !step.Last
		}
	}
	if step.Cmd == nil {
		done()
		return
	}
	r.busy.Retrying = true
	r.propose(ctx, step.Cmd, func(_ fsm.Result, err error) {
		if r.busy.Retrying = false; err == nil {
			done()
		}
	})
}

// report tells the state that a target stopped or began to answer.
func (r *run) report(ctx context.Context, health *command.SetMountHealth) {
	health.Epoch = r.Epoch()
	r.busy.Reporting = true
	r.propose(ctx, health, func(fsm.Result, error) { r.busy.Reporting = false })
}
