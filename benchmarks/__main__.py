"""Measurements: `python -m benchmarks demo` (the whole line on the digits: seconds and memory).

Each prints what it measured beside what it is held to; none is a test, because they depend on the
machine and on what else runs on it.
"""

import argparse
import sys

from benchmarks import demo

BENCHMARKS = {"demo": demo.main}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="?", choices=BENCHMARKS, help="default: all of them")
    name = parser.parse_args().name
    return max(BENCHMARKS[one]() for one in ([name] if name else BENCHMARKS))


if __name__ == "__main__":
    sys.exit(main())
