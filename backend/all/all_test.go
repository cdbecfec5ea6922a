package all_test

import (
	"testing"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/all"
)

func TestEachTypeIsListedOnce(t *testing.T) {
	registry := backend.NewRegistry(all.List()...)
	if len(registry) != len(all.List()) {
		t.Errorf("got %d types of %d engines: two share a name", len(registry), len(all.List()))
	}
	// Whether a type has a target decides whether its leases need more than one entry to end.
	for name, want := range map[string]bool{"kv": false, "lease": false, "webhook": true, "database": true, "aws": true} {
		if registry[name] == nil {
			t.Errorf("no engine of type %q", name)
		}
		if _, got := registry.Target(name); got != want {
			t.Errorf("type %q has a target: %v, want %v", name, got, want)
		}
	}
}
