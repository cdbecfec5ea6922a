package fsm_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// start is the log time at which tests begin.
var start = lease.At(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))

// Names that every world begins with.
const (
	tokenMount = "m-token" // auth/token/
	plainMount = "m-locks" // locks/, type lease
	otherMount = "m-slots" // slots/, type lease
	targetMnt  = "m-db"    // db/, leases with something outside
	rootHash   = "root"
)

// world is a State with a log of what was applied to it and a clock.
type world struct {
	t     testing.TB
	s     *fsm.State
	now   lease.Time
	index uint64
	log   [][]byte
	base  []byte // the snapshot that log goes on from, nil: the empty state
}

// newWorld returns an initialised world with the mounts above.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := bareWorld(t)
	w.must(initCommand(), &command.Epoch{Term: 1})
	w.must(mountCommand(plainMount, "", "locks/", "lease"), mountCommand(otherMount, "", "slots/", "lease"),
		mountCommand(targetMnt, "", "db/", "fake"))
	return w
}

func bareWorld(t testing.TB) *world { return &world{t: t, s: fsm.New(), now: start} }

func initCommand() *command.Init {
	return &command.Init{ClusterId: "c1", ClusterName: "test", Keyring: []byte("wrapped"),
		TokenMount: mountCommand(tokenMount, "", "auth/token/", "token"),
		Root: fsm.TokenRecord(&lease.Token{Hash: rootHash, Accessor: "acc-root", LeaseID: "auth/token/root/h" + rootHash,
			Path: "auth/token/root", Policies: []string{"root"}})}
}

func mountCommand(id, namespace, path, kind string) *command.EnableMount {
	return &command.EnableMount{Id: id, Accessor: kind + "_" + id, Namespace: namespace, Path: path, Type: kind}
}

// createNamespace asks for a namespace with a token mount of its own, "m-token-<id>".
func createNamespace(id, path string) *command.CreateNamespace {
	return &command.CreateNamespace{Namespace: &command.PutNamespace{Id: id, Path: path},
		TokenMount: mountCommand("m-token-"+id, id, "auth/token/", "token")}
}

// entry packs commands at w's time.
func entry(t testing.TB, now lease.Time, cmds ...fsm.Command) []byte {
	t.Helper()
	framed := make([][]byte, len(cmds))
	for i, c := range cmds {
		var err error
		if framed[i], err = fsm.EncodeCommand(c); err != nil {
			t.Fatalf("encode %T: %v", c, err)
		}
	}
	return fsm.EncodeEntry(now, framed)
}

// do applies commands in one entry.
func (w *world) do(cmds ...fsm.Command) []fsm.Result {
	w.t.Helper()
	e := entry(w.t, w.now, cmds...)
	w.index++
	w.log = append(w.log, e)
	res, err := w.s.Apply(w.index, e)
	if err != nil {
		w.t.Fatalf("apply: %v", err)
	}
	return res
}

// one applies one command.
func (w *world) one(cmd fsm.Command) fsm.Result {
	w.t.Helper()
	return w.do(cmd)[0]
}

// must applies commands that must not be refused.
func (w *world) must(cmds ...fsm.Command) []fsm.Result {
	w.t.Helper()
	res := w.do(cmds...)
	for i, r := range res {
		if r.Err != nil {
			w.t.Fatalf("%T %v: %v", cmds[i], cmds[i], r.Err)
		}
	}
	return res
}

func (w *world) advance(d time.Duration) { w.now = w.now.Add(d) }

// issue makes a plain lease owned by a token.
func (w *world) issue(id, owner string, ttl time.Duration) *lease.Lease {
	w.t.Helper()
	return w.must(&command.Issue{Grant: grant(id, owner, ttl)})[0].Lease
}

// target makes an active lease with something outside.
func (w *world) target(id, owner string, ttl time.Duration) *lease.Lease {
	w.t.Helper()
	w.must(reserve(id, owner, ttl))
	return w.must(&command.Activate{Id: id})[0].Lease
}

func reserve(id, owner string, ttl time.Duration) *command.Reserve {
	return &command.Reserve{Grant: grant(id, owner, ttl), ExternalName: "x-" + id, Internal: []byte("sealed"),
		Deadline: int64(2 * time.Minute)}
}

