"""`python -m pipeline`: the command line, see pipeline/commands/app.py."""

from pipeline.commands.app import main

if __name__ == "__main__":
    main()
