package main

// ofAccess are bugs of tenants, tokens, logins and wrapped answers.
var ofAccess = []mutation{
	{
		name: "a namespace that is being deleted still serves",
		file: "fsm/standing.go",
		edits: []edit{{
			"if r.lease.Expired(now) || c.coveredByPrefix(r.lease) || c.closed(r.lease.Namespace) != nil {",
			"if r.lease.Expired(now) || c.coveredByPrefix(r.lease) {",
		}},
		cost: "tokens of a tenant that was removed go on working until the sweep comes to them (S8, T4)",
		pkg:  "lessor",
		test: "TestDeletingANamespaceRevokesAllOfIt",
	},
	{
		name: "tidy takes leases that are younger than its job",
		file: "fsm/tidy.go",
		edits: []edit{{
			"l.Status == lease.Active && l.Seq < s.j.ID && !s.ownerLives(l.Owner)",
			"l.Status == lease.Active && !s.ownerLives(l.Owner)",
		}},
		cost: "a job covers what it was not asked about (S8)",
		pkg:  "fsm",
		test: "TestScripts",
	},
	{
		name: "an entry past its end is still read",
		file: "fsm/entries.go",
		edits: []edit{{
			"func (c *core) over(e entry) bool { return e.expires != 0 && e.expires <= c.now }",
			"func (c *core) over(e entry) bool { return false }",
		}},
		cost: "a secret_id whose time is over, or a lock that has ended, counts until it is swept away",
		pkg:  "fsm",
		test: "TestAnEndedEntryIsGoneBeforeItIsRemoved",
	},
	{
		name: "a wrapped answer can be opened again",
		file: "lessor/wrap.go",
		edits: []edit{{
			"res, err := l.propose(ctx, &command.UseToken{Hash: t.Hash})\n",
			"var res fsm.Result\n\tvar err error\n\tl.state.Read(func(v *fsm.View) { res.Lease = v.Lease(t.LeaseID) })\n",
		}},
		cost: "two callers get one secret, and the one it was meant for does not notice (exact once)",
		pkg:  "lessor",
		test: "TestUnwrapOpensOnceThoughTheTokenStays",
	},
	{
		name: "a wrapping token opens in any namespace",
		file: "lessor/wrap.go",
		edits: []edit{{
			"if t = v.Token(hash); t != nil && (t.Namespace != ns || !t.Wrapping()",
			"if t = v.Token(hash); t != nil && (!t.Wrapping()",
		}},
		cost: "one tenant opens what was wrapped in another (T3)",
		pkg:  "httpapi",
		test: "TestWrappingStaysInItsNamespace",
	},
	{
		name: "a tenant reaches the cluster's paths",
		file: "httpapi/path.go",
		edits: []edit{{
			"if c.route != nil && c.route.rootOnly && c.ns.id != \"\" &&",
			"if c.route != nil && c.route.rootOnly && c.ns.id == \"none\" &&",
		}},
		cost: "a tenant's administrator downloads a snapshot of everybody's state (T5)",
		pkg:  "httpapi",
		test: "TestT5_TenantsReachNothingOfTheCluster",
	},
	{
		name: "a wrapping token is spent on a path that it may not call",
		file: "httpapi/auth.go",
		edits: []edit{{
			"if c.route == nil || !c.route.opens {\n",
			"if c.route == nil {\n",
		}},
		cost: "one wrong call loses the secret, or the token serves where it should not",
		pkg:  "httpapi",
		test: "TestWrappingTokensOpenAndDoNothingElse",
	},
	{
		name: "tuning an auth method by the path of engines takes no sudo",
		file: "httpapi/access.go",
		edits: []edit{{
			"request.Sudo = c.route.access == sudo || c.tunesAuth()",
			"request.Sudo = c.route.access == sudo",
		}},
		cost: "a check is skipped on an alias path (T4, T5)",
		pkg:  "httpapi",
		test: "TestAuthMountsHaveTheirOwnPaths",
	},
	{
		name: "a token bound to networks is taken from anywhere",
		file: "httpapi/auth.go",
		edits: []edit{{
			"|| !tokenparams.Permits(who.token.BoundCIDRs, c.clientAddr())",
			"|| !tokenparams.Permits(nil, c.clientAddr())",
		}},
		cost: "a stolen token works outside the network it was made for",
		pkg:  "httpapi",
		test: "TestT5_EveryPathByEveryTokenInEverySpelling",
	},
	{
		name: "compiled policies outlive a change",
		file: "httpapi/aclcache.go",
		edits: []edit{{
			"if c := set.now.Load(); c != nil && c.age == age {",
			"if c := set.now.Load(); c != nil && age > 0 {",
		}},
		cost: "a rule that was taken back still grants",
		pkg:  "httpapi",
		test: "TestPolicyChangesCountAtOnce",
	},
	{
		name: "the paths of a login are not folded",
		file: "httpapi/path.go",
		edits: []edit{{
			"c.path = c.path[:len(c.path)-len(c.inMount)] + folded\n",
			"",
		}},
		cost: "capitals are a way around a rule that denies (T4)",
		pkg:  "httpapi",
		test: "TestT4_PathsOfLoginsAreFolded",
	},
	{
		name: "the policies of a child token may exceed its role's",
		file: "lessor/tokenroles.go",
		edits: []edit{{
			"if !slices.Contains(allowed, name) && !globbed(r.AllowedPoliciesGlob, name) {",
			"if !slices.Contains(allowed, name) && !globbed(r.AllowedPoliciesGlob, name) && len(allowed) == 0 {",
		}},
		cost: "a role hands out what it was made to withhold",
		pkg:  "lessor",
		test: "TestTokenRolesDecidePolicies",
	},
}
