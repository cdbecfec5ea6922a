package main

// ofCare are bugs of what happens when targets fail: freezes, circuit breakers, what a lost leader left
// half-way, orphans.
var ofCare = []mutation{
	{
		name: "a mount that serves is dropped when it is empty",
		file: "fsm/mounts.go",
		edits: []edit{{
			"if m.Tainted == 0 || c.counts.mount(m.ID).total() > 0 {",
			"if c.counts.mount(m.ID).total() > 0 {",
		}},
		cost: "the end of an old job takes away a mount that was moved since, with its configuration (S9)",
		pkg:  "fsm",
		test: "TestScripts/move",
	},
	{
		name: "what a frozen mount leased is claimed",
		file: "fsm/applyrevoke.go",
		edits: []edit{{
			"rec.lease.Ending.NextAttempt > c.now || c.frozen(rec.lease.MountID, c.now) {",
			"rec.lease.Ending.NextAttempt > c.now {",
		}},
		cost: "a claim that crosses a freeze in the log destroys what an operator has stopped (S13)",
		pkg:  "fsm",
		test: "TestScripts/freeze",
	},
	{
		name: "the plan does not know of freezes",
		file: "fsm/viewleases.go",
		edits: []edit{{
			"return slices.DeleteFunc(ids, func(id string) bool { return v.c.frozen(id, now) })",
			"return slices.DeleteFunc(ids, func(id string) bool { return false })",
		}},
		cost: "a frozen mount with many leases fills the log with claims that nothing comes of (L7)",
		pkg:  "expiration",
		test: "TestPlanOfAFrozenMount",
	},
	{
		name: "the circuit breaker never opens",
		file: "expiration/target.go",
		edits: []edit{{
			"if t.failures++; t.failures >= breakerFailures {",
			"if t.failures++; t.failures < 0 {",
		}},
		cost: "an outage of minutes makes every lease irrevocable, and each waits an hour (L5)",
		pkg:  "expiration",
		test: "TestL5_AnOutageOfHalfAnHour",
	},
	{
		name: "a new leader does not look for what the last one left half-way",
		file: "lessor/reconciler.go",
		edits: []edit{{
			"if v.MountCounts(m.ID).Of(lease.Pending) > 0 {",
			"if v.MountCounts(m.ID).Of(lease.Pending) < 0 {",
		}},
		cost: "a credential made after its intent was resolved stays for ever where no interval is set (S12)",
		pkg:  "lessor",
		test: "TestANewLeaderComparesMountsWithOpenIntents",
	},
	{
		name: "what other mounts leased at a target counts as orphaned",
		file: "lessor/reconcile.go",
		edits: []edit{{
			"if other.ID == m.ID || other.Type != m.Type {",
			"if other.ID != \"\" {",
		}},
		cost: "of two mounts that share a server one destroys the other's credentials (S9)",
		pkg:  "lessor",
		test: "TestMountsAreComparedAtTheirInterval",
	},
	{
		name: "young orphans are destroyed",
		file: "lessor/reconcile.go",
		edits: []edit{{
			"case age < l.intentDeadline:",
			"case age < 0:",
		}},
		cost: "what another node is just making is destroyed under its feet (S12)",
		pkg:  "lessor",
		test: "TestReconcile",
	},
	{
		name: "an orphan is destroyed below the fence of its creation",
		file: "lessor/reconcile.go",
		edits: []edit{{
			"Fence: l.fence(),",
			"Fence: 0,",
		}},
		cost: "a service that checks fences refuses, and the orphan stays; or a late creation comes after it (S14)",
		pkg:  "lessor",
		test: "TestReconcile",
	},
}

// ofEngines are bugs of the engines with targets outside.
var ofEngines = []mutation{
	{
		name: "a login that is there already keeps its first password",
		file: "backend/database/postgreslogin.go",
		edits: []edit{{
			"\t\t\ttodo = []string{\"ALTER ROLE \" + postgresSyntax.QuoteName(l.name) + \" PASSWORD \" + postgresSyntax.QuoteText(l.secret)}\n",
			"\t\t\ttodo = nil\n",
		}},
		cost: "a repeated issue answers with a password that lets nobody in (S12, S20)",
		pkg:  "backend/database",
		test: "TestLoginsWorkWhileLeased",
	},
	{
		name: "PostgreSQL is told of no end",
		file: "backend/database/postgreslogin.go",
		edits: []edit{{
			"results, err := run(ctx, conn, append(slices.Clone(todo), validUntil(l), \"COMMIT\")...)",
			"results, err := run(ctx, conn, append(slices.Clone(todo), \"COMMIT\")...)",
		}},
		cost: "with no Leasehold left the login works for ever (T19)",
		pkg:  "backend/database",
		test: "TestT19_PostgresEndsLoginsByItself",
	},
	{
		name: "a login that is gone cannot be ended",
		file: "backend/database/postgreslogin.go",
		edits: []edit{{
			"if oid == \"\" || err != nil {\n\t\treturn err\n\t}\n\tif err := p.endSessions",
			"if oid == \"\" && err == nil {\n\t\treturn errAbsent\n\t}\n\tif err != nil {\n\t\treturn err\n\t}\n\tif err := p.endSessions",
		}},
		cost: "a destruction whose outcome was lost is tried for ever, and its lease is irrevocable (S13)",
		pkg:  "backend/database",
		test: "TestT19_DocumentedGrantsAreEnough",
	},
	{
		name: "sessions outlive their login",
		file: "backend/database/postgreslogin.go",
		edits: []edit{{
			"\tif err := p.endSessions(ctx, oid); err != nil {\n\t\treturn err\n\t}\n\treturn p.remove(ctx, l.name, oid)",
			"\treturn p.remove(ctx, l.name, oid)",
		}, {
			"\"DROP ROLE \"+quoted, terminate(oid), \"COMMIT\")",
			"\"DROP ROLE \"+quoted, \"COMMIT\")",
		}},
		cost: "who is connected when the lease ends works on until they choose to leave (S15)",
		pkg:  "backend/database",
		test: "TestLoginsWorkWhileLeased",
	},
	{
		name: "a rotation tells the server a password that is not stored",
		file: "backend/database/rotate.go",
		edits: []edit{{
			"\tc.addCandidate(password)\n\tif err := c.store(ctx, req.Store, name, seen); err != nil {",
			"\tc.addCandidate(password)\n\tif err := ctx.Err(); seen == \"\" || err != nil {",
		}},
		cost: "a node that dies then locks Leasehold out of the server, and nothing is revoked any more (S12)",
		pkg:  "backend/database",
		test: "TestRotationThatStopsHalfWay",
	},
	{
		name: "a server's error repeats the account's password",
		file: "backend/database/errors.go",
		edits: []edit{{
			"text = strings.ReplaceAll(text, secret, \"[redacted]\")",
			"text = strings.ReplaceAll(text, secret, secret)",
		}},
		cost: "the password that manages all logins is in the logs of every node (T12)",
		pkg:  "backend/database",
		test: "TestT12_ErrorsShowNoSecrets",
	},
	{
		name: "a user that is gone cannot be ended",
		file: "backend/aws/errors.go",
		edits: []edit{{
			"\tif absent(err) {\n\t\treturn nil\n\t}\n",
			"",
		}},
		cost: "a destruction whose answer was lost is tried for ever (S13)",
		pkg:  "backend/aws",
		test: "TestConformance",
	},
}
