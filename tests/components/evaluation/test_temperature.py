"""A temperature is found where there is one, and confidence then is what accuracy is."""

import json

import numpy as np
import pytest
from scipy import special

from components.evaluation import temperature
from components.evaluation.calibration import calibration_error
from components.evaluation.predictions import PredictArgs, load_predictions, write


def overconfident(rows: int, true: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of a model whose logits are `true` times too large, and labels drawn from what
    it should have said."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(rows, 5)) * 2
    honest = special.softmax(logits, axis=1)
    labels = np.array([rng.choice(5, p=row) for row in honest])
    return special.softmax(logits * true, axis=1).astype(np.float32), labels


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_the_temperature_is_the_one_that_logits_were_made_too_large_by(true):
    probabilities, labels = overconfident(20_000, true)
    found = temperature.fit(probabilities, labels)
    assert found == pytest.approx(true, rel=0.03)
    scaled = temperature.apply(probabilities, found)
    before = calibration_error(probabilities, labels)[0]
    after = calibration_error(scaled, labels)[0]
    assert after < 0.02 and (true == 1.0 or after < before / 3)
    np.testing.assert_array_equal(scaled.argmax(axis=1), probabilities.argmax(axis=1))
    np.testing.assert_allclose(scaled.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    "rows, probability, words",
    [
        (49, 0.8, "val has 49 images, expected at least 50"),
        (60, 1.0, "val has 60 right answers of 60"),
        (60, np.nan, "NaN"),
    ],
)
def test_what_tells_nothing_of_confidence_is_not_fitted(rows, probability, words):
    probabilities = np.array([[probability, 1 - probability]] * rows, np.float32)
    with pytest.raises(ValueError, match=words):
        temperature.fit(probabilities, np.zeros(rows, np.int64))


def test_where_nothing_was_written_the_temperature_is_one(tmp_path):
    assert temperature.load(tmp_path) == 1.0


def written(tmp_path, rows: int, scaling: bool) -> dict:
    splits = {"val": overconfident(rows, 3.0), "test": overconfident(4000, 3.0, seed=1)}
    args = PredictArgs(
        model_dir=tmp_path, arrays=tmp_path, temperature_scaling=scaling,
        outputs={name: tmp_path / f"{name}.npz" for name in splits},
        calibration=tmp_path / temperature.FILE,
    )  # fmt: skip
    write(
        args,
        lambda name, scale: temperature.apply(splits[name][0], scale),
        {name: labels for name, (_, labels) in splits.items()},
    )
    return json.loads((tmp_path / temperature.FILE).read_text())


def test_predictions_are_written_at_the_temperature_that_fits_val(tmp_path):
    found = written(tmp_path, rows=4000, scaling=True)
    assert found["temperature"] == temperature.load(tmp_path) == pytest.approx(3, rel=0.1)
    assert found["reason"] is None
    assert found["error"] < 0.03 < 0.1 < found["error_before"]
    assert found["val_loss"] < found["val_loss_before"]
    error, bins = calibration_error(*load_predictions(tmp_path / "test.npz"))
    assert (found["error"], found["bins"]) == (error, bins)


@pytest.mark.parametrize(
    "rows, scaling, words",
    [(4000, False, "evaluate.temperature_scaling is false"), (20, True, "val has 20 images")],
)
def test_why_there_is_no_temperature_is_written_down(tmp_path, rows, scaling, words):
    found = written(tmp_path, rows, scaling)
    assert found["temperature"] == temperature.load(tmp_path) == 1.0
    assert words in found["reason"] and found["error"] == found["error_before"]
    stored, _ = load_predictions(tmp_path / "test.npz")
    np.testing.assert_array_equal(stored, overconfident(4000, 3.0, seed=1)[0])
