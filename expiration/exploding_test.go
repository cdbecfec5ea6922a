package expiration_test

import (
	"context"
	"time"

	"github.com/leasehold/leasehold/backend"
)

// exploding is a backend with a bug.
type exploding struct{ backend.Backend }

func (exploding) Type() string { return "exploding" }

func (exploding) Create(context.Context, *backend.Intent) (*backend.Created, error) { panic("boom") }

func (exploding) Renew(context.Context, *backend.Renewal) (time.Duration, error) { panic("boom") }

func (exploding) Destroy(context.Context, *backend.Destruction) error { panic("boom") }
