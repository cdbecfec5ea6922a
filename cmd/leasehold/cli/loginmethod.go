package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/leasehold/leasehold/client"
)

// loginMethod is one way to log in.
type loginMethod struct {
	takes []string // the parameters it has, besides the mount
	// secret is the parameter that a person is asked for when it is not given, "" for none.
	secret string
	try    string // what to do when the server refuses
	login  func(ctx context.Context, a *app, c *client.Client, given map[string]string) (*client.Secret, error)
}

// loginMethods are the methods by the type of the mount that serves them.
var loginMethods = map[string]loginMethod{
	"token": {
		takes: []string{"token"}, secret: "token", login: loginToken,
		try: "another token: this one is unknown, expired or revoked here.",
	},
	"userpass": {
		takes: []string{"username", "password"}, secret: "password", login: loginUserpass,
		try: "the name and the password again, a little later after several failures; -path if the method is enabled under another name.",
	},
	"approle": {
		takes: []string{"role_id", "secret_id"}, login: loginAppRole,
		try: "a new secret ID, since they are good for a time and a number of logins; -path if the method is enabled under another name.",
	},
}

func loginToken(ctx context.Context, a *app, c *client.Client, given map[string]string) (*client.Secret, error) {
	token, err := a.wanted(ctx, given, "token")
	if err != nil {
		return nil, err
	}
	token = strings.TrimSpace(token)
	// Nothing is handed out here that could be wrapped: the token is known already.
	found, err := c.WithToken(token).WithWrapTTL(0).LookupSelf(ctx)
	if err != nil {
		return nil, err
	}
	data := &found.Data
	return &client.Secret{Auth: &client.Auth{
		ClientToken: token, Accessor: data.Accessor,
		Policies: data.Policies, TokenPolicies: data.Policies, Metadata: data.Meta,
		LeaseDuration: data.TTL, Renewable: data.Renewable,
		EntityID: data.EntityID, TokenType: data.Type, Orphan: data.Orphan, NumUses: data.NumUses,
	}}, nil
}

func loginUserpass(ctx context.Context, a *app, c *client.Client, given map[string]string) (*client.Secret, error) {
	if given["username"] == "" {
		return nil, usagef("Missing username! Give it as username=NAME.")
	}
	password, err := a.wanted(ctx, given, "password")
	if err != nil {
		return nil, err
	}
	return c.LoginUserpass(ctx, given["mount"], given["username"], password)
}

func loginAppRole(ctx context.Context, _ *app, c *client.Client, given map[string]string) (*client.Secret, error) {
	if given["role_id"] == "" {
		return nil, usagef("Missing role_id! Give it as role_id=ID, and with it secret_id=ID unless the role needs none.")
	}
	return c.LoginAppRole(ctx, given["mount"], given["role_id"], given["secret_id"])
}

// wanted is a parameter that the login cannot do without: as given, or as typed on the terminal.
func (a *app) wanted(ctx context.Context, given map[string]string, name string) (string, error) {
	switch value, ok := given[name]; {
	case ok && strings.TrimSpace(value) == "":
		return "", usagef("Missing %s! What was given is empty.", name)
	case ok:
		return value, nil
	case !a.canAsk():
		return "", usagef("Missing %s! Without a terminal to ask on, give it as %s=@FILE, or on standard input as %s=-.", name, name, name)
	}
	typed, err := a.ask(ctx, strings.ToUpper(name[:1])+name[1:]+" (will be hidden): ")
	if err == nil && typed == "" {
		err = usagef("Missing %s! Nothing was typed.", name)
	}
	return typed, err
}

// loginArgs reads the arguments of a login: KEY=VALUE, KEY=@FILE, KEY=-, a JSON object as @FILE or
// -, and for the method token the bare token.
func (a *app) loginArgs(name string, method loginMethod, args []string) (map[string]string, error) {
	given := map[string]string{}
	for _, arg := range args {
		if name == "token" && !strings.Contains(arg, "=") {
			arg = "token=" + arg
		}
		key, value, isPair := strings.Cut(arg, "=")
		pairs := map[string]any{key: value}
		var err error
		switch {
		case !isPair || strings.HasPrefix(arg, "@"):
			pairs, err = a.object(arg)
		case value == "-" && key == method.secret && a.canAsk():
			continue // who sits at the terminal is asked, and it is not shown
		default:
			pairs[key], err = a.oneLine(value)
		}
		if err != nil {
			return nil, err
		}
		for key, value := range pairs {
			text, isText := value.(string)
			_, twice := given[key]
			switch {
			case key != "mount" && !slices.Contains(method.takes, key):
				return nil, usagef("The login method %s has no parameter %s: it takes %s.", name, quote(key), strings.Join(method.takes, ", "))
			case !isText:
				return nil, usagef("The parameter %s must be text, and it is %s.", key, fmt.Sprint(value))
			case twice:
				return nil, usagef("The parameter %s is given twice.", key)
			}
			given[key] = text
		}
	}
	return given, nil
}

// oneLine resolves a value as text does. What comes from a file or from standard input loses the
// end of its line, which belongs to the file and not to a password.
func (a *app) oneLine(value string) (string, error) {
	text, err := a.text(value)
	if value == "-" || strings.HasPrefix(value, "@") {
		text = strings.TrimRight(text, "\r\n")
	}
	return text, err
}
