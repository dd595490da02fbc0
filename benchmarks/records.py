"""What benchmarks leave behind: numbers, with the machine and the commit they were found on."""

import json
import os
import re
import subprocess
from pathlib import Path

from rich.console import Console

from components.base import atomic
from components.base.process import ROOT


def machine() -> dict:
    """The processor's name, cores of this process, the units for bfloat16 that the processor has,
    and the commit (with `-dirty` where files differ from it; empty outside of a repository)."""
    try:
        described = Path("/proc/cpuinfo").read_text()
    except OSError:
        described = ""
    bfloat16 = [name for name in ("avx512_bf16", "amx_bf16") if name in described]
    name = re.search(r"^model name\s*: (.+)$", described, re.MULTILINE)
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    commit = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return {
        "processor": name[1] if name else "",
        "cores": len(os.sched_getaffinity(0)),
        "bfloat16": bfloat16,
        "commit": commit.stdout.strip(),
    }


def write(root: Path, name: str, found: dict, console: Console) -> None:
    """Replaces `<root>/benchmarks/<name>.json` by `found` and the machine."""
    path = root / "benchmarks" / f"{name}.json"
    atomic.write(path, json.dumps({"machine": machine()} | found, indent=1))
    console.print(f"written to {path}", highlight=False)
