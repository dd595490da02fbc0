"""Mutants of the code that guards a release: each is caught by a test, or explained.

    python -m tests.mutants [--sample 20] [--seed 0] [MODULE_PATTERN ...]

mutmut makes them, small faults in the modules that `[tool.mutmut]` in pyproject.toml names, and
runs the tests that reach each one in a forked process, so that most cost less than a second.
`mutants.toml` beside this file explains those that no test can or should catch; they are not run. A
mutant that survives unexplained ends the run with exit code 1, as does an explanation of none.
"""

import argparse
import difflib
import fnmatch
import json
import random
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

EXPLANATIONS = Path(__file__).with_suffix(".toml")
_SURVIVED, _UNTESTED = 0, 33
"""mutmut's codes: all tests passed, and none reaches the mutant. Others ended in a failure."""


@dataclass(frozen=True)
class Mutant:
    """`name` is mutmut's, `change` the lines that differ, each behind "- " or "+ "."""

    name: str
    module: str
    change: str


@dataclass(frozen=True)
class Explanation:
    """Why mutants may survive: those in a module that `module` matches (as file names are), whose
    change `change` is found in (a regular expression, over several lines)."""

    module: str
    change: str
    why: str

    def covers(self, mutant: Mutant) -> bool:
        return fnmatch.fnmatch(mutant.module, self.module) and bool(
            re.search(self.change, mutant.change)
        )


def mutants_of(path: Path) -> list[Mutant]:
    """All mutants of one file, in its order."""
    from mutmut.mutation.file_mutation import mutate_file_contents
    from mutmut.utils.format_utils import get_mutant_name

    mutated = mutate_file_contents(str(path), path.read_text())
    lines = mutated.code.splitlines()

    def text(name: str) -> list[str]:
        span = mutated.line_span_by_function_name[name]
        stem = name.rpartition("__mutmut_")[0]
        return [line.replace(name, stem).strip() for line in lines[span.start - 1 : span.end]]

    found = []
    for name in mutated.mutant_names:
        original = text(name.rpartition("_")[0] + "_orig")
        differences = difflib.ndiff(original, text(name))
        change = "\n".join(line for line in differences if line[0] in "-+")
        found.append(Mutant(get_mutant_name(path, name), str(path), change))
    return found


def run(mutants: list[Mutant]) -> dict[str, int]:
    """mutmut's code of each one, by name. What it prints goes to mutants/log."""
    shutil.rmtree("mutants", ignore_errors=True)  # verdicts of other tests
    log = Path("mutants/log")
    log.parent.mkdir()
    command = [str(Path(sys.executable).with_name("mutmut")), "run", *(m.name for m in mutants)]
    with log.open("w") as stream:
        done = subprocess.run(command, stdout=stream, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.exit(f"mutmut ended with {done.returncode}: do the tests pass without a mutant? {log}")
    codes: dict[str, int] = {}
    for meta in Path("mutants").rglob("*.py.meta"):
        codes |= json.loads(meta.read_text())["exit_code_by_key"]
    return {mutant.name: codes[mutant.name] for mutant in mutants}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", default=["*"], help="as file names are matched")
    parser.add_argument("--sample", type=int, help="mutants of each module, drawn by seed")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    settings = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["mutmut"]
    explanations = [Explanation(**row) for row in tomllib.loads(EXPLANATIONS.read_text())["mutant"]]
    chosen, unused = [], set(explanations)
    for module in settings["only_mutate"]:
        every = mutants_of(Path(module))
        used = {e: [m for m in every if e.covers(m)] for e in explanations}
        explained = {m.name for of in used.values() for m in of}
        unused -= {e for e, of in used.items() if of}
        mine = [m for m in every if m.name not in explained]
        if args.sample is not None and len(mine) > args.sample:
            mine = random.Random(f"{args.seed}{module}").sample(mine, args.sample)
        if any(fnmatch.fnmatch(module, pattern) for pattern in args.modules):
            print(f"{module}: {len(every)} mutants, {len(explained)} explained, {len(mine)} run")
            chosen += mine
    codes = run(chosen)
    survivors = [m for m in chosen if codes[m.name] in (_SURVIVED, _UNTESTED)]
    for mutant in survivors:
        print(f"\n{mutant.name} survives:\n{mutant.change}")
    for explanation in unused:
        print(f"\n{explanation} explains no mutant: remove it.")
    print(f"\n{len(chosen)} mutants run, {len(survivors)} survive")
    return 1 if survivors or unused else 0


if __name__ == "__main__":
    sys.exit(main())
