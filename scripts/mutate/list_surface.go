package main

// ofVerbs are bugs of the verbs, the engines and the seal.
var ofVerbs = []mutation{
	{
		name: "an issue does not clean up after its target failed",
		file: "lessor/issue.go",
		edits: []edit{{
			"made, err := i.callCreate(ctx, intent, ttl)\n\tif err != nil {\n\t\ti.abandon(ctx)\n",
			"made, err := i.callCreate(ctx, intent, ttl)\n\tif err != nil {\n",
		}},
		cost: "a credential that was created in spite of the error waits for its intent's deadline (S12)",
		pkg:  "lessor",
		test: "TestIssueFailureIsCleanedUp",
	},
	{
		name: "a secret is answered before its lease is committed",
		file: "lessor/issue.go",
		edits: []edit{{
			"res, err := i.l.propose(ctx, activate)\n",
			"res := fsm.Result{Lease: intent}\n\tgo i.l.propose(context.WithoutCancel(ctx), activate)\n",
		}},
		cost: "a client works with a credential that the next leader destroys (S1, S12)",
		pkg:  "lessor",
		test: "TestS12_IssueCrashAtEachStep",
	},
	{
		name: "a target is called before its intent is committed",
		file: "lessor/issue.go",
		edits: []edit{{
			"res, err := i.l.propose(ctx, &command.Reserve{",
			"_, _ = i.callCreate(ctx, &lease.Lease{ID: grant.Id, ExternalName: externalName}, time.Minute)\n\tres, err := i.l.propose(ctx, &command.Reserve{",
		}},
		cost: "a crash leaves a credential that no node knows of (S12)",
		pkg:  "lessor",
		test: "TestIssueIntentComesBeforeCreate",
	},
	{
		name: "a sync revoke answers before the target is destroyed",
		file: "lessor/revoke.go",
		edits: []edit{{
			"return 0, l.waitGone(ctx, id, failures)",
			"_ = failures\n\treturn 0, nil",
		}},
		cost: "an operator believes that a leaked credential is dead while it works (S15)",
		pkg:  "lessor",
		test: "TestS15_RevokeSyncAnswersWhenGone",
	},
	{
		name: "a renewal raises the target after the lease",
		file: "lessor/renew.go",
		edits: []edit{{
			"if ttl < le.Remaining(now) {",
			"if true {",
		}},
		cost: "a crash between the two leaves a lease that its target has ended already (S2)",
		pkg:  "lessor",
		test: "TestRenewRaisesTheTargetBeforeAndLowersItAfter",
	},
	{
		name: "an address is checked before the dial instead of at it",
		file: "backend/webhook/guard.go",
		edits: []edit{{
			"\tdialer := net.Dialer{\n\t\tTimeout: dialTimeout, Resolver: g.resolver,\n\t\tControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {\n\t\t\treturn g.check(host, port, address)\n\t\t},\n\t}\n",
			"\taddrs, err := g.resolver.LookupNetIP(ctx, \"ip\", host)\n\tif err != nil {\n\t\treturn nil, err\n\t}\n\tfor _, addr := range addrs {\n\t\tif err := g.check(host, port, net.JoinHostPort(addr.String(), port)); err != nil {\n\t\t\treturn nil, err\n\t\t}\n\t}\n\tdialer := net.Dialer{Timeout: dialTimeout, Resolver: g.resolver}\n",
		}, {
			"\t\"syscall\"\n", "",
		}},
		cost: "a name server that changes its answer leads a webhook to the metadata service (T16)",
		pkg:  "backend/webhook",
		test: "TestT16_TheAddressThatIsCheckedIsTheOneThatIsCalled",
	},
	{
		name: "a sealed blob opens at another place",
		file: "seal/keyring.go",
		edits: []edit{
			{"return aead.Seal(out, nil, plaintext, append(header, place...)), nil", "return aead.Seal(out, nil, plaintext, header), nil"},
			{"append(blob[:blobHeader:blobHeader], place...)", "blob[:blobHeader]"},
			{"newAEAD(key, \"leasehold data key v1\\x00\"+place)", "newAEAD(key, \"leasehold data key v1\\x00\")"},
		},
		cost: "who can write to a snapshot reads one lease's secret through another (T10)",
		pkg:  "seal",
		test: "TestABlobOpensNowhereElse",
	},
}

