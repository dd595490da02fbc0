"""The line's own process does without PyTorch."""

import subprocess
import sys

from components.base.process import ROOT

_SCRIPT = """
import sys
from pipeline.line.without_torch import without_torch
with without_torch():
    from pipeline.line import dag, runner
assert "torch" not in sys.modules, "something asks for it in another way"
import torch
"""


def test_the_line_is_imported_without_torch_which_can_be_imported_afterwards():
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
