package fsm_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
)

var update = flag.Bool("update", false, "rewrite the scripts and golden files in testdata")

// TestScripts replays the histories in testdata. In a script a line that begins with "> " is a
// command (see scriptcommands_test.go for what there is); the lines below it are its result and what
// it changed in the state: "+" new, "~" changed, "-" gone. Every other line is a remark.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { runScript(t, file) })
	}
}

func runScript(t *testing.T, file string) {
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := &script{world: newWorld(t), jobs: map[string]uint64{}, claims: map[string]uint64{}}
	var got bytes.Buffer
	skipping := false
	for _, line := range strings.Split(strings.TrimSuffix(string(want), "\n"), "\n") {
		if skipping && strings.HasPrefix(line, "  ") {
			continue // the old output
		}
		skipping = false
		fmt.Fprintln(&got, line)
		if cmd, ok := strings.CutPrefix(line, "> "); ok {
			for _, out := range s.run(cmd) {
				fmt.Fprintln(&got, "  "+out)
			}
			s.check()
			skipping = true
		}
	}
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%s differs (run with -update and look at the change):\n%s", file, lineDiff(got.String(), string(want)))
	}
}

// lineDiff shows the first lines at which got and want part.
func lineDiff(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d:\n got %s\nwant %s", i+1, g[i], w[i])
		}
	}
	return fmt.Sprintf("got %d lines, want %d", len(g), len(w))
}

// script is a world with names for jobs and claims, and what was last seen of the state.
type script struct {
	*world
	seen   map[string]string
	jobs   map[string]uint64 // by the name that as= gave
	last   uint64            // the last job opened
	claims map[string]uint64 // the last claim of a lease
	saved  []byte            // a snapshot
}

// run carries out one line and returns its result and the changes.
func (s *script) run(line string) []string {
	if s.seen == nil {
		s.seen = s.dump()
	}
	words := strings.Fields(line)
	args := &args{t: s.t, line: line, named: map[string]string{}}
	for _, w := range words[1:] {
		if name, value, ok := strings.Cut(w, "="); ok {
			args.named[name] = value
		} else {
			args.plain = append(args.plain, w)
		}
	}
	out := s.command(words[0], args)
	args.finish()
	now := s.dump()
	for _, key := range sortedKeys(s.seen, now) {
		before, was := s.seen[key]
		after, is := now[key]
		switch {
		case !is:
			out = append(out, "- "+key)
		case !was:
			out = append(out, "+ "+key+" "+after)
		case before != after:
			out = append(out, "~ "+key+" "+after)
		}
	}
	s.seen = now
	return out
}

func sortedKeys(maps ...map[string]string) []string {
	var keys []string
	for _, m := range maps {
		for k := range m {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// dump describes every object of the state in one line.
func (s *script) dump() map[string]string {
	d := map[string]string{}
	s.s.Read(func(v *fsm.View) {
		for _, ns := range append(v.Namespaces(), v.Namespace("")) {
			v.Ascend(ns.ID, "", func(l *lease.Lease) bool {
				d["lease "+l.ID] = s.describeLease(v, l)
				return true
			})
			for _, m := range v.Mounts(ns.ID) {
				d["mount "+m.ID] = describeMount(m)
				v.Entries(m.ID, "", func(key string) bool {
					value, _ := v.Entry(m.ID, key)
					d["entry "+m.ID+" "+key] = string(value)
					return true
				})
			}
			for _, p := range v.Policies(ns.ID) {
				d["policy "+ns.Path+p] = v.Policy(ns.ID, p).Text
			}
			if ns.ID != "" {
				d["namespace "+ns.ID] = describeNamespace(ns)
			}
		}
		v.Tokens("", func(t *lease.Token) bool {
			d["token "+t.Hash] = describeToken(t)
			return true
		})
		v.Jobs(func(j *lease.Job) bool {
			d[fmt.Sprintf("job %d", j.ID)] = describeJob(j)
			return true
		})
	})
	return d
}

func (s *script) describeLease(v *fsm.View, l *lease.Lease) string {
	out := fmt.Sprintf("%s gen=%d", l.Status, l.Generation)
	if l.ExpireTime != 0 {
		out += " until=" + since(l.ExpireTime)
	}
	if !l.Renewable {
		out += " fixed"
	}
	if l.Kind == lease.OfToken && l.MountID != tokenMount {
		out += " mount=" + l.MountID
	}
	if len(l.Data) > 0 {
		out += fmt.Sprintf(" data=%q", l.Data)
	}
	if e := l.Ending; e != nil {
		out += fmt.Sprintf(" cause=%s attempts=%d next=%s", e.Cause, e.Attempts, since(e.NextAttempt))
		if e.Claim != 0 {
			out += fmt.Sprintf(" claim=%d", e.Claim)
		}
		if e.Job != 0 {
			out += fmt.Sprintf(" job=%d", e.Job)
		}
		if e.Force {
			out += " force"
		}
		if e.Error != "" {
			out += fmt.Sprintf(" error=%q", e.Error)
		}
	}
	// The job, mount or token that covers a lease changes no lease, but what everybody sees of it.
	if standing := v.Standing(l, s.now); standing != l.Status {
		out += " stands=" + standing.String()
	}
	return out
}

func describeToken(t *lease.Token) string {
	out := "parent=" + t.Parent
	if t.NumUses != 0 {
		out += fmt.Sprintf(" uses=%d", t.NumUses)
	}
	if t.Doomed != 0 {
		out += fmt.Sprintf(" doomed=%d", t.Doomed)
	}
	if t.SparesChildren {
		out += " spares-children"
	}
	return out
}

func describeMount(m *lease.Mount) string {
	out := m.Path
	if m.Tainted != 0 {
		out += fmt.Sprintf(" tainted=%d", m.Tainted)
	}
	if m.MovingTo != "" {
		out += " moving to " + m.MovingTo
	}
	if f := m.Frozen; f != nil {
		out += fmt.Sprintf(" frozen=%q since=%s until=%s", f.Reason, since(f.Since), since(f.Until))
	}
	if d := m.Down; d != nil {
		out += fmt.Sprintf(" down=%q since=%s", d.Error, since(d.Since))
	}
	return out
}

func describeNamespace(ns *fsm.Namespace) string {
	if ns.Tainted != 0 {
		return fmt.Sprintf("%s tainted=%d", ns.Path, ns.Tainted)
	}
	return ns.Path
}

func describeJob(j *lease.Job) string {
	out := fmt.Sprintf("%s %s %s total=%d done=%d failed=%d left=%d", j.State, j.Selector.Kind, j.Selector.Show, j.Total, j.Done,
		j.Failed, j.Left())
	if len(j.Heirs) > 0 {
		out += fmt.Sprintf(" waits=%v", j.Heirs)
	}
	if j.Error != "" {
		out += fmt.Sprintf(" error=%q at=%d", j.FailedLease+": "+j.Error, j.FailedAt)
	}
	return out
}

// since shows an instant as the time since the start of the test.
func since(at lease.Time) string {
	if at == 0 {
		return "never"
	}
	return at.Sub(start).Round(time.Millisecond).String()
}
