package kv_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/backend/kv"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
	"github.com/leasehold/leasehold/lessor/lessortest"
)

// world is the engine mounted on a replicated state.
func world(t testing.TB) (*lessortest.World, *lease.Mount) {
	t.Helper()
	w := lessortest.NewWith(t, lessortest.Options{Backends: []backend.Backend{kv.New()}})
	return w, w.Enable("secret", "kv", lease.MountConfig{})
}

func handle(w *lessortest.World, m *lease.Mount, op backend.Operation, path string, params map[string]any) (*backend.Response, error) {
	return w.Lessor.Handle(context.Background(), lessor.Request{Mount: m, Operation: op, Path: path, Params: params, Token: w.Root()})
}

// texts are values as people send them.
var texts = []string{
	`{"user":"robot","password":"correct horse battery staple"}`,
	`{"n":[0,-0,1.0,1.50,1e400,-1E-400,12345678901234567890,0.1234567890123456789012345678901234567890]}`,
	`{"a":{"b":{"c":[[],{},[{}],null,true,false,"",{"":""}]}}}`,
	`{"":"no name","a/b":"a slash","a.b":"a dot","keys":["x"],"next":"y","ttl":"1h","path":"p","data":{"data":{}}}`,
	`{"text":"Grüße, 世界 🙂 \u2028\u2029 \u0000\u0007 \\ \" / <a&b> \ufffd \ud83d\ude42"}`,
	`{"grüße\n":"in a name","\u0000":1}`,
	`{"pem":"-----BEGIN KEY-----\nMC4CAQ==\n-----END KEY-----\n"}`,
}

