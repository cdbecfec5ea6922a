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
