package webhook_test

import (
	"context"
	"encoding/binary"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/webhook"
)

// T16: the address is checked that is dialled. The name server answers each second question with an
// address that is refused and that, on this system, reaches the service all the same: a check made
// with an answer of its own would see the good one each time and let the call through.
func TestT16_TheAddressThatIsCheckedIsTheOneThatIsCalled(t *testing.T) {
	srv := startTLS(http.NotFoundHandler())
	defer srv.Close()
	m := newMount(t, webhook.Options{Resolver: alternating(t, [4]byte{127, 0, 0, 1}, [4]byte{0, 0, 0, 0})})
	cert := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
	m.write("config", map[string]any{"allowed_hosts": "example.com", "ca_cert": cert})
	m.write("roles/ci", roleAt(strings.Replace(srv.URL, "127.0.0.1", "example.com", 1)))
	internal := m.prepare("ci", nil).Internal
	for i, refused := range []bool{false, true, false, true} {
		m.engine.Close() // so that each call asks for the address anew
		err := m.engine.Destroy(t.Context(), m.destruction(internal))
		if refused != backend.IsPermanent(err) || !refused && err != nil {
			t.Errorf("call %d: got %v, want refused: %v", i+1, err, refused)
		}
	}
}

// alternating answers questions for IPv4 addresses with each address in turn.
func alternating(t *testing.T, addrs ...[4]byte) *net.Resolver {
	var asked atomic.Int64
	var answering sync.WaitGroup
	t.Cleanup(answering.Wait)
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		answering.Go(func() {
			defer far.Close()
			answer(far, func() [4]byte { return addrs[int(asked.Add(1)-1)%len(addrs)] })
		})
		return near, nil
	}}
}

// answer answers one question, as a name server does on a stream: each message follows its length.
func answer(conn net.Conn, next func() [4]byte) {
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return
	}
	question := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, question); err != nil {
		return
	}
	var msg dnsmessage.Message
	if msg.Unpack(question) != nil {
		return
	}
	msg.Response, msg.Authoritative, msg.Additionals = true, true, nil
	for _, q := range msg.Questions {
		if q.Type == dnsmessage.TypeA {
			msg.Answers = append(msg.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1},
				Body:   &dnsmessage.AResource{A: next()},
			})
		}
	}
	if out, err := msg.Pack(); err == nil {
		_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(out))), out...))
	}
}
