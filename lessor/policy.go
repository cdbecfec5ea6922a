package lessor

import (
	"context"
	"strings"

	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// PutPolicy writes a policy. Whether its text is one is for the caller to say, who has the parser.
func (l *Lessor) PutPolicy(ctx context.Context, ns, name, text string) error {
	name, err := policyName(name)
	if err != nil {
		return err
	}
	switch {
	case name == policyRoot || name == policyWrapping:
		return refuse("cannot update %q policy", name)
	case strings.TrimSpace(text) == "":
		return refuse("'policy' parameter not supplied or empty")
	}
	_, err = l.propose(ctx, &command.PutPolicy{Namespace: ns, Name: name, Text: text})
	return err
}

// DeletePolicy removes a policy. An unknown one is no error.
func (l *Lessor) DeletePolicy(ctx context.Context, ns, name string) error {
	name, err := policyName(name)
	if err != nil {
		return err
	}
	if name == policyRoot || name == policyDefault || name == policyWrapping {
		return refuse("cannot delete %q policy", name)
	}
	_, err = l.propose(ctx, &command.DeletePolicy{Namespace: ns, Name: name})
	return err
}

// policyName is the form in which policies are kept and asked for.
func policyName(name string) (string, error) {
	name = strings.ToLower(name)
	if err := lease.CheckPath(name); err != nil {
		return "", refuse("invalid policy name: %v", err)
	}
	if len(name) > maxPolicyName {
		return "", refuse("policy name is %d bytes long, at most %d are allowed", len(name), maxPolicyName)
	}
	return name, nil
}
