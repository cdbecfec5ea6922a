package fsm

import (
	"encoding/binary"

	"github.com/leasehold/leasehold/lease"
)

// child orders tokens below their parents.
type child struct{ parent, hash string }

func lessChild(a, b child) bool {
	if a.parent != b.parent {
		return a.parent < b.parent
	}
	return a.hash < b.hash
}

// accessor orders the accessors of tokens within their namespaces.
type accessor struct{ namespace, name string }

func lessAccessor(a, b accessor) bool {
	if a.namespace != b.namespace {
		return a.namespace < b.namespace
	}
	return a.name < b.name
}

// policySet is a list of policies that count tokens share: many tokens, few lists.
type policySet struct {
	key   string
	list  []string
	count int
}

// policyKey appends what tells one list of policies from any other.
func policyKey(buf []byte, list []string) []byte {
	for _, name := range list {
		buf = binary.AppendUvarint(buf, uint64(len(name)))
		buf = append(buf, name...)
	}
	return buf
}

// sharePolicies returns the list equal to list that all tokens share, for one more of them.
func (c *core) sharePolicies(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	var room [128]byte
	key := policyKey(room[:0], list)
	set := c.policySets[string(key)]
	if set == nil {
		set = &policySet{key: string(key), list: list}
		c.policySets[set.key] = set
	}
	set.count++
	return set.list
}

// unsharePolicies forgets a list with the last token that has it.
func (c *core) unsharePolicies(list []string) {
	var room [128]byte
	set := c.policySets[string(policyKey(room[:0], list))]
	if set == nil {
		return
	}
	if set.count--; set.count == 0 {
		delete(c.policySets, set.key)
	}
}

// putToken stores a new or changed token. Hash, accessor, namespace and policies never change; a new
// one's list of policies becomes the shared one.
func (c *core) putToken(t *lease.Token) {
	old := c.tokenByHash[t.Hash]
	if old == nil {
		c.accessors[t.Accessor] = t.Hash
		c.accOrder.Set(accessor{t.Namespace, t.Accessor})
		t.Policies = c.sharePolicies(t.Policies)
	} else if old.Parent != t.Parent && old.Parent != "" {
		c.children.Delete(child{old.Parent, t.Hash})
	}
	if t.Parent != "" && (old == nil || old.Parent != t.Parent) {
		c.children.Set(child{t.Parent, t.Hash})
	}
	c.tokenByHash[t.Hash] = t
	c.tokens.Set(t.Hash, t)
}

func (c *core) removeToken(t *lease.Token) {
	delete(c.tokenByHash, t.Hash)
	delete(c.accessors, t.Accessor)
	c.accOrder.Delete(accessor{t.Namespace, t.Accessor})
	c.unsharePolicies(t.Policies)
	c.tokens.Delete(t.Hash)
	if t.Parent != "" {
		c.children.Delete(child{t.Parent, t.Hash})
	}
}

// firstChild is the first token whose parent is hash, "" if there is none.
func (c *core) firstChild(hash string) string {
	var found string
	c.children.Ascend(child{parent: hash}, func(ch child) bool {
		if ch.parent == hash {
			found = ch.hash
		}
		return false
	})
	return found
}

// Token returns a token by the hash of its secret, dead ones too, or nil.
func (v *View) Token(hash string) *lease.Token { return v.c.tokenByHash[hash] }

// TokenByAccessor returns a token by its accessor, or nil.
func (v *View) TokenByAccessor(accessor string) *lease.Token {
	hash, ok := v.c.accessors[accessor]
	if !ok {
		return nil
	}
	return v.c.tokenByHash[hash]
}

// Accessors returns the accessors of a namespace's tokens, doomed ones too, in order of bytes: those
// after after, at most limit of them; more says that there are others. The cost does not depend on how
// many there are.
func (v *View) Accessors(namespace, after string, limit int) (accessors []string, more bool) {
	v.c.accOrder.Ascend(accessor{namespace, after}, func(a accessor) bool {
		if a.namespace != namespace {
			return false
		}
		if a.name == after {
			return true
		}
		if more = len(accessors) >= limit; more {
			return false
		}
		accessors = append(accessors, a.name)
		return true
	})
	return accessors, more
}

// Tokens calls fn with every token in order of hashes, beginning with the hash from.
func (v *View) Tokens(from string, fn func(*lease.Token) bool) {
	v.c.tokens.Ascend(from, func(_ string, t *lease.Token) bool { return fn(t) })
}

// TokenAlive reports whether t and everything it descends from is neither revoked nor expired nor
// covered by a job at now. Whether uses are left is not asked.
func (v *View) TokenAlive(t *lease.Token, now lease.Time) bool { return v.c.tokenAlive(t, now) }

// Children calls fn with the hashes of a token's children, sorted.
func (v *View) Children(hash string, fn func(child string) bool) {
	v.c.children.Ascend(child{parent: hash}, func(ch child) bool {
		return ch.parent == hash && fn(ch.hash)
	})
}

// TokenCount is the number of tokens, doomed ones included.
func (v *View) TokenCount() int { return v.c.tokens.Len() }
