#!/usr/bin/env bash
# Looks every package of the lock up among the known vulnerabilities. pip-audit is fetched for that
# alone, and --strict has it count a package that it could not look up as no success.
set -euo pipefail
cd "$(dirname "$0")/.."

said=$(mktemp) && trap 'rm -f "$said"' EXIT
if .venv/bin/uv tool run pip-audit --strict --progress-spinner off --disable-pip \
  --require-hashes -r requirements.txt >"$said" 2>&1; then
  cat "$said"
elif grep -q '^Found [0-9]* known vulnerabilit' "$said"; then
  cat "$said"
  exit 1
else
  echo "audit: the lock was not audited, as the vulnerabilities of its packages could not be looked" \
    "up ($(tail -n 1 "$said" | cut -c1-200)): run it where pypi.org can be reached." >&2
  exit 2
fi
