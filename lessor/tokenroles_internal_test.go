package lessor

import (
	"regexp"
	"strings"
	"testing"
)

// Every short pattern against every short name, compared with the regular expression that it means. The
// matcher is not to be had from outside but through a token for each question.
func TestGlobsAreThoseOfARegularExpression(t *testing.T) {
	words := func(letters string, longest int) []string {
		all, level := []string{""}, []string{""}
		for range longest {
			var next []string
			for _, w := range level {
				for _, l := range letters {
					next = append(next, w+string(l))
				}
			}
			all, level = append(all, next...), next
		}
		return all
	}
	names := words("ab", 5)
	for _, pattern := range words("ab*", 5) {
		re := regexp.MustCompile("^" + strings.ReplaceAll(pattern, "*", ".*") + "$")
		for _, name := range names {
			if got, want := glob(pattern, name), re.MatchString(name); got != want {
				t.Fatalf("%q on %q: got %v, want %v", pattern, name, got, want)
			}
		}
	}
}
