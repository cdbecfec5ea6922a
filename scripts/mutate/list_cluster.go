package main

// ofCluster are bugs of consensus and what lies under it.
var ofCluster = []mutation{
	{
		name: "appends are not synced",
		file: "cluster/stores.go",
		edits: []edit{{
			"\t\tPath: path,\n",
			"\t\tPath: path, NoSync: true,\n",
		}},
		cost: "a power cut takes acknowledged leases with it (S1, S21)",
		pkg:  "cluster",
		test: "TestS21_EveryAppendIsSynced",
	},
	{
		name: "a leader leads before its barrier",
		file: "cluster/leadership.go",
		edits: []edit{{
			"if err := n.barrier(ctx); err != nil {",
			"if err := ctx.Err(); err != nil {",
		}},
		cost: "a new leader reckons time and state from a log that it has not read to its end (S6, S10)",
		pkg:  "cluster",
		test: "TestS10_TheBarrierComesBeforeTheClock",
	},
	{
		name: "a leader is ready before its epoch is applied",
		file: "cluster/leadership.go",
		edits: []edit{{
			"err := n.takeOver(ctx, term)\n",
			"n.term.Store(&leadership{term: term})\n\terr := n.takeOver(ctx, term)\n",
		}},
		cost: "a new leader serves reads that miss acknowledged writes (S6)",
		pkg:  "cluster",
		test: "TestS6_NotReadyBeforeTheEpoch",
	},
	{
		name: "a read joins a round that is under way",
		file: "cluster/readindex.go",
		edits: []edit{
			{"current := r.next\n\t\tr.next = nil\n", "current := r.next\n"},
			{"cancel()\n\t\tclose(current.done)", "cancel()\n\t\tr.mu.Lock()\n\t\tr.next = nil\n\t\tr.mu.Unlock()\n\t\tclose(current.done)"},
		},
		cost: "leadership is confirmed by words from before the read: an old leader serves what is overwritten (S6)",
		pkg:  "cluster",
		test: "TestS6_AReadWaitsForARoundThatBeginsAfterIt",
	},
	{
		name: "leadership is not confirmed",
		file: "cluster/readindex.go",
		edits: []edit{{
			"if err := n.confirm(ctx, lead.term); err != nil {",
			"if err := ctx.Err(); err != nil {",
		}},
		cost: "a leader that was cut off serves what a majority has overwritten (S6)",
		pkg:  "cluster",
		test: "TestS6_OldLeaderThatBelievesToLead",
	},
	{
		name: "a follower reads before it has caught up",
		file: "cluster/readindex.go",
		edits: []edit{{
			"if n.cfg.State.Applied() >= point.index {",
			"if n.cfg.State.Applied() <= point.index {",
		}},
		cost: "a lease issued through one node is unknown to the next for a moment (S5)",
		pkg:  "cluster",
		test: "TestEveryNodeReadsWhatTheLeaderAcknowledged",
	},
	{
		name: "voters of a later term confirm a leader",
		file: "cluster/readindex.go",
		edits: []edit{{
			"answers <- err == nil && len(body) == 8 && binary.BigEndian.Uint64(body) <= term",
			"answers <- err == nil && len(body) == 8 && binary.BigEndian.Uint64(body) > 0",
		}},
		cost: "an old leader that can still ask around serves what its successor has overwritten (S6)",
		pkg:  "cluster",
		test: "TestS6_VotersOfALaterTermDoNotConfirm",
	},
	{
		name: "the log of a returned leader is not mended",
		file: "cluster/stores.go",
		edits: []edit{{
			"return mendLog(s.store.logs, s.index, s.term, s.store.log)",
			"return nil",
		}},
		cost: "a node that comes back gets one snapshot after another and never catches up (L9)",
		pkg:  "cluster",
		test: "TestL9_ReturnedLeaderWithUncommittedEntriesCatchesUp",
	},
	{
		name: "the log is not mended at the start",
		file: "cluster/stores.go",
		edits: []edit{{
			"if err := mendNewest(s.Snapshots, cache, cfg.Log); err != nil {",
			"if err := error(nil); err != nil {",
		}},
		cost: "a crash between a snapshot and the mending brings the loop of snapshots back (L9)",
		pkg:  "cluster",
		test: "TestL9_StartMendsTheLog",
	},
	{
		name: "the watchdog of the disk never barks",
		file: "cluster/watchdog.go",
		edits: []edit{{
			"if stalled < n.cfg.StallLimit || n.raft.State() != raft.Leader {",
			"if stalled < 1000*n.cfg.StallLimit || n.raft.State() != raft.Leader {",
		}},
		cost: "a leader whose disk hangs leads for ever, and no write goes through (L8)",
		pkg:  "cluster",
		test: "TestL8_HangingDiskEndsTheLeader",
	},
	{
		name: "a node's log time goes backwards",
		file: "cluster/clock.go",
		edits: []edit{{
			"c.shown = max(c.advance(), c.shown)",
			"c.shown = c.advance()",
		}},
		cost: "a lease that was reported expired is reported live again (S10)",
		pkg:  "cluster",
		test: "TestS10_HearingLessStandsStill",
	},
	{
		name: "a leader takes over the wall clock",
		file: "cluster/clock.go",
		edits: []edit{{
			"if !c.warm {\n\t\tnow = max(now, wall)",
			"if true {\n\t\tnow = max(now, wall)",
		}},
		cost: "an election won by the node whose clock is an hour ahead ends every shorter lease (S11)",
		pkg:  "cluster",
		test: "TestS11_NewLeaderGoesOnFromTheLog",
	},
	{
		name: "a proposal is withdrawn after it was taken",
		file: "cluster/propose.go",
		edits: []edit{{
			"if prop.stage.CompareAndSwap(waiting, withdrawn) {\n\t\treturn fsm.Result{}, notQueued(ctx.Err())",
			"if prop.stage.Swap(withdrawn) != withdrawn {\n\t\treturn fsm.Result{}, notQueued(ctx.Err())",
		}},
		cost: "a caller is told that nothing happened and issues twice (S20)",
		pkg:  "cluster",
		test: "TestProposerContextEnds",
	},
}

