package awstest

import (
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// action is one call of an API.
type action struct {
	service string
	reads   bool
	do      func(*call) (*element, *apiError)
}

var versions = map[string]string{"iam": "2010-05-08", "sts": "2011-06-15"}

// actions are all that a server knows.
var actions = map[string]action{
	"CreateUser":               {"iam", false, createUser},
	"GetUser":                  {"iam", true, getUser},
	"ListUsers":                {"iam", true, listUsers},
	"DeleteUser":               {"iam", false, deleteUser},
	"TagUser":                  {"iam", false, tagUser},
	"ListUserTags":             {"iam", true, listUserTags},
	"CreateAccessKey":          {"iam", false, createAccessKey},
	"ListAccessKeys":           {"iam", true, listAccessKeys},
	"DeleteAccessKey":          {"iam", false, deleteAccessKey},
	"AttachUserPolicy":         {"iam", false, attachUserPolicy},
	"DetachUserPolicy":         {"iam", false, detachUserPolicy},
	"ListAttachedUserPolicies": {"iam", true, listAttachedUserPolicies},
	"PutUserPolicy":            {"iam", false, putUserPolicy},
	"DeleteUserPolicy":         {"iam", false, deleteUserPolicy},
	"ListUserPolicies":         {"iam", true, listUserPolicies},
	"GetUserPolicy":            {"iam", true, getUserPolicy},

	"CreateGroup":               {"iam", false, createGroup},
	"AddUserToGroup":            {"iam", false, addUserToGroup},
	"RemoveUserFromGroup":       {"iam", false, removeUserFromGroup},
	"ListGroupsForUser":         {"iam", true, listGroupsForUser},
	"ListAttachedGroupPolicies": {"iam", true, listAttachedGroupPolicies},
	"ListGroupPolicies":         {"iam", true, listGroupPolicies},
	"GetGroupPolicy":            {"iam", true, getGroupPolicy},

	"DeleteLoginProfile":              {"iam", false, deleteLoginProfile},
	"ListMFADevices":                  {"iam", true, listExtras},
	"ListSigningCertificates":         {"iam", true, listExtras},
	"ListSSHPublicKeys":               {"iam", true, listExtras},
	"ListServiceSpecificCredentials":  {"iam", true, listExtras},
	"DeactivateMFADevice":             {"iam", false, deleteExtra},
	"DeleteSigningCertificate":        {"iam", false, deleteExtra},
	"DeleteSSHPublicKey":              {"iam", false, deleteExtra},
	"DeleteServiceSpecificCredential": {"iam", false, deleteExtra},

	"GetCallerIdentity":  {"sts", true, getCallerIdentity},
	"AssumeRole":         {"sts", false, assumeRole},
	"GetFederationToken": {"sts", false, getFederationToken},
	"GetSessionToken":    {"sts", false, getSessionToken},
}

var (
	userName = regexp.MustCompile(`^[\w+=,.@-]{1,64}$`)
	userPath = regexp.MustCompile(`^/([\x21-\x7e]{1,510}/)?$`)
)

func createUser(c *call) (*element, *apiError) {
	name, path := c.form.Get("UserName"), c.form.Get("Path")
	if path == "" {
		path = "/"
	}
	tags := c.tags()
	switch {
	case !userName.MatchString(name) || !userPath.MatchString(path) || len(tags) > 50:
		return nil, errorf(http.StatusBadRequest, "ValidationError", "The specified value for userName or path is invalid.")
	case c.view.users[strings.ToLower(name)] != nil:
		return nil, errorf(http.StatusConflict, "EntityAlreadyExists", "User with name %s already exists.", name)
	}
	u := &user{account: c.account.id, name: name, path: path, id: c.newID("AIDA"), created: c.now, boundary: c.form.Get("PermissionsBoundary"), tags: tags}
	c.account.put(u)
	return node("", u.element("User", true)), nil
}

func (u *user) element(name string, whole bool) *element {
	e := node(name, text("Path", u.path), text("UserName", u.name), text("UserId", u.id), text("Arn", u.arn()), date("CreateDate", u.created))
	if whole && u.boundary != "" {
		e.kids = append(e.kids, node("PermissionsBoundary",
			text("PermissionsBoundaryType", "Policy"), text("PermissionsBoundaryArn", u.boundary)))
	}
	if whole && len(u.tags) > 0 {
		e.kids = append(e.kids, node("Tags", u.tagElements()...))
	}
	return e
}

func (u *user) tagElements() []*element {
	var list []*element
	for _, key := range slices.Sorted(maps.Keys(u.tags)) {
		list = append(list, node("member", text("Key", key), text("Value", u.tags[key])))
	}
	return list
}

func getUser(c *call) (*element, *apiError) {
	u, failure := c.find()
	if failure != nil {
		return nil, failure
	}
	return node("", u.element("User", true)), nil
}

func listUsers(c *call) (*element, *apiError) {
	var list []*element
	for _, name := range slices.Sorted(maps.Keys(c.view.users)) {
		if u := c.view.users[name]; strings.HasPrefix(u.path, c.form.Get("PathPrefix")) {
			list = append(list, u.element("member", false))
		}
	}
	return c.page("Users", list)
}

func deleteUser(c *call) (*element, *apiError) {
	u, failure := c.find()
	if failure != nil {
		return nil, failure
	}
	conflict := ""
	switch {
	case len(u.keys) > 0:
		conflict = "must delete access keys first."
	case len(u.attached) > 0:
		conflict = "must detach all policies first."
	case len(u.inline) > 0:
		conflict = "must delete policies first."
	case len(u.groups) > 0:
		conflict = "must remove users from group first."
	case u.password:
		conflict = "must delete login profile first."
	}
	for kind, list := range u.extras {
		if len(list) > 0 {
			conflict = "must delete what " + kind + " lists first."
		}
	}
	if conflict != "" {
		return nil, errorf(http.StatusConflict, "DeleteConflict", "Cannot delete entity, %s", conflict)
	}
	delete(c.account.users, strings.ToLower(u.name))
	return nil, nil
}

func tagUser(c *call) (*element, *apiError) {
	u, failure := c.edit()
	if failure != nil {
		return nil, failure
	}
	if u.tags == nil {
		u.tags = map[string]string{}
	}
	maps.Copy(u.tags, c.tags())
	return nil, nil
}

func listUserTags(c *call) (*element, *apiError) {
	u, failure := c.find()
	if failure != nil {
		return nil, failure
	}
	return c.page("Tags", u.tagElements())
}

func createAccessKey(c *call) (*element, *apiError) {
	u, failure := c.edit()
	if failure != nil {
		return nil, failure
	}
	if len(u.keys) >= 2 {
		return nil, errorf(http.StatusConflict, "LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2")
	}
	key := c.newKey()
	u.keys = append(u.keys, accessKey{Key: key, created: c.now})
	return node("", node("AccessKey", text("UserName", u.name), text("AccessKeyId", key.ID), text("Status", "Active"),
		text("SecretAccessKey", key.Secret), date("CreateDate", c.now))), nil
}

func listAccessKeys(c *call) (*element, *apiError) {
	u, failure := c.find()
	if failure != nil {
		return nil, failure
	}
	var list []*element
	for _, key := range u.keys {
		list = append(list, node("member", text("UserName", u.name), text("AccessKeyId", key.ID), text("Status", "Active"), date("CreateDate", key.created)))
	}
	return c.page("AccessKeyMetadata", list)
}

func deleteAccessKey(c *call) (*element, *apiError) {
	u, failure := c.edit()
	if failure != nil {
		return nil, failure
	}
	id := c.form.Get("AccessKeyId")
	i := slices.IndexFunc(u.keys, func(k accessKey) bool { return k.ID == id })
	if i < 0 {
		return nil, errorf(http.StatusNotFound, "NoSuchEntity", "The Access Key with id %s cannot be found.", id)
	}
	u.keys = slices.Delete(u.keys, i, i+1)
	return nil, nil
}

var policyARN = regexp.MustCompile(`^arn:aws:iam::(aws|\d{12}):policy/[\w+=,.@/-]+$`)

func attachUserPolicy(c *call) (*element, *apiError) {
	u, failure := c.edit()
	if failure != nil {
		return nil, failure
	}
	arn := c.form.Get("PolicyArn")
	if !policyARN.MatchString(arn) || strings.Contains(arn, "Missing") {
		return nil, errorf(http.StatusNotFound, "NoSuchEntity", "Policy %s does not exist or is not attachable.", arn)
	}
	if !slices.Contains(u.attached, arn) {
		u.attached = append(u.attached, arn)
	}
	return nil, nil
}

func detachUserPolicy(c *call) (*element, *apiError) {
	u, failure := c.edit()
	if failure != nil {
		return nil, failure
	}
	arn := c.form.Get("PolicyArn")
	i := slices.Index(u.attached, arn)
	if i < 0 {
		return nil, errorf(http.StatusNotFound, "NoSuchEntity", "Policy %s was not found.", arn)
	}
	u.attached = slices.Delete(u.attached, i, i+1)
	return nil, nil
}

func listAttachedUserPolicies(c *call) (*element, *apiError) {
	u, failure := c.find()
	if failure != nil {
		return nil, failure
	}
	return c.page("AttachedPolicies", attachedElements(u.attached))
}

func attachedElements(arns []string) []*element {
	var list []*element
	for _, arn := range arns {
		list = append(list, node("member", text("PolicyName", arn[strings.LastIndex(arn, "/")+1:]), text("PolicyArn", arn)))
	}
	return list
}

func putUserPolicy(c *call) (*element, *apiError) {
	u, failure := c.edit()
	if failure != nil {
		return nil, failure
	}
	if failure := checkDocument(c.form.Get("PolicyDocument")); failure != nil {
		return nil, failure
	}
	if u.inline == nil {
		u.inline = map[string]string{}
	}
	u.inline[c.form.Get("PolicyName")] = c.form.Get("PolicyDocument")
	return nil, nil
}

func checkDocument(text string) *apiError {
	var document struct{ Statement any }
	if json.Unmarshal([]byte(text), &document) != nil || document.Statement == nil {
		return errorf(http.StatusBadRequest, "MalformedPolicyDocument", "Syntax errors in policy.")
	}
	return nil
}

func deleteUserPolicy(c *call) (*element, *apiError) {
	u, failure := c.edit()
	if failure != nil {
		return nil, failure
	}
	name := c.form.Get("PolicyName")
	if _, ok := u.inline[name]; !ok {
		return nil, errorf(http.StatusNotFound, "NoSuchEntity", "The user policy with name %s cannot be found.", name)
	}
	delete(u.inline, name)
	return nil, nil
}

func listUserPolicies(c *call) (*element, *apiError) {
	u, failure := c.find()
	if failure != nil {
		return nil, failure
	}
	return c.page("PolicyNames", nameElements(u.inline))
}

func nameElements(documents map[string]string) []*element {
	var list []*element
	for _, name := range slices.Sorted(maps.Keys(documents)) {
		list = append(list, text("member", name))
	}
	return list
}

func getUserPolicy(c *call) (*element, *apiError) {
	u, failure := c.find()
	if failure != nil {
		return nil, failure
	}
	name := c.form.Get("PolicyName")
	document, ok := u.inline[name]
	if !ok {
		return nil, errorf(http.StatusNotFound, "NoSuchEntity", "The user policy with name %s cannot be found.", name)
	}
	return node("", text("UserName", u.name), text("PolicyName", name), text("PolicyDocument", encodeDocument(document))), nil
}