// ofSurface are bugs of policies and of the HTTP surface.
var ofSurface = []mutation{
	{
		name: "deny does not win",
		file: "policy/acl.go",
		edits: []edit{{
			"if from.Capabilities.Has(Deny) {\n",
			"if from.Capabilities.Has(Deny) {\n\t\tif r.granted != 0 {\n\t\t\treturn\n\t\t}\n",
		}},
		cost: "a policy that takes a right away does nothing beside one that grants it (T5)",
		pkg:  "policy",
		test: "TestEqualPatternsAreMerged",
	},
	{
		name: "sudo is not asked for",
		file: "policy/acl.go",
		edits: []edit{{
			"\tif req.Sudo {\n\t\tneed = Sudo\n\t}\n",
			"",
		}},
		cost: "who may update below sys/ revokes everybody's leases (T5)",
		pkg:  "policy",
		test: "TestEqualPatternsAreMerged",
	},
	{
		name: "a token is looked up before the wait for the state",
		file: "httpapi/pipeline.go",
		edits: []edit{{
			"\t(*Server).place,\n\t(*Server).authenticate,\n",
			"\t(*Server).authenticate,\n\t(*Server).place,\n",
		}},
		cost: "a follower that lags serves a token that was revoked (S6, S17)",
		pkg:  "httpapi",
		test: "TestS6_AuthenticationFollowsTheIndexWait",
	},
	{
		name: "a deposed leader's refusals stand",
		file: "httpapi/place.go",
		edits: []edit{{
			"if c.term == 0 || c.route != nil && c.route.where != onLeader || !settled(err) {",
			"if true {",
		}},
		cost: "an old leader says that a lease does not exist which its successor has issued (S5, S6)",
		pkg:  "httpapi",
		test: "TestADeposedLeaderRefusesNothing",
	},
	{
		name: "the ID in the URL is authorised, the one in the body acted on",
		file: "httpapi/access.go",
		edits: []edit{{
			"\t\tif c.route.oneLease != \"\" {\n\t\t\tid = c.target\n\t\t}\n",
			"",
		}},
		cost: "a policy for one lease revokes any other (T4)",
		pkg:  "httpapi",
		test: "TestT4_TheLeaseThatIsActedOnIsAuthorized",
	},
	{
		name: "lease_scope=own is not enforced",
		file: "httpapi/access.go",
		edits: []edit{{
			"if c.target != \"\" && !s.owns(c) {",
			"if c.target == \"\" && !s.owns(c) {",
		}},
		cost: "every token looks up, renews and revokes the leases of all others (T4)",
		pkg:  "httpapi",
		test: "TestT29_OwnLeasesOnly",
	},
	{
		name: "headers of nodes are believed from clients",
		file: "httpapi/pipeline.go",
		edits: []edit{{
			"if c.peer {\n\t\tc.id,",
			"if c.peer || h.Get(headerClientAddr) != \"\" {\n\t\tc.id,",
		}},
		cost: "a client forges the address that limits and records see (T6)",
		pkg:  "httpapi",
		test: "TestT6_InternalHeadersOfClientsAreIgnored",
	},
	{
		name: "what may have arrived is forwarded again",
		file: "httpapi/forward.go",
		edits: []edit{{
			"if conn == nil || conn.written.Load() == before {",
			"if conn == nil || conn.written.Load() >= before {",
		}},
		cost: "a write whose leader died is done twice (S25)",
		pkg:  "httpapi",
		test: "TestS25_ARequestThatMayHaveArrivedIsNotSentAgain",
	},
	{
		name: "a forwarded request is forwarded again",
		file: "httpapi/forward.go",
		edits: []edit{{
			"if c.peer {\n\t\tc.w.Header()[headerNotLeader]",
			"if false {\n\t\tc.w.Header()[headerNotLeader]",
		}},
		cost: "two nodes that each take the other for the leader pass a request to and fro (S25)",
		pkg:  "httpapi",
		test: "TestOneHopOnly",
	},
}
