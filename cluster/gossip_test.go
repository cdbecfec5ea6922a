package cluster

// Inside the package: the format of gossip is seen by no user, but by nodes of other versions.

import (
	"strings"
	"testing"

	"github.com/hashicorp/memberlist"
)

func TestGossipMeta(t *testing.T) {
	m := gossipMeta{ID: "n1", PeerAddr: "node1:8201", APIAddr: "https://node1:8200", Version: "1.2.3", Expect: 3, HasState: true}
	got, err := decodeMeta("n1", m.encode())
	if err != nil || got != m {
		t.Errorf("got %+v, %v, want %+v", got, err, m)
	}
	later := append(m.encode(), "a field of a later version"...)
	if got, err := decodeMeta("n1", later); err != nil || got != m {
		t.Errorf("with more at its end: got %+v, %v, want %+v", got, err, m)
	}
	long := gossipMeta{PeerAddr: strings.Repeat("p", 200), APIAddr: strings.Repeat("a", 250), Version: "1.2.3"}
	if size := len(long.encode()); size > memberlist.MetaMaxSize {
		t.Errorf("long addresses take %d bytes, want at most %d", size, memberlist.MetaMaxSize)
	}
}

func FuzzGossipMeta(f *testing.F) {
	f.Add(gossipMeta{PeerAddr: "a:1", APIAddr: "b:2", Version: "c", Expect: 5}.encode())
	f.Add([]byte{1, 0, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMeta("n", b)
		if err != nil {
			return
		}
		if again, err := decodeMeta("n", m.encode()); err != nil || again != m {
			t.Errorf("%+v became %+v, %v", m, again, err)
		}
	})
}

func TestFounders(t *testing.T) {
	node := func(id string, expect int, state bool) gossipMeta {
		return gossipMeta{ID: id, PeerAddr: id + ":1", Expect: expect, HasState: state}
	}
	tests := []struct {
		name string
		seen []gossipMeta
		want string
	}{
		{"all there", []gossipMeta{node("a", 3, false), node("b", 3, false), node("c", 3, false)}, "a b c"},
		{"one is missing", []gossipMeta{node("a", 3, false), node("b", 3, false)}, ""},
		{"one has a cluster", []gossipMeta{node("a", 3, false), node("b", 3, false), node("c", 3, true)}, ""},
		{"a fourth has a cluster", []gossipMeta{node("a", 3, false), node("b", 3, false), node("c", 3, false), node("d", 0, true)}, ""},
		{"one expects another number", []gossipMeta{node("a", 3, false), node("b", 3, false), node("c", 2, false)}, ""},
		{"one too many", []gossipMeta{node("a", 3, false), node("b", 3, false), node("c", 3, false), node("d", 3, false)}, ""},
		{"a fourth that only joins", []gossipMeta{node("a", 3, false), node("b", 3, false), node("c", 3, false), node("d", 0, false)}, "a b c"},
		{"nobody", nil, ""},
	}
	for _, tt := range tests {
		servers, ok, _ := founders(tt.seen, 3)
		var ids []string
		for _, s := range servers {
			ids = append(ids, s.ID)
		}
		if got := strings.Join(ids, " "); ok != (tt.want != "") || ok && got != tt.want {
			t.Errorf("%s: got %q, %v, want %q", tt.name, got, ok, tt.want)
		}
	}
}