// ofLeader are bugs of the leader's duties.
var ofLeader = []mutation{
	{
		name: "retries have no jitter",
		file: "expiration/revoker.go",
		edits: []edit{{
			"return time.Duration(chance * min(pause, float64(conf.RevokeBackoffMax)))",
			"return time.Duration(min(pause, float64(conf.RevokeBackoffMax)))",
		}},
		cost: "10,000 leases that failed together hit the repaired target together (L5)",
		pkg:  "expiration",
		test: "TestL5_RetriesGrowThenGoHourly",
	},
	{
		name: "the pause between retries has no cap",
		file: "expiration/revoker.go",
		edits: []edit{{
			"return time.Duration(chance * min(pause, float64(conf.RevokeBackoffMax)))",
			"return time.Duration(chance * pause)",
		}},
		cost: "after a long outage a credential lives for hours more (L5)",
		pkg:  "expiration",
		test: "TestTheMountSetsTheSchedule",
	},
	{
		name: "a leader's work outlives its leadership",
		file: "expiration/scheduler.go",
		edits: []edit{{
			"\tdefer r.tasks.Wait()\n",
			"",
		}},
		cost: "workers of two leaderships of one node work on the same lease (S14, S24)",
		pkg:  "expiration",
		test: "TestS24_RunWaitsForCallsThatDoNotHeedTheirContext",
	},
	{
		name: "a mount takes all the workers",
		file: "expiration/plan.go",
		edits: []edit{{
			"slots := min(free, conf.RevokeConcurrency-busy.Mounts[mount])",
			"slots := free",
		}},
		cost: "one hanging target stops the revocations of all the others (L7)",
		pkg:  "expiration",
		test: "TestPlanClaims",
	},
	{
		name: "a call to a target has no deadline",
		file: "expiration/revoker.go",
		edits: []edit{{
			"context.WithTimeoutCause(ctx, limit,",
			"context.WithTimeoutCause(ctx, 1000*limit,",
		}},
		cost: "a target that never answers holds its workers for ever (L7)",
		pkg:  "expiration",
		test: "TestL7_AHangingMountDelaysOnlyItsOwn",
	},
}
