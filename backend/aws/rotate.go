package aws

import (
	"context"
	"fmt"
	"slices"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/lease"
)

const (
	// rotateTimeout bounds a rotation. Another one that finds its beginning after this time takes it for
	// dead.
	rotateTimeout = time.Minute
	// clockSlack is by how much AWS's clock may differ from ours.
	clockSlack = 5 * time.Minute
	// A new key counts as known when so many calls in a row were taken.
	proofs = 3
)

// rotation is a rotation of the root key that is under way. Its order is such that the config always
// holds a key that works, and that no key is forgotten, wherever it stops:
//
//  1. Begun is stored with the keys that the user has. A key that is there later and not among them can
//     only have been made by this rotation.
//  2. A key is made, and stored as the candidate (AccessKey, SecretKey).
//  3. AWS takes calls with the candidate: it becomes the config's key, and the former one is Old.
//  4. Old is deleted, and the rotation is over.
//
// A rotation that stopped is carried on by the next call. Stopped between 1 and 2 it may have left a key
// whose secret nobody has: that one is deleted.
type rotation struct {
	Begun     time.Time `json:"begun"` // log time
	Known     []string  `json:"known,omitempty"`
	AccessKey string    `json:"access_key,omitempty"`
	SecretKey string    `json:"secret_key,omitempty"`
	Old       string    `json:"old,omitempty"` // the ID of a key to be deleted
}

// abandoned says what a rotation leaves at AWS when another key is written instead.
func (r *rotation) abandoned() string {
	switch {
	case r.AccessKey != "":
		return "a rotation was under way: the access key " + r.AccessKey + " that it made is still at AWS, delete it there"
	case r.Old != "":
		return "a rotation was under way: the access key " + r.Old + " that it replaced is still at AWS, delete it there"
	}
	return "a rotation was under way: look whether it left an access key at AWS"
}

// rotateRoot gives the mount a new access key and deletes the old one.
func (b *Backend) rotateRoot(ctx context.Context, req *backend.Request) (*backend.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, rotateTimeout)
	defer cancel()
	s, err := b.open(ctx, req.Store)
	if err != nil {
		return nil, refused(err)
	}
	if s.root.AccessKey == "" {
		return nil, lease.Errorf(lease.Invalid, "config/root has no access_key: there is nothing to rotate, the nodes have their own credentials")
	}
	u, err := s.self(ctx)
	if err != nil {
		return nil, refused(err)
	}
	if s.root.Rotation == nil || s.root.Rotation.Old == "" {
		if err := u.newRoot(ctx, req.Now.Std()); err != nil {
			return nil, refused(err)
		}
	}
	if err := u.deleteOld(ctx); err != nil {
		return nil, refused(err)
	}
	return &backend.Response{Data: map[string]any{"access_key": s.root.AccessKey}}, nil
}

// self is the user whose key the config has; its name is empty for the root of an account.
func (s *session) self(ctx context.Context) (*user, error) {
	out, err := callIAM(ctx, s, "GetUser", (*iam.Client).GetUser, &iam.GetUserInput{})
	if err != nil {
		return nil, err
	}
	if out.User == nil {
		return nil, lease.Errorf(lease.Upstream, "AWS's answer to iam:GetUser names no user")
	}
	return &user{s, awssdk.ToString(out.User.UserName)}, nil
}

// change stores a change of the config, unless somebody else has changed it since it was read.
func (s *session) change(ctx context.Context, edit func(*root)) error {
	r := *s.root
	if r.Rotation != nil {
		rot := *r.Rotation
		r.Rotation = &rot
	}
	edit(&r)
	if err := r.store(ctx, s.store, s.version); err != nil {
		return err
	}
	_, err := s.load(ctx)
	return err
}

// newRoot does the steps up to the change of keys.
func (u *user) newRoot(ctx context.Context, now time.Time) error {
	if rot := u.root.Rotation; rot != nil {
		if err := u.resume(ctx, rot, now); err != nil {
			return err
		}
	}
	if u.root.Rotation == nil {
		if err := u.makeCandidate(ctx, now); err != nil {
			return err
		}
	}
	rot := u.root.Rotation
	if err := u.prove(ctx, rot.AccessKey, rot.SecretKey); err != nil {
		return err
	}
	return u.change(ctx, func(r *root) {
		r.Rotation.Old, r.Rotation.AccessKey, r.Rotation.SecretKey = r.AccessKey, "", ""
		r.AccessKey, r.SecretKey, r.KeySince = rot.AccessKey, rot.SecretKey, u.b.now().UTC()
	})
}

