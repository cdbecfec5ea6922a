package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/leasehold/leasehold/client"
)

// clusterForExamples stands for a cluster, so that the examples run by themselves.
func clusterForExamples() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/lease/jobs/nightly":
			io.WriteString(w, `{"lease_id":"lease/jobs/nightly/0YC32","renewable":true,"lease_duration":600,"data":{}}`)
		case "/v1/sys/leases/renew":
			io.WriteString(w, `{"lease_id":"lease/jobs/nightly/0YC32","renewable":true,"lease_duration":3600}`)
		case "/v1/sys/leases/lookup":
			io.WriteString(w, `{"data":{"id":"lease/jobs/nightly/0YC32","ttl":3599,"status":"active"}}`)
		case "/v1/sys/leases/revoke/lease/jobs/nightly/0YC32":
			w.WriteHeader(http.StatusNoContent)
		case "/v1/auth/userpass/login/ann":
			io.WriteString(w, `{"auth":{"client_token":"hvs.ann","policies":["app","default"],"lease_duration":3600}}`)
		case "/v1/sys/capabilities-self":
			io.WriteString(w, `{"data":{"capabilities":["update"],"lease/jobs/nightly":["update"]}}`)
		case "/v1/sys/wrapping/wrap":
			io.WriteString(w, `{"wrap_info":{"token":"hvs.wrap","ttl":60}}`)
		case "/v1/sys/wrapping/unwrap":
			io.WriteString(w, `{"data":{"pin":"1234"}}`)
		case "/v1/sys/namespaces/blue":
			io.WriteString(w, `{"data":{"id":"Xy12ab","path":"blue/","custom_metadata":{"owner":"ann"}}}`)
		case "/v1/kv/greeting":
			io.WriteString(w, `{"data":{"text":"hello"}}`)
		default:
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"errors":["invalid lease"]}`)
		}
	}))
}

// Take a lease, let it live longer, look at it, end it.
func Example() {
	cluster := clusterForExamples()
	defer cluster.Close()
	ctx := context.Background()

	c, err := client.New(client.Config{Address: cluster.URL, Token: "hvs.example"})
	if err != nil {
		panic(err)
	}
	secret, err := c.Issue(ctx, "lease/jobs/nightly", client.IssueRequest{TTL: "10m"})
	if err != nil {
		panic(err)
	}
	fmt.Println("issued", secret.LeaseID, "for", secret.LeaseDuration, "seconds")

	renewed, err := c.RenewLease(ctx, secret.LeaseID, time.Hour)
	if err != nil {
		panic(err)
	}
	fmt.Println("renewed for", renewed.LeaseDuration, "seconds")

	found, err := c.LookupLease(ctx, secret.LeaseID)
	if err != nil {
		panic(err)
	}
	fmt.Println(found.Data.Status, "for", found.Data.TTL, "seconds more")

	if err := c.RevokeLease(ctx, secret.LeaseID, client.Waiting); err != nil {
		panic(err)
	}
	fmt.Println("revoked")
	// Output:
	// issued lease/jobs/nightly/0YC32 for 600 seconds
	// renewed for 3600 seconds
	// active for 3599 seconds more
	// revoked
}

// Keep a lease while something works with what was leased.
func ExampleClient_KeepRenewed() {
	cluster := clusterForExamples()
	defer cluster.Close()
	ctx := context.Background()

	c, err := client.New(client.Config{Address: cluster.URL, Token: "hvs.example"})
	if err != nil {
		panic(err)
	}
	secret, err := c.Issue(ctx, "lease/jobs/nightly", client.IssueRequest{TTL: "10m"})
	if err != nil {
		panic(err)
	}
	renewer, err := c.KeepRenewed(ctx, secret, client.RenewerConfig{})
	if err != nil {
		panic(err)
	}
	work := make(chan struct{})
	go func() { defer close(work) }() // what the lease is for

	select {
	case <-work:
		renewer.Stop()
		fmt.Println("done with it")
	case <-renewer.Done():
		fmt.Println("fetch another:", renewer.Err())
	}
	// Output: done with it
}

// What a refusal means to the caller.
func ExampleCodeOf() {
	cluster := clusterForExamples()
	defer cluster.Close()

	c, err := client.New(client.Config{Address: cluster.URL, Token: "hvs.example"})
	if err != nil {
		panic(err)
	}
	_, err = c.Read(context.Background(), "lease/none", nil)
	switch client.CodeOf(err) {
	case client.Unavailable:
		fmt.Println("nothing happened: try again")
	case client.Uncertain:
		fmt.Println("it may have happened: look first")
	case client.Invalid:
		refused, _ := errors.AsType[*client.Error](err)
		fmt.Println("wrong request:", refused.Reason())
	}
	// Output: wrong request: invalid lease
}

// Log in, and go on with the token that the login earned.
func ExampleClient_LoginUserpass() {
	cluster := clusterForExamples()
	defer cluster.Close()
	ctx := context.Background()

	c, err := client.New(client.Config{Address: cluster.URL})
	if err != nil {
		panic(err)
	}
	login, err := c.LoginUserpass(ctx, "userpass", "ann", "correct horse")
	if err != nil {
		panic(err)
	}
	fmt.Println("logged in with the policies", login.Auth.Policies)

	c = c.WithToken(login.Auth.ClientToken)
	may, err := c.CapabilitiesSelf(ctx, "lease/jobs/nightly")
	if err != nil {
		panic(err)
	}
	fmt.Println("which allow", may.Data["lease/jobs/nightly"])
	// Output:
	// logged in with the policies [app default]
	// which allow [update]
}

// Hand a value on so that whoever fetches it knows to be the first.
func ExampleClient_Wrap() {
	cluster := clusterForExamples()
	defer cluster.Close()
	ctx := context.Background()

	c, err := client.New(client.Config{Address: cluster.URL, Token: "hvs.example"})
	if err != nil {
		panic(err)
	}
	wrapped, err := c.Wrap(ctx, map[string]any{"pin": "1234"}, time.Minute)
	if err != nil {
		panic(err)
	}

	// Whoever is given the token needs no other.
	stranger := c.WithToken("")
	secret, err := stranger.Unwrap(ctx, wrapped.Token)
	if err != nil {
		panic(err)
	}
	fmt.Println("the PIN is", secret.Data["pin"])
	// Output: the PIN is 1234
}

// Work in a namespace of one's own.
func ExampleClient_WithNamespace() {
	cluster := clusterForExamples()
	defer cluster.Close()
	ctx := context.Background()

	c, err := client.New(client.Config{Address: cluster.URL, Token: "hvs.example"})
	if err != nil {
		panic(err)
	}
	made, err := c.PutNamespace(ctx, "blue", map[string]string{"owner": "ann"})
	if err != nil {
		panic(err)
	}
	fmt.Println("made", made.Data.Path)

	blue := c.WithNamespace("blue")
	if err := blue.KVPut(ctx, "kv", "greeting", map[string]any{"text": "hello"}); err != nil {
		panic(err)
	}
	kept, err := blue.KVGet(ctx, "kv", "greeting")
	if err != nil {
		panic(err)
	}
	fmt.Println("kept", kept.Data["text"])
	// Output:
	// made blue/
	// kept hello
}
