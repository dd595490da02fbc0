"""One process runs all tests of a file, and thereby TensorFlow and PyTorch together."""

import os
import sys
from collections.abc import Iterator

import pytest

from components.base import warm
from tests.helpers import printing_elsewhere
from tests.helpers.killed_line import KilledLine

# Several processes run tests at once: each framework, here and in the processes that tests start,
# has one thread where nobody asks for more. Read when a framework is imported.
for _name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(_name, "1")

# Triton, which PyTorch's optimisers import where it is installed, crashes the process when it is
# loaded after TensorFlow: both bring an LLVM of their own. No test compiles kernels with it, and
# PyTorch does without.
sys.modules.setdefault("triton", None)

_LONGEST = (
    "tests/line/test_end_to_end.py",
    "tests/line/test_crashes.py",
    "tests/line/test_data_end_to_end.py",
    "tests/components/training/test_devices.py",
    "tests/components/training/test_train_keras.py",
    "tests/components/training/test_out_of_memory.py",
    "tests/components/training/test_train_torch.py",
    "tests/export/test_exporter.py",
    "tests/test_imports.py",
    "tests/pipeline/search/test_search.py",
    "tests/benchmarks/test_trainings.py",
    "tests/line/test_silent_faults.py",
    "tests/export/test_exporter_failures.py",
    "tests/pipeline/outcome/test_report_in_browser.py",
)
"""The files that take the most time, the longest first: none is to begin when the others end."""


def pytest_collection_modifyitems(items) -> None:
    place = {name: number for number, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: place.get(item.nodeid.partition("::")[0], len(place)))


@pytest.fixture(scope="session")
def warm_line() -> Iterator[KilledLine]:
    """Runs that share TFX, TensorFlow and PyTorch, each imported once for all tests."""
    with KilledLine(warm=True) as line:
        yield line


@pytest.fixture(scope="module")
def warm_processes(warm_line) -> Iterator[None]:
    """As in a run: processes of steps are forked from those that have imported their framework."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(warm.SOCKETS, warm_line.sockets)
        patch.setattr(warm, "fork", printing_elsewhere.fork)
        yield
