package fsm_test

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// args are the words of a script's line after the first.
type args struct {
	t     testing.TB
	line  string
	plain []string
	named map[string]string
}

func (a *args) word() string {
	if len(a.plain) == 0 {
		a.t.Fatalf("%q lacks a word", a.line)
	}
	w := a.plain[0]
	a.plain = a.plain[1:]
	return w
}

func (a *args) rest() []string {
	list := a.plain
	a.plain = nil
	return list
}

func (a *args) get(name, otherwise string) string {
	v, ok := a.named[name]
	if !ok {
		return otherwise
	}
	delete(a.named, name)
	return v
}

func (a *args) duration(name string) int64 {
	v := a.get(name, "0s")
	d, err := time.ParseDuration(v)
	if err != nil {
		a.t.Fatalf("%q: %v", a.line, err)
	}
	return int64(d)
}

func (a *args) number(name string) int64 {
	n, err := strconv.ParseInt(a.get(name, "0"), 10, 64)
	if err != nil {
		a.t.Fatalf("%q: %v", a.line, err)
	}
	return n
}

func (a *args) yes(name string) bool { return a.get(name, "no") == "yes" }

func (a *args) finish() {
	if len(a.plain) > 0 || len(a.named) > 0 {
		a.t.Fatalf("%q: unknown words %v %v", a.line, a.plain, a.named)
	}
}

// command carries out one line: a command of the log, or one of the few that are about the test.
func (s *script) command(verb string, a *args) []string {
	switch verb {
	case "advance":
		d, err := time.ParseDuration(a.word())
		if err != nil {
			s.t.Fatal(err)
		}
		s.advance(d)
		s.must(&command.Tick{})
		return []string{"now " + since(s.now)}
	case "restart":
		return s.restart()
	case "rebase":
		return s.rebase(a)
	case "due":
		return s.due()
	case "next":
		return s.next()
	case "asked":
		return s.asked()
	case "accessors", "level":
		return s.list(verb, a)
	case "epoch":
		return s.result(s.one(&command.Epoch{Term: uint64(a.number("term"))}))
	}
	name := a.get("as", "")
	for _, build := range []func(string, *args) fsm.Command{s.leaseCommand, s.endCommand, s.otherCommand} {
		if cmd := build(verb, a); cmd != nil {
			r := s.one(cmd)
			s.note(name, r)
			return s.result(r)
		}
	}
	s.t.Fatalf("unknown command %q", a.line)
	return nil
}

// note remembers the job that a command opened, and claims.
func (s *script) note(name string, r fsm.Result) {
	if r.Job != nil {
		s.last = r.Job.ID
		if name != "" {
			s.jobs[name] = r.Job.ID
		}
	}
	for _, l := range r.Leases {
		s.claims[l.ID] = l.Ending.Claim
	}
}

// job is the one that a line names: by as=, by number, or the last one opened.
func (s *script) job(a *args) uint64 {
	name := a.get("job", "")
	if name == "" {
		return s.last
	}
	if id, ok := s.jobs[name]; ok {
		return id
	}
	id, err := strconv.ParseUint(name, 10, 64)
	if err != nil {
		s.t.Fatalf("%q: no such job", a.line)
	}
	return id
}

// claim is the last claim of a lease, or claim=<number>.
func (s *script) claim(id string, a *args) uint64 {
	if n := a.number("claim"); n != 0 {
		return uint64(n)
	}
	return s.claims[id]
}

func (s *script) leaseCommand(verb string, a *args) fsm.Command {
	switch verb {
	case "issue":
		return &command.Issue{Grant: s.grant(a)}
	case "reserve":
		g := s.grant(a)
		return &command.Reserve{Grant: g, ExternalName: "x-" + g.Id, Internal: []byte("sealed"), Deadline: int64(2 * time.Minute)}
	case "activate":
		return &command.Activate{Id: a.word(), Ttl: a.duration("ttl")}
	case "renew":
		return &command.Renew{Id: a.word(), Increment: a.duration("increment"), Generation: uint64(a.number("gen")),
			Final: a.yes("final"), Namespace: a.get("namespace", "")}
	case "token":
		return s.tokenCommand(a)
	case "renew-token":
		return &command.RenewToken{Hash: a.word(), Increment: a.duration("increment")}
	case "use-token":
		return &command.UseToken{Hash: a.word()}
	}
	return nil
}

