#!/usr/bin/env bash
# Writes what the runs in docs/results found into the table of docs/reliability.md.
# "reliability.sh -check" only says whether it is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec go run ./scripts/reliability "$@"
