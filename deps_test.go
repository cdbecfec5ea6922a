package leasehold

import (
	"encoding/json"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/leasehold/leasehold/"

// listed is what "go list" says of one package.
type listed struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []listed
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for dec.More() {
		var p listed
		if err := dec.Decode(&p); err != nil {
			t.Fatalf("decode go list: %v", err)
		}
		list = append(list, p)
	}
	if len(list) < 10 {
		t.Fatalf("go list found %d packages, want at least 10", len(list))
	}
	return list
}

// may says which packages of the module each package may import; a package covers those below it.
// It is the drawing in the package comment. What is not listed may import nothing of the module.
var may = map[string][]string{
	"lease": {}, "client": {}, "seal": {}, "cert": {},
	"fsm/command":       {},
	"fsm":               {"lease", "fsm/command"},
	"policy":            {"lease"},
	"backend":           {"lease", "backend", "seal"},
	"lessor":            {"lease", "seal", "fsm", "backend"},
	"expiration":        {"lease", "seal", "fsm", "backend"},
	"cluster":           {"lease", "seal", "fsm", "cert"},
	"snapshot":          {"lease", "seal", "fsm"},
	"httpapi":           {"lease", "seal", "client", "fsm", "backend", "policy", "lessor", "snapshot"},
	"cmd/leasehold/cli": {"client"},
	"cmd/leasehold": {"lease", "seal", "client", "fsm", "backend", "policy", "lessor", "expiration", "cluster", "cert",
		"httpapi", "cmd/leasehold"},
	"scripts":  {},
	"examples": {},
	"test":     {"lease", "seal", "client", "fsm", "backend", "policy", "lessor", "expiration", "cluster", "httpapi", "test"},
}

// rule finds the longest entry of may that covers a package.
func rule(pkg string) (string, []string) {
	best := ""
	for name := range may {
		if covers(name, pkg) && len(name) > len(best) {
			best = name
		}
	}
	return best, may[best]
}

func covers(name, pkg string) bool { return pkg == name || strings.HasPrefix(pkg, name+"/") }

func TestImportsPointDownwards(t *testing.T) {
	for _, p := range packages(t) {
		pkg := strings.TrimPrefix(p.ImportPath, module)
		if pkg == p.ImportPath {
			continue // the root package holds only these tests
		}
		name, allowed := rule(pkg)
		if name == "" {
			t.Errorf("package %s has no rule: say in deps_test.go what it may import", pkg)
			continue
		}
		for _, imp := range p.Imports {
			dep := strings.TrimPrefix(imp, module)
			if dep == imp || covers(name, dep) {
				continue
			}
			if !slices.ContainsFunc(allowed, func(a string) bool { return covers(a, dep) }) {
				t.Errorf("%s imports %s, which its rule does not allow (%v)", pkg, dep, allowed)
			}
		}
	}
}

// only says which packages may import what lies outside the module and the standard library, or a
// part of the standard library that would make a pure package impure.
var only = []struct {
	prefix string
	by     []string
}{
	{"github.com/hashicorp/raft", []string{"cluster"}},
	{"github.com/hashicorp/memberlist", []string{"cluster"}},
	{"github.com/hashicorp/raft-boltdb", []string{"cluster"}},
	{"go.etcd.io/bbolt", []string{"cluster"}},
	{"github.com/labstack/echo", []string{"httpapi"}},
	{"github.com/tidwall/btree", []string{"fsm"}},
	{"google.golang.org/protobuf", []string{"fsm"}},
	{"github.com/hashicorp/hcl", []string{"policy", "cmd/leasehold"}},
	{"github.com/spf13/cobra", []string{"cmd/leasehold"}},
	{"golang.org/x/crypto", []string{"backend/userpass"}},
	{"github.com/jackc/pgx", []string{"backend/database"}},
	{"github.com/go-sql-driver/mysql", []string{"backend/database"}},
	{"github.com/aws", []string{"backend/aws"}},
}

