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
# mutmut's codes; others are of tests that failed.
_NOT_CAUGHT = (0, 33)
"""All tests passed, or none reaches the mutant."""
_TOO_SLOW = -24
"""They were ended, by SIGXCPU."""


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


def run(names: list[str]) -> dict[str, int]:
    """mutmut's code of each mutant. What it prints goes to mutants/log."""
    shutil.rmtree("mutants", ignore_errors=True)  # verdicts of other tests
    Path("mutants").mkdir()
    codes = _mutmut(names)
    # On a busy machine anything may take too long; what does so again hangs.
    slow = [name for name in names if codes[name] == _TOO_SLOW]
    return codes | _mutmut(slow) if slow else codes


def _mutmut(names: list[str]) -> dict[str, int]:
    log = Path("mutants/log")
    with log.open("a") as stream:
        command = [str(Path(sys.executable).with_name("mutmut")), "run", *names]
        done = subprocess.run(command, stdout=stream, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.exit(f"mutmut ended with {done.returncode}: do the tests pass without a mutant? {log}")
    codes: dict[str, int] = {}
    for meta in Path("mutants").rglob("*.py.meta"):
        codes |= json.loads(meta.read_text())["exit_code_by_key"]
    return {name: codes[name] for name in names}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", default=["*"], help="as file names are matched")
    parser.add_argument("--sample", type=int, help="mutants of each module, drawn by seed")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    settings = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["mutmut"]
    explanations = [Explanation(**row) for row in tomllib.loads(EXPLANATIONS.read_text())["mutant"]]
    made = {module: mutants_of(Path(module)) for module in settings["only_mutate"]}
    every = [mutant for of in made.values() for mutant in of]
    unused = [e for e in explanations if not any(map(e.covers, every))]
    chosen: dict[str, list[Mutant]] = {}
    for module, of in made.items():
        if any(fnmatch.fnmatch(module, pattern) for pattern in args.modules):
            unexplained = [m for m in of if not any(e.covers(m) for e in explanations)]
            count = len(unexplained) if args.sample is None else min(args.sample, len(unexplained))
            chosen[module] = random.Random(f"{args.seed} {module}").sample(unexplained, count)
    if not chosen:
        parser.error(f"{args.modules} matches none of {', '.join(made)}")
    codes = run([mutant.name for of in chosen.values() for mutant in of])
    return report(made, chosen, codes, unused)


def report(
    made: dict[str, list[Mutant]],
    chosen: dict[str, list[Mutant]],
    codes: dict[str, int],
    unused: list[Explanation],
) -> int:
    """Prints what survived and what each module had; the exit code."""
    survivors = [m for of in chosen.values() for m in of if codes[m.name] in _NOT_CAUGHT]
    for mutant in survivors:
        print(f"{mutant.name} survives:\n{mutant.change}\n")
    for explanation in unused:
        print(f"{explanation} explains no mutant: remove it.\n")
    for module, of in chosen.items():
        left = sum(mutant.module == module for mutant in survivors)
        print(f"{module}: {len(made[module])} mutants, {len(of)} run, {left} survive")
    hanging = sum(code == _TOO_SLOW for code in codes.values())
    print(f"{len(codes)} mutants run, {hanging} of them hang, {len(survivors)} survive")
    return 1 if survivors or unused else 0


if __name__ == "__main__":
    sys.exit(main())
