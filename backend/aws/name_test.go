package aws_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/leasehold/leasehold/backend/aws"
)

const random = "0YC32hlVYSVDUMa6WYISNrZ2"

// zeros is a source of randomness that always makes the letter A.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// vaultTemplate is the kind of template that people have who come from Vault: one for both types.
const vaultTemplate = `{{ if (eq .Type "STS") }}{{ printf "vault-%s-%s" (unix_time) (random 20) | truncate 32 }}` +
	`{{ else }}{{ printf "vault-%s-%s-%s" (printf "%s-%s" (.DisplayName) (.PolicyName) | truncate 42) (unix_time) (random 20) | truncate 64 }}{{ end }}`

func TestNames(t *testing.T) {
	const part = "0YC32hlVYSVDUMa6WYIS"
	long := strings.Repeat("abcdefghij", 10)
	for _, test := range []struct {
		template, display, role string
		token                   bool
		want                    string
	}{
		{"", "token", "deploy", false, "vault-token-deploy-" + mark + "-" + part},
		{"", "", "deploy", false, "vault-deploy-" + mark + "-" + part},
		{"", long, "deploy", false, "vault-abcdefghijabcdefgh-deploy-" + mark + "-" + part},
		{"", "me", long, false, "vault-me-abcdefghijabcdefghijab-" + mark + "-" + part},
		{"", long, long, false, "vault-abcdefghijab-abcdefghijab-" + mark + "-" + part},
		{"", "userpass-ünï cødé/x", "r", false, "vault-userpass-_n__c_d__x-r-" + mark + "-" + part},
		{"", "token", "deploy", true, mark + "-" + part},
		// What could be another cluster's mark is broken.
		{"", "lh-ffffffff", "lh", false, "vault-lh_ffffffff-lh-" + mark + "-" + part},
		{"", "lh", "ffffffff", false, "vault-lh_ffffffff-" + mark + "-" + part},

		{"{{.Mark}}.{{.Random}}@{{.RoleName}}", "token", "deploy", false, mark + "." + part + "@deploy"},
		{"{{.RoleName}}", "token", "deploy", false, "deploy-" + mark + "-" + part},
		{"{{.RoleName}}{{.Mark}}{{.Random}}", "token", "deploy", false, "deploylh_a1b2c3d4" + part[:14] + "-" + mark + "-" + part},
		{"{{.DisplayName}}-{{.Mark}}-{{.Random}}", "lh-ffffffff", "deploy", false, "lh_ffffffff-" + mark + "-" + part},
		{"{{.Mark | uppercase}}-{{.Random}}", "token", "deploy", false, strings.ToUpper(mark) + "-" + part[:19] + "-" + mark + "-" + part},
		{vaultTemplate, "token", "deploy", false, "vault-token-deploy-1800000000-A-" + mark + "-" + part},
		{vaultTemplate, "token", "deploy", true, mark + "-" + part},
		{`{{truncate_sha256 12 .DisplayName}}-{{.Mark}}-{{.Random}}`, long, "r", false, "abcdfcbb61d0-" + mark + "-" + part},
		{`{{replace "a" "b" .DisplayName}}-{{timestamp "2006"}}`, "aha", "r", false, "bhb-2027-" + mark + "-" + part},
		{`{{random 0}}`, "token", "r", false, "vault-token-r-" + mark + "-" + part}, // fails when it is used
	} {
		got := aws.Name(test.template, test.display, test.role, test.token, mark, random, zeros{})
		if got != test.want {
			t.Errorf("%q of %.20q and %.20q: got %s, want %s", test.template, test.display, test.role, got, test.want)
		}
	}
}

