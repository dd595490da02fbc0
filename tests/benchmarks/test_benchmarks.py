"""The parts of the training benchmarks that measure nothing: ratios, records, the table."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import __main__ as command_line
from benchmarks import accuracy, accuracy_table, prepared, ratios, trainings
from components.data.arrays import ImageArrays
from pipeline.configuration.configure import configure
from tests.helpers.training_data import write_arrays


def test_a_ratio_is_that_of_medians_and_spans_those_of_the_pairs():
    found = ratios.ratio([20.0, 30.0, 100.0], [10.0, 10.0, 20.0])
    assert (found.median, found.low, found.high) == (3.0, 2.0, 5.0)
    assert str(found) == "3.00 (2.00 to 5.00)"
    assert str(ratios.ratio([3.0], [2.0])) == "1.50"


@pytest.mark.parametrize("ours, theirs", [([], []), ([1.0], [1.0, 2.0]), ([0.0], [1.0])])
def test_a_ratio_of_no_pairs_or_of_standstill_is_refused(ours, theirs):
    with pytest.raises(ValueError, match="pairs of positive numbers"):
        ratios.ratio(ours, theirs)


def test_a_single_value_has_no_deviation():
    assert ratios.mean_and_deviation([0.5]) == (0.5, None)
    mean, deviation = ratios.mean_and_deviation([1.0, 2.0, 3.0])
    assert (mean, deviation) == (2.0, 1.0)


def test_a_training_s_speed_is_the_lower_of_both_counts():
    history = [{"seconds": 100.0}, {"seconds": 2.0}, {"seconds": 2.0}]

    def speed(counted: float, history: list[dict]) -> float:
        result = {"images_per_second": counted}
        return trainings.speed(trainings.Trained(result, history, Path()), images=100)

    assert speed(60.0, history) == 50.0  # 200 images in the 4 seconds after the first epoch
    assert speed(40.0, history) == 40.0
    assert speed(60.0, history[:1]) == 60.0


def test_a_recipe_is_told_by_what_decides_about_the_model():
    def recipe(framework: str = "torch", **overrides) -> str:
        pairs = {key.replace("__", "."): value for key, value in overrides.items()}
        return prepared.digest(configure("digits", pairs), framework)

    same = [
        recipe(train__seed="7"),
        recipe(train__threads="1"),
        recipe(augment__keras='[{"kind": "flip"}]'),
    ]
    other = [
        recipe(train__epochs="7"),
        recipe(train__label_smoothing="0.1"),
        recipe(augment__torch='[{"kind": "flip"}]'),
        recipe(augment__torch='[{"kind": "translate", "fraction": 0.1}]'),
        recipe(augment__torch='[{"kind": "rotate", "fraction": 0.1}]'),
        recipe(image__height="9"),
        recipe(model__architecture="mnist", image__height="28", image__width="28"),
    ]
    assert set(same) == {recipe()}
    here, there = (
        configure("smiles_v1", {"data.source": f"tar:{folder}smiles.tar"})
        for folder in ("", "/elsewhere/")
    )
    assert prepared.digest(here, "torch") == prepared.digest(there, "torch")
    assert len({recipe(), *other}) == 1 + len(other)


def record(framework: str = "torch", seed: int = 0, recipe: str = "a", **changed) -> dict:
    values = {
        "preset": "cifar10",
        "framework": framework,
        "seed": seed,
        "recipe": recipe,
        "accuracy": 0.87,
        "mirrored": 0.88,
        "mirrored_seconds": 1.25,
        "epochs": 50,
        "val_accuracy": 0.86,
        "seconds": 1200.0,
        "images_per_second": 1875.4,
        "result": {"device": "cpu, 2 threads", "best_epoch": 48},
        "machine": {"cores": 2, "bfloat16": ["amx_bf16"]},
    }
    return values | changed


def test_what_is_recorded_is_read_back_and_counts_as_finished(tmp_path):
    path = tmp_path / "made" / "accuracy.jsonl"
    assert accuracy.read(path) == []
    accuracy.append(path, record(seed=0))
    accuracy.append(path, record(seed=1))
    records = accuracy.read(path)
    assert records == [record(seed=0), record(seed=1)]
    done = accuracy.Key("cifar10", "torch", 1, "a")
    assert accuracy.finished(records, done)
    for other in (
        accuracy.Key("mnist", "torch", 1, "a"),
        accuracy.Key("cifar10", "keras", 1, "a"),
        accuracy.Key("cifar10", "torch", 2, "a"),
        accuracy.Key("cifar10", "torch", 1, "b"),
    ):
        assert not accuracy.finished(records, other)


def test_a_damaged_record_is_named(tmp_path):
    path = tmp_path / "accuracy.jsonl"
    path.write_text(json.dumps(record()) + '\n{"preset": "cif\n')
    with pytest.raises(ValueError, match=r"accuracy\.jsonl:2 is no JSON"):
        accuracy.read(path)


def test_the_table_has_each_preset_s_own_recipe_or_says_that_it_is_another():
    records = [
        record(recipe="old", accuracy=0.5),
        record(recipe="new", seed=0, accuracy=0.5),
        record("keras", accuracy=0.86),
        record(recipe="new", seed=1, accuracy=0.88),
        record(recipe="new", seed=0, accuracy=0.86),  # again: replaces the first
        record(preset="mnist_tiny", mirrored=None, mirrored_seconds=None, seconds=30.0),
        record(recipe="tried", accuracy=0.9),  # the last one, but not the preset's
    ]
    recipes = {("cifar10", "torch"): "new", ("cifar10", "keras"): "b", ("mnist_tiny", "torch"): "a"}
    groups = accuracy_table.grouped(records, recipes)
    assert [(g[0]["preset"], g[0]["framework"], g[0]["recipe"], len(g)) for g in groups] == [
        ("cifar10", "keras", "a", 1),
        ("cifar10", "torch", "new", 2),
        ("mnist_tiny", "torch", "a", 1),
    ]
    assert len(accuracy_table.grouped(records)) == 5
    *_, keras, torch, tiny, _, machine = accuracy_table.markdown(records, recipes).splitlines()
    assert keras.startswith("| `cifar10` (another recipe) | keras | 50 (48) |")
    assert torch.startswith("| `cifar10` | torch |") and tiny.startswith("| `mnist_tiny` | torch |")
    assert "| 86.00% | 88.00% (+1.2 s) |" in keras
    assert "| 87.00% ± 1.41 |" in torch and "| 20 min | 1,875 |" in torch
    assert "73.30% (tutorial in Keras, 36 epochs): +13.70" in torch
    assert "goal 86%: +1.00" in torch
    assert "| 87.00% |  | 86.00% | 1 | 30 s |" in tiny
    assert "96.00% (tutorial, about): -9.00" in tiny
    assert machine == "Measured on: cpu, 2 threads (amx_bf16)."


def test_a_reference_on_validation_is_compared_with_validation():
    row = accuracy_table.markdown([record(preset="mnist", val_accuracy=0.9919)], {})
    assert "99.09% validation (tutorial, 20 epochs): +0.10" in row


def test_a_variant_is_compared_with_what_it_varies_in_the_same_framework():
    records = [
        record(preset="smiles_v2", accuracy=0.94),
        record(preset="smiles_v1", accuracy=0.93),
        record("keras", preset="smiles_v1", accuracy=0.5),
    ]
    recipes = {
        ("smiles_v1", "torch"): "a",
        ("smiles_v1", "keras"): "a",
        ("smiles_v2", "torch"): "a",
    }
    *_, first, variant, _, _ = accuracy_table.markdown(records, recipes).splitlines()
    assert first.startswith("| `smiles_v1` | torch |")
    assert variant.endswith("93.00% (`smiles_v1`, same framework): +1.00 |")


def test_the_table_s_recipes_are_the_presets_as_they_stand():
    found = accuracy.recipes([record(preset="mnist"), record(), record(preset="gone")])
    assert list(found) == [
        ("mnist", "keras"), ("mnist", "torch"), ("cifar10", "keras"), ("cifar10", "torch")
    ]  # fmt: skip
    assert found["mnist", "keras"] == prepared.digest(configure("mnist", {}), "keras")


def test_a_plan_holds_as_many_images_as_the_limit_says(tmp_path):
    arrays = write_arrays(tmp_path / "arrays")
    prepared.write_plan(arrays, configure("digits", {"data.limit": "30"}), tmp_path / "plan")
    assert np.load(tmp_path / "plan/index.npy").shape == (30,)
    assert (tmp_path / "plan/policy.json").is_file()


def test_mirrored_images_lie_beside_those_they_mirror(tmp_path):
    arrays = write_arrays(tmp_path / "arrays")
    (arrays / "val").rename(arrays / "test")
    found = ImageArrays(prepared.with_mirrored(arrays))
    rows = np.arange(100)
    straight, mirrored = found.split("test"), found.split("mirrored")
    assert np.array_equal(mirrored.images(rows), straight.images(rows)[:, :, ::-1])
    assert not np.array_equal(mirrored.images(rows), straight.images(rows))
    assert np.array_equal(mirrored.labels, straight.labels)


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["demo", "train.epochs=3"], "demo takes no key=value"),
        (["accuracy", "digits", "--seeds", "0", "1", "train.epoch=3"], "Unknown key 'train.epoch'"),
        (["accuracy"], "Name a preset"),
    ],
)
def test_a_wrong_command_line_is_a_sentence_and_exit_code_2(
    arguments, expected, monkeypatch, capsys
):
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
    try:
        code = command_line.main()
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert expected in capsys.readouterr().err
