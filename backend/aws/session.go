package aws

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/leasehold/leasehold/backend"
)

// How long a key that AWS refuses is tried again, because it was made a moment ago.
const (
	keyYoung = 2 * time.Minute
	keyTries = 8
)

// session makes calls as a mount's config says. When AWS refuses its key it looks whether there is a
// newer one, so that a rotation disturbs nobody. It is used by one goroutine.
type session struct {
	b       *Backend
	store   backend.Store
	root    *root
	version backend.Version
	client  *client
}

// open begins a session. It connects to nothing.
func (b *Backend) open(ctx context.Context, store backend.Store) (*session, error) {
	s := &session{b: b, store: store}
	if _, err := s.load(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// with is the session of another key, which is all that it knows.
func (s *session) with(ctx context.Context, accessKey, secretKey string) (*session, error) {
	r := *s.root
	r.AccessKey, r.SecretKey, r.Rotation, r.KeySince = accessKey, secretKey, nil, time.Time{}
	c, err := s.b.clients.get(ctx, &r)
	if err != nil {
		return nil, err
	}
	return &session{b: s.b, root: &r, client: c}, nil
}

// load reads the config, and reports whether its key is another than before.
func (s *session) load(ctx context.Context) (changed bool, err error) {
	r, version, err := loadRoot(s.store)
	if err != nil {
		return false, err
	}
	c, err := s.b.clients.get(ctx, r)
	if err != nil {
		return false, newFailure("a call", err, r.secrets())
	}
	changed = s.root == nil || s.root.AccessKey != r.AccessKey || s.root.SecretKey != r.SecretKey
	s.root, s.version, s.client = r, version, c
	return changed, nil
}

// call makes one call, and makes it again if its key was refused and there is reason to hope.
func call[T any](ctx context.Context, s *session, action string, do func(ctx context.Context, c *client) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var none T
	for try := 1; ; try++ {
		if ctx.Err() != nil {
			return none, newFailure(action, fmt.Errorf("%w: %w", errNotSent, ctx.Err()), nil)
		}
		out, err := do(ctx, s.client)
		if err == nil {
			return out, nil
		}
		f := newFailure(action, err, s.root.secrets())
		if !slices.Contains(keyCodes, f.code) || s.store == nil || try >= keyTries {
			return none, f
		}
		changed, err := s.load(ctx)
		if err != nil {
			return none, f
		}
		if changed {
			continue
		}
		if age := s.b.now().Sub(s.root.KeySince); s.root.KeySince.IsZero() || age > keyYoung || !pause(ctx, s.b.pace.key) {
			return none, f
		}
	}
}

// pause waits, and reports whether the context let it.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// callIAM makes one call to IAM. name is that of the method, as in permissions.
func callIAM[I, O any](ctx context.Context, s *session, name string,
	method func(*iam.Client, context.Context, *I, ...func(*iam.Options)) (*O, error), in *I, options ...func(*iam.Options)) (*O, error) {
	return call(ctx, s, "iam:"+name, func(ctx context.Context, c *client) (*O, error) { return method(c.iam, ctx, in, options...) })
}

// callSTS makes one call to STS.
func callSTS[I, O any](ctx context.Context, s *session, name string,
	method func(*sts.Client, context.Context, *I, ...func(*sts.Options)) (*O, error), in *I) (*O, error) {
	return call(ctx, s, "sts:"+name, func(ctx context.Context, c *client) (*O, error) { return method(c.sts, ctx, in) })
}
