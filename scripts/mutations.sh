#!/usr/bin/env bash
# Plants the bugs of scripts/mutate one by one in a copy of the repository and runs the test that must
# notice each: see docs/mutations.md. "scripts/mutations.sh -help" lists what else it does.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec go run ./scripts/mutate "$@"
