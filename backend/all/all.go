// Package all is the list of the engines that a server offers as mount types. Adding an engine is
// adding a line here.
package all

import (
	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/approle"
	"github.com/leasehold/leasehold/backend/aws"
	"github.com/leasehold/leasehold/backend/database"
	"github.com/leasehold/leasehold/backend/kv"
	leaseengine "github.com/leasehold/leasehold/backend/lease"
	"github.com/leasehold/leasehold/backend/userpass"
	"github.com/leasehold/leasehold/backend/webhook"
)

// List makes one of each.
func List() []backend.Backend {
	return []backend.Backend{
		approle.New(),
		aws.New(aws.Options{}),
		database.New(database.Options{}),
		kv.New(),
		leaseengine.New(),
		userpass.New(),
		webhook.New(webhook.Options{}),
	}
}
