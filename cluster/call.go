package cluster

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/leasehold/leasehold/lease"
)

// Calls between nodes. A connection carries many at once, each way in frames:
//
//	4 bytes length of the rest | 8 bytes number of the call | 1 byte verb or outcome | body
//
// The number is the caller's; an answer repeats it. It is never used twice on a connection, so it
// is the nonce that tells an answer to this question from one that was already on its way.

// verb is what a call asks for.
type verb byte

const (
	verbTerm      verb = iota + 1 // which term are you in?
	verbReadIndex                 // leader: which index makes a read that starts now linearizable?
	verbClock                     // from the leader: my log time; what is your wall clock?
	verbStats                     // how far is your log?
	verbJoin                      // leader: let me be a member under this address
	verbLeave                     // leader: take this member out
	verbFounders                  // would you found a cluster with exactly these?
	verbMember                    // how are you?
	verbKeyring                   // from the leader: which gossip keys have you, after this step?
)

const (
	maxFrame      = 64 << 10 // bytes of a frame after its length
	frameHeader   = 9        // number and verb
	callWriteWait = 2 * time.Second
	callDialWait  = 2 * time.Second
	slowCalls     = 64 // calls served at once per connection, the quick ones apart
)

// outcomeOK in an answer is followed by the result; any other value is a lease.Code, followed by
// the message.
const outcomeOK byte = 0

func appendFrame(b []byte, number uint64, kind byte, body []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(frameHeader+len(body)))
	b = binary.BigEndian.AppendUint64(b, number)
	b = append(b, kind)
	return append(b, body...)
}

func readFrame(r *bufio.Reader) (number uint64, kind byte, body []byte, err error) {
	var head [4 + frameHeader]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, 0, nil, err
	}
	size := binary.BigEndian.Uint32(head[:4])
	if size < frameHeader || size > maxFrame {
		return 0, 0, nil, fmt.Errorf("frame of %d bytes", size)
	}
	if rest := size - frameHeader; rest > 0 {
		body = make([]byte, rest)
		if _, err := io.ReadFull(r, body); err != nil {
			return 0, 0, nil, err
		}
	}
	return binary.BigEndian.Uint64(head[4:12]), head[12], body, nil
}

// callHandler answers one call; peerOf tells it whose. The quick ones, which never block, are served
// in line.
type callHandler struct {
	quick bool
	serve func(ctx context.Context, body []byte) ([]byte, error)
}

// callServer answers the calls of other nodes.
type callServer struct {
	handlers map[verb]callHandler
	now      func() time.Time
}

// serve answers the calls on conn until it breaks, and returns when the last answer is given up.
func (s *callServer) serve(conn net.Conn) {
	ctx, cancel := context.WithCancel(withPeer(context.Background(), conn))
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex // one frame at a time
		slots = make(chan struct{}, slowCalls)
	)
	defer func() {
		conn.Close()
		cancel()
		wg.Wait()
	}()
	answer := func(number uint64, result []byte, err error) {
		outcome := outcomeOK
		if err != nil {
			e := asLeaseError(err)
			outcome, result = byte(e.Code), []byte(e.Error())
		}
		frame := appendFrame(nil, number, outcome, result)
		mu.Lock()
		defer mu.Unlock()
		conn.SetWriteDeadline(s.now().Add(callWriteWait))
		if _, err := conn.Write(frame); err != nil {
			conn.Close()
		}
	}
	in := bufio.NewReader(conn)
	for {
		number, kind, body, err := readFrame(in)
		if err != nil {
			return
		}
		h, ok := s.handlers[verb(kind)]
		switch {
		case !ok:
			answer(number, nil, lease.Errorf(lease.Unsupported, "this node does not know call %d", kind))
		case h.quick:
			result, err := h.serve(ctx, body)
			answer(number, result, err)
		default:
			slots <- struct{}{}
			wg.Add(1)
			go func() {
				defer func() { <-slots; wg.Done() }()
				result, err := h.serve(ctx, body)
				answer(number, result, err)
			}()
		}
	}
}

// asLeaseError gives err a code if it has none.
func asLeaseError(err error) *lease.Error {
	var e *lease.Error
	if errors.As(err, &e) {
		return e
	}
	return &lease.Error{Code: lease.Unavailable, Message: err.Error()}
}
