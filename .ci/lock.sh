#!/usr/bin/env bash
# Rebuilds requirements.txt (and TensorFlow's CUDA libraries beside it) from pyproject.toml.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=.venv/bin/uv

compile() {
  "$uv" pip compile --quiet --generate-hashes --python-version 3.11 \
    --python-platform x86_64-manylinux_2_28 --no-header "$@"
}

body=$(mktemp) && trap 'rm -f "$body"' EXIT
cp requirements.txt "$body" 2>/dev/null || true
compile pyproject.toml -o "$body"
{
  cat <<'HEADER'
# Darkroom's lock for Linux x86-64 and Python 3.11: every package with its hashes.
# Install with `make setup`, or by hand into an empty Python 3.11 environment:
#     uv pip sync --require-hashes requirements.txt
#     pip install --no-deps --require-hashes -r requirements.txt
# (plain `pip install tfx` does not resolve). Rebuild from pyproject.toml with `make lock`.
#
# Pins of TFX 1.21.0 and its libraries that are overridden, and why:
#   ml-metadata, tensorflow-data-validation   their 1.21 wheels need glibc 2.39; the ones here run on 2.28
#   protobuf, pyarrow, numpy, pandas, attrs   older than TensorFlow 2.21, PyTorch 2.13 and ONNX take
#   tensorflow                                one version for all of TFX's libraries
#   tfx-bsl, tensorflow-metadata              the versions built for TFX 1.21
#   scikit-learn                              the bound of an optional example keeps NumPy 2 out
#   pyfarmhash                                the pinned version has no wheel and needs a C++ compiler
HEADER
  cat "$body"
} >requirements.txt.new
mv requirements.txt.new requirements.txt

wheels=$(.venv/bin/python - <<'PY'
import importlib.metadata
for line in importlib.metadata.requires("tensorflow"):
    if "and-cuda" in line:
        print(line.split(";")[0].strip())
PY
)
{
  echo "# CUDA 12 for TensorFlow (make setup GPU=1), kept apart from PyTorch's CUDA 13 in .venv/tensorflow-cuda."
  echo "$wheels" | compile --no-deps --no-annotate -
} >.ci/requirements-gpu.txt.new
mv .ci/requirements-gpu.txt.new .ci/requirements-gpu.txt
echo "lock: $(grep -c '^[a-z].*==' requirements.txt) packages in requirements.txt, $(grep -c '^[a-z].*==' .ci/requirements-gpu.txt) for TensorFlow's GPU"
