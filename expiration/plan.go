package expiration

import (
	"slices"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// Bounds of one plan.
const (
	MaxExpire   = 512              // leases ended by one Expire command
	maxRefBytes = 48 << 10         // of lease IDs in one command, so that it stays far below the bound on commands
	maxScan     = 2048             // leases of one mount that wait for an attempt looked at in one plan, per question
	MaxSweeps   = 32               // revocation jobs swept at once
	sweepBudget = fsm.MaxSweep     // leases and tokens that all outstanding sweeps may end together
	lapseGrace  = 10 * time.Second // a claim lapses this long after its call must have ended
)

// Busy is what is under way: the plan does not ask for it again.
type Busy struct {
	Leases map[string]bool // IDs being claimed or destroyed
	Mounts map[string]int  // how many of them, by mount UUID
	Sweeps map[uint64]bool // jobs with a Sweep outstanding

	Expiring, Claiming, Ticking bool // such a command is outstanding
	Retrying, Reporting         bool // such a command is outstanding

	Targets map[string]*Target // what is known of targets, by mount UUID

	Workers int // how many leases may be claimed or destroyed at once in all

	// The mounts served last; the next in order of UUIDs come first.
	ExpireTurn, ClaimTurn string
}

// Claim asks for an attempt at one lease.
type Claim struct {
	ID, Mount string
	Probe     bool // it decides when the next probe may be made
	Rated     bool // it counts against the mount's rate
}

// Todo is what to do now.
type Todo struct {
	Expire []*command.Ref
	Claim  []Claim
	Lapse  time.Duration // of the claims
	Sweeps []*command.Sweep
	Tick   bool
	Retry  *Retry
	Report *command.SetMountHealth
	Wake   lease.Time // when something comes due next, as far as is known; 0: never

	ExpireTurn, ClaimTurn string
}

// Plan decides what to do at now. It reads v and changes nothing, so it must be called inside
// fsm.State.Read. Its cost is bounded, however much is due.
func Plan(now lease.Time, v *fsm.View, busy *Busy) Todo {
	todo := Todo{ExpireTurn: busy.ExpireTurn, ClaimTurn: busy.ClaimTurn}
	todo.Tick = !busy.Ticking && v.Undrained(now)
	if v.Hold() != nil {
		return todo // S23; releasing it wakes the loop
	}
	todo.Wake = v.NextDue()
	if mounts := v.EndedMounts(now); !busy.Expiring && len(mounts) > 0 {
		planExpire(&todo, now, v, inTurn(mounts, busy.ExpireTurn))
	}
	if mounts := v.AttemptMounts(now); !busy.Claiming && len(mounts) > 0 {
		planClaims(&todo, now, v, busy, inTurn(mounts, busy.ClaimTurn))
	}
	todo.Sweeps = planSweeps(v, busy)
	planTargets(&todo, now, v, busy)
	return todo
}

// look makes sure that the next look is not after at. Where something is due already, what is awaited is
// the end of what is under way.
func (t *Todo) look(now, at lease.Time) {
	if at > now && (t.Wake <= now || at < t.Wake) {
		t.Wake = at
	}
}

// inTurn rotates sorted mounts so that those after the last one served come first.
func inTurn(mounts []string, last string) []string {
	at, found := slices.BinarySearch(mounts, last)
	if found {
		at++
	}
	return append(slices.Clone(mounts[at:]), mounts[:at]...)
}

// line is what waits at one mount.
type line struct {
	mount  string
	leases []*lease.Lease
	probe  bool
	rated  bool
}

// oneOfEach calls take with the first of each line, then the second of each, until take says no.
func oneOfEach(lines []line, take func(from line, l *lease.Lease) bool) {
	for round, some := 0, true; some; round++ {
		some = false
		for _, l := range lines {
			if round < len(l.leases) {
				if some = true; !take(l, l.leases[round]) {
					return
				}
			}
		}
	}
}

// ended lists up to limit leases of a mount that are past their end, the oldest first.
func ended(now lease.Time, v *fsm.View, mount string, limit int) []*lease.Lease {
	if limit <= 0 {
		return nil
	}
	var found []*lease.Lease
	v.Ended(mount, now, func(l *lease.Lease) bool {
		found = append(found, l)
		return len(found) < limit
	})
	return found
}

// planExpire takes what is past its end and not ending yet. Each mount has an equal share of the
// batch; what some leave goes to those that have more.
func planExpire(todo *Todo, now lease.Time, v *fsm.View, mounts []string) {
	share, left := max(1, MaxExpire/len(mounts)), MaxExpire
	lines := make([]line, len(mounts))
	for i, mount := range mounts {
		lines[i] = line{mount: mount, leases: ended(now, v, mount, min(share, left))}
		left -= len(lines[i].leases)
	}
	for i, l := range lines {
		if n := len(l.leases); left > 0 && n == share {
			lines[i].leases = ended(now, v, l.mount, share+left)
			left -= len(lines[i].leases) - n
		}
	}
	size := 0
	oneOfEach(lines, func(from line, l *lease.Lease) bool {
		todo.Expire = append(todo.Expire, &command.Ref{Id: l.ID, Generation: l.Generation})
		todo.ExpireTurn = from.mount
		size += len(l.ID)
		return size < maxRefBytes
	})
}

// planClaims fills the free slots with leases that are ending and due for an attempt, one of each
// mount in turn.
func planClaims(todo *Todo, now lease.Time, v *fsm.View, busy *Busy, mounts []string) {
	free := busy.Workers - len(busy.Leases)
	if free <= 0 {
		return
	}
	var lines []line
	timeouts := map[string]time.Duration{}
	for _, mount := range mounts {
		conf := mountConfig(v, mount)
		timeouts[mount] = conf.RevokeTimeout
		slots := min(free, conf.RevokeConcurrency-busy.Mounts[mount])
		if conf.RevokeRate > 0 {
			left, next := busy.Targets[mount].left(conf.RevokeRate, now)
			slots = min(slots, left)
			todo.look(now, next)
		}
		l := attempts(now, v, busy, mount, slots)
		l.rated = conf.RevokeRate > 0
		lines = append(lines, l)
	}
	oneOfEach(lines, func(from line, l *lease.Lease) bool {
		todo.Claim = append(todo.Claim, Claim{ID: l.ID, Mount: from.mount, Probe: from.probe, Rated: from.rated})
		todo.ClaimTurn = from.mount
		todo.Lapse = max(todo.Lapse, timeouts[from.mount]+lapseGrace)
		free--
		return free > 0
	})
}

func mountConfig(v *fsm.View, id string) lease.MountConfig {
	var conf lease.MountConfig
	if m := v.Mount(id); m != nil {
		conf = m.Config
	}
	return conf.WithDefaults()
}

// planSweeps gives each of the oldest jobs that are still marking a step. They share the budget, so
// that one large job goes fast and many small ones go side by side.
func planSweeps(v *fsm.View, busy *Busy) []*command.Sweep {
	jobs := v.SweepingJobs(MaxSweeps)
	var sweeps []*command.Sweep
	for _, j := range jobs {
		if !busy.Sweeps[j.ID] && len(busy.Sweeps)+len(sweeps) < MaxSweeps {
			sweeps = append(sweeps, &command.Sweep{Job: j.ID, Limit: uint32(sweepBudget / len(jobs))})
		}
	}
	return sweeps
}
