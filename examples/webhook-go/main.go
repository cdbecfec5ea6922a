// Command webhook-go is a service to start from whose things Leasehold leases: here passwords in a map. Put
// your own accounts, keys or machines in their place, and both maps into a database, since they must
// outlive a restart. docs/webhook.md says what a service is called with and what it must keep to.
//
//	WEBHOOK_SECRET=<the role's secret> go run ./examples/webhook-go
package main

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// account is what is leased. Whatever checks the password should also refuse it after the end.
type account struct {
	password     string
	created, end time.Time
}

var (
	secret   = []byte(os.Getenv("WEBHOOK_SECRET"))
	mu       sync.Mutex              // guards both maps
	accounts = map[string]*account{} // by external name
	fences   = map[string]uint64{}   // highest fencing index seen, by external name
)

// call is as much of a call's body as this service needs.
type call struct {
	Action string
	Name   string    `json:"external_name"`
	Fence  uint64    `json:"fencing_index"`
	End    time.Time `json:"expire_time"`
	Mark   string    // this and what follows: of inventory alone
	After  string
	Limit  int
}

// serve checks who calls, and answers. Every call may come twice, late, or not at all.
func serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil || !genuine(secret, r.Header.Get("X-Leasehold-Signature"), body, time.Now()) {
		http.Error(w, "the signature is wrong or old", http.StatusUnauthorized)
		return
	}
	var c call
	if err := json.Unmarshal(body, &c); err != nil {
		http.Error(w, "no call", http.StatusBadRequest)
		return
	}
	mu.Lock()
	status, answer := act(c, time.Now())
	mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		log.Print(err)
	}
}

type object map[string]any

// act does what a call asks for. Here your own work begins.
func act(c call, now time.Time) (int, object) {
	if c.Action == "inventory" {
		return http.StatusOK, list(c)
	}
	if c.Fence < fences[c.Name] { // of a node that leads no more, or an issue behind its own revoke
		return http.StatusConflict, object{}
	}
	fences[c.Name] = c.Fence
	a := accounts[c.Name]
	switch {
	case c.Action == "issue":
		if a == nil { // else its answer was lost: the same thing again, with a new password
			a = &account{created: now}
			accounts[c.Name] = a
		}
		a.password, a.end = rand.Text(), c.End
		return http.StatusOK, object{"data": object{"login": c.Name, "password": a.password}}
	case a == nil: // gone already, or never made
		return http.StatusNotFound, object{}
	case c.Action == "renew":
		a.end = c.End
		return http.StatusOK, object{}
	case c.Action == "revoke":
		delete(accounts, c.Name)
		return http.StatusOK, object{}
	}
	return http.StatusBadRequest, object{}
}

// list is one page of what there is, in the order of the names.
func list(c call) object {
	items, more := []object{}, false
	for _, name := range slices.Sorted(maps.Keys(accounts)) {
		if !strings.HasPrefix(name, c.Mark+"-") || name <= c.After {
			continue
		}
		if more = len(items) == c.Limit; more {
			break
		}
		items = append(items, object{"external_name": name, "created": accounts[name].created, "end": accounts[name].end})
	}
	return object{"items": items, "more": more}
}

// genuine reports whether a body came from Leasehold, and lately.
func genuine(secret []byte, header string, body []byte, now time.Time) bool {
	var t int64
	var v1 string
	if _, err := fmt.Sscanf(header, "t=%d,v1=%64s", &t, &v1); err != nil {
		return false
	}
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%d.%s", t, body)
	wanted := hex.EncodeToString(mac.Sum(nil))
	return hmac.Equal([]byte(wanted), []byte(v1)) && now.Sub(time.Unix(t, 0)).Abs() < 5*time.Minute
}

func main() {
	if len(secret) < 16 {
		log.Fatal("WEBHOOK_SECRET is shorter than 16 bytes: set it to the secret of the role")
	}
	listener, err := net.Listen("tcp", cmp.Or(os.Getenv("WEBHOOK_LISTEN"), "127.0.0.1:8700"))
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("listening on %s", listener.Addr())
	server := &http.Server{Handler: http.HandlerFunc(serve), ReadTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	if cert := os.Getenv("WEBHOOK_CERT"); cert != "" { // plain http is called on loopback alone
		log.Fatal(server.ServeTLS(listener, cert, os.Getenv("WEBHOOK_KEY")))
	}
	log.Fatal(server.Serve(listener))
}
