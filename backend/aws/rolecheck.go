package aws

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"time"

	"github.com/leasehold/leasehold/backend/field"
)

// Bounds of a role. AWS has narrower ones, which depend on the account.
const (
	MaxPolicy      = 20 << 10 // bytes of a policy document without white space
	MaxARN         = 2 << 10  // bytes
	MaxARNs        = 32       // of each kind
	MaxGroups      = 32
	MaxTags        = 47 // of a user's 50; three are ours
	MaxTagKey      = 128
	MaxTagValue    = 256
	MaxExternalID  = 1224
	minSTSTTL      = 15 * time.Minute
	DefaultSTSTTL  = time.Hour
	reservedTags   = "leasehold:"
	awsTags        = "aws:"
	maxPolicyInput = 64 << 10 // bytes of a policy document as it is sent
)

// readPolicy reads a policy document: JSON text, from which white space is taken out.
func readPolicy(in *field.Reader, name string) string {
	text := in.String(name)
	if text == "" {
		return ""
	}
	if len(text) > maxPolicyInput {
		in.Failf("%s: %d bytes long, at most %d are read: attach a managed policy instead", name, len(text), maxPolicyInput)
		return ""
	}
	if _, err := field.ParseObject([]byte(text)); err != nil {
		in.Failf("%s: %s: send a policy as JSON", name, err)
		return ""
	}
	var out bytes.Buffer
	if err := json.Compact(&out, []byte(text)); err != nil {
		in.Failf("%s: not valid JSON: send a policy as JSON", name)
		return ""
	}
	if out.Len() > MaxPolicy {
		in.Failf("%s: %d bytes long, at most %d are taken: attach a managed policy instead", name, out.Len(), MaxPolicy)
	}
	return out.String()
}

func (r *role) check(in *field.Reader) {
	if len(r.Types) == 0 {
		in.Failf("did not supply credential_type")
	}
	for _, kind := range r.Types {
		switch kind {
		case iamUser, assumedRole, federationToken, sessionToken:
		default:
			in.Failf("unrecognized credential_type: %s", field.CleanText(kind))
		}
	}
	r.checkTypes(in)
	r.checkLists(in)
	r.checkTTLs(in)
	if r.is(assumedRole) && len(r.RoleARNs) == 0 {
		in.Failf("role_arns: missing: name the roles that may be assumed")
	}
	if path := r.UserPath; path != "" && !pathText.MatchString(path) {
		in.Failf("user_path: %q is no path of IAM: begin and end it with a slash, as in /leased/", field.CleanText(path))
	}
	if r.Boundary != "" && !isARN(r.Boundary) {
		in.Failf("permissions_boundary_arn: %q is no ARN: send one such as arn:aws:iam::123456789012:policy/name", field.CleanText(r.Boundary))
	}
	if id := r.ExternalID; id != "" && (len(id) < 2 || len(id) > MaxExternalID || !idText.MatchString(id)) {
		in.Failf("external_id: send 2 to %d letters, digits and +=,.@:/-", MaxExternalID)
	}
	if serial := r.MFASerial; serial != "" && (len(serial) < 9 || len(serial) > 256 || !idText.MatchString(serial)) {
		in.Failf("mfa_serial_number: %q is no device: send its serial number or its ARN", field.CleanText(serial))
	}
}

