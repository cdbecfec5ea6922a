package httpapi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"github.com/leasehold/leasehold/client"
	"github.com/leasehold/leasehold/lease"
)

// Whoever reaches a node that has no state may tell it of a cluster, as with Vault: there is nobody yet who
// could vouch for a token. So the node is not to be made a means of reaching others (T16): it sends one
// request without a body to a path that is always the same, one at a time and for a short time, through no
// proxy and after no redirect, to ordinary hosts alone, and tells nothing of the answer.

const (
	joinLimit     = 5 * time.Second // for the leader to say where its peers reach it
	maxJoinAnswer = 64 << 10        // bytes of its answer
)

// joinCluster serves sys/storage/raft/join: a node that belongs to no cluster yet is told of one. It asks to be
// let in for a while; whether it is, that cluster's leader says.
func (s *Server) joinCluster(c *call) (answer, error) {
	in := c.reader()
	addr, ca := in.String("leader_api_addr"), in.String("leader_ca_cert")
	for _, name := range []string{"retry", "leader_client_cert", "leader_client_key", "leader_tls_servername",
		"auto_join", "auto_join_scheme", "auto_join_port", "non_voter"} {
		in.Has(name) // the stock client sends them along
	}
	if err := in.Err(); err != nil {
		return answer{}, err
	}
	if s.node.HasState() {
		return answer{bare: client.RaftJoin{Joined: true}}, nil
	}
	if !s.joining.TryLock() {
		return answer{}, lease.Errorf(lease.Limited, "this node is being told of a cluster by somebody else: try again in %s", joinLimit)
	}
	defer s.joining.Unlock()
	ctx, cancel := context.WithTimeout(c.ctx, joinLimit)
	defer cancel()
	q := joinQuestion{local: fromLoopback(c.addr)}
	peer, err := q.leaderPeer(ctx, addr, ca)
	if err == nil {
		err = s.node.AskToJoin(peer)
	}
	if cause := errors.Unwrap(err); cause != nil {
		s.log.Warn("this node was told of a cluster that it cannot ask", "error", cause, "client", c.addr)
	}
	if err != nil {
		return answer{}, err
	}
	return answer{bare: client.RaftJoin{Joined: s.node.HasState()}}, nil
}

func fromLoopback(addr string) bool {
	from, err := netip.ParseAddrPort(addr)
	return err == nil && from.Addr().Unmap().IsLoopback()
}

// joinQuestion asks a node of the other cluster where peers reach the leader.
type joinQuestion struct {
	local bool // whoever asks is on this machine, and reaches its services anyway
}

var (
	errNoCluster = lease.Errorf(lease.Unavailable, "leader_api_addr does not name a node of a cluster that has a leader: look whether it can be reached from this node")
	errJoinAddr  = lease.Errorf(lease.Invalid, "leader_api_addr is to be the URL of a node of the cluster and nothing more, such as \"http://10.0.0.1:8200\"")
)

// leaderPeer asks the node at an API address. An error of what was found there has a cause, which is for this
// node's log: whoever asks is not told what is there, or is not.
func (q joinQuestion) leaderPeer(ctx context.Context, addr, ca string) (string, error) {
	u, err := url.Parse(addr)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil ||
		u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.Port() != "" && !validPort(u.Port()) {
		return "", errJoinAddr
	}
	trusted := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		trusted.RootCAs = x509.NewCertPool()
		if !trusted.RootCAs.AppendCertsFromPEM([]byte(ca)) {
			return "", lease.Errorf(lease.Invalid, "leader_ca_cert holds no certificate in PEM")
		}
	}
	dialer := &net.Dialer{ControlContext: func(_ context.Context, _, to string, _ syscall.RawConn) error {
		return q.check(to) // after DNS, so that a name cannot change what it stands for
	}}
	asker := &http.Client{
		Transport:     &http.Transport{DialContext: dialer.DialContext, TLSClientConfig: trusted, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.Scheme+"://"+u.Host+"/v1/sys/leader", nil)
	if err != nil {
		return "", errJoinAddr
	}
	resp, err := asker.Do(req)
	if err != nil {
		return "", noCluster(err)
	}
	defer resp.Body.Close()
	var found client.Leader
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxJoinAnswer)).Decode(&found); err != nil || resp.StatusCode != http.StatusOK {
		return "", noCluster(fmt.Errorf("the answer is no leader's address, its status is %d", resp.StatusCode))
	}
	host, port, err := net.SplitHostPort(found.LeaderClusterAddress)
	if err != nil || host == "" || !validPort(port) {
		return "", noCluster(errors.New("the answer has no address with a port"))
	}
	if _, err := netip.ParseAddr(host); err == nil {
		if err := q.check(found.LeaderClusterAddress); err != nil {
			return "", noCluster(err)
		}
	}
	return found.LeaderClusterAddress, nil
}

func noCluster(cause error) error {
	return &lease.Error{Code: errNoCluster.Code, Message: errNoCluster.Message, Err: cause}
}

func validPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// check refuses addresses at which no node of another machine can be: link-local ones, where clouds hand out
// credentials, multicast, unspecified, and this machine's own unless whoever asks is on it.
func (q joinQuestion) check(address string) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("address %q: %w", address, err)
	}
	ip := to.Addr().WithZone("").Unmap()
	if ip.IsGlobalUnicast() || q.local && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("%s is no address that another node can have", ip)
}
