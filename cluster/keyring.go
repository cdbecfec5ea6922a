package cluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"sync"

	"github.com/hashicorp/memberlist"

	"github.com/leasehold/leasehold/lease"
)

const (
	// GossipKeySize is the size of a gossip key in bytes, for AES-256.
	GossipKeySize = 32
	// MaxGossipKeys bounds a keyring: whatever cannot be decrypted is tried with each of its keys.
	MaxGossipKeys = 8
	// shownKeyID is how many hex digits of a key's hash are shown.
	shownKeyID = 8
)

// ParseGossipKey reads a key from base64. The error is a phrase, such as "is no base64", and tells
// nothing of the key.
func ParseGossipKey(text string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, lease.Errorf(lease.Invalid, "is no base64: make a key with 'leasehold operator gossip generate'")
	}
	if len(key) != GossipKeySize {
		return nil, lease.Errorf(lease.Invalid, "has %d bytes and not %d: make a key with 'leasehold operator gossip generate'", len(key), GossipKeySize)
	}
	return key, nil
}

// keyID names a key among nodes, without telling it.
func keyID(key []byte) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:])
}

// KeyringStep is one of the three steps by which the gossip key is replaced.
type KeyringStep string

// The steps, in their order. The first comes with the key, which is told to a member this once.
const (
	KeyringInstall KeyringStep = "install" // from now on it decrypts
	KeyringUse     KeyringStep = "use"     // from now on it encrypts
	KeyringRemove  KeyringStep = "remove"  // from now on it is worth nothing

	keyringList KeyringStep = "list"
)

// keyring is the keys of this node's gossip: the first encrypts, all decrypt. The zero keyring is
// of a node whose gossip is plain.
type keyring struct {
	ring *memberlist.Keyring
	save func([][]byte) error

	mu      sync.Mutex // guards changes of ring, and unsaved
	unsaved string     // why the file does not hold what ring holds, "" if it does
}

func newKeyring(cfg Config) (*keyring, error) {
	k := &keyring{save: cfg.SaveGossipKeys}
	if len(cfg.GossipKeys) == 0 {
		return k, nil
	}
	var err error
	k.ring, err = memberlist.NewKeyring(cfg.GossipKeys, cfg.GossipKeys[0])
	return k, err
}

// keyringRequest is the body of verbKeyring.
type keyringRequest struct {
	Leader string      `json:"leader"` // who asks
	Step   KeyringStep `json:"step"`
	ID     string      `json:"id,omitempty"`  // hash of the key, for use and remove
	Key    []byte      `json:"key,omitempty"` // for install alone
}

// keyringWord is a member's answer: what it has when the step is done.
type keyringWord struct {
	Off     bool     `json:"off,omitempty"` // it does not gossip
	IDs     []string `json:"ids"`           // hashes of its keys, that of the one that encrypts first
	Unsaved string   `json:"unsaved,omitempty"`
}

// serveKeyring answers verbKeyring, to the leader that this node follows and to nobody else.
func (n *Node) serveKeyring(ctx context.Context, body []byte) ([]byte, error) {
	var req keyringRequest
	if json.Unmarshal(body, &req) != nil || req.Leader == "" { // the error would quote the body
		return nil, lease.Errorf(lease.Invalid, "a step of the keyring needs a leader")
	}
	if !speaksFor(ctx, req.Leader) {
		return nil, notInTheNameOf(ctx, req.Leader)
	}
	if leader := n.LeaderID(); leader != req.Leader {
		return nil, lease.Errorf(lease.Unavailable, "the keyring is the leader's to change: %q asked, and this node follows %q", req.Leader, leader)
	}
	if n.gossip == nil {
		return json.Marshal(keyringWord{Off: true})
	}
	word, err := n.gossip.keys.do(req)
	if err != nil {
		return nil, err
	}
	if req.Step != keyringList {
		n.log.Info("gossip keyring", "step", req.Step, "key", req.shown(), "keys", len(word.IDs))
		if word.Unsaved != "" {
			n.log.Warn("the gossip keyring could not be written: a restart brings back the old one", "error", word.Unsaved)
		}
	}
	return json.Marshal(word)
}

// shown is the key that a request is about, as operators see it.
func (r keyringRequest) shown() string {
	if r.Step == KeyringInstall {
		return shortKeyID(keyID(r.Key))
	}
	return shortKeyID(r.ID)
}

func shortKeyID(id string) string { return id[:min(len(id), shownKeyID)] }

// do carries a step out and writes the keys down. A step that is done already is done again: the
// file may have become writable meanwhile.
func (k *keyring) do(req keyringRequest) (keyringWord, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if req.Step != keyringList {
		if err := k.change(req); err != nil {
			return keyringWord{}, err
		}
		k.write()
	}
	word := keyringWord{IDs: []string{}, Unsaved: k.unsaved}
	for _, key := range k.list() {
		word.IDs = append(word.IDs, keyID(key))
	}
	return word, nil
}

func (k *keyring) list() [][]byte {
	if k.ring == nil {
		return nil
	}
	return k.ring.GetKeys()
}

// change is do for the keys in memory. The caller holds the lock.
func (k *keyring) change(req keyringRequest) error {
	keys := k.list()
	if len(keys) == 0 {
		return lease.Errorf(lease.Conflict, "its gossip is plain: set gossip.key_file and restart it")
	}
	if req.Step == KeyringInstall {
		has := slices.ContainsFunc(keys, func(key []byte) bool { return bytes.Equal(key, req.Key) })
		switch {
		case len(req.Key) != GossipKeySize:
			return lease.Errorf(lease.Invalid, "the key has %d bytes, want %d", len(req.Key), GossipKeySize)
		case !has && len(keys) >= MaxGossipKeys:
			return lease.Errorf(lease.Conflict, "it has %d keys, which is the most: remove one first", len(keys))
		}
		return k.ring.AddKey(bytes.Clone(req.Key))
	}
	at := slices.IndexFunc(keys, func(key []byte) bool { return keyID(key) == req.ID })
	switch {
	case req.Step == KeyringUse && at >= 0:
		return k.ring.UseKey(keys[at])
	case req.Step == KeyringUse:
		return lease.Errorf(lease.Conflict, "it does not have the key: install it first")
	case req.Step != KeyringRemove:
		return lease.Errorf(lease.Unsupported, "this node does not know the step %q", req.Step)
	case at == 0:
		return lease.Errorf(lease.Conflict, "the key encrypts: use another first")
	case at > 0:
		return k.drop(keys, at)
	}
	return nil
}

// drop removes a key that does not encrypt. RemoveKey moves the keys behind it in place, below whoever
// decrypts at this moment, so it is brought to the end first, where nothing is behind it.
func (k *keyring) drop(keys [][]byte, at int) error {
	gone := keys[at]
	if at < len(keys)-1 {
		front := slices.Delete(slices.Clone(keys), at, at+1)
		for _, key := range slices.Backward(front) {
			if err := k.ring.UseKey(key); err != nil {
				return err
			}
		}
	}
	return k.ring.RemoveKey(gone)
}

// write has the keys outlive the process. The caller holds the lock.
func (k *keyring) write() {
	k.unsaved = ""
	if k.save == nil {
		return
	}
	if err := k.save(k.list()); err != nil {
		k.unsaved = err.Error()
	}
}