func TestLibrariesStayWhereTheyBelong(t *testing.T) {
	for _, p := range packages(t) {
		pkg := strings.TrimPrefix(p.ImportPath, module)
		for _, imp := range p.Imports {
			for _, o := range only {
				if covers(o.prefix, imp) && !slices.ContainsFunc(o.by, func(b string) bool { return covers(b, pkg) }) {
					t.Errorf("%s imports %s, which belongs to %v", pkg, imp, o.by)
				}
			}
		}
	}
}

// standardOnly may import nothing but the standard library.
var standardOnly = []string{"lease", "client", "seal"}

// pure may not reach a clock, chance, the network, the disk or a logger.
var pure = map[string][]string{
	"fsm":   {"net", "os", "math/rand", "math/rand/v2", "crypto/rand", "log", "log/slog", "github.com/hashicorp/raft"},
	"lease": {"net", "os", "math/rand", "math/rand/v2", "crypto/rand", "log", "log/slog"},
}

func TestPurePackages(t *testing.T) {
	for _, p := range packages(t) {
		pkg := strings.TrimPrefix(p.ImportPath, module)
		if slices.Contains(standardOnly, pkg) {
			for _, imp := range p.Imports {
				if first, _, _ := strings.Cut(imp, "/"); strings.Contains(first, ".") && !strings.HasPrefix(imp, module) {
					t.Errorf("%s imports %s, but keeps to the standard library", pkg, imp)
				}
			}
		}
		for _, imp := range p.Imports {
			if slices.Contains(pure[pkg], imp) {
				t.Errorf("%s imports %s, but is pure", pkg, imp)
			}
		}
	}
}

// TestClockIsNotReadInPurePackages: time enters the log in one place. fsm and lease know no clock and
// no timer at all; what waits may use timers, but is given the time.
func TestClockIsNotReadInPurePackages(t *testing.T) {
	const reading = `time\.(Now|Since|Until)\(`
	const any = `time\.(Now|Since|Until|After|AfterFunc|NewTimer|NewTicker|Tick|Sleep)\(`
	for _, c := range []struct {
		pattern string
		dirs    []string
	}{
		{any, []string{"fsm", "lease"}},
		{reading, []string{"lessor", "expiration", "policy", "seal", "backend/lease", "backend/field", "backend/kv",
			"backend/tokenparams", "backend/userpass", "backend/approle"}},
	} {
		args := append([]string{"-rnE", c.pattern, "--include=*.go", "--exclude=*_test.go"}, c.dirs...)
		out, err := exec.Command("grep", args...).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 { // 1: nothing found
			t.Errorf("the clock is read (grep says %v):\n%s", err, out)
		}
	}
}

// TestPinnedVersions: newer releases of the raft family do not build together with the newest
// raft-boltdb; see docs/decisions/0001-versions.md.
func TestPinnedVersions(t *testing.T) {
	want := map[string]string{
		"github.com/hashicorp/raft":           "v1.7.3",
		"github.com/hashicorp/raft-boltdb/v2": "v2.3.1",
		"github.com/hashicorp/memberlist":     "v0.6.0",
		"github.com/hashicorp/go-metrics":     "v0.6.1",
		"go.etcd.io/bbolt":                    "v1.5.0",
		"github.com/labstack/echo/v4":         "v4.16.0",
		"google.golang.org/protobuf":          "v1.36.12",
		"golang.org/x/crypto":                 "v0.58.0",
		"github.com/jackc/pgx/v5":             "v5.12.0",
		"github.com/go-sql-driver/mysql":      "v1.10.1",
		"github.com/aws/aws-sdk-go-v2":        "v1.47.7",
	}
	for mod, version := range want {
		out, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", mod).Output()
		if err != nil {
			t.Errorf("go list -m %s: %v", mod, err)
			continue
		}
		if got := strings.TrimSpace(string(out)); got != version {
			t.Errorf("%s is at %s, want %s", mod, got, version)
		}
	}
}
