package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/leasehold/leasehold/cert"
)

const day = 24 * time.Hour

// Lifetimes of what is made, and the longest that there is, in days.
const (
	authorityDays = 3650
	certDays      = 365
	mostDays      = 36500
)

// tlsCommand is "leasehold tls": certificates without another tool.
func tlsCommand() *cobra.Command {
	group := func(use, short, long, example string, commands ...*cobra.Command) *cobra.Command {
		cmd := &cobra.Command{Use: use, Short: short, Long: long, Example: example, Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return errors.Join(cmd.Help(), errors.New("name one of its commands"))
			}}
		cmd.AddCommand(commands...)
		return cmd
	}
	return group("tls", "Make the certificates of a cluster",
		`Makes an authority and, with it, certificates: one for each node, by which the nodes know each other
and clients know the API, and others for clients where the API asks for them. Nothing is overwritten,
and keys can be read by their owner alone. Every node needs its own certificate; none needs the key of
the authority, which belongs elsewhere.`,
		"  leasehold tls ca create\n  leasehold tls cert create -node=n1 -name=n1.example.com",
		group("ca", "Make an authority", "Makes the authority that certifies a cluster's nodes.", "  leasehold tls ca create", caCreateCommand()),
		group("cert", "Make certificates", "Makes certificates with an authority.", "  leasehold tls cert create -node=n1", certCreateCommand()))
}

func caCreateCommand() *cobra.Command {
	var req cert.AuthorityRequest
	var days int
	var out string
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make an authority",
		Long: `Makes an authority for a cluster: ca.pem, which every node and client gets, and ca-key.pem, which
signs and is kept where no node is. With -allow it can certify nothing but the cluster's nodes, this
machine's own names, and what is allowed; then it does no harm to those who trust it for their other
connections.`,
		Example: "  leasehold tls ca create\n  leasehold tls ca create -allow=example.com -allow=10.0.0.0/8 -days=730 -out=secrets/ca",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			lifetime, err := lifetimeOf(days)
			if err != nil {
				return err
			}
			if !isName(req.Cluster) {
				return fmt.Errorf("-cluster-name %q is no usable name: give the cluster_name of the nodes", req.Cluster)
			}
			req.Lifetime, req.Now = lifetime, time.Now()
			authority, err := cert.NewAuthority(req)
			if err != nil {
				return fmt.Errorf("-allow: %w", err)
			}
			certPEM, keyPEM, err := authority.PEM()
			if err != nil {
				return err
			}
			return writePair(cmd, out, certPEM, keyPEM)
		},
	}
	f := cmd.Flags()
	f.StringVar(&req.Cluster, "cluster-name", defaultConfig().ClusterName, "cluster_name of the nodes")
	f.StringArrayVar(&req.Allow, "allow", nil, "DNS name (with all below it), address or network that it may certify; may be repeated; without: any")
	f.IntVar(&days, "days", authorityDays, "how many days it is good for")
	f.StringVar(&out, "out", "ca", "where to write it: the certificate to this and \".pem\", the key to this and \"-key.pem\"")
	return cmd
}

func certCreateCommand() *cobra.Command {
	var req cert.Request
	var days int
	var ca, caKey, out string
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a certificate",
		Long: `Makes a certificate with the authority that "leasehold tls ca create" made. With -node it is that of
a node: for the other nodes it bears the node's ID, for clients the names and addresses of -name, and
localhost. With -client it is that of a client of the API, where listener.tls_client_ca_file asks for
one.`,
		Example: "  leasehold tls cert create -node=n1 -name=n1.example.com -name=10.0.0.1\n  leasehold tls cert create -client=ann -days=30",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			lifetime, err := lifetimeOf(days)
			switch {
			case err != nil:
				return err
			case (req.Node == "") == (req.Client == ""):
				return errors.New("whose certificate: give the node_id of a node with -node, or a name with -client")
			case req.Client != "" && len(req.Names) > 0:
				return errors.New("-name is where a node is reached, and a client is not: leave it out")
			case !isName(req.Node + req.Client):
				return fmt.Errorf("%q is no usable name: use letters, digits, dots, dashes and underscores", req.Node+req.Client)
			}
			authority, err := readAuthority(ca, caKey)
			if err != nil {
				return err
			}
			req.Lifetime, req.Now = lifetime, time.Now()
			certPEM, keyPEM, err := authority.Issue(req)
			if err != nil {
				return err
			}
			if out == "" {
				out = req.Node + req.Client
			}
			return writePair(cmd, out, certPEM, keyPEM)
		},
	}
	f := cmd.Flags()
	f.StringVar(&req.Node, "node", "", "node_id of the node that it is for")
	f.StringVar(&req.Cluster, "cluster-name", defaultConfig().ClusterName, "cluster_name of the node")
	f.StringArrayVar(&req.Names, "name", nil, "DNS name or IP address at which clients reach the node; may be repeated")
	f.StringVar(&req.Client, "client", "", "name of the client that it is for")
	f.StringVar(&ca, "ca", "ca.pem", "certificate of the authority")
	f.StringVar(&caKey, "ca-key", "ca-key.pem", "key of the authority")
	f.IntVar(&days, "days", certDays, "how many days it is good for")
	f.StringVar(&out, "out", "", "where to write it: the certificate to this and \".pem\", the key to this and \"-key.pem\" (default the name)")
	return cmd
}

func lifetimeOf(days int) (time.Duration, error) {
	if days < 1 || days > mostDays {
		return 0, fmt.Errorf("-days %d is out of range: use 1 to %d", days, mostDays)
	}
	return time.Duration(days) * day, nil
}

func readAuthority(ca, caKey string) (*cert.Authority, error) {
	certPEM, err := os.ReadFile(ca)
	if err != nil {
		return nil, fmt.Errorf("-ca: %w; \"leasehold tls ca create\" makes an authority", err)
	}
	keyPEM, err := os.ReadFile(caKey)
	if err != nil {
		return nil, fmt.Errorf("-ca-key: %w", err)
	}
	authority, err := cert.ParseAuthority(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("-ca %s with -ca-key %s: %w", ca, caKey, err)
	}
	return authority, nil
}

// writePair writes a certificate and its key. It overwrites nothing, and leaves none without the
// other.
func writePair(cmd *cobra.Command, out string, certPEM, keyPEM []byte) error {
	certFile, keyFile := out+".pem", out+"-key.pem"
	if err := os.MkdirAll(filepath.Dir(out), 0o700); err != nil {
		return err
	}
	if err := writeNew(keyFile, keyPEM); err != nil {
		return err
	}
	if err := writeNew(certFile, certPEM); err != nil {
		return errors.Join(err, os.Remove(keyFile))
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "certificate  %s\nkey          %s\n", certFile, keyFile)
	return err
}

// writeNew writes a file, for its owner alone, that is not there yet.
func writeNew(name string, text []byte) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already, and is not overwritten: move it away, or choose another name with -out", name)
	}
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}
