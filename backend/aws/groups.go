package aws

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"slices"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/lease"
)

// sessionPolicies are the policies of STS credentials: the role's own, and those of its groups, since
// credentials of STS are in no group.
func (s *session) sessionPolicies(ctx context.Context, r *role) (document string, arns []types.PolicyDescriptorType, err error) {
	documents, managed := optional(r.PolicyDocument), slices.Clone(r.PolicyARNs)
	for _, group := range r.Groups {
		own, attached, err := s.groupPolicies(ctx, group)
		if err != nil {
			return "", nil, err
		}
		documents, managed = append(documents, own...), append(managed, attached...)
	}
	slices.Sort(managed)
	for _, arn := range slices.Compact(managed) {
		arns = append(arns, types.PolicyDescriptorType{Arn: &arn})
	}
	document, err = merge(documents)
	return document, arns, err
}

// groupPolicies returns a group's own policies and the ARNs of those that are attached to it.
func (s *session) groupPolicies(ctx context.Context, group string) (documents, arns []string, err error) {
	attached, err := allPages(func(marker *string) ([]iamtypes.AttachedPolicy, *string, error) {
		out, err := callIAM(ctx, s, "ListAttachedGroupPolicies", (*iam.Client).ListAttachedGroupPolicies,
			&iam.ListAttachedGroupPoliciesInput{GroupName: &group, Marker: marker})
		if err != nil {
			return nil, nil, err
		}
		return out.AttachedPolicies, next(out.IsTruncated, out.Marker), nil
	})
	if err != nil {
		return nil, nil, err
	}
	arns = idsOf(attached, func(p iamtypes.AttachedPolicy) *string { return p.PolicyArn })
	names, err := allPages(func(marker *string) ([]string, *string, error) {
		out, err := callIAM(ctx, s, "ListGroupPolicies", (*iam.Client).ListGroupPolicies,
			&iam.ListGroupPoliciesInput{GroupName: &group, Marker: marker})
		if err != nil {
			return nil, nil, err
		}
		return out.PolicyNames, next(out.IsTruncated, out.Marker), nil
	})
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		out, err := callIAM(ctx, s, "GetGroupPolicy", (*iam.Client).GetGroupPolicy,
			&iam.GetGroupPolicyInput{GroupName: &group, PolicyName: &name})
		if err != nil {
			return nil, nil, err
		}
		text, err := url.PathUnescape(awssdk.ToString(out.PolicyDocument)) // as IAM writes documents
		if err != nil {
			return nil, nil, notMerged(err)
		}
		documents = append(documents, text)
	}
	return documents, arns, nil
}

// merge makes one policy of several: all statements, in order. A single one stays as it is.
func merge(documents []string) (string, error) {
	if len(documents) == 0 {
		return "", nil
	}
	if len(documents) == 1 {
		return documents[0], nil
	}
	all := struct {
		Version   string
		Statement []json.RawMessage
	}{Version: "2012-10-17"}
	for _, text := range documents {
		var one struct{ Statement json.RawMessage }
		if err := json.Unmarshal([]byte(text), &one); err != nil {
			return "", notMerged(err)
		}
		statement := bytes.TrimSpace(one.Statement)
		switch {
		case len(statement) == 0 || string(statement) == "null":
		case statement[0] != '[':
			all.Statement = append(all.Statement, statement)
		default:
			var list []json.RawMessage
			if err := json.Unmarshal(statement, &list); err != nil {
				return "", notMerged(err)
			}
			all.Statement = append(all.Statement, list...)
		}
	}
	merged, err := field.FormatJSON(all)
	if err != nil {
		return "", notMerged(err)
	}
	return string(merged), nil
}

func notMerged(err error) error {
	return &lease.Error{Code: lease.Invalid, Err: err,
		Message: "the policies of the role and its groups cannot be made into one: each has to be a JSON object with statements"}
}
