"""Finished runs judged again: which gates change their mind, without a trace on disk."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from components.base.fingerprint import ROOT
from components.base.refusal import ConfigError
from components.gates.comparison import Comparison
from pipeline.commands.gate import gate
from tests.helpers.command_line import darkroom
from tests.helpers.finished_runs import finished


def judged(root: Path, *pairs: str) -> tuple[int, str]:
    out = io.StringIO()
    code = gate("latest", list(pairs), root, Console(file=out, width=200))
    return code, " ".join(out.getvalue().replace("│", " ").split())


def test_a_lower_limit_blesses_what_was_refused_and_says_how_to_release_it(tmp_path):
    finished(tmp_path, {"keras": 0.9, "torch": 0.94})
    code, text = judged(tmp_path, "gates.min_accuracy=0.93")
    assert code == 0
    assert "accuracy of torch failed passed 0.9400" in text and "at least 0.9300" in text
    assert "accuracy of keras failed passed" not in text
    assert "torch blessed (was not blessed); it was not exported" in text
    assert "keras not blessed; failed: accuracy of keras" in text
    assert "Nothing was changed: to release by these limits" in text
    assert "config.args gates.min_accuracy=0.93" in text


def test_a_higher_limit_refuses_what_was_released(tmp_path):
    finished(tmp_path, {"torch": 0.98})
    code, text = judged(tmp_path, "gates.min_accuracy=0.99")
    assert code == 3 and "accuracy of torch passed failed" in text
    assert "not blessed (was blessed)" in text


def test_artifacts_are_judged_by_the_worst_that_was_recorded_of_them(tmp_path):
    finished(tmp_path, {"torch": 0.98}, difference=0.01)
    code, text = judged(tmp_path)
    assert code == 3 and "No gate changes its mind." in text
    assert "refused by its artifacts; failed: max difference of torch onnx" in text
    code, text = judged(tmp_path, "export.max_difference=0.02", "export.min_agreement_int8=0.96")
    assert code == 0
    assert "max difference of torch onnx failed passed 0.01 at most 0.02" in text
    assert "agreement of torch tflite_int8 failed passed 0.9700 at least 0.9600" in text


def test_a_limit_that_was_not_asked_before_is_asked_now(tmp_path):
    finished(tmp_path, {"torch": 0.98})
    code, text = judged(tmp_path, "export.max_latency_ms=0.1")
    assert code == 3 and "latency of torch onnx not asked failed 0.12 ms at most 0.1 ms" in text
    assert judged(tmp_path, "export.max_latency_ms=0.2")[0] == 0


def test_a_change_is_judged_by_what_the_run_compared_with(tmp_path):
    release = Comparison(1, "current", 0.995, "on these images", 400, 2, 14)
    finished(tmp_path, {"torch": 0.965}, {"gates.min_accuracy": "0.9"}, comparisons=(release,))
    code, text = judged(tmp_path, "gates.max_regression=0.04")
    assert code == 0 and "accuracy against release of torch failed passed 0.9650" in text
    assert judged(tmp_path)[0] == 3


def test_what_could_not_be_computed_passes_no_limit(tmp_path):
    finished(tmp_path, {"torch": None})
    assert judged(tmp_path, "gates.min_accuracy=0")[0] == 3


@pytest.mark.parametrize(
    "pair, words",
    [
        ("train.epochs=3", "'train.epochs' is no limit of what is measured already"),
        ("gates.min_acuracy=1", "did you mean 'gates.min_accuracy'"),
        ("gates.min_accuracy=97", "less than or equal to 1"),
    ],
)
def test_a_key_that_is_no_limit_is_refused(tmp_path, pair, words):
    finished(tmp_path, {"torch": 0.98})
    with pytest.raises(ConfigError, match=words):
        judged(tmp_path, pair)


def test_the_command_writes_nothing_and_loads_neither_tensorflow_nor_tfx(tmp_path):
    finished(tmp_path, {"torch": 0.98})
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    arguments = ["gate", "latest", "gates.min_accuracy=0.5", f"root={tmp_path}"]
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['pipeline', *{arguments!r}]\n"
        "try: runpy.run_module('pipeline', run_name='__main__')\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'tensorflow', 'keras', 'tfx', 'torch', 'apache_beam'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before
    refused = darkroom("gate", "latest", "gates.min_accuracy=1", f"root={tmp_path}")
    assert refused.returncode == 3
    assert darkroom("gate", "latest", "x=1", f"root={tmp_path}").returncode == 2
