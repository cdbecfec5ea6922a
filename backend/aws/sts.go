package aws

import (
	"context"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/lease"
)

// askSTS asks for credentials that live as long as the lease, or shorter if STS says so. There is
// nothing at AWS to find again: an answer that is lost is a set of credentials nobody has.
func (s *session) askSTS(ctx context.Context, in *backend.Intent, k *kept) (*backend.Created, error) {
	if in.TTL < minSTSTTL {
		return nil, lease.Errorf(lease.Invalid, "the TTL comes to %v, and STS makes nothing shorter than %v: ask for more, or raise the limits of the mount",
			in.TTL, minSTSTTL)
	}
	seconds := awssdk.Int32(int32(min((in.TTL+time.Second-1)/time.Second, 1<<31-1)))
	var got *answer
	var err error
	switch k.Type {
	case assumedRole:
		got, err = s.assumeRole(ctx, in, k, seconds)
	case federationToken:
		got, err = s.federate(ctx, in, k, seconds)
	case sessionToken:
		got, err = s.sessionToken(ctx, in, k, seconds)
	default:
		return nil, lease.Errorf(lease.Internal, "this version makes no credentials of type %q", k.Type)
	}
	if err != nil {
		return nil, err
	}
	if got.creds == nil || got.creds.Expiration == nil || awssdk.ToString(got.creds.SecretAccessKey) == "" {
		return nil, &lease.Error{Code: lease.Upstream, Message: "AWS's answer holds no credentials"}
	}
	left := got.creds.Expiration.Sub(s.told(got.metadata))
	if left <= 0 {
		return nil, &lease.Error{Code: lease.Upstream, Message: "AWS's answer holds credentials that have ended already"}
	}
	internal, err := (&kept{Type: k.Type}).encode()
	if err != nil {
		return nil, err
	}
	data := map[string]any{
		"access_key": awssdk.ToString(got.creds.AccessKeyId), "secret_key": awssdk.ToString(got.creds.SecretAccessKey),
		"security_token": awssdk.ToString(got.creds.SessionToken), "session_token": awssdk.ToString(got.creds.SessionToken),
	}
	if got.arn != "" {
		data["arn"] = got.arn
	}
	return &backend.Created{Data: data, Internal: internal, TTL: left}, nil
}

// answer is what STS answered.
type answer struct {
	creds    *types.Credentials
	arn      string // of the assumed role
	metadata middleware.Metadata
}

// told is the time of AWS's clock when it answered, by which the end of credentials is reckoned: this
// node's clock may differ.
func (s *session) told(m middleware.Metadata) time.Time {
	if at, ok := awsmiddleware.GetServerTime(m); ok && !at.IsZero() {
		return at
	}
	return s.b.now()
}

func (s *session) assumeRole(ctx context.Context, in *backend.Intent, k *kept, seconds *int32) (*answer, error) {
	policy, arns, err := s.sessionPolicies(ctx, k.Role)
	if err != nil {
		return nil, err
	}
	name := k.SessionName
	if name == "" {
		name = in.ExternalName
	}
	out, err := callSTS(ctx, s, "AssumeRole", (*sts.Client).AssumeRole, &sts.AssumeRoleInput{
		RoleArn: &k.RoleARN, RoleSessionName: &name, DurationSeconds: seconds, Policy: orNil(policy, nil), PolicyArns: arns,
		ExternalId: orNil(k.Role.ExternalID, nil), Tags: sessionTags(k.Role),
	})
	if err != nil {
		return nil, err
	}
	got := &answer{creds: out.Credentials, metadata: out.ResultMetadata}
	if out.AssumedRoleUser != nil {
		got.arn = awssdk.ToString(out.AssumedRoleUser.Arn)
	}
	return got, nil
}

func (s *session) federate(ctx context.Context, in *backend.Intent, k *kept, seconds *int32) (*answer, error) {
	policy, arns, err := s.sessionPolicies(ctx, k.Role)
	if err != nil {
		return nil, err
	}
	out, err := callSTS(ctx, s, "GetFederationToken", (*sts.Client).GetFederationToken, &sts.GetFederationTokenInput{
		Name: awssdk.String(cut(in.ExternalName, maxTokenName)), DurationSeconds: seconds,
		Policy: orNil(policy, nil), PolicyArns: arns, Tags: sessionTags(k.Role),
	})
	if err != nil {
		return nil, err
	}
	return &answer{creds: out.Credentials, metadata: out.ResultMetadata}, nil
}

// sessionToken takes the code of an MFA device from the request: it is kept nowhere.
func (s *session) sessionToken(ctx context.Context, in *backend.Intent, k *kept, seconds *int32) (*answer, error) {
	code := field.Read(in.Request.Params).String("mfa_code")
	out, err := callSTS(ctx, s, "GetSessionToken", (*sts.Client).GetSessionToken, &sts.GetSessionTokenInput{
		DurationSeconds: seconds, SerialNumber: orNil(k.Role.MFASerial, nil), TokenCode: orNil(code, nil),
	})
	if err != nil {
		return nil, err
	}
	return &answer{creds: out.Credentials, metadata: out.ResultMetadata}, nil
}

func sessionTags(r *role) []types.Tag {
	var tags []types.Tag
	for key, value := range r.SessionTags {
		tags = append(tags, types.Tag{Key: &key, Value: &value})
	}
	return tags
}
