"""A scheduled run in the user's crontab: one line between two comments, and nothing else of it
touched."""

import re
import shlex
import subprocess
from pathlib import Path

from components.base.refusal import ConfigError, Locked
from pipeline.operation.triggers.scheduled_run import Installed, ScheduledRun

_LONGEST = 998
"""Bytes of a command that Debian's cron takes."""
_NONE = "no crontab"
"""What `crontab` says where the user has none."""
_BEGIN, _END = "# darkroom schedule ", "# darkroom end "


def block(run: ScheduledRun) -> str:
    """Comment, line, comment. Raises ConfigError where cron would refuse the line as too long."""
    line = _escaped(command(run))
    if len(line.encode()) > _LONGEST:
        raise ConfigError(
            f"The command of {run.name} is {len(line.encode())} bytes long and cron takes "
            f"{_LONGEST}: put the key=value words into a file and pass @FILE, or shorten PATH."
        )
    return f"{_BEGIN}{run.note}\n{run.cron.text} {line}\n{_END}{run.name}\n"


def command(run: ScheduledRun) -> str:
    """For /bin/sh. What the run prints is shown to cron, which mails it, only after a failure, and
    kept beside the runs, because many machines have no mail; all of it is in the run's log too,
    where it came as far as having one. Another run in the output root is no failure."""
    variables = [f"{name}={value}" for name, value in run.environment.items()]
    line = shlex.join(["env", *variables, *run.command])
    show = f"printf '%s\\n' \"$out\" | tee {shlex.quote(str(run.last_failure))}"
    return (
        f"cd {shlex.quote(str(run.directory))} && out=$({line} 2>&1) || "
        f"{{ [ $? -eq {Locked.exit_code} ] || {show}; }}"
    )


def _escaped(text: str) -> str:
    r"""cron ends a command at `%` and takes `\%` for it; there is no way to write a backslash in
    front of a `%` but to close and open the quotes around it."""
    return text.replace("\\%", "\\''%").replace("%", "\\%")


def with_block(crontab: str, name: str, added: str) -> str:
    """With the block of that name replaced, or added below."""
    before, after = _around(crontab, name)
    if before == crontab and crontab and not crontab.endswith("\n"):
        before += "\n"
    return before + added + after


def without(crontab: str, name: str) -> str:
    """All but the block of that name."""
    return "".join(_around(crontab, name))


def installed(crontab: str) -> list[Installed]:
    """The schedules that are in there, with the times that their lines have now."""
    found = []
    lines = crontab.split("\n")
    for comment, line in zip(lines, [*lines[1:], ""]):
        if comment.startswith(_BEGIN):
            told = Installed.of(comment.removeprefix(_BEGIN), "cron")
            if told is not None:
                own = re.match(r"(\S+\s+){5}", line)
                problem = "" if own else "its line is no longer what was installed"
                cron = " ".join(own[0].split()) if own else told.cron
                found.append(Installed(told.name, told.preset, cron, told.root, "cron", problem))
    return found


def _around(crontab: str, name: str) -> tuple[str, str]:
    """What is before and after the block; all and nothing where there is none. Raises ConfigError
    where its end is missing."""
    lines = crontab.splitlines(keepends=True)
    for start, line in enumerate(lines):
        told = Installed.of(line.removeprefix(_BEGIN), "cron") if line.startswith(_BEGIN) else None
        if told is None or told.name != name:
            continue
        for end in range(start, len(lines)):
            if lines[end].rstrip("\n") == f"{_END}{name}":
                return "".join(lines[:start]), "".join(lines[end + 1 :])
        raise ConfigError(
            f"The crontab's lines of {name} have lost their end ({_END}{name!r}): remove them with "
            "`crontab -e`."
        )
    return crontab, ""


def read() -> str:
    """The user's crontab, empty where there is none. Raises ConfigError where cron is missing."""
    done = _crontab("-l")
    if done.returncode == 0:
        # Bytes that are no text stay what they are.
        return done.stdout.decode(errors="surrogateescape")
    said = done.stderr.decode(errors="replace").strip()
    if _NONE in said:
        return ""
    raise ConfigError(f"The crontab cannot be read: {said}.")


def write(crontab: str) -> None:
    """Replaces the user's crontab, and removes one that would be empty. Raises ConfigError."""
    text = crontab.encode(errors="surrogateescape")
    done = _crontab("-", text=text) if text.strip() else _crontab("-r")
    said = " ".join(done.stderr.decode(errors="replace").split())
    if done.returncode != 0 and (text.strip() or _NONE not in said):
        raise ConfigError(f"crontab did not take the schedule: {said}.")


def _crontab(argument: str, text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["crontab", argument], input=text, capture_output=True, timeout=30)
    except FileNotFoundError as error:
        raise ConfigError(
            "There is no crontab here: install cron (on Debian and Ubuntu the package cron), or "
            "use install=systemd."
        ) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"crontab cannot be run: {error}.") from error


def daemon_runs() -> bool:
    """Whether a process called cron or crond is there."""
    for file in Path("/proc").glob("[0-9]*/comm"):
        try:
            if file.read_text().strip() in ("cron", "crond"):
                return True
        except OSError:
            continue
    return False
