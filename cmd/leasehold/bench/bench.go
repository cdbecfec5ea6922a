package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// target is the cluster that is measured.
type target struct {
	addresses []string
	token     string
	mount     string
	timeout   time.Duration
}

// Command is "leasehold bench".
func Command() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure a running cluster",
		Long: `Measures a running cluster through its HTTP API. Start one with "scripts/cluster.sh up" and export the
two variables that it prints. Leases are made in a mount of type "lease" that the run enables and
disables.`,
		Example: "  leasehold bench ops -clients=64 -duration=10s\n  leasehold bench revoke-prefix -leases=100000",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	f := cmd.PersistentFlags()
	f.StringSliceVar(&t.addresses, "node", nil, "address of a node, repeatable; the first takes the load (default: VAULT_ADDR)")
	f.StringVar(&t.mount, "mount", "bench", "path of the mount that is used")
	f.DurationVar(&t.timeout, "request-timeout", 30*time.Second, "limit of one request")
	cmd.PersistentPreRunE = func(*cobra.Command, []string) error {
		if len(t.addresses) == 0 {
			addr := os.Getenv("VAULT_ADDR")
			if addr == "" {
				return errors.New("no address: set VAULT_ADDR or pass -node=http://127.0.0.1:8210")
			}
			t.addresses = strings.Split(addr, ",")
		}
		if t.token = os.Getenv("VAULT_TOKEN"); t.token == "" {
			return errors.New("no token: set VAULT_TOKEN to one that may enable mounts and revoke prefixes")
		}
		return nil
	}
	cmd.AddCommand(opsCommand(&t), prefixCommand(&t), expiryCommand(&t), fillCommand(&t), failoverCommand(&t))
	return cmd
}

// control is a connection to the first node for what is not measured.
func (t *target) control() (*conn, error) { return newConn(t.addresses[0], t.token, 10*time.Minute) }

// enable makes the mount, if it is not there, with TTLs long enough for any run.
func (t *target) enable() error {
	c, err := t.control()
	if err != nil {
		return err
	}
	defer c.close()
	status, body, err := c.do("POST", "/v1/sys/mounts/"+t.mount, []byte(`{"type":"lease","description":"leasehold bench"}`))
	if err == nil && status == 400 && strings.Contains(string(body), "already in use") {
		return nil
	}
	return want(status, body, err, 204)
}

// disable revokes everything below the mount and removes it.
func (t *target) disable() error {
	c, err := t.control()
	if err != nil {
		return err
	}
	defer c.close()
	status, body, err := c.do("DELETE", "/v1/sys/mounts/"+t.mount, nil)
	return want(status, body, err, 204, 202)
}

// leader returns t with the address of the leader first.
func (t *target) leaderFirst(ctx context.Context) error {
	c, err := t.control()
	if err != nil {
		return err
	}
	defer c.close()
	var answer struct {
		LeaderAddress string `json:"leader_address"`
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		status, body, err := c.do("GET", "/v1/sys/leader", nil)
		if err := want(status, body, err, 200); err != nil {
			return err
		}
		if err := json.Unmarshal(body, &answer); err != nil {
			return err
		}
		if answer.LeaderAddress != "" {
			break
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return errors.New("the cluster has no leader")
		}
		time.Sleep(50 * time.Millisecond)
	}
	rest := t.addresses
	t.addresses = []string{answer.LeaderAddress}
	for _, a := range rest {
		if a != answer.LeaderAddress {
			t.addresses = append(t.addresses, a)
		}
	}
	return nil
}

// first is t with only its first address: the node that takes the load.
func (t *target) first() target {
	one := *t
	one.addresses = t.addresses[:1]
	return one
}

// issueRequest asks for a lease below path.
func issueRequest(path string, ttl int) request {
	return request{"POST", "/v1/" + path, fmt.Appendf(nil, `{"ttl":%d}`, ttl)}
}

// issue makes one lease and returns its ID.
func issue(c *conn, path string, ttl int) (string, error) {
	r := issueRequest(path, ttl)
	status, body, err := c.do(r.method, r.path, r.body)
	if err != nil {
		return "", err
	}
	return issued(status, body)
}

// issued reads the answer to an issueRequest.
func issued(status int, body []byte) (string, error) {
	if err := want(status, body, nil, 200); err != nil {
		return "", err
	}
	return leaseID(body)
}

// byID asks something of one lease.
func byID(path, id, more string) request {
	return request{"PUT", "/v1/sys/leases/" + path, fmt.Appendf(nil, `{"lease_id":%q%s}`, id, more)}
}

// leaseID cuts the lease ID out of an answer without decoding all of it.
func leaseID(body []byte) (string, error) {
	const key = `"lease_id":"`
	s := string(body)
	i := strings.Index(s, key)
	if i < 0 {
		return "", fmt.Errorf("no lease_id in %.200s", s)
	}
	s = s[i+len(key):]
	end := strings.IndexByte(s, '"')
	if end <= 0 {
		return "", errors.New("empty lease_id: is the mount of type lease?")
	}
	return s[:end], nil
}

// fill makes count leases below path and returns their IDs.
func fill(ctx context.Context, t target, path string, count, clients, ttl int) ([]string, *sample, error) {
	clients = min(clients, count)
	ids := make([][]string, clients)
	r := issueRequest(path, ttl)
	left := count
	s, err := load(ctx, t, clients, work{
		next: func(int, int) (request, bool) {
			left--
			return r, left >= 0
		},
		answered: func(w, status int, body []byte) error {
			id, err := issued(status, body)
			if err == nil {
				ids[w] = append(ids[w], id)
			}
			return err
		},
	})
	if err != nil {
		return nil, nil, err
	}
	var all []string
	for _, part := range ids {
		all = append(all, part...)
	}
	return all, s, nil
}