func (s *script) tokenCommand(a *args) fsm.Command {
	cmd := createToken(a.word(), a.get("parent", rootHash), time.Duration(a.duration("ttl")))
	t := cmd.Token
	t.NumUses = int32(a.number("uses"))
	t.ExplicitMaxTtl, t.Period = a.duration("explicit_max"), a.duration("period")
	t.Renewable = !a.yes("fixed")
	cmd.NeverExpires = a.yes("never_expires")
	t.Policies = strings.Split(a.get("policies", "default"), ",")
	if t.Parent == "none" {
		t.Parent = ""
	}
	t.Namespace, cmd.MountId, cmd.MaxTtl = a.get("namespace", ""), a.get("mount", ""), a.duration("max")
	cmd.Data = []byte(a.get("data", ""))
	t.Path = a.get("path", t.Path)
	t.LeaseId = a.get("id", t.Path+"/h"+t.Hash)
	return cmd
}

func (s *script) grant(a *args) *command.Grant {
	g := grant(a.word(), a.get("owner", rootHash), time.Duration(a.duration("ttl")))
	g.MaxTtl, g.DefaultTtl = a.duration("max"), a.duration("default")
	g.Renewable = !a.yes("fixed")
	g.MountId = a.get("mount", g.MountId)
	g.Namespace = a.get("namespace", "")
	if key := a.get("key", ""); key != "" {
		g.Idempotency = &command.Idempotency{Key: []byte(key), Body: []byte(a.get("body", ""))}
	}
	return g
}

func (s *script) endCommand(verb string, a *args) fsm.Command {
	switch verb {
	case "revoke":
		return &command.Revoke{Ids: a.rest(), Cause: "revoked", Force: a.yes("force"), Namespace: a.get("namespace", "")}
	case "expire": // id or id@generation
		cmd := &command.Expire{Epoch: s.epochOr(a)}
		for _, ref := range a.rest() {
			id, gen, _ := strings.Cut(ref, "@")
			n, _ := strconv.ParseUint(gen, 10, 64)
			cmd.Leases = append(cmd.Leases, &command.Ref{Id: id, Generation: n})
		}
		return cmd
	case "claim":
		return &command.Claim{Epoch: s.epochOr(a), Ids: a.rest(), Lapse: int64(40 * time.Second)}
	case "finish":
		id := a.word()
		return &command.Finish{Id: id, Claim: s.claim(id, a)}
	case "fail":
		id := a.word()
		return &command.Fail{Id: id, Claim: s.claim(id, a), Error: a.get("error", "down"),
			RetryAfter: a.duration("retry"), Permanent: a.yes("permanent")}
	case "revoke-prefix":
		cmd := openPrefix(a.word())
		cmd.Force, cmd.Selector.Namespace = a.yes("force"), a.get("namespace", "")
		return cmd
	case "sweep":
		return &command.Sweep{Epoch: s.epochOr(a), Job: s.job(a), Limit: uint32(a.number("limit"))}
	case "retry":
		return &command.RetryRevocations{Ids: a.rest(), Namespace: a.get("namespace", "")}
	case "revoke-token":
		return &command.RevokeToken{Hash: a.word(), Cause: "token-revoked", SpareChildren: a.yes("spare")}
	}
	return s.mountCommand(verb, a)
}

func (s *script) mountCommand(verb string, a *args) fsm.Command {
	switch verb {
	case "mount":
		cmd := mountCommand(a.word(), a.get("namespace", ""), a.word(), "fake")
		cmd.Config = mountConfig(a)
		return cmd
	case "tune":
		return &command.TuneMount{Id: a.word(), Config: mountConfig(a)}
	case "disable":
		return &command.DisableMount{Id: a.word()}
	case "move":
		return &command.MoveMount{Id: a.word(), Path: a.word()}
	case "freeze":
		return &command.FreezeMount{Id: a.word(), Reason: strings.ReplaceAll(a.get("reason", ""), "_", " "), Duration: a.duration("for")}
	case "thaw":
		return &command.ThawMount{Id: a.word()}
	case "health":
		return &command.SetMountHealth{Id: a.word(), Error: a.get("error", ""), Epoch: s.epochOr(a)}
	}
	return s.holdCommand(verb, a)
}

func (s *script) epochOr(a *args) uint64 {
	if n := a.number("epoch"); n != 0 {
		return uint64(n)
	}
	return s.epoch()
}

