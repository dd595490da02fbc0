"""The records that `parity` makes of an artifact, of a hand-made ONNX file: without a framework."""

import json
import shutil

import numpy as np
import onnx
import pytest

from components.data.arrays import ImageArrays
from export.formats import contract as contracts
from export.verification import parity
from serving.contract import release_files
from tests.helpers.onnx_files import LINEAGE, arguments, hand_made, held, write_onnx
from tests.helpers.serving_fixtures import contract, expected, onnx_bytes


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return hand_made(tmp_path_factory.mktemp("kept"))


@pytest.fixture
def made(kept, tmp_path):
    return shutil.copytree(kept, tmp_path / "made")


def test_a_record_for_each_batch_size_says_what_was_measured(made):
    path, found = made / "model.onnx", held(made, 70)
    accuracy = (found.probabilities.argmax(1) == found.labels).mean()
    records = parity.measure(arguments(made))
    assert len(records) == 2
    for batch, record in zip((1, 7), records):
        assert 0 < record.pop("mean_difference") < record.pop("max_difference") < 1e-5
        assert record.pop("contract") == contracts.digest(contract())
        assert record == {
            "artifact": "onnx",
            "batch": batch,
            "images": 70,
            "agreement": 1.0,
            "accuracy": pytest.approx(accuracy),
            "source_accuracy": pytest.approx(accuracy),
            "bytes": path.stat().st_size,
            "sha256": release_files.sha256(path),
            "error": None,
        }
    assert 0.5 < accuracy < 1


def test_all_held_out_images_are_run_at_the_last_batch_size_and_a_spread_of_them_before(made):
    records = parity.measure(arguments(made, images=10, batches=(1, 7, 32)))
    assert [record["images"] for record in records] == [10, 10, 60]


def test_of_large_images_some_are_run_before_and_all_are_judged_at_every_batch_size(made):
    records = parity.measure(arguments(made, images=10, batches=(1, 7, 32), large=True))
    assert [record["images"] for record in records] == [10, 10, 60]
    assert len({record["accuracy"] for record in records}) == 1


def test_what_the_artifact_answers_to_the_golden_images_is_kept(made):
    golden = made / "not/yet/there/onnx.npy"
    for _ in range(2):
        parity.measure(arguments(made, golden=golden))
    found = held(made)
    answers = np.load(golden)
    assert answers.shape == (16, 10) and answers.dtype == np.float32
    np.testing.assert_allclose(answers, expected(found.images(found.golden)), atol=1e-5)
    golden.unlink()
    records = parity.measure(arguments(made, golden=golden, lineage="another"))
    assert all(record["error"] for record in records) and not golden.exists()


def test_two_answers_as_probable_are_one_in_a_measurement_too(made):
    with np.load(made / "predictions/test.npz") as stored:
        even, labels = np.full_like(stored["probabilities"], 0.1), stored["labels"]
    even[:, 3] += 1e-6
    np.savez(made / "predictions/test.npz", probabilities=even, labels=labels)
    for tie, agrees in ((0.0, False), (0.1, True)):
        records = parity.measure(arguments(made, images=10, tie=tie))
        assert all((record["agreement"] == 1) == agrees for record in records)


def test_what_cannot_be_opened_or_says_another_thing_fails_at_every_batch_size(made):
    (made / "junk.onnx").write_bytes(b"junk")
    records = parity.measure(arguments(made, path=made / "junk.onnx"))
    assert [record["batch"] for record in records] == [1, 7]
    for record in records:
        assert record["error"].startswith("ONNX Runtime cannot load ")
        assert record["bytes"] == 4 and record["agreement"] is None and record["images"] == 0
        assert record["sha256"] == release_files.sha256(made / "junk.onnx")
    records = parity.measure(arguments(made, lineage="keras-f"))
    assert [record["error"] for record in records] == [
        f"the lineage in its contract is {LINEAGE}, expected keras-f."
    ] * 2
    assert not any(record["error"] for record in parity.measure(arguments(made, lineage=None)))


