package awstest_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend/aws/awstest"
)

// command finds the aws command: the distribution's, else any other.
func command(t *testing.T) string {
	t.Helper()
	const own = "/usr/bin/aws"
	if _, err := os.Stat(own); err == nil {
		return own
	}
	path, err := exec.LookPath("aws")
	if err != nil {
		t.Fatal("the aws command is missing, without which nobody checks the stand-in for AWS: run scripts/deps.sh")
	}
	return path
}

// cli runs the aws command against a server.
type cli struct {
	*testing.T
	server *awstest.Server
	path   string
}

// run runs one command with a key, and returns what it prints.
func (c cli) run(key awstest.Key, token string, args ...string) (string, error) {
	c.Helper()
	cmd := exec.Command(c.path, append([]string{"--endpoint-url", c.server.URL, "--region", "us-east-1", "--output", "json"}, args...)...)
	home := c.TempDir()
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "AWS_CONFIG_FILE=" + home + "/none", "AWS_SHARED_CREDENTIALS_FILE=" + home + "/none",
		"AWS_ACCESS_KEY_ID=" + key.ID, "AWS_SECRET_ACCESS_KEY=" + key.Secret, "AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1",
		"AWS_PAGER=",
	}
	if token != "" {
		cmd.Env = append(cmd.Env, "AWS_SESSION_TOKEN="+token)
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// get runs a command as the operator and returns what a path of keys leads to in its answer.
func (c cli) get(path string, args ...string) any {
	c.Helper()
	out, err := c.run(c.server.Key, "", args...)
	if err != nil {
		c.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	if path == "" {
		return nil
	}
	var value any
	if err := json.Unmarshal([]byte(out), &value); err != nil {
		c.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	for _, key := range strings.Split(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[key]
		case []any:
			if len(v) == 0 {
				return nil
			}
			value = v[0].(map[string]any)[key]
		default:
			c.Fatalf("aws %s: no %s in\n%s", strings.Join(args, " "), path, out)
		}
	}
	return value
}

func (c cli) want(want any, path string, args ...string) {
	c.Helper()
	if got := c.get(path, args...); got != want {
		c.Errorf("aws %s: %s is %v, want %v", strings.Join(args, " "), path, got, want)
	}
}

// refuse runs a command that the server has to refuse with a code.
func (c cli) refuse(code string, key awstest.Key, token string, args ...string) {
	c.Helper()
	out, err := c.run(key, token, args...)
	if err == nil || !strings.Contains(out, "("+code+")") {
		c.Errorf("aws %s: %v, want %s\n%s", strings.Join(args, " "), err, code, out)
	}
}

func open(t *testing.T) cli {
	t.Parallel() // the command takes a second to start
	s := awstest.New()
	t.Cleanup(s.Close)
	return cli{t, s, command(t)}
}

const readOnly = "arn:aws:iam::aws:policy/ReadOnlyAccess"

// The life of a user, as the command sees it: it signs by its own code and reads answers by AWS's own
// description of the API.
func TestUsersByTheCommand(t *testing.T) {
	c := open(t)
	c.want("arn:aws:iam::123456789012:user/leased/ann", "User.Arn",
		"iam", "create-user", "--user-name", "ann", "--path", "/leased/", "--tags", "Key=a,Value=b", "--permissions-boundary", readOnly)
	c.refuse("EntityAlreadyExists", c.server.Key, "", "iam", "create-user", "--user-name", "ANN")
	c.want(readOnly, "User.PermissionsBoundary.PermissionsBoundaryArn", "iam", "get-user", "--user-name", "ann")
	id, _ := c.get("AccessKey.AccessKeyId", "iam", "create-access-key", "--user-name", "ann").(string)
	c.want(id, "AccessKeyMetadata.AccessKeyId", "iam", "list-access-keys", "--user-name", "ann")
	c.get("", "iam", "attach-user-policy", "--user-name", "ann", "--policy-arn", readOnly)
	c.refuse("DeleteConflict", c.server.Key, "", "iam", "delete-user", "--user-name", "ann")
	c.get("", "iam", "detach-user-policy", "--user-name", "ann", "--policy-arn", readOnly)
	c.get("", "iam", "delete-access-key", "--user-name", "ann", "--access-key-id", id)
	c.get("", "iam", "delete-user", "--user-name", "ann")
}

func TestPoliciesAndGroupsByTheCommand(t *testing.T) {
	c := open(t)
	c.server.PageSize(2)
	c.server.AddGroup("g", map[string]string{"p": `{"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}`}, readOnly)
	for _, name := range []string{"a", "b"} {
		c.server.AddUser(name)
	}
	out, err := c.run(c.server.Key, "", "iam", "list-users")
	if n := strings.Count(out, `"UserName"`); err != nil || n != 3 {
		t.Errorf("list-users: %d users, want 3 in two pages: %v\n%s", n, err, out)
	}
	c.get("", "iam", "add-user-to-group", "--user-name", "a", "--group-name", "g")
	c.want("g", "Groups.GroupName", "iam", "list-groups-for-user", "--user-name", "a")
	c.want("Allow", "PolicyDocument.Statement.Effect", "iam", "get-group-policy", "--group-name", "g", "--policy-name", "p")
	c.want(readOnly, "AttachedPolicies.PolicyArn", "iam", "list-attached-group-policies", "--group-name", "g")
	c.get("", "iam", "put-user-policy", "--user-name", "a", "--policy-name", "p",
		"--policy-document", `{"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}`)
}

func TestSTSByTheCommand(t *testing.T) {
	c := open(t)
	const role = "arn:aws:iam::123456789012:role/deploy"
	c.server.AddRole(awstest.Role{ARN: role, ExternalID: "xx"})
	whoami := []string{"sts", "get-caller-identity"}
	c.want("arn:aws:iam::123456789012:user/leasehold", "Arn", whoami...)
	c.want("arn:aws:sts::123456789012:assumed-role/deploy/me", "AssumedRoleUser.Arn",
		"sts", "assume-role", "--role-arn", role, "--role-session-name", "me", "--external-id", "xx", "--policy-arns", "arn="+readOnly)
	c.refuse("AccessDenied", c.server.Key, "", "sts", "assume-role", "--role-arn", role, "--role-session-name", "me")
	s := c.server.Sessions()
	if len(s) != 1 || len(s[0].PolicyARNs) != 1 || time.Until(s[0].Ends) > time.Hour || time.Until(s[0].Ends) < 50*time.Minute {
		t.Fatalf("sessions: %+v, want one of an hour with one policy", s)
	}
	if out, err := c.run(s[0].Key, s[0].Token, whoami...); err != nil || !strings.Contains(out, s[0].ARN) {
		t.Errorf("with the session's credentials: %v\n%s", err, out)
	}
	c.refuse("AccessDenied", s[0].Key, s[0].Token, "iam", "list-users")
	c.refuse("InvalidClientTokenId", awstest.Key{ID: "AKIANOBODY0000000000", Secret: "x"}, "", whoami...)
	c.refuse("SignatureDoesNotMatch", awstest.Key{ID: c.server.Key.ID, Secret: "not the secret"}, "", whoami...)
	c.refuse("ValidationError", c.server.Key, "", "sts", "get-federation-token", "--name", "fed", "--duration-seconds", "200000")
}
