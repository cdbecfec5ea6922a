package cert

import (
	"fmt"
	"strings"
)

// nodeDomain is the last label of every node's name. No public name ends in it, so no public
// authority certifies one.
const nodeDomain = "leasehold"

const (
	maxLabel = 63  // bytes of a DNS name between two dots
	maxDNS   = 253 // bytes of a DNS name
)

// NodeName is the DNS name in a certificate that makes its holder this node of this cluster.
func NodeName(node, cluster string) string { return node + "." + cluster + "." + nodeDomain }

// CheckNodeName returns an error if a node of this name can have no certificate: names in
// certificates are narrower than names of nodes.
func CheckNodeName(node, cluster string) error {
	name := NodeName(node, cluster)
	if len(name) > maxDNS {
		return fmt.Errorf("%q has %d bytes, and a name in a certificate at most %d: use shorter names", name, len(name), maxDNS)
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > maxLabel {
			return fmt.Errorf("%q cannot stand in a certificate: use 1 to %d letters, digits, dashes and underscores, or such words with single dots between them",
				name, maxLabel)
		}
	}
	return nil
}

// A NameError says that a certificate is not that of the node it should be of.
type NameError struct {
	Cluster string
	Want    string   // the node; "" for any node of the cluster
	Got     []string // nodes of the cluster that it names: none, another, or several
}

// Error implements error.
func (e *NameError) Error() string {
	switch {
	case len(e.Got) == 0:
		return fmt.Sprintf("the certificate names no node of cluster %s: it has no DNS name like %q", e.Cluster, NodeName(oneOf(e.Want), e.Cluster))
	case len(e.Got) > 1:
		return fmt.Sprintf("the certificate names several nodes (%s): each needs one of its own", strings.Join(e.Got, ", "))
	}
	return fmt.Sprintf("the certificate is of node %s, not of %s", e.Got[0], e.Want)
}

func oneOf(node string) string {
	if node == "" {
		return "n1"
	}
	return node
}

// NodeOf returns the node of the cluster that a certificate with these DNS names speaks for. The
// error is a *NameError.
func NodeOf(names []string, cluster string) (string, error) {
	var found []string
	for _, name := range names {
		if node, ok := strings.CutSuffix(name, "."+cluster+"."+nodeDomain); ok && node != "" && !strings.Contains(node, "*") {
			found = append(found, node)
		}
	}
	if len(found) != 1 {
		return "", &NameError{Cluster: cluster, Got: found}
	}
	return found[0], nil
}
