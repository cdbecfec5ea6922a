package awstest

import (
	"io"
	"net/http"
	"strconv"
)

// Kind is a way in which calls go wrong.
type Kind uint8

// The kinds.
const (
	FailBefore Kind = iota + 1 // 500, and nothing was done
	FailAfter                  // 500, and all was done
	Drop                       // the connection is cut, and all was done
	HangBefore                 // no answer until Heal, and nothing was done
	HangAfter                  // no answer until Heal, and all was done
	Throttle                   // refused for now, and nothing was done
	Deny                       // not allowed, and nothing was done
	Garbage                    // 200 with what is no answer, and all was done
	Flood                      // 200 with an answer that does not end, and all was done
	Redirect                   // 307 to the server itself, and nothing was done
	Twice                      // the work is done twice, and the second answer comes back
)

func (k Kind) before() bool {
	switch k {
	case FailBefore, HangBefore, Throttle, Deny, Redirect:
		return true
	}
	return false
}

// Fault is met by calls.
type Fault struct {
	Kind   Kind
	Action string // of the calls that meet it; "": all
	Skip   int    // so many of them pass before it begins
	Times  int    // so many meet it then; 0: all until Heal
	After  int    // seconds that Throttle asks to wait; 0: it does not say
}

type planted struct {
	Fault
	seen int
}

// met is what a call meets.
type met struct {
	kind   Kind
	action string
	after  int
	words  string
}

// Plant adds a fault.
func (s *Server) Plant(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &planted{Fault: f})
}

// Say is what the answers of faults say.
func (s *Server) Say(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.words = text
}

// Heal takes all faults away, and ends the calls that hang.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
	close(s.healed)
	s.healed = make(chan struct{})
}

// meet finds the fault that a call meets, and counts the call.
func (s *Server) meet(action string) met {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := met{action: action, words: s.words}
	for _, f := range s.faults {
		if f.Action != "" && f.Action != action {
			continue
		}
		f.seen++
		if f.seen > f.Skip && (f.Times == 0 || f.seen <= f.Skip+f.Times) && found.kind == 0 {
			found.kind, found.after = f.Kind, f.After
		}
	}
	return found
}

// spoil answers a call as its fault wants.
func (s *Server) spoil(w http.ResponseWriter, r *http.Request, f met, healed <-chan struct{}) {
	switch f.kind {
	case FailBefore, FailAfter:
		s.write(w, f.action, nil, errorf(http.StatusInternalServerError, "InternalFailure", "The request processing has failed. %s", f.words))
	case Throttle:
		if f.after > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(f.after))
		}
		s.write(w, f.action, nil, errorf(http.StatusBadRequest, "Throttling", "Rate exceeded. %s", f.words))
	case Deny:
		s.write(w, f.action, nil, errorf(http.StatusForbidden, "AccessDenied", "User is not authorized to perform: %s. %s", f.action, f.words))
	case Garbage:
		io.WriteString(w, "<html>"+f.words+"</html")
	case Flood:
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, "<Flood>flood</Flood>"); err != nil {
				return
			}
		}
	case Redirect:
		http.Redirect(w, r, s.URL+"/elsewhere", http.StatusTemporaryRedirect)
	case HangBefore, HangAfter:
		select {
		case <-r.Context().Done():
		case <-healed:
		}
		panic(http.ErrAbortHandler)
	case Drop:
		panic(http.ErrAbortHandler)
	}
}
