package fsm

import (
	"bytes"
	"strings"
	"time"

	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// entryForgetLimit bounds the entries that are removed per command because they have expired or their
// mount is gone: more than one command can add, and so few that no entry of the log holds up the others.
const entryForgetLimit = 128

// entry is a sealed value of a mount. Past its end it is there for nobody, removed or not.
type entry struct {
	value   []byte
	expires lease.Time // 0: never
}

// entryEnd orders the entries that end.
type entryEnd struct {
	at  lease.Time
	key string
}

func lessEnd(a, b entryEnd) bool {
	if a.at != b.at {
		return a.at < b.at
	}
	return a.key < b.key
}

func entryKey(mountID, key string) string { return mountID + "\x00" + key }

func (c *core) putEntry(key string, e entry) {
	old, replaced := c.entries.Set(key, e)
	if replaced && old.expires != 0 {
		c.entryEnds.Delete(entryEnd{old.expires, key})
	}
	if e.expires != 0 {
		c.entryEnds.Set(entryEnd{e.expires, key})
	}
}

func (c *core) deleteEntry(key string) {
	if old, there := c.entries.Delete(key); there && old.expires != 0 {
		c.entryEnds.Delete(entryEnd{old.expires, key})
	}
}

// livingEntry returns the entry of a key unless it has expired.
func (c *core) livingEntry(key string) (entry, bool) {
	e, ok := c.entries.Get(key)
	if !ok || c.over(e) {
		return entry{}, false
	}
	return e, true
}

func (c *core) over(e entry) bool { return e.expires != 0 && e.expires <= c.now }

// nextEntry returns the first key from from on that begins with base and has not expired.
func (c *core) nextEntry(from, base string) (key string, ok bool) {
	c.entries.Ascend(from, func(k string, e entry) bool {
		if !strings.HasPrefix(k, base) {
			return false
		}
		if c.over(e) {
			return true
		}
		key, ok = k, true
		return false
	})
	return key, ok
}

// keepsEntries reports whether there are entries of a mount, expired ones too.
func (c *core) keepsEntries(mountID string) (found bool) {
	prefix := entryKey(mountID, "")
	c.entries.Ascend(prefix, func(k string, _ entry) bool {
		found = strings.HasPrefix(k, prefix)
		return false
	})
	return found
}

// forgetEntries removes entries that have expired and those of mounts that are gone, at most limit.
func (c *core) forgetEntries(limit int) {
	for ; limit > 0; limit-- {
		first, ok := c.entryEnds.Min()
		if !ok || first.at > c.now {
			break
		}
		c.deleteEntry(first.key)
	}
	for limit > 0 && c.leftBehind.Len() > 0 {
		mountID, _ := c.leftBehind.Min()
		limit -= c.forgetEntriesOf(mountID, limit)
	}
}

// forgetEntriesOf removes entries of a mount that is gone, at most limit, and the mount from those that
// left some behind when there are no others. It returns how many it removed.
func (c *core) forgetEntriesOf(mountID string, limit int) int {
	prefix := entryKey(mountID, "")
	keys, more := []string(nil), false
	c.entries.Ascend(prefix, func(k string, _ entry) bool {
		if !strings.HasPrefix(k, prefix) {
			return false
		}
		if more = len(keys) == limit; more {
			return false
		}
		keys = append(keys, k)
		return true
	})
	for _, k := range keys {
		c.deleteEntry(k)
	}
	if !more {
		c.leftBehind.Delete(mountID)
	}
	return len(keys)
}

// findLeftBehind finds the mounts that are gone and left entries behind.
func (c *core) findLeftBehind() {
	for from := ""; ; {
		mountID, found := "", false
		c.entries.Ascend(from, func(k string, _ entry) bool {
			mountID, _, found = strings.Cut(k, "\x00")
			return false
		})
		if !found {
			return
		}
		if _, there := c.mounts.Get(mountID); !there {
			c.leftBehind.Insert(mountID)
		}
		from = mountID + "\x01" // behind all keys of the mount
	}
}

// newEntry checks that a mount may keep a value for ttl, and returns it with its end.
func (c *core) newEntry(mountID string, value []byte, ttl int64) (entry, *lease.Error) {
	mount, ok := c.mounts.Get(mountID)
	if ok && mount.MovingTo != "" {
		return entry{}, lease.Errorf(lease.Conflict, "the mount is being moved to %s: write again when it is there", mount.MovingTo)
	}
	if !ok || mount.Tainted != 0 || c.closed(mount.Namespace) != nil {
		return entry{}, lease.Errorf(lease.NotFound, "the mount was disabled meanwhile")
	}
	if ttl < 0 {
		return entry{}, lease.Errorf(lease.Invalid, "the ttl of a value cannot be negative, got %s", time.Duration(ttl))
	}
	e := entry{value: value}
	if ttl > 0 {
		e.expires = c.now.Add(time.Duration(ttl))
	}
	return e, nil
}

func (c *core) applyPutEntry(r *Result, m *command.PutEntry) {
	e, err := c.newEntry(m.MountId, m.Value, m.Ttl)
	if err != nil {
		r.Err = err
		return
	}
	c.putEntry(entryKey(m.MountId, m.Key), e)
}

// applySwapEntry changes a value unless somebody came first: of all who saw the same value, the log
// lets one through.
func (c *core) applySwapEntry(r *Result, m *command.SwapEntry) {
	e, err := c.newEntry(m.MountId, m.Value, m.Ttl)
	if err != nil {
		r.Err = err
		return
	}
	key := entryKey(m.MountId, m.Key)
	old, there := c.livingEntry(key)
	if there != (len(m.Seen) > 0) || !bytes.Equal(old.value, m.Seen) {
		r.Err = lease.ErrChanged
		return
	}
	if len(m.Value) == 0 {
		c.deleteEntry(key)
		return
	}
	c.putEntry(key, e)
}

// Entry returns a mount's sealed value, unless it has expired.
func (v *View) Entry(mountID, key string) ([]byte, bool) {
	e, ok := v.c.livingEntry(entryKey(mountID, key))
	return e.value, ok
}

// Entries calls fn with the keys of a mount's values that begin with prefix, sorted.
func (v *View) Entries(mountID, prefix string, fn func(key string) bool) {
	base := entryKey(mountID, "")
	from := base + prefix
	v.c.entries.Ascend(from, func(k string, e entry) bool {
		return strings.HasPrefix(k, from) && (v.c.over(e) || fn(k[len(base):]))
	})
}

// EntryLevel returns one level of the keys of a mount's values below prefix, without it: a key with
// more below it ends in a slash. They are sorted, come after after and are at most limit; more says that
// there are others. What lies below a level is stepped over, not walked.
func (v *View) EntryLevel(mountID, prefix, after string, limit int) (keys []string, more bool) {
	base := entryKey(mountID, prefix)
	for from := base + after; ; {
		key, ok := v.c.nextEntry(from, base)
		if !ok {
			return keys, false
		}
		name := key[len(base):]
		head, _, below := strings.Cut(name, "/")
		if below {
			name, from = head+"/", base+head+"0" // '0' follows '/'
		} else {
			from = key + "\x00" // the next key there can be
		}
		if name <= after {
			continue
		}
		if len(keys) >= limit {
			return keys, true
		}
		keys = append(keys, name)
	}
}
