package webhook

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/leasehold/leasehold/backend/field"
)

// permit parses raw and says why it may not be called, if so.
func (c *config) permit(raw string, dev bool) (*url.URL, error) {
	if len(raw) > MaxURL {
		return nil, fmt.Errorf("%d bytes long, at most %d are taken: shorten it", len(raw), MaxURL)
	}
	if err := field.CheckText(raw); err != nil {
		return nil, fmt.Errorf("%w: write it without", err)
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("not a URL: write https://host/path")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("neither https nor http: write https://host/path")
	case u.User != nil:
		return nil, errors.New("holds a user name: leave it out, calls are signed")
	case u.Fragment != "":
		return nil, errors.New("holds a fragment: leave it out")
	}
	host, port, err := hostOf(u)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "http" && !isLoopback(host) {
		return nil, fmt.Errorf("plain http to %s: use https, plain http is for loopback", host)
	}
	if !c.lists(host, port) && !(dev && isLoopback(host)) {
		return nil, fmt.Errorf("host %s is not in the mount's allowed_hosts: add it to config", net.JoinHostPort(host, port))
	}
	return u, nil
}

// lists reports whether the operator has listed host, alone or with the port.
func (c *config) lists(host, port string) bool {
	for _, entry := range c.AllowedHosts {
		h, p, err := splitEntry(entry)
		if err == nil && h == host && (p == "" || p == port) {
			return true
		}
	}
	return false
}

func checkAllowedHosts(in *field.Reader, entries []string) {
	if len(entries) > MaxAllowedHosts {
		in.Failf("allowed_hosts: %d entries, at most %d are kept: drop some", len(entries), MaxAllowedHosts)
	}
	for _, entry := range entries {
		if _, _, err := splitEntry(entry); err != nil {
			in.Failf("allowed_hosts: %q %s: write a host name or address, with :port if only that is meant",
				field.CleanText(entry), err)
		}
	}
}

// splitEntry reads "host", "host:port", "address", "[address]" or "[address]:port".
func splitEntry(entry string) (host, port string, err error) {
	if addr, parseErr := netip.ParseAddr(strings.Trim(entry, "[]")); parseErr == nil {
		host, err = canonicalAddr(addr)
		return host, "", err
	}
	host = entry
	if h, p, splitErr := net.SplitHostPort(entry); splitErr == nil {
		if host, port = h, p; !validPort(port) {
			return "", "", errors.New("has no valid port")
		}
	}
	host, err = canonicalHost(host)
	return host, port, err
}

// hostOf returns a URL's host and port in the form in which they are compared.
func hostOf(u *url.URL) (host, port string, err error) {
	if host, err = canonicalHost(u.Hostname()); err != nil {
		return "", "", fmt.Errorf("its host %w: write https://host/path", err)
	}
	if port = u.Port(); port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	if !validPort(port) || strings.HasSuffix(u.Host, ":") {
		return "", "", errors.New("has no valid port: write https://host:port/path")
	}
	return host, port, nil
}

// canonicalHost is the one form of a host name or address: lower case, no dot at the end, an
// IPv4 address inside an IPv6 one taken out.
func canonicalHost(host string) (string, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return canonicalAddr(addr)
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "" || len(host) > 253 {
		return "", errors.New("is empty or longer than 253 bytes")
	}
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "", errors.New("is no host name")
		}
	}
	// 127.1, 0x7f.0.0.1, 2130706433: some resolvers take these for addresses.
	last := labels[len(labels)-1]
	if strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		return "", errors.New("is neither a host name nor a whole address")
	}
	return host, nil
}

func canonicalAddr(addr netip.Addr) (string, error) {
	addr = addr.Unmap()
	switch {
	case addr.Zone() != "":
		return "", errors.New("names a network interface")
	case addr.IsUnspecified(), addr.IsMulticast():
		return "", errors.New("is no address of one host")
	}
	return addr.String(), nil
}

// isLoopback reports whether a canonical host can only mean this machine.
func isLoopback(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.IsLoopback()
	}
	return host == "localhost"
}

func validPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}