func (s *script) otherCommand(verb string, a *args) fsm.Command {
	switch verb {
	case "put-entry":
		return &command.PutEntry{MountId: a.word(), Key: a.word(), Value: []byte(a.word()), Ttl: a.duration("ttl")}
	case "swap-entry":
		return &command.SwapEntry{MountId: a.word(), Key: a.word(), Seen: []byte(a.get("seen", "")),
			Value: []byte(a.get("value", "")), Ttl: a.duration("ttl")}
	case "delete-entry":
		return &command.DeleteEntry{MountId: a.word(), Key: a.word()}
	case "put-policy":
		return &command.PutPolicy{Name: a.word(), Text: a.word(), Namespace: a.get("namespace", "")}
	case "delete-policy":
		return &command.DeletePolicy{Name: a.word(), Namespace: a.get("namespace", "")}
	case "put-namespace":
		return &command.PutNamespace{Id: a.word(), Path: a.word()}
	case "delete-namespace":
		return &command.DeleteNamespace{Id: a.word()}
	case "create-namespace":
		cmd := createNamespace(a.word(), a.word())
		cmd.TokenMount.Path = a.get("mount_path", cmd.TokenMount.Path)
		cmd.TokenMount.Namespace = a.get("mount_namespace", cmd.TokenMount.Namespace)
		return cmd
	case "close-namespace":
		return &command.CloseNamespace{Id: a.word(), Parent: a.get("parent", "")}
	case "tidy":
		return &command.OpenTidy{Namespace: a.get("namespace", "")}
	case "init":
		return initCommand()
	}
	return nil
}

func mountConfig(a *args) *command.MountConfig {
	return &command.MountConfig{DefaultTtl: a.duration("default"), MaxTtl: a.duration("max"),
		RevokeAttempts: int32(a.number("attempts")), RevokeRate: int32(a.number("rate")), ReconcileInterval: a.duration("reconcile")}
}

// result shows what a command came to.
func (s *script) result(r fsm.Result) []string {
	if r.Err != nil {
		return []string{fmt.Sprintf("%s: %s", r.Err.Code, r.Err.Message)}
	}
	out := fmt.Sprintf("ok %d", r.Seq)
	if r.Repeated {
		out += " repeated"
	}
	if r.Repeated && r.Lease != nil {
		out += " " + r.Lease.ID
	}
	if r.Lease != nil && len(r.Lease.Data) > 0 {
		out += fmt.Sprintf(" data %q", r.Lease.Data)
	}
	if r.Cap != nil {
		out += fmt.Sprintf(" capped %s to %s", r.Cap.Wanted, r.Cap.Limit)
	}
	if len(r.Leases) > 0 {
		out += fmt.Sprintf(" claimed %d", len(r.Leases))
	}
	if r.Count > 0 {
		out += fmt.Sprintf(" count %d", r.Count)
	}
	if r.Job != nil {
		out += fmt.Sprintf(" job %d", r.Job.ID)
	}
	return []string{out}
}

// restart replaces the state by one restored from its snapshot, as a node does.
func (s *script) restart() []string {
	var buf bytes.Buffer
	if err := s.s.Snapshot().Write(&buf); err != nil {
		s.t.Fatal(err)
	}
	before := hashOf(s.s)
	s.s = fsm.New()
	if err := s.s.Restore(&buf); err != nil {
		s.t.Fatal(err)
	}
	if after := hashOf(s.s); after != before {
		s.t.Errorf("hash after the restart is %s, want %s", after, before)
	}
	return []string{"restarted"}
}

// list shows a page of accessors or of one level of a mount's entries.
func (s *script) list(what string, a *args) (out []string) {
	limit := int(a.number("limit"))
	after := a.get("after", "")
	s.s.Read(func(v *fsm.View) {
		var more bool
		if what == "accessors" {
			out, more = v.Accessors(a.get("namespace", ""), after, limit)
		} else {
			out, more = v.EntryLevel(a.word(), a.get("below", ""), after, limit)
		}
		if more {
			out = append(out, "and more")
		}
	})
	if len(out) == 0 {
		return []string{"nothing"}
	}
	return out
}

// asked lists the leases that are to be tried although their target is down.
func (s *script) asked() (out []string) {
	taken := s.s.TakeAsked()
	for _, mount := range sortedNames(taken) {
		out = append(out, mount+" "+strings.Join(taken[mount], " "))
	}
	if len(out) == 0 {
		return []string{"nothing"}
	}
	return out
}

// next is when the leader must look again.
func (s *script) next() (out []string) {
	s.s.Read(func(v *fsm.View) { out = []string{since(v.NextDue())} })
	return out
}

// due lists what wants the leader now.
func (s *script) due() []string {
	var out []string
	s.s.Read(func(v *fsm.View) {
		for _, m := range v.DueMounts(s.now) {
			v.Due(m, s.now, func(l *lease.Lease) bool {
				out = append(out, fmt.Sprintf("%s %s since %s", m, l.ID, since(l.Due())))
				return true
			})
		}
	})
	if len(out) == 0 {
		return []string{"nothing"}
	}
	return out
}
