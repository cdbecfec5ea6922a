package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/leasehold/leasehold/lease"
)

// The leader's side of the gossip keyring. The keys go from the leader to each member over the peer
// port and are written to no log: whoever joins brings the key along.

// keyringLimit is how long the leader waits for the members, in each of the two rounds of a step.
const keyringLimit = 2 * time.Second

// GossipKeyring is which keys the members have.
type GossipKeyring struct {
	Members  int // that gossip and answered, or did not answer
	Keys     []GossipKey
	Warnings []string // what an operator must see to, with the node's name
}

// GossipKey is one key of the members.
type GossipKey struct {
	Fingerprint      string // first hex digits of its SHA-256
	Members, Primary int    // how many have it, and how many encrypt with it
}

// memberKeys is one member's keyring, or why it is not known.
type memberKeys struct {
	id   string
	word keyringWord
	err  error
}

// GossipKeyring asks all members for their keys. It is the leader's.
func (n *Node) GossipKeyring(ctx context.Context) (GossipKeyring, error) {
	found, err := n.askKeyrings(ctx, keyringRequest{Step: keyringList})
	if err != nil {
		return GossipKeyring{}, err
	}
	return summary(found), nil
}

// ChangeGossipKeyring carries one step out on all members; done twice, it is done once. The key is in
// base64; for use and remove its fingerprint will do. Unavailable says that the step was not, or not
// everywhere, carried out, and is to be repeated. It is the leader's.
func (n *Node) ChangeGossipKeyring(ctx context.Context, step KeyringStep, key string) (GossipKeyring, error) {
	n.member.change.Lock() // a member to come would miss the step
	defer n.member.change.Unlock()
	found, err := n.askKeyrings(ctx, keyringRequest{Step: keyringList})
	if err != nil {
		return GossipKeyring{}, err
	}
	req, err := keyringOrder(step, key, found)
	if err != nil {
		return GossipKeyring{}, err
	}
	if found, err = n.askKeyrings(ctx, req); err != nil {
		return GossipKeyring{}, err
	}
	if missed := failures(found); missed != "" {
		return GossipKeyring{}, lease.Errorf(lease.Unavailable, "the step %s was not carried out everywhere: %s; see to it and repeat the step",
			step, missed)
	}
	return summary(found), nil
}

// keyringOrder is the request that carries a step out, or why what the members have forbids it.
func keyringOrder(step KeyringStep, text string, found []memberKeys) (keyringRequest, error) {
	req := keyringRequest{Step: step}
	on := summary(found)
	if on.Members == 0 {
		return req, lease.Errorf(lease.Conflict, "no member gossips: there is no keyring")
	}
	if step == KeyringInstall {
		var err error
		if req.Key, err = ParseGossipKey(text); err != nil {
			return req, lease.Errorf(lease.Invalid, "key %s", err)
		}
		return req, nil
	}
	var err error
	if req.ID, err = resolveKey(text, found); err != nil {
		return req, err
	}
	// A member that is away comes back with the keys that it had.
	if missed := failures(found); missed != "" {
		return req, lease.Errorf(lease.Unavailable, "nothing was changed, since it is not known which keys each member has: %s; "+
			"bring it back, or take it out with 'operator raft remove-peer'", missed)
	}
	var lack, encrypt []string
	for _, m := range found {
		switch at := slices.Index(m.word.IDs, req.ID); {
		case m.word.Off:
		case at < 0:
			lack = append(lack, m.id)
		case at == 0:
			encrypt = append(encrypt, m.id)
		}
	}
	switch {
	case step == KeyringUse && len(lack) > 0:
		return req, lease.Errorf(lease.Conflict, "the key %s is not on %s: install it first", shortKeyID(req.ID), strings.Join(lack, ", "))
	case step == KeyringRemove && len(encrypt) > 0:
		return req, lease.Errorf(lease.Conflict, "the key %s is the primary key of %s: use another first", shortKeyID(req.ID), strings.Join(encrypt, ", "))
	}
	return req, nil
}

// resolveKey finds which of the members' keys is meant, by the key or its fingerprint.
func resolveKey(text string, found []memberKeys) (string, error) {
	id := text
	if len(text) != shownKeyID {
		key, err := ParseGossipKey(text)
		if err != nil {
			return "", lease.Errorf(lease.Invalid, "key is neither a key nor a fingerprint of %d digits, or %s", shownKeyID, err)
		}
		id = keyID(key)
	}
	var ids []string
	for _, m := range found {
		for _, known := range m.word.IDs {
			if strings.HasPrefix(known, id) && !slices.Contains(ids, known) {
				ids = append(ids, known)
			}
		}
	}
	switch len(ids) {
	case 0:
		return "", lease.Errorf(lease.NotFound, "no member has this key: 'operator gossip list' shows those that there are")
	case 1:
		return ids[0], nil
	}
	return "", lease.Errorf(lease.Conflict, "several keys have this fingerprint: give the key itself")
}

// askKeyrings has all members carry a step out.
func (n *Node) askKeyrings(ctx context.Context, req keyringRequest) ([]memberKeys, error) {
	if !n.Ready() {
		return nil, errNotLeader
	}
	req.Leader = n.cfg.NodeID
	body, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, keyringLimit)
	defer cancel()
	servers := n.servers()
	found := make([]memberKeys, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			found[i] = n.askKeyring(ctx, s, body)
		}()
	}
	wg.Wait()
	slices.SortFunc(found, func(a, b memberKeys) int { return strings.Compare(a.id, b.id) })
	return found, nil
}

func (n *Node) askKeyring(ctx context.Context, s raft.Server, body []byte) memberKeys {
	m := memberKeys{id: string(s.ID)}
	var answer []byte
	if m.id == n.cfg.NodeID {
		answer, m.err = n.serveKeyring(ctx, body)
	} else {
		answer, m.err = n.calls.call(ctx, addrOf(s), verbKeyring, body)
	}
	if m.err == nil && json.Unmarshal(answer, &m.word) != nil {
		m.err = errors.New("its answer is not understood")
	}
	return m
}

// failures tells which members did not carry a step out, and why.
func failures(found []memberKeys) string {
	var failed []string
	for _, m := range found {
		if m.err != nil {
			failed = append(failed, fmt.Sprintf("%s: %s", m.id, m.err))
		}
	}
	return strings.Join(failed, "; ")
}

// summary counts the members per key. The keys that encrypt come first.
func summary(found []memberKeys) GossipKeyring {
	var ring GossipKeyring
	counts := make(map[string]*GossipKey)
	for _, m := range found {
		if m.word.Off {
			continue
		}
		ring.Members++
		switch {
		case m.err != nil:
			ring.Warnings = append(ring.Warnings, fmt.Sprintf("%s: %s", m.id, m.err))
		case m.word.Unsaved != "":
			ring.Warnings = append(ring.Warnings, fmt.Sprintf("%s has the keys in memory alone, and loses them when it restarts: %s", m.id, m.word.Unsaved))
		}
		for i, id := range m.word.IDs {
			if counts[id] == nil {
				counts[id] = &GossipKey{Fingerprint: shortKeyID(id)}
			}
			counts[id].Members++
			if i == 0 {
				counts[id].Primary++
			}
		}
	}
	for _, key := range counts {
		ring.Keys = append(ring.Keys, *key)
	}
	slices.SortFunc(ring.Keys, func(a, b GossipKey) int {
		if a.Primary != b.Primary {
			return b.Primary - a.Primary
		}
		return strings.Compare(a.Fingerprint, b.Fingerprint)
	})
	return ring
}
