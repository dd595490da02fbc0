"""The run's page: what its parts say of what a run left, whatever that is."""

import copy
import csv
import json
import re

import numpy as np
import pytest
from PIL import Image

from pipeline.outcome import confusion, data_facts, facts, figures, gallery, report, words
from pipeline.outcome.verdict import Verdict
from tests.helpers.report_cases import SINCE, refused_data, released


def rows(epochs: int, **more) -> list[dict]:
    return [
        {
            "epoch": n, "loss": 2 / n, "accuracy": 1 - 1 / (n + 1), "val_loss": 1 / n,
            "val_accuracy": 1 - 1 / (n + 2), "learning_rate": 10.0**-n, "seconds": 1.0,
            "images_per_second": 1000.0, **more,
        }
        for n in range(1, epochs + 1)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(verdict, directory) of a released run; tests copy what they change."""
    directory = tmp_path_factory.mktemp("run")
    return released(directory), directory


def test_curves_of_both_frameworks_are_in_three_pictures():
    curves = figures.learning_curves({"keras": {"history": rows(5)}, "torch": {"history": rows(3)}})
    assert len(curves) == 3
    for svg, metric, lines in zip(curves, ("loss", "accuracy", "learning rate"), (2, 2, 1)):
        assert svg.startswith("<svg") and f'aria-label="{metric} of keras and torch' in svg
        for framework in ("keras", "torch"):
            assert len(re.findall(rf"fill: none; stroke[^>]*var\(--{framework}\)", svg)) == lines


def test_curves_do_with_one_epoch_missing_values_and_keys_of_other_versions():
    one = figures.learning_curves({"keras": {"history": rows(1, ema_accuracy=0.5)}})
    # Points, for a line of one is invisible.
    assert re.search(r"<use [^>]*var\(--keras\)", one[0])
    old = [{key: row[key] for key in ("epoch", "loss", "val_loss")} for row in rows(3)]
    old[1]["val_loss"] = None
    flat = rows(2, learning_rate=0.0)
    for history in (old, flat):
        assert len(figures.learning_curves({"torch": {"history": history}})) == 3
    assert figures.learning_curves({"keras": {"history": []}, "torch": {}}) == []


def test_figures_take_their_colours_and_letters_from_the_page():
    svg = figures.learning_curves({"keras": {"history": rows(5)}})[0]
    svg += figures.heat_map("keras", [f"$class {n}" for n in range(40)], np.eye(40, dtype=int))
    colours = set(re.findall(r"(?:fill|stroke): ([^;\"]+)", svg)) - {"none"}
    assert colours and all(colour.startswith("var(--") for colour in colours), colours
    assert ">epoch</text>" in svg and "$class 39</text>" in svg and "<metadata" not in svg


@pytest.mark.parametrize("classes", [17, 100, 1000])
def test_many_classes_are_a_picture_that_loses_no_confusion(classes):
    counts = np.eye(classes, dtype=np.int64) * 20
    counts[3, classes - 2] = 5
    labels = [f"{n}" for n in range(classes)]
    given = {"per_class": dict.fromkeys(labels, {"recall": 1.0, "precision": 1.0})}
    metrics = given | {"confusion_matrix": counts.tolist()}
    (matrix,) = confusion.matrices({"keras": {"metrics": metrics}})
    assert not matrix.rows and "data:image/png;base64," in matrix.picture
    assert matrix.top == [confusion.Confusion("3", labels[-2], 5, 25)]
    cells = figures.cells(counts / counts.sum(axis=1, keepdims=True))
    step = -(-classes // figures.CELLS)
    assert len(cells) == -(-classes // step) <= figures.CELLS
    *colour, alpha = cells[3 // step, (classes - 2) // step]
    assert colour[0] > colour[1] and alpha == pytest.approx(np.sqrt(0.2))
    *colour, alpha = cells[8 // step, 8 // step]
    assert colour[1] > colour[0] and alpha == 1


def test_few_classes_are_counts_and_the_most_frequent_confusions_come_first():
    counts = np.array([[8, 2, 0], [0, 5, 5], [1, 0, 0]])
    labels = ["cat", "dog", "fish"]
    given = {
        "per_class": {"cat": {"recall": 0.8, "precision": None}, "dog": {"recall": 0.5,
        "precision": 0.7}, "fish": {"recall": 0.0, "precision": 0.0}},
        "confusion_matrix": counts.tolist(),
    }  # fmt: skip
    (matrix,) = confusion.matrices({"keras": {"metrics": given}, "torch": {"metrics": {}}})
    assert matrix.rows[0] == ("cat", [(8, 0.8), (2, 0.2), (0, 0.0)]) and not matrix.picture
    assert [(c.truth, c.predicted, c.count) for c in matrix.top] == [
        ("dog", "fish", 5), ("cat", "dog", 2), ("fish", "cat", 1),
    ]  # fmt: skip
    assert [row.name for row in confusion.class_rows({"keras": {"metrics": given}})] == labels


def test_of_many_classes_the_worst_come_first_and_those_without_images_last():
    recalls = [None, *np.linspace(1, 0.1, 19)]
    per_class = {f"{n}": {"recall": r, "precision": None} for n, r in enumerate(recalls)}
    given = {"per_class": per_class, "confusion_matrix": np.eye(20, dtype=int).tolist()}
    found = [row.name for row in confusion.class_rows({"torch": {"metrics": given}})]
    assert found == [f"{n}" for n in range(19, 0, -1)] + ["0"]


def test_what_could_not_be_computed_is_said_in_words():
    assert words.computed("nan (5 of nan)") == "not computed (5 of not computed)"
    assert words.computed("class 'banana' and nan.jpg") == "class 'banana' and nan.jpg"
    assert words.number(None) == "not computed" and words.number(0.5, ".1%") == "50.0%"


def test_a_sentence_of_many_failed_gates_is_shortened_and_of_few_is_not():
    one = "keras: accuracy is nan, expected at least 0.9000 (gates.min_accuracy)"
    assert words.sentence(f"{one}.") == f"{one.replace('nan', 'not computed')}."
    many = words.sentence("; ".join([one] * 50) + ".")
    assert len(many) < 320 and many.endswith("; and 47 more, below.")


def test_a_gate_is_listed_once_for_all_batch_sizes_and_names_its_setting(tmp_path):
    gate = {
        "name": "agreement", "model": "keras", "expected": "at least 0.99", "received": "nan",
        "passed": False, "key": "export.min_agreement",
    }  # fmt: skip
    gates = [gate | {"artifact": f"tflite (batch {n})"} for n in (1, 7)]
    verdict = json.loads(Verdict("1", "digits", "digits", gates=gates).to_json())
    (only,) = facts.gates(verdict, passed=False)
    assert only == {
        "title": "agreement of keras tflite (batch 1, batch 7)", "received": "not computed",
        "expected": "at least 0.99", "settings": "export.min_agreement",
    }  # fmt: skip
    assert facts.gates(verdict, passed=True) == []


def test_unreadable_files_are_counted_by_reason_beyond_those_that_are_listed(tmp_path):
    data = refused_data(tmp_path)["data"]
    with (tmp_path / "findings.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 138 > len(data["findings"]["quarantined"])
    table = data_facts.reasons(data, tmp_path / "findings.csv")
    assert table.rows[:2] == [("Quarantined: truncated", "130"), ("Quarantined: too large", "7")]
    without = data_facts.reasons(data, tmp_path / "missing.csv")
    assert ("Quarantined: of other reasons", "37") in without.rows


def test_the_most_confident_mistakes_carry_the_names_of_their_files(run):
    verdict, directory = run
    found = gallery.read_mistakes(directory / "mistakes.json")
    assert len(found) == gallery.SHOWN
    sure = [
        max(a["confidence"] for a in row["answers"].values() if a["label"] != row["label"])
        for row in found
    ]
    assert sure == sorted(sure, reverse=True)
    index = (directory / "images.csv").read_text().splitlines()
    for row in found:
        assert any(line.endswith(f",{row['name']}") for line in index)
        assert row["name"].split("/")[1] == row["label"] and row["image"].startswith("data:image/")
    assert f"<b>{found[0]['label']}</b>" in report.page(verdict, directory)


def test_without_the_index_of_images_or_with_another_splits_images_have_numbers(run):
    _, directory = run
    assert gallery.image_names(None, "test", 597) is None
    assert gallery.image_names(directory / "missing.csv", "test", 597) is None
    assert gallery.image_names(directory / "images.csv", "test", 596) is None
    assert gallery.image_names(directory / "images.csv", "test", 597)[0].startswith("photos/")


def test_answers_that_are_not_numbers_are_no_confident_mistakes():
    labels = np.zeros(3, np.int64)
    broken = np.full((3, 2), np.nan, np.float32)
    wrong = np.array([[0.1, 0.9], [0.9, 0.1], [0.4, 0.6]], np.float32)
    assert gallery.most_confident(labels, {"torch": wrong}).tolist() == [0, 2]
    assert gallery.most_confident(labels, {"keras": broken}).tolist() == []


def test_large_pictures_are_embedded_small(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (1200, 1000, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    url, width, height = gallery.picture(tmp_path / "noise.png")
    assert url.startswith("data:image/webp;base64,") and (width, height) == (1000, 1200)
    assert len(url) < 1_500_000 < (tmp_path / "noise.png").stat().st_size
    assert gallery.picture(tmp_path / "missing.png") is None


def test_the_page_holds_the_pictures_that_the_run_has(tmp_path):
    verdict = Verdict("1", "digits", "digits", sentence="not \udcff utf-8")
    report.write(verdict, tmp_path)
    assert 'id="samples"' not in (tmp_path / "report.html").read_text()
    Image.new("RGB", (2, 2)).save(tmp_path / "samples.png")
    report.write(verdict, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert 'id="samples"' in page and len(re.findall('src="data:image/(png|webp);', page)) == 1
    assert "not \\udcff utf-8" in page


def test_the_contract_tells_how_images_are_fitted(run, tmp_path):
    verdict, told = copy.deepcopy(run[0]), {}
    for fit in (None, "crop", "stretch", "pad"):
        verdict["contract"]["image_spec"] |= {"margin_height": 2} | ({"fit": fit} if fit else {})
        found = re.search(r"preparation</dt><dd>(.*?)</ol>", report.page(verdict, tmp_path), re.S)
        told[fit] = " ".join(re.sub("<.*?>", " ", found[1]).split())
    size = "10x8 (height x width) by an antialiased bilinear filter"
    assert told[None] == told["crop"]
    assert (
        f"grey crop centrally to the aspect ratio of the next size resize to {size} crop"
        in (told["crop"])
    )
    assert f"grey stretch to {size} crop" in told["stretch"]
    assert f"grey resize to fit into {size} put it into the middle of a black image" in told["pad"]


def test_what_older_runs_lack_is_left_out(run, tmp_path):
    verdict = copy.deepcopy(run[0])
    for key in ("contract", "comparisons", "warnings"):
        del verdict[key]
    for model in verdict["models"].values():
        for key in ("calibration", "robustness", "interval", "images"):
            del model["metrics"][key]
    for row in verdict["artifacts"]:
        for key in ("latency", "left_out", "accuracy", "title"):
            del row[key]
    headings = re.findall(r'<h2 id="(\w+)"', report.page(verdict, tmp_path))
    assert not {"calibration", "robustness", "mistakes", "contract"} & set(headings)
    assert {"gates", "artifacts", "confusion"} <= set(headings)


def test_what_came_and_went_since_the_release_is_told_by_class_and_split():
    data = {"since_release": SINCE}
    came = data_facts.came_and_went(data)
    assert came.rows == [
        ("3", "+30", "", "+1,004"),
        ("7", "+1 −2", "", ""),
        ("all", "+31 −2", "", "+1,004"),
    ]
    drift = data_facts.drift(data)
    assert drift.rows == [
        ("class shares", "0.012", "0.031", "0.020"),
        ("brightness", "0.000", "", "0.150"),
    ]
    assert data_facts.came_and_went({}) is None and data_facts.drift({}) is None


def test_of_many_changed_classes_those_with_most_changes_are_listed():
    added = {"train": {f"c{n:02d}": n for n in range(1, 31)}}
    came = data_facts.came_and_went({"since_release": {"added": added, "removed": {}}})
    assert len(came.rows) == data_facts.FEW + 2 and came.rows[0] == ("c30", "+30", "", "")
    assert came.rows[-2] == ("10 more classes", "+55", "", "")
