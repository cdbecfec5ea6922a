package httpapi

// mountRoutes are the paths about mounts.
var mountRoutes = []route{
	{verbs: read, path: "sys/mounts", handler: (*Server).listMounts, help: "Lists the secrets engines."},
	{verbs: read, path: "sys/mounts/*", handler: (*Server).readMount, help: "Describes one secrets engine."},
	{verbs: write, path: "sys/mounts/*", where: onLeader, handler: (*Server).enableMount, help: "Enables a secrets engine: type, description, config, options."},
	{verbs: remove, path: "sys/mounts/*", where: onLeader, handler: (*Server).disableMount, slow: true, help: "Revokes all that was leased at a mount and takes it away."},
	{verbs: read, path: "sys/mounts/*/tune", handler: (*Server).readTune, help: "Reads the settings of a mount that are in force."},
	{verbs: write, path: "sys/mounts/*/tune", where: onLeader, handler: (*Server).tuneMount, help: "Changes the settings of a mount."},
	{verbs: read, path: "sys/auth", handler: (*Server).listAuth, help: "Lists the auth methods."},
	{verbs: read, path: "sys/auth/*", access: sudo, handler: (*Server).readMount, help: "Describes one auth method."},
	{verbs: write, path: "sys/auth/*", where: onLeader, access: sudo, handler: (*Server).enableMount, help: "Enables an auth method: type, description, config, options."},
	{verbs: remove, path: "sys/auth/*", where: onLeader, access: sudo, handler: (*Server).disableMount, slow: true, help: "Revokes all tokens that an auth method made and takes it away."},
	{verbs: read, path: "sys/auth/*/tune", access: sudo, handler: (*Server).readTune, help: "Reads the settings of an auth method that are in force."},
	{verbs: write, path: "sys/auth/*/tune", where: onLeader, access: sudo, handler: (*Server).tuneMount, help: "Changes the settings of an auth method."},
	{verbs: read, path: "sys/internal/ui/mounts", access: anyToken, handler: (*Server).visibleMounts, help: "Lists the mounts that the token can reach."},
	{verbs: read, path: "sys/internal/ui/mounts/*", access: anyToken, handler: (*Server).preflight, help: "Describes the mount of a path, for clients."},
}

// clusterRoutes are the paths of the cluster.
var clusterRoutes = []route{
	{verbs: read, path: "sys/health", where: thisNode, access: open, handler: (*Server).health, help: "How this node is, as a status."},
	{verbs: read, path: "sys/leader", where: thisNode, access: open, handler: (*Server).leader, help: "Which node leads."},
	{verbs: read, path: "sys/seal-status", where: thisNode, access: open, handler: (*Server).sealStatus, help: "Whether this node can open its secrets."},
	{verbs: read, path: "sys/init", where: thisNode, access: open, handler: (*Server).initStatus, help: "Whether the cluster is initialized."},
	{verbs: write, path: "sys/init", where: onLeader, access: open, handler: (*Server).initialize, help: "Makes the root token, once."},
	{verbs: write, path: "sys/step-down", where: onLeader, access: sudo, handler: (*Server).stepDown, help: "Makes the leader hand over to another node."},
	{verbs: read, path: "sys/storage/raft/configuration", handler: (*Server).raftConfiguration, help: "Lists the members of the cluster."},
	{verbs: write, path: "sys/storage/raft/remove-peer", where: onLeader, handler: (*Server).removePeer, slow: true, help: "Takes a member out of the cluster: server_id."},
	{verbs: read, path: "sys/ha-status", where: onLeader, handler: (*Server).haStatus, help: "How each member is: role, term, applied index, lag, last contact, version."},
	{verbs: read, path: "sys/storage/raft/autopilot/configuration", handler: (*Server).readAutopilot, help: "How the leader cares for the members."},
	{verbs: write, path: "sys/storage/raft/autopilot/configuration", where: onLeader, handler: (*Server).writeAutopilot, help: "Changes how the leader cares for the members: cleanup_dead_servers, min_quorum and others."},
	{verbs: read, path: "sys/storage/raft/autopilot/state", where: onLeader, handler: (*Server).autopilotState, help: "Which members are healthy, and how many may fail."},
	{verbs: write, path: "sys/storage/raft/join-token", where: onLeader, access: sudo, handler: (*Server).createJoinToken, help: "Makes a token with which one node may join, once: node_id, ttl."},
	{verbs: read, path: "sys/storage/raft/gossip-keyring", where: onLeader, access: sudo, handler: (*Server).gossipKeyring, help: "Which gossip keys the members have, by fingerprint."},
	{verbs: write, path: "sys/storage/raft/gossip-keyring/install", where: onLeader, access: sudo, handler: (*Server).installGossipKey, slow: true, help: "Gives all members a gossip key to decrypt with: key."},
	{verbs: write, path: "sys/storage/raft/gossip-keyring/use", where: onLeader, access: sudo, handler: (*Server).useGossipKey, slow: true, help: "Has all members encrypt with a gossip key that they have: key."},
	{verbs: write, path: "sys/storage/raft/gossip-keyring/remove", where: onLeader, access: sudo, handler: (*Server).removeGossipKey, slow: true, help: "Has all members forget a gossip key that none encrypts with: key."},
	{verbs: write, path: "sys/storage/raft/join", where: thisNode, access: open, handler: (*Server).joinCluster, help: "Tells this node, which belongs to no cluster, of one to join: leader_api_addr."},
	{verbs: read, path: "sys/internal/state-hash", where: thisNode, access: sudo, handler: (*Server).stateHash, help: "What this very node has applied, and the hash of its state."},
}
