package fsm

import (
	"strings"

	"github.com/leasehold/leasehold/fsm/command"
)

// Policy is the text of a policy; its parsed form is a cache of whoever needs it.
type Policy struct {
	Namespace, Name, Text string
	Version               uint64 // sequence number of the command that wrote it
}

// policyAges knows since when the policies of a namespace are what they are.
type policyAges struct {
	since map[string]uint64 // sequence number of the last change, by namespace
	floor uint64            // of all others
}

func newPolicyAges() policyAges { return policyAges{since: make(map[string]uint64)} }

// forget drops a namespace that is gone. Should its ID come back, its policies are as new as all whose
// age is not known.
func (a *policyAges) forget(namespace string, seq uint64) {
	delete(a.since, namespace)
	a.floor = seq
}

func (c *core) applyPutPolicy(r *Result, m *command.PutPolicy) {
	if r.Err = c.openNamespace(m.Namespace); r.Err != nil {
		return
	}
	c.policies.Set(nsKey(m.Namespace, m.Name),
		&Policy{Namespace: m.Namespace, Name: m.Name, Text: m.Text, Version: c.seq})
	c.policyAge.since[m.Namespace] = c.seq
}

func (c *core) applyDeletePolicy(m *command.DeletePolicy) {
	if _, there := c.policies.Delete(nsKey(m.Namespace, m.Name)); there {
		c.policyAge.since[m.Namespace] = c.seq
	}
}

// forgetPolicies removes the policies of a namespace that is going.
func (c *core) forgetPolicies(namespace string) {
	prefix := nsKey(namespace, "")
	var keys []string
	c.policies.Ascend(prefix, func(k string, _ *Policy) bool {
		if !strings.HasPrefix(k, prefix) {
			return false
		}
		keys = append(keys, k)
		return true
	})
	for _, k := range keys {
		c.policies.Delete(k)
	}
	c.policyAge.forget(namespace, c.seq)
}

// Policy returns a written policy, or nil.
func (v *View) Policy(namespace, name string) *Policy {
	p, _ := v.c.policies.Get(nsKey(namespace, name))
	return p
}

// PolicyVersion returns a number that is another one after any policy of the namespace was written or
// deleted. Nodes may differ in it: it is for caches, which compare it with what they saw before.
func (v *View) PolicyVersion(namespace string) uint64 {
	if seq, ok := v.c.policyAge.since[namespace]; ok {
		return seq
	}
	return v.c.policyAge.floor
}

// Policies returns the names of a namespace's written policies, sorted.
func (v *View) Policies(namespace string) []string {
	var names []string
	prefix := nsKey(namespace, "")
	v.c.policies.Ascend(prefix, func(k string, p *Policy) bool {
		if !strings.HasPrefix(k, prefix) {
			return false
		}
		names = append(names, p.Name)
		return true
	})
	return names
}
