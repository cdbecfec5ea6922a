package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// ErrEnding is why a Renewer stops in good time: the lease cannot be renewed, or not any further.
// What it stands for still works for about a tenth of its time; fetch another.
var ErrEnding = errors.New("the lease is about to end and cannot be renewed any further")

// Bounds of the waits after a renewal that failed.
const (
	firstRenewWait   = 500 * time.Millisecond
	longestRenewWait = 15 * time.Second
)

// RenewerConfig is how a Renewer renews. The zero value is what most programs want.
type RenewerConfig struct {
	Increment time.Duration // what each renewal asks for; 0 asks for what was granted at first
	OnRenew   func(*Secret) // called after each renewal; it delays the next one while it runs
}

// Renewer keeps a lease, or a token, renewed: each time at about two thirds of what is left, a
// little earlier by chance, so that leases taken together are not renewed together. It goes on
// through failures of the cluster for as long as the lease lives.
type Renewer struct {
	config RenewerConfig
	renew  func(context.Context, time.Duration) (*Secret, error)

	longest   time.Duration // longest that was ever granted; the grace is measured by it
	end       time.Time
	renewable bool

	cancel context.CancelFunc
	done   chan struct{}
	err    error // written before done is closed, read after
}

// KeepRenewed starts to renew what secret was issued with: its lease, or the token in its Auth.
// The Renewer runs until Stop, until ctx ends, or until the lease can be kept no longer.
func (c *Client) KeepRenewed(ctx context.Context, secret *Secret, config RenewerConfig) (*Renewer, error) {
	r := &Renewer{config: config, done: make(chan struct{})}
	switch {
	case secret.LeaseID != "":
		r.renew = func(ctx context.Context, increment time.Duration) (*Secret, error) {
			return c.RenewLease(ctx, secret.LeaseID, increment)
		}
	case secret.Auth != nil && secret.Auth.ClientToken != "":
		r.renew = c.WithToken(secret.Auth.ClientToken).RenewSelf
	default:
		return nil, errors.New("there is nothing to renew: the secret has neither a lease nor a token")
	}
	r.take(time.Now(), secret)
	ctx, r.cancel = context.WithCancel(ctx)
	go func() {
		defer close(r.done)
		defer r.cancel()
		if err := r.run(ctx); ctx.Err() == nil {
			r.err = err
		}
	}()
	return r, nil
}

// Done is closed when the Renewer has ended.
func (r *Renewer) Done() <-chan struct{} { return r.done }

// Err waits for the end and tells why: nil after Stop or the end of the context, ErrEnding while
// there is still time to fetch another lease, and otherwise what went wrong.
func (r *Renewer) Err() error {
	<-r.done
	return r.err
}

// Stop ends the Renewer and waits for it. The lease lives on until it expires or is revoked.
func (r *Renewer) Stop() {
	r.cancel()
	<-r.done
}

func (r *Renewer) run(ctx context.Context) error {
	if r.longest == 0 { // without an end, such as a root token
		<-ctx.Done()
		return nil
	}
	for {
		left := time.Until(r.end)
		if !r.renewable || left <= r.grace() {
			if err := sleep(ctx, left-r.grace()); err != nil {
				return err
			}
			return ErrEnding
		}
		wait := left * 2 / 3
		if err := sleep(ctx, wait-rand.N(wait/10+1)); err != nil {
			return err
		}
		secret, err := r.renewBeforeEnd(ctx)
		if err != nil {
			return err
		}
		if r.config.OnRenew != nil {
			r.config.OnRenew(secret)
		}
	}
}

// renewBeforeEnd tries until it succeeds, the server's refusal is final, or the lease has ended.
func (r *Renewer) renewBeforeEnd(ctx context.Context) (*Secret, error) {
	call, cancel := context.WithDeadline(ctx, r.end)
	defer cancel()
	for wait := firstRenewWait; ; wait = min(2*wait, longestRenewWait) {
		sent := time.Now()
		secret, err := r.renew(call, r.config.Increment)
		if err == nil && len(secret.Raw()) == 0 {
			return nil, errors.New("the renewal was answered with nothing")
		}
		if err == nil {
			r.take(sent, secret)
			return secret, nil
		}
		if finalRefusal(err) {
			return nil, fmt.Errorf("renew: %w", err)
		}
		if sleep(call, wait/2+rand.N(wait/2)) != nil {
			return nil, fmt.Errorf("the lease ended before it could be renewed: %w", err)
		}
	}
}

// take notes what was granted, counted from when it was asked for: the answer may have taken a
// while, and the server's clock did not wait for it.
func (r *Renewer) take(asked time.Time, secret *Secret) {
	seconds, renewable := secret.LeaseDuration, secret.Renewable
	if secret.Auth != nil {
		seconds, renewable = secret.Auth.LeaseDuration, secret.Auth.Renewable
	}
	granted := time.Duration(seconds) * time.Second
	r.end, r.renewable = asked.Add(granted), renewable
	r.longest = max(r.longest, granted)
}

// grace is the time that is left to the program once the Renewer gives up.
func (r *Renewer) grace() time.Duration { return r.longest / 10 }

// finalRefusal reports whether asking again cannot help.
func finalRefusal(err error) bool {
	switch CodeOf(err) {
	case Invalid, Denied, NotFound, Unsupported, TooLarge:
		return true
	}
	return false
}
