package webhook_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/webhook"
	"github.com/leasehold/leasehold/lease"
)

func (m *mount) inventory() (items []backend.Item, err error) {
	ask := &backend.InventoryRequest{Mount: m.request(backend.Read, "", nil).Mount, Store: m.store, Mark: "lh-c1"}
	err = m.engine.Inventory(m.Context(), ask, func(item backend.Item) error {
		items = append(items, item)
		return nil
	})
	return items, err
}

func names(items []backend.Item) (names []string) {
	for _, item := range items {
		names = append(names, item.ExternalName)
	}
	return names
}

// listing is a mount whose service answers inventory calls with what answer makes of each.
func listing(t *testing.T, answer func(body string, r *http.Request) string) *mount {
	srv := startPlain(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		io.WriteString(w, answer(string(body), r))
	}))
	t.Cleanup(srv.Close)
	return forService(t, srv)
}

func TestInventoryIsAskedForPageByPage(t *testing.T) {
	pages := []string{
		`{"items":[{"external_name":"aaa","created":"yesterday?"}]}`, // replaced below
		`{"items":[{"external_name":"lh-c1-b","created":"2027-01-15T09:00:00.5+01:00","note":{}},{"external_name":"lh-c10-a"}],"more":true}`,
		`{"items":[{"external_name":"lh-c10-b"}],"more":true}`,
		`{"items":[{"external_name":"lh-c2-x"}],"more":false}`,
	}
	pages[0] = `{"items":[{"external_name":"aaa"},{"external_name":"lh-c1"},{"external_name":"lh-c1-a","created":null}],"more":true}`
	var bodies []string
	m := listing(t, func(body string, r *http.Request) string {
		bodies = append(bodies, r.URL.Path+" "+body)
		if !signed(r.Header.Get("X-Leasehold-Signature"), []byte(body)) {
			t.Errorf("call %d is not signed", len(bodies))
		}
		for _, header := range []string{"X-Leasehold-Fencing", "Idempotency-Key"} {
			if got, ok := r.Header[header]; ok {
				t.Errorf("call %d changes nothing and has %s: %q", len(bodies), header, got)
			}
		}
		return pages[len(bodies)-1]
	})
	m.write("roles/ci", map[string]any{"params": map[string]any{"scope": "read"}})
	got, err := m.inventory()
	if err != nil {
		t.Fatal(err)
	}
	const call = `/inventory {"action":"inventory","role":"ci","params":{"scope":"read"},"mark":"lh-c1","after":"%s","limit":409}`
	var want []string
	for _, after := range []string{"", "lh-c1-a", "lh-c10-a", "lh-c10-b"} {
		want = append(want, fmt.Sprintf(call, after))
	}
	if !reflect.DeepEqual(bodies, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(bodies, "\n"), strings.Join(want, "\n"))
	}
	created := time.Date(2027, 1, 15, 8, 0, 0, 500_000_000, time.UTC)
	if len(got) != 2 || got[0].ExternalName != "lh-c1-a" || !got[0].Created.IsZero() || got[0].Role != "ci" ||
		got[1].ExternalName != "lh-c1-b" || !got[1].Created.Equal(created) {
		t.Errorf("got %+v, want lh-c1-a and lh-c1-b of role ci and nothing of other clusters", got)
	}
	m.write("config", map[string]any{"max_answer": 1024})
	bodies = nil
	if _, err := m.inventory(); err != nil || !strings.HasSuffix(bodies[0], `"limit":6}`) {
		t.Errorf("with a small max_answer: %v, %q; want a small limit", err, bodies)
	}
}

