// Package httpapi is the surface: Vault's lease API over HTTP, on every node of the cluster.
//
// Routes are data (routes.go): one table says for each path which verbs it takes, whether it needs
// sudo, which node may serve it, and which handler does. The router, access control and the tests
// read the same table. Paths are cut from URL.Path, which is decoded exactly once, and access is
// checked on the very string that is acted on.
//
// A request walks through the steps listed in pipeline.go, in this order:
//
//	verb, path, body      what is asked, within bounds
//	place                 writes go to the leader, one hop; reads wait until this node's state
//	                      holds every write acknowledged before
//	authenticate          whose token, on that state
//	authorize             the token's policies on the path, the lease's owner where a rule says so
//	handler               decode, call, encode
//
// Handlers return an answer or an error. Errors become statuses in one table (errors.go), answers
// become Vault's envelope in one function (encode.go).
//
// Requests forwarded by other nodes arrive on a listener of their own. Only there are the internal
// headers of forward.go believed; on clients' connections they are thrown away.
package httpapi
