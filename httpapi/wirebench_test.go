package httpapi_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"

	"github.com/leasehold/leasehold/lease"
)

// BenchmarkLookupOverTCP is BenchmarkLookup with a connection: a client that costs next to nothing
// writes the same bytes and reads the answer. cpu-us/op is what server and kernel take for one.
func BenchmarkLookupOverTCP(b *testing.B) {
	r := newRig(b)
	r.Enable("locks/", "lease", lease.MountConfig{})
	id := r.issue("locks/build/42", "root", `{"ttl":"1h"}`)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	r.server.Open(l, nil)
	defer r.server.Close(b.Context())
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	body := `{"lease_id":"` + id + `"}`
	request := fmt.Appendf(nil, "PUT /v1/sys/leases/lookup HTTP/1.1\r\nHost: x\r\nX-Vault-Token: root\r\nX-Vault-Request: true\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	in := bufio.NewReader(conn)
	b.ReportAllocs()
	begin := cpu(b)
	for b.Loop() {
		if _, err := conn.Write(request); err != nil {
			b.Fatal(err)
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
			b.Fatal(resp.Status, err)
		}
	}
	b.ReportMetric(float64(cpu(b)-begin)/1e3/float64(b.N), "cpu-us/op")
}

// cpu is the processor time that this process has taken, in nanoseconds.
func cpu(b *testing.B) int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}
