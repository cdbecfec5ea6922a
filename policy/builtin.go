package policy

// Names of the built-in policies. Root and that of wrapping tokens cannot be written or deleted,
// default cannot be deleted.
const (
	RootName     = "root"
	DefaultName  = "default"
	WrappingName = "response-wrapping"
)

// Root returns the policy that allows everything. It has no text, and no text makes another.
func Root() *Policy { return &Policy{Name: RootName, root: true} }

// Default is the text that the policy called default begins with. It grants what Vault's does on
// the paths that exist here, except that leases are reached only by the token that owns them or by
// an ancestor of it: a leaked lease ID is worth nothing to a stranger.
const Default = `# A token may look at itself, renew itself and give itself up.
path "auth/token/lookup-self" {
    capabilities = ["read"]
}
path "auth/token/renew-self" {
    capabilities = ["update"]
}
path "auth/token/revoke-self" {
    capabilities = ["update"]
}

# It may ask what it is allowed to do.
path "sys/capabilities-self" {
    capabilities = ["update"]
}
path "sys/internal/ui/resultant-acl" {
    capabilities = ["read"]
}

# It may look up and renew its own leases, by the new path and the old one.
# Remove lease_scope to let it reach every lease whose ID it knows.
path "sys/leases/lookup" {
    capabilities = ["update"]
    lease_scope  = "own"
}
path "sys/leases/renew" {
    capabilities = ["update"]
    lease_scope  = "own"
}
path "sys/renew" {
    capabilities = ["update"]
    lease_scope  = "own"
}

# It may wrap values, and look at and open what was wrapped for it.
path "sys/wrapping/wrap" {
    capabilities = ["update"]
}
path "sys/wrapping/lookup" {
    capabilities = ["update"]
}
path "sys/wrapping/unwrap" {
    capabilities = ["update"]
}
`

// ResponseWrapping is the text of the policy that wrapping tokens carry, and nobody else can: it is
// not kept and cannot be changed. Such a token opens what it wraps and reads nothing.
const ResponseWrapping = `# A wrapping token may open what it wraps, and look at when it was made.
path "sys/wrapping/unwrap" {
    capabilities = ["update"]
}
path "sys/wrapping/lookup" {
    capabilities = ["update"]
}
`
