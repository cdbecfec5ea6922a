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
secret() { # name, command...
  local file=.compose/$1; shift
  [[ -s "$file" ]] && return
  "$@" >"$file"
  # The nodes run as user 65532 and read these through a mount.
  if chown 65532 "$file" 2>/dev/null; then chmod 0400 "$file"; else chmod 0444 "$file"; fi
}
random_key() { head -c 32 /dev/urandom | base64; }
random_token() { echo "root-$(head -c 12 /dev/urandom | od -An -tx1 | tr -d ' \n')"; }
secret seal.key random_key
secret gossip.key random_key
secret root-token random_token
echo "image leasehold:latest is built; run 'docker-compose up', then:"
echo "export VAULT_ADDR=http://127.0.0.1:8210"
echo 'export VAULT_TOKEN=$(cat .compose/root-token)'
