package aws

import (
	"context"
	"fmt"
	"slices"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/leasehold/leasehold/backend"
)

const (
	// settleTime is how long after its intent "no such user" is not believed: the user may have been
	// made, or be in the making, and IAM's copies may not know it.
	settleTime = 5 * time.Minute
	// absentPause is the first pause between looks at a user who may yet appear; it doubles.
	absentPause = 10 * time.Second
	// deleteRounds is how often in one attempt the user is emptied and deleted: something may have been
	// added in between, by a creation that was given up.
	deleteRounds = 3
)

// endUser takes everything from the user and deletes it. What is listed may lag behind what is there, so
// the lists and what the lease keeps are both followed; DeleteUser has the last word. It refuses while
// something is left, and only its answer counts as proof that there is no such user.
func (s *session) endUser(ctx context.Context, d *backend.Destruction, k *kept) error {
	u := &user{s, d.ExternalName}
	var err, denied error
	for round := range deleteRounds {
		if err = u.empty(ctx, k); err != nil {
			return err
		}
		if round > 0 {
			if denied, err = u.emptyRest(ctx); err != nil {
				return err
			}
		}
		_, err = callIAM(ctx, s, "DeleteUser", (*iam.Client).DeleteUser, &iam.DeleteUserInput{UserName: &u.name})
		switch {
		case err == nil:
			return nil
		case absent(err):
			return u.provenAbsent(ctx, d, k)
		case codeOf(err) != codeConflict:
			return err
		}
	}
	if denied != nil {
		return denied
	}
	return err
}

// provenAbsent is nil when "no such user" can be believed.
func (u *user) provenAbsent(ctx context.Context, d *backend.Destruction, k *kept) error {
	age := u.b.now().Sub(k.Planned)
	if age < settleTime {
		wait := absentPause << min(max(d.Attempt-1, 0), 5)
		return backend.RetryAfter(
			fmt.Errorf("IAM knows no user %s, which was asked for %v ago: that is believed after %v", u.name, age.Round(time.Second), settleTime),
			min(wait, max(settleTime-age, time.Second), settleTime))
	}
	if k.Account == "" {
		return nil
	}
	who, err := callSTS(ctx, u.session, "GetCallerIdentity", (*sts.Client).GetCallerIdentity, &sts.GetCallerIdentityInput{})
	if err != nil {
		return err
	}
	if account := awssdk.ToString(who.Account); account != k.Account {
		return fmt.Errorf("user %s was made in account %s, and config/root has the key of account %s: write the key of the former",
			u.name, k.Account, scrub(account, nil))
	}
	return nil
}

// empty takes from the user what a role gives it, its keys first: from then on nobody can be it.
func (u *user) empty(ctx context.Context, k *kept) error {
	if err := u.deleteKeys(ctx, k.AccessKey); err != nil {
		return err
	}
	if err := u.detach(ctx, k.Role.PolicyARNs); err != nil {
		return err
	}
	var inline []string // the one that a role gives bears the user's name
	if k.Inline || k.Role.PolicyDocument != "" {
		inline = []string{u.name}
	}
	if err := u.deletePolicies(ctx, inline); err != nil {
		return err
	}
	return u.leave(ctx, k.Role.Groups)
}

// deleteKeys deletes the user's access keys, and the known one even if it is not listed.
func (u *user) deleteKeys(ctx context.Context, known string) error {
	ids := optional(known)
	list, err := pages(func(marker *string) ([]types.AccessKeyMetadata, *string, error) {
		out, err := callIAM(ctx, u.session, "ListAccessKeys", (*iam.Client).ListAccessKeys,
			&iam.ListAccessKeysInput{UserName: &u.name, Marker: marker})
		if err != nil {
			return nil, nil, err
		}
		return out.AccessKeyMetadata, next(out.IsTruncated, out.Marker), nil
	})
	if err != nil {
		return err
	}
	for _, key := range list {
		ids = append(ids, awssdk.ToString(key.AccessKeyId))
	}
	return each(ids, func(id string) error {
		_, err := callIAM(ctx, u.session, "DeleteAccessKey", (*iam.Client).DeleteAccessKey,
			&iam.DeleteAccessKeyInput{UserName: &u.name, AccessKeyId: &id})
		return err
	})
}

