package faults

import (
	"fmt"
	"os/exec"
	"strings"
	"sync"
)

// network is what lies between the nodes of one cluster of processes: one nftables table. Its methods
// are safe for concurrent use.
type network struct {
	ports string // the first two digits of every port
	nodes int

	mu    sync.Mutex // guards what follows, and the table
	harms map[*harm]bool
}

// harm is one fault's rules, by chain.
type harm struct {
	lose     []string // packets on their way in
	redirect []string // new connections
	rewrite  []string // datagrams on their way out
}

// wire is what goes from one node to another.
type wire struct{ from, to int }

// each returns the wires between two groups of nodes, both ways.
func each(a, b []int) []wire {
	var wires []wire
	for _, i := range a {
		for _, j := range b {
			if i != j {
				wires = append(wires, wire{i, j}, wire{j, i})
			}
		}
	}
	return wires
}

func (n *network) table() string { return "inet " + tableName(n.ports) }

func tableName(ports string) string { return "leasehold_faults_" + ports }

// group is the group that a node's process runs as: no real group has such a number.
func group(ports string, node int) string { return fmt.Sprintf("%s0000%d", ports, node) }

// mark is what a connection bears that the first node opened to the second.
func (n *network) mark(w wire) string { return fmt.Sprintf("0x%s0%d0%d", n.ports, w.from, w.to) }

func (n *network) peer(node int) string   { return fmt.Sprintf("%s%d1", n.ports, node) }
func (n *network) gossip(node int) string { return fmt.Sprintf("%s%d2", n.ports, node) }

// open makes the table. From then on new connections between nodes are marked.
func (n *network) open() error {
	var b strings.Builder
	fmt.Fprintf(&b, "table %s {\n", n.table())
	b.WriteString("chain rewriting { type filter hook output priority -300; }\n")
	b.WriteString("chain marking { type filter hook output priority -150;\n")
	for _, w := range n.around(0) {
		fmt.Fprintf(&b, "ct state new meta skgid %s tcp dport { %s, %s } ct mark set %s\n",
			group(n.ports, w.from), n.peer(w.to), n.gossip(w.to), n.mark(w))
	}
	b.WriteString("}\nchain redirecting { type nat hook output priority -100; }\n")
	b.WriteString("chain losing { type filter hook input priority 0; }\n}\n")
	return nft(b.String())
}

// close takes the table away, if it is there.
func (n *network) close() error {
	return nft("add table " + n.table() + "\ndelete table " + n.table() + "\n")
}

func (n *network) all() []int {
	nodes := make([]int, n.nodes)
	for i := range nodes {
		nodes[i] = i + 1
	}
	return nodes
}

func (n *network) others(node int) []int {
	var nodes []int
	for _, i := range n.all() {
		if i != node {
			nodes = append(nodes, i)
		}
	}
	return nodes
}

// do adds a fault's rules and returns how to take them away.
func (n *network) do(h *harm) (heal func() error, err error) {
	if err := n.set(h, true); err != nil {
		return nil, err
	}
	return func() error { return n.set(h, false) }, nil
}

// set puts a fault's rules into force or out of it. The whole of the rules is replaced at once.
func (n *network) set(h *harm, on bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.harms == nil {
		n.harms = map[*harm]bool{}
	}
	before := n.harms[h]
	n.harms[h] = on
	var b strings.Builder
	for _, chain := range []string{"losing", "redirecting", "rewriting"} {
		fmt.Fprintf(&b, "flush chain %s %s\n", n.table(), chain)
	}
	for h, on := range n.harms {
		if !on {
			delete(n.harms, h)
			continue
		}
		for chain, rules := range map[string][]string{"losing": h.lose, "redirecting": h.redirect, "rewriting": h.rewrite} {
			for _, rule := range rules {
				fmt.Fprintf(&b, "add rule %s %s %s\n", n.table(), chain, rule)
			}
		}
	}
	err := nft(b.String())
	if err != nil {
		n.harms[h] = before
	}
	return err
}

// packets loses what goes along the wires: everything, or a share of it in per cent. A connection needs
// both ways, so it stands still whoever opened it.
func (n *network) packets(percent int, wires ...wire) *harm {
	chance := ""
	if percent < 100 {
		chance = fmt.Sprintf("numgen random mod 100 < %d ", percent)
	}
	h := &harm{}
	for _, w := range wires {
		h.lose = append(h.lose,
			fmt.Sprintf("ct mark %s ct direction original %scounter drop", n.mark(w), chance),
			fmt.Sprintf("ct mark %s ct direction reply %scounter drop", n.mark(wire{w.to, w.from}), chance),
			fmt.Sprintf("udp sport %s udp dport %s %scounter drop", n.gossip(w.from), n.gossip(w.to), chance))
	}
	return h
}

// calls loses the connections that were opened along the wires, with their answers, and the datagrams.
// Connections opened the other way go on.
func (n *network) calls(wires ...wire) *harm {
	h := &harm{}
	for _, w := range wires {
		h.lose = append(h.lose,
			fmt.Sprintf("ct mark %s counter drop", n.mark(w)),
			fmt.Sprintf("udp sport %s udp dport %s counter drop", n.gossip(w.from), n.gossip(w.to)))
	}
	return h
}

// through leads new connections and the datagrams of a wire to a port of this host, and ends the
// connections that are there. What a proxy sends on from that port bears the first node's port.
func (n *network) through(w wire, port int) *harm {
	return &harm{
		lose: []string{fmt.Sprintf("ct mark %s ct status ! dnat tcp flags & rst == 0 counter reject with tcp reset", n.mark(w))},
		redirect: []string{fmt.Sprintf("meta skgid %s tcp dport %s redirect to :%d", group(n.ports, w.from), n.peer(w.to), port),
			fmt.Sprintf("meta skgid %s tcp dport %s redirect to :%d", group(n.ports, w.from), n.gossip(w.to), port+1)},
		rewrite: []string{fmt.Sprintf("udp sport %d udp dport %s udp sport set %s accept", port, n.gossip(w.to), n.gossip(w.from)),
			fmt.Sprintf("udp sport %s udp dport %s udp dport set %d accept", n.gossip(w.from), n.gossip(w.to), port)},
	}
}

// nft runs a script, all of it or nothing.
func nft(script string) error {
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, out)
	}
	return nil
}
