package fsm_test

import (
	"fmt"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// namespaces are few, one below another, one with the path of a mount, one with another's path.
var modelNamespaces = []struct{ id, path string }{
	{"n1", "team/"}, {"n2", "team/sub/"}, {"n3", "other/"}, {"n3", "db/"}, {"n4", "team/"}, {"n4", "none/sub/"},
}

func (g *generator) namespace() string { return g.pick([]string{"", "n1", "n1", "n2", "n3", "none"}) }

// createToken asks for a token: of the token store of any namespace, of an auth method, or one that wraps.
func (g *generator) createToken(hash, parent string) fsm.Command {
	g.tokens = append(g.tokens, hash)
	cmd := createToken(hash, parent, time.Duration(g.ttl()))
	t := cmd.Token
	switch g.IntN(8) {
	case 0, 1:
		t.Namespace = g.namespace()
	case 2:
		t.Path, cmd.MountId, cmd.MaxTtl = "auth/up/login/"+hash, loginMount, g.ttl()
		for _, id := range sortedNames(g.m.mounts) { // one enabled again at this path, or not
			if mt := g.m.mounts[id]; g.IntN(2) == 0 && mt.path == "auth/up/" {
				cmd.MountId = id
			}
		}
		t.Path = g.pick([]string{t.Path, t.Path, t.Path, "auth/upper/login"})
	case 3:
		t.Namespace = g.namespace()
		t.Path, cmd.Data = lease.WrappingPath, []byte("what "+hash+" wraps")
	}
	t.LeaseId = t.Path + "/h" + hash
	if t.Namespace != "" {
		t.LeaseId += "." + t.Namespace
	}
	t.NumUses = int32(max(0, g.IntN(6)-3))
	if g.IntN(4) == 0 {
		t.Period = g.ttl()
	}
	if g.IntN(4) == 0 {
		t.ExplicitMaxTtl = g.ttl()
	}
	return cmd
}

func (g *generator) configCommand() fsm.Command {
	switch n := g.IntN(24); {
	case n < 2:
		ns := modelNamespaces[g.IntN(len(modelNamespaces))]
		return createNamespace(ns.id, ns.path)
	case n < 4:
		return &command.CloseNamespace{Id: g.namespace(), Parent: g.pick([]string{"", "", "", "n1", "n3"})}
	case n < 5:
		return &command.DeleteNamespace{Id: g.namespace()}
	case n < 6:
		ns := modelNamespaces[g.IntN(len(modelNamespaces))]
		return &command.PutNamespace{Id: ns.id, Path: ns.path, Metadata: map[string]string{"n": fmt.Sprint(g.IntN(3))}}
	case n < 9:
		return &command.OpenTidy{Namespace: g.pick([]string{"", "", "n1", "none"})}
	case n < 11:
		return &command.PutPolicy{Namespace: g.namespace(), Name: g.pick([]string{"p", "q"}), Text: fmt.Sprint(g.IntN(3))}
	case n < 12:
		return &command.DeletePolicy{Namespace: g.namespace(), Name: g.pick([]string{"p", "q"})}
	default:
		return g.entryCommand()
	}
}

// entryCommand writes few keys of few mounts, many of them for a short time.
func (g *generator) entryCommand() fsm.Command {
	mount := g.mountID()
	key := g.pick(levelKeys)
	ttl := int64([]time.Duration{0, 0, time.Second, 40 * time.Second, time.Hour}[g.IntN(5)])
	value := []byte(fmt.Sprint(g.IntN(3)))
	switch n := g.IntN(8); {
	case n < 3:
		return &command.PutEntry{MountId: mount, Key: key, Value: value, Ttl: ttl}
	case n < 4:
		return &command.DeleteEntry{MountId: mount, Key: key}
	}
	cmd := &command.SwapEntry{MountId: mount, Key: key, Value: value, Ttl: ttl}
	if g.IntN(4) == 0 {
		cmd.Value = nil
	}
	if e, there := g.m.entry(mount, key); there != (g.IntN(5) == 0) { // mostly what is there
		cmd.Seen = []byte(e.value)
	}
	return cmd
}

func (g *generator) mountCommand() fsm.Command {
	id := g.mountID()
	switch g.IntN(5) {
	case 0:
		return &command.DisableMount{Id: g.pick([]string{id, id, loginMount, tokenMount, "m-token-n1", "none"})}
	case 1, 2:
		g.mounts++
		ns, path := "", g.m.pathOf(id)
		if id == childMount {
			ns = "n1"
		}
		if g.IntN(3) == 0 {
			ns, path = g.namespace(), g.pick([]string{"auth/up/", "other/x/", "sub/", "team/", "none/", "db/", "oth/"})
		}
		return mountCommand(fmt.Sprintf("again-%d", g.IntN(g.mounts)+1), ns, path, "fake")
	default:
		return &command.TuneMount{Id: id, Config: &command.MountConfig{DefaultTtl: int64(time.Duration(g.IntN(3)) * time.Minute),
			MaxTtl: int64(time.Duration(g.IntN(3)) * 10 * time.Minute), RevokeAttempts: int32(g.IntN(4))}}
	}
}
