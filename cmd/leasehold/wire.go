package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/all"
	"github.com/leasehold/leasehold/cluster"
	"github.com/leasehold/leasehold/expiration"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/httpapi"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
	"github.com/leasehold/leasehold/seal"
)

// node is the object graph of a running server.
type node struct {
	config    Config
	log       *slog.Logger
	rootToken string
	state     *fsm.State
	cluster   *cluster.Node
	lessor    *lessor.Lessor
	hasher    atomic.Pointer[lessor.Lessor] // lessor, for the cluster, which is opened before
	api       *httpapi.Server
	listener  net.Listener
	backends  backend.Registry
	certs     certificates
}

// openNode builds everything from the bottom up and starts it. fail ends the process with a reason
// when the node itself finds that it must not go on.
func openNode(ctx context.Context, c Config, log *slog.Logger, fail func(error)) (*node, error) {
	opened := make(chan struct{})
	defer close(opened)
	go tuneCollector(ctx, opened)
	key, err := sealKey(c, log)
	if err != nil {
		return nil, err
	}
	n := &node{config: c, log: log, state: fsm.New()}
	if n.rootToken, err = rootToken(c); err != nil {
		return nil, err
	}
	if n.certs, err = openCertificates(c, log); err != nil {
		return nil, err
	}
	// The API's address is taken first: a second server on this machine must fail before it touches
	// anything.
	if n.listener, err = net.Listen("tcp", c.Listener.Address); err != nil {
		return nil, fmt.Errorf("listener.address: %w", inUse(err))
	}
	if c.APIAddr == "" { // the port was left to the system
		c.APIAddr = c.scheme() + n.listener.Addr().String()
		n.config.APIAddr = c.APIAddr
	}
	clusterConfig, err := clusterConfig(c, log, n.state, fail)
	if err != nil {
		n.listener.Close()
		return nil, err
	}
	if n.certs.peers != nil {
		clusterConfig.Credentials = n.certs.peers
	}
	clusterConfig.HashJoinToken = n.hashJoinToken
	if n.cluster, err = cluster.Open(clusterConfig); err != nil {
		n.listener.Close()
		return nil, openError(c, err)
	}
	n.backends = backend.NewRegistry(all.List()...)
	n.lessor = lessor.New(lessor.Config{
		State: n.state, Proposer: n.cluster, Now: n.cluster.Now, Wall: wall, Backends: n.backends,
		SealKey: key, Log: log.With("component", "lessor"), DevMode: c.Dev,
		IntentDeadline: c.IntentDeadline,
	})
	n.hasher.Store(n.lessor)
	if err := n.checkKey(); err != nil {
		n.listener.Close()
		return nil, errors.Join(err, n.cluster.Close())
	}
	go n.watchKey(ctx, fail)
	n.registerDuties(fail)
	n.api = httpapi.New(httpapi.Config{
		Node: apiNode{n.cluster}, State: n.state, Lessor: n.lessor, Now: time.Now,
		Log: log.With("component", "http"), Version: version, ForwardHold: c.ForwardHold, TLS: n.certs.apiConfig(),
		MaxSnapshot: int64(c.Storage.SnapshotMaxSize) << 20,
	})
	n.api.Open(n.listener, n.cluster.PeerListener())
	return n, nil
}

// registerDuties hands the leader's work to the cluster, which runs it only while this node leads.
func (n *node) registerDuties(fail func(error)) {
	scheduler := expiration.New(expiration.Config{
		State: n.state, Proposer: n.cluster, Now: n.cluster.Now, Epoch: n.cluster.Term, Backends: n.backends,
		Secrets: n.lessor, Log: n.log.With("component", "expiration"),
	})
	n.cluster.Register(scheduler.Run)
	n.cluster.Register(n.lessor.Run)
	if n.rootToken == "" {
		return
	}
	n.cluster.Register(func(ctx context.Context) error {
		err := n.lessor.EnsureInit(ctx, n.rootToken, n.config.ClusterName)
		if refusal, ok := errors.AsType[*lease.Error](err); ok && refusal.Code == lease.Invalid {
			fail(fmt.Errorf("the root token of the configuration cannot be used: %w", err))
		} else if err != nil {
			return fmt.Errorf("initialise: %w", err)
		}
		<-ctx.Done()
		return nil
	})
}

