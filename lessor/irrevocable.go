package lessor

import (
	"strings"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
)

// NoAccessor stands for the accessor of a mount that is not there, as in Vault.
const NoAccessor = "mount-accessor-not-found"

// IrrevocableLease is a lease that could not be revoked.
type IrrevocableLease struct {
	LeaseID  string
	Accessor string // of the mount
	Error    string // of the last attempt
}

// Irrevocable returns the first limit (zero: all) irrevocable leases of a namespace by expiry, then
// by ID, and how many there are in all. With children those of the namespaces below are included.
func (l *Lessor) Irrevocable(ns string, children bool, limit int) (list []IrrevocableLease, total int) {
	l.state.Read(func(v *fsm.View) {
		in, all := scope(v, ns, children)
		total, _ = countIrrevocable(v, in, all)
		want := total
		if limit > 0 {
			want = min(want, limit)
		}
		if want == 0 {
			return
		}
		accessors := make(map[string]string)
		list = make([]IrrevocableLease, 0, want)
		v.Irrevocable(func(le *lease.Lease) bool {
			if !in[le.Namespace] {
				return true
			}
			accessor, ok := accessors[le.MountID]
			if !ok {
				accessor = NoAccessor
				if m := v.Mount(le.MountID); m != nil {
					accessor = m.Accessor
				}
				accessors[le.MountID] = accessor
			}
			entry := IrrevocableLease{LeaseID: le.ID, Accessor: accessor}
			if le.Ending != nil {
				entry.Error = le.Ending.Error
			}
			list = append(list, entry)
			return len(list) < want
		})
	})
	return list, total
}

// CountIrrevocable returns how many irrevocable leases a namespace has, in all and by the accessor
// of their mount.
func (l *Lessor) CountIrrevocable(ns string, children bool) (total int, byAccessor map[string]int) {
	l.state.Read(func(v *fsm.View) {
		in, all := scope(v, ns, children)
		total, byAccessor = countIrrevocable(v, in, all)
	})
	return total, byAccessor
}

// scope returns the IDs of the namespaces meant, and whether they are all there are.
func scope(v *fsm.View, ns string, children bool) (in map[string]bool, all bool) {
	in = map[string]bool{ns: true}
	root := v.Namespace(ns)
	others := v.Namespaces()
	if root == nil || !children {
		return in, ns == "" && len(others) == 0
	}
	for _, n := range others {
		if strings.HasPrefix(n.Path, root.Path) {
			in[n.ID] = true
		}
	}
	return in, ns == ""
}

// countIrrevocable reads the counters: its cost is that of the mounts, whatever they have leased.
func countIrrevocable(v *fsm.View, in map[string]bool, all bool) (int, map[string]int) {
	total, counts := 0, make(map[string]int)
	for ns := range in {
		for _, m := range v.Mounts(ns) {
			if n := v.MountCounts(m.ID).Of(lease.Irrevocable); n > 0 {
				counts[m.Accessor] = n
				total += n
			}
		}
	}
	if all {
		if rest := v.Counts().Of(lease.Irrevocable) - total; rest > 0 {
			counts[NoAccessor] = rest
			total += rest
		}
	}
	return total, counts
}
