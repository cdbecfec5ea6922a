#!/usr/bin/env bash
# Runs every fuzz target of the module for the given time each, three at a time: scripts/fuzz.sh 30s
#
# A failure is a failing input, which "go test" writes down and names, or anything that is not one of
# its known false alarms: at the end of -fuzztime the engine races its own deadline and now and then
# reports that as the failure "context deadline exceeded" (golang/go#75804).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export FUZZ_TIME=${1:-10s}

# deadline_race tells whether a log holds the engine's false alarm and nothing else.
deadline_race() {
  [[ $(grep -c -- '--- FAIL:' "$1") -eq 1 ]] &&
    grep -A1 -- '--- FAIL: Fuzz' "$1" | grep -qx '    context deadline exceeded' &&
    ! grep -qiE 'failing input|panic|_test\.go:[0-9]+|fatal error|DATA RACE' "$1"
}

# fuzz runs one target, given as directory:name, and prints what came of it in one piece.
fuzz() {
  local dir=${1%:*} target=${1#*:} log
  log=$(mktemp)
  if go test -run '^$' -fuzz "^$target\$" -fuzztime "$FUZZ_TIME" -parallel 1 "./$dir" >"$log" 2>&1; then
    printf -- '-- %s %s\n%s\n' "$dir" "$target" "$(grep -E 'execs|^ok' "$log" | tail -n 2)"
  elif deadline_race "$log"; then
    printf -- '-- %s %s\n   no failing input: the engine'\''s own deadline race (golang/go#75804)\n' "$dir" "$target"
  else
    printf -- '-- %s %s\n%s\n' "$dir" "$target" "$(cat "$log")"
    rm -f "$log"
    return 1
  fi
  rm -f "$log"
}
export -f fuzz deadline_race

git grep -E '^func Fuzz' -- '*_test.go' | sed -E 's#^(.*)/[^/]*:func (Fuzz[A-Za-z0-9_]+).*#\1:\2#' |
  xargs -P 3 -I{} bash -c 'fuzz "$1" || exit 255' _ {}
