package httpapi

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/leasehold/leasehold/lease"
)

const (
	maxStaleness = 10 * time.Second // of what consistency=stale may answer
	indexWait    = time.Second      // for the state that X-Vault-Index asks for
)

// place makes sure that this node may serve the request: as the leader, or from a state that is new
// enough. Else the leader answers it.
func (s *Server) place(c *call) error {
	if c.route != nil && c.route.slow {
		s.limitTime(c)
	}
	switch {
	case c.route != nil && c.route.where == thisNode && c.route.access == open:
		return nil
	case c.wrapTTL != 0, c.route != nil && c.route.where == onLeader:
		return s.onLeader(c)
	case c.peer:
		return s.onLeader(c)
	case c.r.Header.Get(headerForward) == "active-node" && (c.route == nil || c.route.where != thisNode):
		return s.onLeader(c)
	}
	if err := s.refresh(c); err != nil {
		return err
	}
	if err := s.awaitIndex(c); err != nil {
		return err
	}
	// The path was looked up in a state that may have been old.
	if s.relocate(c); c.route != nil && c.route.where == onLeader {
		return s.onLeader(c)
	}
	return nil
}

// onLeader is toLeader with the wait for the state that the client has seen.
func (s *Server) onLeader(c *call) error {
	if err := s.toLeader(c); err != nil {
		return err
	}
	if err := s.awaitIndex(c); err != nil {
		return err
	}
	s.relocate(c)
	return nil
}

// refresh makes a read linearizable, or notes the age of a stale one.
func (s *Server) refresh(c *call) error {
	stale, err := c.wantsStale()
	if err != nil {
		return err
	}
	if stale {
		if since, ever := s.node.LastContact(); !ever || since > maxStaleness {
			return errTooStale
		}
		c.now = s.node.Now()
		return nil
	}
	term := s.node.Term()
	ready := s.node.Ready()
	if c.now, err = s.node.ReadIndex(c.ctx); err != nil {
		return err
	}
	if ready && s.node.Ready() && s.node.Term() == term {
		c.term = term
	}
	return nil
}

// wantsStale reads the wish for this node's own state, from the query or the header.
func (c *call) wantsStale() (bool, error) {
	wish := ""
	if c.query != nil {
		wish = c.query.Get("consistency")
	}
	if wish == "" {
		wish = c.r.Header.Get(headerConsistency)
	}
	switch wish {
	case "", "default":
		return false, nil
	case "stale":
		return true, nil
	}
	return false, lease.Errorf(lease.Invalid, `consistency: %q is not known: use "stale" or leave it out`, wish)
}

// awaitIndex waits for the state that the client has already seen, or hands the request to the
// leader, which has it if anybody does.
func (s *Server) awaitIndex(c *call) error {
	text := c.r.Header.Get(headerIndex)
	if text == "" {
		return nil
	}
	index, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return lease.Errorf(lease.Invalid, "X-Vault-Index: not a number: send what an answer carried")
	}
	if s.state.Applied() >= index {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.ctx, indexWait)
	defer cancel()
	if s.state.WaitApplied(ctx, index) == nil {
		return nil
	}
	if c.term != 0 || c.route != nil && c.route.where == thisNode {
		return errTooNew
	}
	if err := s.toLeader(c); err != nil {
		return err
	}
	if s.state.Applied() >= index {
		return nil
	}
	return errTooNew
}

// confirmed returns err, or that this node was not entitled to it: what a leader refuses or finds
// unnecessary without writing to the log is true only if it still leads. acted says that the
// handler may have written all the same.
func (s *Server) confirmed(c *call, err error, acted bool) error {
	if c.term == 0 || c.route != nil && c.route.where != onLeader || !settled(err) {
		return err
	}
	_, lost := s.node.ReadIndex(c.ctx)
	if lost == nil && s.node.Ready() && s.node.Term() == c.term {
		return err
	}
	if acted {
		return &lease.Error{Code: lease.Uncertain, Err: errors.Join(err, lost),
			Message: "this node stopped leading while it served the request: it may have happened, look first"}
	}
	return errLostLeadership
}

// settled reports whether an outcome says something of the state.
func settled(err error) bool {
	var e *lease.Error
	if !errors.As(err, &e) {
		return err == nil
	}
	switch e.Code {
	case lease.Invalid, lease.Denied, lease.NotFound, lease.Unsupported, lease.Conflict, lease.Limited:
		return true
	}
	return false
}
