package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/leasehold/leasehold/cert"
)

const (
	certPause  = 5 * time.Second    // between looks at the files of certificates
	certNotice = 7 * 24 * time.Hour // before a certificate ends somebody is told, once a day
)

// certificates are what a node shows, and to whom. A nil store: plain text.
type certificates struct {
	api, peers *cert.Store
	watched    []*watchedCert
}

// watchedCert is a store whose files are looked at again and again.
type watchedCert struct {
	*cert.Store
	setting string // of its certificate
	told    bool   // why the files of now cannot be used
	warned  time.Time
}

// openCertificates reads the certificates that the settings name.
func openCertificates(c Config, log *slog.Logger) (certificates, error) {
	var all certificates
	open := func(setting, key string, files cert.Files, check func(*cert.Material) error) (*cert.Store, error) {
		if files.Cert == "" {
			return nil, nil
		}
		store, err := cert.Open(files, time.Now, check)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", setting, err)
		}
		if info, err := os.Stat(files.Key); err == nil && info.Mode().Perm()&0o077 != 0 {
			log.Warn("the key can be read by others on this machine: allow only its owner (chmod 600)", "setting", key, "path", files.Key)
		}
		all.watched = append(all.watched, &watchedCert{Store: store, setting: setting})
		return store, nil
	}
	var err error
	l, p := c.Listener, c.ClusterTLS
	all.api, err = open("listener.tls_cert_file", "listener.tls_key_file",
		cert.Files{Cert: l.TLSCertFile, Key: l.TLSKeyFile, CA: l.TLSClientCAFile}, nil)
	if err != nil {
		return all, err
	}
	all.peers, err = open("cluster_tls.cert_file", "cluster_tls.key_file",
		cert.Files{Cert: p.CertFile, Key: p.KeyFile, CA: p.CAFile}, cert.OfNode(c.NodeID, c.ClusterName, time.Now))
	return all, err
}

// apiConfig is the TLS of the API, nil for none. Each handshake uses the certificate, and the
// authorities of clients, of that moment.
func (all certificates) apiConfig() *tls.Config {
	store := all.api
	if store == nil {
		return nil
	}
	config := &tls.Config{
		MinVersion:     tls.VersionTLS13,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return store.Certificate(), nil },
	}
	if store.Authorities() == nil {
		return config
	}
	// A resumed session would outlive the authority that vouched for the client.
	config.SessionTicketsDisabled = true
	config.ClientAuth = tls.RequireAndVerifyClientCert
	outer := config.Clone()
	outer.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		of := config.Clone()
		of.ClientCAs = store.Authorities()
		return of, nil
	}
	return outer
}

// watch reads the files again every few seconds, and at once when asked, until ctx ends.
func (all certificates) watch(ctx context.Context, log *slog.Logger, asked <-chan struct{}) {
	tick := time.NewTicker(certPause)
	defer tick.Stop()
	for {
		now := false
		select {
		case <-ctx.Done():
			return
		case <-asked:
			now = true
		case <-tick.C:
		}
		for _, w := range all.watched {
			w.look(log, now)
		}
	}
}

// look reads one store's files. Files that are no use are told of when they are found so a second
// time: a certificate and its key are replaced one after the other.
func (w *watchedCert) look(log *slog.Logger, asked bool) {
	changed, err := w.Reload()
	if changed {
		w.told = false
	}
	switch {
	case err == nil && changed:
		log.Info("a certificate was replaced", "setting", w.setting, "ends", w.End())
	case err != nil && (asked || !changed && !w.told):
		w.told = true
		log.Error("a certificate was not replaced: the one before stays in use", "setting", w.setting, "error", err)
	}
	if now := time.Now(); w.End().Sub(now) < certNotice && now.Sub(w.warned) > 24*time.Hour {
		w.warned = now
		log.Warn("a certificate ends soon: replace its files", "setting", w.setting, "ends", w.End())
	}
}

// fact is the line of the startup block about TLS.
func (all certificates) fact() string {
	say := func(s *cert.Store, plain, with string) string {
		if s == nil {
			return plain
		}
		return fmt.Sprintf("%s, until %s", with, s.End().UTC().Format(time.DateTime))
	}
	api := "1.3"
	if all.api != nil && all.api.Authorities() != nil {
		api = "1.3 with clients' certificates"
	}
	if all.api == nil && all.peers == nil {
		return "off: everything is sent in plain text"
	}
	return "api " + say(all.api, "off: plain text on loopback", api) + "; peers " + say(all.peers, "off: plain text on loopback", "1.3, both sides")
}
