// Package client is the Go client of Leasehold. It speaks Vault's HTTP API, so it works against
// Vault and OpenBao as well where they have the same paths, and it needs nothing but the standard
// library.
//
// # Use
//
// Make a Client from a Config, most simply from the environment variables that Vault's own tools
// read, and call it. A Client is safe for concurrent use.
//
//	config, err := client.ConfigFromEnv() // VAULT_ADDR, VAULT_TOKEN, ...
//	c, err := client.New(config)
//	secret, err := c.Read(ctx, "database/creds/app", nil)
//	renewer, err := c.KeepRenewed(ctx, secret, client.RenewerConfig{})
//	defer renewer.Stop()
//
// # Leases
//
// Whatever was issued with a lease has an end. RenewLease moves it, RevokeLease brings it about
// now, LookupLease tells where it stands. A Renewer does the first for as long as a program needs
// what it holds, and says in time when that is over.
//
// For those who run the cluster, FreezeMount keeps what a mount leased from being destroyed,
// RetryRevocations tries again what has failed, Reconcile compares leases with what is there, and
// MoveMount gives a mount another path.
//
// # Who may do what
//
// LoginUserpass and LoginAppRole earn a token, WithToken makes a Client that bears it, and
// CapabilitiesSelf tells what it may do. WithNamespace makes a Client of another namespace.
// WithWrapTTL makes one whose answers are put aside, each under a token that fetches it once;
// Unwrap fetches it.
//
// # Failures
//
// Every call takes a context and stops with it. A call is repeated, with growing and jittered
// waits, when the connection failed or the server answered 412, 429 or a 5xx other than 501: a
// cluster that is electing a leader is usually back before the caller notices. What the server
// refuses comes back as an *Error, whose Code says what the caller can do about it. After a
// code of Uncertain the call may have taken effect: look before you repeat it.
//
// Within major version 1 of the module this package promises a stable API; no other package of
// the module does.
package client
