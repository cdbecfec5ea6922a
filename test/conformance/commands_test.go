package conformance

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestHvac runs Python's client, as Debian packages it.
func TestHvac(t *testing.T) {
	if err := exec.Command("/usr/bin/python3", "-c", "import hvac").Run(); err != nil {
		t.Fatalf("python3-hvac is missing: run scripts/deps.sh (%v)", err)
	}
	cmd := exec.Command("/usr/bin/python3", "testdata/hvac_client.py")
	cmd.Env = append(cluster.Env(), "NODES="+strings.Join(cluster.Nodes, " "), "MOUNT="+mount(t, "lease", nil))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := strings.Count(string(out), "ok "); got != 11 {
		t.Errorf("%d steps were played, want 11:\n%s", got, out)
	}
}

// samples are the curl commands of Vault's page on /sys/leases, as printed there. Of each only the
// address, the token and the lease ID are replaced. Where the page says that a call needs a payload,
// payload.json holds it.
var samples = []struct {
	name    string
	payload string
	command string
	needs   []string // texts in the output
	status  string
}{
	{"read a lease", `{"lease_id": "LEASE"}`, `curl \
    --header "X-Vault-Token: ..." \
    --request POST \
    --data @payload.json \
    http://127.0.0.1:8200/v1/sys/leases/lookup`,
		[]string{`"id":"LEASE"`, `"issue_time":`, `"expire_time":`, `"last_renewal_time":`, `"last_renewal":`, `"renewable":true`, `"ttl":`}, "200"},
	{"list leases", "", `curl \
    --header "X-Vault-Token: ..." \
    --request LIST \
    http://127.0.0.1:8200/v1/sys/leases/lookup/MOUNT/creds/deploy/`,
		[]string{`"keys":["`}, "200"},
	{"renew a lease", `{"lease_id": "LEASE", "increment": 1800}`, `curl \
    --header "X-Vault-Token: ..." \
    --request POST \
    --data @payload.json \
    http://127.0.0.1:8200/v1/sys/leases/renew`,
		[]string{`"lease_id":"LEASE"`, `"renewable":true`, `"lease_duration":1800`}, "200"},
	{"revoke a lease", `{"lease_id": "LEASE"}`, `curl \
    --header "X-Vault-Token: ..." \
    --request POST \
    --data @payload.json \
    http://127.0.0.1:8200/v1/sys/leases/revoke`, nil, "202"},
	{"revoke force", "", `curl \
    --header "X-Vault-Token: ..." \
    --request POST \
    http://127.0.0.1:8200/v1/sys/leases/revoke-force/MOUNT/creds`, nil, "204"},
	{"revoke prefix", "", `curl \
    --header "X-Vault-Token: ..." \
    --request POST \
    http://127.0.0.1:8200/v1/sys/leases/revoke-prefix/MOUNT/creds`, nil, "202"},
	{"tidy", "", `curl \
    --header "X-Vault-Token: ..." \
    --request POST \
    http://127.0.0.1:8200/v1/sys/leases/tidy`, []string{`"warnings":["Tidy operation successfully started.`}, "202"},
	{"lease counts", "", `curl \
    --header "X-Vault-Token: ..." \
    --request GET \
    http://127.0.0.1:8200/v1/sys/leases/count \
    -d type=irrevocable`, []string{`"lease_count":0`, `"counts":{}`}, "200"},
	{"leases list", "", `curl \
    --header "X-Vault-Token: ..." \
    --request GET \
    http://127.0.0.1:8200/v1/sys/leases \
    -d type=irrevocable`, []string{`"lease_count":0`, `"leases":[]`}, "200"},
}

// TestCurlSamples runs each sample against each node.
func TestCurlSamples(t *testing.T) {
	path := mount(t, "lease", nil)
	for _, s := range samples {
		t.Run(strings.ReplaceAll(s.name, " ", "-"), func(t *testing.T) {
			onEachNode(t, func(t *testing.T, node int) {
				id := issue(t, path+"/creds/deploy", map[string]any{"ttl": "1h"})
				fill := strings.NewReplacer("LEASE", id, "MOUNT", path, "http://127.0.0.1:8200", cluster.Nodes[node-1], "X-Vault-Token: ...", "X-Vault-Token: "+cluster.Token)
				dir := t.TempDir()
				if err := os.WriteFile(dir+"/payload.json", []byte(fill.Replace(s.payload)), 0o600); err != nil {
					t.Fatal(err)
				}
				cmd := exec.Command("bash", "-c", fill.Replace(s.command)+` --silent --show-error --write-out '\n%{http_code}'`)
				cmd.Dir = dir
				var out, errs bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, &errs
				if err := cmd.Run(); err != nil {
					t.Fatalf("%v: %s", err, errs.String())
				}
				lines := strings.Split(strings.TrimRight(out.String(), "\n"), "\n")
				if got := lines[len(lines)-1]; got != s.status {
					t.Fatalf("status %s, want %s: %s", got, s.status, out.String())
				}
				for _, need := range s.needs {
					if !strings.Contains(out.String(), fill.Replace(need)) {
						t.Errorf("the answer is %s, want %s in it", out.String(), fill.Replace(need))
					}
				}
			})
		})
	}
}
