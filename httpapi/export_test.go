package httpapi

import (
	"net/netip"

	"github.com/leasehold/leasehold/policy"
)

// Row is a row of the route table as tests see it.
type Row struct {
	Path       string
	Method     string
	Capability policy.Capability
	Sudo, Open bool
	AnyToken   bool
	Leader     bool
	RootOnly   bool
	Opens      bool
	OneLease   bool
	Folds      bool
	Canonical  string
	Help       string
}

// Rows is the table, one row for each verb.
func Rows() []Row {
	methods := map[operation]string{opRead: "GET", opList: "LIST", opWrite: "POST", opDelete: "DELETE"}
	var rows []Row
	for _, r := range routes {
		for op := range opCount {
			if r.verbs&(1<<op) != 0 {
				rows = append(rows, Row{Path: r.path, Method: methods[op], Capability: op.capability(), Sudo: r.access == sudo,
					Open: r.access == open, AnyToken: r.access == anyToken, Leader: r.where == onLeader, RootOnly: r.rootOnly,
					Opens: r.opens, OneLease: r.oneLease != "", Folds: r.folds, Canonical: r.canonical, Help: r.help})
			}
		}
	}
	return rows
}

// DecodeObject is decodeObject.
func DecodeObject(data []byte) (map[string]any, error) { return decodeObject(data) }

// AppendTop is appendTop.
func AppendTop(object []byte) []byte { return appendTop(nil, object) }

// AppendString is appendString.
func AppendString(s string) []byte { return appendString(nil, s) }

// LimitListener is limitListener.
var LimitListener = limitListener

// Bounds of failures.
const (
	GuardBurst     = guardBurst
	GuardRate      = int(guardRate)
	GuardAddresses = guardAddresses
	LoginCost      = loginCost
)

// GuardTake takes one failure of an address and reports whether that is too many.
func GuardTake(s *Server, addr netip.Addr) bool { return s.guard.over(addr, 1) }

// GuardSize is how many addresses are remembered.
func GuardSize(s *Server) int {
	s.guard.mu.Lock()
	defer s.guard.mu.Unlock()
	return len(s.guard.fails)
}

// CheckJoinAddress judges an address that this node was told of, by a caller on this machine or not.
func CheckJoinAddress(local bool, addr string) error { return joinQuestion{local: local}.check(addr) }
