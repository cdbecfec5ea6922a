package lessor_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor/lessortest"
)

// wantError checks the code of an error and that its message holds text.
func wantError(t *testing.T, err error, code lease.Code, text string) {
	t.Helper()
	var own *lease.Error
	if !errors.As(err, &own) {
		t.Errorf("got error %v, want %s with %q", err, code, text)
		return
	}
	if own.Code != code || !strings.Contains(own.Message, text) {
		t.Errorf("got error (%s) %q, want (%s) with %q", own.Code, own.Message, code, text)
	}
}

// patient is a context for calls that wait for something that will come.
func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), lessortest.Patience)
	t.Cleanup(cancel)
	return ctx
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

func number(text string) json.Number { return json.Number(text) }

func contains(list []string, part string) bool {
	for _, s := range list {
		if strings.Contains(s, part) {
			return true
		}
	}
	return false
}
