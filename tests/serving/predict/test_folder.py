"""`python -m serving.predict FOLDER`: every file a row, whatever lies there."""

import csv
import io
import json
import os
import random

import pytest
from PIL import Image

from serving.inference.model import Model
from serving.predict import __main__ as command
from serving.predict.listing import files
from serving.store.store import Store
from tests.helpers import hostile_files
from tests.helpers.serving_fixtures import digits, digits_release, expected, run


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    directory = tmp_path_factory.mktemp("line")
    for number in (1, 2):
        source = digits_release(directory / f"source{number}")
        Store(directory / "out/serving").publish("digits", source)
    return directory / "out"


def write_digits(folder, count=80) -> None:
    """The first images, each in the folder of its class."""
    for number, (image, label) in enumerate(zip(*digits())):
        if number == count:
            return
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(folder / str(label) / f"{number:03d}.png")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("of digits") / "photos"
    write_digits(folder)
    return folder


@pytest.fixture
def predict(root, capsys):
    """(exit code, standard output, standard error) of the command with these arguments."""

    def predicted(*arguments) -> tuple[int, str, str]:
        code = command.main(["--root", str(root), *map(str, arguments)])
        return code, *capsys.readouterr()

    return predicted


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("kind", ["onnx", "tflite"])
def test_every_image_is_a_row_with_the_two_most_probable_labels(predict, photos, kind):
    code, out, summary = predict(photos, "--format", kind)
    found = {row["path"]: row for row in rows(out)}
    assert code == 0 and len(found) == 80
    answers = expected(digits()[0][:80])
    for path, row in found.items():
        answer = answers[int(path[2:5])]
        first, second = answer.argsort()[::-1][:2]
        assert (row["label"], row["runner_up"]) == (str(first), str(second))
        assert float(row["probability"]) == pytest.approx(answer[first], abs=1e-5)
        assert float(row["runner_up_probability"]) == pytest.approx(answer[second], abs=1e-5)
        assert row["given"] == row["copied_to"] == row["problem"] == ""
    assert list(found) == sorted(found) and summary.splitlines()[0].split() == ["Images", "80"]


def test_a_table_in_a_file_leaves_standard_output_to_the_summary(predict, photos, tmp_path):
    table = tmp_path / "photos.csv"
    table.write_text("of before")
    code, out, err = predict(photos, "--csv", table, "--min-probability", "0.8")
    assert code == 0 and err == ""
    unsure = sum(float(row["probability"]) < 0.8 for row in rows(table.read_text()))
    assert 0 < unsure < 80 and f"Unsure      {unsure} below 0.8" in out
    assert os.listdir(tmp_path) == ["photos.csv"]


def test_hostile_files_are_named_and_counted_and_the_others_classified(predict, tmp_path):
    folder = tmp_path / "photos"
    write_digits(folder, 10)
    good = (folder / "0/000.png").read_bytes()
    bad = folder / "bad"
    bad.mkdir()
    rng = random.Random(0)
    reasons = {}
    for family in (hostile_files.truncated, hostile_files.bombs):
        for name, data, reason in family(rng):
            (bad / name).write_bytes(data)
            reasons[f"bad/{name}"] = reason
    os.mkfifo(folder / "pipe.png")
    (folder / "link.png").symlink_to("0/000.png")
    (folder / "circle").symlink_to(folder)
    (folder / "empty.png").touch()
    with (folder / "large.png").open("wb") as file:
        file.write(good)
        file.truncate(21 * 2**20)
    (folder / os.fsdecode(b"caf\xe9.png")).write_bytes(good)
    (folder / ".hidden.png").write_bytes(good)
    (folder / "Thumbs.db").write_bytes(b"x")
    code, out, summary = predict(folder)
    assert code == 0
    found = {row["path"]: row for row in rows(out)}
    assert not {".hidden.png", "Thumbs.db"} & found.keys()
    assert found["caf\\xe9.png"]["label"] == "0"
    problems = {path: row["problem"] for path, row in found.items() if row["problem"]}
    assert all(found[path]["label"] == found[path]["probability"] == "" for path in problems)
    assert problems.keys() >= {path for path, reason in reasons.items() if reason != "decoded"}
    assert problems["pipe.png"] == "it is not a plain file"
    assert problems["link.png"] == problems["circle"] == "it is a symbolic link"
    assert problems["large.png"] == "it has more than 20971520 bytes"
    assert problems["empty.png"].startswith("cannot decode 0 bytes")
    assert f"Unreadable  {len(problems)}" in summary and "more, in the table" in summary


def test_more_files_than_a_batch_are_held_a_batch_at_a_time(root, photos, monkeypatch):
    from serving.predict.classifier import Classifier
    from serving.predict.predictions import BATCH, predictions

    model = Classifier(Store(root / "serving").select("digits"), "onnx")
    sizes, taken = [], 0
    infer, model.infer = model.infer, lambda images: (sizes.append(len(images)), infer(images))[1]

    def listed():
        nonlocal taken
        for found in files(photos):
            taken += 1
            yield found

    for number, _ in enumerate(predictions(photos, listed(), model)):
        assert taken <= number + BATCH
    assert sizes == [BATCH, BATCH, 80 - 2 * BATCH]


def test_a_folder_without_an_image_is_exit_code_4(predict, tmp_path):
    (tmp_path / "notes.txt").write_text("nothing to see")
    code, out, err = predict(tmp_path)
    assert code == 4 and err.endswith(f"error: no image in {tmp_path} could be read.\n")
    assert len(rows(out)) == 1


def test_a_version_is_chosen_and_an_unknown_one_named(predict, photos, tmp_path):
    file = tmp_path / "of.json"
    assert predict(photos, "--model", "digits@1", "--json", file)[0] == 0
    assert json.loads(file.read_text())["version"] == 1
    for model, words in (("digits@7", "version of digits '7'"), ("digits@x", "NAME or NAME@VER")):
        code, _, err = predict(photos, "--model", model)
        assert code == 2 and words in err and err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["{photos}", "{photos}"], "one folder and nothing else"),
        (["{photos}", "--top", "3"], "--top is of image files"),
        (["{photos}/0/000.png", "--labelled"], "--labelled is of a folder"),
        (["{photos}", "--min-probability", "1.5"], "'1.5' is no probability, expected 0 to 1"),
        (["{photos}", "--csv", "{photos}/absent/t.csv"], "cannot be written"),
        (["{photos}", "--json", "{photos}"], "cannot be written"),
    ],
)
def test_what_does_not_go_together_is_said_before_any_work(
    predict, photos, arguments, words, capsys
):
    try:
        code, out, err = predict(*(word.format(photos=photos) for word in arguments))
    except SystemExit as ended:  # argparse's way
        code, (out, err) = ended.code, capsys.readouterr()
    assert (code, out) == (2, "") and words in err


def test_a_table_that_could_not_be_finished_is_not_there(predict, photos, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Model, "infer", full)
    table = tmp_path / "t.csv"
    code, _, err = predict(photos, "--csv", table)
    assert code == 1 and "No space left" in err and not list(tmp_path.iterdir())


def test_a_reader_that_has_had_enough_ends_it_quietly(root, photos):
    script = (
        "import subprocess, sys\n"
        "made = subprocess.Popen([sys.executable, '-m', 'serving.predict', *sys.argv[1:]],\n"
        "    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)\n"
        "made.stdout.close()\n"
        "print(made.stderr.read(), made.wait())\n"
    )
    done = run("-c", script, photos, "--root", root)
    assert "Traceback" not in done.stdout and done.stdout.split()[-1] == "1"
