"""The line that cron runs, and the crontab that it stands in."""

import dataclasses
import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.base.refusal import ConfigError
from pipeline.operation.triggers import crontab
from tests.helpers.schedules import a_crontab, recorder, scheduled

OTHERS = "MAILTO=me\n# mine\n*/5 * * * * echo 100\\%\n"


def as_cron_runs_it(block: str) -> subprocess.CompletedProcess:
    r"""Its command with cron's own treatment of `%`: `\%` is one, a bare one would end it."""
    _, line, _ = block.splitlines()
    text = line.split(None, 5)[5]
    made, escaped = "", False
    for letter in text:
        if escaped and letter == "%":
            made = made[:-1]
        assert escaped or letter != "%", "cron would end the command here"
        escaped = not escaped and letter == "\\"
        made += letter
    return subprocess.run(["/bin/sh", "-c", made], capture_output=True, text=True, env={})


WORDS = st.text(
    st.sampled_from("a%\\'\" $`é#&|;*?~{}()<>!=\u2028") | st.characters(exclude_categories=["C"]),
    max_size=8,
)


@settings(max_examples=12, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=3), WORDS)
def test_words_and_environment_arrive_as_they_are(tmp_path_factory, words, value):
    directory = recorder(tmp_path_factory.mktemp("it's 100% $HOME \\%"))
    run = scheduled(directory, words=[f"name={word}" for word in words], LANG=f"x{value}")
    done = as_cron_runs_it(crontab.block(run))
    assert (done.stdout, done.stderr) == ("", "")
    told = json.loads((directory / "told.json").read_text())
    assert told["arguments"] == ["run", "digits", *run.words, f"root={run.root}"]
    assert told["directory"] == str(directory)
    assert told["environment"].items() >= run.environment.items()


@pytest.mark.parametrize("code", [0, 75])
def test_nothing_is_mailed_of_what_is_no_failure(tmp_path, code):
    run = scheduled(recorder(tmp_path / "at", code))
    done = as_cron_runs_it(crontab.block(run))
    assert (done.stdout, done.stderr) == ("", "") and not run.last_failure.exists()


@pytest.mark.parametrize("code", [1, 2, 3, 4, 143])
def test_what_a_failure_said_is_mailed_and_kept(tmp_path, code):
    run = scheduled(recorder(tmp_path / "at", code))
    done = as_cron_runs_it(crontab.block(run))
    assert sorted(done.stdout.splitlines()) == [
        "and on standard error", "what it says on standard output",
    ]  # fmt: skip
    assert run.last_failure.read_text() == done.stdout and done.stderr == ""


def test_a_directory_that_is_gone_is_mailed(tmp_path):
    run = scheduled(tmp_path / "gone")
    assert "gone" in as_cron_runs_it(crontab.block(run)).stderr


def test_a_line_that_cron_would_cut_off_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cron takes 998: put the key=value words into a file"):
        crontab.block(scheduled(tmp_path, words=["augment.keras=" + "x" * 900]))


def test_only_the_own_lines_are_added_replaced_and_removed(tmp_path):
    first, second = scheduled(tmp_path), scheduled(tmp_path, "5 4 * * 1", name="digits2")
    both = crontab.with_block(
        crontab.with_block(OTHERS, "digits", crontab.block(first)),
        "digits2", crontab.block(second),
    )  # fmt: skip
    assert both == OTHERS + crontab.block(first) + crontab.block(second)
    assert [(one.name, one.cron, one.root) for one in crontab.installed(both)] == [
        ("digits", "0 3 * * *", str(tmp_path / "out")),
        ("digits2", "5 4 * * 1", str(tmp_path / "out")),
    ]
    later = dataclasses.replace(first, cron=second.cron)
    replaced = crontab.with_block(both, "digits", crontab.block(later))
    assert replaced == OTHERS + crontab.block(later) + crontab.block(second)
    assert crontab.without(replaced, "digits") == OTHERS + crontab.block(second)
    assert crontab.without(replaced, "digit") == replaced
    assert crontab.with_block("* * * * * x", "digits", "b\n") == "* * * * * x\nb\n"


def test_a_line_that_was_edited_says_its_own_time(tmp_path):
    text = crontab.block(scheduled(tmp_path))
    (one,) = crontab.installed(text.replace("\n0 3 * * *", "\n30  4\t* * *"))
    assert (one.cron, one.problem) == ("30 4 * * *", "")
    comment, _, end = text.splitlines()
    (one,) = crontab.installed(f"{comment}\n{end}\n")
    assert one.problem == "its line is no longer what was installed"


def test_a_block_without_its_end_is_left_to_its_owner(tmp_path):
    comment, line, _ = crontab.block(scheduled(tmp_path)).splitlines()
    for change in (crontab.without, lambda text, name: crontab.with_block(text, name, "")):
        with pytest.raises(ConfigError, match="have lost their end .*crontab -e"):
            change(f"{comment}\n{line}\n{OTHERS}", "digits")
    assert crontab.installed("# darkroom schedule {broken\n# darkroom schedule []\n") == []


@pytest.fixture(params=["stored", "real"])
def own_crontab(request, tmp_path, monkeypatch):
    yield from a_crontab(request.param, tmp_path, monkeypatch)


def test_the_crontab_is_written_and_read_back(own_crontab, tmp_path):
    assert crontab.read() == ""
    text = OTHERS + "# \udcff is no text\n" + crontab.block(scheduled(tmp_path, words=["a=100%"]))
    crontab.write(text)
    assert crontab.read() == text
    for _ in range(2):
        crontab.write("")
        assert crontab.read() == ""


def test_without_cron_it_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="There is no crontab here: install cron"):
        crontab.read()
    (Path(tmp_path) / "crontab").write_text("#!/bin/sh\necho you are not allowed >&2\nexit 1\n")
    (Path(tmp_path) / "crontab").chmod(0o755)
    with pytest.raises(ConfigError, match="cannot be read: you are not allowed"):
        crontab.read()
    with pytest.raises(ConfigError, match="did not take the schedule: you are not allowed"):
        crontab.write("x")
