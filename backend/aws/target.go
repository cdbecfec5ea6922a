package aws

import (
	"context"
	"errors"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/leasehold/leasehold/backend"
)

// Create makes the credentials of an intent. What an earlier try of it made is used, and gets a new key.
func (b *Backend) Create(ctx context.Context, in *backend.Intent) (*backend.Created, error) {
	k, err := decodeKept(in.Internal)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := b.open(ctx, in.Request.Store)
	if err != nil {
		return nil, refused(err)
	}
	var made *backend.Created
	if k.Type == iamUser {
		made, err = s.makeUser(ctx, in, k)
	} else {
		made, err = s.askSTS(ctx, in, k)
	}
	if err != nil {
		return nil, refused(err)
	}
	return made, nil
}

// Renew moves the lease alone: IAM knows no end of a user. Leases of STS credentials are not renewable.
func (*Backend) Renew(context.Context, *backend.Renewal) (time.Duration, error) { return 0, nil }

// Destroy ends an IAM user with all it has. STS credentials end by themselves.
func (b *Backend) Destroy(ctx context.Context, d *backend.Destruction) error {
	k, err := decodeKept(d.Internal)
	if err != nil {
		return err
	}
	if k.Type != iamUser {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s, err := b.open(ctx, d.Store)
	if err != nil {
		return undestroyed(err)
	}
	if err := s.endUser(ctx, d, k); err != nil {
		return undestroyed(err)
	}
	return nil
}

// HasItem reports whether a lease is that of a user, which inventories list: STS credentials are listed
// nowhere.
func (*Backend) HasItem(internal []byte) bool {
	k, err := decodeKept(internal)
	return err == nil && k.Type == iamUser
}

// inventoryPage is how many users IAM is asked for at a time.
const inventoryPage = 500

// Inventory lists the IAM users of the mount's account whose names bear the mark. A mount whose
// config/root was never written has made none. STS credentials are listed nowhere.
func (b *Backend) Inventory(ctx context.Context, r *backend.InventoryRequest, fn func(backend.Item) error) error {
	s, err := b.open(ctx, r.Store)
	switch {
	case errors.Is(err, errNoRoot):
		return nil
	case err != nil:
		return refused(err)
	}
	in := &iam.ListUsersInput{MaxItems: awssdk.Int32(inventoryPage)}
	for {
		page, err := callIAM(ctx, s, "ListUsers", (*iam.Client).ListUsers, in)
		if err != nil {
			return refused(err)
		}
		for _, u := range page.Users {
			name := awssdk.ToString(u.UserName)
			if !bears(name, r.Mark) {
				continue
			}
			created := awssdk.ToTime(u.CreateDate)
			internal, err := (&kept{Type: iamUser, Planned: created, Account: accountOf(awssdk.ToString(u.Arn))}).encode()
			if err != nil {
				return err
			}
			if err := fn(backend.Item{ExternalName: name, Internal: internal, Created: created}); err != nil {
				return err
			}
		}
		if !page.IsTruncated || awssdk.ToString(page.Marker) == "" {
			return nil
		}
		in.Marker = page.Marker
	}
}