// grant asks for a lease whose mount is that of the first segment.
func grant(id, owner string, ttl time.Duration) *command.Grant {
	mounts := map[string]string{"locks": plainMount, "slots": otherMount, "db": targetMnt}
	first, _, _ := strings.Cut(id, "/")
	path := id[:max(strings.LastIndexByte(id, '/'), 0)]
	return &command.Grant{Id: id, MountId: mounts[first], Path: path, Owner: owner, Ttl: int64(ttl), Renewable: true}
}

// token makes a token below parent, "" for an orphan.
func (w *world) token(hash, parent string, ttl time.Duration) *lease.Token {
	w.t.Helper()
	return w.must(createToken(hash, parent, ttl))[0].Token
}

func createToken(hash, parent string, ttl time.Duration) *command.CreateToken {
	return &command.CreateToken{Ttl: int64(ttl), Token: &command.Token{Hash: hash, Accessor: "acc-" + hash, Parent: parent,
		LeaseId: "auth/token/create/h" + hash, Path: "auth/token/create", Policies: []string{"default"}, Renewable: true}}
}

// loginToken asks for a token that an auth method made.
func loginToken(hash, namespace, mountID, path string, ttl time.Duration) *command.CreateToken {
	return &command.CreateToken{Ttl: int64(ttl), MountId: mountID, Token: &command.Token{Hash: hash, Accessor: "acc-" + hash,
		Namespace: namespace, LeaseId: path + "/h" + hash, Path: path, Policies: []string{"default"}, Renewable: true}}
}

// wrapToken asks for a wrapping token with data.
func wrapToken(hash, namespace string, ttl time.Duration, data string) *command.CreateToken {
	cmd := loginToken(hash, namespace, "", lease.WrappingPath, ttl)
	cmd.Data, cmd.Token.NumUses, cmd.Token.Renewable = []byte(data), 1, false
	cmd.Token.ExplicitMaxTtl, cmd.Token.Policies = int64(ttl), []string{"response-wrapping"}
	return cmd
}

func openPrefix(prefix string) *command.OpenJob {
	return &command.OpenJob{Cause: string(lease.CausePrefix),
		Selector: &command.Selector{Kind: uint32(lease.SelectPrefix), Value: prefix, Show: prefix}}
}

// sweep drives a job until it is no longer marking and returns how many steps it took.
func (w *world) sweep(job uint64, limit uint32) int {
	w.t.Helper()
	for steps := 1; ; steps++ {
		r := w.one(&command.Sweep{Epoch: w.epoch(), Job: job, Limit: limit})
		if r.Err != nil {
			w.t.Fatalf("sweep %d: %v", job, r.Err)
		}
		if r.Job.State != lease.JobSweeping {
			return steps
		}
		if steps > 1_000_000 {
			w.t.Fatalf("job %d never ends", job)
		}
	}
}

func (w *world) epoch() (epoch uint64) {
	w.s.Read(func(v *fsm.View) { epoch = v.Epoch() })
	return epoch
}

// standing is the status of a lease in effect now, or "gone".
func (w *world) standing(id string) string {
	out := "gone"
	w.s.Read(func(v *fsm.View) {
		if l := v.Lease(id); l != nil {
			out = v.Standing(l, w.now).String()
		}
	})
	return out
}

func (w *world) lease(id string) (l *lease.Lease) {
	w.s.Read(func(v *fsm.View) { l = v.Lease(id) })
	return l
}

// wantStanding fails unless every lease stands as said.
func (w *world) wantStanding(want string, ids ...string) {
	w.t.Helper()
	for _, id := range ids {
		if got := w.standing(id); got != want {
			w.t.Errorf("%s is %s, want %s", id, got, want)
		}
	}
}

func (w *world) alive(hash string) (alive bool) {
	w.s.Read(func(v *fsm.View) {
		t := v.Token(hash)
		alive = t != nil && v.TokenAlive(t, w.now)
	})
	return alive
}

// hash returns the state's hash.
func hashOf(s *fsm.State) string {
	_, h := s.Hash()
	return h
}

// check fails if the state breaks an invariant.
func (w *world) check() {
	w.t.Helper()
	if err := w.s.CheckInvariants(); err != nil {
		w.t.Fatal(err)
	}
}

func ids(prefix string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%s/%03d", prefix, i)
	}
	return list
}
