package httpapi

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"

	"github.com/leasehold/leasehold/lease"
)

// firstRead is how much of a body room is made for at first.
const firstRead = 16 << 10

var errBodySize = lease.Errorf(lease.TooLarge, "the body is larger than %d bytes: send less", maxBody)

// readBody reads the whole body, within bounds: it is parsed here, or sent on to the leader as it
// came.
func (s *Server) readBody(c *call) error {
	if c.route != nil && c.route.stream && c.op == opWrite {
		return nil
	}
	if c.r.Body == nil || c.r.Body == http.NoBody || c.r.ContentLength == 0 {
		return nil
	}
	if c.r.ContentLength > maxBody {
		return errBodySize
	}
	// Memory is taken as the body comes, not as its length is announced: the announcement costs nothing.
	body := bytes.NewBuffer(make([]byte, 0, min(max(c.r.ContentLength, 0), firstRead)+bytes.MinRead))
	_, err := body.ReadFrom(io.LimitReader(c.r.Body, maxBody+1))
	c.body = body.Bytes()
	if err != nil {
		return lease.Errorf(lease.Invalid, "the body could not be read to its end")
	}
	if len(c.body) > maxBody {
		return errBodySize
	}
	return nil
}

// readParams decodes parameters: of writes from the body, of all others from the query; where the
// table says so, from a body besides, since Vault's own documentation shows `curl -X GET -d`.
func (s *Server) readParams(c *call) error {
	if c.op == opWrite {
		return c.bodyParams()
	}
	if c.query != nil {
		c.params = formParams(c.query)
	}
	if c.route == nil || !c.route.bodyOnRead || len(c.body) == 0 {
		return nil
	}
	fromQuery := c.params
	if err := c.bodyParams(); err != nil {
		return err
	}
	if c.params == nil {
		c.params = make(map[string]any)
	}
	for name, value := range fromQuery {
		c.params[name] = value
	}
	return nil
}

func (c *call) bodyParams() error {
	if len(c.body) == 0 {
		c.params = nil
		return nil
	}
	if isForm(c.r.Header.Get("Content-Type"), c.body) {
		values, err := url.ParseQuery(string(c.body))
		if err != nil {
			return lease.Errorf(lease.Invalid, "error parsing form data: the body is not a form")
		}
		if err := boundForm(values); err != nil {
			return err
		}
		c.params = formParams(values)
		return nil
	}
	params, err := decodeObject(c.body)
	if err != nil {
		return lease.Errorf(lease.Invalid, jsonPrefix+"%s", err)
	}
	c.params = params
	return nil
}

// isForm tells a form from JSON as Vault does: curl's -d announces a form whatever it sends.
func isForm(contentType string, body []byte) bool {
	if contentType == "" {
		return false
	}
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return false
	}
	body = bytes.TrimLeft(body, " \t\r\n")
	return len(body) > 0 && body[0] != '{' && body[0] != '['
}

func boundForm(values url.Values) error {
	count := 0
	for _, list := range values {
		count += 1 + len(list)
	}
	if count > maxStrings {
		return lease.Errorf(lease.TooLarge, "more than %d parameters", maxStrings/2)
	}
	return nil
}

// controls are query parameters about the request itself; no handler sees them.
var controls = map[string]bool{"list": true, "scan": true, "help": true, "consistency": true}

// formParams turns a query or form into parameters; a repeated name becomes a list.
func formParams(values url.Values) map[string]any {
	params := make(map[string]any, len(values))
	for name, list := range values {
		switch {
		case controls[name]:
		case len(list) == 1:
			params[name] = list[0]
		default:
			several := make([]any, len(list))
			for i, v := range list {
				several[i] = v
			}
			params[name] = several
		}
	}
	return params
}

var errQuery = errors.New("the query string cannot be read")

// readQuery parses the query string once.
func (c *call) readQuery() error {
	if c.r.URL.RawQuery == "" {
		return nil
	}
	values, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return lease.Errorf(lease.Invalid, "%s", errQuery)
	}
	if err := boundForm(values); err != nil {
		return err
	}
	c.query = values
	return nil
}
