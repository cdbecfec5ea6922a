package seal_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/leasehold/leasehold/seal"
)

type document struct{ S seal.Secret }

func TestSecretsShowThemselvesNowhere(t *testing.T) {
	const word = "hunter2"
	s := seal.NewSecret(word)
	type hidden struct{ secret seal.Secret }
	type shown struct {
		Secret  seal.Secret
		Pointer *seal.Secret
		List    []seal.Secret
		Map     map[string]seal.Secret
		Any     any
	}
	all := shown{s, &s, []seal.Secret{s}, map[string]seal.Secret{"k": s}, s}
	var outputs []string
	for _, v := range []any{s, &s, hidden{s}, &hidden{s}, all, &all, []any{all, hidden{s}}, fmt.Errorf("wrapped: %v", s)} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10.3s", "%T"} {
			outputs = append(outputs, fmt.Sprintf(verb, v))
		}
		outputs = append(outputs, fmt.Sprint(v), fmt.Sprintln(v))
		b, err := json.Marshal(v)
		if err != nil {
			t.Errorf("json of %T: %v", v, err)
		}
		outputs = append(outputs, string(b))
		for _, h := range []func(*bytes.Buffer) slog.Handler{
			func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
			func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
		} {
			var buf bytes.Buffer
			slog.New(h(&buf)).With("bound", v).Info("x", "value", v, slog.Group("g", "v", v))
			outputs = append(outputs, buf.String())
		}
	}
	x, err := xml.Marshal(document{s})
	if err != nil {
		t.Error(err)
	}
	outputs = append(outputs, string(x), s.String(), s.GoString(), s.LogValue().String())
	for _, out := range outputs {
		for _, leak := range []string{word, "68756e74657232", "68756E74657232", "0x68, 0x75"} {
			if strings.Contains(out, leak) {
				t.Errorf("got %s, which shows the secret", out)
			}
		}
	}
	if got := fmt.Sprintf("%v|%s|%#v", s, s, s); got != "[redacted]|[redacted]|[redacted]" {
		t.Errorf("got %s", got)
	}
	if b, _ := json.Marshal(s); string(b) != `"[redacted]"` {
		t.Errorf("json: got %s", b)
	}
}

func TestSecretsCompareAndDecode(t *testing.T) {
	var in struct{ Password, Empty seal.Secret }
	if err := json.Unmarshal([]byte(`{"Password": "hunter2", "Empty": ""}`), &in); err != nil {
		t.Fatal(err)
	}
	if got := in.Password.Reveal(); got != "hunter2" {
		t.Errorf("got %q, want hunter2", got)
	}
	if !in.Empty.IsZero() || in.Password.IsZero() || in.Empty.Reveal() != "" {
		t.Errorf("got zero %v and %v, want true and false", in.Empty.IsZero(), in.Password.IsZero())
	}
	for other, want := range map[string]bool{"hunter2": true, "hunter3": false, "": false, "hunter22": false} {
		if got := in.Password.Equal(seal.NewSecret(other)); got != want {
			t.Errorf("equal to %q: got %v, want %v", other, got, want)
		}
	}
}

func TestKeysAndKeyringsDoNotPrintTheirKeys(t *testing.T) {
	key, ring := staticKey(t, 3), keyring(t, 1)
	type owner struct {
		key  *seal.StaticKey
		ring *seal.Keyring
	}
	for _, v := range []any{key, *key, ring, owner{key, ring}, []any{key, ring}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%s", "%d"} {
			out := fmt.Sprintf(verb, v)
			// Keys count up: 3 4 5 6 and 1 2 3 4 in some notation.
			for _, leak := range []string{"3 4 5 6", "0x3, 0x4", "03040506", "[3 4", "[1 2", "01020304", key.Encode().Reveal()} {
				if strings.Contains(out, leak) {
					t.Errorf("%s of %T: got %s, which shows a key", verb, v, out)
				}
			}
		}
		if b, err := json.Marshal(v); err == nil && strings.ContainsAny(strings.ReplaceAll(string(b), "null", ""), "123456789") {
			t.Errorf("json of %T: got %s", v, b)
		}
	}
	if got, want := key.String(), "static key "+key.ID(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestKeyFiles(t *testing.T) {
	key := staticKey(t, 0xe0)
	std := key.Encode().Reveal()
	url := strings.NewReplacer("+", "-", "/", "_").Replace(std)
	if url == std {
		t.Fatal("the key does not tell the alphabets apart")
	}
	const end = ": expected 32 bytes in base64"
	tests := map[string]struct {
		text string
		want string // the error after the file's name, "" for the key
	}{
		"as openssl writes it":    {std + "\n", ""},
		"no line end":             {std, ""},
		"space around":            {" \t" + std + "\r\n\n", ""},
		"no padding":              {strings.TrimRight(std, "="), ""},
		"the URL alphabet":        {url, ""},
		"empty":                   {"\n", " is empty" + end},
		"hex":                     {strings.Repeat("ab", 32), " looks like hex" + end},
		"raw bytes":               {strings.Repeat("\xff", 32), " is not base64" + end},
		"too short":               {"c2hvcnQ=", " has 5 bytes" + end},
		"too long":                {strings.Repeat("QUJD", 16), " has 48 bytes" + end},
		"bits beyond the last":    {strings.TrimRight(std, "=")[:42] + "9", " is not base64" + end},
		"a line in the middle":    {std[:20] + " " + std[20:], " is not base64" + end},
		"something quite else":    {strings.Repeat("A", 5000), " has more than 4096 bytes" + end},
		"something long in limit": {strings.Repeat("A", 4000), " has 3000 bytes" + end},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "seal.key")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, warnings, err := seal.LoadKeyFile(path)
			if tt.want == "" {
				if err != nil || got.ID() != key.ID() || warnings != nil {
					t.Errorf("got %v, %q, %v; want %v", got, warnings, err, key)
				}
				return
			}
			if want := fmt.Sprintf("seal key file %q%s", path, tt.want); err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
			if len(tt.text) > 8 && err != nil && strings.Contains(err.Error(), strings.TrimSpace(tt.text)) {
				t.Errorf("got %v, which repeats the file", err)
			}
		})
	}
}

func TestKeyFilesThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "none")
	want := fmt.Sprintf("seal key file %q does not exist: copy it from another node, or for a new cluster make it with: "+
		"openssl rand -base64 32", missing)
	if _, _, err := seal.LoadKeyFile(missing); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	want = fmt.Sprintf("seal key file %q is a directory", dir)
	if _, _, err := seal.LoadKeyFile(dir); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if _, _, err := seal.LoadKeyFile("a\x00b"); err == nil || !strings.HasPrefix(err.Error(), "seal key file: ") {
		t.Errorf("got %v, want an error about the seal key file", err)
	}
}

func TestOpenKeyFilesAreWarnedOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seal.key")
	if err := os.WriteFile(path, []byte(staticKey(t, 3).Encode().Reveal()), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, warned := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o604: true, 0o644: true, 0o620: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		var want []string
		if warned {
			want = []string{fmt.Sprintf("seal key file %q is open to others than its owner (mode %04o): chmod 600 it", path, mode)}
		}
		if key, got, err := seal.LoadKeyFile(path); err != nil || key == nil || !reflect.DeepEqual(got, want) {
			t.Errorf("mode %04o: got %q, %v; want %q", mode, got, err, want)
		}
	}
}
