"""The whole line on scikit-learn's digits, as a person runs it."""

import re
from pathlib import Path

import numpy as np
import pytest

from components.sources.digits_source import DigitsSource
from serving.store.store import Store
from tests.helpers.command_line import darkroom, run, run_on
from tests.helpers.predictions import predicted, served

QUICK = (
    *("train.epochs=8", "train.threads=1", "train.checkpoint_seconds=0.5"),
    "gates.min_accuracy=0.8",
    # The others are test_exporter's.
    'export.formats=["saved_model", "tflite", "onnx", "onnx_int8"]',
)
STEPS = [
    "ingest", "statistics", "schema", "validator", "data_gate", "transform", "pack", "augment",
    "train_keras", "train_torch", "evaluate_keras", "evaluate_torch", "gates", "export", "push",
]  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("line") / "out"


@pytest.fixture(scope="module")
def first(root):
    return run(root, "digits", *QUICK)


def test_the_line_trains_verifies_and_releases_both_frameworks(first, root):
    done, verdict = first
    assert done.returncode == 0, done.stdout + done.stderr
    assert verdict["status"] == "released" and verdict["version"] == 1
    assert verdict["champion"] in ("keras", "torch")
    assert sorted(step["name"] for step in verdict["steps"]) == sorted(STEPS)
    assert {step["why"] for step in verdict["steps"]} == {"first run"}
    for model in verdict["models"].values():
        assert model["blessed"] and model["accuracy"] > 0.8
        matrix = np.array(model["metrics"]["confusion_matrix"])
        assert matrix.sum() == sum(verdict["data"]["splits"]["test"].values())
        assert np.trace(matrix) / matrix.sum() == pytest.approx(model["accuracy"])
        assert model["parameters"] == 85_450 and model["images_per_second"] > 0
    artifacts = {(row["model"], row["artifact"]) for row in verdict["artifacts"] if row["passed"]}
    assert artifacts >= {
        (model, kind) for model in ("keras", "torch") for kind in ("saved_model", "tflite", "onnx")
    }
    assert len(verdict["artifacts"]) == 8
    for row in verdict["artifacts"]:
        assert row["images"] == sum(verdict["data"]["splits"]["test"].values())
        assert row["passed"] or (row["artifact"] == "onnx_int8" and row["left_out"])
        assert row["latency"]["1"]["p50"] > 0
    assert not [path for path in (root / "checkpoints").rglob("*") if path.is_file()]


def test_every_image_is_accounted_for(first):
    data = first[1]["data"]
    assert data["read"] == 1797 == data["good"] + data["quarantined"] + data["duplicates"]
    assert sum(sum(split.values()) for split in data["splits"].values()) == data["good"]


def test_the_terminal_shows_the_table_and_what_to_do_next_and_the_log_the_rest(first, root):
    printed = first[0].stdout
    for words in ("SavedModel", "TFLite", "ONNX int8", "Champion", "Released   digits version 1"):
        assert words in printed
    assert re.search(r"-m serving .*--model digits", printed) and "report.html" in printed
    assert "WARNING" not in printed and "Traceback" not in printed and not first[0].stderr
    log = (root / "runs" / "latest" / "log.txt").read_text()
    assert "WARNING" in log and "Prism" not in log


def test_the_release_holds_every_format_and_its_hashes_are_right(first, root):
    release = Store(root / "serving").current("digits")
    release.verify()
    names = {path.name for path in release.path.iterdir()}
    assert names >= {
        "saved_model.pb", "variables", "assets.extra", "model.onnx", "model.tflite",
        "labels.txt", "contract.json", "golden.npz", "manifest.json",
    }  # fmt: skip
    assert release.contract()["input"]["dtype"] == "uint8"
    assert release.manifest()["run_id"] == first[1]["run_id"]


def test_the_report_is_one_file_with_the_verdict_curves_samples_and_preview(first, root):
    page = (root / "runs" / "latest" / "report.html").read_text()
    assert first[1]["sentence"] in page
    # Three curves and two reliability diagrams; samples in light and dark, preview, mistakes.
    assert page.count("<svg") == 5 and page.count("data:image/") > 4
    assert "antialiased bilinear filter" in page and "lineage of torch" in page
    assert (root / "runs" / "latest" / "mistakes.json").is_file()


@pytest.fixture(scope="module")
def again(first, root):
    return run(root, "digits", *QUICK)


def test_the_same_command_is_recognised_before_tfx_is_even_started(again, first, root):
    done, verdict = again
    assert done.returncode == 0 and verdict["status"] == "unchanged"
    assert "starting TFX" not in done.stdout
    assert verdict["version"] == 1 and verdict["models"] == first[1]["models"]
    assert len(Store(root / "serving").releases("digits")) == 1
    kept = {path.name for path in (root / "runs" / verdict["run_id"]).iterdir()}
    assert kept >= {"samples.png", "mistakes.json", "preview.png", "findings.csv", "config.args"}


