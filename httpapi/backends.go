package httpapi

import (
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
)

// maxIdempotencyKey bounds, in bytes, the header Idempotency-Key.
const maxIdempotencyKey = 256

func (c *call) mountRequest() lessor.Request {
	return lessor.Request{Mount: c.mount, Operation: c.op.backend(), Path: c.inMount, Params: c.params, Token: c.token,
		ClientAddr: c.clientAddr(), Now: c.now}
}

// handleMount serves the paths of a mount that lease nothing.
func (s *Server) handleMount(c *call) (answer, error) {
	resp, err := s.lessor.Handle(c.ctx, c.mountRequest())
	switch {
	case err != nil:
		return answer{}, err
	case resp != nil:
		return answer{enveloped: true, data: orNull(resp.Data), duration: seconds(resp.Duration), warnings: resp.Warnings, mountType: c.mount.Type}, nil
	case c.op == opRead || c.op == opList:
		return answer{}, errNothing
	}
	return done, nil
}

// issue serves the paths of a mount that make a lease.
func (s *Server) issue(c *call) (answer, error) {
	req := c.mountRequest()
	req.IdempotencyKey = c.r.Header.Get(headerIdempotency)
	if len(req.IdempotencyKey) > maxIdempotencyKey || field.CheckText(req.IdempotencyKey) != nil {
		return answer{}, lease.Errorf(lease.Invalid,
			"Idempotency-Key: at most %d bytes of plain text are taken: send a shorter one", maxIdempotencyKey)
	}
	issued, err := s.lessor.Issue(c.ctx, req)
	if err != nil {
		return answer{}, err
	}
	return answer{
		// With a key the client can come back for the lease, and may have it already.
		made: req.IdempotencyKey == "", leaseID: issued.Lease.ID, renewable: issued.Lease.Renewable, duration: seconds(issued.Duration),
		data: orNull(issued.Data), warnings: issued.Warnings, mountType: c.mount.Type,
	}, nil
}

// orNull keeps a nil map from being taken for data.
func orNull(data map[string]any) any {
	if data == nil {
		return nil
	}
	return data
}
