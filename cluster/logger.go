package cluster

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// hclogger lets raft and autopilot, which want an hclog.Logger, write to our slog.Logger. What these
// libraries tell at info is of use to somebody who looks for a fault in them, so it is logged at debug;
// the cluster itself says who leads and who joins.
type hclogger struct {
	out     *slog.Logger
	name    string
	implied []any
}

func newHclogger(out *slog.Logger, name string) *hclogger {
	return &hclogger{out: out.With("component", name), name: name}
}

// Log implements hclog.Logger.
func (l *hclogger) Log(level hclog.Level, msg string, args ...any) {
	msg = strings.TrimSpace(msg)
	begins := func(start string) bool { return strings.HasPrefix(msg, start) }
	switch {
	case level == hclog.Info && !slices.ContainsFunc(worthTelling, begins),
		level > hclog.Info && slices.ContainsFunc(harmless, begins):
		level = hclog.Debug
	}
	l.out.Log(context.Background(), slogLevel(level), msg, clean(args)...)
}

// worthTelling are the beginnings of what the libraries tell at info and an operator wants to read.
var worthTelling = []string{
	"snapshot complete up to", "installing snapshot on", "Installed remote snapshot", // raft
	"Promoting server", "Demoting server", "removed server", // autopilot
	"Marking ", // gossip: a node is not there any more
}

// harmless are the beginnings of what the libraries warn of although it belongs to an ordinary start
// or to a follower that catches up, and of what the leader's raft repeats several times a second about
// a member that is down, which the cluster tells once.
var harmless = []string{
	"no known peers, aborting election", "heartbeat timeout reached, starting election", "failed to get previous log", "appendEntries rejected, sending older logs", // raft
	"failed to heartbeat to", "failed to appendEntries to", "failed to contact", "failed to make requestVote RPC",
	"Refuting an alive message", "Refuting a suspect message", "Refuting a dead message", // gossip, after a restart
}

// clean turns hclog's own formatting types into plain strings.
func clean(args []any) []any {
	out := make([]any, len(args))
	for i, a := range args {
		switch v := a.(type) {
		case hclog.Format:
			out[i] = fmt.Sprintf(fmt.Sprint(v[0]), v[1:]...)
		case fmt.Stringer:
			out[i] = v.String()
		default:
			out[i] = a
		}
	}
	return out
}

func slogLevel(level hclog.Level) slog.Level {
	switch level {
	case hclog.Trace:
		return slog.LevelDebug - 4
	case hclog.Debug:
		return slog.LevelDebug
	case hclog.Warn:
		return slog.LevelWarn
	case hclog.Error:
		return slog.LevelError
	}
	return slog.LevelInfo
}

func (l *hclogger) enabled(level hclog.Level) bool {
	return l.out.Enabled(context.Background(), slogLevel(level))
}

// Trace and its siblings implement hclog.Logger.
func (l *hclogger) Trace(msg string, args ...any) { l.Log(hclog.Trace, msg, args...) }
func (l *hclogger) Debug(msg string, args ...any) { l.Log(hclog.Debug, msg, args...) }
func (l *hclogger) Info(msg string, args ...any)  { l.Log(hclog.Info, msg, args...) }
func (l *hclogger) Warn(msg string, args ...any)  { l.Log(hclog.Warn, msg, args...) }
func (l *hclogger) Error(msg string, args ...any) { l.Log(hclog.Error, msg, args...) }

func (l *hclogger) IsTrace() bool { return l.enabled(hclog.Trace) }
func (l *hclogger) IsDebug() bool { return l.enabled(hclog.Debug) }
func (l *hclogger) IsInfo() bool  { return l.enabled(hclog.Info) }
func (l *hclogger) IsWarn() bool  { return l.enabled(hclog.Warn) }
func (l *hclogger) IsError() bool { return l.enabled(hclog.Error) }

func (l *hclogger) ImpliedArgs() []any { return l.implied }
func (l *hclogger) Name() string       { return l.name }

func (l *hclogger) With(args ...any) hclog.Logger {
	implied := append(append([]any(nil), l.implied...), args...)
	return &hclogger{out: l.out.With(clean(args)...), name: l.name, implied: implied}
}

func (l *hclogger) Named(name string) hclog.Logger {
	return &hclogger{out: l.out.With("part", name), name: l.name + "." + name, implied: l.implied}
}

func (l *hclogger) ResetNamed(name string) hclog.Logger { return newHclogger(l.out, name) }
func (l *hclogger) SetLevel(hclog.Level)                {}

func (l *hclogger) GetLevel() hclog.Level {
	for _, level := range []hclog.Level{hclog.Trace, hclog.Debug, hclog.Info, hclog.Warn} {
		if l.enabled(level) {
			return level
		}
	}
	return hclog.Error
}

func (l *hclogger) StandardLogger(*hclog.StandardLoggerOptions) *log.Logger {
	return log.New(lineWriter{l}, "", 0)
}

func (l *hclogger) StandardWriter(*hclog.StandardLoggerOptions) io.Writer { return lineWriter{l} }

// lineWriter takes lines of the form "[WARN] memberlist: ..." and logs them at their level.
type lineWriter struct{ to *hclogger }

func (w lineWriter) Write(p []byte) (int, error) {
	line := string(bytes.TrimSpace(p))
	level := hclog.Info
	if rest, ok := strings.CutPrefix(line, "["); ok {
		if word, text, ok := strings.Cut(rest, "]"); ok {
			if word == "ERR" {
				word = "ERROR"
			}
			if parsed := hclog.LevelFromString(word); parsed != hclog.NoLevel {
				level, line = parsed, strings.TrimSpace(text)
			}
		}
	}
	w.to.Log(level, strings.TrimPrefix(line, "memberlist: "))
	return len(p), nil
}
