"""Signals as exceptions and exit codes, in processes of their own."""

import signal
import subprocess
import sys

import pytest

from components.base.fingerprint import ROOT
from pipeline.line import interruption

CODE = """
import os, signal, sys, time
from pipeline.line import interruption
interruption.DEADLINE = 0.3
try:
    with interruption.interruptible() as signals:
        {before}
        print("set", flush=True)
        {body}
except interruption.Interrupted as error:
    print(f"ended by {{error}}", flush=True)
    sys.exit(error.exit_code)
"""


def _by_default() -> None:
    """What the tests' own process may have been started without, in the background or by nohup."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _ends(body: str, *numbers: int, first: str = "pass", before=_by_default) -> tuple[int, str]:
    process = subprocess.Popen(
        [sys.executable, "-c", CODE.format(body=body, before=first)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, preexec_fn=before,
    )  # fmt: skip
    with process:
        while process.stdout.readline() != "set\n":
            pass
        for number in numbers:
            process.send_signal(number)
        return process.wait(60), process.stdout.read()


@pytest.mark.parametrize(
    "number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_each_signal_has_the_exit_code_that_shells_give_it(number, code):
    assert _ends("time.sleep(60)", number) == (code, f"ended by {number.name}\n")


def test_who_hangs_after_a_signal_is_ended_and_a_second_one_only_hurries():
    hang = "[time.sleep(0.01) for _ in iter(int, 1)]"
    ended = _ends(hang, signal.SIGINT, signal.SIGTERM, first="signals.defer()")
    assert ended == (130, "")


def test_an_exception_that_a_library_swallows_is_found_again():
    body = "\n".join((
        "try: time.sleep(60)",
        "        except: pass",
        "        interruption.check()",
    ))  # fmt: skip
    assert _ends(body, signal.SIGTERM) == (143, "ended by SIGTERM\n")


def test_a_signal_that_was_ignored_stays_so():
    def ignore():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    assert _ends("time.sleep(0.5); print('done')", signal.SIGHUP, before=ignore) == (0, "done\n")


def test_the_handlers_are_as_before_afterwards():
    before = signal.getsignal(signal.SIGTERM)
    with interruption.interruptible():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
    interruption.check()
