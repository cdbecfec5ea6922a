package tokenparams_test

import (
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/backend/tokenparams"
	"github.com/leasehold/leasehold/lease"
)

var allOld = []string{"ttl", "max_ttl", "period", "num_uses", "policies", "bound_cidrs"}

func read(p *tokenparams.Params, params map[string]any, old ...string) error {
	in := field.Read(params)
	p.Read(in, old...)
	return in.Err()
}

func object(t *testing.T, text string) map[string]any {
	t.Helper()
	obj, err := field.ParseObject([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return obj
}

func TestReadTakesEveryField(t *testing.T) {
	var p tokenparams.Params
	err := read(&p, object(t, `{"token_ttl": "10m", "token_max_ttl": 7200, "token_explicit_max_ttl": "1d",
		"token_period": "5m", "token_num_uses": 3, "token_policies": [" B", "a", "b", "ROOT", ""],
		"token_no_default_policy": true, "token_bound_cidrs": "10.1.2.3/8, 192.0.2.7/32,10.0.0.0/8,2001:DB8::1",
		"token_type": "service"}`))
	if err != nil {
		t.Fatal(err)
	}
	cidrs := []string{"10.0.0.0/8", "192.0.2.7", "2001:db8::1"}
	limits := backend.LoginLimits{TTL: 10 * time.Minute, MaxTTL: 2 * time.Hour, Period: 5 * time.Minute}
	want := backend.LoginPlan{
		Policies: []string{"a", "b", "root"}, LoginLimits: limits, NoDefaultPolicy: true,
		ExplicitMaxTTL: 24 * time.Hour, NumUses: 3, BoundCIDRs: cidrs,
	}
	if got := p.Plan(); !reflect.DeepEqual(got, want) {
		t.Errorf("plan: got  %+v\nwant %+v", got, want)
	}
	if got := p.Limits(); got != limits {
		t.Errorf("limits: got %+v, want %+v", got, limits)
	}
	data := map[string]any{
		"token_ttl": int64(600), "token_max_ttl": int64(7200), "token_explicit_max_ttl": int64(86400),
		"token_period": int64(300), "token_num_uses": 3, "token_policies": []string{"a", "b", "root"},
		"token_no_default_policy": true, "token_bound_cidrs": cidrs, "token_type": "service",
	}
	if got := p.Data(); !reflect.DeepEqual(got, data) {
		t.Errorf("data: got  %v\nwant %v", got, data)
	}
}

func TestNothingSaidIsShownWithEmptyLists(t *testing.T) {
	var p tokenparams.Params
	if err := read(&p, nil); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(p.Data())
	want := `{"token_bound_cidrs":[],"token_explicit_max_ttl":0,"token_max_ttl":0,"token_no_default_policy":false,` +
		`"token_num_uses":0,"token_period":0,"token_policies":[],"token_ttl":0,"token_type":"default"}`
	if err != nil || string(text) != want {
		t.Errorf("got  %s, %v\nwant %s", text, err, want)
	}
	if got := p.Plan(); !reflect.DeepEqual(got, backend.LoginPlan{}) {
		t.Errorf("plan: got %+v, want the zero one", got)
	}
}

func TestAnUpdateLeavesWhatItDoesNotSend(t *testing.T) {
	full := `{"token_ttl": 60, "token_max_ttl": 120, "token_explicit_max_ttl": 180, "token_period": 30, "token_num_uses": 2,
		"token_policies": ["a"], "token_no_default_policy": true, "token_bound_cidrs": ["10.0.0.0/8"], "token_type": "service"}`
	var zero tokenparams.Params
	for name := range zero.Data() {
		t.Run(name, func(t *testing.T) {
			for _, empty := range []any{nil, ""} {
				var p tokenparams.Params
				if err := read(&p, object(t, full)); err != nil {
					t.Fatal(err)
				}
				want := p.Data()
				if reflect.DeepEqual(want[name], zero.Data()[name]) {
					t.Fatalf("the test does not set %s", name)
				}
				want[name] = zero.Data()[name]
				if err := read(&p, map[string]any{name: empty, "other": "x"}); err != nil {
					t.Fatal(err)
				}
				if got := p.Data(); !reflect.DeepEqual(got, want) {
					t.Errorf("%#v: got  %v\nwant %v", empty, got, want)
				}
			}
		})
	}
}

func TestOldNames(t *testing.T) {
	var p tokenparams.Params
	if err := read(&p, object(t, `{"ttl": 60, "policies": "x"}`), "policies"); err != nil {
		t.Fatal(err)
	}
	data := p.Data()
	if _, there := data["ttl"]; there || p.TTL != 0 {
		t.Errorf("a name that the method does not take was read: %v", data)
	}
	if !reflect.DeepEqual(data["policies"], []string{"x"}) || !reflect.DeepEqual(p.Policies, []string{"x"}) {
		t.Errorf("policies: got %v", data)
	}
	// Both names: the new one counts and both are shown, as Vault does it.
	if err := read(&p, object(t, `{"policies": "y", "token_policies": "z"}`), allOld...); err != nil {
		t.Fatal(err)
	}
	if data = p.Data(); !reflect.DeepEqual(data["policies"], []string{"z"}) || !reflect.DeepEqual(p.Policies, []string{"z"}) {
		t.Errorf("both names: got %v", data)
	}
	earlier := p
	if err := read(&p, object(t, `{"token_policies": "w", "max_ttl": "2h", "num_uses": 4, "period": 9, "bound_cidrs": "10.0.0.1"}`), allOld...); err != nil {
		t.Fatal(err)
	}
	data = p.Data()
	if _, there := data["policies"]; there || data["max_ttl"] != int64(7200) || data["num_uses"] != 4 || data["period"] != int64(9) {
		t.Errorf("after an update under the new name: got %v", data)
	}
	if !reflect.DeepEqual(earlier.Data()["policies"], []string{"z"}) {
		t.Errorf("the update changed a copy made before: %v", earlier.Data())
	}
}

func TestUnknownNamesAreWarnedOf(t *testing.T) {
	in := field.Read(object(t, `{"token_ttl": 1, "ttl": 1, "policies": "a", "period": 2}`))
	new(tokenparams.Params).Read(in, "policies", "ttl")
	want := []string{"Endpoint ignored these unrecognized parameters: [period]"}
	if got := in.Warnings(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRefusals(t *testing.T) {
	conversion := func(name string) string {
		return `Field validation failed: error converting input for field "` + name + `": `
	}
	tests := []struct{ in, want string }{
		{`{"token_ttl": 7201, "token_max_ttl": "2h"}`, "'token_ttl' cannot be greater than 'token_max_ttl'"},
		{`{"ttl": 7201, "max_ttl": "2h"}`, "'token_ttl' cannot be greater than 'token_max_ttl'"},
		{`{"token_ttl": -1}`, conversion("token_ttl") + "cannot provide negative value '-1'"},
		{`{"token_max_ttl": "-1h"}`, conversion("token_max_ttl") + "cannot provide negative value '-3600'"},
		{`{"period": -2}`, conversion("period") + "cannot provide negative value '-2'"},
		{`{"token_explicit_max_ttl": "x"}`, conversion("token_explicit_max_ttl") + `time: invalid duration "x"`},
		{`{"token_num_uses": -1}`, "'token_num_uses' cannot be negative"},
		{`{"token_num_uses": 1073741825}`, "'token_num_uses' is too large: give at most 1073741824, or 0 for no limit"},
		{`{"token_num_uses": "many"}`, conversion("token_num_uses") + "'' cannot parse value as 'int': strconv.ParseInt: invalid syntax"},
		{`{"token_no_default_policy": "maybe"}`, conversion("token_no_default_policy") + "'' cannot parse value as 'bool': strconv.ParseBool: invalid syntax"},
		{`{"token_type": "batch"}`, `token_type: batch tokens are not supported: ask for "service"`},
		{`{"token_type": "default-batch"}`, `token_type: batch tokens are not supported: ask for "service"`},
		{`{"token_type": "x\n"}`, `invalid 'token_type' value "x ": ask for "service"`},
		{`{"token_policies": "a\u001bb"}`, `token_policies: "a b" holds the control character U+001B: use plain text`},
		{`{"policies": "` + strings.Repeat("p", 129) + `"}`, "policies: a name is 129 bytes long, at most 128 are allowed: shorten it"},
		{`{"token_policies": "` + numbers(257) + `"}`, "token_policies: 257 policies given, at most 256 are allowed: put their rules together"},
		{`{"token_bound_cidrs": "10.0.0.0/33"}`, `token_bound_cidrs: "10.0.0.0/33" is neither an address nor a network`},
		{`{"bound_cidrs": ["host.example"]}`, `bound_cidrs: "host.example" is neither an address nor a network`},
		{`{"token_bound_cidrs": "fe80::1%eth0"}`, `token_bound_cidrs: "fe80::1%eth0" is neither an address nor a network`},
		{`{"token_bound_cidrs": "::ffff:10.0.0.0/90"}`, `token_bound_cidrs: "::ffff:10.0.0.0/90" mixes IPv4 and IPv6`},
		{`{"token_bound_cidrs": "10.0.0.` + strings.ReplaceAll(numbers(129), ",", ",10.0.0.") + `"}`, "token_bound_cidrs: more than the 128 entries that are allowed: give larger networks"},
	}
	for _, test := range tests {
		err := read(new(tokenparams.Params), object(t, test.in), allOld...)
		var e *lease.Error
		if !errors.As(err, &e) || e.Code != lease.Invalid || !strings.HasPrefix(e.Message, test.want) {
			t.Errorf("%.80s: got %v, want a text beginning %q", test.in, err, test.want)
		}
	}
	bounds := `{"token_policies": "` + numbers(256) + `", "token_num_uses": 1073741824, "token_ttl": 7200, "token_max_ttl": "2h",
		"token_bound_cidrs": "10.0.0.` + strings.ReplaceAll(numbers(128), ",", ",10.0.0.") + `"}`
	if err := read(new(tokenparams.Params), object(t, bounds)); err != nil {
		t.Errorf("exactly at the bounds: %v", err)
	}
}

// numbers is "0,1,2,…", n of them.
func numbers(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = strconv.Itoa(i)
	}
	return strings.Join(list, ",")
}

func TestThePlanIsTheCallersOwn(t *testing.T) {
	p := tokenparams.Params{Policies: []string{"a"}, BoundCIDRs: []string{"10.0.0.1"}}
	plan, data := p.Plan(), p.Data()
	plan.Policies[0], plan.BoundCIDRs[0] = "x", "x"
	data["token_policies"].([]string)[0], data["token_bound_cidrs"].([]string)[0] = "x", "x"
	if p.Policies[0] != "a" || p.BoundCIDRs[0] != "10.0.0.1" {
		t.Errorf("what was handed out is the Params' own: %+v", p)
	}
}

func TestPermits(t *testing.T) {
	tests := []struct {
		cidrs, addr string
		want        bool
	}{
		{"", "10.0.0.1", true},
		{"", "", true},
		{"10.0.0.0/8", "", false},
		{"0.0.0.0/0,::/0", "", false},
		{"10.0.0.0/8", "10.255.0.1", true},
		{"10.0.0.0/8", "11.0.0.1", false},
		{"11.0.0.1,10.0.0.0/8", "11.0.0.1", true},
		{"11.0.0.1", "11.0.0.2", false},
		{"10.0.0.0/8", "::ffff:10.1.1.1", true},
		{"::ffff:10.0.0.0/104", "10.1.1.1", true},
		{"::ffff:10.0.0.1", "10.0.0.1", true},
		{"::/0", "10.1.1.1", false},
		{"::/0", "::ffff:10.1.1.1", false},
		{"0.0.0.0/0", "2001:db8::1", false},
		{"2001:db8::/32", "2001:db8:ffff::1", true},
		{"2001:db8::/32", "2001:db9::1", false},
		{"fe80::/10", "fe80::1%eth0", true},
		{"nonsense", "10.0.0.1", false},
		{"nonsense,10.0.0.1", "10.0.0.1", true},
	}
	for _, test := range tests {
		var cidrs []string
		if test.cidrs != "" {
			cidrs = strings.Split(test.cidrs, ",")
		}
		var addr netip.Addr
		if test.addr != "" {
			addr = netip.MustParseAddr(test.addr)
		}
		if got := tokenparams.Permits(cidrs, addr); got != test.want {
			t.Errorf("%q for %q: got %v, want %v", test.cidrs, test.addr, got, test.want)
		}
	}
}

// FuzzRead: what is accepted is clean, survives storing, and is what it was when it is sent back.
func FuzzRead(f *testing.F) {
	for _, s := range []string{
		`{"token_ttl": "10m", "max_ttl": 7200, "policies": "b,A,a", "token_bound_cidrs": ["10.1.2.3/8", "::ffff:1.2.3.4"]}`,
		`{"token_type": "batch", "period": "1d"}`, `{"token_num_uses": "7", "num_uses": 8, "token_no_default_policy": "1"}`, `{}`,
		`{"token_policies": {"a": 1}, "token_explicit_max_ttl": 99999999999999999}`, `{"ttl": "106752d", "policies": "İ,ß,Ǆ"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		params, err := field.ParseObject(body)
		if err != nil {
			return
		}
		var p tokenparams.Params
		if err := read(&p, params, allOld...); err != nil {
			return
		}
		if p.TTL < 0 || p.MaxTTL < 0 || p.MaxTTL > 0 && p.TTL > p.MaxTTL || p.Period < 0 || p.ExplicitMaxTTL < 0 || p.NumUses < 0 {
			t.Errorf("%s: accepted %+v", body, p)
		}
		if !slices.IsSorted(p.Policies) || len(slices.Compact(slices.Clone(p.Policies))) != len(p.Policies) || slices.Contains(p.Policies, "") {
			t.Errorf("%s: policies %q", body, p.Policies)
		}
		stored, err := json.Marshal(&p)
		if err != nil {
			t.Fatal(err)
		}
		var back tokenparams.Params
		if err := json.Unmarshal(stored, &back); err != nil || !reflect.DeepEqual(back, p) {
			t.Errorf("%s: stored as %s, read back as %+v, %v", body, stored, back, err)
		}
		shown, err := json.Marshal(p.Data())
		if err != nil || strings.Contains(string(shown), "null") && !strings.Contains(string(body), "null") {
			t.Errorf("%s: shown as %s, %v", body, shown, err)
		}
		var again tokenparams.Params
		if err := read(&again, object(t, string(shown)), allOld...); err != nil || !reflect.DeepEqual(again, p) {
			t.Errorf("%s: shown as %s, taken back as %+v, %v; want %+v", body, shown, again, err, p)
		}
	})
}

// FuzzPermits compares with the standard library's older network type.
func FuzzPermits(f *testing.F) {
	for _, s := range [][2]string{
		{"10.0.0.0/8", "10.2.3.4"}, {"10.0.0.0/8", "::ffff:10.2.3.4"}, {"2001:db8::/32", "2001:db8::1"},
		{"::ffff:10.0.0.0/104", "10.0.0.9"}, {"192.0.2.7", "192.0.2.7"}, {"::/0", "1.2.3.4"}, {"fe80::/10", "fe80::1%2"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, network, client string) {
		addr, err := netip.ParseAddr(client)
		if err != nil {
			return
		}
		got := tokenparams.Permits([]string{network}, addr)
		if _, err := tokenparams.ParseCIDR(network); err != nil {
			if got {
				t.Errorf("%q is refused and yet permits %q", network, client)
			}
			return
		}
		if addr.Zone() != "" {
			return // the older type knows no zones
		}
		text := network
		if !strings.Contains(text, "/") {
			text += map[bool]string{true: "/128", false: "/32"}[strings.Contains(text, ":")]
		}
		_, old, err := net.ParseCIDR(text)
		if err != nil {
			t.Fatalf("%q is taken, and the standard library says %v", network, err)
		}
		if want := old.Contains(addr.AsSlice()); got != want {
			t.Errorf("%q for %q: got %v, want %v", network, client, got, want)
		}
	})
}