func TestValuesAreReadAsTheyWereWritten(t *testing.T) {
	w, m := world(t)
	for i, text := range texts {
		want, err := field.ParseObject([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		path := fmt.Sprint("values/", i)
		if _, err := handle(w, m, backend.Write, path, want); err != nil {
			t.Fatalf("write %s: %v", text, err)
		}
		got, err := handle(w, m, backend.Read, path, nil)
		if err != nil || !reflect.DeepEqual(got.Data, want) {
			t.Errorf("got  %v, %v\nwant %v", got, err, want)
		}
	}
	got, err := handle(w, m, backend.Read, "values/1", nil)
	if err != nil {
		t.Fatal(err)
	}
	// Digit for digit: 1.0 is not 1, and what no float holds is not rounded.
	numbers := []any{}
	for _, n := range []string{"0", "-0", "1.0", "1.50", "1e400", "-1E-400", "12345678901234567890", "0.1234567890123456789012345678901234567890"} {
		numbers = append(numbers, json.Number(n))
	}
	if !reflect.DeepEqual(got.Data["n"], numbers) {
		t.Errorf("got %v, want %v", got.Data["n"], numbers)
	}
}

// TestT10_ValuesAreSealedBeforeTheyAreProposed: neither the log nor the state holds a value, and two
// writes of one value do not look alike.
func TestT10_ValuesAreSealedBeforeTheyAreProposed(t *testing.T) {
	w, m := world(t)
	for range 2 {
		if _, err := handle(w, m, backend.Write, "ci", map[string]any{"password": "hunter2-of-ci"}); err != nil {
			t.Fatal(err)
		}
	}
	var sealed [][]byte
	for _, cmd := range w.Proposer.Commands() {
		framed, err := fsm.EncodeCommand(cmd)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"hunter2", "password"} {
			if bytes.Contains(framed, []byte(secret)) {
				t.Errorf("a %T holds %q", cmd, secret)
			}
		}
		if put, ok := cmd.(*command.PutEntry); ok {
			sealed = append(sealed, put.Value)
		}
	}
	if len(sealed) != 2 || bytes.Equal(sealed[0], sealed[1]) {
		t.Errorf("got %d sealed values %x, want two that differ", len(sealed), sealed)
	}
	w.State.Read(func(v *fsm.View) {
		if blob, ok := v.Entry(m.ID, "ci"); !ok || bytes.Contains(blob, []byte("hunter2")) {
			t.Errorf("the state holds %q, %v; want a sealed value", blob, ok)
		}
	})
}

// TestTheLargestValueFitsIntoTheLog: at the longest path, the largest value makes a command that the log
// still takes (settled.md 20): refusing it is this engine's business, with its sizes in the text.
func TestTheLargestValueFitsIntoTheLog(t *testing.T) {
	const maxCommand = 256 << 10 // of cluster's proposer
	w, m := world(t)
	path := strings.Repeat("é", kv.MaxPath/2)
	large := map[string]any{"a": strings.Repeat("x", kv.MaxValue-len(`{"a":""}`))}
	if _, err := handle(w, m, backend.Write, path, large); err != nil {
		t.Fatal(err)
	}
	commands := w.Proposer.Commands()
	framed, err := fsm.EncodeCommand(commands[len(commands)-1])
	if err != nil || len(framed) > maxCommand || len(framed) < kv.MaxValue {
		t.Errorf("got a command of %d bytes, %v; want at most %d", len(framed), err, maxCommand)
	}
	if got, err := handle(w, m, backend.Read, path, nil); err != nil || !reflect.DeepEqual(got.Data, large) {
		t.Errorf("the value is not what was written: %v", err)
	}
	large["a"] = large["a"].(string) + "x"
	_, err = handle(w, m, backend.Write, path, large)
	wantCode(t, "one byte more", err, lease.TooLarge, "261121 bytes as JSON, at most 261120")
	// What grows when it is encoded is measured as it is kept.
	_, err = handle(w, m, backend.Write, path, map[string]any{"a": strings.Repeat("\x00", kv.MaxValue/3)})
	wantCode(t, "many escapes", err, lease.TooLarge, "bytes as JSON")
}

// A failure of the log is told as it is: "nothing happened" and "it may have happened" differ.
func TestFailuresOfTheLogPassThrough(t *testing.T) {
	w, m := world(t)
	value := map[string]any{"a": "b"}
	w.Proposer.Strike(&command.PutEntry{}, lessortest.Refuse)
	_, err := handle(w, m, backend.Write, "a", value)
	wantCode(t, "a write without a leader", err, lease.Unavailable, "leader")
	w.Proposer.Strike(&command.PutEntry{}, lessortest.LoseAfter)
	_, err = handle(w, m, backend.Write, "a", value)
	wantCode(t, "a write whose answer is lost", err, lease.Uncertain, "may have happened")
	w.Proposer.Strike(&command.DeleteEntry{}, lessortest.Refuse)
	_, err = handle(w, m, backend.Delete, "a", nil)
	wantCode(t, "a delete without a leader", err, lease.Unavailable, "leader")
	if _, err = handle(w, m, backend.Delete, "", nil); err != nil {
		t.Errorf("the mount itself has nothing to delete: got %v, want no proposal", err)
	}
	if got, err := handle(w, m, backend.Read, "a", nil); err != nil || got == nil {
		t.Errorf("got %v, %v; want the value", got, err)
	}
}

// TestManyAtOnce: readers see whole values only, each the work of one writer, and lists show what is there
// all the time.
func TestManyAtOnce(t *testing.T) {
	w, m := world(t)
	const writers, rounds = 4, 50
	value := func(writer, round int) map[string]any {
		stamp := fmt.Sprintf("%d-%d", writer, round)
		return map[string]any{"first": stamp, "filler": strings.Repeat("x", 10*writer), "last": stamp}
	}
	if _, err := handle(w, m, backend.Write, "shared", value(0, 0)); err != nil {
		t.Fatal(err)
	}
	work := func(id int) error {
		own := fmt.Sprint("own/", id)
		for round := range rounds {
			for _, path := range []string{"shared", own} {
				if _, err := handle(w, m, backend.Write, path, value(id, round)); err != nil {
					return err
				}
				got, err := handle(w, m, backend.Read, path, nil)
				if err != nil || got == nil || got.Data["first"] != got.Data["last"] {
					return fmt.Errorf("%s: got %v, %v; want a whole value", path, got, err)
				}
				if path == own && !reflect.DeepEqual(got.Data, value(id, round)) {
					return fmt.Errorf("%s: got %v, want what was just written", path, got.Data)
				}
			}
			got, err := handle(w, m, backend.List, "", nil)
			if err != nil || !reflect.DeepEqual(got.Data["keys"], []string{"own/", "shared"}) {
				return fmt.Errorf("list: got %v, %v", got, err)
			}
			if round%10 != 9 || round == rounds-1 {
				continue
			}
			if _, err := handle(w, m, backend.Delete, own, nil); err != nil {
				return err
			}
			if got, err := handle(w, m, backend.Read, own, nil); got != nil || err != nil {
				return fmt.Errorf("%s: got %v, %v after it was deleted", own, got, err)
			}
			// The folder must be there for the others' lists.
			if _, err := handle(w, m, backend.Write, own, value(id, round)); err != nil {
				return err
			}
		}
		return nil
	}
	if _, err := handle(w, m, backend.Write, "own/stays", value(0, 0)); err != nil {
		t.Fatal(err)
	}
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() { errs[i] = work(i) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for i := range writers {
		if got, err := handle(w, m, backend.Read, fmt.Sprint("own/", i), nil); err != nil || !reflect.DeepEqual(got.Data, value(i, rounds-1)) {
			t.Errorf("writer %d: got %v, %v; want its last value", i, got, err)
		}
	}
}
