"""The lineage id is read out of every kind of artifact, and looked for in anything else."""

import json
import subprocess
import sys
import zipfile

import pytest

from components.base.fingerprint import ROOT
from export.formats import embedded
from tests.helpers.embedded_artifacts import LINEAGES, WRITERS, contract, write

TITLES = {
    "model.onnx": "ONNX",
    "model.tflite": "TFLite",
    "model.safetensors": "safetensors",
    "model.pt2": "PyTorch program",
    "saved_model": "SavedModel",
    "model.keras": "Keras",
}


@pytest.mark.parametrize("name", WRITERS)
def test_the_contract_is_found_whatever_the_file_is_called(name, tmp_path):
    found = embedded.read(write(name, tmp_path / "asset.bin"))
    framework = WRITERS[name][0]
    assert (found.title, found.lineage) == (TITLES[name], LINEAGES[framework])
    assert found.contract == contract(framework)


@pytest.mark.parametrize("name", sorted(WRITERS.keys() - {"saved_model"}))
def test_a_file_cut_off_or_scrambled_anywhere_is_refused_in_one_sentence(name, tmp_path):
    whole = write(name, tmp_path / name).read_bytes()
    broken = tmp_path / "broken"
    wrong = 0
    for at in range(0, len(whole), max(1, len(whole) // 150)):
        for content in (whole[:at], whole[:at] + b"\xff" * 8 + whole[at + 8 :]):
            broken.write_bytes(content)
            try:
                assert embedded.read(broken).lineage in LINEAGES.values()
            except embedded.NoContract as error:
                assert str(broken) in str(error) and "\n" not in str(error)
                wrong += 1
    assert wrong > 20


@pytest.mark.parametrize("name", sorted(WRITERS.keys() - {"saved_model"}))
def test_an_id_that_is_none_is_not_repeated(name, tmp_path):
    framework, writer = WRITERS[name]
    writer(tmp_path / "it", contract(framework) | {"lineage": "\x1b[31mred"})
    with pytest.raises(embedded.NoContract, match="without a readable lineage id"):
        embedded.read(tmp_path / "it")


def test_what_holds_no_contract_is_told_apart_from_what_is_no_artifact(tmp_path):
    with zipfile.ZipFile(tmp_path / "archive", "w") as archive:
        archive.writestr("readme", "nothing")
    (tmp_path / "tensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    (tmp_path / "model").mkdir()
    (tmp_path / "model/saved_model.pb").write_text("graph")
    for name in ("archive", "tensors", "model"):
        with pytest.raises(embedded.NoContract, match="without a lineage id"):
            embedded.read(tmp_path / name)
    (tmp_path / "text").write_text("This is no model at all.")
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    for name in ("text", "empty", "folder"):
        with pytest.raises(embedded.NoContract, match="no artifact|is empty|no SavedModel"):
            embedded.read(tmp_path / name)


def test_nothing_but_the_standard_library_is_imported():
    code = (
        "import json, sys\nimport export.formats.embedded\n"
        "print(json.dumps([n for n, m in sys.modules.items()"
        " if 'site-packages' in (getattr(m, '__file__', None) or '')]))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
