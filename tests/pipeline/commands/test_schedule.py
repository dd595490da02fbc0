"""Runs that start themselves, as a person schedules, lists and removes them."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from components.base.fingerprint import ROOT
from components.base.refusal import ConfigError, DataRefused
from pipeline.commands.schedule import schedule, schedules, unschedule
from pipeline.line.output_root import holder
from pipeline.operation.triggers import crontab
from pipeline.operation.triggers.scheduled_run import scheduled_run
from tests.helpers.command_line import darkroom
from tests.helpers.images import write_class_folders
from tests.helpers.schedules import a_crontab

OTHERS = "MAILTO=me\n# mine\n*/5 * * * * echo 100\\%\n"
NIGHTLY = "0 3 * * *"


@pytest.fixture(params=["stored", "real"])
def home(request, tmp_path, monkeypatch):
    """A home without schedules, whose crontab has lines of others."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # cron takes lines of limited length
    for _ in a_crontab(request.param, tmp_path, monkeypatch):
        crontab.write(OTHERS)
        yield tmp_path


def listed(root: str | None = None) -> str:
    out = io.StringIO()
    schedules(root, Console(file=out, width=200))
    return out.getvalue()


def test_a_schedule_is_installed_listed_and_removed_and_nothing_else(home):
    root = home / "out"
    said = schedule("digits", NIGHTLY, ["install=cron", "name=quick", f"root={root}"], None)
    assert said.startswith("Installed in the crontab.") and said.count(" 03:00") == 3
    assert crontab.read().startswith(OTHERS + '# darkroom schedule {"name": "quick"')
    schedule("digits", "5 4 * * mon", ["install=cron", f"root={root}"], None)
    text = listed()
    head, *rows = text.splitlines()
    assert head.split()[:4] == ["NAME", "BY", "CRON", "NEXT"]
    assert [row.split()[0] for row in rows if row[0] not in " N"] == ["quick", "digits"]
    assert text.count(" 03:00") == 3 == text.count("Mon 20") and str(root) in text
    # The same again takes its place.
    schedule("digits", "0 5 * * *", ["name=quick", f"root={root}", "install=cron"], None)
    assert listed().count("quick") == 1 and "0 5 * * *" in crontab.read()
    assert listed("/elsewhere") == "Nothing is scheduled.\n" and "quick" in listed(str(root))
    with pytest.raises(ConfigError, match="'quick' is scheduled: scheduled: none."):
        unschedule("quick", "/elsewhere")
    with pytest.raises(ConfigError, match="Nothing called 'quik' is scheduled: did you mean"):
        unschedule("quik")
    assert unschedule("quick") == "Removed quick from cron."
    assert "quick" not in crontab.read()
    assert unschedule("digits") == "Removed digits from cron." and crontab.read() == OTHERS
    assert listed() == "Nothing is scheduled.\n"


def test_a_preset_stands_for_its_only_schedule(home):
    photos = write_class_folders(home / "photos", per_class=6)
    for name in ("a", "b"):
        words = [f"name={name}", f"root={home / 'out'}", "install=cron"]
        schedule(f"folder:{photos}", NIGHTLY, words, None)
    with pytest.raises(ConfigError, match="is scheduled as a, b: name the one"):
        unschedule(f"folder:{photos}")
    unschedule("a")
    relative = os.path.relpath(photos)
    assert unschedule(f"folder:{relative}") == "Removed b from cron."


def test_a_name_is_scheduled_once(home):
    schedule("digits", NIGHTLY, [f"root={home / 'out'}", "install=cron"], None)
    for words in (["root=/elsewhere", "install=cron"], [f"root={home / 'out'}", "install=systemd"]):
        with pytest.raises(
            ConfigError, match="'digits' is scheduled already, by cron for '.*/out'"
        ):
            schedule("digits", NIGHTLY, words, None)
    assert not (home / "config").exists()


def test_without_install_nothing_is_installed_or_made(home):
    words = ["name=quick", f"root={home / 'out'}"]
    text = schedule("digits", NIGHTLY, words, None)
    for part in ("quick.crontab", "[Timer]", "kind: CronJob", "# Next: "):
        assert part in text
    said = schedule("digits", NIGHTLY, words, home / "files")
    assert "quick.cronjob.yaml" in said
    files = {path.name: path.read_text() for path in (home / "files").iterdir()}
    assert files.keys() == {
        "quick.crontab", "darkroom-quick.service", "darkroom-quick.timer", "quick.cronjob.yaml",
    }  # fmt: skip
    assert all(text in schedule("digits", NIGHTLY, words, None) for text in files.values())
    assert yaml.safe_load(files["quick.cronjob.yaml"])["kind"] == "CronJob"
    assert crontab.read() == OTHERS and not (home / "out").exists()


def test_the_command_is_the_one_by_hand_with_absolute_paths(tmp_path, monkeypatch):
    write_class_folders(tmp_path / "photos", per_class=6)
    (tmp_path / "own.args").write_text("root=there\ntrain.epochs=3\n")
    monkeypatch.chdir(tmp_path)
    run = scheduled_run("folder:photos", NIGHTLY, ["@own.args", "name=x"], {"LANG": "de_DE.UTF-8"})
    assert run.command == [
        sys.executable, "-m", "pipeline", "run", f"folder:{tmp_path}/photos",
        f"@{tmp_path}/own.args", "name=x", f"root={tmp_path}/there",
    ]  # fmt: skip
    assert (run.directory, run.config.train.epochs) == (tmp_path, 3)
    assert run.environment["LANG"] == "de_DE.UTF-8" and run.environment["HOME"]
    secret = {"AWS_SECRET_ACCESS_KEY": "x", "PATH": "/bin", "LANG": ""}
    carried = scheduled_run("digits", NIGHTLY, [], secret).environment
    assert carried.keys() == {"PATH", "HOME"} and "x" not in carried.values()


