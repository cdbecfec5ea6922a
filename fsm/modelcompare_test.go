package fsm_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/leasehold/leasehold/fsm"
)

// syncConfig forgets the mounts and namespaces that the state machine has removed, and finds fault where
// something was left in them.
func (m *model) syncConfig(v *fsm.View) error {
	for id, mt := range m.mounts {
		if now := v.Mount(id); now != nil {
			if err := m.syncMove(id, mt, now); err != nil {
				return err
			}
			continue
		}
		for _, l := range m.leases {
			if l.mount == id {
				return fmt.Errorf("mount %s is gone and %s is there", id, l.id)
			}
		}
		if !m.unusable(mt) {
			return fmt.Errorf("mount %s is gone and nobody disabled it", id)
		}
		delete(m.mounts, id)
		for key := range m.entries {
			if strings.HasPrefix(key, id+" ") {
				delete(m.entries, key)
			}
		}
	}
	for id, n := range m.namespaces {
		if v.Namespace(id) != nil {
			continue
		}
		for _, l := range m.leases {
			if l.namespace == id {
				return fmt.Errorf("namespace %s is gone and %s is there", id, l.id)
			}
		}
		if !n.closed {
			return fmt.Errorf("namespace %s is gone and nobody closed it", id)
		}
		m.forgetNamespace(id)
	}
	return nil
}

// compareConfig checks all that can be seen of mounts' entries, policies, namespaces and accessors.
func (m *model) compareConfig(v *fsm.View) error {
	var accessors []string
	for _, ns := range append(sortedNames(m.namespaces), "") {
		if err := m.comparePolicies(v, ns); err != nil {
			return err
		}
		var want []string
		for hash, t := range m.tokens {
			if t.namespace == ns {
				want = append(want, "acc-"+hash)
			}
		}
		slices.Sort(want)
		got, more := v.Accessors(ns, "", len(want))
		if !slices.Equal(got, want) || more {
			return fmt.Errorf("accessors of %q: %q and more: %v, want %q", ns, got, more, want)
		}
		accessors = append(accessors, got...)
	}
	if err := m.compareMounts(v); err != nil {
		return err
	}
	if len(accessors) != len(m.tokens) {
		return fmt.Errorf("%d accessors of all namespaces, want %d", len(accessors), len(m.tokens))
	}
	var paths, wantPaths []string
	for _, ns := range v.NamespacesBelow("") {
		paths = append(paths, fmt.Sprint(ns.Path, ns.Tainted != 0))
	}
	for _, n := range m.namespaces {
		wantPaths = append(wantPaths, fmt.Sprint(n.path, n.closed))
	}
	if slices.Sort(wantPaths); !slices.Equal(paths, wantPaths) {
		return fmt.Errorf("namespaces %q, want %q", paths, wantPaths)
	}
	for id := range m.mounts {
		for _, key := range levelKeys {
			value, got := v.Entry(id, key)
			if e, want := m.entry(id, key); got != want || string(value) != e.value {
				return fmt.Errorf("entry %s of %s: %q %v, want %q %v", key, id, value, got, e.value, want)
			}
		}
	}
	return nil
}

// comparePolicies: equal versions mean equal policies, also those of a namespace that was made again.
func (m *model) comparePolicies(v *fsm.View, ns string) error {
	var got, want []string
	for _, name := range v.Policies(ns) {
		p := v.Policy(ns, name)
		got = append(got, ns+" "+name+p.Text+fmt.Sprint(p.Version))
	}
	for _, key := range sortedNames(m.policies) {
		if strings.HasPrefix(key, ns+" ") {
			want = append(want, key+m.policies[key])
		}
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("policies %q, want %q", got, want)
	}
	key := fmt.Sprint(ns, " ", v.PolicyVersion(ns))
	seen, known := m.policyAges[key]
	if now := strings.Join(want, ";"); known && seen != now {
		return fmt.Errorf("%s stands for policies %q and for %q", key, seen, now)
	} else {
		m.policyAges[key] = now
	}
	return nil
}
