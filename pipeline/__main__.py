"""`python -m pipeline`: the command line, see pipeline/commands/app.py."""

import sys

from pipeline.commands.app import main

if __name__ == "__main__":
    try:
        main()
    except SystemExit as end:
        if "tensorflow" in sys.modules:
            from components.base.child import leave

            leave(end.code)
        raise