// detach detaches managed policies, the known ones even if they are not listed.
func (u *user) detach(ctx context.Context, known []string) error {
	arns := slices.Clone(known)
	list, err := pages(func(marker *string) ([]types.AttachedPolicy, *string, error) {
		out, err := callIAM(ctx, u.session, "ListAttachedUserPolicies", (*iam.Client).ListAttachedUserPolicies,
			&iam.ListAttachedUserPoliciesInput{UserName: &u.name, Marker: marker})
		if err != nil {
			return nil, nil, err
		}
		return out.AttachedPolicies, next(out.IsTruncated, out.Marker), nil
	})
	if err != nil {
		return err
	}
	for _, policy := range list {
		arns = append(arns, awssdk.ToString(policy.PolicyArn))
	}
	return each(arns, func(arn string) error {
		_, err := callIAM(ctx, u.session, "DetachUserPolicy", (*iam.Client).DetachUserPolicy,
			&iam.DetachUserPolicyInput{UserName: &u.name, PolicyArn: &arn})
		return err
	})
}

// deletePolicies deletes the user's own policies, the known ones even if they are not listed.
func (u *user) deletePolicies(ctx context.Context, known []string) error {
	list, err := pages(func(marker *string) ([]string, *string, error) {
		out, err := callIAM(ctx, u.session, "ListUserPolicies", (*iam.Client).ListUserPolicies,
			&iam.ListUserPoliciesInput{UserName: &u.name, Marker: marker})
		if err != nil {
			return nil, nil, err
		}
		return out.PolicyNames, next(out.IsTruncated, out.Marker), nil
	})
	if err != nil {
		return err
	}
	return each(append(known, list...), func(name string) error {
		_, err := callIAM(ctx, u.session, "DeleteUserPolicy", (*iam.Client).DeleteUserPolicy,
			&iam.DeleteUserPolicyInput{UserName: &u.name, PolicyName: &name})
		return err
	})
}

// leave takes the user out of its groups, the known ones even if they are not listed.
func (u *user) leave(ctx context.Context, known []string) error {
	groups := slices.Clone(known)
	list, err := pages(func(marker *string) ([]types.Group, *string, error) {
		out, err := callIAM(ctx, u.session, "ListGroupsForUser", (*iam.Client).ListGroupsForUser,
			&iam.ListGroupsForUserInput{UserName: &u.name, Marker: marker})
		if err != nil {
			return nil, nil, err
		}
		return out.Groups, next(out.IsTruncated, out.Marker), nil
	})
	if err != nil {
		return err
	}
	for _, group := range list {
		groups = append(groups, awssdk.ToString(group.GroupName))
	}
	return each(groups, func(group string) error {
		_, err := callIAM(ctx, u.session, "RemoveUserFromGroup", (*iam.Client).RemoveUserFromGroup,
			&iam.RemoveUserFromGroupInput{UserName: &u.name, GroupName: &group})
		return err
	})
}

func optional(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

// next is the marker of the page after one, nil if there is none.
func next(truncated bool, marker *string) *string {
	if !truncated || awssdk.ToString(marker) == "" {
		return nil
	}
	return marker
}

// maxPages bounds a list that never ends.
const maxPages = 100

// pages gathers all pages of a list. What has nothing to list because the user is not there, or not
// known yet, is empty.
func pages[T any](page func(marker *string) ([]T, *string, error)) ([]T, error) {
	all, err := allPages(page)
	return all, unlessAbsent(err)
}

// allPages gathers all pages of a list.
func allPages[T any](page func(marker *string) ([]T, *string, error)) ([]T, error) {
	var all []T
	var marker *string
	for range maxPages {
		items, next, err := page(marker)
		if err != nil {
			return all, err
		}
		all = append(all, items...)
		if marker = next; marker == nil {
			return all, nil
		}
	}
	return nil, fmt.Errorf("AWS answered with more than %d pages of one list", maxPages)
}

// each does something about each item once; what is absent is done.
func each(items []string, do func(string) error) error {
	slices.Sort(items)
	for _, item := range slices.Compact(items) {
		if err := unlessAbsent(do(item)); err != nil {
			return err
		}
	}
	return nil
}
