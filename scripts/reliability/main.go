// Command reliability writes what recorded runs of scripts/failover.sh found into the table of
// docs/reliability.md, between its marks:
//
//	scripts/reliability.sh         rewrites the table from the runs in docs/results
//	scripts/reliability.sh -check  exits 1 if the table is not what they say
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	page     = "docs/reliability.md"
	recorded = "docs/results"
	begin    = "<!-- matrix: written by scripts/reliability.sh -->"
	end      = "<!-- end of matrix -->"
)

// result is a line that a run wrote about one kind of fault; see test/failover.
type result struct {
	Form, Fault, Command         string
	Started                      time.Time
	Strikes, Checked, Violations int
	Unknown                      int
	Failover                     []float64 `json:"failover_ms"`
	Gaps                         []float64 `json:"gaps_ms"`
	Stock, Bare                  int
	StockFailed                  int `json:"stock_failed"`
	BareFailed                   int `json:"bare_failed"`
}

func main() {
	check := flag.Bool("check", false, "compare, change nothing")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintln(os.Stderr, "reliability:", err)
		os.Exit(1)
	}
}

func run(check bool) error {
	results, err := load(recorded)
	if err != nil {
		return err
	}
	old, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	text, err := replace(string(old), table(results))
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	switch {
	case text == string(old):
		return nil
	case check:
		return fmt.Errorf("the table in %s is not what %s says: run scripts/reliability.sh", page, recorded)
	}
	return os.WriteFile(page, []byte(text), 0o644)
}

// load reads all lines of all runs in a directory, which may be missing.
func load(dir string) ([]result, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		return nil, err
	}
	var results []result
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(bytes.NewReader(text))
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			var r result
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			results = append(results, r)
		}
		if err := lines.Err(); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return results, nil
}

// replace puts a table between the marks.
func replace(text, table string) (string, error) {
	before, rest, ok := strings.Cut(text, begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return "", errors.New("the marks of the table are missing")
	}
	return before + begin + "\n\n" + table + "\n" + end + after, nil
}

// table has a row for each fault of each form, the runs added up, and one for all of them.
func table(results []result) string {
	if len(results) == 0 {
		return "No run is recorded yet.\n"
	}
	rows := map[[2]string]*result{}
	var all result
	for _, r := range results {
		key := [2]string{r.Form, r.Fault}
		row := rows[key]
		if row == nil {
			row = &result{Form: r.Form, Fault: r.Fault}
			rows[key] = row
		}
		row.add(r)
		all.add(r)
	}
	sorted := make([]*result, 0, len(rows))
	for _, row := range rows {
		sorted = append(sorted, row)
	}
	slices.SortFunc(sorted, func(a, b *result) int {
		return cmp.Or(-strings.Compare(a.Form, b.Form), strings.Compare(a.Fault, b.Fault))
	})
	var out strings.Builder
	out.WriteString("| fault | nodes | strikes | calls checked | of unknown outcome | violations | next write: p50, p90, p99, max | longest gap: p50, max | command |\n")
	out.WriteString("|---|---|---|---|---|---|---|---|---|\n")
	for _, row := range sorted {
		fmt.Fprintf(&out, "| %s%s | %s | %s | %s | %s | %s | %s | %s | `%s` |\n", row.Fault, row.stock(), row.Form, count(row.Strikes),
			count(row.Checked), count(row.Unknown), count(row.Violations), times(row.Failover, 0.5, 0.9, 0.99, 1), times(row.Gaps, 0.5, 1), row.command())
	}
	fmt.Fprintf(&out, "| **all** | | **%s** | **%s** | **%s** | **%s** | | | |\n", count(all.Strikes), count(all.Checked), count(all.Unknown), count(all.Violations))
	return out.String()
}

func (r *result) add(o result) {
	r.Strikes, r.Checked, r.Violations, r.Unknown = r.Strikes+o.Strikes, r.Checked+o.Checked, r.Violations+o.Violations, r.Unknown+o.Unknown
	r.Failover, r.Gaps = append(r.Failover, o.Failover...), append(r.Gaps, o.Gaps...)
	r.Stock, r.StockFailed, r.Bare, r.BareFailed = r.Stock+o.Stock, r.StockFailed+o.StockFailed, r.Bare+o.Bare, r.BareFailed+o.BareFailed
	if strings.Contains(o.Command, "-long") {
		r.Command = "-long "
	}
}

// stock tells what stock clients saw, where they were asked.
func (r *result) stock() string {
	if r.Stock == 0 {
		return ""
	}
	return fmt.Sprintf(" (stock clients with their retries: %s of %s calls failed; without: %s of %s)",
		count(r.StockFailed), count(r.Stock), count(r.BareFailed), count(r.Bare))
}

// command plays this row alone.
func (r *result) command() string {
	form := ""
	if r.Form == "compose" {
		form = "-compose "
	}
	return fmt.Sprintf("scripts/failover.sh %s%s-kills %d -others %d -only '%s'", form, r.Command, r.Strikes, r.Strikes, r.Fault)
}

// times are quantiles of milliseconds, as seconds; 1 is the largest.
func times(list []float64, quantiles ...float64) string {
	if len(list) == 0 {
		return ""
	}
	list = slices.Sorted(slices.Values(list))
	var out []string
	for _, q := range quantiles {
		at := max(int(math.Ceil(q*float64(len(list))))-1, 0)
		out = append(out, fmt.Sprintf("%.2f s", list[at]/1000))
	}
	return strings.Join(out, ", ")
}

// count writes a number with commas.
func count(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