def test_an_artifact_that_fails_at_one_batch_size_is_measured_at_the_others(made):
    fixed = onnx.load_from_string(onnx_bytes())
    graph, make = fixed.graph, onnx.helper.make_node
    for name, value in (("one", 1), ("first", 0), ("nothing", [0.0])):
        kind = np.int64 if isinstance(value, int) else np.float32
        graph.initializer.append(onnx.numpy_helper.from_array(np.array(value, kind), name))
    # Adds the last but first of one number: there is none for a second image.
    graph.node[-1].input[0] = "sum"
    nodes = [
        make("Shape", ["image"], ["shape"]),
        make("Gather", ["shape", "first"], ["count"]),
        make("Sub", ["count", "one"], ["place"]),
        make("Gather", ["nothing", "place"], ["found"]),
        make("Add", ["logits", "found"], ["sum"]),
    ]
    for node in reversed(nodes):
        graph.node.insert(len(graph.node) - 1, node)
    graph.node.sort(key=lambda node: node.output[0] == "probabilities")
    path = write_onnx(made / "fixed.onnx", fixed.SerializeToString(), contract())
    golden = made / "golden.npy"
    one, seven = parity.measure(arguments(made, path=path, golden=golden))
    assert one["error"] is None and one["agreement"] == 1
    assert (
        seven["error"].startswith("InvalidArgument: ")
        and seven["images"] == 70
        and seven["agreement"] is None
    )
    assert (one["batch"], seven["batch"]) == (1, 7)
    assert seven["bytes"] == path.stat().st_size and not golden.exists()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"labels": list("9876543210")}, "the labels in its contract is ['9', '8', "),
        ({"input": {"name": "image"}}, "the input in its contract is {'name': 'image'}, expected "),
        ({"output": {}}, "the output in its contract is {}, expected {'name': 'probabilities', "),
        ({"output": None}, "the output in its contract is None, expected "),
        ({"lineage": "torch-1"}, f"the lineage in its contract is torch-1, expected {LINEAGE}."),
    ],
)
def test_a_contract_that_says_another_thing_is_named(made, change, message):
    write_onnx(made / "model.onnx", onnx_bytes(), contract() | change)
    records = parity.measure(arguments(made))
    assert all(record["error"].startswith(message) for record in records)


def test_an_interface_that_is_another_one_is_named(made):
    arrays = ImageArrays(made / "arrays")
    opened = parity.open_artifact("onnx", made / "model.onnx", 1)
    assert parity.disagreement("onnx", opened, arrays, LINEAGE) is None
    wrong = parity.disagreement("tflite_rgb", opened, arrays, LINEAGE)
    assert wrong is not None and wrong.startswith("its input is {'name': 'image', ")
    assert wrong.endswith("expected {'name': 'image', 'dtype': 'uint8', 'shape': [None, 8, 8, 3]}.")
    arrays.labels.append("ten")
    wrong = parity.disagreement("onnx", opened, arrays, LINEAGE)
    assert wrong is not None and wrong.startswith("its output is ")
    assert wrong.endswith(
        "expected {'name': 'probabilities', 'dtype': 'float32', 'shape': [None, 11]}."
    )


def test_what_says_nothing_about_the_artifact_is_no_record(made, monkeypatch):
    with pytest.raises(FileNotFoundError):
        parity.measure(arguments(made, predictions=made / "none"))
    with pytest.raises(FileNotFoundError, match="none/Split-test"):
        parity.measure(arguments(made, examples=made / "none"))
    for error in (ImportError, MemoryError):

        def missing(*_, error=error):
            raise error

        for place in ("open_artifact", "compare"):
            with monkeypatch.context() as patched, pytest.raises(error):
                patched.setattr(parity, place, missing)
                parity.measure(arguments(made))


def test_threads_are_those_asked_for(made, monkeypatch):
    asked = []
    opener = parity.open_artifact

    def seen(name, path, threads):
        asked.append((name, path, threads))
        return opener(name, path, threads)

    monkeypatch.setattr(parity, "open_artifact", seen)
    parity.measure(arguments(made, threads=3))
    assert asked == [("onnx", made / "model.onnx", 3)]


def test_the_records_are_written_as_json(made):
    parity.main(arguments(made))
    (first, _) = json.loads((made / "records.json").read_text())
    assert first["agreement"] == 1.0


@pytest.mark.parametrize(
    "error, sentence",
    [
        (ValueError("  no good \nmore"), "no good "),
        (ValueError(""), "no message"),
        (KeyError("x"), "KeyError: 'x'"),
        (RuntimeError("\n"), "RuntimeError: no message"),
    ],
)
def test_the_first_line_of_an_error_is_told(error, sentence):
    assert parity._sentence(error) == sentence
