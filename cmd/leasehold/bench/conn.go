package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"time"
)

// conn is one keep-alive connection to a node. It is used by one goroutine.
type conn struct {
	host, token string
	timeout     time.Duration
	nc          net.Conn
	r           *bufio.Reader
	out, body   []byte
	renewed     time.Time // when the deadline was set last: not for each request, that costs
}

func newConn(address, token string, timeout time.Duration) (*conn, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" || u.Host == "" {
		return nil, fmt.Errorf("bench speaks plain http only: %q is no address such as http://127.0.0.1:8210", address)
	}
	return &conn{host: u.Host, token: token, timeout: timeout}, nil
}

func (c *conn) close() {
	if c.nc != nil {
		c.nc.Close()
		c.nc = nil
	}
}

// do sends one request and returns status and body; the body is valid until the next call. After an
// error the next call dials anew.
func (c *conn) do(method, path string, body []byte) (int, []byte, error) {
	if c.nc == nil {
		nc, err := net.DialTimeout("tcp", c.host, c.timeout)
		if err != nil {
			return 0, nil, err
		}
		c.nc, c.r, c.renewed = nc, bufio.NewReaderSize(nc, 16<<10), time.Time{}
	}
	status, answer, err := c.roundTrip(method, path, body)
	if err != nil {
		c.close()
	}
	return status, answer, err
}

func (c *conn) roundTrip(method, path string, body []byte) (int, []byte, error) {
	if now := time.Now(); now.Sub(c.renewed) > c.timeout/4 {
		if err := c.nc.SetDeadline(now.Add(c.timeout)); err != nil {
			return 0, nil, err
		}
		c.renewed = now
	}
	c.out = appendRequest(c.out[:0], request{method, path, body}, c.host, c.token)
	if _, err := c.nc.Write(c.out); err != nil {
		return 0, nil, err
	}
	return c.read(method)
}

func appendRequest(b []byte, r request, host, token string) []byte {
	b = append(b, r.method...)
	b = append(b, ' ')
	b = append(b, r.path...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, host...)
	b = append(b, "\r\nX-Vault-Token: "...)
	b = append(b, token...)
	b = append(b, "\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(r.body)), 10)
	b = append(b, "\r\n\r\n"...)
	return append(b, r.body...)
}

var errAnswer = errors.New("the answer is no HTTP/1.1")

func (c *conn) read(method string) (int, []byte, error) {
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return 0, nil, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return 0, nil, errAnswer
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil {
		return 0, nil, errAnswer
	}
	length, chunked := 0, false
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return 0, nil, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch value = bytes.TrimSpace(value); {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, nil, errAnswer
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = true
		}
	}
	c.body = c.body[:0]
	if method == "HEAD" || status == 204 {
		return status, nil, nil
	}
	if chunked {
		err = c.readChunks()
	} else {
		err = c.readN(length)
	}
	return status, c.body, err
}

func (c *conn) readN(n int) error {
	have := len(c.body)
	c.body = append(c.body, make([]byte, n)...)
	_, err := io.ReadFull(c.r, c.body[have:])
	return err
}

func (c *conn) readChunks() error {
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 32)
		if err != nil {
			return errAnswer
		}
		if err := c.readN(int(n)); err != nil {
			return err
		}
		if _, err := c.r.Discard(2); err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
	}
}
