"""The command line as a person uses it, in a process of its own."""

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from components.base.fingerprint import ROOT
from pipeline.configuration.presets import PRESETS
from tests.helpers.command_line import darkroom


def _writes_nothing_to_the_store(root: Path) -> bool:
    return not (root / "serving").exists()


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["tune", "--help"], ["list"], ["show", "digits"]]
)
def test_help_list_and_show_answer_without_loading_anything_heavy(arguments):
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['pipeline', *{arguments!r}]\n"
        "try: runpy.run_module('pipeline', run_name='__main__')\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'tensorflow', 'tfx', 'torch', 'apache_beam', 'numpy', 'PIL'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_list_names_every_preset_and_every_kind_of_own_data():
    names = [line.split()[0] for line in darkroom("list").stdout.splitlines()]
    own = ["folder:PATH", "tar:PATH", "zip:PATH", "tfds:NAME"]
    assert names == [*PRESETS, *own]


def test_what_show_prints_is_what_run_takes():
    shown = darkroom("show", "cifar10", "train.epochs=7").stdout.splitlines()
    assert "train.epochs=7" in shown
    assert darkroom("show", "cifar10", *shown).stdout.splitlines() == shown


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["digit"], "did you mean 'digits'"),
        (["digits", "train.epoch=3"], "did you mean 'train.epochs'"),
        (["digits", "train.epochs=x"], "Bad value for train.epochs: 'x'"),
        (["digits", "release.signing_key=/none.pem"], "Bad value for release.signing_key: "),
        (["digits", "gates.min_accuracy"], "expected key=value"),
        (["folder:/no/such/folder"], "does not exist"),
        (["tfds:no_such_set"], "TFDS has no set 'no_such_set'"),
        (
            ["digits", "model.architecture=smiles_v1", "train.loss=binary_cross_entropy"],
            "gives one number, the second class's of two, and there are 10 classes",
        ),
        (["digits", "@no/such.args"], "@no/such.args: the file of overrides cannot be read"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(tmp_path, arguments, words):
    done = darkroom("run", *arguments, f"root={tmp_path / 'out'}")
    assert done.returncode == 2, done.stderr
    assert words in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["digit"], "did you mean 'digits'"),
        (["digits", "tune.trials=0"], "Bad value for tune.trials"),
        (["digits", 'tune.space={"learning_rat": [0.1, 1]}'], "did you mean 'learning_rate'"),
        (["digits", 'tune.space={"learning_rate": [1, 0.1]}'], "1 is not below 0.1"),
    ],
)
def test_a_search_that_makes_no_sense_is_one_line_and_exit_code_2(tmp_path, arguments, words):
    done = darkroom("tune", *arguments, f"root={tmp_path / 'out'}")
    assert done.returncode == 2, done.stderr
    assert words in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_an_output_root_that_cannot_be_written_is_exit_code_2(tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = darkroom("run", "digits", f"root={tmp_path / 'file' / 'out'}")
    assert done.returncode == 2
    assert "is not writable" in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_an_absent_data_set_without_a_network_is_exit_code_2(tmp_path):
    # A resolver that knows nothing stands for the missing network, on any machine.
    (tmp_path / "sitecustomize.py").write_text(
        "import socket\n"
        "def nothing(*_, **__): raise socket.gaierror('no network')\n"
        "socket.getaddrinfo = nothing\n"
    )
    cleared = {k: "" for k in os.environ if k.lower().endswith("_proxy")}
    done = darkroom(
        "run", "mnist", f"data.dir={tmp_path / 'tfds'}", f"root={tmp_path / 'out'}",
        PYTHONPATH=str(tmp_path), **cleared,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "is not prepared under" in done.stderr and "data.dir=PATH" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_without_images_or_with_one_class_is_exit_code_4(tmp_path):
    root = tmp_path / "out"
    (tmp_path / "empty").mkdir()
    (tmp_path / "one" / "cats").mkdir(parents=True)
    (tmp_path / "one" / "cats" / "a.png").write_bytes(b"whatever")
    for folder, words in (("empty", "No images in"), ("one", "Only one class ('cats')")):
        done = darkroom("run", f"folder:{tmp_path / folder}", f"root={root}")
        verdict = json.loads((root / "runs" / "latest" / "verdict.json").read_text())
        assert done.returncode == 4 == verdict["exit_code"]
        assert verdict["status"] == "refused" and words in verdict["sentence"]
        assert words in done.stdout
    assert _writes_nothing_to_the_store(root)


def test_a_second_run_on_the_same_root_is_told_so_with_exit_code_75(tmp_path):
    with open(tmp_path / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in ("run", "tune"):
            done = darkroom(command, "digits", f"root={tmp_path}")
            assert done.returncode == 75
            assert "Another run is using" in done.stderr