// resume looks at a rotation that another call began. It leaves one with a candidate to go on with, or
// none.
func (u *user) resume(ctx context.Context, rot *rotation, now time.Time) error {
	young := now.Sub(rot.Begun) < rotateTimeout+callTimeout
	switch {
	case young && rot.AccessKey == "":
		return lease.Errorf(lease.Conflict, "another rotation began at %s: try again in two minutes if it has not ended",
			rot.Begun.UTC().Format(time.RFC3339))
	case young: // the list of keys may not show the candidate yet
		return nil
	}
	keys, err := u.keys(ctx)
	if err != nil {
		return err
	}
	for _, key := range keys {
		id, made := awssdk.ToString(key.AccessKeyId), awssdk.ToTime(key.CreateDate)
		switch {
		case id == rot.AccessKey:
			return nil
		case rot.AccessKey != "" || id == u.root.AccessKey || slices.Contains(rot.Known, id):
		case made.After(rot.Begun.Add(-clockSlack)) && made.Before(rot.Begun.Add(rotateTimeout+callTimeout+clockSlack)):
			if err := u.deleteKey(ctx, id); err != nil {
				return err
			}
		}
	}
	return u.change(ctx, func(r *root) { r.Rotation = nil })
}

// makeCandidate does steps 1 and 2.
func (u *user) makeCandidate(ctx context.Context, now time.Time) error {
	keys, err := u.keys(ctx)
	if err != nil {
		return err
	}
	known := idsOf(keys, func(k types.AccessKeyMetadata) *string { return k.AccessKeyId })
	if err := u.change(ctx, func(r *root) { r.Rotation = &rotation{Begun: now, Known: known} }); err != nil {
		return err
	}
	out, err := callIAM(ctx, u.session, "CreateAccessKey", (*iam.Client).CreateAccessKey,
		&iam.CreateAccessKeyInput{UserName: orNil(u.name, nil)}, onceMade)
	if err == nil && (out.AccessKey == nil || awssdk.ToString(out.AccessKey.SecretAccessKey) == "") {
		err = errNoKey
	}
	if denied(err) {
		// Nothing was made, so there is nothing to be looked for. If that cannot be stored, the next
		// rotation waits and looks in vain.
		_ = u.change(context.WithoutCancel(ctx), func(r *root) { r.Rotation = nil })
	}
	if err != nil {
		return err
	}
	id, secret := awssdk.ToString(out.AccessKey.AccessKeyId), awssdk.ToString(out.AccessKey.SecretAccessKey)
	err = u.change(ctx, func(r *root) { r.Rotation.AccessKey, r.Rotation.SecretKey = id, secret })
	if err == nil {
		return nil
	}
	// Nobody will know the secret: take the key back, or leave it to whoever finds the beginning.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	if failed := u.deleteKey(ctx, id); failed != nil {
		return fmt.Errorf("%w; and the access key %s that was made could not be deleted again: %w", err, id, failed)
	}
	return err
}

// prove waits until AWS takes calls with a key: it takes seconds until all its servers know a new one.
func (u *user) prove(ctx context.Context, id, secret string) error {
	s, err := u.with(ctx, id, secret)
	if err != nil {
		return err
	}
	for taken := 0; taken < proofs; {
		_, err := s.self(ctx)
		switch {
		case err == nil:
			taken++
		case !slices.Contains(keyCodes, codeOf(err)):
			return err
		default:
			taken = 0
		}
		if taken < proofs && !pause(ctx, u.b.pace.proof) {
			if err == nil {
				err = newFailure("iam:GetUser", ctx.Err(), nil)
			}
			return err
		}
	}
	return nil
}

// deleteOld does the last step. If it fails the new key is in force all the same, and the next rotation
// begins with it.
func (u *user) deleteOld(ctx context.Context) error {
	old := u.root.Rotation.Old
	if err := u.deleteKey(ctx, old); err != nil {
		return &lease.Error{Code: lease.Upstream, Err: err, Message: fmt.Sprintf(
			"the new access key %s is in force, but the old one, %s, could not be deleted and still works: call again", u.root.AccessKey, old)}
	}
	return u.change(ctx, func(r *root) { r.Rotation = nil })
}

func (u *user) deleteKey(ctx context.Context, id string) error {
	_, err := callIAM(ctx, u.session, "DeleteAccessKey", (*iam.Client).DeleteAccessKey,
		&iam.DeleteAccessKeyInput{UserName: orNil(u.name, nil), AccessKeyId: &id})
	return unlessAbsent(err)
}

// keys lists the user's access keys.
func (u *user) keys(ctx context.Context) ([]types.AccessKeyMetadata, error) {
	return allPages(func(marker *string) ([]types.AccessKeyMetadata, *string, error) {
		out, err := callIAM(ctx, u.session, "ListAccessKeys", (*iam.Client).ListAccessKeys,
			&iam.ListAccessKeysInput{UserName: orNil(u.name, nil), Marker: marker})
		if err != nil {
			return nil, nil, err
		}
		return out.AccessKeyMetadata, next(out.IsTruncated, out.Marker), nil
	})
}
