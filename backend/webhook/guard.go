package webhook

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

const dialTimeout = 10 * time.Second

// guard dials. It looks at each address when the socket is about to connect, so what was checked
// and what is reached are the same, whatever a name server answers in between.
type guard struct {
	config   config
	dev      bool
	resolver *net.Resolver
}

// addressError says that an address may not be called. It is a matter of configuration, not of
// luck.
type addressError struct {
	host string
	addr netip.Addr
	why  string
}

func (e *addressError) Error() string {
	if e.host == e.addr.String() {
		return fmt.Sprintf("%s is %s: it is not called", e.addr, e.why)
	}
	return fmt.Sprintf("%s is %s, which is %s: it is not called unless the address itself is in allowed_hosts", e.host, e.addr, e.why)
}

// dial connects to address, a host and port, if the host may be called and so may what it
// resolves to.
func (g *guard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	rawHost, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	host, err := canonicalHost(rawHost)
	if err != nil {
		return nil, fmt.Errorf("host %w", err)
	}
	if !g.config.lists(host, port) && !(g.dev && isLoopback(host)) {
		return nil, fmt.Errorf("host %s is not in allowed_hosts", host)
	}
	dialer := net.Dialer{
		Timeout: dialTimeout, Resolver: g.resolver,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			return g.check(host, port, address)
		},
	}
	return dialer.DialContext(ctx, network, address)
}

// check judges the resolved address, for a host that may be called.
func (g *guard) check(host, port, address string) error {
	resolved, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("address %q: %w", address, err)
	}
	addr := resolved.Addr()
	if isLoopback(host) && !addr.Unmap().IsLoopback() {
		return &addressError{host, addr, "not loopback"}
	}
	why := forbidden(addr)
	if why == "" {
		return nil
	}
	// An address that the operator wrote down is meant, whatever it is.
	if addr.Zone() == "" && g.config.lists(addr.Unmap().String(), port) {
		return nil
	}
	return &addressError{host, addr, why}
}

// metadata holds the addresses at which clouds hand out credentials and that no range below covers.
var metadata = map[netip.Addr]bool{
	netip.MustParseAddr("100.100.100.200"): true, // Alibaba
	netip.MustParseAddr("168.63.129.16"):   true, // Azure
	netip.MustParseAddr("192.0.0.192"):     true, // Oracle
	netip.MustParseAddr("fd20:ce::254"):    true, // Google
	netip.MustParseAddr("fd00:42::42"):     true, // Scaleway
}

// never holds the ranges that stand for no ordinary host.
var never = map[netip.Prefix]string{
	netip.MustParsePrefix("0.0.0.0/8"):      "an unspecified address",
	netip.MustParsePrefix("192.0.0.0/24"):   "a reserved address",
	netip.MustParsePrefix("240.0.0.0/4"):    "a reserved address",
	netip.MustParsePrefix("::/96"):          "a reserved address",
	netip.MustParsePrefix("fd00:ec2::/32"):  "a cloud's metadata service", // AWS: instances, containers, names
	netip.MustParsePrefix("fd00:c1::/32"):   "a cloud's metadata service", // Oracle
	netip.MustParsePrefix("64:ff9b:1::/48"): "a translated address",
	netip.MustParsePrefix("2001::/32"):      "a tunnelled address", // Teredo
	netip.MustParsePrefix("fec0::/10"):      "a link-local address",
	netip.MustParsePrefix("169.254.0.0/16"): "a link-local address",
	netip.MustParsePrefix("fe80::/10"):      "a link-local address",
}

var (
	nat64   = netip.MustParsePrefix("64:ff9b::/96")
	siit    = netip.MustParsePrefix("::ffff:0:0:0/96")
	sixToIV = netip.MustParsePrefix("2002::/16")
)

// forbidden says why an address is refused to a host that was listed by name, "" if it is not.
// Private and loopback addresses are not: listing the name has allowed them.
func forbidden(addr netip.Addr) string {
	addr = addr.WithZone("").Unmap()
	if inner, ok := embedded(addr); ok {
		return forbidden(inner)
	}
	switch {
	case addr.IsLoopback():
		return ""
	case metadata[addr]:
		return "a cloud's metadata service"
	case addr.IsMulticast():
		return "a multicast address"
	}
	for prefix, why := range never {
		if prefix.Contains(addr) {
			return why
		}
	}
	return ""
}

// embedded takes out the IPv4 address that a translator or tunnel would send the packets to.
func embedded(addr netip.Addr) (netip.Addr, bool) {
	b := addr.As16()
	switch {
	case nat64.Contains(addr), siit.Contains(addr):
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case sixToIV.Contains(addr):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return netip.Addr{}, false
}
