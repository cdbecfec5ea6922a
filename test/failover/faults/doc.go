// Package faults does harm to a running cluster: to the network between its nodes, to their disks, to
// their machines and their clocks. The runner in test/failover chooses what is struck and when, and
// checks what clients saw meanwhile.
//
// # The network of processes
//
// The nodes of scripts/cluster.sh all live at 127.0.0.1, and none has an address that the others would
// know it by as a caller. What tells them apart is the group: Prepare puts a wrapper in front of the
// binary which starts each node as a group of its own, and one nftables table marks every connection with
// the group that opened it and the node that it leads to. Rules on that mark then lose what is to be lost,
// on its way in, so that a sender learns nothing, as with a real cable. Datagrams of gossip are told apart
// by their ports.
//
// Set aside: a network namespace for each node, because the API would be out of the clients' reach without
// a forwarder, the addresses would not be loopback any more (so that nodes would need TLS or another
// configuration than people run), and because more could be left behind: links, bridges, routes and mounted
// namespaces instead of one table. And proxies at the advertised addresses, since everybody sees the same
// address of a node and a proxy cannot know who calls. Proxies are there only while a link is delayed: new
// connections of that pair are led through one, old ones are reset.
//
// # Disks
//
// Each node has an ext4 file system of its own, on a loop device over a sparse file. A full disk is a file
// that takes what is left; a power cut is a copy of the sparse file, taken while the process stands still,
// mounted in place of the original: what was never synced is not in it. Syncs are made slow, hanging or
// failing by strace, which alters the system call itself.
//
// # What is left behind
//
// Close undoes everything. After a crash, the next Prepare for the same ports does: processes of its groups,
// mounts and directories by the name's prefix, the table by its name. One lock file for each set of ports keeps two runs apart.
//
// All of it needs root. Where root is missing, Prepare says so, and what else is missing.
package faults
