// Package cert is about the certificates of a cluster: what name in one makes its holder a node,
// how an authority and certificates are made, and how files of them are read again while a node
// runs.
//
// It promises:
//
//   - A certificate speaks for at most one node of a cluster, and the comparison is exact: no
//     wildcards, no other case (name.go).
//   - What an Authority signs, it could itself verify: names that it may not certify, or an end
//     beyond its own, are refused when the certificate is made (authority.go).
//   - A Store always has a certificate that was whole, fitted its key and had not ended when it
//     was read. Files that are broken leave it as it was (store.go).
//
// It uses the standard library alone.
package cert
