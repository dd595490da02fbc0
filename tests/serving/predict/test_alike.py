"""`--alike`, and what stands beside the surest mistakes: the training images most like them."""

import functools
import html
import json
import re

import numpy as np
import pytest
from PIL import Image

from serving.inference.nearest import unit
from serving.predict import __main__ as command
from serving.store.store import Store
from tests.helpers.serving_fixtures import digits, digits_release, with_neighbours

SHOWN = range(300, 400)
"""The digits that are looked at; the training images are those before."""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The store has `digits` with neighbours, two of which have odd names, and `older` without."""
    directory = tmp_path_factory.mktemp("line")
    store = Store(directory / "out/serving")
    made = with_neighbours(digits_release(directory / "1"), names(), range(300))
    store.publish("digits", made)
    store.publish("older", digits_release(directory / "2", name="older"))
    return directory / "out"


@functools.cache
def names() -> list[str]:
    """Those of the training images, of which two that are like number 300 are odd."""
    found = [f"{label}/{row}.png" for row, label in enumerate(digits()[1][:300])]
    first, second = most_alike(300, 2)
    found[first], found[second] = "<img src=x>\x1b[31m.png", "caf\udce9.png"
    return found


@functools.cache
def most_alike(row: int, count: int) -> list[int]:
    pixels = unit(digits()[0].reshape(-1, 64))
    return np.argsort(-(pixels[:300] @ pixels[row]), kind="stable")[:count].tolist()


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    images, labels = digits()
    for row in SHOWN:
        (folder / str(labels[row])).mkdir(exist_ok=True)
        Image.fromarray(images[row, ..., 0]).save(folder / str(labels[row]) / f"{row}.png")
    return folder


@pytest.fixture
def predict(root, capsys):
    def predicted(*arguments, model="digits") -> tuple[int, str, str]:
        code = command.main(["--root", str(root), "--model", model, *map(str, arguments)])
        return code, *capsys.readouterr()

    return predicted


def path_of(photos, row: int):
    return photos / str(digits()[1][row]) / f"{row}.png"


def test_named_images_have_those_alike_below_their_labels(predict, photos, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"none")
    code, out, err = predict("--alike", 2, path_of(photos, 310), broken, path_of(photos, 320))
    assert code == 2 and err.startswith(f"error: {broken}")
    lines = out.splitlines()
    labels = digits()[1]
    for row, line in ((310, lines[1]), (320, lines[3])):
        near = [f"{labels[k]}/{k}.png ({labels[k]})" for k in most_alike(row, 2)]
        assert line == f"  like {', '.join(near)}"
    assert len(lines) == 4 and lines[0].startswith(f"{path_of(photos, 310)}: ")


def test_names_of_a_release_do_nothing_to_a_terminal(predict, photos):
    _, out, _ = predict("--alike", 3, path_of(photos, 300))
    assert "\x1b" not in out and "<img src=x>\\x1b[31m.png (" in out and "caf\\xe9.png (" in out


def test_the_surest_mistakes_have_three_each_in_words_and_in_json(predict, photos, tmp_path):
    facts = tmp_path / "of.json"
    code, out, _ = predict(photos, "--labelled", "--json", facts, "--csv", tmp_path / "t.csv")
    assert code == 0
    mistakes = json.loads(facts.read_text())["labelled"]["mistakes"]
    labels = digits()[1]
    assert 3 < len(mistakes) < 30
    for mistake in mistakes:
        row = int(re.search(r"/(\d+)\.png", mistake["path"])[1])
        near = most_alike(row, 3)
        assert [of["label"] for of in mistake["alike"]] == [str(labels[k]) for k in near]
        found = [of["name"].replace("\\xe9", "\udce9") for of in mistake["alike"]]
        assert found == [names()[k] for k in near]
    lines = out[out.index("Surest mistakes") :].splitlines()
    first = mistakes[0]
    assert lines[1].startswith(f"  {first['path']}: {first['predicted']} ")
    assert lines[2].startswith(f"    like {first['alike'][0]['name']} (")
    _, out, _ = predict(photos, "--labelled", "--alike", 1, "--csv", tmp_path / "t.csv")
    assert out[out.index("Surest mistakes") :].splitlines()[2].count("(") == 1


def test_a_page_shows_each_mistake_with_its_picture_and_escapes_what_it_names(
    predict, photos, tmp_path
):
    wrong = tmp_path / "photos" / "8"
    wrong.mkdir(parents=True)
    Image.fromarray(digits()[0][300, ..., 0]).save(wrong / "<b>&.png")
    Image.fromarray(digits()[0][310, ..., 0]).save(wrong / "310.png")
    file = tmp_path / "of.html"
    code, out, _ = predict(tmp_path / "photos", "--labelled", "--html", file, "--alike", 4)
    assert code == 0
    text = file.read_text()
    assert text.count("<li>") == 2 == text.count("data:image/png;base64,")
    assert "8/&lt;b&gt;&amp;.png" in text and "&lt;img src=x&gt;\\x1b[31m.png" in text
    assert "<img src=x" not in text and "<b>&.png" not in text and "\x1b" not in text
    assert text.count("Most alike in training") == 2 and "digits version 1" in text
    labels = digits()[1]
    for k in most_alike(310, 4):
        assert f"{labels[k]}: {names()[k]}" in html.unescape(text)
    assert not re.findall(r'(?:src|href)="(?!data:)', text)


def test_an_older_release_shows_mistakes_and_their_page_without_any(predict, photos, tmp_path):
    file = tmp_path / "of.html"
    code, _, err = predict(photos, "--labelled", "--html", file, model="older")
    assert code == 0 and "Surest mistakes" in err and "like" not in err
    assert "<li>" in file.read_text() and "Most alike" not in file.read_text()
    for arguments in ([path_of(photos, 300)], [photos, "--labelled"]):
        code, out, err = predict(*arguments, "--alike", 3, model="older")
        assert (code, out) == (2, "") and err.count("\n") == 1
        assert "version 1 of older has no neighbours.npz" in err
        assert "releases of networks with a pretrained backbone" in err


def test_a_tflite_file_has_none(predict, photos):
    code, out, err = predict(path_of(photos, 300), "--alike", 3, "--format", "tflite")
    assert (code, out) == (2, "") and err.count("\n") == 1 and "leave --format out" in err
    code, _, err = predict(photos, "--labelled", "--format", "tflite")
    assert code == 0 and "Surest mistakes" in err and "like" not in err


def test_a_mistake_whose_file_has_gone_is_still_named(photos, root, tmp_path):
    from serving.predict.classifier import Classifier
    from serving.predict.mistakes import Mistake, looked_at, neighbours_of
    from serving.predict.predictions import Prediction

    classifier = Classifier(Store(root / "serving").select("digits"), "onnx")
    row = path_of(photos, 310).relative_to(photos).as_posix()
    worst = [Prediction("gone.png", "1"), Prediction(row, "2")]
    neighbours = neighbours_of(classifier, asked=True)
    gone, there = looked_at(worst, photos, classifier, neighbours, 2, pictures=True)
    assert gone == Mistake(worst[0]) and len(there.alike) == 2 and there.picture


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{photos}", "--alike", "3"], "--alike of a folder is of the mistakes in it"),
        (["{photos}", "--html", "x.html"], "--html of a folder is of the mistakes in it"),
        (["{photos}/1/absent.png", "--html", "x.html"], "--html is of a folder"),
        (["{photos}/1/absent.png", "--alike", "0"], "'0' is not a count"),
    ],
)
def test_what_does_not_go_together_is_said(predict, photos, arguments, words, capsys):
    with pytest.raises(SystemExit) as ended:
        predict(*(word.format(photos=photos) for word in arguments))
    assert ended.value.code == 2 and words in capsys.readouterr().err
