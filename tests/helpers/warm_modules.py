"""Modules run as processes that begin with a framework imported."""

import os
import subprocess
import tempfile
from pathlib import Path

from components.base.console import CONSOLE_FD
from components.base.process import ROOT
from tests.helpers import printing_elsewhere


def run_warm(imports: str, module: str, *arguments: object) -> subprocess.CompletedProcess:
    """`python -m MODULE ARGUMENTS` at the repository's root, with its output as text, forked from
    the warm process of that name; for tests with the fixture `warm_processes`."""
    environment = {k: v for k, v in os.environ.items() if k != CONSOLE_FD}
    environment |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    with tempfile.TemporaryDirectory() as folder:
        output, errors = Path(folder, "output"), Path(folder, "errors")
        request = {
            "module": printing_elsewhere.MODULE,
            "arguments": [str(output), str(errors), "", module, *map(str, arguments)],
            "environment": environment,
            "directory": str(ROOT),
            "threads": 0,
        }
        process = printing_elsewhere.plain_fork(imports, request)
        assert process is not None, "there is no warm process"
        with process:
            status = process.wait(600)
        said = (file.read_text() if file.exists() else "" for file in (output, errors))
        return subprocess.CompletedProcess([module, *arguments], status, *said)
