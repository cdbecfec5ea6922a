#!/usr/bin/env bash
# Plays the life of leases on a cluster of three nodes on this machine and prints what happens, each
# step with its figure. The cluster is left running: "scripts/cluster.sh wipe" removes it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
lh=bin/leasehold
begin=$(date +%s%N)

bold="" plain=""
[[ -t 1 ]] && bold=$'\e[1m' plain=$'\e[0m'
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
run() { printf '$ %s\n' "${*//bin\//}"; "$@"; }
ms() { echo $((($(date +%s%N) - $1) / 1000000)); }
node() { echo "http://127.0.0.1:${LEASEHOLD_CLUSTER_PORTS:-82}${1}0"; }
field() { "$lh" "$1" -field="$2" "${@:3}"; }

say "1. Three nodes"
t=$(date +%s%N)
eval "$(scripts/cluster.sh up 3)"
export VAULT_ADDR VAULT_TOKEN
scripts/cluster.sh status
echo "-> up and serving after $(ms "$t") ms"

say "2. A lease, issued through node 1, renewed through node 2, looked up through node 3"
if ! "$lh" secrets list -format=json | grep -q '"demo/"'; then
  run "$lh" secrets enable -path=demo lease
fi
t=$(date +%s%N)
id=$(VAULT_ADDR=$(node 1) field write lease_id demo/jobs/nightly ttl=1h)
echo "issued   $id in $(ms "$t") ms"
t=$(date +%s%N)
VAULT_ADDR=$(node 2) "$lh" lease renew -increment=2h "$id" >/dev/null
echo "renewed  in $(ms "$t") ms"
run env VAULT_ADDR="$(node 3)" "$lh" lease lookup "$id"
run "$lh" lease revoke -sync "$id"

say "3. kill -9 of the leader while two clients write through the others"
"$lh" bench failover -runs=1 -how=kill -node="$(node 1)" -node="$(node 2)" -node="$(node 3)"
scripts/cluster.sh status

say "4. A lease ends at its second"
t=$(date +%s%N)
short=$(field write lease_id demo/slots/short ttl=3)
while "$lh" lease lookup "$short" >/dev/null 2>&1; do sleep 0.02; done
echo "-> issued for 3 s, gone $(ms "$t") ms after the command to issue it was typed"

say "5. Ten thousand leases, revoked with one call"
"$lh" bench fill -leases=10000 -mount=demo -node="$VAULT_ADDR"
t=$(date +%s%N)
run "$lh" lease revoke -prefix -sync demo/fill
echo "-> all gone after $(ms "$t") ms"

say "Done in $(($(ms "$begin") / 1000)) s. The cluster is still there:"
echo "export VAULT_ADDR=$VAULT_ADDR"
echo "export VAULT_TOKEN=$VAULT_TOKEN"
echo "scripts/cluster.sh status | down | wipe"
