package httpapi

import (
	"errors"

	"github.com/leasehold/leasehold/lease"
)

// loginCost is how many failed requests a failed login counts for: what is guessed there was chosen by
// people.
const loginCost = 20

// login serves the paths of auth methods that make a token for who has none.
func (s *Server) login(c *call) (answer, error) {
	if !c.nsKnown {
		return answer{}, errNoNamespace
	}
	made, err := s.lessor.Login(c.ctx, c.mountRequest())
	var refusal *lease.Error
	if errors.As(err, &refusal) && (refusal.Code == lease.Denied || refusal.Code == lease.Invalid) && s.guard.over(c.clientAddr(), loginCost) {
		return answer{}, errTooManyFailures
	}
	if err != nil {
		return answer{}, err
	}
	return answer{made: true, auth: described{made.Token, made.Lease}.auth(made.Bearer), warnings: made.Warnings, mountType: c.mount.Type}, nil
}
