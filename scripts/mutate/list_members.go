package main

// ofMembers are bugs of who becomes a member.
var ofMembers = []mutation{
	{
		name: "a join token lets in a second node",
		file: "fsm/members.go",
		edits: []edit{{
			`case t.UsedBy != "" && t.UsedBy != peerAddr:`,
			`case false:`,
		}},
		cost: "whoever finds a used join token on a node's disk joins with it (T9)",
		pkg:  "fsm",
		test: "TestT9_JoinTokens",
	},
	{
		name: "a join token lets in any node",
		file: "fsm/members.go",
		edits: []edit{{
			"switch t, ok := c.joinTokens.Get(nodeID); {\n",
			"t, ok := c.joinTokens.Get(nodeID)\n\tc.joinTokens.Scan(func(_ string, other JoinToken) bool {\n\t\tif other.Hash == hash {\n\t\t\tt, ok = other, true\n\t\t}\n" +
				"\t\treturn true\n\t})\n\tswitch {\n",
		}},
		cost: "a token that was made for one machine makes another a member, under a name nobody invited (T9)",
		pkg:  "fsm",
		test: "TestT9_JoinTokens",
	},
	{
		name: "a join token does not expire",
		file: "fsm/members.go",
		edits: []edit{{
			"case t.Expires <= c.now:",
			"case false:",
		}},
		cost: "a token that nobody used lets in whoever finds it in an old mail (T9)",
		pkg:  "fsm",
		test: "TestT9_JoinTokens",
	},
	{
		name: "a join token outlives the joining",
		file: "cluster/jointoken.go",
		edits: []edit{{
			"\tif !there {\n",
			"\tif there {\n",
		}},
		cost: "a node that was removed comes back by itself, with the token that it still has (T9)",
		pkg:  "cluster",
		test: "TestT9_ASpentTokenLetsNobodyIn",
	},
	{
		name: "a node that is told of a cluster calls its own machine for anybody",
		file: "httpapi/join.go",
		edits: []edit{{
			"q.local && ip.IsLoopback()",
			"ip.IsLoopback()",
		}},
		cost: "a stranger without a token has a new node call what listens on its loopback address alone (T16)",
		pkg:  "httpapi",
		test: "TestT16_JoinReachesNodesOnly",
	},
}
