package aws

import (
	"context"
	"slices"
	"strings"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/leasehold/leasehold/backend"
)

// settleTries is how often a step is tried that does not find the user whom the step before it made.
const settleTries = 8

// makeUser makes a user with what the role gives it, and an access key as the last step: until then
// nobody can be it. Each step may have been made before.
func (s *session) makeUser(ctx context.Context, in *backend.Intent, k *kept) (*backend.Created, error) {
	u := &user{s, in.ExternalName}
	made, arn, err := u.create(ctx, in, k.Role)
	if err != nil {
		return nil, err
	}
	if err := u.equip(ctx, k.Role); err != nil {
		return nil, err
	}
	if !made {
		if err := u.deleteKeys(ctx, ""); err != nil {
			return nil, err
		}
	}
	key, err := u.makeKey(ctx)
	if err != nil {
		return nil, err
	}
	after := &kept{
		Type: iamUser, Planned: k.Planned, Account: accountOf(arn), AccessKey: awssdk.ToString(key.AccessKeyId),
		Inline: k.Role.PolicyDocument != "", Role: &role{PolicyARNs: k.Role.PolicyARNs, Groups: k.Role.Groups},
	}
	internal, err := after.encode()
	if err != nil {
		return nil, err
	}
	return &backend.Created{
		Data: map[string]any{
			"access_key": after.AccessKey, "secret_key": awssdk.ToString(key.SecretAccessKey),
			"security_token": nil, "session_token": nil,
		},
		Internal: internal,
	}, nil
}

// user is one IAM user.
type user struct {
	*session
	name string
}

// create makes the user with its tags. made is false if it is there already: the name is of this lease
// alone, so an earlier try made it.
func (u *user) create(ctx context.Context, in *backend.Intent, r *role) (made bool, arn string, err error) {
	input := &iam.CreateUserInput{
		UserName: &u.name, Path: awssdk.String(r.userPath()), Tags: tagsOf(in, r), PermissionsBoundary: orNil(r.Boundary, nil),
	}
	out, err := callIAM(ctx, u.session, "CreateUser", (*iam.Client).CreateUser, input)
	switch {
	case codeOf(err) == codeExists:
		return false, u.arn(ctx), nil
	case err != nil:
		return false, "", err
	case out.User == nil:
		return true, "", nil
	}
	return true, awssdk.ToString(out.User.Arn), nil
}

// arn is that of a user who was there already, "" if IAM does not tell it yet.
func (u *user) arn(ctx context.Context) string {
	out, err := callIAM(ctx, u.session, "GetUser", (*iam.Client).GetUser, &iam.GetUserInput{UserName: &u.name})
	if err != nil || out.User == nil {
		return ""
	}
	return awssdk.ToString(out.User.Arn)
}

// tagsOf are the role's, and those by which people find out whose the user is.
func tagsOf(in *backend.Intent, r *role) []types.Tag {
	all := map[string]string{
		reservedTags + "cluster": in.Request.Cluster,
		reservedTags + "mount":   strings.TrimSuffix(in.Request.Mount.Path, "/"),
		reservedTags + "role":    in.Role,
	}
	for key, value := range r.Tags {
		all[key] = value
	}
	var tags []types.Tag
	for key, value := range all {
		tags = append(tags, types.Tag{Key: awssdk.String(key), Value: awssdk.String(cut(value, MaxTagValue))})
	}
	slices.SortFunc(tags, func(a, b types.Tag) int { return strings.Compare(*a.Key, *b.Key) })
	return tags
}

// equip gives the user what the role says.
func (u *user) equip(ctx context.Context, r *role) error {
	for _, arn := range r.PolicyARNs {
		err := u.settled(ctx, func() error {
			_, err := callIAM(ctx, u.session, "AttachUserPolicy", (*iam.Client).AttachUserPolicy,
				&iam.AttachUserPolicyInput{UserName: &u.name, PolicyArn: &arn})
			return err
		})
		if err != nil {
			return err
		}
	}
	if r.PolicyDocument != "" {
		err := u.settled(ctx, func() error {
			_, err := callIAM(ctx, u.session, "PutUserPolicy", (*iam.Client).PutUserPolicy,
				&iam.PutUserPolicyInput{UserName: &u.name, PolicyName: &u.name, PolicyDocument: &r.PolicyDocument})
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, group := range r.Groups {
		err := u.settled(ctx, func() error {
			_, err := callIAM(ctx, u.session, "AddUserToGroup", (*iam.Client).AddUserToGroup,
				&iam.AddUserToGroupInput{UserName: &u.name, GroupName: &group})
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// makeKey makes the user's access key. The call is not repeated by the SDK when an answer is lost: the
// key that was made then goes with the user.
func (u *user) makeKey(ctx context.Context) (key *types.AccessKey, err error) {
	err = u.settled(ctx, func() error {
		out, err := callIAM(ctx, u.session, "CreateAccessKey", (*iam.Client).CreateAccessKey,
			&iam.CreateAccessKeyInput{UserName: &u.name}, onceMade)
		if err == nil {
			key = out.AccessKey
		}
		return err
	})
	if err == nil && (key == nil || awssdk.ToString(key.SecretAccessKey) == "") {
		err = errNoKey
	}
	return key, err
}

var errNoKey = &failure{action: "iam:CreateAccessKey", why: "AWS's answer to iam:CreateAccessKey holds no key",
	text: "AWS's answer to iam:CreateAccessKey holds no key"}

// settled repeats a step that does not find the user, whom IAM has just made and not told everywhere. A
// policy or a group that is missing is not waited for.
func (u *user) settled(ctx context.Context, step func() error) error {
	for try := 1; ; try++ {
		err := step()
		if !absent(err) || !strings.Contains(err.Error(), u.name) || try >= settleTries || !pause(ctx, u.b.pace.user) {
			return err
		}
	}
}

// accountOf is the account of an ARN, "" if it names none.
func accountOf(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return ""
	}
	return parts[4]
}
