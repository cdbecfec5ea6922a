package compose

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// service is what docker-compose makes of the file for one service: the lines below its name.
func service(t *testing.T, config, name string) string {
	t.Helper()
	block := regexp.MustCompile(`(?m)^  ` + name + `:\n((?:    .*\n)+)`).FindStringSubmatch(config)
	if block == nil {
		t.Fatalf("docker-compose config has no service %q:\n%s", name, config)
	}
	return block[1]
}

// TestDatabaseProfile: the file with its profile is one that docker-compose takes; the database is within
// the cluster's network alone, keeps its data in a volume of its own, and sees its own secrets and no other.
// The image is not to be had everywhere, so that it is not started here; what it runs when it is new is
// tested in backend/database.
func TestDatabaseProfile(t *testing.T) {
	needDocker(t)
	command(t, "make", "-s", "image")
	got := service(t, compose(t, "--profile", "database", "config"), "postgres")
	for _, want := range []string{`image: postgres:15`, `container_name: leasehold-postgres`, `profiles:\n +- database`, `networks:\n +cluster: *(null)?\n`,
		`read_only: true`, `cap_drop:\n +- ALL`, `no-new-privileges:true`, `- pg_isready\n`, `user: "?65532:65532"?\n`} {
		if !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("the service has no %s:\n%s", want, got)
		}
	}
	if regexp.MustCompile(`(?m)^ +(ports|network_mode|privileged|cap_add):`).MatchString(got) {
		t.Errorf("the service has more than it needs:\n%s", got)
	}
	text, err := os.ReadFile(filepath.Join(root, "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	raw := service(t, string(text), "postgres")
	mounts := regexp.MustCompile(`(?m)^      - (\S+):(/\S+?)(:ro)?$`).FindAllStringSubmatch(raw, -1)
	var kinds []string
	for _, m := range mounts {
		kinds = append(kinds, m[1]+m[3])
		if path := filepath.Join(root, m[1]); strings.HasPrefix(m[1], "./") {
			if _, err := os.Stat(path); err != nil {
				t.Errorf("what is mounted is not there after 'make image': %v", err)
			}
		}
	}
	if want := []string{"postgres", "./.compose/postgres:ro", "./scripts/compose/postgres.sql:ro"}; !slices.Equal(kinds, want) {
		t.Errorf("mounts: got %q, want %q", kinds, want)
	}
	seen := make(map[string]bool)
	for _, m := range regexp.MustCompile(`_PASSWORD_FILE: /run/leasehold/(\S+)`).FindAllStringSubmatch(raw, -1) {
		path := filepath.Join(root, ".compose/postgres", m[1])
		password, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`^[0-9a-f]{36}$`).Match(password) || seen[string(password)] {
			t.Errorf("%s is no password of its own, without a line's end", path)
		}
		seen[string(password)] = true
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o400 && os.Geteuid() == 0 {
			t.Errorf("%s: %v, %v, want 0400", path, info.Mode(), err)
		}
	}
	if len(seen) != 2 {
		t.Errorf("%d passwords, want the superuser's and Leasehold's", len(seen))
	}
}
