package lessor

import (
	"context"
	"errors"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/seal"
)

// Where the token backend is mounted and what makes the root token.
const (
	tokenMountPath = "auth/token/"
	tokenMountType = "token"
	rootTokenPath  = tokenMountPath + "root"
)

// Init makes the cluster's keyring and root token, once, and returns the token's bearer secret:
// rootToken, or a random one if that is empty. An initialized cluster answers lease.ErrInitialized.
// After an Uncertain answer the token is lost if it was random and may or may not be the cluster's.
func (l *Lessor) Init(ctx context.Context, rootToken, clusterName string) (string, error) {
	if l.initialized() {
		return "", lease.ErrInitialized
	}
	if rootToken != "" {
		if err := checkRootToken(rootToken); err != nil {
			return "", err
		}
	}
	cmd, bearer, err := l.initCommand(rootToken, clusterName)
	if err != nil {
		return "", err
	}
	if _, err := l.propose(ctx, cmd); err != nil {
		return "", err
	}
	return bearer, nil
}

// EnsureInit is Init for a cluster that may be initialized already: then it does nothing.
func (l *Lessor) EnsureInit(ctx context.Context, rootToken, clusterName string) error {
	_, err := l.Init(ctx, rootToken, clusterName)
	if errors.Is(err, lease.ErrInitialized) {
		return nil
	}
	return err
}

func (l *Lessor) initialized() bool {
	var yes bool
	l.state.Read(func(v *fsm.View) { yes = v.Cluster().Initialized })
	return yes
}

// checkRootToken is checkCustomID, but that a token made here may be used again.
func checkRootToken(token string) error {
	if len(token) == len(bearerPrefix)+bearerLen && token[:len(bearerPrefix)] == bearerPrefix {
		token = token[len(bearerPrefix):]
	}
	return checkCustomID(token)
}

func (l *Lessor) initCommand(bearer, clusterName string) (*command.Init, string, error) {
	clusterID, err := randomUUID(l.rand)
	if err != nil {
		return nil, "", err
	}
	if clusterName == "" {
		clusterName = "leasehold-cluster-" + shortID(clusterID)
	}
	ring, err := seal.NewKeyring(l.rand)
	if err != nil {
		return nil, "", asError(err)
	}
	wrapped, err := ring.Wrap(l.sealKey)
	if err != nil {
		return nil, "", asError(err)
	}
	root := &lease.Token{Path: rootTokenPath, DisplayName: "root", Policies: []string{policyRoot}}
	if bearer, err = nameToken(l.rand, ring, root, bearer); err != nil {
		return nil, "", err
	}
	mount, err := l.tokenMount()
	if err != nil {
		return nil, "", err
	}
	return &command.Init{
		ClusterId: clusterID, ClusterName: clusterName, Keyring: wrapped, Root: fsm.TokenRecord(root), TokenMount: mount,
	}, bearer, nil
}

// tokenMount makes the names of a namespace's token mount.
func (l *Lessor) tokenMount() (*command.EnableMount, error) {
	mount, err := l.newMount(tokenMountPath, tokenMountType)
	if err != nil {
		return nil, err
	}
	mount.Accessor = "auth_" + mount.Accessor
	mount.Description = "token based credentials"
	return mount, nil
}
