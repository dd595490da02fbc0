"""Large libraries do without what they import only because it is there."""

import subprocess
import sys

from components.base.process import ROOT

SCRIPT = """
import sys
from components.base.without import OF_TFX, without
with without(*OF_TFX):
    from pipeline.line import dag, runner
left = [name for name in OF_TFX if name in sys.modules]
assert not left, f"something asks for {left} in another way"
import matplotlib.figure, sklearn.linear_model, torch
"""


def test_what_is_left_out_of_tfx_can_be_imported_afterwards():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_what_was_imported_before_stays_and_afterwards_all_are_there():
    code = "import json, sys\nfrom components.base.without import without\n"
    code += "with without('json', 'wave'):\n    import json\n"
    code += "    try: import wave\n    except ImportError as error: print(error)\n"
    code += "import wave"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "wave is left out here\n"
