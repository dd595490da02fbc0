"""`--labelled`: accuracy, classes, confusions and the worst mistakes, as counted by others."""

import json

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics

from serving.contract.interval import wilson
from serving.predict import __main__ as command
from serving.predict.judgement import Judgement
from serving.predict.predictions import Prediction
from serving.store.store import Store
from tests.helpers.serving_fixtures import digits, digits_release, expected

COUNT = 300


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """(folder, JSON, what was printed) of digits in folders of their classes, but nines and some
    that are in none."""
    directory = tmp_path_factory.mktemp("labelled")
    Store(directory / "out/serving").publish("digits", digits_release(directory / "source"))
    folder = directory / "photos"
    for number, (image, label) in enumerate(zip(*digits())):
        if number == COUNT:
            break
        of = folder / ("" if number < 5 else "nine" if label == 9 else str(label))
        of.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(of / f"{number:03d}.png")
    (folder / "3/broken.png").write_bytes(b"no image")
    (folder / "empty").mkdir()
    return folder, directory


@pytest.fixture
def found(judged, capsys):
    folder, directory = judged
    files = directory / "of.json", directory / "of.csv"
    arguments = ["--root", directory / "out", folder, "--labelled", "--json", files[0]]
    assert command.main([*map(str, arguments), "--csv", str(files[1])]) == 0
    return json.loads(files[0].read_text()), capsys.readouterr().out


def test_accuracy_recall_precision_and_confusions_are_those_of_scikit_learn(found):
    told, printed = found
    labels = digits()[1][5:COUNT]
    kept = labels != 9
    answers = expected(digits()[0][5:COUNT]).argmax(1)[kept]
    labels = labels[kept]
    labelled = told["labelled"]
    right = int((answers == labels).sum())
    assert (labelled["images"], labelled["right"]) == (len(labels), right)
    assert labelled["accuracy"] == pytest.approx(metrics.accuracy_score(labels, answers))
    assert labelled["interval"] == pytest.approx(wilson(right, len(labels)))
    of = dict(labels=range(10), average=None, zero_division=np.nan)
    recall, precision = (
        score(labels, answers, **of) for score in (metrics.recall_score, metrics.precision_score)
    )
    for number, row in enumerate(labelled["classes"]):
        assert row["images"] == (labels == number).sum()
        assert row["recall"] == (None if number == 9 else pytest.approx(recall[number]))
        assert row["precision"] == pytest.approx(precision[number])
    matrix = metrics.confusion_matrix(labels, answers, labels=range(10))
    confusions = {
        (int(c["given"]), int(c["predicted"])): c["images"] for c in labelled["confusions"]
    }
    assert confusions == {(i, j): matrix[i, j] for i, j in zip(*np.nonzero(matrix)) if i != j}
    assert f"{right / len(labels):.4f} of {len(labels)} images" in printed


def test_the_surest_mistakes_come_first_with_their_probabilities(found):
    told, printed = found
    probabilities, labels = expected(digits()[0]), digits()[1]
    mistakes = told["labelled"]["mistakes"]
    assert len(mistakes) == told["labelled"]["images"] - told["labelled"]["right"] > 10
    assert mistakes == sorted(mistakes, key=lambda row: -row["probability"])
    for row in mistakes:
        number = int(row["path"][-7:-4])
        assert row["given"] == str(labels[number]) != row["predicted"]
        assert row["probability"] == pytest.approx(probabilities[number].max(), abs=1e-5)
    first = mistakes[0]
    line = f"{first['path']}: {first['predicted']} {first['probability']:.1%}, not {first['given']}"
    assert printed.index(line) > printed.index("Surest mistakes")


def test_folders_of_no_class_and_images_in_none_are_named_and_not_judged(found):
    told, printed = found
    assert told["labelled"]["outside_of_folders"] == 5
    (nine,) = told["labelled"]["unknown_folders"]
    assert (nine["folder"], nine["images"]) == ("nine", int((digits()[1][5:COUNT] == 9).sum()))
    assert "Not judged  nine/ is no class of the model" in printed
    assert "Not judged  5 images beside the folders" in printed
    assert told["unreadable"] == 1 and told["images"] == COUNT


def test_a_folder_of_no_class_at_all_is_exit_code_4(judged, capsys):
    folder, directory = judged
    arguments = ["--root", str(directory / "out"), str(folder / "3"), "--labelled"]
    assert command.main(arguments) == 4
    assert (
        "called like a class of the model: expected 0, 1, 2, 3, 4, ..." in capsys.readouterr().err
    )


def test_a_folder_that_sorting_made_of_a_label_stands_for_it():
    judgement = Judgement(("n/a", "cat", "cot"))
    assert judgement.given("n%2Fa/1.jpg") == "n/a" and judgement.given("1.jpg") == ""
    for path in ("n%2Fa/1.jpg", "cat/2.jpg", "kat/3.jpg"):
        judgement.add(Prediction(path, "cat", 0.9, "cot", 0.1, given=judgement.given(path)))
    assert (judgement.images, judgement.right) == (2, 1)
    assert judgement.unknown_folders() == [("kat", 1, "cat")]


def test_only_the_worst_of_many_mistakes_are_kept():
    judgement = Judgement(("cat", "dog"))
    for number in range(1000):
        probability = ((number * 7919) % 1000) / 1000
        judgement.add(Prediction(f"dog/{number}.jpg", "cat", probability, given="dog"))
    kept = [row.probability for row in judgement.worst()]
    assert kept == [number / 1000 for number in range(999, 899, -1)]
