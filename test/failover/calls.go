package failover

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/leasehold/leasehold/test/failover/history"
)

// issue asks for a lease, and asks again with the same key, at another node, as long as the outcome is
// unknown or nothing happened, tries times in all.
func (l *load) issue(me, node int, group string, rng *rand.Rand, tries int) {
	if group == "" {
		return
	}
	short := rng.IntN(4) == 0
	span := spanOf(rng, short)
	key := fmt.Sprintf("key-%d", l.keys.Add(1))
	body := fmt.Sprintf(`{"ttl":%d}`, int(span.Seconds()))
	if strings.HasPrefix(group, "hooks/") {
		body = fmt.Sprintf(`{"ttl":%d,"params":{"key":%q}}`, int(span.Seconds()), key)
	}
	e := history.Event{Verb: history.Issue, Client: me, Node: node, Group: group, Span: span, Key: key, Outcome: history.Unknown}
	for try := range tries {
		a := l.send(l.ctx, (node-1+try)%l.c.Size()+1, http.MethodPost, group, body, "Idempotency-Key", key)
		l.rec.tried(a)
		if try == 0 {
			e.Call = a.call
		}
		e.Back = a.back
		if a.good() {
			l.issued(e, a, short)
			return
		}
		if !a.open() && !a.nothing() {
			// After a first attempt its lease may have ended since; a call on its prefix, or a new leader's
			// on the intent, may have come between.
			if try == 0 && a.status != http.StatusConflict {
				l.unexpected(history.Issue, node, group, a)
			}
			return
		}
		pause(l.ctx, time.Duration(20+rng.IntN(100))*time.Millisecond)
	}
}

func (l *load) issued(e history.Event, a answer, short bool) {
	var got struct {
		ID   string `json:"lease_id"`
		Span int    `json:"lease_duration"`
		Data struct {
			Name string `json:"name"`
		} `json:"data"`
	}
	if err := a.decode(&got); err != nil || !strings.HasPrefix(got.ID, e.Group+"/") || got.Span > int(e.Span.Seconds()) {
		l.unexpected(history.Issue, e.Node, e.Group, a)
		return
	}
	e.Lease, e.Name, e.Outcome = got.ID, got.Data.Name, history.OK
	l.rec.add(e)
	l.book.add(&entry{id: got.ID, group: e.Group, short: short})
}

func (l *load) renew(me, node int, lease *entry, rng *rand.Rand) {
	short := rng.IntN(10) == 0
	span := spanOf(rng, short)
	if short {
		l.book.expire(lease)
	}
	a := l.send(l.ctx, node, http.MethodPut, "sys/leases/renew", fmt.Sprintf(`{"lease_id":%q,"increment":%d}`, lease.id, int(span.Seconds())))
	l.rec.tried(a)
	e := history.Event{Verb: history.Renew, Client: me, Node: node, Lease: lease.id, Call: a.call, Back: a.back, Span: span, Outcome: history.Unknown}
	switch {
	case a.nothing():
		return
	case a.open():
	case a.good():
		var got struct {
			Span int `json:"lease_duration"`
		}
		if err := a.decode(&got); err != nil || got.Span > int(span.Seconds()) || got.Span < int(span.Seconds())-1 {
			l.unexpected(history.Renew, node, lease.id, a)
		}
		e.Outcome = history.OK
	case a.status == http.StatusBadRequest && a.says("lease not found", "lease expired", "invalid lease"):
		e.Outcome = history.Refused
		l.book.end(lease)
	default:
		l.unexpected(history.Renew, node, lease.id, a)
		return
	}
	l.rec.add(e)
}

func (l *load) revoke(me, node int, lease *entry, sync bool) {
	l.book.end(lease)
	a := l.send(l.ctx, node, http.MethodPut, "sys/leases/revoke", fmt.Sprintf(`{"lease_id":%q,"sync":%t}`, lease.id, sync))
	l.end(history.Event{Verb: history.Revoke, Client: me, Node: node, Lease: lease.id, Sync: sync}, a)
}

func (l *load) prefix(me, node int, group string, sync bool) {
	a := l.send(l.ctx, node, http.MethodPut, "sys/leases/revoke-prefix/"+group, fmt.Sprintf(`{"sync":%t}`, sync))
	l.end(history.Event{Verb: history.Prefix, Client: me, Node: node, Group: group, Sync: sync}, a)
}

// end files a call that ends leases. One that waits may fail at the target, and then goes on.
func (l *load) end(e history.Event, a answer) {
	l.rec.tried(a)
	e.Call, e.Back, e.Outcome = a.call, a.back, history.Unknown
	switch {
	case a.nothing():
		return
	case a.good():
		e.Outcome = history.OK
	case a.open() || e.Sync && a.status == http.StatusBadRequest && a.says("failed to revoke"):
	default:
		l.unexpected(e.Verb, e.Node, e.Lease+e.Group, a)
		return
	}
	l.rec.add(e)
}

func (l *load) list(me, node int, group string) {
	a := l.send(l.ctx, node, http.MethodGet, "sys/leases/lookup/"+group+"?list=true", "")
	l.rec.tried(a)
	if a.nothing() || a.open() {
		return
	}
	keys, ok := keysOf(a)
	if !ok {
		l.unexpected(history.List, node, group, a)
		return
	}
	e := history.Event{Verb: history.List, Client: me, Node: node, Group: group, Call: a.call, Back: a.back, Outcome: history.OK}
	for _, key := range keys {
		e.Keys = append(e.Keys, group+"/"+key)
	}
	l.rec.add(e)
}

// keysOf are the names in a list; 404 is an empty one.
func keysOf(a answer) ([]string, bool) {
	if a.status == http.StatusNotFound {
		return nil, true
	}
	var got struct {
		Data struct {
			Keys []string `json:"keys"`
		} `json:"data"`
	}
	err := a.decode(&got)
	return got.Data.Keys, err == nil && a.status == http.StatusOK && len(got.Data.Keys) > 0
}

// lookup looks a lease up and reports how it stands, "" if the node did not say.
func (l *load) lookup(ctx context.Context, me, node int, lease *entry) history.Standing {
	a := l.send(ctx, node, http.MethodPut, "sys/leases/lookup", fmt.Sprintf(`{"lease_id":%q}`, lease.id))
	if me > 0 {
		l.rec.tried(a)
	}
	if a.nothing() || a.open() {
		return ""
	}
	e := history.Event{Verb: history.Lookup, Client: me, Node: node, Lease: lease.id, Call: a.call, Back: a.back, Outcome: history.OK, Seen: history.Gone}
	if a.status != http.StatusBadRequest || !a.says("invalid lease") {
		var got struct {
			Data struct {
				Status  string `json:"status"`
				End     string `json:"expire_time"`
				Renewed string `json:"last_renewal"`
			} `json:"data"`
		}
		known := []string{"active", "revoking", "irrevocable"}
		if err := a.decode(&got); err != nil || a.status != http.StatusOK || !slices.Contains(known, got.Data.Status) {
			l.unexpected(history.Lookup, node, lease.id, a)
			return ""
		}
		if e.Seen = history.Revoking; got.Data.Status == "active" {
			e.Seen, e.End, e.Renewed = history.Active, l.at(got.Data.End), l.at(got.Data.Renewed)
		}
	}
	l.rec.add(e)
	if me > 0 && e.Seen == history.Gone {
		l.book.end(lease)
	}
	return e.Seen
}
