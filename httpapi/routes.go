package httpapi

// where says which node serves a route.
type where uint8

const (
	// The zero value is any node: it reads the replicated state, so the node that was asked serves it,
	// once its state is new enough.
	_ where = iota
	// onLeader changes the replicated state: it is forwarded to the leader.
	onLeader
	// thisNode is about the node that was asked and nobody else.
	thisNode
)

// verbs is a set of operations.
type verbs uint8

const (
	read   = verbs(1 << opRead)
	list   = verbs(1 << opList)
	write  = verbs(1 << opWrite)
	remove = verbs(1 << opDelete)
)

// route is a row of the table. The capability follows from the verb.
type route struct {
	verbs verbs
	// path below /v1/. A "*" stands for one or more segments, which the handler finds in call.rest.
	path    string
	where   where
	access  access
	handler func(*Server, *call) (answer, error)
	help    string
	// oneLease names the verb below sys/leases/ with which the route acts on the single lease of
	// the parameter lease_id or of the path. Such a call is authorized on the canonical path of
	// the lease it will act on, and may be allowed for own leases only.
	oneLease string
	// canonical is the path that an old alias stands for: a rule for either counts.
	canonical  string
	slow       bool // may take longer than ordinary requests
	bodyOnRead bool // takes parameters from a body even where the verb is GET
}

// access is what a route asks of its caller besides the verb's capability.
type access uint8

const (
	byPolicy access = iota // a token whose policies grant the capability
	sudo                   // and sudo
	anyToken               // a valid token; the handler shows what its policies reach
	open                   // nothing: no token is looked at
)

