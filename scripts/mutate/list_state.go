package main

// ofState are bugs of the state machine's leases, jobs and formats.
var ofState = []mutation{
	{
		name: "expire skips the generation check",
		file: "fsm/applyrevoke.go",
		edits: []edit{{
			`rec.lease.Ending != nil || rec.lease.Generation != ref.Generation || !rec.lease.Expired(c.now)`,
			`rec.lease.Ending != nil || !rec.lease.Expired(c.now)`,
		}},
		cost: "what a leader decided on an older sight of a lease ends the renewed one (S14)",
		pkg:  "fsm",
		test: "TestS2_ExpireIsConditional",
	},
	{
		name: "expire does not look at the time",
		file: "fsm/applyrevoke.go",
		edits: []edit{{
			`rec.lease.Generation != ref.Generation || !rec.lease.Expired(c.now) {`,
			`rec.lease.Generation != ref.Generation {`,
		}},
		cost: "a leader whose clock is ahead ends leases early (S2)",
		pkg:  "fsm",
		test: "TestS2_ExpireIsConditional",
	},
	{
		name: "commands of an old epoch are obeyed",
		file: "fsm/hold.go",
		edits: []edit{{
			"case epoch != c.epoch:",
			"case epoch > c.epoch:",
		}},
		cost: "a deposed leader goes on to claim, and two nodes destroy at once (S14, S24)",
		pkg:  "fsm",
		test: "TestScripts/lease",
	},
	{
		name: "a held state ends leases",
		file: "fsm/hold.go",
		edits: []edit{{
			"case c.hold != nil:",
			"case false:",
		}},
		cost: "a restore destroys what was renewed after the snapshot was taken (S23)",
		pkg:  "fsm",
		test: "TestScripts/hold",
	},
	{
		name: "the scheduler does not see the hold",
		file: "expiration/plan.go",
		edits: []edit{{
			"if v.Hold() != nil {",
			"if false {",
		}},
		cost: "a restored leader proposes ends without pause, which the log refuses (S23)",
		pkg:  "expiration",
		test: "TestS23_NothingEndsWhileTheStateIsHeld",
	},
	{
		name: "the count of commands goes back with a restore",
		file: "fsm/hold.go",
		edits: []edit{{
			"c.seq = max(c.seq, old.seq) + gap",
			"c.seq += gap",
		}},
		cost: "targets refuse revocations with fencing indexes that they have seen, caches take old policies for new (S14)",
		pkg:  "fsm",
		test: "TestS10_ARestoreTakesNothingBack",
	},
	{
		name: "the authentication code of a snapshot is not looked at",
		file: "snapshot/read.go",
		edits: []edit{{
			"if err := ring.CheckMAC(macUse, a.line, a.version, a.mac); err != nil {",
			"if err := ring.CheckMAC(macUse, a.line, a.version, a.mac); err != nil && false {",
		}},
		cost: "whoever can write to a backup chooses what the cluster holds (T11)",
		pkg:  "snapshot",
		test: "TestT11_WhatWasTamperedWithIsRefused",
	},
	{
		name: "outcomes of an old claim are accepted",
		file: "fsm/applyrevoke.go",
		edits: []edit{{
			` || claim == 0 || rec.lease.Ending.Claim != claim {`,
			` || claim == 0 {`,
		}},
		cost: "a worker that woke up late reports as gone what another is still destroying (S14, S15)",
		pkg:  "fsm",
		test: "TestScripts/lease",
	},
	{
		name: "a new leader does not take over claims",
		file: "fsm/apply.go",
		edits: []edit{{
			"for _, id := range sortedKeys(c.claimed) {",
			"for _, id := range sortedKeys(c.claimed)[:0] {",
		}},
		cost: "after a failover a revocation rests until its claim lapses (L4)",
		pkg:  "fsm",
		test: "TestScripts/lease",
	},
	{
		name: "irrevocable leases are not tried again",
		file: "fsm/applyrevoke.go",
		edits: []edit{{
			"e.NextAttempt = c.now.Add(lease.IrrevocableRetry)",
			"e.NextAttempt = 0",
		}},
		cost: "a credential outlives the repair of its target for ever (L5)",
		pkg:  "fsm",
		test: "TestScripts/lease",
	},
	{
		name: "log time goes backwards",
		file: "fsm/apply.go",
		edits: []edit{{
			"c.now = max(c.now, now, 1)",
			"c.now = max(now, 1)",
		}},
		cost: "an expired lease comes back to life after a failover to a slower clock (S10)",
		pkg:  "fsm",
		test: "TestS10_LogTimeNeverGoesBack",
	},
	{
		name: "cover by entry instead of by command",
		file: "fsm/apply.go",
		edits: []edit{{
			"for i, d := range cmds {\n\t\t\tc.seq++\n",
			"c.seq++\n\t\tfor i, d := range cmds {\n",
		}},
		cost: "a lease that shares its log entry with a revoke-prefix survives it, or a later one dies with it (S8)",
		pkg:  "fsm",
		test: "TestS8_IntentsRacingAPrefix",
	},
	{
		name: "a job covers prefixes without segments",
		file: "fsm/standing.go",
		edits: []edit{{
			"if i := strings.IndexByte(l.ID[end+1:], '/'); i >= 0 {\n\t\t\tend += 1 + i\n\t\t} else {\n\t\t\tend = len(l.ID)\n\t\t}",
			"end++\n\t\t_ = strings.IndexByte",
		}},
		cost: "revoking db/creds/ro takes the leases of db/creds/ro2 out of service (S9)",
		pkg:  "fsm",
		test: "TestS9_PrefixesMatchSegments",
	},
	{
		name: "a sweep matches prefixes without segments",
		file: "fsm/sweep.go",
		edits: []edit{{
			"below := prefix + \"/\"",
			"below := prefix",
		}},
		cost: "revoking db/creds/ro destroys the credentials of db/creds/ro2 (S9)",
		pkg:  "fsm",
		test: "TestS9_PrefixesMatchSegments",
	},
	{
		name: "a job's leases live until they are swept",
		file: "fsm/standing.go",
		edits: []edit{{
			"if c.coveredByPrefix(l) {\n\t\treturn true\n\t}\n",
			"",
		}},
		cost: "a lease renews after its revoke-prefix was acknowledged (S7, S8)",
		pkg:  "fsm",
		test: "TestS8_IntentsRacingAPrefix",
	},
	{
		name: "a restored job covers nothing",
		file: "fsm/restore.go",
		edits: []edit{{
			"c.prefixJobs[key] = max(c.prefixJobs[key], j.ID)",
			"c.prefixJobs[key] = max(c.prefixJobs[key], 0)",
		}},
		cost: "on nodes that came from a snapshot revoked leases renew, on others not (S8, S18)",
		pkg:  "fsm",
		test: "TestScripts/jobs",
	},
	{
		name: "the due entry of a shortened lease is forgotten",
		file: "fsm/due.go",
		edits: []edit{{
			"where == inEnds && due != 0 && due.Second() >= int64(r.key):",
			"where == inEnds && due != 0:",
		}},
		cost: "a lease shortened to a minute is destroyed when its first TTL ends, weeks later (L3)",
		pkg:  "fsm",
		test: "TestScripts/lease",
	},
	{
		name: "an expired lease renews",
		file: "fsm/standing.go",
		edits: []edit{{
			"if l.Expired(now) || c.covered(l, now) {",
			"if l.Status == lease.Pending && l.Expired(now) || c.covered(l, now) {",
		}},
		cost: "a client that overslept keeps a credential that others count as gone (S3)",
		pkg:  "fsm",
		test: "TestScripts/lease",
	},
	{
		name: "a renewal counts its max TTL from now",
		file: "lease/ttl.go",
		edits: []edit{{
			"left, limited := room(now, issued, l.Max)",
			"left, limited := room(now, now, l.Max)",
		}},
		cost: "a lease lives for ever by renewing (S4)",
		pkg:  "lease",
		test: "TestGrantArithmetic",
	},
	{
		name: "an increment wraps around",
		file: "lease/time.go",
		edits: []edit{{
			"case d > 0 && sum < int64(t):",
			"case false:",
		}},
		cost: "a renewal by a huge increment ends the lease at once (S4)",
		pkg:  "lease",
		test: "TestTimeSaturates",
	},
	{
		name: "an intent activates after its prefix was revoked",
		file: "fsm/applylease.go",
		edits: []edit{{
			"if c.standing(rec.lease, c.now) != lease.Pending {",
			"if rec.lease.Status != lease.Pending {",
		}},
		cost: "an issue that races revoke-prefix leaves a live credential behind (S8)",
		pkg:  "fsm",
		test: "TestS8_IntentsRacingAPrefix",
	},
	{
		name: "the body of an Idempotency-Key is not compared",
		file: "fsm/idempotency.go",
		edits: []edit{{
			"if first.body != string(k.Body) {",
			"if false {",
		}},
		cost: "a key used twice by mistake answers with the lease of another request (S20)",
		pkg:  "fsm",
		test: "TestScripts/idempotency",
	},
	{
		name: "the snapshot's checksum is not verified",
		file: "fsm/restore.go",
		edits: []edit{{
			"if !bytes.Equal(body, want) {",
			"if !bytes.Equal(body, want) && len(body) != len(want) {",
		}},
		cost: "a flipped bit on one disk becomes state, and that replica diverges (S22)",
		pkg:  "fsm",
		test: "TestS22_DamagedSnapshotsAreRefused",
	},
	{
		name: "a restore that fails leaves half of a state",
		file: "fsm/restore.go",
		edits: []edit{{
			"\tif err := c.load(bufio.NewReaderSize(r, 1<<20)); err != nil {",
			"\ts.core = c\n\tif err := c.load(bufio.NewReaderSize(r, 1<<20)); err != nil {",
		}},
		cost: "a node serves what it had read of a damaged snapshot (S22)",
		pkg:  "fsm",
		test: "TestS22_DamagedSnapshotsAreRefused",
	},
	{
		name: "an unknown command is skipped",
		file: "fsm/codec.go",
		edits: []edit{{
			"mk, ok := commandTypes[number]\n\tif !ok {\n",
			"mk, ok := commandTypes[number]\n\tif !ok {\n\t\treturn nil, nil\n",
		}},
		cost: "a node of an older version goes on with a state that differs from the others' (S19)",
		pkg:  "fsm",
		test: "TestS19_BadEntries",
	},
}

