package httpapi

import (
	"maps"

	"github.com/leasehold/leasehold/backend/field"
)

// lockoutOptions are the options of a mount that stand for the fields of user_lockout_config, as the
// stock client sends them.
var lockoutOptions = map[string]string{
	"lockout_threshold": "lockout_threshold", "lockout_duration": "lockout_duration",
	"lockout_counter_reset_duration": "lockout_counter_reset", "lockout_disable": "lockout_disable",
}

// withLockout returns the options of a mount changed by the parameter user_lockout_config, if it is
// there: given are those of the request, nil if it gives none, old those of the mount.
func withLockout(in *field.Reader, given, old map[string]string) map[string]string {
	config := in.Object("user_lockout_config")
	if len(config) == 0 {
		return given
	}
	options := maps.Clone(given)
	if given == nil {
		options = maps.Clone(old)
	}
	if options == nil {
		options = make(map[string]string)
	}
	fields := field.Read(config)
	for name, option := range lockoutOptions {
		if fields.Has(name) {
			options[option] = fields.String(name)
		}
	}
	if err := fields.Err(); err != nil {
		in.Failf("user_lockout_config: %s", err)
	}
	return options
}
