package awstest

import (
	"net/http"
	"slices"
)

func createGroup(c *call) (*element, *apiError) {
	name := c.form.Get("GroupName")
	if c.account.groups[name] != nil {
		return nil, errorf(http.StatusConflict, "EntityAlreadyExists", "Group with name %s already exists.", name)
	}
	g := &group{account: c.account.id, name: name, id: c.newID("AGPA"), created: c.now}
	c.account.groups[name] = g
	return node("", g.element("Group")), nil
}

func (g *group) element(name string) *element {
	return node(name, text("Path", "/"), text("GroupName", g.name), text("GroupId", g.id),
		text("Arn", "arn:aws:iam::"+g.account+":group/"+g.name), date("CreateDate", g.created))
}

func (c *call) group() (*group, *apiError) {
	name := c.form.Get("GroupName")
	if g := c.view.groups[name]; g != nil {
		return g, nil
	}
	return nil, errorf(http.StatusNotFound, "NoSuchEntity", "The group with name %s cannot be found.", name)
}

func addUserToGroup(c *call) (*element, *apiError) {
	g, failure := c.group()
	if failure != nil {
		return nil, failure
	}
	u, failure := c.edit()
	if failure != nil {
		return nil, failure
	}
	if !slices.Contains(u.groups, g.name) {
		u.groups = append(u.groups, g.name)
	}
	return nil, nil
}

func removeUserFromGroup(c *call) (*element, *apiError) {
	g, failure := c.group()
	if failure != nil {
		return nil, failure
	}
	u, failure := c.edit()
	if failure != nil {
		return nil, failure
	}
	i := slices.Index(u.groups, g.name)
	if i < 0 {
		return nil, errorf(http.StatusNotFound, "NoSuchEntity", "The user is not in the group %s.", g.name)
	}
	u.groups = slices.Delete(u.groups, i, i+1)
	return nil, nil
}

func listGroupsForUser(c *call) (*element, *apiError) {
	u, failure := c.find()
	if failure != nil {
		return nil, failure
	}
	var list []*element
	for _, name := range u.groups {
		if g := c.view.groups[name]; g != nil {
			list = append(list, g.element("member"))
		}
	}
	return c.page("Groups", list)
}

func listAttachedGroupPolicies(c *call) (*element, *apiError) {
	g, failure := c.group()
	if failure != nil {
		return nil, failure
	}
	return c.page("AttachedPolicies", attachedElements(g.attached))
}

func listGroupPolicies(c *call) (*element, *apiError) {
	g, failure := c.group()
	if failure != nil {
		return nil, failure
	}
	return c.page("PolicyNames", nameElements(g.inline))
}

func getGroupPolicy(c *call) (*element, *apiError) {
	g, failure := c.group()
	if failure != nil {
		return nil, failure
	}
	name := c.form.Get("PolicyName")
	document, ok := g.inline[name]
	if !ok {
		return nil, errorf(http.StatusNotFound, "NoSuchEntity", "The group policy with name %s cannot be found.", name)
	}
	return node("", text("GroupName", g.name), text("PolicyName", name), text("PolicyDocument", encodeDocument(document))), nil
}

func deleteLoginProfile(c *call) (*element, *apiError) {
	u, failure := c.edit()
	if failure != nil {
		return nil, failure
	}
	if !u.password {
		return nil, errorf(http.StatusNotFound, "NoSuchEntity", "Login Profile for User %s cannot be found.", u.name)
	}
	u.password = false
	return nil, nil
}

// extraKinds are what a user may have beside, by the action that lists it: the name of the list, that
// of the ID, and the action that takes one away.
var extraKinds = map[string]struct{ list, id, remove string }{
	"ListMFADevices":                 {"MFADevices", "SerialNumber", "DeactivateMFADevice"},
	"ListSigningCertificates":        {"Certificates", "CertificateId", "DeleteSigningCertificate"},
	"ListSSHPublicKeys":              {"SSHPublicKeys", "SSHPublicKeyId", "DeleteSSHPublicKey"},
	"ListServiceSpecificCredentials": {"ServiceSpecificCredentials", "ServiceSpecificCredentialId", "DeleteServiceSpecificCredential"},
}

func listExtras(c *call) (*element, *apiError) {
	u, failure := c.find()
	if failure != nil {
		return nil, failure
	}
	kind := extraKinds[c.action]
	var list []*element
	for _, id := range u.extras[c.action] {
		list = append(list, node("member", text("UserName", u.name), text(kind.id, id)))
	}
	return c.page(kind.list, list)
}

func deleteExtra(c *call) (*element, *apiError) {
	u, failure := c.edit()
	if failure != nil {
		return nil, failure
	}
	for name, kind := range extraKinds {
		if kind.remove != c.action {
			continue
		}
		if i := slices.Index(u.extras[name], c.form.Get(kind.id)); i >= 0 {
			u.extras[name] = slices.Delete(u.extras[name], i, i+1)
			return nil, nil
		}
	}
	return nil, errorf(http.StatusNotFound, "NoSuchEntity", "%s cannot be found.", c.action)
}
