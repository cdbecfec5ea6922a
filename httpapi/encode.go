package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/leasehold/leasehold/client"
)

// answer is what a handler comes to.
type answer struct {
	status int // 0: 200 with a body, 204 without

	// The envelope. Its shape is client.Envelope.
	data      any
	leaseID   string
	renewable bool
	duration  int64 // seconds
	warnings  []string
	auth      *client.Auth
	mountType string
	// top: the keys of data stand at the top level too, as on a few of Vault's paths.
	top bool
	// enveloped: there is an envelope even if all of it is empty.
	enveloped bool

	made   bool                              // the lease or token is new
	wrap   *client.WrapInfo                  // all that is told of an answer that was put aside
	raw    []byte                            // instead of the envelope: an answer of before
	bare   any                               // instead of the envelope
	stream func(w http.ResponseWriter) error // instead of any JSON
	job    uint64                            // revocation job to be named in a header, 0: none
}

// done is a success that has nothing to say.
var done = answer{status: http.StatusNoContent}

// accepted is work that goes on after the answer.
func accepted(job uint64) answer { return answer{status: http.StatusAccepted, job: job} }

func (a *answer) hasBody() bool {
	return a.enveloped || a.data != nil || a.bare != nil || a.auth != nil || a.wrap != nil || a.raw != nil || a.leaseID != ""
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// maxPooled bounds, in bytes, the buffers that are kept for reuse.
const maxPooled = 64 << 10

// respond writes an answer.
func (s *Server) respond(c *call, a answer) error {
	h := c.w.Header()
	s.stamp(h)
	if a.job != 0 {
		h[client.JobHeader] = []string{strconv.FormatUint(a.job, 10)}
	}
	if a.stream != nil {
		return a.stream(c.w)
	}
	buf := buffers.Get().(*[]byte)
	defer func() {
		if cap(*buf) <= maxPooled {
			buffers.Put(buf)
		}
	}()
	body, err := a.append((*buf)[:0], c.id)
	*buf = body
	if err != nil {
		s.fail(c, err)
		return err
	}
	status := a.status
	switch {
	case status == 0 && len(body) == 0:
		status = http.StatusNoContent
	case status == 0:
		status = http.StatusOK
	}
	c.w.WriteHeader(status)
	if len(body) == 0 || c.r.Method == http.MethodHead {
		return nil
	}
	_, err = c.w.Write(body)
	return err
}

// append writes the body after b.
func (a *answer) append(b []byte, id string) ([]byte, error) {
	switch {
	case a.raw != nil:
		return append(b, a.raw...), nil
	case a.bare != nil:
		text, err := json.Marshal(a.bare)
		return append(append(b, text...), '\n'), err
	case !a.hasBody():
		return b, nil
	}
	data := []byte("null")
	if a.data != nil {
		var err error
		if data, err = json.Marshal(a.data); err != nil {
			return b, fmt.Errorf("encode answer: %w", err)
		}
	}
	if a.wrap != nil {
		id = "" // it names the answer that was put aside
	}
	b = append(b, '{')
	if a.top {
		b = appendTop(b, data)
	}
	b = append(b, `"request_id":`...)
	b = appendString(b, id)
	b = append(b, `,"lease_id":`...)
	b = appendString(b, a.leaseID)
	b = append(b, `,"renewable":`...)
	b = strconv.AppendBool(b, a.renewable)
	b = append(b, `,"lease_duration":`...)
	b = strconv.AppendInt(b, a.duration, 10)
	b = append(b, `,"data":`...)
	b = append(b, data...)
	b = append(b, `,"wrap_info":`...)
	if a.wrap == nil {
		b = append(b, "null"...)
	} else {
		info, err := json.Marshal(a.wrap)
		if err != nil {
			return b, fmt.Errorf("encode answer: %w", err)
		}
		b = append(b, info...)
	}
	b = append(b, `,"warnings":`...)
	if len(a.warnings) == 0 {
		b = append(b, "null"...)
	} else {
		b = appendStrings(b, a.warnings)
	}
	b = append(b, `,"auth":`...)
	if a.auth == nil {
		b = append(b, "null"...)
	} else {
		auth, err := json.Marshal(a.auth)
		if err != nil {
			return b, fmt.Errorf("encode answer: %w", err)
		}
		b = append(b, auth...)
	}
	b = append(b, `,"mount_type":`...)
	b = appendString(b, a.mountType)
	return append(b, '}', '\n'), nil
}

// appendErrors writes the body of a failure.
func appendErrors(b []byte, texts []string) []byte {
	b = append(b, `{"errors":`...)
	b = appendStrings(b, texts)
	return append(b, '}', '\n')
}

func appendStrings(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, text := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, text)
	}
	return append(b, ']')
}

// appendString writes a JSON string. What needs no escape, which is nearly everything, is copied.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			quoted, err := json.Marshal(s)
			if err != nil { // a string always encodes
				quoted = []byte(`""`)
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// envelopeKeys are those of the envelope, which data must not hide.
var envelopeKeys = map[string]bool{
	"request_id": true, "lease_id": true, "renewable": true, "lease_duration": true, "data": true,
	"wrap_info": true, "warnings": true, "auth": true, "mount_type": true,
}

// appendTop copies the members of an encoded object, but for those that the envelope has, each with
// a comma after it. object is what json.Marshal made.
func appendTop(b, object []byte) []byte {
	depth, start, quoted := 0, 1, false
	for i := 0; i < len(object); i++ {
		switch ch := object[i]; {
		case ch == '\\':
			i++ // the next byte is escaped: it ends nothing
		case ch == '"':
			quoted = !quoted
		case quoted:
		case ch == '{' || ch == '[':
			depth++
		case ch == ',' && depth == 1:
			b = appendMember(b, object[start:i])
			start = i + 1
		case ch == '}' || ch == ']':
			if depth--; depth == 0 {
				return appendMember(b, object[start:i])
			}
		}
	}
	return b // null
}

func appendMember(b, member []byte) []byte {
	for i := 1; i < len(member); i++ {
		if member[i] != '"' {
			continue
		}
		if envelopeKeys[string(member[1:i])] {
			return b
		}
		b = append(b, member...)
		return append(b, ',')
	}
	return b
}