// A list that is taken for whole and is not makes what lives look as if it were gone.
func TestInventoryAnswersThatAreNotUnderstood(t *testing.T) {
	long := strings.Repeat("x", webhook.MaxName+1)
	for answer, want := range map[string]string{
		``:                                 "holds no list of items",
		`{}`:                               "holds no list of items",
		`{"items":null}`:                   "holds no list of items",
		`{"items":{}}`:                     "holds no list of items",
		`{"items":[],"more":true}`:         "says that there is more, and holds nothing",
		`{"items":[],"more":1}`:            "holds a more that is neither true nor false",
		`{"items":[],"next":"x"}`:          `holds "next", which is none of items, more`,
		`{"items":["lh-c1-a"]}`:            "holds an item that is no JSON object",
		`{"items":[{"name":"x"}]}`:         "holds an item without an external_name",
		`[]`:                               "not a JSON object",
		`{"items":[{"external_name":""}]}`: "holds an item without an external_name",
		`{"items":[{"external_name":7}]}`:  "holds an item without an external_name",
		`{"items":[{"external_name":"` + long + `"}]}`:                      "longer than 256 bytes",
		`{"items":[{"external_name":"lh-c1-\n"}]}`:                          "no plain text",
		`{"items":[{"external_name":"b"},{"external_name":"a"}]}`:           "names that do not ascend",
		`{"items":[{"external_name":"a"},{"external_name":"a"}]}`:           "names that do not ascend",
		`{"items":[{"external_name":"lh-c1-a"}],"more":true}`:               "names that do not ascend", // the second page is the first
		`{"items":[{"external_name":"a","created":1700000000}]}`:            "holds a created",
		`{"items":[{"external_name":"a","created":"2027-01-15 09:00:00"}]}`: "holds a created",
		`{"items":[{"external_name":"a"}` + strings.Repeat(" ", 70_000):     "longer than max_answer",
	} {
		m := listing(t, func(string, *http.Request) string { return answer })
		_, err := m.inventory()
		var e *lease.Error
		if !errors.As(err, &e) || e.Code != lease.Upstream || !strings.Contains(err.Error(), want) {
			t.Errorf("%.70s: got %v, want an upstream error with %q", answer, err, want)
		}
	}
	for _, status := range []int{204, 301, 400, 401, 403, 404, 410, 422, 500, 503} {
		m := answering(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		_, err := m.inventory()
		var e *lease.Error
		if !errors.As(err, &e) || e.Code != lease.Upstream {
			t.Errorf("%d: got %v, want an upstream error", status, err)
		}
	}
}

// T24: a service that never runs out of names.
func TestT24_AnInventoryWithoutEnd(t *testing.T) {
	n := 0
	m := listing(t, func(string, *http.Request) string {
		var b strings.Builder
		for i := range 400 {
			if i > 0 {
				b.WriteByte(',')
			}
			n++
			fmt.Fprintf(&b, `{"external_name":"lh-x-%09d"}`, n)
		}
		return `{"items":[` + b.String() + `],"more":true}`
	})
	m.engine.LimitInventory(10_000)
	_, err := m.inventory()
	if err == nil || !strings.Contains(err.Error(), "one of more than 10000 names") || n != 10_400 {
		t.Errorf("got %v after %d names, want an error after 10400", err, n)
	}
}

// An inventory that leaves out a role would make its leases look empty.
func TestInventoryOfAllRolesOrNone(t *testing.T) {
	var asked []string
	m := listing(t, func(body string, _ *http.Request) string {
		var call struct{ Role string }
		if err := json.Unmarshal([]byte(body), &call); err != nil {
			t.Error(err)
		}
		asked = append(asked, call.Role)
		// The service does not keep the roles "ci" and "twin" apart.
		if call.Role == "other" {
			return `{"items":[{"external_name":"lh-c1-c"}]}`
		}
		return `{"items":[{"external_name":"lh-c1-a"},{"external_name":"lh-c1-b"}]}`
	})
	role, err := m.handle(backend.Read, "roles/ci", nil)
	if err != nil {
		t.Fatal(err)
	}
	url := strings.TrimSuffix(role.Data["revoke_url"].(string), "/revoke")
	m.write("roles/twin", roleAt(url))
	silent := roleAt(url)
	delete(silent, "inventory_url")
	refused := func(when string) {
		t.Helper()
		asked = nil
		var e *lease.Error
		_, err := m.inventory()
		if !errors.As(err, &e) || e.Code != lease.Unsupported || !strings.HasPrefix(e.Message, `inventory_url: role "other" has none`) || asked != nil {
			t.Errorf("%s: got %v after calls for %q, want that it is unsupported", when, err, asked)
		}
	}
	listed := func(when string) {
		t.Helper()
		asked = nil
		items, err := m.inventory()
		want := []backend.Item{{ExternalName: "lh-c1-a", Role: "ci"}, {ExternalName: "lh-c1-b", Role: "ci"}, {ExternalName: "lh-c1-c", Role: "other"}}
		for i := range items {
			items[i].Internal = nil
		}
		if err != nil || !reflect.DeepEqual(items, want) || !reflect.DeepEqual(asked, []string{"ci", "other", "twin"}) {
			t.Errorf("%s: got %+v, %v after calls for %q; want %+v", when, items, err, asked, want)
		}
	}
	remove := func() {
		t.Helper()
		if _, err := m.handle(backend.Delete, "roles/other", nil); err != nil {
			t.Fatal(err)
		}
	}
	m.write("roles/other", silent)
	refused("a role without the URL")
	remove()
	refused("a deleted role without it, whose leases may live")
	m.write("roles/other", map[string]any{"revoke_url": url + "/revoke", "secret": signingKey, "inventory_url": url + "/inventory"})
	listed("all roles with it")
	remove()
	listed("a deleted role with it")
}

// A service that closes connections without a word between two calls has not failed.
func TestInventoryOverAStaleConnection(t *testing.T) {
	var mu sync.Mutex // guards both
	from, calls := map[string]int{}, 0
	m := answering(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		calls++
		if from[r.RemoteAddr]++; from[r.RemoteAddr] > 1 {
			panic(http.ErrAbortHandler)
		}
		io.WriteString(w, `{"items":[]}`)
	})
	for range 3 {
		if _, err := m.inventory(); err != nil {
			t.Error(err)
		}
	}
	if calls != 5 || len(from) != 3 {
		t.Errorf("%d calls on %d connections, want 5 on 3: two on connections that were closed", calls, len(from))
	}
}

