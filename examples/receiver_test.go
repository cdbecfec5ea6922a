// Package examples tests the sample services with the engine that calls them.
package examples

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const secret = "correct horse battery staple"

// samples are the programs, and what is run for each.
var samples = map[string][]string{
	"go":     {"the binary that TestMain builds"},
	"python": {"python3", "webhook-python/receiver.py"},
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "leasehold-examples-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	program := filepath.Join(dir, "webhook-go")
	if out, err := exec.Command("go", "build", "-o", program, "./webhook-go").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build webhook-go: %v\n%s", err, out)
		os.Exit(1)
	}
	samples["go"] = []string{program}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// each runs a test against every sample.
func each(t *testing.T, test func(t *testing.T, command []string)) {
	for name, command := range samples {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, command)
		})
	}
}

// start runs a sample on a free port of loopback and returns its address.
func start(t *testing.T, command []string, environment ...string) string {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), append([]string{"WEBHOOK_SECRET=" + secret, "WEBHOOK_LISTEN=127.0.0.1:0"}, environment...)...)
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	address, lines := make(chan string, 1), bufio.NewScanner(said)
	go func() {
		defer close(address)
		for lines.Scan() { // to the end, or the program would block at its next line
			if _, after, ok := strings.Cut(lines.Text(), "listening on "); ok {
				address <- after
			}
		}
	}()
	select {
	case a, ok := <-address:
		if !ok {
			t.Fatalf("%q ended before it listened", command)
		}
		return a
	case <-time.After(20 * time.Second):
		t.Fatalf("%q does not listen", command)
	}
	return ""
}

// signature is written from docs/webhook.md.
func signature(key string, at time.Time, body string) string {
	mac := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(mac, "%d.%s", at.Unix(), body)
	return fmt.Sprintf("t=%d,v1=%s", at.Unix(), hex.EncodeToString(mac.Sum(nil)))
}

type object map[string]any

// post sends a body with a signature and returns the status and the answer.
func post(t *testing.T, url, body, signed string) (int, object) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if signed != "" {
		req.Header.Set("X-Leasehold-Signature", signed)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer object
	if dec := json.NewDecoder(bytes.NewReader(text)); resp.StatusCode == http.StatusOK {
		if err := dec.Decode(&answer); err != nil {
			t.Fatalf("%s: answered %q: %v", body, text, err)
		}
	}
	return resp.StatusCode, answer
}

// send sends a call as Leasehold does.
func send(t *testing.T, url string, call object) (int, object) {
	t.Helper()
	body, err := json.Marshal(call)
	if err != nil {
		t.Fatal(err)
	}
	return post(t, url, string(body), signature(secret, time.Now(), string(body)))
}

// list asks a sample itself for all that it holds.
func list(t *testing.T, url string) (items []object) {
	t.Helper()
	for after := ""; ; {
		status, answer := send(t, url, object{"action": "inventory", "mark": "lh", "after": after, "limit": 2})
		if status != http.StatusOK {
			t.Fatalf("inventory: answered %d", status)
		}
		for _, item := range answer["items"].([]any) {
			items = append(items, item.(map[string]any))
		}
		if answer["more"] == false {
			return items
		}
		after = items[len(items)-1]["external_name"].(string)
	}
}
