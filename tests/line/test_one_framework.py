"""`train.frameworks`: the line with one framework alone, and then with both."""

import pytest

from serving.contract.release_files import FORMATS
from tests.helpers.command_line import run

pytestmark = pytest.mark.full  # lines of minutes; the cheap half is tests/pipeline/line/test_dag.py

QUICK = ("train.epochs=4", "train.threads=1", "gates.min_accuracy=0.5")
NO_CHANGE = ("gates.max_regression=1",)  # a framework against the other is not what is asked


@pytest.mark.parametrize("one, other", [("torch", "keras"), ("keras", "torch")])
def test_a_line_of_one_framework_is_released_and_its_training_is_used_again(tmp_path, one, other):
    root = tmp_path / "out"
    done, verdict = run(root, "digits", *QUICK, f"train.frameworks={one}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert verdict["status"] == "released" and list(verdict["models"]) == [one]
    assert verdict["champion"] == one
    names = {step["name"] for step in verdict["steps"]}
    assert {f"train_{one}", f"evaluate_{one}"} <= names
    assert not {f"train_{other}", f"evaluate_{other}"} & names
    assert {row["artifact"] for row in verdict["artifacts"]} == {
        name for name, row in FORMATS.items() if one in row.sources
    }
    page = (root / "runs" / "latest" / "report.html").read_text()
    assert f'class="key {one}"' in page and f'class="key {other}"' not in page

    light = 'export.formats=["onnx"]'
    done, verdict = run(root, "digits", *QUICK, *NO_CHANGE, light)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(verdict["models"]) == ["keras", "torch"]
    cached = {step["name"]: step["cached"] for step in verdict["steps"]}
    assert cached[f"train_{one}"] and cached[f"evaluate_{one}"] and cached["augment"]
    assert not cached[f"train_{other}"]

    done, verdict = run(root, "digits", *QUICK, *NO_CHANGE, light, f"train.frameworks={other}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(verdict["models"]) == [other]
    steps = {step["name"]: step for step in verdict["steps"]}
    assert steps[f"train_{other}"]["cached"]
    assert f"no {one}_evaluation" in steps["gates"]["why"]
