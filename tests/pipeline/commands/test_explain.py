"""A verdict in full, as a person reads it in a narrow and in a wide window."""

import io
import json

import pytest
from rich.console import Console

from pipeline.commands.explain import explain
from tests.helpers.command_line import darkroom
from tests.helpers.finished_runs import RUN, finished


def told(root, width: int = 110) -> str:
    out = io.StringIO()
    explain("latest", root, Console(file=out, width=width))
    return out.getvalue()


def flat(text: str) -> str:
    return " ".join(text.split())


def test_failed_gates_come_first_with_what_was_received_and_which_setting_asks_for_more(tmp_path):
    finished(tmp_path, {"keras": 0.9, "torch": 0.98})
    text = told(tmp_path)
    order = ["Run ", "Failed gates: 1", "Passed gates", "Models", "Artifacts of torch", "Next"]
    assert [text.index(title) for title in order] == sorted(text.index(title) for title in order)
    failed = flat(text[text.index("Failed gates") : text.index("Passed gates")])
    assert "accuracy of keras received 0.9000" in failed
    assert "expected at least 0.9700 (gates.min_accuracy)" in failed
    assert "setting gates.min_accuracy (was 0.97)" in failed
    assert "keras did not pass the gates and is not in the release." in flat(text)


def test_everything_measured_is_told(tmp_path):
    finished(tmp_path, {"torch": 0.98})
    text = flat(told(tmp_path))
    assert "calibration error 0.0120 (0.0710 before temperature 1.900)" in text
    assert "under noise 0.8100" in text and "best epoch 3 of 5" in text
    assert "tflite_int8 0.9800 0.35 3e-07 97.00% 0.12 left out" in text
    assert "Left out: torch tflite_int8 (batch 1): agreement is 0.9700, expected at least" in text
    assert "Serve it:" in text and "--model digits" in text


def test_the_same_failure_at_several_batch_sizes_is_said_once(tmp_path):
    finished(tmp_path, {"torch": 0.98}, difference=0.5)
    text = flat(told(tmp_path))
    assert text.count("max difference of torch onnx (batch 1, batch 7)") == 1
    assert "refused" in text and "exit code 3" in text


@pytest.mark.parametrize("width", [80, 110])
def test_nothing_is_cut_off_and_only_commands_are_wider_than_the_window(tmp_path, width):
    finished(tmp_path, {"keras": 0.9, "torch": None})
    text = told(tmp_path, width)
    assert "…" not in text
    wide = [line for line in text.splitlines() if len(line) > width]
    assert all("-m pipeline" in line or str(tmp_path) in line for line in wide)
    assert f"gate {RUN} gates.min_accuracy=..." in text


def test_a_verdict_of_an_earlier_version_is_explained_as_far_as_it_goes(tmp_path):
    directory = finished(tmp_path, {"torch": 0.98})
    file = directory / "verdict.json"
    verdict = json.loads(file.read_text())
    for row in verdict["artifacts"]:
        for key in ("title", "latency", "left_out"):
            del row[key]
    verdict["models"]["torch"]["metrics"] = {}
    file.write_text(json.dumps(verdict))
    (directory / "config.args").unlink()
    assert "Artifacts of torch" in told(tmp_path)


def test_the_command_explains_and_names_an_unknown_run(tmp_path):
    finished(tmp_path, {"torch": 0.98})
    done = darkroom("explain", RUN[:8], f"root={tmp_path}")
    assert done.returncode == 0 and "Passed gates" in done.stdout
    unknown = darkroom("explain", "2027", f"root={tmp_path}")
    assert unknown.returncode == 2 and "Unknown run '2027'" in unknown.stderr
