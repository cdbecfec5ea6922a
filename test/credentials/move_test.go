package credentials

import (
	"encoding/json"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend/database/dbtest"
)

// TestMountMovesWhileItsLeaderIsKilled: a mount that moves ends all that it leased, slowly here, and the leader is
// killed in the middle. The next one goes on: no login is left, and the mount is where it was to go. (S12, S13)
func TestMountMovesWhileItsLeaderIsKilled(t *testing.T) {
	c, srv := start(t), dbtest.StartPostgres(t)
	e := c.engine("old", srv, map[string]any{"revoke_rate": 20})
	e.role("app", time.Hour)
	held := e.fill(t, 80, "app", func() time.Duration { return 0 })

	var begun struct {
		Data struct {
			ID string `json:"migration_id"`
		}
	}
	c.must(1, "POST", "sys/remount", `{"from":"old","to":"new"}`).into(t, &begun)
	eventually(t, 10*time.Second, "some of the logins are gone", func() bool { return len(e.inventory(t, "app")) < len(held) })
	lead := c.leader()
	c.strike(lead)
	if left := len(e.inventory(t, "app")); left == 0 {
		t.Fatal("the run is void: nothing was left to do when the leader was killed")
	} else {
		t.Logf("the leader was killed with %d of %d logins left", left, len(held))
	}
	c.script("start", strconv.Itoa(lead))

	eventually(t, 60*time.Second, "the mount has moved", func() bool {
		r := c.send(lead%3+1, "GET", "sys/remount/status/"+begun.Data.ID, "")
		var answer struct {
			Data struct {
				Info struct{ Status string } `json:"migration_info"`
			}
		}
		return r.status == http.StatusOK && json.Unmarshal([]byte(r.body), &answer) == nil && answer.Data.Info.Status == "success"
	})
	if left := e.inventory(t, "app"); len(left) > 0 {
		t.Errorf("%d logins outlived the move: %v", len(left), left)
	}
	for _, login := range held[:10] {
		e.wantEnters(t, login, false)
	}
	if r := c.send(1, "GET", "old/creds/app", ""); r.status != http.StatusNotFound {
		t.Errorf("at the old path: got %v, want 404", r)
	}
	e.path = "new"
	e.wantEnters(t, e.issue(t, 2, "app", 0), true)
}
