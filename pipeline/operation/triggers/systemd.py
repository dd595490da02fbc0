"""A scheduled run as a service and a timer of the user's systemd."""

import getpass
import os
import re
import subprocess
from pathlib import Path

from components.base import atomic
from components.base.refusal import ConfigError, Locked
from pipeline.operation.triggers.scheduled_run import Installed, ScheduledRun

_NOTE = "# darkroom schedule "
_PREFIX = "darkroom-"
_PLAIN = re.compile(r"[A-Za-z0-9_./:=,@+-]+")
LINGER = Path("/var/lib/systemd/linger")


def units(run: ScheduledRun) -> dict[str, str]:
    """Text by file name."""
    return {f"{_PREFIX}{run.name}.service": service(run), f"{_PREFIX}{run.name}.timer": timer(run)}


def service(run: ScheduledRun) -> str:
    """What is run. Its output goes to the journal."""
    command = " ".join(_word(word, dollar=True) for word in run.command)
    variables = " ".join(_word(f"{name}={value}") for name, value in run.environment.items())
    return f"""\
{_NOTE}{run.note}
[Unit]
Description=Darkroom: {_percent(run.name)}

[Service]
Type=oneshot
WorkingDirectory={_percent(str(run.directory))}
Environment={variables}
ExecStart={command}
# Another run was using the output root: nothing to repair, and the next one comes. Refusals (3, 4)
# are failures, so that somebody looks.
SuccessExitStatus={Locked.exit_code}
# The run ends its own steps on SIGTERM, with a verdict.
KillMode=mixed
TimeoutStopSec=60
"""


def timer(run: ScheduledRun) -> str:
    """When it is run, in the machine's time zone."""
    moments = "\n".join(f"OnCalendar={line}" for line in run.cron.on_calendar())
    return f"""\
{_NOTE}{run.note}
[Unit]
Description=Darkroom: {_percent(run.name)} at {_percent(run.cron.text)}

[Timer]
{moments}
# One that was missed while the machine was off is made up for, once.
Persistent=true

[Install]
WantedBy=timers.target
"""


def _percent(text: str) -> str:
    return text.replace("%", "%%")


def _word(text: str, dollar: bool = False) -> str:
    """As systemd.syntax(7) quotes it; in command lines `$` is doubled, too."""
    if _PLAIN.fullmatch(text):
        return text
    quoted = _percent(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted.replace("$", "$$") if dollar else quoted}"'


def folder() -> Path:
    """Of the user's own units."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"


def install(run: ScheduledRun) -> str:
    """Writes the units and starts the timer; what there is to say besides, or an empty text.

    Raises ConfigError when the folder cannot be written to, or systemd does not take them.
    """
    name = f"{_PREFIX}{run.name}.timer"
    try:
        for file, text in units(run).items():
            atomic.write(folder() / file, text)
            (folder() / file).chmod(0o600)  # command lines may say more than others need to know
    except OSError as error:
        raise ConfigError(
            f"The units cannot be written to {str(folder())!r}: {error.strerror or error}."
        ) from error
    commands = (["daemon-reload"], ["enable", name], ["restart", name])
    for command in commands:
        if problem := _systemctl(*command):
            raise ConfigError(
                f"The units lie in {str(folder())!r}, but systemd of this user does not start "
                f"them ({problem}): once it runs, `systemctl --user daemon-reload && systemctl "
                f"--user enable --now {name}` does."
            )
    user = getpass.getuser()
    if not (LINGER / user).exists():
        return f"They run only while {user} is logged in, until `loginctl enable-linger {user}`."
    return ""


def uninstall(name: str) -> None:
    """Stops the timer, not a run that goes on, and removes both units."""
    timer_name = f"{_PREFIX}{name}.timer"
    _systemctl("disable", "--now", timer_name)
    wanted = folder() / "timers.target.wants" / timer_name
    for path in (wanted, folder() / timer_name, folder() / f"{_PREFIX}{name}.service"):
        path.unlink(missing_ok=True)
    _systemctl("daemon-reload")


def installed() -> list[Installed]:
    """The schedules whose units lie there."""
    found = []
    for path in sorted(folder().glob(f"{_PREFIX}*.timer")):
        try:
            first = path.read_text(encoding="utf-8").partition("\n")[0]
        except (OSError, UnicodeDecodeError):
            continue
        enabled = (folder() / "timers.target.wants" / path.name).is_symlink()
        told = Installed.of(
            first.removeprefix(_NOTE), "systemd", problem="" if enabled else "it is not enabled"
        )
        if told is not None:
            found.append(told)
    return found


def _systemctl(*arguments: str) -> str:
    """What went wrong, or an empty text."""
    try:
        done = subprocess.run(
            ["systemctl", "--user", *arguments], capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    return " ".join(done.stderr.split()) or f"exit status {done.returncode}"