def test_two_runs_are_compared_and_one_gives_its_configuration_to_another(again, first, root):
    done = darkroom("compare", first[1]["run_id"], "latest", f"root={root}")
    assert done.returncode == 0, done.stderr
    assert "Settings  the same in every key" in done.stdout
    file = f"@{root / 'runs' / 'latest' / 'config.args'}"
    same, before = (darkroom("show", "digits", *a) for a in ([file], [*QUICK, f"root={root}"]))
    assert same.stdout == before.stdout


@pytest.fixture(scope="module")
def cleaned(again, root):
    (root / "artifacts/pack/arrays/99").mkdir()  # of no execution
    done = darkroom("gc", "keep=1", "artifacts=1", f"root={root}")
    assert done.returncode == 0, done.stderr
    assert "artifacts  1 of pack" in done.stdout and "Freed" in done.stdout
    return run(root, "digits", *QUICK)


def test_after_cleaning_up_the_same_command_is_still_recognised(cleaned, again, first, root):
    done, verdict = cleaned
    assert done.returncode == 0 and verdict["status"] == "unchanged"
    assert "starting TFX" not in done.stdout and again[1]["run_id"] in verdict["sentence"]
    assert (root / "runs" / first[1]["run_id"]).is_dir()  # made the release
    assert not list((root / "artifacts").glob("*/.system/*/*"))


def test_a_changed_gate_and_a_new_release_retrain_nothing_and_refuse_twice(
    cleaned, root, warm_line
):
    for attempt in range(2):
        done, verdict = run_on(warm_line, root, "digits", *QUICK, "gates.min_accuracy=0.9999")
        assert done.returncode == 3 == verdict["exit_code"], done.stdout + done.stderr
        assert verdict["status"] == "refused" and verdict["version"] is None
        assert "expected at least 0.9999" in verdict["sentence"]
        assert "\n" not in verdict["sentence"]
        assert (root / "runs" / verdict["run_id"] / "samples.png").is_file()
        if attempt == 0:
            steps = {step["name"]: step for step in verdict["steps"]}
            ran = [name for name, step in steps.items() if not step["cached"]]
            assert ran == ["data_gate", "gates", "export"]
            assert "gates.min_accuracy 0.8 -> 0.9999" in steps["gates"]["why"]
    assert [release.version for release in Store(root / "serving").releases("digits")] == [1]
    told = darkroom("explain", "latest", f"root={root}").stdout
    assert told.index("Failed gates: 2") < told.index("Passed gates")
    judged = darkroom("gate", "latest", "gates.min_accuracy=0.8", f"root={root}")
    assert judged.returncode == 0 and "keras    blessed (was not blessed)" in judged.stdout


def test_an_artifact_that_disagrees_refuses_the_run(again, root, warm_line):
    light = 'export.formats=["tflite", "onnx"]'
    changed = (light, "export.max_difference=1e-12")
    done, verdict = run_on(warm_line, root, "digits", *QUICK, *changed)
    assert done.returncode == 3 and verdict["status"] == "refused"
    assert "max_difference is" in verdict["sentence"] and "at most 1e-12" in verdict["sentence"]
    failed = {gate["artifact"] for gate in verdict["gates"] if not gate["passed"]}
    assert {"tflite (batch 1)", "onnx (batch 64)"} <= failed
    assert len(Store(root / "serving").releases("digits")) == 1


@pytest.mark.full
def test_a_search_takes_the_lines_images_and_leaves_a_recipe_to_run(again, root):
    narrow = 'tune.space={"optimizer": ["sgd"], "learning_rate": [0.01, 0.02]}'
    arguments = ("digits", "train.epochs=1", "tune.trials=1", narrow, f"root={root}")
    done = darkroom("tune", *arguments, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    for step in ("ingest", "statistics", "pack", "augment"):
        assert re.search(rf"{step} +cached", done.stdout)
    assert "train_keras" not in done.stdout and "trial 1/1" in done.stdout
    best = root / "tune" / "digits-torch" / "best.args"
    assert re.search(rf"-m pipeline run digits @\S*{best.name}", done.stdout)
    shown = darkroom("show", "digits", f"@{best}").stdout.splitlines()
    assert {"train.optimizer=sgd", "train.epochs=1", f"root={root}"} <= set(shown)
    # The same command knows its trials and its images, without TFX.
    done = darkroom("tune", *arguments, timeout=60)
    assert done.returncode == 0 and "starting TFX" not in done.stdout
    assert "1 of 1 trials are known" in done.stdout


def test_server_and_both_predictors_name_the_digits_alike(first, root, tmp_path):
    (chunk, *_) = DigitsSource().chunks()
    raws = list(DigitsSource().read(chunk, 10**6))[:20]
    paths = [tmp_path / f"{number}.png" for number in range(len(raws))]
    for path, raw in zip(paths, raws):
        path.write_bytes(raw.data)
    labels = served(root, paths)
    assert labels == predicted(root, "onnx", paths) == predicted(root, "tflite", paths)
    right = sum(int(label) == raw.label for label, raw in zip(labels, raws))
    assert right >= 17
