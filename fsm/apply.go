package fsm

import (
	"errors"
	"fmt"

	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// Apply executes one committed entry and returns a Result per command, in order. An error means
// that this node is too old for the entry, or that its state is not the cluster's, and must stop: to
// go on would fork the state (S19).
// Bytes that no version writes are the same recorded no-op on every node.
func (s *State) Apply(index uint64, entry []byte) ([]Result, error) {
	now, cmds, err := decodeEntry(entry)
	if err != nil && !errors.Is(err, errMalformed) {
		return nil, fmt.Errorf("entry %d: %w", index, err)
	}
	malformed := err != nil

	s.mu.Lock()
	c := s.core
	if err := c.checkLineage(cmds); err != nil {
		s.mu.Unlock()
		return nil, fmt.Errorf("entry %d: %w", index, err)
	}
	c.index = max(c.index, index)
	var results []Result
	if malformed {
		c.malformed++
		results = []Result{{Err: lease.Errorf(lease.Internal, "malformed log entry"), Index: index, Now: c.now}}
	} else {
		c.now = max(c.now, now, 1) // never zero, which means "never"
		results = make([]Result, len(cmds))
		for i, d := range cmds {
			c.seq++
			c.apply(&results[i], d.cmd)
			results[i].Index, results[i].Seq, results[i].Now = index, c.seq, c.now
			c.forgetIdempotent(idempotencyForgetLimit)
			c.forgetEntries(entryForgetLimit)
		}
		c.due.drain(c.now, drainLimit)
	}
	s.mu.Unlock()
	s.reached(index)
	return results, nil
}

// apply executes one command. c.seq is the command's own number, c.now the entry's time.
func (c *core) apply(r *Result, cmd Command) {
	switch m := cmd.(type) {
	case nil:
		c.malformed++
		r.Err = lease.Errorf(lease.Internal, "malformed command")
	case *command.Init:
		c.applyInit(r, m)
	case *command.Epoch:
		c.applyEpoch(r, m)
	case *command.Tick, *command.Lineage: // Apply has checked it
	case *command.SetFeatureLevel:
		c.level = max(c.level, m.Level)
	case *command.PutNode:
		c.nodes.Set(m.Id, Node{ID: m.Id, PeerAddr: m.PeerAddr, APIAddr: m.ApiAddr, Version: m.Version,
			FeatureLevel: m.FeatureLevel})
	case *command.DeleteNode:
		c.nodes.Delete(m.Id)

	case *command.Issue:
		c.applyIssue(r, m)
	case *command.Reserve:
		c.applyReserve(r, m)
	case *command.Activate:
		c.applyActivate(r, m)
	case *command.Renew:
		c.applyRenew(r, m)
	case *command.Revoke:
		c.applyRevoke(r, m)
	case *command.Expire:
		c.applyExpire(r, m)
	case *command.Claim:
		c.applyClaim(r, m)
	case *command.Finish:
		c.applyFinish(r, m)
	case *command.Fail:
		c.applyFail(r, m)
	default:
		c.applyRest(r, cmd)
	}
}

// applyRest is the part of apply that is not about single leases.
func (c *core) applyRest(r *Result, cmd Command) {
	switch m := cmd.(type) {
	case *command.ReleaseHold:
		c.applyReleaseHold(r, m)
	case *command.OpenJob:
		c.applyOpenJob(r, m)
	case *command.OpenTidy:
		c.applyOpenTidy(r, m)
	case *command.Sweep:
		c.applySweep(r, m)
	case *command.CreateToken:
		c.applyCreateToken(r, m)
	case *command.RenewToken:
		c.applyRenewToken(r, m)
	case *command.UseToken:
		c.applyUseToken(r, m)
	case *command.RevokeToken:
		c.applyRevokeToken(r, m)
	case *command.RetryRevocations:
		c.applyRetryRevocations(r, m)
	case *command.FreezeMount:
		c.applyFreezeMount(r, m)
	case *command.ThawMount:
		c.applyThawMount(r, m)
	case *command.SetMountHealth:
		c.applySetMountHealth(r, m)
	case *command.SetAutopilot:
		c.autopilot = autopilotFromRecord(m)
	case *command.PutJoinToken:
		c.applyPutJoinToken(r, m)
	case *command.UseJoinToken:
		c.applyUseJoinToken(r, m)
	default:
		c.applyConfig(r, cmd)
	}
}

// applyConfig is the part of apply that is about what an operator sets up.
func (c *core) applyConfig(r *Result, cmd Command) {
	switch m := cmd.(type) {
	case *command.PutPolicy:
		c.applyPutPolicy(r, m)
	case *command.DeletePolicy:
		c.applyDeletePolicy(m)
	case *command.EnableMount:
		c.applyEnableMount(r, m)
	case *command.TuneMount:
		c.applyTuneMount(r, m)
	case *command.DisableMount:
		c.applyDisableMount(r, m)
	case *command.MoveMount:
		c.applyMoveMount(r, m)
	case *command.PutEntry:
		c.applyPutEntry(r, m)
	case *command.SwapEntry:
		c.applySwapEntry(r, m)
	case *command.DeleteEntry:
		c.deleteEntry(entryKey(m.MountId, m.Key))
	case *command.PutNamespace:
		c.applyPutNamespace(r, m)
	case *command.CreateNamespace:
		c.applyCreateNamespace(r, m)
	case *command.CloseNamespace:
		c.applyCloseNamespace(r, m)
	case *command.DeleteNamespace:
		c.applyDeleteNamespace(r, m)
	default:
		panic(fmt.Sprintf("command %T has a type number and no meaning", cmd))
	}
}

func (c *core) applyInit(r *Result, m *command.Init) {
	if c.cluster.Initialized {
		r.Err = lease.ErrInitialized
		return
	}
	if root := tokenFromRecord(m.Root); m.ClusterId == "" || !root.Root() || !nameable(root) || root.Parent != "" {
		r.Err = lease.Errorf(lease.Invalid, "a cluster needs an ID and a root token")
		return
	}
	c.applyEnableMount(r, m.TokenMount)
	if r.Err != nil {
		return
	}
	c.cluster = Cluster{ID: m.ClusterId, Name: m.ClusterName, Created: c.now, Keyring: m.Keyring,
		TokenMountID: m.TokenMount.Id, Initialized: true}
	c.applyCreateToken(r, &command.CreateToken{Token: m.Root, NeverExpires: true})
}

// applyEpoch opens a leadership. What the last leader had claimed may be half done or not begun:
// it is due again at once, and a new claim outranks the old.
func (c *core) applyEpoch(r *Result, m *command.Epoch) {
	if m.Term < c.epoch {
		r.Err = lease.ErrStaleEpoch
		return
	}
	c.epoch = m.Term
	for _, id := range sortedKeys(c.claimed) {
		rec := c.leases[id]
		l, e := *rec.lease, *rec.lease.Ending
		e.Claim, e.NextAttempt = 0, c.now
		l.Ending = &e
		c.replace(rec, &l)
	}
}