func TestNameTemplatesAreChecked(t *testing.T) {
	for _, good := range []string{"", "x", vaultTemplate, `{{sha256 .Random}}{{uuid}}{{unix_time_millis}}{{base64 "x"}}`,
		`{{if and (ne .Type "STS") (not false)}}a{{end}}`, "{{- .Mark -}}{{/* why */}}"} {
		if err := aws.CheckNameTemplate(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for bad, want := range map[string]string{
		"{{": "cannot be read", "{{.Nope}}": ".Nope is not known", "{{.Type.X}}": "is not known", "{{nope}}": "cannot be read",
		"{{range .Type}}{{end}}": "is not taken", "{{with .Type}}{{end}}": "is not taken", "{{$x := .Type}}": "has a variable",
		`{{define "x"}}{{end}}{{.Type}}`: "defines a template", `{{template "x"}}`: "is not taken", `{{call .Type}}`: "call is not known",
		`{{index .Type 0}}`: "index is not known", "{{random 0}}": "random 0", "{{random 101}}": "random 101", "{{truncate 0 .Type}}": "truncate 0",
		"{{truncate_sha256 8 .Type}}": "truncate_sha256 8", `{{printf "%100d" 1}}`: "printf", `{{printf "%[1]s%[1]s" .Type}}`: "printf",
		`{{replace "" "x" .Type}}`: "replace", "{{.}}": "is not taken", " {{/* nothing */}}{{template}}": "cannot be read",
		strings.Repeat("x", 1025): "1025 bytes long", strings.Repeat("x", 600): "more than 512 bytes",
	} {
		if err := aws.CheckNameTemplate(bad); err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 400 {
			t.Errorf("%.60q: got %v, want %q", bad, err, want)
		}
	}
}

func TestBears(t *testing.T) {
	for name, want := range map[string]bool{
		mark: true, "x-" + mark + "-y": true, "x" + mark + "-" + mark: true, "_" + mark + ".": true,
		"": false, "x" + mark: false, mark + "0": false, mark[:len(mark)-1]: false, strings.ToUpper(mark): false,
	} {
		if got := aws.Bears(name, mark); got != want {
			t.Errorf("%q: got %v", name, got)
		}
	}
	if aws.Bears("x", "") {
		t.Error("everything bears no mark")
	}
}

var iamName = regexp.MustCompile(`^[\w+=,.@-]+$`)

// FuzzNames: whatever the template and the names, IAM takes what comes of it, this cluster knows it
// again, and no other does.
func FuzzNames(f *testing.F) {
	f.Add("", "token", "deploy", false)
	f.Add(vaultTemplate, "userpass-ann", "r", true)
	f.Add("{{.Mark}}{{.Random}}", "lh-ffffffff", "lh", false)
	f.Add("lh-{{.Mark}}-ffffffff-{{.Random}}", "\x00\x01", "\x01", false)
	f.Add(`{{replace "lh" .Random .Mark}}`, "ü", "-", true)
	f.Add(`{{printf "%v%s" .Mark (random 99)}}`, "lh", "ffffffff", false)
	f.Fuzz(func(t *testing.T, template, display, role string, token bool) {
		if err := aws.CheckNameTemplate(template); err != nil && len(err.Error()) > 4<<10 {
			t.Errorf("%q: an error of %d bytes", template, len(err.Error()))
		}
		name := aws.Name(template, display, role, token, mark, random, rand.Reader)
		longest := 64
		if token {
			longest = 32
		}
		if len(name) > longest || !iamName.MatchString(name) || !aws.Bears(name, mark) || !strings.Contains(name, random[:20]) {
			t.Errorf("%q of %q and %q makes %q", template, display, role, name)
		}
		if aws.Bears(name, "lh-ffffffff") {
			t.Errorf("%q of %q and %q makes %q, which bears another cluster's mark", template, display, role, name)
		}
	})
}

// FuzzPolicyDocuments: what a role keeps of a document means the same, and what is made of several holds
// the statements of all.
func FuzzPolicyDocuments(f *testing.F) {
	f.Add(document)
	f.Add(`{"Statement": {"Effect": "Allow"}}`)
	f.Add(`{"Statement": null}`)
	f.Add("{\"Statement\": [1, \"\\u2028<>\"]}\n")
	f.Add(`{"statement": [], "Statement": [[]]}`)
	f.Fuzz(func(t *testing.T, text string) {
		kept, err := aws.ReadPolicy(text)
		if err != nil || text == "" {
			return
		}
		var sent, read any
		if json.Unmarshal([]byte(text), &sent) != nil || json.Unmarshal([]byte(kept), &read) != nil {
			t.Fatalf("%q is kept as %q", text, kept)
		}
		a, _ := json.Marshal(sent) // both came of JSON
		b, _ := json.Marshal(read)
		if !bytes.Equal(a, b) {
			t.Fatalf("%q is kept as %q", text, kept)
		}
		merged, err := aws.Merge([]string{kept, document})
		if err != nil {
			return
		}
		var all struct{ Statement []json.RawMessage }
		if err := json.Unmarshal([]byte(merged), &all); err != nil || len(all.Statement) == 0 {
			t.Fatalf("%q and another make %q", kept, merged)
		}
		var own struct{ Statement json.RawMessage }
		var list []json.RawMessage
		if json.Unmarshal([]byte(kept), &own) == nil && json.Unmarshal(own.Statement, &list) == nil && len(all.Statement) != len(list)+1 {
			t.Fatalf("%q and another make %q, want %d statements", kept, merged, len(list)+1)
		}
	})
}
