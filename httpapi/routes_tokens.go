package httpapi

// tokenRoutes are the paths of tokens.
var tokenRoutes = []route{
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
}

// policyRoutes are the paths of policies and of what they allow.
var policyRoutes = []route{
	{verbs: list, path: "sys/policies/acl", handler: (*Server).listPolicies, help: "Lists the names of policies."},
	{verbs: read, path: "sys/policies/acl/*", folds: true, handler: (*Server).readPolicy, help: "Reads a policy."},
	{verbs: write, path: "sys/policies/acl/*", folds: true, where: onLeader, handler: (*Server).writePolicy, help: "Writes a policy: policy (HCL or JSON)."},
	{verbs: remove, path: "sys/policies/acl/*", folds: true, where: onLeader, handler: (*Server).deletePolicy, help: "Deletes a policy."},
	{verbs: list | read, path: "sys/policy", canonical: "sys/policies/acl", handler: (*Server).listPoliciesOld, help: "The old name of sys/policies/acl."},
	{verbs: read, path: "sys/policy/*", folds: true, canonical: "sys/policies/acl", handler: (*Server).readPolicyOld, help: "Reads a policy, by its old path."},
	{verbs: write, path: "sys/policy/*", folds: true, canonical: "sys/policies/acl", where: onLeader, handler: (*Server).writePolicy, help: "Writes a policy, by its old path."},
	{verbs: remove, path: "sys/policy/*", folds: true, canonical: "sys/policies/acl", where: onLeader, handler: (*Server).deletePolicy, help: "Deletes a policy, by its old path."},
	{verbs: write, path: "sys/capabilities-self", handler: (*Server).capabilitiesSelf,
		help: "Tells what the calling token may do: path or paths."},
}
