package fsm_test

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// A million leases, half plain and half with a target, of a thousand tokens. Built once for all
// benchmarks that only read, or that leave the number as it is.
const million = 1_000_000

var (
	buildMillion sync.Once
	theMillion   *world
	perLease     float64
)

func benchID(i int) string {
	if i%2 == 0 {
		return fmt.Sprintf("locks/team%d/build/abcdefghijklmnop%08d", i%50, i)
	}
	return fmt.Sprintf("db/creds/role%d/abcdefghijklmnop%08d", i%50, i)
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func newMillion(b *testing.B) *world {
	buildMillion.Do(func() {
		before := heap()
		theMillion = newWorld(b)
		fill(theMillion, million)
		theMillion.log = nil
		perLease = float64(heap()-before) / million
	})
	theMillion.t = b
	return theMillion
}

func fill(w *world, n int) {
	for i := range 1000 {
		w.token(fmt.Sprintf("t%d", i), rootHash, 700*time.Hour)
	}
	var cmds []fsm.Command
	for i := range n {
		g := grant(benchID(i), fmt.Sprintf("t%d", i%1000), time.Duration(1+i%600)*time.Hour)
		if i%2 == 0 {
			cmds = append(cmds, &command.Issue{Grant: g})
		} else {
			g.Role = fmt.Sprintf("role%d", i%50)
			cmds = append(cmds, &command.Reserve{Grant: g, ExternalName: fmt.Sprintf("v-role-%d", i), Internal: bytes.Repeat([]byte{1}, 60),
				Deadline: int64(time.Hour)}, &command.Activate{Id: g.Id})
		}
		if len(cmds) >= 1000 || i == n-1 {
			w.must(cmds...)
			cmds = cmds[:0]
			w.log = nil
		}
	}
}

// apply measures one command an operation, packed by hundreds as the proposer does under load.
func benchApply(b *testing.B, w *world, make func(i int) fsm.Command) {
	b.Helper()
	const pack = 100
	entries := [][]byte{}
	for i := 0; i < b.N; i += pack {
		var cmds []fsm.Command
		for k := range min(pack, b.N-i) {
			cmds = append(cmds, make(i+k))
		}
		entries = append(entries, entry(b, w.now, cmds...))
	}
	b.ResetTimer()
	for _, e := range entries {
		w.index++
		res, err := w.s.Apply(w.index, e)
		if err != nil || res[0].Err != nil {
			b.Fatal(err, res[0].Err)
		}
	}
}

func BenchmarkIssue(b *testing.B) {
	w := newWorld(b)
	benchApply(b, w, func(i int) fsm.Command {
		return &command.Issue{Grant: grant(fmt.Sprintf("locks/b/%012d", i), rootHash, time.Hour)}
	})
}

func BenchmarkRenewAmongAMillion(b *testing.B) {
	w := newMillion(b)
	benchApply(b, w, func(i int) fsm.Command {
		return &command.Renew{Id: benchID(i * 7919 % million), Increment: int64(700 * time.Hour)}
	})
	b.ReportMetric(perLease, "bytes/lease")
}

func BenchmarkRevokeAmongManyPlain(b *testing.B) {
	w := newWorld(b)
	for i := 0; i < b.N; i += 500 {
		var cmds []fsm.Command
		for k := range 500 {
			cmds = append(cmds, &command.Issue{Grant: grant(fmt.Sprintf("locks/b/%012d", i+k), rootHash, time.Hour)})
		}
		w.must(cmds...)
	}
	benchApply(b, w, func(i int) fsm.Command {
		return &command.Revoke{Ids: []string{fmt.Sprintf("locks/b/%012d", i)}, Cause: "revoked"}
	})
}

// BenchmarkSweep measures the largest step of a job over plain leases: the longest that one entry
// may hold up the others.
func BenchmarkSweep(b *testing.B) {
	w := newWorld(b)
	n := b.N * fsm.MaxSweep
	for i := 0; i < n; i += fsm.MaxSweep {
		var cmds []fsm.Command
		for k := range fsm.MaxSweep {
			cmds = append(cmds, &command.Issue{Grant: grant(fmt.Sprintf("locks/b/%012d", i+k), rootHash, time.Hour)})
		}
		w.must(cmds...)
	}
	job := w.must(openPrefix("locks"))[0].Job.ID
	step := entry(b, w.now, &command.Sweep{Epoch: 1, Job: job, Limit: fsm.MaxSweep})
	b.ResetTimer()
	for range b.N {
		w.index++
		if res, err := w.s.Apply(w.index, step); err != nil || res[0].Count != fsm.MaxSweep {
			b.Fatal(err, res)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/lease")
}

func BenchmarkLookupAmongAMillion(b *testing.B) {
	w := newMillion(b)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			id := benchID(i * 7919 % million)
			w.s.Read(func(v *fsm.View) {
				if l := v.Lease(id); l == nil || v.Standing(l, w.now) != lease.Active {
					b.Error(id, l)
				}
			})
		}
	})
}

func BenchmarkCountPrefixAmongAMillion(b *testing.B) {
	w := newMillion(b)
	b.ResetTimer()
	for range b.N {
		w.s.Read(func(v *fsm.View) { v.CountPrefix("", "locks/team7") })
	}
}

func BenchmarkSnapshotOfAMillion(b *testing.B) {
	w := newMillion(b)
	b.ResetTimer()
	var size countingWriter
	for range b.N {
		size = 0
		if err := w.s.Snapshot().Write(&size); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(size)/(1<<20), "MiB")
}

type countingWriter int

func (c *countingWriter) Write(p []byte) (int, error) {
	*c += countingWriter(len(p))
	return io.Discard.Write(p)
}

func BenchmarkRestoreOfAMillion(b *testing.B) {
	data := snapshotOf(b, newMillion(b).s)
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		before := heap()
		b.StartTimer()
		s := fsm.New()
		if err := s.Restore(bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		b.ReportMetric(float64(heap()-before)/million, "bytes/lease")
		runtime.KeepAlive(s)
		b.StartTimer()
	}
}
