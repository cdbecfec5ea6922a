// Package policy reads policies written in Vault's language, as HCL or JSON, and decides what a
// token that carries them may do. It is pure: no clock, no I/O, standard library only.
//
//	p, err := policy.Parse("app", text)      // once, when the policy is written or first used
//	acl := policy.NewACL(p, q)               // once per set of policies; keep it, it never changes
//	d := acl.Check(policy.Request{Path: "sys/leases/renew", Capability: policy.Update})
//
// A policy is a list of rules, each for one path pattern:
//
//	path "database/creds/+" { capabilities = ["read"] }
//	path "sys/leases/renew" {
//	  capabilities = ["update"]
//	  lease_scope  = "own"
//	}
//
// # Which rule counts
//
// A pattern is literal, except that a segment "+" stands for any one segment and a "*" at the very
// end for any rest. A rule whose pattern is literally the path counts before all others. Else, of
// all rules of all policies that match, exactly one pattern counts: the one whose first wildcard
// comes last; then the one that does not end in "*"; then the one with fewer "+"; then the longer;
// then the later in byte order. Rules with the same pattern are merged: capabilities add up, deny
// removes all of them, and every restriction of either rule stays.
//
// A LIST of p is asked as "p/". Since nearly everybody forgets that slash, rules that match only p
// count too, in the same order, but only if they say something of listing: if they grant list or
// deny. So the default policy's update on sys/leases/lookup does not hide an operator's list on
// sys/leases/* (which it does in Vault: hashicorp/vault#9556).
//
// # lease_scope
//
// A rule with lease_scope = "own" reaches only leases of the calling token and its descendants.
// Where merged rules grant a capability both with and without it, the union holds: the capability
// is unscoped. Only a caller that acts on one lease can honour the scope; every other must treat
// Decision.OwnOnly as a refusal.
//
// # Reading
//
// The language is HCL version 1, where several blocks and arguments may share a line and a closing
// brace may follow an argument, so policies that Vault takes are taken as they are; a parser for
// version 2 refuses them. Reading is linear in the size of the text and bounded in depth. What is
// not understood is an error that names the line, because a restriction that is skipped in silence
// is a hole: this includes Vault's mfa_methods, control_group and templates.
package policy
