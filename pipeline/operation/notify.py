"""Tells whoever asked for it how a run ended. It never changes how it ended."""

import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from components.base.process import ROOT
from pipeline.configuration.notify import NotifyConfig

_LAST = 200
"""Characters of what a failing command printed last."""


def notify(config: NotifyConfig, directory: Path) -> Iterator[str]:
    """Hands the run's `verdict.json` in `directory` to the command and the webhook.

    Yields a sentence for each that failed or took longer than `config.seconds`.
    """
    if config.command is not None and (failure := _run(config.command, directory, config.seconds)):
        yield f"notify.command failed: {failure}"
    if config.webhook is not None:
        url = config.webhook.get_secret_value()
        if failure := _post(url, directory, config.seconds):
            yield f"notify.webhook failed: {failure.replace(url, 'it')}"


def _run(command: str, directory: Path, seconds: float) -> str:
    """What went wrong, or an empty text. The command sees DARKROOM_RUN, the run's directory."""
    told = {"DARKROOM_RUN": str(directory)}
    code, output = bounded(["/bin/sh", "-c", command], directory, seconds, told)
    if code is None:
        return f"it took longer than {seconds:g} s (notify.seconds) and was ended"
    if code == 0:
        return ""
    said = " ".join(output.split())[-_LAST:]
    return f"exit status {code}{': ' if said else ''}{said}"


def bounded(
    words: list[str], directory: Path, seconds: float, environment: dict[str, str]
) -> tuple[int | None, str]:
    """Runs the command with the run's `verdict.json` on its standard input; its exit code and all
    that it printed, or None once it was ended for taking longer than `seconds`."""
    with open(directory / "verdict.json", "rb") as verdict:
        process = subprocess.Popen(
            words,
            stdin=verdict,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=os.environ | environment,
            start_new_session=True,  # so that whatever it started ends with it
        )
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None, ""
    return process.returncode, output.decode(errors="replace")


def _post(url: str, directory: Path, seconds: float) -> str:
    """What went wrong, or an empty text."""
    request = urllib.request.Request(
        url,
        data=(directory / "verdict.json").read_bytes(),
        headers={"Content-Type": "application/json", "User-Agent": "darkroom"},
    )
    try:
        with urllib.request.urlopen(request, timeout=seconds):
            return ""
    except urllib.error.HTTPError as error:
        error.close()
        return f"it answered {error.code} {error.reason}"
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))
