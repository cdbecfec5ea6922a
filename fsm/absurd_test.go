package fsm_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// absurd fills a message with values that are well formed and mostly senseless: names that exist in
// another role, extremes, nothing at all.
type absurd struct {
	*rand.Rand
	names []string
}

func (a absurd) fill(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case a.IntN(4) == 0: // left out
		case f.IsMap():
			m.Mutable(f).Map().Set(protoreflect.ValueOfString(a.name()).MapKey(), protoreflect.ValueOfString(a.name()))
		case f.IsList():
			for range a.IntN(4) {
				if f.Message() != nil {
					a.fill(m.Mutable(f).List().AppendMutable().Message())
				} else {
					m.Mutable(f).List().Append(a.value(f))
				}
			}
		case f.Message() != nil:
			a.fill(m.Mutable(f).Message())
		default:
			m.Set(f, a.value(f))
		}
	}
}

func (a absurd) name() string { return a.names[a.IntN(len(a.names))] }

func (a absurd) value(f protoreflect.FieldDescriptor) protoreflect.Value {
	small := []int64{0, 1, 2, 5, 30, -1, 60e9, 3600e9, math.MaxInt64, math.MinInt64, int64(start), -int64(start)}[a.IntN(12)]
	switch f.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(a.IntN(2) == 0)
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(a.name())
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(a.name()))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(small)
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(small))
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(small))
	case protoreflect.Uint64Kind:
		if a.IntN(2) == 0 {
			return protoreflect.ValueOfUint64(1) // the epoch
		}
		return protoreflect.ValueOfUint64(uint64(a.IntN(100)))
	}
	panic(f.Kind())
}

// S19: no command, however absurd, panics, breaks an invariant, or leaves a state that its own
// snapshot does not bring back.
func TestS19_AbsurdCommands(t *testing.T) {
	rounds := 400
	if testing.Short() {
		rounds = 50
	}
	base := goldenWorld(t)
	names := []string{"", "x", "a/b", "/", "..", "n1", "ns1", "key", rootHash, "t1", "t2", "t3", "t4", "new1", "new2", "acc-new",
		tokenMount, plainMount, otherMount, targetMnt, "m-new", "auth/token/", "locks/", "team/", "new/", "sub/team/",
		"db", "db/creds", "locks/b/1", "locks/new/1", "db/creds/new/1", "auth/token/create/ht2", "db/creds/claimed/1",
		"db/creds/irrevocable/1", "db/creds/open/1", "db/creds/active/1", "root", "config/main", "with\x00nul", "ünï",
		"ns3", "ns4", "ns9", "apps/", "apps/sub/", "apps/sub/new/", "auth/login/", "m-ns4", "m-login", "m-token-ns3", "t5", "t6",
		"sys/wrapping/wrap", "auth/login/x/hnew1", "long", "swap/new"}
	snapshot := snapshotOf(t, base.s)
	for seed := range uint64(rounds) {
		a := absurd{rand.New(rand.NewPCG(seed, 2)), names}
		s := fsm.New()
		if seed%4 != 0 { // sometimes a state without anything
			if err := s.Restore(bytes.NewReader(snapshot)); err != nil {
				t.Fatal(err)
			}
		}
		var said []string
		for step := range 60 {
			numbers := fsm.CommandNumbers()
			cmd := fsm.NewCommand(numbers[a.IntN(len(numbers))])
			a.fill(cmd.ProtoReflect())
			if l, ok := cmd.(*command.Lineage); ok {
				l.Restore = "" // another one stops the node
			}
			said = append(said, fmt.Sprintf("%T{%v}", cmd, cmd))
			w := &world{t: t, s: s, now: anyTime(a), index: s.Applied()}
			func() {
				defer func() {
					if p := recover(); p != nil {
						t.Fatalf("seed %d step %d: %s panics: %v", seed, step, said[step], p)
					}
				}()
				w.do(cmd)
			}()
			if err := s.CheckInvariants(); err != nil {
				t.Fatalf("seed %d step %d: %s: %v", seed, step, said[step], err)
			}
		}
		restored := fsm.New()
		if err := restored.Restore(bytes.NewReader(snapshotOf(t, s))); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if got, want := describe(restored), describe(s); got != want {
			t.Fatalf("seed %d: restored, the state differs:\n%s", seed, lineDiff(got, want))
		}
	}
}

// anyTime is a stamp that may be anything.
func anyTime(a absurd) lease.Time {
	return []lease.Time{0, -5, 1, start, start.Add(1e9), start.Add(3600e9)}[a.IntN(6)]
}
