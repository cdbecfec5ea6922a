package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// A load must count what was answered, and how, or every figure taken with it is worth nothing.
func TestLoadCountsAnswers(t *testing.T) {
	var mu sync.Mutex
	seen := make(map[string]int)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		seen[r.Header.Get("X-Vault-Token")+" "+r.Method+" "+r.URL.Path]++
		mu.Unlock()
		switch string(body) {
		case "refuse":
			http.Error(w, "no", http.StatusBadRequest)
		case "hang up":
			panic(http.ErrAbortHandler)
		case "nothing":
			w.WriteHeader(http.StatusNoContent)
		default:
			fmt.Fprintf(w, `{"lease_id":"a/%s"}`, strings.Repeat("x", 1500)) // more than one read
		}
	}))
	defer server.Close()
	const clients, each = 5, 40
	bodies := []string{"", "nothing", "refuse", "hang up"}
	s, err := load(context.Background(), target{addresses: []string{server.URL}, token: "t", timeout: 5 * time.Second}, clients, work{
		next: func(_, n int) (request, bool) {
			return request{"PUT", "/v1/x", []byte(bodies[n%len(bodies)])}, n < each
		},
		answered: func(_, status int, body []byte) error { return want(status, body, nil, 200, 204) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(s.each), clients*each/2; got != want {
		t.Errorf("%d answers counted as good, want %d", got, want)
	}
	if got, want := s.failed, clients*each/2; got != want {
		t.Errorf("%d answers counted as failed, want %d", got, want)
	}
	mu.Lock()
	defer mu.Unlock()
	if got, want := seen["t PUT /v1/x"], clients*each; got != want {
		t.Errorf("the server saw %d requests of %v, want %d", got, seen, want)
	}
}

func TestLoadEndsWithItsContext(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	s, err := load(ctx, target{addresses: []string{server.URL}, timeout: 5 * time.Second}, 3, work{
		next:     func(int, int) (request, bool) { return request{"GET", "/", nil}, true },
		answered: func(_, status int, body []byte) error { return want(status, body, nil, 200) },
	})
	if err != nil || len(s.each) == 0 || s.failed > 0 {
		t.Fatalf("got %d good, %d failed, %v", len(s.each), s.failed, err)
	}
}

func TestParseAnswer(t *testing.T) {
	cases := []struct {
		in, body string
		status   int
		whole    bool
		bad      bool
	}{
		{in: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", body: "{}", status: 200, whole: true},
		{in: "HTTP/1.1 204 No Content\r\nA: b\r\n\r\n", status: 204, whole: true},
		{in: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{", status: 200},
		{in: "HTTP/1.1 200 OK\r\nContent-Le"},
		{in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", bad: true},
		{in: "SSH-2.0-nothing of ours\r\n\r\n", bad: true},
		{in: "HTTP/1.1 abc\r\n\r\n", bad: true},
	}
	for _, c := range cases {
		status, body, whole, err := parseAnswer([]byte(c.in))
		if (err != nil) != c.bad || whole != c.whole || c.whole && (status != c.status || string(body) != c.body) {
			t.Errorf("%q: got %d, %q, whole %v, %v", c.in, status, body, whole, err)
		}
	}
}
