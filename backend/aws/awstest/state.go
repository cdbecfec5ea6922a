package awstest

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// account is all that there is. Users and groups are replaced whole, so that a copy stays as it was.
type account struct {
	id       string
	users    map[string]*user  // by lower-case name
	groups   map[string]*group // by name
	roles    map[string]Role   // by ARN
	sessions map[string]*session
}

type user struct {
	account        string
	name, path, id string
	created        time.Time
	boundary       string
	tags           map[string]string
	keys           []accessKey
	attached       []string          // ARNs of policies
	inline         map[string]string // documents by name
	groups         []string
	password       bool
	extras         map[string][]string // devices, certificates and so on, by the action that lists them
}

type accessKey struct {
	Key
	created  time.Time
	inactive bool
}

type group struct {
	account  string
	name, id string
	created  time.Time
	attached []string
	inline   map[string]string
}

// Role is what may be assumed.
type Role struct {
	ARN        string
	ExternalID string        // has to be sent, unless empty
	MaxSession time.Duration // 0: an hour
}

// session is a set of temporary credentials.
type session struct {
	Key
	token        string
	user, userID string
	arn          string
	ends         time.Time
	policy       string
	policyARNs   []string
	tags         map[string]string
}

func newAccount(id string) *account {
	return &account{id: id, users: map[string]*user{}, groups: map[string]*group{}, roles: map[string]Role{}, sessions: map[string]*session{}}
}

func (a *account) clone() *account {
	return &account{a.id, maps.Clone(a.users), maps.Clone(a.groups), maps.Clone(a.roles), maps.Clone(a.sessions)}
}

func (a *account) put(u *user) { a.users[strings.ToLower(u.name)] = u }

func (u *user) arn() string { return "arn:aws:iam::" + u.account + ":user" + u.path + u.name }

func (u *user) clone() *user {
	c := *u
	c.tags, c.inline = maps.Clone(u.tags), maps.Clone(u.inline)
	c.keys, c.attached, c.groups = slices.Clone(u.keys), slices.Clone(u.attached), slices.Clone(u.groups)
	c.extras = map[string][]string{}
	for kind, list := range u.extras {
		c.extras[kind] = slices.Clone(list)
	}
	return &c
}

// AddGroup makes a group with policies of its own and attached ones.
func (s *Server) AddGroup(name string, inline map[string]string, attached ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.account = s.account.clone()
	s.account.groups[name] = &group{account: s.account.id, name: name, id: s.newID("AGPA"), created: s.now(), inline: inline, attached: attached}
}

// AddRole makes a role that may be assumed.
func (s *Server) AddRole(r Role) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.account = s.account.clone()
	s.account.roles[r.ARN] = r
}

// AddUser makes a user with a key behind the API's back.
func (s *Server) AddUser(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.account = s.account.clone()
	s.account.put(&user{account: s.account.id, name: name, path: "/", id: s.newID("AIDA"), created: s.now(), keys: []accessKey{{Key: s.newKey(), created: s.now()}}})
}

// Clutter gives a user everything that no API call of a lease's making does: a password, a device,
// certificates and keys for other services.
func (s *Server) Clutter(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.account = s.account.clone()
	if u := s.account.users[strings.ToLower(name)]; u != nil {
		u = u.clone()
		u.password = true
		for kind := range extraKinds {
			u.extras[kind] = []string{s.newID("X") + "A", s.newID("X") + "B"}
		}
		s.account.put(u)
	}
}

// User is what a user has.
type User struct {
	Name, Path, Boundary string
	Tags                 map[string]string
	Keys                 []Key
	Attached, Groups     []string
	Inline               map[string]string
}

// Users are all users but the operator, by name: what is true, whatever the lag.
func (s *Server) Users() []User {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []User
	for _, name := range slices.Sorted(maps.Keys(s.account.users)) {
		if u := s.account.users[name]; u.name != Operator {
			list = append(list, s.show(u))
		}
	}
	return list
}

// OperatorKeys are the IDs of the operator's keys.
func (s *Server) OperatorKeys() []Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.show(s.account.users[Operator]).Keys
}

func (s *Server) show(u *user) User {
	out := User{Name: u.name, Path: u.path, Boundary: u.boundary, Tags: maps.Clone(u.tags), Inline: maps.Clone(u.inline),
		Attached: slices.Clone(u.attached), Groups: slices.Clone(u.groups)}
	for _, key := range u.keys {
		out.Keys = append(out.Keys, key.Key)
	}
	return out
}

// Session is a set of temporary credentials that was handed out.
type Session struct {
	Key        Key
	Token, ARN string
	Ends       time.Time
	Policy     string
	PolicyARNs []string
	Tags       map[string]string
}

// Sessions are all sets of temporary credentials, by ARN.
func (s *Server) Sessions() []Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Session
	for _, t := range s.account.sessions {
		list = append(list, Session{t.Key, t.token, t.arn, t.ends, t.policy, t.policyARNs, t.tags})
	}
	slices.SortFunc(list, func(a, b Session) int { return strings.Compare(a.ARN, b.ARN) })
	return list
}

// find returns the user that a call names, or the caller.
func (c *call) find() (*user, *apiError) {
	name := c.form.Get("UserName")
	if name == "" {
		name = c.caller.user
	}
	u := c.view.users[strings.ToLower(name)]
	if u == nil || u.name != Operator && c.now.Sub(u.created) < c.lags.Users {
		return nil, errorf(http.StatusNotFound, "NoSuchEntity", "The user with name %s cannot be found.", name)
	}
	return u, nil
}

// edit returns a copy of the user that a call names, and puts it in the user's place.
func (c *call) edit() (*user, *apiError) {
	u, failure := c.find()
	if failure != nil {
		return nil, failure
	}
	u = u.clone()
	c.account.put(u)
	return u, nil
}

// AddOperatorKey gives the operator another key, as a person may.
func (s *Server) AddOperatorKey() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.account = s.account.clone()
	u := s.account.users[Operator].clone()
	u.keys = append(u.keys, accessKey{Key: s.newKey(), created: s.now()})
	s.account.put(u)
}

// DropOperatorKey deletes one of the operator's keys, as a person may.
func (s *Server) DropOperatorKey(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.account = s.account.clone()
	u := s.account.users[Operator].clone()
	u.keys = slices.DeleteFunc(u.keys, func(k accessKey) bool { return k.ID == id })
	s.account.put(u)
}
