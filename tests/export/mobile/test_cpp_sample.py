"""The C++ sample, built as its README says and run on every bundle.

ONNX Runtime's library is that of the Python package. Its header is looked for in the folder that
ONNXRUNTIME names (include/), and else in the Go binding onnxruntime_go, which carries it.
"""

import importlib.util
import json
import os
import shutil
import subprocess
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image

from serving.contract.image_spec import ImageSpec, fit
from tests.helpers.self_tests import check_finds_an_altered_probability, check_passes

_BINDING = "github.com/yalue/onnxruntime_go@v1.27.0"
_DRIVER = """
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include "classifier.h"

int main(int, char** sizes) {  // height, width, channels; values on standard input
  Pixels picture{std::atoi(sizes[1]), std::atoi(sizes[2]), std::atoi(sizes[3]), {}};
  int value;
  while ((value = std::getchar()) != EOF) picture.values.push_back(static_cast<uint8_t>(value));
  const auto found = preprocess(picture).values;
  std::fwrite(found.data(), 1, found.size(), stdout);
}
"""


def _run(*command: str | Path, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(part) for part in command], check=False, capture_output=True, timeout=300, **options
    )


def _headers(scratch: Path) -> Path:
    """The folder with onnxruntime_c_api.h; skips where there is none."""
    if named := os.environ.get("ONNXRUNTIME"):
        return Path(named, "include")
    if not shutil.which("go"):
        pytest.skip("ONNX Runtime's header: ONNXRUNTIME names no folder, and there is no go")
    (scratch / "go.mod").write_text("module scratch\n")
    done = _run("go", "mod", "download", "-json", _BINDING, cwd=scratch)
    if done.returncode:
        pytest.skip(f"ONNX Runtime's header: {_BINDING} cannot be had")
    return Path(json.loads(done.stdout)["Dir"])


@pytest.fixture(scope="module")
def onnxruntime(tmp_path_factory) -> Path:
    """A folder with include/ and lib/, as ONNX Runtime's own releases have them."""
    for tool in ("g++", "cmake"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    root = tmp_path_factory.mktemp("onnxruntime")
    (root / "include").symlink_to(_headers(root))
    package = importlib.util.find_spec("onnxruntime")
    libraries = sorted(Path(package.origin).parent.glob("capi/libonnxruntime.so.*"))
    if not libraries:
        pytest.skip("the package onnxruntime has no libonnxruntime.so here")
    (root / "lib").mkdir()
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (root / "lib" / name).symlink_to(libraries[0])
    return root


@pytest.fixture(scope="module")
def selftests(onnxruntime, bundles, tmp_path_factory) -> dict[str, Path]:
    """The built self-test of each bundle."""
    found = {}
    for name, bundle in bundles.items():
        build = tmp_path_factory.mktemp(f"build-{name}")
        flags = "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror"
        for command in (
            ("cmake", "-S", bundle / "cpp", "-B", build, f"-DONNXRUNTIME={onnxruntime}", flags),
            ("cmake", "--build", build),
        ):
            done = _run(*command)
            assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
        found[name] = build / "selftest"
    return found


def _selftest(selftests: dict[str, Path], bundle: Path) -> tuple[int, str]:
    done = _run(selftests[bundle.name], bundle)
    return done.returncode, done.stdout.decode()


def test_the_self_test_passes(selftests, bundle):
    check_passes(partial(_selftest, selftests), bundle)


def test_an_altered_golden_probability_is_found_with_its_difference(selftests, bundle):
    check_finds_an_altered_probability(partial(_selftest, selftests), bundle)


def test_an_altered_byte_of_a_weight_is_found(selftests, bundle):
    path = bundle / "model.onnx"
    data = bytearray(path.read_bytes())
    (weights,) = [w for w in onnx.load(path).graph.initializer if w.name == "weights"]
    values = numpy_helper.to_array(weights)
    largest = int(np.abs(values).argmax())
    data[data.find(weights.raw_data) + 4 * largest + 3] ^= 0x40  # its exponent's highest bit
    path.write_bytes(data)
    code, line = _selftest(selftests, bundle)
    assert code == 1 and line.startswith("FAILED: ") and "largest difference" in line


def test_what_is_missing_or_cut_off_is_named(selftests, bundle):
    (bundle / "golden/photo_raw.bin").unlink()
    code, line = _selftest(selftests, bundle)
    assert code == 1 and line.startswith("FAILED: ") and "golden/photo_raw.bin" in line
    with (bundle / "model.onnx").open("ab") as file:
        file.write(b"\0")
    code, line = _selftest(selftests, bundle)
    assert code == 1 and "model.onnx has" in line


@pytest.mark.parametrize("name", ["digits", "crop", "stretch", "pad"])
def test_pictures_of_every_shape_are_preprocessed_as_by_the_server(
    name, bundles, fitted_bundles, onnxruntime, tmp_path
):
    """One level apart at most: Pillow's weights are integers."""
    bundle = (bundles | fitted_bundles)[name]
    (tmp_path / "driver.cpp").write_text(_DRIVER)
    done = _run(
        *("g++", "-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{bundle / 'cpp'}"),
        *(f"-I{onnxruntime / 'include'}", tmp_path / "driver.cpp"),
        *(onnxruntime / "lib/libonnxruntime.so", f"-Wl,-rpath,{onnxruntime / 'lib'}"),
        *("-o", tmp_path / "driver"),
    )
    assert done.returncode == 0, done.stderr.decode()
    spec = ImageSpec.from_dict(json.loads((bundle / "contract.json").read_text())["image_spec"])
    random = np.random.default_rng(2)
    for height, width in ((40, 90), (90, 41), (5, 3), (15, 24), (1, 200), (301, 7)):
        for channels in (1, 3, 4):
            values = random.integers(0, 256, (height, width, channels), np.uint8)
            picture = Image.fromarray(values[..., 0] if channels == 1 else values)
            done = _run(*(tmp_path / "driver", height, width, channels), input=values.tobytes())
            found = np.frombuffer(done.stdout, np.uint8).reshape(spec.shape).astype(int)
            assert np.abs(found - fit(picture, spec)).max() <= 1, (height, width, channels)
