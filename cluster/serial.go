package cluster

import "sync"

// serial is a lock for work that may wait for raft while it holds it. Those who want it wait at a
// channel: in a synctest bubble that lets time go on, while waiting at a sync.Mutex would stop the time
// that its holder waits for. The zero value is ready.
type serial struct {
	once sync.Once
	held chan struct{}
}

func (s *serial) Lock() {
	s.once.Do(func() { s.held = make(chan struct{}, 1) })
	s.held <- struct{}{}
}

func (s *serial) Unlock() { <-s.held }
