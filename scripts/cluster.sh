#!/usr/bin/env bash
# A cluster of leasehold nodes as processes on loopback.
#
#   scripts/cluster.sh up [N]          build, start N nodes (default 3), wait for a leader
#   scripts/cluster.sh kill I          end node I at once (SIGKILL)
#   scripts/cluster.sh stop I          stop it in order (SIGTERM)
#   scripts/cluster.sh start I         start it again, with its data
#   scripts/cluster.sh pause|resume I  SIGSTOP, SIGCONT
#   scripts/cluster.sh status          what each node says
#   scripts/cluster.sh down            stop all nodes, keep their data
#   scripts/cluster.sh wipe            stop all nodes and delete everything
#
# Node i listens on 127.0.0.1: 82i0 API, 82i1 other nodes, 82i2 gossip. Everything lives below
# ${LEASEHOLD_CLUSTER_DIR:-.cluster}, relative to the repository's root. Each verb may be repeated,
# returns when it is true, and exits non-zero with a reason when it cannot be. LEASEHOLD_CLUSTER_PORTS
# are the first two digits of the ports, LEASEHOLD_BIN is a binary to run instead of building one.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
dir=${LEASEHOLD_CLUSTER_DIR:-.cluster}
bin=${LEASEHOLD_BIN:-bin/leasehold}
wait_seconds=${LEASEHOLD_CLUSTER_WAIT:-30}
ports=${LEASEHOLD_CLUSTER_PORTS:-82} # the first two digits of every port

fail() { echo "cluster.sh: $*" >&2; exit 1; }

node_dir() { echo "$dir/n$1"; }
api() { echo "http://127.0.0.1:${ports}${1}0"; }

need_node() {
  [[ "${1:-}" =~ ^[1-9]$ ]] || fail "name a node: a number from 1 to 9, as in 'cluster.sh $verb 1'"
  [[ -f "$(node_dir "$1")/config.hcl" ]] || fail "there is no node $1 in $dir: run 'cluster.sh up' first"
}

# alive I: whether the process that the pid file names is this node's.
alive() {
  local pid
  pid=$(cat "$(node_dir "$1")/pid" 2>/dev/null) || return 1
  [[ -n "$pid" ]] && kill -0 "$pid" 2>/dev/null &&
    tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF -- "$(node_dir "$1")/config.hcl"
}

paused() { [[ "$(awk '{print $3}' "/proc/$(cat "$(node_dir "$1")/pid")/stat" 2>/dev/null)" == T ]]; }

# health I: the status code of the node's health endpoint, 000 when it does not answer.
health() { curl -s -o /dev/null -m 2 -w '%{http_code}' "$(api "$1")/v1/sys/health" 2>/dev/null || true; }

# until_true SECONDS COMMAND...: polls until the command succeeds.
until_true() {
  local end=$((SECONDS + $1)); shift
  until "$@"; do
    ((SECONDS < end)) || return 1
    sleep 0.05
  done
}

answers() { [[ "$(health "$1")" != 000 ]]; }
dead() { ! alive "$1"; }
answers_or_dead() { dead "$1" || answers "$1"; }

write_config() {
  local i=$1 n=$2 d joins="" j
  d=$(node_dir "$i")
  for ((j = 1; j <= n; j++)); do joins+="\"127.0.0.1:${ports}${j}2\", "; done
  mkdir -p "$d/data"
  cat >"$d/config.hcl" <<EOF
node_id                   = "n$i"
api_addr                  = "$(api "$i")"
cluster_addr              = "127.0.0.1:${ports}${i}1"
bootstrap_expect          = $n
bootstrap_root_token_file = "$dir/root-token"

listener "tcp" {
  address         = "127.0.0.1:${ports}${i}0"
  cluster_address = "127.0.0.1:${ports}${i}1"
}

storage "raft" {
  path = "$d/data"
}

gossip {
  address    = "127.0.0.1:${ports}${i}2"
  retry_join = [${joins%, }]
}

seal "static" {
  key_file = "$dir/seal.key"
}
EOF
}

# launch starts a node's process, unless it runs; await waits until it answers.
launch() {
  local i=$1 d
  d=$(node_dir "$i")
  if alive "$i"; then
    ! paused "$i" || fail "node $i is paused: run 'cluster.sh resume $i'"
    return 0
  fi
  [[ -x "$bin" ]] || fail "$bin is missing: run 'make build'"
  # This script's own variables are no settings of the node. The nodes share this machine's cores: each
  # takes its part, since a Go process that believes to have all of them spends much on waking threads.
  local share=$(($(nproc) / $(nodes | wc -l)))
  env -u LEASEHOLD_BIN -u LEASEHOLD_CLUSTER_DIR -u LEASEHOLD_CLUSTER_PORTS -u LEASEHOLD_CLUSTER_WAIT \
    "GOMAXPROCS=${GOMAXPROCS:-$((share > 0 ? share : 1))}" \
    setsid "$bin" server -config "$d/config.hcl" >>"$d/log" 2>&1 </dev/null &
  echo $! >"$d/pid"
}

