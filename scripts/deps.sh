#!/usr/bin/env bash
# Installs what the tests need from the distribution, if it is missing: curl; hvac, the Python client
# of Vault, for Debian's own interpreter; strace, with which a test sees that appends are synced.
set -euo pipefail
missing=()
command -v curl >/dev/null || missing+=(curl)
command -v strace >/dev/null || missing+=(strace)
[[ -x /usr/bin/python3 ]] && /usr/bin/python3 -c 'import hvac' 2>/dev/null || missing+=(python3-hvac)
((${#missing[@]})) || exit 0
sudo=""
((EUID == 0)) || sudo=sudo
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
$sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
echo "installed: ${missing[*]}"
