package webhook

// Inside the package, as an answer is read without a call.

import (
	"strings"
	"testing"
)

// FuzzInventory: whatever a service answers, the next question asks for less, and no other cluster's names
// are reported.
func FuzzInventory(f *testing.F) {
	for _, s := range []string{
		``, `{}`, `{"items":[]}`, `{"items":[{"external_name":"lh-c1-a"},{"external_name":"lh-c1-b"}],"more":true}`,
		`{"items":[{"external_name":"lh-c10-a","created":"2027-01-15T09:00:00Z"}]}`, `{"items":[{}],"more":true}`, `{"items":[],"more":true}`,
		`{"items":[{"external_name":"b"},{"external_name":"a"}]}`, `{"items":null,"more":null}`, `{"items":[{"external_name":"\u2028"}]}`,
	} {
		f.Add([]byte(s), "")
		f.Add([]byte(s), "lh-c1-a")
	}
	f.Fuzz(func(t *testing.T, body []byte, after string) {
		a := &answer{body: body}
		p, err := a.page(question{Mark: "lh-c1", After: after})
		if err != nil {
			if p != nil {
				t.Fatalf("%q: a page beside the error %v", body, err)
			}
			return
		}
		if p.last < after || p.more && p.last == after {
			t.Errorf("%q: goes on behind %q after %q", body, p.last, after)
		}
		for _, item := range p.items {
			if !strings.HasPrefix(item.ExternalName, "lh-c1-") || item.ExternalName <= after || item.ExternalName > p.last {
				t.Errorf("%q: reports %q on a page from %q to %q", body, item.ExternalName, after, p.last)
			}
			after = item.ExternalName
		}
	})
}
