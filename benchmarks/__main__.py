"""Measurements: `python -m benchmarks NAME`, without a name the demo.

Each prints what it measured beside what it is held to; none is a test, because they depend on the
machine and on what else runs on it.
"""

import argparse
import sys

from benchmarks import data, demo, memory


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="name")
    for name, module, what in (
        ("demo", demo, "the whole line on the digits: seconds and memory"),
        ("data", data, "CIFAR-10's files to arrays, beside plain TFX: minutes"),
        ("memory", memory, "100,000 and 300,000 images: peak memory and rates: minutes"),
    ):
        command = commands.add_parser(name, help=what, description=module.__doc__)
        command.set_defaults(main=module.main)
        module.add_arguments(command)
    arguments = parser.parse_args(sys.argv[1:] or ["demo"])
    return arguments.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
