"""The slice of configuration that is handed to Beam.

Beam drops options that it does not know with a line in a log, and its local runner those that are
another's; so the options that do something here are listed, and all others refused.
"""

import argparse
import difflib
from typing import Any, NoReturn

from pydantic import Field, field_validator

from components.base.config import Slice

RUNNER = "FnApiRunner"
"""Beam's in-process runner, which is part of its package; its default one, DirectRunner, would
first download a server, and workers on other machines would not find the steps' files."""

RUNNING_MODES = ("in_memory", "multi_threading", "multi_processing")


class BeamConfig(Slice):
    args: tuple[str, ...] = Field(
        (), description="options of Beam's local runner, e.g. --direct_num_workers=2"
    )

    @field_validator("args", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(value.split()) if isinstance(value, str) else value

    @field_validator("args")
    @classmethod
    def _known(cls, args: tuple[str, ...]) -> tuple[str, ...]:
        parser = local_options()
        options, unknown = parser.parse_known_args(args)
        if unknown:
            raise ValueError(_unknown(unknown[0].partition("=")[0], parser))
        if options.runner.lower() != RUNNER.lower():
            raise ValueError(
                f"--runner={options.runner} is not supported: expected {RUNNER}, as the steps "
                "share the files of this machine"
            )
        if options.direct_num_workers != 1 and options.direct_running_mode == "in_memory":
            raise ValueError(
                f"--direct_num_workers={options.direct_num_workers} does nothing in memory: add "
                "--direct_running_mode=multi_processing or multi_threading"
            )
        return args


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Says what is wrong with a value instead of ending the process."""
        raise ValueError(message.removeprefix("argument "))


def local_options() -> argparse.ArgumentParser:
    """A parser of the options that Beam's local runner heeds, with Beam's own types and choices; it
    raises ValueError for a value that does not fit."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--runner", default=RUNNER)
    parser.add_argument("--direct_num_workers", type=_count, default=1)
    parser.add_argument("--direct_running_mode", choices=RUNNING_MODES, default=RUNNING_MODES[0])
    parser.add_argument("--experiment", "--experiments", action="append")
    parser.add_argument("--profile_cpu", action="store_true")
    parser.add_argument("--profile_location")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number, 0 for all cores, not {text!r}")
    return int(text)


def _unknown(option: str, parser: argparse.ArgumentParser) -> str:
    known = sorted(name for action in parser._actions for name in action.option_strings)
    close = difflib.get_close_matches(option, known, n=1, cutoff=0.75)
    if close:
        return f"{option} is no option of {RUNNER}: did you mean {close[0]}?"
    return f"{option} is no option of {RUNNER}: expected some of {', '.join(known)}"
