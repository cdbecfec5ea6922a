package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// EnableAuth puts an auth method at a path below auth/, such as "userpass".
func (c *Client) EnableAuth(ctx context.Context, path string, ask MountInput) error {
	_, err := c.do(ctx, request{method: http.MethodPost, path: "sys/auth/" + path, body: ask})
	return err
}

// ListAuth lists the auth methods by path, without auth/ in front; paths end in a slash.
func (c *Client) ListAuth(ctx context.Context) (*Envelope[map[string]Mount], error) {
	return call[map[string]Mount](ctx, c, request{method: http.MethodGet, path: "sys/auth"})
}

// AuthTuning reads how the auth method at a path is tuned, defaults filled in.
func (c *Client) AuthTuning(ctx context.Context, path string) (*Envelope[MountConfig], error) {
	return c.MountTuning(ctx, "auth/"+path)
}

// TuneAuth changes how the auth method at a path is tuned.
func (c *Client) TuneAuth(ctx context.Context, path string, ask MountConfigInput) error {
	return c.TuneMount(ctx, "auth/"+path, ask)
}

// DisableAuth revokes all tokens that were made at a path, with all that hangs on them, and takes
// the auth method away. It returns when both are done.
func (c *Client) DisableAuth(ctx context.Context, path string) error {
	_, err := c.do(ctx, request{method: http.MethodDelete, path: "sys/auth/" + path})
	return err
}

// LoginUserpass logs in with a name and a password at a mount of type "userpass", which is mostly
// called that too. See Login for what it returns.
func (c *Client) LoginUserpass(ctx context.Context, mount, user, password string) (*Secret, error) {
	if user == "" {
		return nil, errors.New("log in: no user is named")
	}
	body := struct {
		Password string `json:"password"`
	}{password}
	return c.Login(ctx, "auth/"+join(mount, "login/"+user), body)
}

// LoginAppRole logs a machine in at a mount of type "approle", which is mostly called that too.
// secretID is "" for a role that asks for none. See Login for what it returns.
func (c *Client) LoginAppRole(ctx context.Context, mount, roleID, secretID string) (*Secret, error) {
	if roleID == "" {
		return nil, errors.New("log in: the role ID is missing")
	}
	body := struct {
		RoleID   string `json:"role_id"`
		SecretID string `json:"secret_id,omitempty"`
	}{roleID, secretID}
	return c.Login(ctx, "auth/"+join(mount, "login"), body)
}

// Login sends body to the login path of an auth method, such as "auth/userpass/login/ann", without
// the Client's own token. The answer's Auth is the token that was earned: WithToken makes a Client
// that bears it, KeepRenewed keeps it alive. A Client that has its answers wrapped gets a WrapInfo
// in place of the Auth.
func (c *Client) Login(ctx context.Context, path string, body any) (*Secret, error) {
	secret, err := call[map[string]any](ctx, c.WithToken(""), request{method: http.MethodPut, path: path, body: body})
	if err == nil && secret.Auth == nil && secret.WrapInfo == nil {
		err = fmt.Errorf("log in at %s: the answer holds no token", path)
	}
	if err != nil {
		return nil, err
	}
	return secret, nil
}
