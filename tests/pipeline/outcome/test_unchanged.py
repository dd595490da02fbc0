"""Nothing new, nothing done: which verdicts stand, and what their repetition costs."""

import json
import subprocess
import sys

import pytest

from components.base.fingerprint import ROOT
from components.sources.open_source import open_source
from pipeline.configuration import presets
from pipeline.configuration.overrides import override
from pipeline.outcome import report, unchanged
from pipeline.outcome.kept_files import keep_files
from pipeline.outcome.unchanged import still_holds
from pipeline.outcome.verdict import SAMPLES, Verdict
from serving.store.store import Store
from tests.helpers.serving_fixtures import bundle, two_releases


@pytest.fixture
def store(tmp_path) -> Store:
    """Two releases of `digits`, the second one current."""
    return two_releases(tmp_path)


def _verdict(**values) -> Verdict:
    given = {"status": "released", "exit_code": 0, "version": 2, "current": 2, "fingerprint": "f"}
    return Verdict(preset="digits", name="digits", **{"run_id": "1"} | given | values)


def test_a_verdict_holds_while_nothing_it_depends_on_has_changed(store):
    current = store.current("digits")
    assert still_holds(_verdict(), "f", current)
    assert still_holds(_verdict(status="refused", exit_code=3, version=None), "f", current)
    assert not still_holds(_verdict(), "another fingerprint", current)
    assert not still_holds(_verdict(status="failed", exit_code=1), "f", current)


def test_no_verdict_survives_a_rollback_or_a_damaged_release(store):
    current = store.current("digits")
    assert not still_holds(_verdict(), "f", store.rollback("digits"))
    assert not still_holds(_verdict(), "f", None)
    (current.path / "model.onnx").write_bytes(b"damaged")
    assert not still_holds(_verdict(), "f", current)


@pytest.fixture
def released(tmp_path) -> Verdict:
    """A run of digits under `tmp_path` whose verdict stands, with its release and its page."""
    store = Store(tmp_path / "serving")
    store.publish("digits", bundle(tmp_path / "new"))
    config = presets.digits()
    verdict = _verdict(
        run_id="20260101-000000-000000",
        version=1,
        current=1,
        fingerprint=unchanged.fingerprint(config, open_source(config.data).fingerprint(), ""),
        sentence="The first <one>.",
    )
    directory = tmp_path / "runs" / verdict.run_id
    directory.mkdir(parents=True)
    (directory / SAMPLES).write_bytes(b"a picture")
    (directory / "report.html").write_text(
        "<title>Released: old</title><body><header class='x'>The first</header>figures</body>"
    )
    verdict.write(directory)
    return verdict


_HEAVY = ("tensorflow", "tfx", "apache_beam", "torch", "numpy", "PIL", "matplotlib", "sklearn")

_WITHOUT = f"""
import sys
from pipeline.commands.run import run
code = run("digits", sys.argv[1:])
sys.exit(code or " ".join(sys.modules.keys() & set({_HEAVY!r})) or 0)
"""


def test_an_unchanged_run_repeats_the_verdict_and_its_page_without_anything_heavy(
    released, tmp_path
):
    command = [sys.executable, "-c", _WITHOUT, f"root={tmp_path}", "data.verify=true"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    latest = tmp_path / "runs" / "latest"
    verdict = json.loads((latest / "verdict.json").read_text())
    assert verdict["status"] == "unchanged" and verdict["repeats"] == released.run_id
    page = (latest / "report.html").read_text()
    assert "figures" in page and "The first" not in page and released.run_id in page
    assert f"<title>Unchanged: version 1 of digits ({verdict['run_id']})</title>" in page
    # The picture is the same file, not a copy of it.
    assert (latest / SAMPLES).stat().st_ino == _picture(tmp_path, released).stat().st_ino


def test_a_run_ends_with_its_verdict_though_nobody_reads_what_it_says(released, tmp_path):
    command = [sys.executable, "-m", "pipeline", "run", "digits", f"root={tmp_path}"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.wait(60) == 0
    verdict = json.loads((tmp_path / "runs" / "latest" / "verdict.json").read_text())
    assert verdict["status"] == "unchanged" and verdict["repeats"] == released.run_id


def _picture(root, verdict):
    return root / "runs" / verdict.run_id / SAMPLES


def test_files_are_copied_where_they_cannot_be_linked_and_absent_ones_are_left_out(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for directory in (first, second):
        directory.mkdir()
    (first / SAMPLES).write_bytes(b"new")
    (second / SAMPLES).write_bytes(b"in the way of a link")
    keep_files(first, second, link=True)
    assert (second / SAMPLES).read_bytes() == b"new"
    assert [path.name for path in second.iterdir()] == [SAMPLES]


def test_a_repeated_verdict_without_a_page_to_repeat_is_drawn_anew(tmp_path):
    directory = tmp_path / "2"
    directory.mkdir()
    report.write(_verdict(repeats="1", status="unchanged", sentence="As it was."), directory)
    assert "As it was." in (directory / "report.html").read_text()


def test_how_closely_to_look_changes_no_fingerprint(tmp_path):
    config = presets.digits()
    closely = override(config, {"data.verify": "true", "root": str(tmp_path)})
    assert unchanged.fingerprint(config, "s", "") == unchanged.fingerprint(closely, "s", "")


def test_a_repeated_verdict_takes_no_time_over_and_no_word_of_it(store):
    gate = {"name": "accuracy", "passed": True, "warning": "accuracy fell"}
    step = {
        "name": "train_keras",
        "seconds": 95.0,
        "peak_memory": 10**9,
        "cached": False,
        "why": "",
    }
    slow = "train_keras took 95 s, usually 40 s"
    previous = _verdict(steps=[step], gates=[gate], warnings=["accuracy fell", slow])
    verdict = Verdict(run_id="2", preset="digits", name="digits")
    unchanged.repeat(previous, verdict, store.current("digits"))
    assert verdict.repeated and not previous.repeated
    assert verdict.steps[0]["peak_memory"] == 0 and verdict.warnings == ["accuracy fell"]