// routes is the table of everything but the mounts' own paths.
var routes = []route{
	// Leases.
	{verbs: write, path: "sys/leases/lookup", oneLease: "lookup", handler: (*Server).lookupLease,
		help: "Tells where one lease stands: lease_id."},
	{verbs: list, path: "sys/leases/lookup", access: sudo, handler: (*Server).listLeases,
		help: "Lists one level of lease IDs: after, limit."},
	{verbs: list, path: "sys/leases/lookup/*", access: sudo, handler: (*Server).listLeases,
		help: "Lists one level of lease IDs below a prefix: after, limit."},
	{verbs: write, path: "sys/leases/renew", where: onLeader, oneLease: "renew", handler: (*Server).renewLease,
		help: "Extends a lease: lease_id, increment (from now)."},
	{verbs: write, path: "sys/leases/renew/*", where: onLeader, oneLease: "renew", handler: (*Server).renewLease,
		help: "Extends the lease in the path: increment (from now)."},
	{verbs: write, path: "sys/leases/revoke", where: onLeader, oneLease: "revoke", handler: (*Server).revokeLease, slow: true,
		help: "Ends a lease: lease_id, sync (wait until its target is destroyed)."},
	{verbs: write, path: "sys/leases/revoke/*", where: onLeader, oneLease: "revoke", handler: (*Server).revokeLease, slow: true,
		help: "Ends the lease in the path: sync (wait until its target is destroyed)."},
	{verbs: write, path: "sys/leases/revoke-prefix/*", where: onLeader, access: sudo, handler: (*Server).revokePrefix, slow: true,
		help: "Ends all leases below a prefix: sync (wait until their targets are destroyed)."},
	{verbs: write, path: "sys/leases/revoke-force/*", where: onLeader, access: sudo, handler: (*Server).revokeForce, slow: true,
		help: "Ends all leases below a prefix even if their targets cannot be destroyed."},
	{verbs: write, path: "sys/leases/tidy", where: onLeader, handler: (*Server).tidyLeases,
		help: "Revokes leases whose token is gone."},
	{verbs: read, path: "sys/leases/count", handler: (*Server).countLeases, bodyOnRead: true,
		help: "Counts leases by mount: type=irrevocable, include_child_namespaces."},
	{verbs: read, path: "sys/leases", access: sudo, handler: (*Server).listIrrevocable, bodyOnRead: true,
		help: "Lists leases that could not be revoked: type=irrevocable, limit, include_child_namespaces."},
	{verbs: read, path: "sys/leases/jobs", access: sudo, handler: (*Server).listJobs,
		help: "Lists revocations of many leases, newest first: limit."},
	{verbs: read, path: "sys/leases/jobs/*", access: sudo, handler: (*Server).readJob,
		help: "Tells how far a revocation has come."},

	// Their old names, through the same handlers and the same authorization.
	{verbs: write, path: "sys/renew", where: onLeader, oneLease: "renew", canonical: "sys/leases/renew", handler: (*Server).renewLease,
		help: "The old name of sys/leases/renew."},
	{verbs: write, path: "sys/renew/*", where: onLeader, oneLease: "renew", canonical: "sys/leases/renew", handler: (*Server).renewLease,
		help: "The old name of sys/leases/renew."},
	{verbs: write, path: "sys/revoke", where: onLeader, oneLease: "revoke", canonical: "sys/leases/revoke", handler: (*Server).revokeLease, slow: true,
		help: "The old name of sys/leases/revoke."},
	{verbs: write, path: "sys/revoke/*", where: onLeader, oneLease: "revoke", canonical: "sys/leases/revoke", handler: (*Server).revokeLease, slow: true,
		help: "The old name of sys/leases/revoke."},
	{verbs: write, path: "sys/revoke-prefix/*", where: onLeader, access: sudo, canonical: "sys/leases/revoke-prefix", handler: (*Server).revokePrefix, slow: true,
		help: "The old name of sys/leases/revoke-prefix."},
	{verbs: write, path: "sys/revoke-force/*", where: onLeader, access: sudo, canonical: "sys/leases/revoke-force", handler: (*Server).revokeForce, slow: true,
		help: "The old name of sys/leases/revoke-force."},

	// Tokens.
	{verbs: write, path: "auth/token/create", where: onLeader, handler: (*Server).createToken,
		help: "Makes a child of the calling token: ttl, explicit_max_ttl, period, policies, num_uses, no_parent, meta, display_name."},
	{verbs: write, path: "auth/token/create-orphan", where: onLeader, handler: (*Server).createToken,
		help: "Makes a token without a parent."},
	{verbs: read | write, path: "auth/token/lookup-self", handler: (*Server).lookupSelf,
		help: "Tells about the calling token."},
	{verbs: write, path: "auth/token/lookup", handler: (*Server).lookupToken,
		help: "Tells about a token: token."},
	{verbs: write, path: "auth/token/lookup-accessor", handler: (*Server).lookupAccessor,
		help: "Tells about the token with an accessor: accessor."},
	{verbs: write, path: "auth/token/renew-self", where: onLeader, handler: (*Server).renewSelf,
		help: "Extends the calling token: increment."},
	{verbs: write, path: "auth/token/renew", where: onLeader, handler: (*Server).renewToken,
		help: "Extends a token: token, increment."},
	{verbs: write, path: "auth/token/renew-accessor", where: onLeader, handler: (*Server).renewAccessor,
		help: "Extends the token with an accessor: accessor, increment."},
	{verbs: write, path: "auth/token/revoke-self", where: onLeader, handler: (*Server).revokeSelf,
		help: "Ends the calling token, its children and all that they leased."},
	{verbs: write, path: "auth/token/revoke", where: onLeader, handler: (*Server).revokeToken,
		help: "Ends a token, its children and all that they leased: token."},
	{verbs: write, path: "auth/token/revoke-accessor", where: onLeader, handler: (*Server).revokeAccessor,
		help: "Ends the token with an accessor, its children and all that they leased: accessor."},
	{verbs: write, path: "auth/token/revoke-orphan", where: onLeader, access: sudo, handler: (*Server).revokeOrphan,
		help: "Ends a token and what it leased; its children live on: token."},

	// Policies and what they allow.
	{verbs: list, path: "sys/policies/acl", handler: (*Server).listPolicies, help: "Lists the names of policies."},
	{verbs: read, path: "sys/policies/acl/*", handler: (*Server).readPolicy, help: "Reads a policy."},
	{verbs: write, path: "sys/policies/acl/*", where: onLeader, handler: (*Server).writePolicy, help: "Writes a policy: policy (HCL or JSON)."},
	{verbs: remove, path: "sys/policies/acl/*", where: onLeader, handler: (*Server).deletePolicy, help: "Deletes a policy."},
	{verbs: list | read, path: "sys/policy", handler: (*Server).listPoliciesOld, help: "The old name of sys/policies/acl."},
	{verbs: read, path: "sys/policy/*", handler: (*Server).readPolicyOld, help: "Reads a policy, by its old path."},
	{verbs: write, path: "sys/policy/*", where: onLeader, handler: (*Server).writePolicy, help: "Writes a policy, by its old path."},
	{verbs: remove, path: "sys/policy/*", where: onLeader, handler: (*Server).deletePolicy, help: "Deletes a policy, by its old path."},
	{verbs: write, path: "sys/capabilities-self", handler: (*Server).capabilitiesSelf,
		help: "Tells what the calling token may do: path or paths."},

	// Mounts.
	{verbs: read, path: "sys/mounts", handler: (*Server).listMounts, help: "Lists the secrets engines."},
	{verbs: read, path: "sys/mounts/*", handler: (*Server).readMount, help: "Describes one secrets engine."},
	{verbs: write, path: "sys/mounts/*", where: onLeader, handler: (*Server).enableMount, help: "Enables a secrets engine: type, description, config, options."},
	{verbs: remove, path: "sys/mounts/*", where: onLeader, handler: (*Server).disableMount, slow: true, help: "Revokes all that was leased at a mount and takes it away."},
	{verbs: read, path: "sys/mounts/*/tune", handler: (*Server).readTune, help: "Reads the settings of a mount that are in force."},
	{verbs: write, path: "sys/mounts/*/tune", where: onLeader, handler: (*Server).tuneMount, help: "Changes the settings of a mount."},
	{verbs: read, path: "sys/auth", handler: (*Server).listAuth, help: "Lists the auth methods."},
	{verbs: read, path: "sys/internal/ui/mounts", access: anyToken, handler: (*Server).visibleMounts, help: "Lists the mounts that the token can reach."},
	{verbs: read, path: "sys/internal/ui/mounts/*", access: anyToken, handler: (*Server).preflight, help: "Describes the mount of a path, for clients."},

	// The cluster.
	{verbs: read, path: "sys/health", where: thisNode, access: open, handler: (*Server).health, help: "How this node is, as a status."},
	{verbs: read, path: "sys/leader", where: thisNode, access: open, handler: (*Server).leader, help: "Which node leads."},
	{verbs: read, path: "sys/seal-status", where: thisNode, access: open, handler: (*Server).sealStatus, help: "Whether this node can open its secrets."},
	{verbs: read, path: "sys/init", where: thisNode, access: open, handler: (*Server).initStatus, help: "Whether the cluster is initialized."},
	{verbs: write, path: "sys/init", where: onLeader, access: open, handler: (*Server).initialize, help: "Makes the root token, once."},
	{verbs: write, path: "sys/step-down", where: onLeader, access: sudo, handler: (*Server).stepDown, help: "Makes the leader hand over to another node."},
	{verbs: read, path: "sys/storage/raft/configuration", handler: (*Server).raftConfiguration, help: "Lists the members of the cluster."},
	{verbs: write, path: "sys/storage/raft/remove-peer", where: onLeader, handler: (*Server).removePeer, slow: true, help: "Takes a member out of the cluster: server_id."},
	{verbs: read, path: "sys/storage/raft/snapshot", access: sudo, handler: (*Server).snapshot, slow: true, help: "A snapshot of the whole state, as a gzipped tar archive."},
	{verbs: read, path: "sys/internal/state-hash", where: thisNode, access: sudo, handler: (*Server).stateHash, help: "What this very node has applied, and the hash of its state."},
}
