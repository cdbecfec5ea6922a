#!/usr/bin/env bash
# Builds the image leasehold:latest from a static binary and makes the secrets that
# docker-compose.yml mounts, in .compose/, unless they are there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

make -s build
rm -rf dist/image
mkdir -p dist/image/data
cp bin/leasehold dist/image/leasehold
docker build -q -t leasehold:latest -f Dockerfile dist/image

mkdir -p .compose
# The nodes run as user 65532 and read these through a mount.
for_nodes() { if chown 65532 "$1" 2>/dev/null; then chmod 0400 "$1"; else chmod 0444 "$1"; fi; }
secret() { # name, command...
  local file=.compose/$1; shift
  [[ -s "$file" ]] && return
  "$@" >"$file"
  for_nodes "$file"
}
random_key() { head -c 32 /dev/urandom | base64; }
random_token() { echo "root-$(head -c 12 /dev/urandom | od -An -tx1 | tr -d ' \n')"; }
secret seal.key random_key
secret gossip.key random_key
secret root-token random_token
# Of the profile "database". URLs and SQL take hexadecimal digits as they are.
random_password() { head -c 18 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
mkdir -p .compose/postgres
secret postgres/superuser-password random_password
secret postgres/leasehold-password random_password

# One authority, which the nodes do not get the key of, and a certificate for each node.
if [[ ! -s .compose/ca.pem ]]; then
  bin/leasehold tls ca create -allow=n1 -allow=n2 -allow=n3 -allow=n4 -allow=n5 -out=.compose/ca >/dev/null
  chmod 0444 .compose/ca.pem
fi
for i in 1 2 3 4 5; do
  mkdir -p ".compose/n$i"
  [[ -s ".compose/n$i/node.pem" ]] && continue
  bin/leasehold tls cert create -node="n$i" -name="n$i" -ca=.compose/ca.pem -ca-key=.compose/ca-key.pem \
    -out=".compose/n$i/node" >/dev/null
  cp .compose/ca.pem ".compose/n$i/ca.pem"
  for_nodes ".compose/n$i/node.pem"
  for_nodes ".compose/n$i/node-key.pem"
done
echo "image leasehold:latest is built; run 'docker-compose up', then:"
echo "export VAULT_ADDR=https://127.0.0.1:8210"
echo 'export VAULT_CACERT=.compose/ca.pem'
echo 'export VAULT_TOKEN=$(cat .compose/root-token)'
