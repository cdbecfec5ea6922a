#!/usr/bin/env bash
# The whole gate: format, vet, static checks, race tests, conformance with clients that we did not
# write on three real nodes, a short failover run. "test.sh fast" stops after the unit tests.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
begin=$SECONDS
step() { printf '\n== %s (%d s so far)\n' "$1" $((SECONDS - begin)); }

step "what the tests need from the distribution"
scripts/deps.sh

step "gofmt"
bad=$(git ls-files '*.go' | grep -v '\.pb\.go$' | xargs gofmt -l)
[[ -z "$bad" ]] || { echo "not formatted: $bad"; exit 1; }

step "files over 400 lines, functions over 70"
git ls-files '*.go' | grep -vE '_test\.go$|\.pb\.go$' | xargs wc -l |
  awk '$2 != "total" && $1 > 400 {print "too long:", $2, $1; bad = 1} END {exit bad}'
git ls-files '*.go' | grep -vE '_test\.go$|\.pb\.go$' | xargs awk '
  FNR == 1 {infn = 0}
  /^func / {infn = 1; start = FNR; name = $0}
  /^}/ {if (infn && FNR - start > 70) {print "too long:", FILENAME ":" start, FNR - start, "lines"; bad = 1}; infn = 0}
  END {exit bad}'

step "go vet"
go vet ./...

step "staticcheck"
go tool -modfile=scripts/tools.mod staticcheck ./...

if [[ "${1:-}" == fast ]]; then
  step "tests"
  go test -shuffle=on $(go list ./... | grep -v '/test/')
  step "done"
  exit 0
fi

step "race tests"
# Three packages at a time: much of it waits.
go test -race -p 3 -shuffle=on -timeout=15m $(go list ./... | grep -vE '/test/|/fsm$')
go test -race -short -shuffle=on ./fsm

step "the model test of the state machine, ten thousand lists"
go test -shuffle=on ./fsm

step "fuzzing, 10 s a target"
scripts/fuzz.sh 10s

step "three real nodes: conformance, documents, failover"
make -s build
# Two at a time, since each waits for much; but the documents' commands use the ports of compose.
go test -count=1 -p 2 -timeout=15m $(go list ./test/... | grep -vE '/test/(failover|docs|sim)')
go test -count=1 ./test/docs
# The simulation, and the faults of disks, networks and clocks, take many minutes: "make faults".
go test -count=1 ./test/failover/history

step "done"
