"""`python -m tests.helpers.short_of_memory MODULE ARGS.json`: the command in a process that can
take eight GiB more than it has, as on a machine with little memory."""

import importlib
import resource
import sys
from pathlib import Path

from components.base.commands import command
from components.training.arguments import TrainArgs

if __name__ == "__main__":
    name, path = sys.argv[1:]
    module = importlib.import_module(name)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + 8 * 2**30
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    sys.exit(command(name, TrainArgs, module.main, [path]))