await() {
  local i=$1 d
  d=$(node_dir "$i")
  until_true 2 alive "$i" || true # until the new process bears its own command line
  until_true "$wait_seconds" answers_or_dead "$i" ||
    fail "node $i does not answer at $(api "$i") after $wait_seconds s: the end of $d/log says:"$'\n'"$(tail -n 3 "$d/log")"
  alive "$i" || fail "node $i ended as soon as it was started: the end of $d/log says:"$'\n'"$(tail -n 3 "$d/log")"
}

start() { launch "$1"; await "$1"; }

end_node() { # signal, node
  if alive "$2"; then
    kill "-$1" "$(cat "$(node_dir "$2")/pid")"
    [[ "$1" == KILL ]] || kill -CONT "$(cat "$(node_dir "$2")/pid")" 2>/dev/null || true
    until_true "$wait_seconds" dead "$2" || fail "node $2 does not end after SIG$1"
  fi
  rm -f "$(node_dir "$2")/pid"
}

nodes() { for c in "$dir"/n[1-9]/config.hcl; do [[ -f "$c" ]] && basename "$(dirname "$c")" | tr -d n; done || true; }

leads() { [[ "$(health "$1")" == 200 ]]; }
any_leads() { local i; for i in $(nodes); do leads "$i" && return 0; done; return 1; }

# initialised: the root token works, so the cluster has been initialised and serves.
initialised() {
  [[ "$(curl -s -o /dev/null -m 2 -w '%{http_code}' -H "X-Vault-Token: $(cat "$dir/root-token")" \
    "$(api 1)/v1/auth/token/lookup-self" 2>/dev/null)" == 200 ]]
}

up() {
  local n=${1:-3} have i
  [[ "$n" =~ ^[1-9]$ ]] || fail "'$n' is no number of nodes: use 1 to 9"
  [[ -n "${LEASEHOLD_BIN:-}" ]] || make -s build >&2
  mkdir -p "$dir"
  have=$(nodes | wc -l)
  if ((have == 0)); then
    # Keys that are there already are those of a cluster whose backup shall be restored.
    (umask 077
     [[ -s "$dir/seal.key" ]] || head -c 32 /dev/urandom | base64 >"$dir/seal.key"
     [[ -s "$dir/root-token" ]] || echo "root-$(head -c 12 /dev/urandom | od -An -tx1 | tr -d ' \n')" >"$dir/root-token")
    for ((i = 1; i <= n; i++)); do write_config "$i" "$n"; done
  elif [[ -n "${1:-}" ]] && ((have != n)); then
    fail "$dir holds a cluster of $have nodes: run 'cluster.sh wipe' before 'cluster.sh up $n'"
  fi
  for i in $(nodes); do launch "$i"; done
  for i in $(nodes); do await "$i"; done
  until_true "$wait_seconds" any_leads || fail "no node leads after $wait_seconds s: see $dir/n*/log"
  until_true "$wait_seconds" initialised || fail "the root token does not work after $wait_seconds s: see $dir/n*/log"
  echo "export VAULT_ADDR=$(api 1)"
  echo "export VAULT_TOKEN=$(cat "$dir/root-token")"
}

status() {
  local i code
  [[ -n "$(nodes)" ]] || { echo "no cluster in $dir"; return 0; }
  for i in $(nodes); do
    if ! alive "$i"; then echo "n$i  down"; continue; fi
    if paused "$i"; then echo "n$i  paused  pid $(cat "$(node_dir "$i")/pid")"; continue; fi
    code=$(health "$i")
    case "$code" in
      200) code=leader ;;
      429) code=follower ;;
      501) code="not initialised" ;;
      503) code="no leader" ;;
      000) code="does not answer" ;;
    esac
    echo "n$i  $code  $(api "$i")  pid $(cat "$(node_dir "$i")/pid")"
  done
}

# In a function, so that all of the script has been read before any of it runs: it may be replaced
# meanwhile, by a checkout for instance.
main() {
  verb=${1:-}
  case "$verb" in
    up) up "${2:-}" ;;
    start) need_node "${2:-}"; start "$2" ;;
    kill) need_node "${2:-}"; end_node KILL "$2" ;;
    stop) need_node "${2:-}"; end_node TERM "$2" ;;
    pause)
      need_node "${2:-}"
      alive "$2" || fail "node $2 is down: run 'cluster.sh start $2'"
      kill -STOP "$(cat "$(node_dir "$2")/pid")"
      until_true "$wait_seconds" paused "$2" || fail "node $2 does not pause"
      ;;
    resume)
      need_node "${2:-}"
      alive "$2" || fail "node $2 is down: run 'cluster.sh start $2'"
      kill -CONT "$(cat "$(node_dir "$2")/pid")"
      until_true "$wait_seconds" answers "$2" || fail "node $2 does not answer after it was resumed"
      ;;
    status) status ;;
    down) for i in $(nodes); do end_node TERM "$i"; done ;;
    wipe)
      for i in $(nodes); do end_node KILL "$i"; done
      # Only what this script made: the directory may be somebody's own.
      rm -rf "$dir"/n[1-9] "$dir/seal.key" "$dir/root-token"
      [[ ! -d "$dir" ]] || rmdir --ignore-fail-on-non-empty "$dir"
      ;;
    *) exec >&2; sed -n '2,/^set -/p' "$0" | sed '$d;s/^# \{0,1\}//'; exit 1 ;;
  esac
}

main "$@"
exit