var (
	pathText  = regexp.MustCompile(`^/([\x21-\x7e]{1,510}/)?$`)
	idText    = regexp.MustCompile(`^[\w+=,.@:/-]+$`)
	groupText = regexp.MustCompile(`^[\w+=,.@-]{1,128}$`)
	tagText   = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+@-]*$`)
)

// checkTypes refuses fields that mean nothing to the role's type.
func (r *role) checkTypes(in *field.Reader) {
	for _, f := range []struct {
		name  string
		set   bool
		types []string
	}{
		{"role_arns", len(r.RoleARNs) > 0, []string{assumedRole}},
		{"external_id", r.ExternalID != "", []string{assumedRole}},
		{"session_tags", len(r.SessionTags) > 0, []string{assumedRole, federationToken}},
		{"mfa_serial_number", r.MFASerial != "", []string{sessionToken}},
		{"iam_tags", len(r.Tags) > 0, []string{iamUser}},
		{"user_path", r.UserPath != "" && r.UserPath != "/", []string{iamUser}},
		{"permissions_boundary_arn", r.Boundary != "", []string{iamUser}},
		{"policy_arns", len(r.PolicyARNs) > 0, []string{iamUser, assumedRole, federationToken}},
		{"policy_document", r.PolicyDocument != "", []string{iamUser, assumedRole, federationToken}},
		{"iam_groups", len(r.Groups) > 0, []string{iamUser, assumedRole, federationToken}},
		{"default_sts_ttl", r.DefaultTTL > 0, []string{assumedRole, federationToken, sessionToken}},
		{"max_sts_ttl", r.MaxTTL > 0, []string{assumedRole, federationToken, sessionToken}},
	} {
		fits := false
		for _, kind := range f.types {
			fits = fits || r.is(kind)
		}
		if f.set && !fits {
			in.Failf("%s: only valid for the credential_type %s: leave it out, or clear it", f.name, strings.Join(f.types, ", "))
		}
	}
}

func (r *role) checkLists(in *field.Reader) {
	for name, list := range map[string][]string{"policy_arns": r.PolicyARNs, "role_arns": r.RoleARNs} {
		if len(list) > MaxARNs {
			in.Failf("%s: %d entries, at most %d are taken", name, len(list), MaxARNs)
		}
		for _, arn := range list {
			if !isARN(arn) || name == "role_arns" && !strings.Contains(arn, ":role/") {
				in.Failf("%s: %q is not the ARN of one", name, field.CleanText(cut(arn, 100)))
			}
		}
	}
	if len(r.Groups) > MaxGroups {
		in.Failf("iam_groups: %d entries, at most %d are taken", len(r.Groups), MaxGroups)
	}
	for _, group := range r.Groups {
		if !groupText.MatchString(group) {
			in.Failf("iam_groups: %q is no group's name", field.CleanText(cut(group, 100)))
		}
	}
	for name, tags := range map[string]map[string]string{"iam_tags": r.Tags, "session_tags": r.SessionTags} {
		if len(tags) > MaxTags {
			in.Failf("%s: %d entries, at most %d are taken", name, len(tags), MaxTags)
		}
		for key, value := range tags {
			lower := strings.ToLower(key)
			switch {
			case key == "", len(key) > MaxTagKey, len(value) > MaxTagValue, !tagText.MatchString(key), !tagText.MatchString(value):
				in.Failf("%s: %q cannot be a tag: letters, digits, spaces and _.:/=+-@, up to %d bytes and %d in the value",
					name, field.CleanText(cut(key, 100)), MaxTagKey, MaxTagValue)
			case strings.HasPrefix(lower, reservedTags), strings.HasPrefix(lower, awsTags):
				in.Failf("%s: tags that begin with %s are set by Leasehold, with %s by AWS: choose another name", name, reservedTags, awsTags)
			}
		}
	}
}

func (r *role) checkTTLs(in *field.Reader) {
	for name, ttl := range map[string]time.Duration{"default_sts_ttl": r.DefaultTTL, "max_sts_ttl": r.MaxTTL} {
		if ttl > 0 && ttl < minSTSTTL {
			in.Failf("%s: %v is shorter than %v, the shortest that STS makes: choose a longer one", name, ttl, minSTSTTL)
		}
	}
	if r.MaxTTL > 0 && r.DefaultTTL > r.MaxTTL {
		in.Failf("default_sts_ttl: %v is longer than max_sts_ttl %v: make it shorter, or max_sts_ttl longer", r.DefaultTTL, r.MaxTTL)
	}
}

// isARN reports whether text has the form of an ARN: arn, partition, service, region, account, resource.
func isARN(text string) bool {
	parts := strings.SplitN(text, ":", 6)
	return len(parts) == 6 && parts[0] == "arn" && parts[1] != "" && parts[2] != "" && parts[5] != "" &&
		len(text) <= MaxARN && !strings.ContainsFunc(text, notGraphic)
}
