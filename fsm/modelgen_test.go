package fsm_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// generator makes random commands about few names, so that they meet. It looks at the model for what
// is there, and asks for what is not there as well.
type generator struct {
	*rand.Rand
	m       *model
	tokens  []string
	opened  []uint64 // jobs
	claimed []claimed
	mounts  int
}

type claimed struct {
	id    string
	claim uint64
}

// childMount is a mount of namespace n1 at the same path as one of the root namespace; loginMount is an
// auth method.
const (
	childMount = "m-n1-db"
	loginMount = "m-up"
)

// paths that prefixes cover, or nearly.
var modelPaths = map[string][]string{
	plainMount: {"locks/a", "locks/a/b", "locks/ab"},
	otherMount: {"slots/s"},
	targetMnt:  {"db/creds/ro", "db/creds/ro2", "db/creds/ro/x"},
	childMount: {"db/creds/ro", "db/creds/rw"},
}

var modelPrefixes = []string{"db", "db/creds", "db/creds/ro", "db/creds/ro/x", "db/creds/ro/1", "locks", "locks/a", "locks/a/b",
	"slots", "auth", "auth/token/create", "auth/token/create/ht1", "auth/token/create/ht", "auth/up", "sys/wrapping", "none", ""}

func (g *generator) pick(list []string) string { return list[g.IntN(len(list))] }

func (g *generator) mountID() string {
	return g.pick([]string{plainMount, plainMount, otherMount, targetMnt, targetMnt, childMount})
}

// id is a lease ID of a mount; few numbers, so that IDs are asked for twice.
func (g *generator) id(mount string) string {
	id := fmt.Sprintf("%s/%d", g.pick(modelPaths[mount]), g.IntN(4))
	if mount == childMount {
		id += ".n1"
	}
	return id
}

func (g *generator) token() string { return g.pick(g.tokens) }

// some lease, there or not.
func (g *generator) anyID() string {
	if g.IntN(8) == 0 {
		if t := g.m.tokens[g.token()]; t != nil {
			return t.lease
		}
	}
	return g.id(g.mountID())
}

func (g *generator) ttl() int64 {
	return int64([]time.Duration{0, time.Second, 30 * time.Second, 10 * time.Minute, time.Hour, 50 * time.Hour, 9000 * time.Hour}[g.IntN(7)])
}

// increment is what a renewal asks for: some ask for nonsense.
func (g *generator) increment() int64 {
	if g.IntN(10) == 0 {
		return []int64{-1, math.MinInt64, math.MaxInt64}[g.IntN(3)]
	}
	return g.ttl()
}

func (g *generator) namespaceOf(id string) string {
	if _, ns, found := strings.Cut(id, "."); found && g.IntN(20) > 0 {
		return ns
	}
	return ""
}

func (g *generator) grant(mount string) *command.Grant {
	gr := &command.Grant{Id: g.id(mount), MountId: mount, Owner: g.token(), Ttl: g.ttl(), Renewable: g.IntN(8) > 0}
	gr.Path = gr.Id[:len(gr.Id)-2]
	if mount == childMount {
		gr.Namespace = "n1"
	}
	if g.IntN(4) == 0 {
		gr.MaxTtl = g.ttl()
	}
	if g.IntN(4) == 0 {
		gr.DefaultTtl = g.ttl()
	}
	if g.IntN(6) == 0 {
		gr.Idempotency = &command.Idempotency{Key: []byte{byte('a' + g.IntN(3))}, Body: []byte{byte('x' + g.IntN(2))}}
	}
	for _, id := range sortedNames(g.m.mounts) { // a mount enabled again at this path
		if mt := g.m.mounts[id]; g.IntN(2) == 0 && mt.path == g.m.pathOf(mount) && mt.namespace == gr.Namespace && !mt.disabled {
			gr.MountId = id
		}
	}
	return gr
}

func (m *model) pathOf(mount string) string {
	return map[string]string{plainMount: "locks/", otherMount: "slots/", targetMnt: "db/", childMount: "db/"}[mount]
}

func (g *generator) next() fsm.Command {
	switch n := g.IntN(120); {
	case n >= 112:
		return g.standCommand()
	case n >= 100:
		return g.configCommand()
	case n < 16:
		return &command.Issue{Grant: g.grant(g.pick([]string{plainMount, plainMount, otherMount}))}
	case n < 28:
		return &command.Reserve{Grant: g.grant(g.pick([]string{targetMnt, targetMnt, childMount})), ExternalName: "x", Deadline: int64(2 * time.Minute)}
	case n < 39:
		return &command.Activate{Id: g.id(g.pick([]string{targetMnt, targetMnt, childMount})), Ttl: []int64{0, 0, int64(time.Minute)}[g.IntN(3)]}
	case n < 47:
		id := g.anyID()
		return &command.Renew{Id: id, Namespace: g.namespaceOf(id), Increment: g.increment(), Final: g.IntN(12) == 0}
	case n < 57:
		return g.tokenCommand()
	default:
		return g.ending()
	}
}

