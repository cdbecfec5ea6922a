package userpass

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"golang.org/x/crypto/bcrypt"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/lease"
)

// Bounds of passwords and hashes. A cost is bcrypt's: the work is two to the power of it.
const (
	Cost        = bcrypt.DefaultCost // of the hashes that are made here, and the least of one that is sent
	MaxCost     = 14                 // of one that is sent
	MaxPassword = 72                 // bytes; bcrypt does not look at more
)

func newBackend(cost, parallel int) *Backend {
	return &Backend{gate: newGate(parallel), cost: cost, compare: bcrypt.CompareHashAndPassword}
}

// secret is a password as an operator sets it: in plain, or as a hash made elsewhere.
type secret struct {
	sent     bool
	password string // "" if hash is given
	hash     string
}

// readSecret reads the fields password and password_hash.
func (b *Backend) readSecret(in *field.Reader) secret {
	var s secret
	plain, hashed := in.Has("password"), in.Has("password_hash")
	s.sent = plain || hashed
	switch {
	case plain && hashed:
		in.Failf("password and password_hash are mutually exclusive: send one of them")
	case hashed:
		s.hash = in.String("password_hash")
		if cost := costOf(s.hash); cost < b.cost || cost > MaxCost {
			in.Failf("password_hash: not a bcrypt hash of a cost from %d to %d: make one, or send the password", b.cost, MaxCost)
		}
	case plain:
		s.password = in.String("password")
		if s.password == "" {
			in.Failf("missing password")
		}
		if n := len(s.password); n > MaxPassword {
			in.Failf("password: %d bytes long, and bcrypt looks at %d only: choose a shorter one", n, MaxPassword)
		}
	}
	return s
}

func errMissingPassword() error { return lease.Errorf(lease.Invalid, "missing password") }

// bcryptHash is the form of a hash. The versions 2a, 2b and 2y are one algorithm; 2x is a broken one.
var bcryptHash = regexp.MustCompile(`^\$2[aby]\$([0-3][0-9])\$[./A-Za-z0-9]{53}$`)

// costOf returns the cost of a hash, 0 if it is none.
func costOf(hash string) int {
	m := bcryptHash.FindStringSubmatch(hash)
	if m == nil {
		return 0
	}
	cost, err := strconv.Atoi(m[1])
	if err != nil {
		return 0
	}
	return cost
}

// hash returns what is kept of a secret. It makes the hash in the queue of logins: it is as much work
// as one of them.
func (b *Backend) hash(ctx context.Context, store backend.Store, s secret) (string, error) {
	switch {
	case !s.sent:
		return "", nil
	case s.hash != "":
		return s.hash, b.raiseCost(ctx, store, costOf(s.hash))
	}
	leave, err := b.gate.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	hash, err := bcrypt.GenerateFromPassword([]byte(s.password), b.cost)
	if err != nil {
		return "", fmt.Errorf("hash the password: %w", err)
	}
	return string(hash), nil
}

// costKey keeps the highest cost of a hash that was ever sent to the mount. Every login does the
// work of that cost, so that the time it takes does not tell whose hash it was compared with.
const costKey = "cost"

func highestCost(store backend.Store) (int, backend.Version, error) {
	data, version, err := store.Look(costKey)
	if err != nil || version == "" {
		return 0, "", err
	}
	cost, err := strconv.Atoi(string(data))
	if err != nil || cost > MaxCost {
		cost = 0 // nothing writes that; the next hash that is sent mends it
	}
	return cost, version, nil
}

// raiseCost is committed before the hash itself.
func (b *Backend) raiseCost(ctx context.Context, store backend.Store, cost int) error {
	for range maxTries {
		highest, version, err := highestCost(store)
		if err != nil || cost <= max(highest, b.cost) {
			return err
		}
		err = store.Swap(ctx, costKey, version, strconv.AppendInt(nil, int64(cost), 10), 0)
		if !errors.Is(err, lease.ErrChanged) {
			return err
		}
	}
	return errContended()
}

// matches reports whether password is that of hash, which is "" for a user who is not there. The work
// is that of the cost highest, whoever it is: a comparison of cost c and further ones of c, c+1 and so on
// to highest-1 are together as much as one of highest.
func (b *Backend) matches(hash, password string, highest int) bool {
	cost := b.cost
	if hash != "" {
		cost = costOf(hash)
	}
	compared := hash
	if compared == "" {
		compared = dummy(cost)
	}
	err := b.compare([]byte(compared), []byte(password))
	for c := cost; c < max(highest, b.cost); c++ {
		_ = b.compare([]byte(dummy(c)), []byte(password))
	}
	return err == nil && hash != "" && password != "" && len(password) <= MaxPassword
}

// dummy is a hash of nothing that anybody knows, to compare with where there is nothing to compare with.
func dummy(cost int) string {
	return fmt.Sprintf("$2a$%02d$leaseholdleaseholdleasleaseholdleaseholdleaseholdleas", cost)
}
