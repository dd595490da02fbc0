#!/usr/bin/env bash
# Builds or updates .venv from the hashed lock. Does nothing when the lock has not changed.
# PYTHON names the interpreter (default: the first 3.11 on PATH); GPU=1 adds TensorFlow's CUDA.
set -euo pipefail
cd "$(dirname "$0")/.."

LOCK=requirements.txt
GPU_LOCK=.ci/requirements-gpu.txt
NEEDED_GB=10

stop() { echo "setup: $1" >&2; exit 1; }

[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] ||
  stop "Darkroom needs Linux on x86-64 (TFX and TensorFlow have wheels for nothing else); this is $(uname -s) on $(uname -m)."

find_python() {
  local name
  for name in "${PYTHON:-python3.11}" python3.11 python3 python; do
    if "$name" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
      echo "$name"
      return
    fi
  done
  stop "Python 3.11 was not found (tried ${PYTHON:-python3.11}, python3, python): install it, or name it with make setup PYTHON=/path/to/python3.11."
}
python=$(find_python)
"$python" -c 'import venv, ensurepip' 2>/dev/null ||
  stop "$python has no venv module: install it (on Debian and Ubuntu the package python3.11-venv)."

# Once there, TensorFlow's CUDA is kept up to date by a plain `make setup` too.
[ -d .venv/tensorflow-cuda ] && GPU=1
wanted=$(cat "$LOCK" $([ "${GPU:-}" = 1 ] && echo "$GPU_LOCK") | sha256sum | cut -c1-64)
stamp=.venv/.lock-sha256
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && .venv/bin/python -c '' 2>/dev/null; then
  exit 0
fi
if [ ! -f "$stamp" ]; then
  free=$(($(df -Pk . | awk 'NR == 2 {print $4}') / 1024 / 1024))
  [ "$free" -ge "$NEEDED_GB" ] ||
    stop "$free GB are free in $PWD, about $NEEDED_GB GB are needed: free some space or move the project."
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
run() { "$@" >"$log" 2>&1 || { tail -n 20 "$log" >&2; stop "'$*' failed; its last lines are above."; }; }

echo "setup: building .venv from $LOCK (about 4 GB to download, once; a few minutes)"
rm -f "$stamp"
.venv/bin/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null ||
  run "$python" -m venv --clear .venv
# uv itself comes from the lock, with its hash; it then installs the rest.
only_uv=$(mktemp)
awk '/^uv==/ {on = 1} on {print} on && !/\\$/ {exit}' "$LOCK" >"$only_uv"
run .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$only_uv"
rm -f "$only_uv"
run .venv/bin/uv pip sync --python .venv/bin/python --require-hashes --compile-bytecode "$LOCK"
if [ "${GPU:-}" = 1 ]; then
  # Beside, not among, PyTorch's CUDA 13: both bring files of the same path.
  run .venv/bin/uv pip install --python .venv/bin/python --require-hashes --no-deps \
    --target .venv/tensorflow-cuda -r "$GPU_LOCK"
fi
echo "$wanted" >"$stamp"
echo "setup: done, $(.venv/bin/python --version) with $(.venv/bin/uv pip list --python .venv/bin/python 2>/dev/null | tail -n +3 | wc -l) packages in .venv"
