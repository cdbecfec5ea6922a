package httpapi

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/leasehold/leasehold/client"
	"github.com/leasehold/leasehold/fsm"
)

func (s *Server) cluster() fsm.Cluster {
	var cluster fsm.Cluster
	s.state.Read(func(v *fsm.View) { cluster = v.Cluster() })
	return cluster
}

// health serves sys/health. It looks at this node's memory alone.
func (s *Server) health(c *call) (answer, error) {
	codes, err := c.healthCodes()
	if err != nil {
		return answer{}, err
	}
	cluster := s.cluster()
	leads := s.node.Ready()
	status := http.StatusServiceUnavailable // nobody leads: nothing can be served
	switch {
	case !cluster.Initialized && s.behind(): // it cannot tell
	case !cluster.Initialized:
		status = codes.uninit
	case leads:
		status = codes.active
	case s.node.LeaderID() != "" && !s.node.IsLeader():
		status = codes.standby
	}
	return answer{status: status, bare: client.Health{
		Initialized: cluster.Initialized, Standby: !leads, PerformanceStandby: false,
		ReplicationPerformanceMode: "disabled", ReplicationDRMode: "disabled",
		ServerTimeUTC: s.now().Unix(), Version: s.version, ClusterName: cluster.Name, ClusterID: cluster.ID,
		Hold: describeHold(s.hold()),
	}}, nil
}

// behind reports whether this node may hold less than its cluster has committed, so that what is not
// in its state may exist all the same: it was started again and has not replayed its log, or is being
// let in. A node that never was in a cluster, whose term is 0, is not behind anybody.
func (s *Server) behind() bool {
	if s.node.Term() == 0 || s.node.Ready() {
		return false
	}
	committed := s.node.CommitIndex() // 0: a leader has not said yet
	return s.node.LeaderID() == "" || s.node.IsLeader() || committed == 0 || s.node.AppliedIndex() < committed
}

// healthCodes are the statuses that the caller wants to see.
type healthCodes struct{ active, standby, uninit int }

func (c *call) healthCodes() (healthCodes, error) {
	codes := healthCodes{http.StatusOK, http.StatusTooManyRequests, http.StatusNotImplemented}
	unused := 0 // states that do not exist here; the stock client asks for them too
	for _, code := range [...]struct {
		name string
		into *int
	}{
		{"activecode", &codes.active}, {"standbycode", &codes.standby}, {"uninitcode", &codes.uninit},
		{"sealedcode", &unused}, {"drsecondarycode", &unused}, {"performancestandbycode", &unused},
	} {
		text := c.query.Get(code.name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 100 || n > 599 {
			return healthCodes{}, errBadQuery
		}
		*code.into = n
	}
	standbyOK, err := c.flag("standbyok")
	if err != nil {
		return healthCodes{}, err
	}
	if _, err := c.flag("perfstandbyok"); err != nil {
		return healthCodes{}, err
	}
	if standbyOK {
		codes.standby = codes.active
	}
	return codes, nil
}

// leadingSince remembers since when this node leads.
type leadingSince struct {
	mu   sync.Mutex // guards the rest
	term uint64
	at   time.Time
}

// in returns when the leadership of term was first seen.
func (l *leadingSince) in(term uint64, now time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.term != term {
		l.term, l.at = term, now
	}
	return l.at
}

// leader serves sys/leader.
func (s *Server) leader(*call) (answer, error) {
	self := s.node.Ready()
	shown := client.Leader{
		HAEnabled: true, IsSelf: self, LeaderAddress: s.node.LeaderAPIAddr(),
		RaftCommittedIndex: s.node.CommitIndex(), RaftAppliedIndex: s.node.AppliedIndex(), Hold: describeHold(s.hold()),
	}
	if self {
		shown.ActiveTime = s.leading.in(s.node.Term(), s.now()).UTC()
	}
	if id := s.node.LeaderID(); id != "" {
		s.state.Read(func(v *fsm.View) {
			node, _ := v.Node(id)
			shown.LeaderClusterAddress = node.PeerAddr
		})
	}
	return answer{bare: shown}, nil
}

// sealStatus serves sys/seal-status. Secrets are opened with a key that each node is given, so no
// node that runs is sealed.
func (s *Server) sealStatus(*call) (answer, error) {
	cluster := s.cluster()
	return answer{bare: client.SealStatus{
		Type: "static", Initialized: cluster.Initialized, Version: s.version, ClusterName: cluster.Name,
		ClusterID: cluster.ID, StorageType: "raft",
	}}, nil
}

// initStatus serves sys/init.
func (s *Server) initStatus(*call) (answer, error) {
	if !s.cluster().Initialized && s.behind() {
		return answer{}, errNoLeader
	}
	return answer{bare: client.InitStatus{Initialized: s.cluster().Initialized}}, nil
}

// initialize serves sys/init with PUT.
func (s *Server) initialize(c *call) (answer, error) {
	token, err := s.lessor.Init(c.ctx, "", "")
	if err != nil {
		return answer{}, err
	}
	return answer{bare: client.InitResponse{Keys: []string{}, KeysBase64: []string{}, RootToken: token}}, nil
}
