"""The table of formats is whole; the digest of an artifact changes with any byte and any name in
it, and with nothing else."""

import ast
import hashlib
import shutil

import pytest

from components.base.fingerprint import ROOT
from serving.contract import release_files


@pytest.fixture
def saved_model(tmp_path):
    directory = tmp_path / "saved_model"
    (directory / "variables").mkdir(parents=True)
    (directory / "saved_model.pb").write_bytes(b"graph")
    (directory / "variables/index").write_bytes(b"index")
    return directory


def test_a_files_digest_is_its_sha256(saved_model):
    path = saved_model / "saved_model.pb"
    assert release_files.sha256(path) == hashlib.sha256(b"graph").hexdigest()
    assert release_files.size(path) == 5


def test_a_copy_of_a_directory_has_the_same_digest_wherever_it_lies(saved_model, tmp_path):
    copy = shutil.copytree(saved_model, tmp_path / "elsewhere/1")
    assert release_files.sha256(copy) == release_files.sha256(saved_model)
    assert release_files.size(copy) == 10


def test_a_byte_a_name_and_a_file_more_or_less_change_a_directorys_digest(saved_model):
    found = {release_files.sha256(saved_model)}
    (saved_model / "variables/index").write_bytes(b"indey")
    found.add(release_files.sha256(saved_model))
    (saved_model / "variables/index").rename(saved_model / "variables/data")
    found.add(release_files.sha256(saved_model))
    (saved_model / "variables/data").rename(saved_model / "data")
    found.add(release_files.sha256(saved_model))
    (saved_model / "data").unlink()
    found.add(release_files.sha256(saved_model))
    (saved_model / "empty").touch()
    found.add(release_files.sha256(saved_model))
    assert len(found) == 6


def test_the_files_of_a_directory_are_in_the_order_of_their_paths_as_texts(tmp_path):
    """Digests of releases that are there depend on it."""
    for name in ("a/x", "a-b/x", "a.b"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in release_files.files(tmp_path)]
    assert found == ["a-b/x", "a.b", "a/x"]
    empty = hashlib.sha256(b"").hexdigest()
    lines = "".join(f"{empty} {name}\n" for name in found)
    assert release_files.sha256(tmp_path) == hashlib.sha256(lines.encode()).hexdigest()


def test_an_artifact_that_is_not_there_has_no_digest(tmp_path):
    with pytest.raises(FileNotFoundError):
        release_files.sha256(tmp_path / "none")
    assert release_files.size(tmp_path / "none") == 0


def test_each_format_is_one_row_and_one_module_that_writes_it():
    for name, row in release_files.FORMATS.items():
        assert row.name == name
        module = ROOT / "export" / "formats" / f"{row.module}.py"
        functions = [n.name for n in ast.parse(module.read_text()).body if hasattr(n, "name")]
        assert "export" in functions
    names = [row.file for row in release_files.FORMATS.values()]
    assert len(set(names)) == len(names)


def test_the_table_says_of_each_format_what_opens_and_writes_it():
    onnx = ("onnxruntime", "onnxruntime")
    litert = ("litert", "ai-edge-litert")
    rows = {
        name: (row.file, row.runtime, row.package, row.module, row.precision)
        for name, row in release_files.FORMATS.items()
    }
    assert rows == {
        "saved_model": ("saved_model", "tensorflow", "tensorflow", "saved_model", "float32"),
        "tflite": ("model.tflite", *litert, "tflite", "float32"),
        "tflite_float16": ("model_float16.tflite", *litert, "tflite", "float16"),
        "tflite_dynamic_int8": ("model_dynamic_int8.tflite", *litert, "tflite", "dynamic_int8"),
        "tflite_int8": ("model_int8.tflite", *litert, "tflite", "int8"),
        "tflite_rgb": ("model_rgb.tflite", *litert, "tflite_rgb", "float32"),
        "onnx": ("model.onnx", *onnx, "onnx", "float32"),
        "onnx_float16": ("model_float16.onnx", *onnx, "reduced_onnx", "float16"),
        "onnx_int8": ("model_int8.onnx", *onnx, "reduced_onnx", "int8"),
        "keras": ("model.keras", "keras", "keras", "keras_archive", "float32"),
        "safetensors": ("model.safetensors", "torch", "torch", "safetensors_file", "float32"),
        "torch_program": ("model.pt2", "torch", "torch", "torch_program", "float32"),
    }
    of_torch = {name for name, row in release_files.FORMATS.items() if row.from_torch}
    assert of_torch == {"onnx", "onnx_float16", "onnx_int8", "safetensors", "torch_program"}
    assert [row.name for row in release_files.FORMATS.values() if row.for_gpu] == ["onnx_float16"]
    assert [row.name for row in release_files.FORMATS.values() if row.optional] == [
        name for name, row in rows.items() if row[-1] != "float32"
    ]


def test_a_directory_is_the_release_itself_and_a_file_lies_in_it(tmp_path):
    for row in release_files.FORMATS.values():
        place = tmp_path if row.name == "saved_model" else tmp_path / row.file
        assert row.in_release(tmp_path) == place


def test_formats_are_named_for_people_in_the_tables_order():
    assert release_files.titles(["onnx", "saved_model", "tflite"]) == "SavedModel, TFLite and ONNX"
    assert release_files.titles(["onnx"]) == "ONNX alone"
    assert [row.name for row in release_files.formats_of({"formats": ["onnx"]})] == ["onnx"]
    assert len(release_files.formats_of({})) == 3  # a manifest of an earlier release


def test_file_names_of_a_release_stand_in_the_table_only():
    """As texts of their own: sentences and docstrings may speak of them."""
    names = {row.file for row in release_files.FORMATS.values() if not row.directory}
    names.discard("model.safetensors")  # which a training calls its weights, too
    names |= {getattr(release_files, constant) for constant in _CONSTANTS}
    found = []
    for package in ("serving", "components", "export", "pipeline"):
        for path in sorted((ROOT / package).rglob("*.py")):
            # Samples are copied to where there is no table.
            if path.name != "release_files.py" and "samples" not in path.parts:
                texts = [n for n in ast.walk(ast.parse(path.read_text()))]
                found += [
                    f"{path.relative_to(ROOT)}:{node.lineno} {node.value!r}"
                    for node in texts
                    if isinstance(node, ast.Constant) and node.value in names
                ]
    assert not found, found


_CONSTANTS = ("MANIFEST", "CONTRACT", "CONTRACT_IN_SAVED_MODEL", "LABELS", "GOLDEN")
