"""How far answers are from a source's: the largest difference, the mean, equal labels, accuracy."""

import numpy as np
import pytest

from export.verification import parity
from export.verification.held_out import HeldOut
from tests.helpers.onnx_files import hand_made, held


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return hand_made(tmp_path_factory.mktemp("made"))


def told(answers: np.ndarray, found: HeldOut, seen: list | None = None):
    """A signature that gives each image its row of `answers`."""
    whole = found.images(np.arange(len(found)))

    def answer(images):
        if seen is not None:
            seen.append(len(images))
        return answers[[(whole == image).all((1, 2, 3)).argmax() for image in images]]

    return answer


def test_the_worst_of_all_signatures_counts(made):
    found = held(made)
    rows = np.arange(100)
    top, second = np.argsort(found.probabilities, axis=1)[:, [-1, -2]].T
    right = np.flatnonzero(top == found.labels)
    swapped = found.probabilities.copy()
    row = np.arange(100)
    gap = found.probabilities[row, top] - found.probabilities[row, second]
    some = right[np.argsort(gap[right])[:10]]
    swapped[some, second[some]], swapped[some, top[some]] = (
        found.probabilities[some, top[some]],
        found.probabilities[some, second[some]],
    )
    moved = found.probabilities.copy()
    unsure = found.probabilities.max(1).argmin()
    moved[unsure] = np.arange(10) == top[unsure]  # still the first
    good, bad, off = (told(a, found) for a in (found.probabilities, swapped, moved))
    accuracy = len(right) / 100
    difference, away = (
        float(np.abs(answers - found.probabilities).max()) for answers in (swapped, moved)
    )
    for signatures, expectation in (
        ({"a": good, "b": good}, (0.0, 1.0, accuracy)),
        ({"a": bad, "b": good}, (difference, 0.9, accuracy - 0.1)),
        ({"a": good, "b": bad}, (difference, 0.9, accuracy - 0.1)),
        ({"a": off, "b": bad}, (away, 0.9, accuracy - 0.1)),
        ({"a": bad, "b": off}, (away, 0.9, accuracy - 0.1)),
    ):
        measured = parity.compare(signatures, found, rows, 32)
        assert 0 <= measured.pop("mean_difference") <= measured["max_difference"] / 5
        assert measured == {
            "max_difference": pytest.approx(max(expectation[0], 0), abs=1e-6),
            "agreement": pytest.approx(expectation[1]),
            "accuracy": pytest.approx(expectation[2]),
            "source_accuracy": pytest.approx(accuracy),
        }
    assert difference < away


def test_only_the_rows_asked_for_are_compared(made):
    found = held(made)
    altered = found.probabilities.copy()
    altered[50] = np.roll(altered[50], 1)
    measured = [
        parity.compare({"image": told(altered, found)}, found, rows, 7)
        for rows in (np.arange(50), np.arange(50, 100), np.arange(99, 49, -1))
    ]
    assert [m["max_difference"] > 0 for m in measured] == [False, True, True]
    assert [m["agreement"] for m in measured] == [1.0, 0.98, 0.98]


def test_some_rows_are_judged_with_the_answers_known_of_the_others(made):
    """A fault of a batch size shows in its rows, one of all sizes in all; nothing is flattered."""
    found, rows, some = held(made), np.arange(100), np.arange(0, 100, 8)
    answered: parity.Answers = {}
    altered = found.probabilities.copy()
    altered[50] = np.roll(altered[50], 1)
    whole = parity.compare({"image": told(altered, found)}, found, rows, 64, 0.0, answered)
    assert whole["agreement"] == 0.99
    again = parity.compare({"image": told(altered, found)}, found, some, 7, 0.0, answered)
    assert again["agreement"] == 0.99
    broken = np.roll(found.probabilities, 1, axis=1)
    faulty = parity.compare({"image": told(broken, found)}, found, some, 7, 0.0, answered)
    agreeing = (broken.argmax(1) == found.probabilities.argmax(1))[some].sum()
    assert faulty["agreement"] == pytest.approx((99 - len(some) + agreeing) / 100)
    assert faulty["max_difference"] > 0.1
    right = parity.compare({"image": told(altered, found)}, found, some, 7, 0.0, answered)
    assert right["agreement"] == 0.99  # a faulty call leaves no answers behind


def test_of_large_images_files_are_given_of_some_and_a_fault_of_theirs_shows(made):
    found, seen = held(made), []
    broken = np.roll(found.probabilities, 1, axis=1)
    known = {file: row for row, file in enumerate(found.encoded(np.arange(100)))}

    def encoded(files):
        seen.extend(files)
        return broken[[known[file] for file in files]]

    signatures = {"image": told(found.probabilities, found), "image_bytes": encoded}
    whole = parity.compare(signatures, found, np.arange(100), 16, 0.0, {})
    assert len(set(seen)) == 16
    agreeing = (broken.argmax(1) == found.probabilities.argmax(1))[
        np.linspace(0, 99, 16).round().astype(int)
    ]
    assert whole["agreement"] == pytest.approx((84 + agreeing.sum()) / 100)
    assert whole["max_difference"] > 0.1


