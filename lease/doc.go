// Package lease holds the words that the rest of Leasehold shares: leases, tokens, mounts,
// revocation jobs, the arithmetic of TTLs and the one error type that crosses packages. It
// imports nothing but the standard library, reads no clock and does no I/O.
//
// The life of a lease:
//
//	Reserve            Activate              expired / revoked           destroyed
//	 ----> Pending ----------> Active ----------------> Revoking ----------------> gone
//	          |                                         ^   |  ^ failed, attempts left
//	          `--- abandoned, or the backend failed ----'   |  `-- (next attempt scheduled)
//	                                                        `----> Irrevocable
//	          Irrevocable --- retried, destroyed --> gone;   --- revoke-force --> gone
//
// A lease without anything outside (a token, a lease of the "lease" engine) is born Active by
// Issue and is gone in the entry that ends it.
//
// Values of these types are immutable once they are stored: a change replaces the whole value,
// so they may be read from any goroutine without a lock.
package lease
