// Package clustertest runs the nodes of a cluster in one test process, over a network whose faults
// the test sets: cut in one direction or both, slow, or breaking connections.
//
//	c := clustertest.Start(t, 3, clustertest.Options{})
//	leader := c.WaitLeader()
//	c.Isolate(leader.ID())
//	...
//	c.Heal()
//
// The nodes are real: raft, the state and TCP on loopback. Everything ends with the test.
package clustertest