def test_files_are_given_to_the_signature_that_takes_files(made):
    found = held(made)

    def encoded(files):
        assert all(file.startswith(b"\x89PNG") for file in files)
        rows = [known[file] for file in files]
        return found.probabilities[rows]

    known = {file: row for row, file in enumerate(found.encoded(np.arange(100)))}
    signatures = {"image_bytes": encoded, "image": told(found.probabilities, found)}
    measured = parity.compare(signatures, found, np.arange(100), 7)
    assert (measured["max_difference"], measured["agreement"]) == (0.0, 1.0)


def test_every_batch_has_the_size_asked_for_but_the_last(made):
    found, seen = held(made), []
    parity.compare({"image": told(found.probabilities, found, seen)}, found, np.arange(100), 32)
    assert seen == [32, 32, 32, 4]


@pytest.mark.parametrize(
    "change, message",
    [
        (
            lambda p: p.astype(np.float64),
            r"^image gives float64 \(7, 10\), expected float32 \(7, 1",
        ),
        (lambda p: p[:, :-1], r"^image gives float32 \(7, 9\), expected float32 \(7, 10\)\.$"),
        (lambda p: p[:1], r"^image gives float32 \(1, 10\), expected"),
        (lambda p: p * np.nan, r"^image gives probabilities that are not finite\.$"),
        (lambda p: np.where(np.eye(7, 10) > 0, np.float32("inf"), p), r"^image gives prob.*finite"),
    ],
)
def test_an_answer_of_another_shape_type_or_without_numbers_is_refused(made, change, message):
    found = held(made)
    answer = told(found.probabilities, found)
    with pytest.raises(ValueError, match=message):
        parity.compare({"image": lambda i: change(answer(i))}, found, np.arange(14), 7)


@pytest.mark.parametrize(
    "least, off, good",
    [
        (-0.01, 0.0, True),
        (-0.0101, 0.0, False),
        (0.0, 0.029_51, True),
        (0.0, -0.029_51, True),
        (0.0, 0.029_56, False),
        (0.0, -0.029_56, False),
    ],
)
def test_an_answer_is_of_probabilities_but_for_rounding(made, least, off, good):
    """Of ten classes: a hundredth, and half a level of 256 for each class."""
    found = held(made)
    found.probabilities[:] = np.float32(0.1)
    answers = found.probabilities.copy()
    answers[7, 3] = least
    answers[7, 4] += np.float32(0.1 - least + off)
    signatures = {"image": told(answers, found)}
    if good:
        assert parity.compare(signatures, found, np.arange(10), 7)["max_difference"] > 0
        return
    with pytest.raises(ValueError) as refused:
        parity.compare(signatures, found, np.arange(10), 7)
    sums = sorted((1.0, 1.0 + off))
    assert str(refused.value) == (
        f"image gives numbers from {least:.3g} whose sums are {sums[0]:.3g} to {sums[1]:.3g}, "
        "expected probabilities that add up to 1."
    )


def test_one_answer_of_the_source_that_is_not_finite_is_enough(made):
    found = held(made)
    found.probabilities[7, 3] = np.inf
    with pytest.raises(ValueError, match="^the source model gives probabilities that are not fin"):
        parity.compare({"image": told(found.probabilities, found)}, found, np.arange(100), 7)


@pytest.mark.parametrize("difference, same", [(0.0, True), (0.125, True), (0.1251, False)])
def test_a_tie_is_one_up_to_twice_its_width(difference, same):
    expected = np.full((3, 4), 0.1, np.float64)
    expected[:, 1] = 0.5
    expected[:, 2] = 0.5 - difference
    answer, top = np.array([1, 2, 0]), np.array([1, 1, 1])
    untied = parity._untied(answer, expected, top, tie=0.0625)
    assert untied.tolist() == [1, 1 if same else 2, 0]


@pytest.mark.parametrize(
    "count, batch, sizes",
    [
        (3, 1, [1, 1, 1]),
        (10, 4, [4, 4, 2]),
        (9, 3, [3, 3, 3, 1]),
        (8, 2, [2, 2, 2, 2, 1]),
        (12, 12, [12, 4]),
        (4, 12, [12, 4]),
        (13, 12, [12, 1]),
        (14, 7, [7, 7, 2]),
    ],
)
def test_rows_come_in_batches_in_order(count, batch, sizes):
    groups = list(parity.batches(count, batch))
    assert [len(group) for group in groups] == sizes
    rows = [int(row) for group in groups for row in group]
    assert rows[:count] == list(range(count))
    if count < batch:
        assert rows[:batch] == [row % count for row in range(batch)]