// ofTokens are bugs of the trees of tokens.
var ofTokens = []mutation{
	{
		name: "a token's revocation forgets its children",
		file: "fsm/applytoken.go",
		edits: []edit{{
			"c.doom(t, j, spareChildren)",
			"c.doom(t, j, true)",
		}},
		cost: "whoever stole a token keeps the tokens made with it (S17)",
		pkg:  "fsm",
		test: "TestScripts/tokens",
	},
	{
		name: "a doomed token is dropped before its subtree",
		file: "fsm/applytoken.go",
		edits: []edit{{
			`if c.owners[t.Hash] == nil && c.firstChild(t.Hash) == "" {`,
			`if c.owners[t.Hash] == nil {`,
		}},
		cost: "children whose parent vanished count as orphans and live on (S17)",
		pkg:  "fsm",
		test: "TestScripts/tokens",
	},
	{
		name: "the dead parent of a token is not looked at",
		file: "fsm/standing.go",
		edits: []edit{{
			"if !c.selfAlive(parent, now) {\n\t\t\treturn false\n\t\t}",
			"",
		}},
		cost: "children work on until the sweep reaches them, a tree of 100,000 for seconds (S17)",
		pkg:  "fsm",
		test: "TestScripts/tokens",
	},
	{
		name: "a sweep leaves the leases of a token",
		file: "fsm/sweep.go",
		edits: []edit{{
			"for o := c.owners[t.Hash]; o != nil && s.budget > 0; o = c.owners[t.Hash] {\n\t\ts.budget--\n\t\ts.end(o.first)\n\t}\n\tif c.owners[t.Hash] != nil {\n\t\treturn\n\t}",
			"",
		}},
		cost: "credentials outlive the token that leased them (S17)",
		pkg:  "fsm",
		test: "TestScripts/tokens",
	},
	{
		name: "the last use of a token is not its last",
		file: "fsm/applytoken.go",
		edits: []edit{{
			"next.NumUses = lease.SpentUses\n",
			"",
		}},
		cost: "a token for one use becomes one without limit (T20)",
		pkg:  "fsm",
		test: "TestScripts/tokens",
	},
}
