package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// longFlags rewrites each long flag that stands behind one dash to the two that the parser wants.
// It walks the line as the parser will: down the tree of commands, past the values of flags, up to
// a bare "--", so that a value that looks like a flag is left alone.
func longFlags(root *cobra.Command, args []string) []string {
	root.InitDefaultHelpFlag()
	root.InitDefaultVersionFlag()
	cmd, positional := root, false
	out := make([]string, 0, len(args))
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			return append(out, args[i:]...)
		}
		if len(arg) < 2 || arg[0] != '-' {
			if next := subcommand(cmd, arg); next != nil && !positional {
				cmd = next
				cmd.InitDefaultHelpFlag()
			} else {
				positional = true
			}
			out = append(out, arg)
			continue
		}
		name, _, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		known, takesValue := lookupFlag(cmd, name)
		if isLong(cmd, arg, name, known) {
			arg = "-" + arg
		}
		out = append(out, arg)
		if takesValue && !hasValue && i+1 < len(args) {
			i++
			out = append(out, args[i])
		}
	}
	return out
}

// isLong reports whether arg is a long flag behind one dash. A flag that is not known counts as
// one unless it could be a group of short ones, so that the complaint names it whole.
func isLong(cmd *cobra.Command, arg, name string, known bool) bool {
	if strings.HasPrefix(arg, "--") || len(name) < 2 {
		return false
	}
	if known {
		return true
	}
	for _, letter := range name {
		if letter > 'z' || cmd.Flags().ShorthandLookup(string(letter)) == nil {
			return name[0] >= 'a' && name[0] <= 'z'
		}
	}
	return false
}

func subcommand(cmd *cobra.Command, name string) *cobra.Command {
	for _, c := range cmd.Commands() {
		if c.Name() == name || c.HasAlias(name) {
			return c
		}
	}
	return nil
}

// lookupFlag tells whether cmd has a flag of this name, and whether the next argument is its value.
func lookupFlag(cmd *cobra.Command, name string) (known, takesValue bool) {
	flag := cmd.Flags().Lookup(name)
	if len(name) == 1 {
		flag = cmd.Flags().ShorthandLookup(name)
	}
	if flag == nil {
		flag = cmd.Root().PersistentFlags().Lookup(name)
	}
	return flag != nil, flag != nil && flag.NoOptDefVal == ""
}

// seconds is a flag for a duration in any of the forms that the server takes: "3600", "1h30m",
// "7d". Unset it is 0.
type seconds time.Duration

// String is what help shows as the default: nothing for 0, which stands for "not given".
func (s *seconds) String() string {
	if *s == 0 {
		return ""
	}
	return s.wire()
}

func (s *seconds) Type() string { return "duration" }

// wire is how requests say it.
func (s *seconds) wire() string { return time.Duration(*s).String() }

// Set parses text.
func (s *seconds) Set(text string) error {
	d, err := parseDuration(text)
	if err != nil {
		return err
	}
	*s = seconds(d)
	return nil
}

// parseDuration reads seconds, a Go duration, or whole days.
func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if n, numeric := strconv.ParseInt(text, 10, 32); numeric == nil {
		d, err = time.Duration(n)*time.Second, nil
	} else if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, numeric := strconv.ParseInt(days, 10, 16); numeric == nil {
			d, err = time.Duration(n)*24*time.Hour, nil
		}
	}
	if err != nil {
		return 0, fmt.Errorf("%q is no duration: write seconds (3600) or a number with a unit (90s, 30m, 1h, 7d)", text)
	}
	if d < 0 {
		return 0, fmt.Errorf("%q is negative", text)
	}
	return d, nil
}
