package httpapi

import (
	"bytes"
	"time"

	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/client"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
)

// wrappingRoutes are the paths of wrapped answers.
var wrappingRoutes = []route{
	{verbs: write, path: "sys/wrapping/wrap", where: onLeader, handler: (*Server).wrapParams,
		help: "Wraps the parameters that it is given; the header X-Vault-Wrap-TTL says for how long."},
	{verbs: write, path: "sys/wrapping/unwrap", where: onLeader, opens: true, handler: (*Server).unwrap,
		help: "Opens what a wrapping token wraps, once: token, or the wrapping token as the caller's own."},
	{verbs: write, path: "sys/wrapping/rewrap", where: onLeader, opens: true, handler: (*Server).rewrap,
		help: "Moves what a wrapping token wraps behind a new one: token."},
	{verbs: read | write, path: "sys/wrapping/lookup", access: open, handler: (*Server).lookupWrapping,
		help: "Tells when and for which path a wrapping token was made: token."},
}

// readWrapping reads whether the answer is to be wrapped.
func (s *Server) readWrapping(c *call) error {
	text := c.r.Header.Get(headerWrap)
	if text == "" {
		return nil
	}
	ttl, err := field.ParseDuration(text)
	if err != nil {
		return lease.Errorf(lease.Invalid, "error parsing X-Vault-Wrap-TTL header: %s", err)
	}
	if c.route == nil || c.route.where != thisNode && !c.route.opens {
		c.wrapTTL = ttl
	}
	return nil
}

// wrapped puts an answer behind a token that opens it once. If that fails nobody will ever see the
// answer, so what it would have handed out is taken back.
func (s *Server) wrapped(c *call, a answer) (answer, error) {
	if a.stream != nil {
		return answer{}, lease.Errorf(lease.Invalid, "this answer is a stream and cannot be wrapped: send the request without X-Vault-Wrap-TTL")
	}
	if !a.hasBody() || a.wrap != nil || a.raw != nil {
		return a, nil
	}
	body, err := a.append(nil, c.id)
	if err != nil {
		return answer{}, err
	}
	made, err := s.lessor.Wrap(c.ctx, c.ns.id, c.path, c.wrapTTL, bytes.TrimSpace(body))
	if err != nil {
		s.takeBack(c, a)
		return answer{}, err
	}
	return wrapAnswer(made, c.path, a), nil
}

// takeBack ends what a new lease or token in an answer stands for; renewals give out nothing new.
func (s *Server) takeBack(c *call, a answer) {
	if !a.made {
		return
	}
	accessor := ""
	if a.auth != nil {
		accessor = a.auth.Accessor
	}
	s.lessor.TakeBack(c.ctx, c.ns.id, accessor, a.leaseID)
}

func wrapAnswer(made *lessor.NewToken, path string, of answer) answer {
	info := &client.WrapInfo{
		Token: made.Bearer, Accessor: made.Token.Accessor, TTL: seconds(made.Token.TTL),
		CreationTime: made.Token.Created.Std(), CreationPath: path,
	}
	if of.auth != nil {
		info.WrappedAccessor = of.auth.Accessor
	}
	return answer{wrap: info, mountType: of.mountType, job: of.job}
}

// wrapParams serves sys/wrapping/wrap: the pipeline wraps its answer.
func (s *Server) wrapParams(c *call) (answer, error) {
	if c.wrapTTL == 0 {
		return answer{}, lease.Errorf(lease.Invalid, "endpoint requires response wrapping to be used: send X-Vault-Wrap-TTL")
	}
	data := c.params
	if data == nil {
		data = map[string]any{}
	}
	return answer{data: data, top: true, mountType: systemType}, nil
}

// wrappingBearer is the wrapping token that a call is about: the parameter, else the caller's own.
func (s *Server) wrappingBearer(c *call) (string, error) {
	bearer := c.reader().String("token")
	if err := c.reader().Err(); err != nil {
		return "", err
	}
	if c.token != nil && c.token.Wrapping() {
		if bearer != "" && bearer != c.bearer() {
			return "", denied("a wrapping token opens what it wraps and nothing else")
		}
		return c.bearer(), nil
	}
	if bearer == "" && c.token == nil { // lookup asks for no token
		bearer = c.bearer()
	}
	if bearer == "" {
		return "", lease.Errorf(lease.Invalid, "missing \"token\" value in input: give the wrapping token")
	}
	return bearer, nil
}

// unwrap serves sys/wrapping/unwrap.
func (s *Server) unwrap(c *call) (answer, error) {
	bearer, err := s.wrappingBearer(c)
	if err != nil {
		return answer{}, err
	}
	body, err := s.lessor.Unwrap(c.ctx, c.ns.id, bearer)
	if err != nil {
		return answer{}, err
	}
	return answer{raw: append(body, '\n')}, nil
}

// rewrap serves sys/wrapping/rewrap.
func (s *Server) rewrap(c *call) (answer, error) {
	bearer, err := s.wrappingBearer(c)
	if err != nil {
		return answer{}, err
	}
	made, path, err := s.lessor.Rewrap(c.ctx, c.ns.id, bearer)
	if err != nil {
		return answer{}, err
	}
	return wrapAnswer(made, path, answer{mountType: systemType}), nil
}

// lookupWrapping serves sys/wrapping/lookup, which asks for no token but the wrapping one.
func (s *Server) lookupWrapping(c *call) (answer, error) {
	bearer, err := s.wrappingBearer(c)
	if err != nil {
		return answer{}, err
	}
	if !c.nsKnown {
		// Who has no token is not told which namespaces there are.
		return answer{}, s.guard.deny(c, lessor.ErrBadWrapping)
	}
	w, err := s.lessor.LookupWrapping(c.ns.id, bearer, c.now)
	if err != nil {
		return answer{}, s.guard.deny(c, err)
	}
	return answer{mountType: systemType, warnings: c.reader().Warnings(), data: map[string]any{
		"creation_path": w.CreationPath, "creation_time": w.Token.Created.Std().Format(time.RFC3339Nano),
		"creation_ttl": seconds(w.Token.TTL),
	}}, nil
}