// close hands over leadership first, so that the others need not wait until this node is done: then
// no new requests, drain, close the stores.
func (n *node) close(ctx context.Context) error {
	if n.cluster.IsLeader() {
		_ = n.cluster.StepDown(ctx) // Close tries once more, and says so when nobody takes over
	}
	err := errors.Join(n.api.Close(ctx), n.cluster.Close())
	for _, b := range n.backends {
		if c, ok := b.(io.Closer); ok {
			err = errors.Join(err, c.Close())
		}
	}
	return err
}

// inUse adds what to do to the error of an address that is taken.
func inUse(err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w: another process listens there; end it, or choose another address", err)
	}
	return err
}

// openError names the setting that keeps the cluster from being opened, and what to do.
func openError(c Config, err error) error {
	path := (*fs.PathError)(nil)
	switch {
	case errors.Is(err, cluster.ErrDataInUse):
		return fmt.Errorf("storage.path: another process uses %s: each node needs a directory of its own", c.Storage.Path)
	case errors.As(err, &path):
		return fmt.Errorf("storage.path: %w", err)
	}
	return inUse(err)
}

// checkKey returns an error when the cluster's keyring is there and this node's key does not open it.
func (n *node) checkKey() error {
	if _, err := n.lessor.Keyring(); err != nil && !errors.Is(err, lease.ErrNotInitialized) {
		return fmt.Errorf("seal.key_file: %w", err)
	}
	return nil
}

// watchKey checks the key once the keyring has reached this node.
func (n *node) watchKey(ctx context.Context, fail func(error)) {
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	for {
		var there bool
		n.state.Read(func(v *fsm.View) { there = v.Cluster().Initialized })
		if there {
			if err := n.checkKey(); err != nil {
				fail(err)
			}
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func sealKey(c Config, log *slog.Logger) (*seal.StaticKey, error) {
	if c.Seal.KeyFile == "" {
		return seal.NewStaticKey(rand.Reader) // -dev: nothing outlives the process
	}
	key, warnings, err := seal.LoadKeyFile(c.Seal.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("seal.key_file: %w", err)
	}
	for _, w := range warnings {
		log.Warn(w, "setting", "seal.key_file")
	}
	return key, nil
}

func rootToken(c Config) (string, error) {
	switch {
	case c.Dev && c.DevRootTokenID != "":
		return c.DevRootTokenID, nil
	case c.Dev:
		return "root-" + strings.ToLower(rand.Text()), nil
	case c.BootstrapRootTokenFile != "":
		text, err := os.ReadFile(c.BootstrapRootTokenFile)
		if err != nil {
			return "", fmt.Errorf("bootstrap_root_token_file: %w", err)
		}
		token := strings.TrimSpace(string(text))
		if token == "" {
			return "", fmt.Errorf("bootstrap_root_token_file: %s is empty", c.BootstrapRootTokenFile)
		}
		return token, nil
	}
	return c.BootstrapRootToken, nil
}

func clusterConfig(c Config, log *slog.Logger, state *fsm.State, fail func(error)) (cluster.Config, error) {
	conf := cluster.Config{
		NodeID: c.NodeID, ClusterName: c.ClusterName, PeerBind: c.Listener.ClusterAddress, PeerAdvertise: c.ClusterAddr,
		GossipBind: c.Gossip.Address, GossipAdvertise: c.Gossip.AdvertiseAddr, RetryJoin: c.Gossip.RetryJoin,
		BootstrapExpect: c.BootstrapExpect, APIAddr: c.APIAddr, Version: version, FeatureLevel: fsm.FeatureLevel,
		HeartbeatTimeout: c.Storage.HeartbeatTimeout, ElectionTimeout: c.Storage.ElectionTimeout,
		LeaderLeaseTimeout: c.Storage.LeaderLeaseTimeout, CommitTimeout: c.Storage.CommitTimeout,
		SnapshotInterval: c.Storage.SnapshotInterval, SnapshotThreshold: uint64(c.Storage.SnapshotThreshold),
		TrailingLogs: uint64(c.Storage.TrailingLogs), MaxClockSkew: c.MaxClockSkew, ForwardHold: c.ForwardHold,
		RequireJoinToken: c.joinTokenRequired(), JoinToken: joinToken(c),
		Fatal: fail, Now: time.Now, Wall: wall, Log: log, State: state,
	}
	if !c.Dev {
		conf.DataDir = filepath.Clean(c.Storage.Path)
	}
	if c.Gossip.KeyFile != "" {
		var err error
		if conf.GossipKeys, err = loadGossipKeys(c.Gossip.KeyFile); err != nil {
			return conf, err
		}
		conf.SaveGossipKeys = func(keys [][]byte) error { return saveGossipKeys(c.Gossip.KeyFile, keys) }
	}
	return conf, nil
}
