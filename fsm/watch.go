package fsm

import (
	"sync"
	"sync/atomic"
)

// watchers wakes those who wait for a lease, a job or an index. It is no part of the state: a
// waiter that misses nothing is all it promises.
type watchers struct {
	count atomic.Int64 // of all below, so that Apply pays nothing while nobody waits

	mu      sync.Mutex // guards the maps
	leases  map[string][]chan struct{}
	jobs    map[uint64][]chan struct{}
	indexes map[chan struct{}]uint64
}

func (w *watchers) lease(id string) (<-chan struct{}, func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.leases == nil {
		w.leases = make(map[string][]chan struct{})
	}
	ch := make(chan struct{})
	w.leases[id] = append(w.leases[id], ch)
	w.count.Add(1)
	return ch, func() { w.cancelLease(id, ch) }
}

func (w *watchers) job(id uint64) (<-chan struct{}, func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.jobs == nil {
		w.jobs = make(map[uint64][]chan struct{})
	}
	ch := make(chan struct{})
	w.jobs[id] = append(w.jobs[id], ch)
	w.count.Add(1)
	return ch, func() { w.cancelJob(id, ch) }
}

func (w *watchers) index(index uint64) (<-chan struct{}, func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.indexes == nil {
		w.indexes = make(map[chan struct{}]uint64)
	}
	ch := make(chan struct{})
	w.indexes[ch] = index
	w.count.Add(1)
	return ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if _, ok := w.indexes[ch]; ok {
			delete(w.indexes, ch)
			w.count.Add(-1)
		}
	}
}

func (w *watchers) cancelLease(id string, ch chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if rest, found := without(w.leases[id], ch); found {
		w.count.Add(-1)
		if len(rest) == 0 {
			delete(w.leases, id)
		} else {
			w.leases[id] = rest
		}
	}
}

func (w *watchers) cancelJob(id uint64, ch chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if rest, found := without(w.jobs[id], ch); found {
		w.count.Add(-1)
		if len(rest) == 0 {
			delete(w.jobs, id)
		} else {
			w.jobs[id] = rest
		}
	}
}

func without(list []chan struct{}, ch chan struct{}) ([]chan struct{}, bool) {
	for i, c := range list {
		if c == ch {
			return append(list[:i:i], list[i+1:]...), true
		}
	}
	return list, false
}

func (w *watchers) leaseChanged(id string) {
	if w.count.Load() == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, ch := range w.leases[id] {
		close(ch)
		w.count.Add(-1)
	}
	delete(w.leases, id)
}

func (w *watchers) jobChanged(id uint64) {
	if w.count.Load() == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, ch := range w.jobs[id] {
		close(ch)
		w.count.Add(-1)
	}
	delete(w.jobs, id)
}

// reached wakes those who wait for an index up to applied.
func (w *watchers) reached(applied uint64) {
	if w.count.Load() == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch, index := range w.indexes {
		if index <= applied {
			close(ch)
			delete(w.indexes, ch)
			w.count.Add(-1)
		}
	}
}

// all wakes those who wait for a lease or a job: the state was replaced as a whole, or a mount was frozen.
func (w *watchers) all() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, list := range w.leases {
		for _, ch := range list {
			close(ch)
			w.count.Add(-1)
		}
		delete(w.leases, id)
	}
	for id, list := range w.jobs {
		for _, ch := range list {
			close(ch)
			w.count.Add(-1)
		}
		delete(w.jobs, id)
	}
}
