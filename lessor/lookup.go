package lessor

import (
	"strings"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
)

// Found is what lookup knows of a lease.
type Found struct {
	Lease         *lease.Lease
	Standing      lease.Status  // in effect: what a job covers or what is past its end is Revoking
	TTL           time.Duration // to the end; zero or less once the lease is ending
	Renewable     bool          // whether it may be renewed now
	Mount         *lease.Mount  // nil if it is gone
	NamespacePath string
}

// Lookup returns a lease as it stands at now. Any node may be asked, once its state is fresh
// enough for the caller. A pending intent is no lease yet.
func (l *Lessor) Lookup(ns, id string, now lease.Time) (*Found, error) {
	if relative(id) {
		return nil, lease.Errorf(lease.Invalid, "failed to read lease entry %s: relative paths not supported", id)
	}
	var f *Found
	l.state.Read(func(v *fsm.View) {
		le := v.Lease(id)
		if le == nil || le.Namespace != ns || le.Status == lease.Pending {
			return
		}
		f = &Found{Lease: le, Standing: v.Standing(le, now), TTL: le.Remaining(now), Mount: v.Mount(le.MountID)}
		if n := v.Namespace(ns); n != nil {
			f.NamespacePath = n.Path
		}
	})
	if f == nil {
		return nil, lease.ErrInvalidLease
	}
	if f.Standing != lease.Active {
		f.TTL = min(f.TTL, 0)
	}
	f.Renewable = f.Standing == lease.Active && f.Lease.Renewable && f.Lease.ExpireTime != 0
	return f, nil
}

// relative reports whether a segment of p is "..".
func relative(p string) bool {
	for seg := range strings.SplitSeq(p, "/") {
		if seg == ".." {
			return true
		}
	}
	return false
}
