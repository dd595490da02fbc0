"""Units as systemd itself reads them."""

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from components.base.refusal import ConfigError
from pipeline.operation.triggers import systemd
from tests.helpers.schedules import scheduled

MANAGER = Path("/lib/systemd/systemd")
WORDS = ["notify.command=mail -s \"100% 'of' $HOME\" \\ me", "name=é", "a=", "b=%h;$$x"]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    return tmp_path


def written(run, folder: Path) -> dict[str, Path]:
    folder.mkdir(parents=True)
    for name, text in systemd.units(run).items():
        (folder / name).write_text(text)
    return {name.rpartition(".")[2]: folder / name for name in systemd.units(run)}


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
def test_systemd_finds_nothing_wrong_with_them(home):
    directory = home / "a b%h$x"
    directory.mkdir()
    run = scheduled(directory, "0 3 1 * MON", WORDS, LANG='"%h"')
    paths = written(run, home / "config/systemd/user")

    def verified() -> str:
        command = ["systemd-analyze", "--user", "verify", str(paths["timer"])]
        return subprocess.run(command, capture_output=True, text=True).stderr

    assert verified() == ""
    text = paths["service"].read_text()
    paths["service"].write_text(text.replace("KillMode=mixed", "KillMode=mixt"))
    assert "mixt" in verified()  # it does look


@pytest.mark.skipif(not MANAGER.is_file(), reason="no systemd here")
def test_systemd_reads_the_words_and_the_environment_as_they_are():
    # Where nobody can look: the manager's own test mode refuses root.
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        run = scheduled(Path(folder), words=WORDS, LANG='a "b" %h $x \\')
        written(run, Path(folder) / "config/systemd/user")
        (Path(folder) / "run").mkdir()
        (Path(folder) / "run").chmod(0o777)
        done = subprocess.run(
            [
                str(MANAGER), "--user", "--test", "--unit=darkroom-digits.service",
                "--log-target=console",
            ],
            env={
                "XDG_CONFIG_HOME": f"{folder}/config", "XDG_RUNTIME_DIR": f"{folder}/run",
                "HOME": folder, "PATH": os.environ["PATH"], "LANG": "C.UTF-8",
            },
            user="nobody" if os.geteuid() == 0 else None,
            capture_output=True, text=True,
        )  # fmt: skip
    if "darkroom-digits.service" not in done.stdout:
        pytest.skip(f"systemd's test mode does not run here: {done.stderr.strip()[-200:]}")
    unit = done.stdout.partition("-> Unit darkroom-digits.service:")[2].partition("-> Unit")[0]
    rows = [line.strip().partition(": ") for line in unit.splitlines()]
    (command,) = [value for name, _, value in rows if name == "Command Line"]
    # It is shown quoted for a shell; `$$` becomes `$` when it is started.
    words = shlex.split(command.replace("\\$", "$"))
    assert [word.replace("$$", "$") for word in words] == run.command
    found = dict(value.split("=", 1) for name, _, value in rows if name == "Environment")
    assert found == run.environment
    assert ("WorkingDirectory", ": ", folder) in rows


def test_another_runs_hold_of_the_root_is_success_and_a_refusal_is_none(tmp_path):
    lines = systemd.service(scheduled(tmp_path)).splitlines()
    assert "SuccessExitStatus=75" in lines and "Type=oneshot" in lines


def test_units_are_private_listed_and_removed_and_a_systemd_that_is_not_there_is_said(
    home, monkeypatch
):
    other = home / "config/systemd/user/darkroom-other.timer"
    other.parent.mkdir(parents=True)
    other.write_text("[Timer]\n")
    run = scheduled(home, "0 3 1 * MON")
    (home / "bin").mkdir()
    (home / "bin/systemctl").write_text("#!/bin/sh\necho no bus >&2\nexit 1\n")
    (home / "bin/systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{home / 'bin'}:{os.environ['PATH']}")
    with pytest.raises(ConfigError, match=r"does not start them \(no bus\): once it runs, `syst"):
        systemd.install(run)
    assert [path.stat().st_mode & 0o777 for path in systemd.folder().glob("*digits*")] == [
        0o600
    ] * 2
    (one,) = systemd.installed()
    assert (one.name, one.cron, one.by, one.problem) == (
        "digits", "0 3 1 * MON", "systemd", "it is not enabled",
    )  # fmt: skip
    systemd.uninstall("digits")
    assert systemd.installed() == [] and list(systemd.folder().iterdir()) == [other]


def test_an_enabled_timer_is_listed_without_a_word(home, monkeypatch):
    """With a systemctl that does of `enable` and `disable` what a running systemd does."""
    (home / "bin").mkdir()
    wants = systemd.folder() / "timers.target.wants"
    (home / "bin/systemctl").write_text(
        f"#!/bin/sh\nmkdir -p {wants}\n"
        f'[ "$2" != enable ] || ln -s ../$3 {wants}/$3\n[ "$2" != disable ] || rm {wants}/$4\n'
    )
    (home / "bin/systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{home / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(systemd, "LINGER", home / "linger")
    assert "only while" in systemd.install(scheduled(home))
    (one,) = systemd.installed()
    assert one.problem == ""
    systemd.uninstall("digits")
    assert list(wants.iterdir()) == []
