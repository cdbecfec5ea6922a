#!/usr/bin/env bash
# Plays faults against three nodes while clients hit every one of them, and checks all that they saw.
#
#   scripts/failover.sh                     processes of scripts/cluster.sh; 20 kills of the leader, one of each other fault
#   scripts/failover.sh -compose            the containers of docker-compose.yml ("make image" first)
#   scripts/failover.sh -long               100 kills of the leader, 20 of each other fault, which last as long as they may
#   scripts/failover.sh -kills N -others N  other numbers
#   scripts/failover.sh -only 'pause,full disk'  faults whose names are these, or hold these words
#   scripts/failover.sh -seed N             order and lengths of the faults, and what the clients do, as in another run
#   scripts/failover.sh -out DIR            add what was found to DIR, for scripts/reliability.sh
#
# A run that found something says where seed, history, logs and data are, and how to check the history
# again. Processes use ports 88xx, containers 82xx.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command="scripts/failover.sh${*:+ $*}"

fail() { echo "failover.sh: $*" >&2; exit 1; }
number() { [[ "${2:-}" =~ ^[0-9]+$ ]] || fail "$1 is followed by a number, as in '$1 20'"; echo "$2"; }

compose=0 long=0 kills=20 others=1 only="" seed="" out=""
while (($#)); do
  case "$1" in
    -compose) compose=1; shift ;;
    -long) long=1 kills=100 others=20; shift ;;
    -kills) kills=$(number "$@"); shift 2 ;;
    -others) others=$(number "$@"); shift 2 ;;
    -only) only=${2:?-only is followed by names of faults}; shift 2 ;;
    -seed) seed=$(number "$@"); shift 2 ;;
    -out) out=$(realpath -m "${2:?-out is followed by a directory}"); shift 2 ;;
    *) exec >&2; sed -n '2,/^set -/p' "$0" | sed '$d;s/^# \{0,1\}//'; exit 1 ;;
  esac
done
if ((compose)); then
  docker image inspect leasehold:latest >/dev/null 2>&1 || fail "there is no image leasehold:latest: run 'make image' first"
elif [[ -z "${LEASEHOLD_BIN:-}" ]]; then
  make -s build
fi
export LEASEHOLD_COMPOSE=$compose LEASEHOLD_LONG=$long LEASEHOLD_KILLS=$kills LEASEHOLD_OTHERS=$others
export LEASEHOLD_SOME=0 LEASEHOLD_ONLY=$only LEASEHOLD_SEED=$seed LEASEHOLD_RESULTS=$out LEASEHOLD_COMMAND=$command
exec go test -count=1 -timeout=24h -run='^TestFaults$' -v ./test/failover