@pytest.mark.parametrize(
    ("preset", "words", "error", "message"),
    [
        ("digit", [], ConfigError, "did you mean 'digits'"),
        ("digits", ["train.epoch=3"], ConfigError, "did you mean 'train.epochs'"),
        ("digits", ["install=corn"], ConfigError, "did you mean 'cron'"),
        ("digits", ["data.schema=/none"], ConfigError, "Bad value for data.schema"),
        ("digits", ["model.architecture=smiles_v1"], ConfigError, "Bad value for"),
        ("folder:/none", [], ConfigError, "does not exist"),
        ("digits", ["name=a\nb"], ConfigError, "Bad value for name"),
        ("digits", ["notify.command=a\nb"], ConfigError, "holds a line break"),
        ("digits", ["notify.webhook=https://x/s3cret"], ConfigError, "of mode 600 and pass @FILE"),
    ],
)
def test_what_a_run_would_refuse_is_refused_now(home, preset, words, error, message):
    with pytest.raises(error, match=message) as refused:
        schedule(
            preset,
            NIGHTLY,
            [*words, "install=cron"] if "install" not in str(words) else words,
            None,
        )
    assert "s3cret" not in str(refused.value)
    assert crontab.read() == OTHERS


def test_images_and_an_output_root_that_do_not_fit_are_refused_now(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataRefused, match="No images in"):
        schedule(f"folder:{tmp_path}/empty", NIGHTLY, [], None)
    photos = write_class_folders(tmp_path / "photos", per_class=6)
    with pytest.raises(ConfigError, match="lies inside the image folder"):
        schedule(f"folder:{photos}", NIGHTLY, [f"root={photos}/out"], None)


def test_a_secret_is_taken_from_a_file_that_nobody_else_reads(tmp_path):
    file = tmp_path / "webhook.args"
    file.write_text("notify.webhook=https://x/s3cret\n")
    file.chmod(0o640)
    with pytest.raises(ConfigError, match="its mode 640 lets others read it: expected 600"):
        schedule("digits", NIGHTLY, [f"@{file}"], None)
    file.chmod(0o600)
    text = schedule("digits", NIGHTLY, [f"@{file}"], None)
    assert f"@{file}" in text and "s3cret" not in text


def test_the_commands(tmp_path):
    environment = {"XDG_CONFIG_HOME": str(tmp_path), "PATH": str(tmp_path)}
    done = darkroom("schedules", **environment)
    assert (done.returncode, done.stdout) == (0, "Nothing is scheduled.\n"), done.stderr
    done = darkroom("unschedule", "digits", **environment)
    assert done.returncode == 2 and "'digits' is scheduled: scheduled: none." in done.stderr
    done = darkroom("schedule", "digits", "0", "3", "*", "*", "*")
    assert done.returncode == 2 and "expected five in quotes" in done.stderr
    done = darkroom("schedule", "digits", NIGHTLY, "install=cron", **environment)
    assert done.returncode == 2 and "There is no crontab here" in done.stderr


def test_listing_loads_nothing_heavy():
    code = (
        "import runpy, sys\n"
        "sys.argv = ['pipeline', 'schedules']\n"
        "try: runpy.run_module('pipeline', run_name='__main__')\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'tensorflow', 'tfx', 'torch', 'apache_beam', 'yaml'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


QUICK = (
    *("train.epochs=2", "train.threads=1", "gates.min_accuracy=0.2"),
    'export.formats=["onnx"]',
)


@pytest.fixture
def cron():
    """A cron daemon with root's crontab, which is put back afterwards."""
    program = shutil.which("cron", path="/usr/sbin:/sbin")
    if program is None or os.geteuid() != 0:
        pytest.skip("no cron here, or no root to start it")
    if crontab.daemon_runs():
        pytest.skip("a cron is running here already, which is not this test's to use")
    before = crontab.read()
    daemon = subprocess.Popen([program, "-f"])
    try:
        yield
    finally:
        daemon.terminate()
        daemon.wait(30)
        crontab.write(before)


@pytest.mark.full
def test_a_run_that_cron_starts_leaves_its_verdict(cron, tmp_path):
    """In the environment of cron, from a directory that is its own, into the same root as by hand.

    It starts every minute: those that find it running are told so, and disturb nothing.
    """
    root = tmp_path / "out"
    words = ["run", "digits", *QUICK, f"root={root}"]
    done = darkroom("schedule", "digits", "* * * * *", *words[2:], "install=cron")
    assert done.returncode == 0, done.stderr
    first = awaited(root, seconds=900)
    assert darkroom("unschedule", "digits").stdout == "Removed digits from cron.\n"
    verdict = json.loads(first.read_text())
    assert verdict["status"] == "released", verdict["sentence"]
    # By hand it is the same run: the same configuration, code, images and root.
    while (again := darkroom(*words, timeout=120)).returncode == 75:
        time.sleep(1)
    assert again.returncode == 0, again.stdout + again.stderr
    assert f"Nothing changed since run {verdict['run_id']}" in again.stdout
    assert not (root / "scheduled-digits.txt").exists()  # nothing failed, nothing was mailed
    assert str(root) not in crontab.read()


def awaited(root: Path, seconds: float) -> Path:
    """The verdict of the first run; where it does not come to one, what runs is ended."""
    ending = time.monotonic() + seconds
    while time.monotonic() < ending:
        if found := sorted((root / "runs").glob("2*/verdict.json")):
            return found[0]
        time.sleep(1)
    if running := re.match(r"process (\d+)", holder(root) or ""):
        os.kill(int(running[1]), signal.SIGTERM)
    raise AssertionError(f"no verdict under {root} after {seconds:.0f} s")
