package faults

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	flapPeriod = time.Second
	lossShare  = 30                     // per cent of the packets, each way
	linkDelay  = 100 * time.Millisecond // each way, so that an answer takes 200 ms longer
)

// faults are the kinds of harm to the network.
func (n *network) faults() []Fault {
	cut := func(h func(node int) *harm) func(context.Context, int) (func() error, error) {
		return func(_ context.Context, node int) (func() error, error) { return n.do(h(node)) }
	}
	const short, long = 3 * time.Second, 8 * time.Second
	list := []Fault{
		{Name: "symmetric partition of the leader", Aim: Leader, Strike: cut(n.isolation), Least: short, Most: long},
		{Name: "symmetric partition of a follower", Aim: Follower, Strike: cut(n.isolation), Least: short, Most: long},
		{Name: "one-way partition: nobody's calls reach the leader", Aim: Leader, Keeps: true, Strike: cut(n.unreachable), Least: short, Most: long},
		{Name: "one-way partition: the leader's calls reach nobody", Aim: Leader, Strike: cut(n.mute), Least: short, Most: long},
		{Name: "one-way partition: the calls of a follower reach nobody", Aim: Follower, Strike: cut(n.mute), Least: short, Most: long},
		{Name: "one-way partition: a follower hears nothing", Aim: Follower, Strike: cut(n.deaf), Least: short, Most: long},
		{Name: "flapping link of the leader", Aim: Leader, Keeps: true, Strike: n.flap, Least: 2 * short, Most: long},
		{Name: "flapping link of a follower", Aim: Follower, Strike: n.flap, Least: 2 * short, Most: long},
		{Name: "loss of 30 % of the packets", Aim: All, Keeps: true, Strike: cut(n.lossy), Least: short, Most: long},
		{Name: "delay of 200 ms", Aim: All, Keeps: true, Strike: n.late, Least: short, Most: long},
	}
	if n.nodes >= 3 {
		list = append(list, Fault{Name: "bridge partition: the leader and some nodes do not see each other", Aim: Leader,
			Keeps: true, Strike: cut(n.bridge), Least: short, Most: long})
	}
	return list
}

// isolation cuts a node off from the others.
func (n *network) isolation(node int) *harm {
	return n.packets(100, each([]int{node}, n.others(node))...)
}

// deaf loses all packets to a node. What it sends arrives.
func (n *network) deaf(node int) *harm {
	var wires []wire
	for _, other := range n.others(node) {
		wires = append(wires, wire{other, node})
	}
	return n.packets(100, wires...)
}

// unreachable loses the connections that others open to a node. Its own go on.
func (n *network) unreachable(node int) *harm {
	var wires []wire
	for _, other := range n.others(node) {
		wires = append(wires, wire{other, node})
	}
	return n.calls(wires...)
}

// mute loses the connections that a node opens. Those of the others to it go on.
func (n *network) mute(node int) *harm {
	var wires []wire
	for _, other := range n.others(node) {
		wires = append(wires, wire{node, other})
	}
	return n.calls(wires...)
}

// bridge cuts a node and its side off from the other side. One node in the middle sees all.
func (n *network) bridge(node int) *harm {
	others := n.others(node)
	middle := len(others) / 2
	near := append([]int{node}, others[:middle]...)
	far := others[middle+1:]
	if len(others)%2 == 0 { // an odd number of nodes: equal sides
		near = append([]int{node}, others[:middle-1]...)
		far = others[middle:]
	}
	return n.packets(100, each(near, far)...)
}

// lossy loses a share of all packets, or of those from and to a node.
func (n *network) lossy(node int) *harm {
	return n.packets(lossShare, n.around(node)...)
}

// around is every wire from and to a node; of all nodes for 0.
func (n *network) around(node int) []wire {
	if node != 0 {
		return each([]int{node}, n.others(node))
	}
	var wires []wire
	for _, i := range n.all() {
		for _, j := range n.others(i) {
			wires = append(wires, wire{i, j})
		}
	}
	return wires
}

// flap cuts a node off for a second and lets it back for a second, by turns.
func (n *network) flap(_ context.Context, node int) (func() error, error) {
	h := n.isolation(node)
	if err := n.set(h, true); err != nil {
		return nil, err
	}
	stop := make(chan struct{})
	var toggles sync.WaitGroup
	var failed error
	toggles.Go(func() {
		ticker := time.NewTicker(flapPeriod)
		defer ticker.Stop()
		for on := false; ; on = !on {
			select {
			case <-stop:
				return
			case <-ticker.C:
				failed = errors.Join(failed, n.set(h, on))
			}
		}
	})
	return func() error {
		close(stop)
		toggles.Wait()
		return errors.Join(failed, n.set(h, false))
	}, nil
}

// late delays all that goes between the nodes, or from and to one of them. Connections that are there are
// reset, at the beginning and at the end.
func (n *network) late(_ context.Context, node int) (func() error, error) {
	var relays []*relay
	h := &harm{}
	undo := func() error {
		err := n.set(h, false)
		for _, r := range relays {
			r.close()
		}
		return err
	}
	for _, w := range n.around(node) {
		r, port, err := newRelay(linkDelay, "127.0.0.1:"+n.peer(w.to), "127.0.0.1:"+n.gossip(w.to))
		if err != nil {
			return nil, errors.Join(err, undo())
		}
		relays = append(relays, r)
		more := n.through(w, port)
		h.lose = append(h.lose, more.lose...)
		h.redirect = append(h.redirect, more.redirect...)
		h.rewrite = append(h.rewrite, more.rewrite...)
	}
	if err := n.set(h, true); err != nil {
		return nil, errors.Join(err, undo())
	}
	return undo, nil
}
