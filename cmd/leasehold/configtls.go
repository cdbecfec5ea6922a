package main

import "github.com/leasehold/leasehold/cert"

// scheme is how the API's URLs begin.
func (c *Config) scheme() string {
	if c.Listener.TLSCertFile != "" {
		return "https://"
	}
	return "http://"
}

// tls checks that what belongs together is given together.
func (c *checker) tls() {
	l, p := c.Listener, c.ClusterTLS
	switch {
	case l.TLSCertFile == "" && l.TLSKeyFile == "" && l.TLSClientCAFile != "":
		c.fault("listener.tls_client_ca_file", "has no use without TLS: set listener.tls_cert_file and listener.tls_key_file too")
	case l.TLSCertFile == "" && l.TLSKeyFile != "":
		c.fault("listener.tls_cert_file", "is missing beside listener.tls_key_file: name the certificate of that key")
	case l.TLSCertFile != "" && l.TLSKeyFile == "":
		c.fault("listener.tls_key_file", "is missing beside listener.tls_cert_file: name the key of that certificate")
	}
	if p.CAFile == "" && p.CertFile == "" && p.KeyFile == "" {
		return
	}
	for _, f := range []struct{ key, file, what string }{
		{"cluster_tls.ca_file", p.CAFile, "the authorities that certify nodes"},
		{"cluster_tls.cert_file", p.CertFile, "this node's certificate"},
		{"cluster_tls.key_file", p.KeyFile, "the key of this node's certificate"},
	} {
		if f.file == "" {
			c.fault(f.key, "is missing: TLS between nodes needs all of cluster_tls; name the file with %s (\"leasehold tls\" makes them)", f.what)
		}
	}
	if err := cert.CheckNodeName(c.NodeID, c.ClusterName); err != nil && isName(c.NodeID) && isName(c.ClusterName) {
		c.fault("node_id", "%v", err)
	}
}
