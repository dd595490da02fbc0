"""Runs side by side: found by what a person types, tabulated in a hundred columns."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from components.base.refusal import ConfigError
from pipeline.commands.compare import Run, compare, find
from pipeline.commands.explain import explain
from pipeline.commands.gate import gate
from pipeline.configuration import presets
from pipeline.configuration.overrides import as_arguments, override
from pipeline.line.output_root import locked
from pipeline.outcome.verdict import CONFIGURATION, Verdict, point_latest
from tests.helpers.command_line import darkroom
from tests.helpers.finished_runs import finished

FIRST, SECOND = "20260101-101010-000001", "20260102-101010-000002"


def write_run(root: Path, run_id: str, accuracies: dict, settings: dict | None, **values) -> Path:
    directory = root / "runs" / run_id
    directory.mkdir(parents=True)
    models = {
        name: {
            "accuracy": accuracy, "loss": 0.25, "best_epoch": 3, "epochs": 5,
            "train_seconds": 1234.56, "images_per_second": 2654.4, "parameters": 85450,
        }
        for name, accuracy in accuracies.items()
    }  # fmt: skip
    given = {"status": "released", "exit_code": 0, "version": 1, "champion": "torch"} | values
    data = {"splits": {"test": {"cat": 300, "dog": 100}}}
    verdict = Verdict(run_id, "digits", "digits", models=models, data=data, **given)
    verdict.write(directory)
    if settings is not None:
        lines = as_arguments(override(presets.digits(), settings))
        (directory / CONFIGURATION).write_text("# made by a test\n" + "\n".join(lines) + "\n")
    point_latest(root / "runs", run_id)
    return directory


@pytest.fixture
def root(tmp_path) -> Path:
    write_run(tmp_path, FIRST, {"keras": 0.9, "torch": 0.95}, {"train.epochs": "5"})
    augment = '[{"kind": "rotate", "fraction": 0.03}, {"kind": "pad_crop", "padding": 4}]'
    settings = {"train.epochs": "7", "augment.torch": augment}
    write_run(
        tmp_path, SECOND, {"keras": 0.92, "torch": None}, settings,
        status="refused", exit_code=3, version=None, champion=None,
    )  # fmt: skip
    return tmp_path


def shown(root: Path, *names: str) -> str:
    out = io.StringIO()
    compare(list(names), root, Console(file=out, width=500))
    return out.getvalue()


def test_results_settings_that_differ_and_the_change_are_tabulated(root):
    text = shown(root, FIRST, "latest")
    lines = [" ".join(line.replace("│", " ").split()) for line in text.splitlines()]
    assert f"A {FIRST} released digits, version 1, champion torch" in lines
    assert f"B {SECOND} refused digits" in lines
    assert "keras A 0.9000 0.2500 3 of 5 1,234.6 s 2,654 85,450" in lines
    assert "torch B not computed 0.2500 3 of 5 1,234.6 s 2,654 85,450" in lines
    assert "train.epochs 5 7" in lines
    assert "keras +0.0200 test accuracy from A to B (+8 of 400 images)" in lines
    # What is the same is not listed, and what has no number has no difference.
    assert "train.batch_size" not in text and "torch +" not in text


def test_a_hundred_columns_are_enough(root):
    text = shown(root, FIRST, SECOND)
    assert max(map(len, text.splitlines())) <= 100
    assert '"pad_crop"' in text.replace("│", "")


def test_three_runs_and_one_that_trained_nothing_or_recorded_nothing(root):
    write_run(root, "20260103-000000-000000", {}, None, status="failed", exit_code=1)
    text = shown(root, FIRST, SECOND, "latest")
    assert text.count("not trained") == 2 and "test accuracy from" not in text
    assert "train.epochs" in text
    text = shown(root, "20260103", FIRST)
    assert "A recorded none" in text


def test_the_same_settings_are_said_to_be_the_same(root):
    write_run(root, "3", {"torch": 0.95}, {"train.epochs": "5"})
    assert "Settings  the same in every key" in shown(root, FIRST, "3")


def test_runs_are_found_by_id_beginning_latest_and_path(root):
    first, second = root / "runs" / FIRST, root / "runs" / SECOND
    assert find(FIRST, root) == find("20260101", root) == first
    assert find(str(second), Path("/nowhere")) == second
    assert find("latest", root).resolve() == Run(find("latest", root)).directory == second


@pytest.mark.parametrize(
    "name, words",
    [
        ("2026", f"begins 2 runs under .*, the newest '{SECOND}'"),
        ("lates", "did you mean 'latest'"),
        ("20260101-101010-000009", f"did you mean '{FIRST}'"),
        ("cifar", f"the newest is '{SECOND}'"),
        ("", "Unknown run ''"),
    ],
)
def test_a_name_that_stands_for_no_run_is_refused_with_one_that_does(root, name, words):
    with pytest.raises(ConfigError, match=words):
        find(name, root)


def test_the_command_complains_in_one_line_with_exit_code_2(root):
    (root / "runs" / FIRST / "verdict.json").write_text("{")
    for names, words in (
        (("latest",), "Runs named: 1"),
        ((FIRST, SECOND), "no readable verdict.json"),
        (("x", "y", f"root={root / 'none'}"), "there are no runs under"),
    ):
        done = darkroom("compare", f"root={root}", *names)
        assert done.returncode == 2 and words in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def test_latest_says_when_a_newer_run_has_no_verdict(tmp_path):
    root = tmp_path
    for run_id in (FIRST, SECOND):
        finished(root, {"torch": 0.98}, run_id=run_id)
    newest = root / "runs" / "20990101-000000-000001"
    words = f"The newest run, {newest.name}, ended without a verdict: this is of {SECOND}."
    newest.mkdir()
    assert words in told(explain, "latest", root)
    assert words in told(compare, [FIRST, "latest"], root)
    assert words in told(gate, "latest", [], root)
    assert words not in told(explain, SECOND, root)
    with locked(root):
        assert "goes on: this is of" in told(explain, "latest", root)
    newest.rmdir()
    assert "The newest run" not in told(explain, "latest", root)


def told(command, *arguments) -> str:
    out = io.StringIO()
    command(*arguments, Console(file=out, width=160))
    return out.getvalue()


def test_latest_is_nothing_before_a_run_came_to_a_verdict(tmp_path):
    (tmp_path / "runs" / SECOND).mkdir(parents=True)
    with pytest.raises(ConfigError, match=f"has come to a verdict yet; the newest is '{SECOND}'"):
        find("latest", tmp_path)


def test_a_value_inferred_from_the_images_is_told_from_a_setting(tmp_path):
    for run_id, epochs in ((FIRST, "30"), (SECOND, "28")):
        settings = {"train.epochs": epochs, "train.threads": epochs}
        write_run(tmp_path, run_id, {}, settings, inferred=["train.epochs"])
    text = shown(tmp_path, FIRST, SECOND)
    assert "train.epochs (inferred from the images)" in text and "train.threads (" not in text
