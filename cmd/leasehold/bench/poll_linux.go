package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"
)

// poller drives all connections of a load from one goroutine with epoll. A goroutine per connection
// costs about twice the processor time, which is missing at the nodes on the same machine.
type poller struct {
	t       target
	do      work
	epoll   int
	workers []*worker
	byFD    map[int32]*worker
	busy    int // workers that wait for an answer
	result  sample
}

// worker is one connection with at most one request under way.
type worker struct {
	id      int
	host    string
	file    *os.File // nil: not connected
	fd      int
	n       int
	begun   time.Time
	waiting bool
	out, in []byte
}

// pollWait is how often the poller looks at the clock when nothing happens.
const pollWait = 100 * time.Millisecond

func newPoller(t target, clients int, do work) (*poller, error) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	p := &poller{t: t, do: do, epoll: epoll, byFD: make(map[int32]*worker)}
	for id := range clients {
		c, err := newConn(t.addresses[id%len(t.addresses)], t.token, t.timeout)
		if err != nil {
			p.close()
			return nil, err
		}
		p.workers = append(p.workers, &worker{id: id, host: c.host})
	}
	return p, nil
}

func (p *poller) close() {
	for _, w := range p.workers {
		p.disconnect(w)
	}
	syscall.Close(p.epoll)
}

// run sends and receives until nothing is left to do, or until what was under way when ctx ended is
// answered.
func (p *poller) run(ctx context.Context) error {
	for _, w := range p.workers {
		p.send(ctx, w)
	}
	events := make([]syscall.EpollEvent, len(p.workers)+1)
	for p.busy > 0 {
		n, err := syscall.EpollWait(p.epoll, events, int(pollWait.Milliseconds()))
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("epoll: %w", err)
		}
		for _, e := range events[:max(n, 0)] {
			if w := p.byFD[e.Fd]; w != nil {
				p.receive(ctx, w)
			}
		}
		if n <= 0 {
			p.expire(ctx)
		}
	}
	return nil
}

// send begins the worker's next request, if there is one and ctx has not ended.
func (p *poller) send(ctx context.Context, w *worker) {
	for ctx.Err() == nil {
		r, more := p.do.next(w.id, w.n)
		if !more {
			return
		}
		w.n++
		w.begun = time.Now()
		w.out = appendRequest(w.out[:0], r, w.host, p.t.token)
		if err := p.write(w); err != nil {
			p.fail(w, err)
			continue
		}
		w.waiting = true
		p.busy++
		return
	}
}

func (p *poller) write(w *worker) error {
	if w.file == nil {
		if err := p.connect(w); err != nil {
			return err
		}
	}
	n, err := syscall.Write(w.fd, w.out)
	if err == nil && n < len(w.out) {
		err = errors.New("the connection took only a part of the request")
	}
	return err
}

func (p *poller) connect(w *worker) error {
	nc, err := net.DialTimeout("tcp", w.host, p.t.timeout)
	if err != nil {
		return err
	}
	defer nc.Close()
	if w.file, err = nc.(*net.TCPConn).File(); err != nil {
		return err
	}
	w.fd = int(w.file.Fd())
	if err := syscall.SetNonblock(w.fd, true); err != nil {
		return err
	}
	p.byFD[int32(w.fd)] = w
	return syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_ADD, w.fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(w.fd)})
}

func (p *poller) disconnect(w *worker) {
	if w.file != nil {
		delete(p.byFD, int32(w.fd))
		w.file.Close() // leaves the epoll set with it
		w.file, w.in = nil, w.in[:0]
	}
}

// fail counts a request without an answer; the next one dials anew.
func (p *poller) fail(w *worker, err error) {
	p.disconnect(w)
	p.count(w, err)
}

func (p *poller) count(w *worker, err error) {
	if err == nil {
		p.result.each = append(p.result.each, time.Since(w.begun))
		return
	}
	p.result.failed++
	p.result.first = err.Error()
}

// receive reads what has arrived and, when the answer is whole, goes on to the next request.
func (p *poller) receive(ctx context.Context, w *worker) {
	if len(w.in)+4096 > cap(w.in) {
		w.in = append(make([]byte, 0, 2*cap(w.in)+8192), w.in...)
	}
	n, err := syscall.Read(w.fd, w.in[len(w.in):cap(w.in)])
	switch {
	case errors.Is(err, syscall.EAGAIN):
		return
	case err == nil && n == 0:
		err = errors.New("the node closed the connection")
	case err == nil:
		w.in = w.in[:len(w.in)+n]
	}
	status, body, whole := 0, []byte(nil), false
	if err == nil {
		status, body, whole, err = parseAnswer(w.in)
	}
	if err == nil && !whole {
		return
	}
	if !w.waiting {
		p.disconnect(w) // closed, or not asked for
		return
	}
	w.waiting = false
	p.busy--
	if err != nil {
		p.fail(w, err)
	} else {
		p.count(w, p.do.answered(w.id, status, body))
		w.in = w.in[:0]
	}
	p.send(ctx, w)
}

// expire gives up on requests that were not answered in time.
func (p *poller) expire(ctx context.Context) {
	for _, w := range p.workers {
		if w.waiting && time.Since(w.begun) > p.t.timeout {
			w.waiting = false
			p.busy--
			p.fail(w, errors.New("no answer in time"))
			p.send(ctx, w)
		}
	}
}

// parseAnswer takes an answer with a length apart. whole is false while some of it is missing.
func parseAnswer(b []byte) (status int, body []byte, whole bool, err error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return 0, nil, false, nil
	}
	if end < 12 || !bytes.HasPrefix(b, []byte("HTTP/1.1 ")) {
		return 0, nil, false, errAnswer
	}
	if status, err = strconv.Atoi(string(b[9:12])); err != nil {
		return 0, nil, false, errAnswer
	}
	length := 0
	if _, rest, found := bytes.Cut(b[:end+2], []byte("\r\nContent-Length: ")); found {
		text, _, _ := bytes.Cut(rest, []byte("\r\n"))
		if length, err = strconv.Atoi(string(text)); err != nil {
			return 0, nil, false, errAnswer
		}
	} else if status != 204 {
		return 0, nil, false, fmt.Errorf("status %d without a length, which this client needs", status)
	}
	body = b[end+4:]
	if len(body) < length {
		return 0, nil, false, nil
	}
	return status, body[:length], true, nil
}
