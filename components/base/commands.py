"""A process of the line: `python -m MODULE ARGS.json`, its arguments and exit codes."""

import contextlib
import resource
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from components.base import disk
from components.base.console import console
from components.base.process import leave_error


class UsageError(ValueError):
    """The command line or its JSON file is wrong; exit code 2."""


class Arguments(BaseModel):
    """The fields of a command's ARGS.json, one subclass per command."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def command(module: str, arguments: type[Arguments], function: Callable, argv: list[str]) -> int:
    """Runs `function(arguments from the JSON file in argv)` and returns the process's exit code.

    0 on success, 2 for a wrong command line, `disk.EXIT_FULL`, 1 for everything else. A person gets
    one sentence on the console; the stack of an unexpected error goes to standard error, which a
    run logs.
    """
    # Each shard of the arrays holds a file descriptor: thousands of them are no mistake here.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        if len(argv) != 1:
            raise UsageError(f"usage: python -m {module} ARGS.json ({len(argv)} arguments given).")
        function(_read(arguments, Path(argv[0])))
    except UsageError as error:
        _complain(module, str(error), argv)
        return 2
    except Exception as error:  # noqa: BLE001 - the last resort of a process
        if disk.is_full(error):
            _log_stack()
            _complain(module, str(error), argv)
            return disk.EXIT_FULL
        if isinstance(error, ValueError):
            _complain(module, str(error), argv)
            return 1
        _log_stack()
        _complain(module, f"{type(error).__name__}: {error}", argv)
        return 1
    return 0


def _log_stack() -> None:
    with contextlib.suppress(OSError):  # the log's disk may be full
        traceback.print_exc()


def _read(kind: type[Arguments], path: Path) -> Arguments:
    try:
        return kind.model_validate_json(path.read_text())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the file"
        raise UsageError(f"{path}: {key}: {first['msg']} (got {first['input']!r}).") from error


def _complain(module: str, message: str, argv: list[str]) -> None:
    name, sentence = module.rpartition(".")[2], " ".join(message.split())
    if len(argv) == 1 and Path(argv[0]).is_file():
        leave_error(argv[0], name, sentence)
    else:
        console().print(f"{name}: {sentence}", markup=False, highlight=False)


def run(name: str, arguments: type[Arguments], function: Callable) -> None:
    """Ends the process with `command`'s exit code."""
    sys.exit(command(name, arguments, function, sys.argv[1:]))
