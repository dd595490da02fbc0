"""Measurements: `python -m benchmarks NAME`, without a name the demo.

Each prints what it measured beside what it is held to; none is a test, because they depend on the
machine and on what else runs on it.
"""

import argparse
import re
import signal
import sys

from benchmarks import (
    accuracy,
    data,
    demo,
    line,
    memory,
    photos,
    serve,
    time_to_accuracy,
    train,
)
from components.base.process import StepFailed
from components.base.refusal import ConfigError, DataRefused
from pipeline.configuration.overrides import parse_overrides

_OVERRIDE = re.compile(r"[a-z][a-z_.]*=")
_CONFIGURED = (line, photos, train, accuracy, time_to_accuracy)


def main() -> int:
    """0, or 1 when something failed or missed what it is held to, 2 for a wrong command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="name")
    for name, module, what in (
        ("demo", demo, "the whole line on the digits: seconds and memory"),
        ("data", data, "CIFAR-10's files to arrays, beside plain TFX: minutes"),
        ("line", line, "images to a release, beside a plain TFX line: minutes"),
        ("photos", photos, "photographs to a release, beside a tutorial's loop: minutes"),
        ("memory", memory, "100,000 and 300,000 images: peak memory and rates: minutes"),
        ("train", train, "images/s of both trainers beside tutorial loops: minutes"),
        ("time_to_accuracy", time_to_accuracy, "until as good as the tutorials' recipes: minutes"),
        ("serve", serve, "requests/s and latency of the server, beside MLServer: minutes"),
        ("accuracy", accuracy, "a preset's test accuracy over seeds, and the table: hours"),
    ):
        command = commands.add_parser(
            name,
            help=what,
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(module=module)
        module.add_arguments(command)
    # Taken out first: argparse would hand them to whichever option came last.
    overrides = [argument for argument in sys.argv[1:] if _OVERRIDE.match(argument)]
    others = [argument for argument in sys.argv[1:] if not _OVERRIDE.match(argument)]
    arguments = vars(parser.parse_args(others or ["demo"]))
    module = arguments.pop("module")
    if overrides and module not in _CONFIGURED:
        parser.error(f"{arguments['name']} takes no key=value (got {overrides[0]!r}).")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # tidies up on the way
    try:
        if module not in _CONFIGURED:
            return module.main(argparse.Namespace(**arguments))
        return module.main(argparse.Namespace(**arguments), parse_overrides(overrides))
    except (ConfigError, DataRefused) as error:
        parser.error(str(error))
    except StepFailed as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
