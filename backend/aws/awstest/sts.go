package awstest

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// MFACode is what every device shows.
const MFACode = "314159"

func getCallerIdentity(c *call) (*element, *apiError) {
	return node("", text("Arn", c.caller.arn), text("UserId", c.caller.id), text("Account", c.account.id)), nil
}

var sessionName = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)

func assumeRole(c *call) (*element, *apiError) {
	arn, name := c.form.Get("RoleArn"), c.form.Get("RoleSessionName")
	role, ok := c.view.roles[arn]
	if !ok || role.ExternalID != "" && c.form.Get("ExternalId") != role.ExternalID {
		return nil, errorf(http.StatusForbidden, "AccessDenied", "User: %s is not authorized to perform: sts:AssumeRole on resource: %s", c.caller.arn, arn)
	}
	if !sessionName.MatchString(name) {
		return nil, errorf(http.StatusBadRequest, "ValidationError", "the role session name is not valid")
	}
	longest := role.MaxSession
	if longest == 0 {
		longest = time.Hour
	}
	user := strings.Replace(strings.Replace(arn, ":role/", ":assumed-role/", 1), ":iam:", ":sts:", 1) + "/" + name
	t, failure := c.newSession(user, time.Hour, longest)
	if failure != nil {
		return nil, failure
	}
	return node("", t.element(), node("AssumedRoleUser", text("Arn", user), text("AssumedRoleId", c.newID("AROA")+":"+name))), nil
}

func getFederationToken(c *call) (*element, *apiError) {
	name := c.form.Get("Name")
	if !sessionName.MatchString(name) || len(name) > 32 {
		return nil, errorf(http.StatusBadRequest, "ValidationError", "the name is not valid")
	}
	arn := "arn:aws:sts::" + c.account.id + ":federated-user/" + name
	t, failure := c.newSession(arn, 12*time.Hour, 36*time.Hour)
	if failure != nil {
		return nil, failure
	}
	return node("", t.element(), node("FederatedUser", text("Arn", arn), text("FederatedUserId", c.account.id+":"+name))), nil
}

func getSessionToken(c *call) (*element, *apiError) {
	if c.form.Get("SerialNumber") != "" && c.form.Get("TokenCode") != MFACode {
		return nil, errorf(http.StatusForbidden, "AccessDenied", "MultiFactorAuthentication failed with invalid MFA one time pass code.")
	}
	t, failure := c.newSession(c.caller.arn, 12*time.Hour, 36*time.Hour)
	if failure != nil {
		return nil, failure
	}
	return node("", t.element()), nil
}

// newSession makes temporary credentials for as long as the call asks.
func (c *call) newSession(arn string, usual, longest time.Duration) (*session, *apiError) {
	length := usual
	if text := c.form.Get("DurationSeconds"); text != "" {
		seconds, err := strconv.Atoi(text)
		length = time.Duration(seconds) * time.Second
		if err != nil || length < 15*time.Minute || length > longest {
			return nil, errorf(http.StatusBadRequest, "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration or is too short.")
		}
	}
	policy := c.form.Get("Policy")
	if policy != "" {
		if failure := checkDocument(policy); failure != nil {
			return nil, failure
		}
	}
	key := c.newKey()
	key.ID = "ASIA" + key.ID[4:]
	t := &session{
		Key: key, token: rand.Text() + rand.Text() + rand.Text(), user: c.caller.user, userID: c.caller.id, arn: arn,
		ends: c.now.Add(length).Truncate(time.Second), policy: policy, tags: c.tags(),
	}
	for i := 1; c.form.Has(fmt.Sprintf("PolicyArns.member.%d.arn", i)); i++ {
		t.policyARNs = append(t.policyARNs, c.form.Get(fmt.Sprintf("PolicyArns.member.%d.arn", i)))
	}
	c.account.sessions[key.ID] = t
	return t, nil
}

func (t *session) element() *element {
	return node("Credentials", text("AccessKeyId", t.ID), text("SecretAccessKey", t.Secret), text("SessionToken", t.token), date("Expiration", t.ends))
}
