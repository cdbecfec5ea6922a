// Package seal keeps secrets unreadable at rest. It is pure but for LoadKeyFile, and uses the
// standard library only.
//
// There are two layers. Each node is given the same static key, a file of 32 random bytes in
// base64 that is kept out of the data directory. It does one thing: it wraps the keyring, which is
// replicated and stored in that form. The keyring holds
//
//   - data keys, numbered by version, one of them active, which seal the secret fields;
//   - the token key, with a version of its own, which hashes tokens.
//
// So the static key can change by wrapping the keyring again, a data key by adding a version, and
// neither touches what is sealed already, nor the hashes by which tokens are found.
//
//	key, warnings, err := seal.LoadKeyFile(path)
//	ring, err := seal.NewKeyring(rand.Reader)        // once in the life of a cluster
//	blob, err := ring.Wrap(key)                      // replicate this
//	ring, err := seal.Unwrap(key, blob)              // on each node
//
//	sealed, err := ring.Seal(seal.LeasePlace(id, "internal"), plaintext)
//	plaintext, err := ring.Open(seal.LeasePlace(id, "internal"), sealed)
//	hash := ring.HashToken(token)
//
// Promises: a blob opens only under the place it was sealed for, so one that is moved to another
// lease fails; any change of any byte fails; decoding any bytes whatever ends in a value or an
// error. Secrets, keys and keyrings print as what they are, not as what they hold.
package seal