// What the inventory says of an item is enough to destroy it, and no more of the role than that.
func TestInventoryItemsLeadToTheService(t *testing.T) {
	s := newService(t, startPlain)
	m := forService(t, s.srv)
	if _, err := m.engine.Create(t.Context(), m.intent(m.prepare("ci", nil))); err != nil {
		t.Fatal(err)
	}
	items, err := m.inventory()
	if err != nil || !reflect.DeepEqual(names(items), []string{"lh-c1-x"}) {
		t.Fatalf("got %v, %v", names(items), err)
	}
	if _, err := m.handle(backend.Delete, "roles/ci", nil); err != nil {
		t.Fatal(err)
	}
	if err := m.store.Delete(t.Context(), "deleted/ci"); err != nil {
		t.Fatal(err)
	}
	orphan := &backend.Destruction{
		ExternalName: items[0].ExternalName, Role: items[0].Role, Internal: items[0].Internal, Fence: 900, Attempt: 1, Store: m.store,
	}
	if err := m.engine.Destroy(t.Context(), orphan); err != nil || len(s.living()) != 0 {
		t.Errorf("got %v, and %q live", err, s.living())
	}
}

func TestInventoryKeepsToTheAllowedHosts(t *testing.T) {
	s := newService(t, startPlain)
	m := newMount(t, webhook.Options{})
	m.dev = true
	m.write("roles/ci", roleAt(s.srv.URL))
	if _, err := m.inventory(); err != nil { // the role knows that it was written on a -dev server
		t.Errorf("a -dev server: %v", err)
	}
	m.dev = false
	m.write("config", map[string]any{"allowed_hosts": "127.0.0.1"})
	m.write("roles/ci", map[string]any{"renewable": true})
	m.write("config", map[string]any{"allowed_hosts": "a.test"})
	var e *lease.Error
	_, err := m.inventory()
	if !errors.As(err, &e) || e.Message != "the mount's config does not let the service be called" || !strings.Contains(err.Error(), "inventory_url: host 127.0.0.1:") {
		t.Errorf("a host that is listed no more: got %v", err)
	}
	if s.asked != 1 {
		t.Errorf("the service was asked %d times, want once", s.asked)
	}
}
