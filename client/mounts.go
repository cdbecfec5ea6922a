package client

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// Mounts lists the secrets engines by path; paths end in a slash.
func (c *Client) Mounts(ctx context.Context) (*Envelope[map[string]Mount], error) {
	return call[map[string]Mount](ctx, c, request{method: http.MethodGet, path: "sys/mounts"})
}

// EnableMount puts a secrets engine at a path.
func (c *Client) EnableMount(ctx context.Context, path string, ask MountInput) error {
	_, err := c.do(ctx, request{method: http.MethodPost, path: "sys/mounts/" + path, body: ask})
	return err
}

// MountTuning reads how the engine at a path is tuned, defaults filled in.
func (c *Client) MountTuning(ctx context.Context, path string) (*Envelope[MountConfig], error) {
	return call[MountConfig](ctx, c, request{method: http.MethodGet, path: tuning(path)})
}

func tuning(path string) string { return "sys/mounts/" + join(path, "tune") }

// TuneMount changes how the engine at a path is tuned.
func (c *Client) TuneMount(ctx context.Context, path string, ask MountConfigInput) error {
	_, err := c.do(ctx, request{method: http.MethodPost, path: tuning(path), body: ask})
	return err
}

// DisableMount revokes all that was leased at a path and takes the engine away. It returns when
// both are done; if destroying fails, the mount stays, serves no more, and can be disabled again.
func (c *Client) DisableMount(ctx context.Context, path string) error {
	_, err := c.do(ctx, request{method: http.MethodDelete, path: "sys/mounts/" + path})
	return err
}

// FreezeMount keeps all that was leased at a path from being destroyed, for a duration or, with 0,
// until it is thawed. What ends meanwhile is dead to its holders all the same. A mount that is frozen
// already gets the new reason and end.
func (c *Client) FreezeMount(ctx context.Context, path, reason string, d time.Duration) error {
	ask := struct {
		Reason   string `json:"reason"`
		Duration string `json:"duration,omitempty"`
	}{Reason: reason}
	if d != 0 {
		ask.Duration = d.String()
	}
	_, err := c.do(ctx, request{method: http.MethodPost, path: "sys/mounts/" + join(path, "freeze"), body: ask})
	return err
}

// ThawMount ends a freeze. One that was not frozen is no error.
func (c *Client) ThawMount(ctx context.Context, path string) error {
	_, err := c.do(ctx, request{method: http.MethodPost, path: "sys/mounts/" + join(path, "thaw")})
	return err
}

// MoveMount starts to revoke all that was leased at a path; once nothing is left, the engine serves
// the other path with all that was configured. The answer's Data.ID is for Migration, its Job, where
// the server names one, does the revoking. Asked again for the same two paths, it tries at once what has
// failed so far.
func (c *Client) MoveMount(ctx context.Context, from, to string) (*Envelope[Migration], error) {
	body := struct {
		From string `json:"from"`
		To   string `json:"to"`
	}{from, to}
	return call[Migration](ctx, c, request{method: http.MethodPost, path: "sys/remount", body: body})
}

// Migration tells how far a move has come.
func (c *Client) Migration(ctx context.Context, id string) (*Envelope[Migration], error) {
	at, err := below("sys/remount/status", id)
	if err != nil {
		return nil, err
	}
	return call[Migration](ctx, c, request{method: http.MethodGet, path: at})
}

// WaitMigration waits until a move is done or has failed, or until ctx ends, and returns it as it was
// last seen; which of the two it is, its status says. progress, unless it is nil, is called each time
// that the move was looked at.
func (c *Client) WaitMigration(ctx context.Context, id string, progress func(*Migration)) (*Envelope[Migration], error) {
	for wait := firstJobWait; ; wait = min(2*wait, longestJobWait) {
		found, err := c.Migration(ctx, id)
		if err != nil {
			return nil, err
		}
		if progress != nil {
			progress(&found.Data)
		}
		switch status := found.Data.Info.Status; status {
		case MigrationSucceeded, MigrationFailed:
			return found, nil
		case MigrationInProgress:
		default:
			return found, fmt.Errorf("migration %s has the unknown status %q", id, status)
		}
		if err := sleep(ctx, wait); err != nil {
			return found, fmt.Errorf("migration %s is not finished: %w", id, err)
		}
	}
}

// MountAt tells which mount serves a path. A path that no mount serves, and one that the token may
// not use, is an *Error of code Denied.
func (c *Client) MountAt(ctx context.Context, path string) (*Envelope[MountAt], error) {
	return call[MountAt](ctx, c, request{method: http.MethodGet, path: "sys/internal/ui/mounts/" + path})
}