func (g *generator) tokenCommand() fsm.Command {
	hash := fmt.Sprintf("t%d", g.IntN(8))
	switch g.IntN(6) {
	case 0, 1, 2:
		parent := g.token()
		if g.IntN(6) == 0 || parent == hash {
			parent = ""
		}
		return g.createToken(hash, parent)
	case 3:
		return &command.RenewToken{Hash: hash, Increment: g.ttl()}
	case 4:
		return &command.UseToken{Hash: hash}
	default:
		if g.IntN(3) > 0 {
			return &command.UseToken{Hash: hash}
		}
		return &command.RevokeToken{Hash: hash, Cause: "token-revoked", SpareChildren: g.IntN(3) == 0}
	}
}

func (g *generator) ending() fsm.Command {
	switch n := g.IntN(43); {
	case n < 3:
		id, other := g.anyID(), g.anyID()
		return &command.Revoke{Ids: []string{id, other}, Namespace: g.namespaceOf(id), Cause: "revoked", Force: g.IntN(6) == 0}
	case n < 10:
		return g.expire()
	case n < 18:
		return &command.Claim{Epoch: g.epoch(), Ids: g.targets(), Lapse: int64(40 * time.Second)}
	case n < 23:
		c := g.aClaim()
		return &command.Finish{Id: c.id, Claim: c.claim}
	case n < 29:
		c := g.aClaim()
		return &command.Fail{Id: c.id, Claim: c.claim, Error: "down", RetryAfter: int64(time.Duration(g.IntN(30)) * time.Second),
			Permanent: g.IntN(10) == 0}
	case n < 31:
		sel := &command.Selector{Kind: uint32(lease.SelectPrefix), Value: g.pick(modelPrefixes), Namespace: g.pick([]string{"", "", "n1"})}
		return &command.OpenJob{Selector: sel, Cause: "revoke-prefix", Force: g.IntN(5) == 0}
	case n < 37:
		return &command.Sweep{Epoch: g.epoch(), Job: g.job(), Limit: uint32([]int{1, 2, 5, 1000}[g.IntN(4)])}
	case n < 38:
		return &command.Epoch{Term: g.m.epoch + uint64(g.IntN(3)) - 1 + uint64(g.IntN(2))}
	case n < 39:
		return g.mountCommand()
	default:
		return &command.Tick{}
	}
}

func (g *generator) epoch() uint64 {
	if g.IntN(20) == 0 {
		return g.m.epoch + 1
	}
	return g.m.epoch
}

// expire names leases that are past their end, and others; some as they were a renewal ago.
func (g *generator) expire() fsm.Command {
	cmd := &command.Expire{Epoch: g.epoch()}
	for _, id := range sortedNames(g.m.leases) {
		l := g.m.leases[id]
		if g.m.expired(l) && g.IntN(2) == 0 || g.IntN(12) == 0 {
			gen := l.generation
			if g.IntN(10) == 0 && gen > 0 {
				gen--
			}
			cmd.Leases = append(cmd.Leases, &command.Ref{Id: l.id, Generation: gen})
		}
	}
	return cmd
}

func (g *generator) targets() []string {
	var ids []string
	for _, id := range sortedNames(g.m.leases) {
		if l := g.m.leases[id]; l.kind == lease.Target && g.IntN(2) == 0 || g.IntN(20) == 0 {
			ids = append(ids, l.id)
		}
	}
	return ids
}

func (g *generator) aClaim() claimed {
	if len(g.claimed) == 0 {
		return claimed{g.anyID(), 7}
	}
	return g.claimed[max(0, len(g.claimed)-1-g.IntN(4))]
}

func (g *generator) job() uint64 {
	if len(g.m.jobs) > 0 && g.IntN(8) > 0 { // one that is marking
		var open []uint64
		for _, id := range g.opened {
			if _, marking := g.m.jobs[id]; marking {
				open = append(open, id)
			}
		}
		if len(open) > 0 {
			return open[g.IntN(len(open))]
		}
	}
	if len(g.opened) == 0 {
		return 5
	}
	return g.opened[g.IntN(len(g.opened))]
}

// pause is how far log time moves before the next command.
func (g *generator) pause() time.Duration {
	switch g.IntN(12) {
	case 0:
		return 30 * time.Second
	case 1:
		return time.Duration(g.IntN(700)) * time.Second
	case 2, 3, 4:
		return time.Second
	case 5:
		if g.IntN(8) == 0 {
			return 25 * time.Hour
		}
		return -5 * time.Second // a new leader whose clock is behind: log time stands still (S10)
	}
	return 0
}
