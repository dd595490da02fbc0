"""Names and `key=value` on every command's line."""

import sys
from pathlib import Path

import pytest

from components.base.refusal import ConfigError
from pipeline.commands.app import main
from pipeline.commands.words import apart, named, one, refuse_option, root_of, taken, whole_number


def test_keys_are_taken_wherever_they_stand_and_the_last_one_wins():
    assert taken(["a", "root=x", "b=1", "root=y z"], "root") == (["a", "b=1"], {"root": "y z"})
    assert apart(["latest", "gates.x=1", "@file", "/a=b/run"]) == (
        ["latest", "/a=b/run"],
        ["gates.x=1", "@file"],
    )


def test_an_unknown_key_is_refused_with_the_closest():
    assert named(["/data/a=b", "count=2"], "root", "count") == (["/data/a=b"], {"count": "2"})
    with pytest.raises(ConfigError, match="Unknown key 'cout' .* did you mean count="):
        named(["cout=2"], "root", "count")


def test_values_are_checked():
    assert root_of({}) == Path("out") and root_of({"root": "~/x"}) == Path.home() / "x"
    assert whole_number({"count": "3"}, "count", 20) == 3 and whole_number({}, "count", 20) == 20
    for value in ("0", "-1", "many", "", "1.5", "\u00b2"):
        with pytest.raises(ConfigError, match="expected a whole number, 1 or more"):
            whole_number({"count": value}, "count", 20)
    with pytest.raises(ConfigError, match="Bad value for root"):
        root_of({"root": ""})
    for names in ([], ["a", "b"]):
        with pytest.raises(ConfigError, match="Expected one name of a run"):
            one(names, "a run")


def test_the_form_of_before_is_answered_with_the_one_of_now():
    for words in (["--root", "/x"], ["--root=/x"], ["digits", "a=1", "--root", "/x"]):
        with pytest.raises(ConfigError, match="--root is written as a word: root=/x"):
            refuse_option(words, "root")
    refuse_option(["--json", "root=--root"], "root")


@pytest.fixture
def refused(monkeypatch, capsys):
    """What a command that must end with exit code 2 says on standard error."""

    def says(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["pipeline", *words])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 2
        return capsys.readouterr().err

    return says


@pytest.mark.parametrize(
    "command",
    [
        ["run", "digits"], ["tune", "digits"], ["show", "digits"], ["compare", "a", "b"], ["runs"],
        ["status"], ["explain", "latest"], ["gate", "latest"], ["lineage", "digits"],
        ["schedules"], ["unschedule", "digits"],
    ],
)  # fmt: skip
def test_every_command_says_so(command, refused):
    assert refused(*command, "--root", "/x") == (
        "darkroom: --root is written as a word: root=/x.\n"
    )


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["rum"], "Did you mean 'run'"),
        (["run", "/data/photos"], "did you mean 'folder:/data/photos'"),
        (["show", "photos/"], "did you mean 'folder:photos/'"),
        (["show", "tests"], "did you mean 'folder:tests'"),
        (["show", "a/photos.tar.gz"], "did you mean 'tar:a/photos.tar.gz'"),
        (["show", "photos.ZIP"], "did you mean 'zip:photos.ZIP'"),
        (["show", "fodler:photos"], "did you mean 'folder:photos'"),
        (["show", "cifar"], "did you mean 'cifar10'"),
        (["status", "count=1"], "Unknown key 'count'"),
        (["runs", "latest"], "'latest' is not expected here"),
        (["explain", "a", "b"], "Expected one name of a run"),
    ],
)
def test_what_was_meant_is_said(command, words, refused):
    assert words in refused(*command)
