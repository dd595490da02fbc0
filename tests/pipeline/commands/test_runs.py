"""What was run, what is going on and what is released, as a person is told."""

import io
import json

import pytest
from rich.console import Console

from components.base.refusal import ConfigError, Locked
from pipeline.commands.runs import runs, status
from pipeline.line.output_root import holder, locked
from pipeline.outcome.words import duration
from serving.store.store import Store
from tests.helpers.command_line import darkroom
from tests.helpers.finished_runs import finished
from tests.helpers.serving_fixtures import bundle, seal


def told(command, *arguments) -> str:
    out = io.StringIO()
    command(*arguments, Console(file=out, width=160))
    return out.getvalue()


def test_runs_are_listed_newest_first_with_what_came_of_them(tmp_path):
    first = finished(tmp_path, {"keras": 0.98, "torch": 0.99}, run_id="20260101-000000-000001")
    verdict = json.loads((first / "verdict.json").read_text())
    verdict |= {"version": 3, "champion": "torch", "data": {"good": 1797}}
    (first / "verdict.json").write_text(json.dumps(verdict))
    finished(tmp_path, {"torch": 0.5}, run_id="20260102-000000-000001")
    (tmp_path / "runs/20260103-000000-000001").mkdir()
    text = told(runs, tmp_path, 20)
    head, *lines = [line for line in text.splitlines() if line.startswith(("RUN", "2026"))]
    assert head.split() == [
        "RUN", "OF", "IMAGES", "VERDICT", "RELEASE", "ACCURACY", "TIME", "SENTENCE",
    ]  # fmt: skip
    assert [line.split()[0] for line in lines] == [f"2026010{n}-000000-000001" for n in (3, 2, 1)]
    assert "killed" in lines[0] and "it ended without a verdict before its first step" in lines[0]
    assert "refused" in lines[1] and "1 min 23 s" in lines[1]
    assert lines[2].split()[1:6] == ["digits", "1,797", "released", "3", "(torch)"]
    assert "0.9900" in lines[2]
    assert told(runs, tmp_path, 1).count("2026010") == 1
    assert "2 older ones: count=N" in told(runs, tmp_path, 1)


def test_a_run_that_goes_on_is_said_to(tmp_path):
    (tmp_path / "runs/20260103-000000-000001").mkdir(parents=True)
    with locked(tmp_path):
        assert "running" in told(runs, tmp_path, 20)
        assert told(status, tmp_path).startswith("Running    process ")
        with pytest.raises(
            Locked, match=r"Another run is using '.*' \(process \d+ since 20.*UTC\)"
        ):
            with locked(tmp_path):
                pass
    assert holder(tmp_path) is None
    assert told(status, tmp_path).startswith("Running    nothing\n")


def test_the_status_says_what_is_released_and_since_when(tmp_path):
    finished(tmp_path, {"torch": 0.99})
    assert told(status, tmp_path).endswith("Released   nothing\n")
    store, source = Store(tmp_path / "serving"), bundle(tmp_path / "source")
    for accuracy in (0.97, 0.98):
        store.publish("digits", seal(source, metrics={"accuracy": accuracy}))
    text = told(status, tmp_path)
    assert "Last run   20260101-101010-000001  released  " in text
    assert "Released   digits version 2, accuracy 0.9800, since 20" in text
    assert text.endswith("1 more to go back to\n")
    (store.root / "models/digits/2/manifest.json").write_text("{")
    assert "digits version 2, accuracy unknown" in told(status, tmp_path)


def test_where_there_is_nothing_it_is_said(tmp_path):
    for command in ("runs", "status"):
        done = darkroom(command, f"root={tmp_path / 'none'}")
        assert done.returncode == 2 and "root=" in done.stderr
    with pytest.raises(ConfigError, match="There are no runs under"):
        runs(tmp_path, 20)


@pytest.mark.parametrize("damage", ["{", "[]", json.dumps({"status": "released"})])
def test_a_damaged_verdict_is_none(tmp_path, damage):
    directory = finished(tmp_path, {"torch": 0.99})
    (directory / "verdict.json").write_text(damage)
    assert "it ended without a verdict" in told(runs, tmp_path, 20)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (3599, "59 min 59 s"),
        (7800, "2 h 10 min"),
    ],
)
def test_a_duration_is_said_as_people_do(seconds, words):
    assert duration(seconds) == words
