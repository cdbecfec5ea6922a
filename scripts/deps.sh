#!/usr/bin/env bash
# Installs what the tests need from the distribution, if it is missing: curl; hvac, the Python client
# of Vault, for Debian's own interpreter; strace, with which a test sees that appends are synced,
# and lets syncs fail; nft and mkfs.ext4 for partitions and disks of the failover tests; the servers of
# PostgreSQL and MariaDB, whose programs the tests run by themselves: no service is started; the aws command, which checks the tests' stand-in for AWS.
set -euo pipefail
missing=()
command -v curl >/dev/null || missing+=(curl)
command -v strace >/dev/null || missing+=(strace)
command -v nft >/dev/null || missing+=(nftables)
command -v mkfs.ext4 >/dev/null || missing+=(e2fsprogs)
[[ -x /usr/bin/python3 ]] && /usr/bin/python3 -c 'import hvac' 2>/dev/null || missing+=(python3-hvac)
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql-15)
[[ -x /usr/sbin/mariadbd ]] || missing+=(mariadb-server-core)
[[ -x /usr/bin/aws ]] || missing+=(awscli)
((${#missing[@]})) || exit 0
sudo=""
((EUID == 0)) || sudo=sudo
export DEBIAN_FRONTEND=noninteractive

# The packages of servers start them, and PostgreSQL's makes a cluster first, unless they are told not to.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  trap '$sudo rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
  $sudo chmod 755 "$policy"
fi
if [[ " ${missing[*]} " == *" postgresql-15 "* && ! -e /etc/postgresql-common/createcluster.conf ]]; then
  $sudo mkdir -p /etc/postgresql-common
  echo 'create_main_cluster = false' | $sudo tee /etc/postgresql-common/createcluster.conf >/dev/null
fi

$sudo apt-get update -qq
$sudo apt-get install -y -qq --no-install-recommends -o Dpkg::Options::=--force-confold "${missing[@]}" >/dev/null
echo "installed: ${missing[*]}"
