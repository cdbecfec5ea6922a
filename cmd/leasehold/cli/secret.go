package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/leasehold/leasehold/client"
)

// secretRows is an answer as rows of a table: the lease, the token, the wrapping, then the data by
// name.
func secretRows(secret *client.Secret) [][]string {
	var rows [][]string
	add := func(key string, value any) { rows = append(rows, []string{key, fmt.Sprint(value)}) }
	if secret.LeaseDuration > 0 {
		duration := humanSeconds(secret.LeaseDuration)
		if secret.LeaseID != "" {
			add("lease_id", secret.LeaseID)
			add("lease_duration", duration)
			add("lease_renewable", secret.Renewable)
		} else {
			add("refresh_interval", duration)
		}
	}
	if auth := secret.Auth; auth != nil {
		add("token", auth.ClientToken)
		add("token_accessor", auth.Accessor)
		duration := "∞"
		if auth.LeaseDuration != 0 {
			duration = humanSeconds(auth.LeaseDuration)
		}
		add("token_duration", duration)
		add("token_renewable", auth.Renewable)
		add("token_policies", fmt.Sprintf("%q", auth.TokenPolicies))
		add("identity_policies", fmt.Sprintf("%q", auth.IdentityPolicies))
		add("policies", fmt.Sprintf("%q", auth.Policies))
		for _, key := range slices.Sorted(maps.Keys(auth.Metadata)) {
			add("token_meta_"+key, auth.Metadata[key])
		}
	}
	if wrap := secret.WrapInfo; wrap != nil {
		add("wrapping_token:", wrap.Token)
		add("wrapping_accessor:", wrap.Accessor)
		add("wrapping_token_ttl:", humanSeconds(wrap.TTL))
		add("wrapping_token_creation_time:", wrap.CreationTime)
		add("wrapping_token_creation_path:", wrap.CreationPath)
		if wrap.WrappedAccessor != "" {
			add("wrapped_accessor:", wrap.WrappedAccessor)
		}
	}
	return append(rows, dataRows(secret.Data)...)
}

// dataRows are fields by name.
func dataRows(data map[string]any) [][]string {
	var rows [][]string
	for _, key := range slices.Sorted(maps.Keys(data)) {
		rows = append(rows, []string{key, cell(key, data[key])})
	}
	return rows
}

// cell is a field's value as a table shows it.
func cell(key string, value any) string {
	if number, ok := value.(json.Number); ok && isDuration(key) {
		if n, err := number.Int64(); err == nil {
			return humanSeconds(n)
		}
	}
	return fmt.Sprint(value)
}

func humanSeconds(n int64) string { return human(time.Duration(n) * time.Second) }

// isDuration reports whether a field of this name holds seconds.
func isDuration(key string) bool {
	for _, unit := range [...]string{"ttl", "period", "duration"} {
		if key == unit || strings.HasSuffix(key, "_"+unit) {
			return true
		}
	}
	return key == "lease_max" || key == "ttl_max"
}

// fieldOf finds a field by the name that the table gives it. Durations come as bare seconds.
func fieldOf(secret *client.Secret, name string) (any, bool) {
	if value, ok := secret.Data[name]; ok {
		return value, value != nil
	}
	fields := map[string]any{"data": secret.Data}
	if secret.LeaseID != "" {
		fields["lease_id"] = secret.LeaseID
		fields["lease_duration"] = secret.LeaseDuration
		fields["lease_renewable"] = secret.Renewable
	}
	fields["refresh_interval"] = secret.LeaseDuration
	if auth := secret.Auth; auth != nil {
		fields["token"] = auth.ClientToken
		fields["token_accessor"] = auth.Accessor
		fields["token_duration"] = auth.LeaseDuration
		fields["token_renewable"] = auth.Renewable
		fields["token_policies"] = auth.TokenPolicies
		fields["identity_policies"] = auth.IdentityPolicies
		fields["policies"] = auth.Policies
	}
	if wrap := secret.WrapInfo; wrap != nil {
		fields["wrapping_token"] = wrap.Token
		fields["wrapping_accessor"] = wrap.Accessor
		fields["wrapping_token_ttl"] = wrap.TTL
		fields["wrapping_token_creation_time"] = wrap.CreationTime.Format(time.RFC3339Nano)
		fields["wrapping_token_creation_path"] = wrap.CreationPath
		fields["wrapped_accessor"] = wrap.WrappedAccessor
	}
	value, ok := fields[name]
	return value, ok
}
