#!/usr/bin/env bash
# Measures a fresh cluster on this machine and prints what docs/benchmarks.md records. Client and three
# nodes share the machine. It takes about twelve minutes on an idle machine; "bench.sh quick" leaves out the million leases.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LEASEHOLD_CLUSTER_DIR=${LEASEHOLD_CLUSTER_DIR:-.cluster/bench} LEASEHOLD_CLUSTER_PORTS=${LEASEHOLD_CLUSTER_PORTS:-84}
export LEASEHOLD_BIN=${LEASEHOLD_BIN:-bin/leasehold}
p=$LEASEHOLD_CLUSTER_PORTS
nodes=(-node="http://127.0.0.1:${p}10" -node="http://127.0.0.1:${p}20" -node="http://127.0.0.1:${p}30")
trap 'scripts/cluster.sh wipe' EXIT

fresh() {
  scripts/cluster.sh wipe
  eval "$(scripts/cluster.sh up 3)"
  export VAULT_ADDR VAULT_TOKEN
}
rss() { # of each node, in MiB
  for i in 1 2 3; do
    awk -v n="n$i" '/^VmRSS/ {printf "%s %d MiB  ", n, $2 / 1024}' "/proc/$(cat "$LEASEHOLD_CLUSTER_DIR/n$i/pid")/status"
  done
  echo
}
head() { printf '\n== %s\n' "$*"; }

head "machine: $(nproc) cores, $(uname -sr), $(go version | cut -d' ' -f3), load $(cut -d' ' -f1 /proc/loadavg)"
head "authorization, and a whole lookup request without the network: 1,000 policies of 100 rules each"
go test -run=NONE -bench='Authorize|LookupOfAThousandPolicies' -benchtime=1s ./httpapi | grep Benchmark

fresh
head "leasehold bench ops -clients=64"
"$LEASEHOLD_BIN" bench ops -clients=64 -duration=10s "${nodes[@]}"

fresh
head "leasehold bench revoke-prefix -leases=100000"
"$LEASEHOLD_BIN" bench revoke-prefix -leases=100000 "${nodes[@]}"

fresh
head "leasehold bench expiry -live=100000"
"$LEASEHOLD_BIN" bench expiry -live=100000 "${nodes[@]}"

fresh
head "leasehold bench failover -runs=20 -how=kill"
"$LEASEHOLD_BIN" bench failover -runs=20 -how=kill "${nodes[@]}" | tail -n 1
head "leasehold bench failover -runs=10 -how=stop"
"$LEASEHOLD_BIN" bench failover -runs=10 -how=stop "${nodes[@]}" | tail -n 1

# These start a PostgreSQL and a cluster of their own.
scripts/cluster.sh wipe
for what in PostgresLogins:2000x ExpiryToRefused:800x; do
  command=(go test -run=NONE -bench="${what%:*}" -benchtime="${what#*:}" ./test/credentials)
  head "${command[*]}"
  out=$("${command[@]}" 2>&1) || { echo "$out"; exit 1; }
  sed -n 's/^ *bench_test\.go:[0-9]*: //p' <<<"$out"
done

[[ "${1:-}" == quick ]] && exit 0
fresh
head "leasehold bench fill -leases=1000000"
"$LEASEHOLD_BIN" bench fill -leases=1000000 "${nodes[@]}"
echo "resident after the fill: $(rss)"
sleep 20
echo "resident 20 s later:     $(rss)"
head "restart of all nodes with 1,000,000 leases"
scripts/cluster.sh down
begin=$(date +%s%N)
eval "$(scripts/cluster.sh up)"
echo "serving after $((($(date +%s%N) - begin) / 1000000)) ms; resident: $(rss)"
head "failover with 1,000,000 leases"
"$LEASEHOLD_BIN" bench failover -runs=5 -how=kill -mount=after "${nodes[@]}" | tail -n 1
