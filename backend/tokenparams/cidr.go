package tokenparams

import (
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/leasehold/leasehold/backend/field"
)

// Permits reports whether a client at addr may use what is bound to cidrs, which are addresses and
// networks as Params keeps them. An empty list permits everybody. An invalid addr, the one of a client
// about whom nothing is known, is permitted by no list. An IPv4 address written as IPv6 is the IPv4
// address; a zone does not count.
func Permits(cidrs []string, addr netip.Addr) bool {
	if len(cidrs) == 0 {
		return true
	}
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(cidrs, func(text string) bool {
		network, err := ParseCIDR(text)
		return err == nil && network.Contains(addr)
	})
}

// ParseCIDR reads a network ("10.0.0.0/8"; bits of the host do not matter) or a single address. IPv4
// written as IPv6 becomes IPv4. The error says what to write instead, without the text.
func ParseCIDR(text string) (netip.Prefix, error) {
	var network netip.Prefix
	if strings.Contains(text, "/") {
		var err error
		if network, err = netip.ParsePrefix(text); err != nil {
			return netip.Prefix{}, errNoCIDR
		}
	} else {
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.Zone() != "" {
			return netip.Prefix{}, errNoCIDR
		}
		network = netip.PrefixFrom(addr, addr.BitLen())
	}
	if addr := network.Addr(); addr.Is4In6() {
		// Fewer bits than those that say "this is IPv4" would take in parts of both families.
		if network.Bits() < mappedBits {
			return netip.Prefix{}, errors.New("mixes IPv4 and IPv6: give an IPv4 network like 10.0.0.0/8 as such")
		}
		network = netip.PrefixFrom(addr.Unmap(), network.Bits()-mappedBits)
	}
	return network.Masked(), nil
}

// mappedBits are those before the IPv4 address in an IPv6 address that stands for one.
const mappedBits = 96

var errNoCIDR = errors.New("is neither an address nor a network: give one like 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32")

// readCIDRs keeps the order of the list, in which people recognise it, and each entry once.
func readCIDRs(in *field.Reader, name string) []string {
	var clean []string
	for _, text := range in.Strings(name) {
		network, err := ParseCIDR(text)
		if err != nil {
			in.Failf("%s: %q %s", name, field.CleanText(text), err)
			continue
		}
		normal := network.String()
		if network.IsSingleIP() {
			normal = network.Addr().String()
		}
		if !slices.Contains(clean, normal) {
			clean = append(clean, normal)
		}
		if len(clean) > MaxCIDRs {
			in.Failf("%s: more than the %d entries that are allowed: give larger networks", name, MaxCIDRs)
			return nil
		}
	}
	return clean
}
