package httpapi

import (
	"strconv"

	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/client"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
)

// accessorSteps bounds how many tokens are looked at under one read lock, so that a long list holds up
// no writer.
const accessorSteps = 1000

// listAccessors serves auth/token/accessors: the tokens of the call's namespace that live.
func (s *Server) listAccessors(c *call) (answer, error) {
	p, err := c.page()
	if err != nil {
		return answer{}, err
	}
	keys, more := s.livingAccessors(c, p)
	return p.answer(c, keys, more)
}

// livingAccessors returns one page, in order of accessors, and whether there are more. Dead tokens,
// which stay until what hung on them is gone, are passed over.
func (s *Server) livingAccessors(c *call, p page) (keys []string, more bool) {
	after, rest := p.after, true
	for rest && len(keys) <= p.limit {
		s.state.Read(func(v *fsm.View) {
			var step []string
			step, rest = v.Accessors(c.ns.id, after, accessorSteps)
			for _, accessor := range step {
				after = accessor
				if t := v.TokenByAccessor(accessor); v.TokenAlive(t, c.now) && t.NumUses != lease.SpentUses {
					keys = append(keys, accessor)
				}
			}
		})
	}
	if len(keys) > p.limit {
		return keys[:p.limit], true
	}
	return keys, false
}

// page is which part of a list is asked for.
type page struct {
	after string
	limit int
	cut   bool // not all was asked for, or not so much
}

// page reads "after" and "limit"; without a limit, it is the most that one answer holds.
func (c *call) page() (page, error) {
	in := c.reader()
	p := page{after: in.String("after"), limit: in.Int("limit", 0)}
	if p.limit < 0 {
		in.Failf("limit: %d is negative: leave it out for all keys", p.limit)
	}
	if p.cut = p.limit == 0 || p.limit > field.MaxPage; p.cut {
		p.limit = field.MaxPage
	}
	return p, in.Err()
}

// answer is the page, which Vault answers with 404 if nothing is on it.
func (p page) answer(c *call, keys []string, more bool) (answer, error) {
	if len(keys) == 0 {
		return answer{}, errNothing
	}
	list := client.KeyList{Keys: keys}
	warnings := c.reader().Warnings()
	if more {
		list.Next = keys[len(keys)-1]
		if p.cut {
			warnings = append(warnings, "only the first "+strconv.Itoa(len(keys))+" keys are listed: page with 'after' and 'limit'")
		}
	}
	return answer{data: list, warnings: warnings, mountType: tokenType}, nil
}
