"""A run that was killed is given its verdict by the next one."""

import json

from pipeline.line.steps import Step
from pipeline.outcome.unfinished import FILE, Progress, close_killed, forget, where
from pipeline.outcome.verdict import Verdict, last_verdict, point_latest

EARLIER, KILLED, LATER = (f"2026010{n}-000000-000001" for n in (1, 2, 3))


def _begun(runs, run_id=KILLED):
    directory = runs / run_id
    directory.mkdir(parents=True)
    return directory, Progress(directory, Verdict(run_id, "folder:photos", "photos"))


def test_a_killed_run_gets_a_verdict_that_names_the_step_and_latest_points_to_it(tmp_path):
    (tmp_path / EARLIER).mkdir()
    Verdict(EARLIER, "digits", "digits").write(tmp_path / EARLIER)
    point_latest(tmp_path, EARLIER)
    directory, progress = _begun(tmp_path)
    progress.started("ingest")
    progress.finished(Step("ingest", 2.5, False, "first run", {"examples": "somewhere"}))
    progress.started("train_keras")
    (directory / ".0a1b2c3d.verdict.json").write_text("{")
    assert where(directory) == "during train_keras"
    (verdict,) = close_killed(tmp_path)
    assert verdict.sentence.startswith("Killed during train_keras, or the machine stopped")
    assert verdict == last_verdict(tmp_path, "photos")
    assert (verdict.status, verdict.exit_code) == ("failed", 137) and verdict.seconds > 0
    assert [(s["name"], s["why"]) for s in verdict.steps] == [
        ("ingest", "first run"), ("train_keras", "killed"),
    ]  # fmt: skip
    assert (tmp_path / "latest").readlink().name == KILLED
    assert [path.name for path in directory.iterdir()] == ["verdict.json"]
    assert close_killed(tmp_path) == []


def test_latest_is_not_moved_back_and_a_run_that_noted_nothing_is_closed_too(tmp_path):
    (tmp_path / KILLED).mkdir()
    (tmp_path / LATER).mkdir()
    Verdict(LATER, "digits", "digits").write(tmp_path / LATER)
    point_latest(tmp_path, LATER)
    (verdict,) = close_killed(tmp_path)
    assert "Killed before its first step" in verdict.sentence
    assert (tmp_path / "latest").readlink().name == LATER


def test_steps_that_run_at_once_are_both_named_and_a_verdict_makes_the_notes_superfluous(tmp_path):
    directory, progress = _begun(tmp_path)
    for step in ("train_keras", "train_torch"):
        progress.started(step)
    assert where(directory) == "during train_keras and train_torch"
    assert json.loads((directory / FILE).read_text())["name"] == "photos"
    forget(directory)
    forget(directory)
    assert not list(directory.iterdir())
