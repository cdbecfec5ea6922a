package policy

import (
	"slices"
	"strings"
)

// Capability is one capability or a set of them.
type Capability uint16

// The capabilities. Those after Deny are part of Vault's or OpenBao's language and are shown by
// Capabilities; no route of Leasehold asks for them.
const (
	Create Capability = 1 << iota
	Read
	Update
	Delete
	List
	Sudo
	Deny
	Patch
	Scan
	Subscribe
	Recover
)

// capabilityNames are in bit order.
var capabilityNames = [...]string{"create", "read", "update", "delete", "list", "sudo", "deny",
	"patch", "scan", "subscribe", "recover"}

// Has reports whether every capability of want is in c.
func (c Capability) Has(want Capability) bool { return c&want == want }

// Names returns the names of the set, sorted.
func (c Capability) Names() []string {
	names := make([]string, 0, len(capabilityNames))
	for i, name := range capabilityNames {
		if c&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// String returns the names, separated by commas.
func (c Capability) String() string { return strings.Join(c.Names(), ",") }

// capabilityNamed returns the capability called name.
func capabilityNamed(name string) (Capability, bool) {
	i := slices.Index(capabilityNames[:], name)
	if i < 0 {
		return 0, false
	}
	return 1 << i, true
}

// legacyCapabilities are what the old `policy = "..."` argument stands for.
var legacyCapabilities = map[string]Capability{
	"deny":  Deny,
	"read":  Read | List,
	"write": Create | Read | Update | Delete | List,
	"sudo":  Create | Read | Update | Delete | List | Sudo,
}
