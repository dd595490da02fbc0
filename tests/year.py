"""A year in fast motion: nights on a growing folder of images, disturbed and not, end alike.

    python -m tests.year [--nights 365] [--seed 1] [--work out/year]

Two output roots live through the same nights at once. In one, runs are killed and interrupted at
random moments and find the disk full, until the night's run ends by itself; the other is left
alone. Night by night their verdicts and releases are compared, down to the weights; every night ML
Metadata holds nothing that runs, no output is an orphan and no process is left. Runs are forked
from a process that has imported TFX; nights of nothing new are processes of their own where nobody
disturbs them. What happened is in WORK: nights.jsonl, year.md and year.json. SIGTERM ends it with
the night under way, Ctrl-C at once, which disturbs both; the same command goes on. Exit codes: 0
alike, 1 not, 143 ended.
"""

import argparse
import dataclasses
import functools
import json
import os
import signal
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from components.base import atomic
from tests.helpers.killed_line import KilledLine
from tests.helpers.lived_nights import Life, Outcome, at_the_end, differences, release_kept
from tests.helpers.nights import Night, bring, calendar, epochs, expected, images

NAME = "photos"
SETTINGS = (
    "model.architecture=tests.helpers.small_network:perceptron",
    *("train.threads=1", "train.learning_rate=0.01", "train.checkpoint_seconds=0"),
    *("augment.torch=[]", "gates.min_accuracy=0.8", 'export.formats=["onnx"]'),
)
DISK_MIB = 512
_FIRST_GUESS, _QUIET = 20.0, 0.4
"""Seconds of a night with events, and of one without, before any is known."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One night in both years; `problems` is empty where all is as it should be."""

    night: int
    title: str
    disturbed: Outcome
    undisturbed: Outcome
    problems: list[str]

    @classmethod
    def read(cls, line: str) -> "Row":
        values = json.loads(line)
        for name in ("disturbed", "undisturbed"):
            values[name] = Outcome(**values[name])
        return cls(**values)


class Year:
    """The nights in `work`, which must not be on the disk that is filled."""

    def __init__(self, work: Path, nights: int, seed: int, disk: Path | None):
        self.work, self.nights, self.disk = work, calendar(nights, seed), disk
        if disk is None:
            self.nights = [_without_disks(night) for night in self.nights]
        self.ended = False
        """Set it to have `live` end with the night."""
        self._rows = work / "nights.jsonl"
        self.rows = (
            [Row.read(line) for line in self._rows.read_text().splitlines()]
            if self._rows.exists()
            else []
        )

    def live(self) -> Iterator[Row]:
        """The nights that are left, in turn; then `problems` holds what is wrong at the end."""
        photos = self.work / NAME
        line = functools.partial(KilledLine, warm=True)
        with line() as first, line() as second, ThreadPoolExecutor(2) as pool:
            lives = (
                Life(first, (self.disk or self.work) / "disturbed", NAME, self.disk or self.work),
                Life(second, self.work / "undisturbed", NAME),
            )
            for number in range(len(self.rows), len(self.nights)):
                past, night = self.nights[: number + 1], self.nights[number]
                bring(photos, images(past))
                arguments = (f"folder:{photos}", f"train.epochs={epochs(past)}", *SETTINGS)
                waiting = [
                    pool.submit(self._lived, life, night, arguments, before)
                    for life, before in zip(lives, self._before())
                ]
                disturbed, undisturbed = (future.result() for future in waiting)
                self._note(night, disturbed, undisturbed, expected(past))
                yield self.rows[-1]
                if self.ended:
                    return
            self.problems = at_the_end(*lives, NAME)

    def _lived(
        self, life: Life, night: Night, arguments: tuple[str, ...], before: int | None
    ) -> Outcome:
        """The night as the life ended it, maybe before this script was ended: a night lived again
        would find its release there already."""
        noted = self.work / f"{life.root.name}.json"
        last = json.loads(noted.read_text()) if noted.exists() else {}
        if last.get("night") != night.number:
            outcome = life.live(night, arguments, self._usual(night), before)
            last = {"night": night.number, "outcome": dataclasses.asdict(outcome)}
            with atomic.replacing(noted) as temporary:
                temporary.write_text(json.dumps(last))
        return Outcome(**last["outcome"])

    def _before(self) -> tuple[int | None, int | None]:
        if not self.rows:
            return None, None
        return self.rows[-1].disturbed.version, self.rows[-1].undisturbed.version

    def _usual(self, night: Night) -> float:
        """Seconds that such nights took lately, where nothing disturbed them."""
        known = [
            outcome.seconds
            for row in self.rows
            if row.title == night.title
            for outcome in (row.disturbed, row.undisturbed)
            if not outcome.struck and not outcome.cold
        ]
        guess = _FIRST_GUESS if night.events else _QUIET
        return statistics.median(known[-6:]) if known else guess

    def _note(self, night: Night, disturbed: Outcome, undisturbed: Outcome, code: int) -> None:
        problems = [*disturbed.problems, *undisturbed.problems]
        problems += differences(disturbed, undisturbed)
        before = self.rows[-1] if self.rows else None
        problems += release_kept(night, before and before.disturbed, disturbed)
        problems += release_kept(night, before and before.undisturbed, undisturbed)
        if undisturbed.code != code:
            problems.append(f"exit code {undisturbed.code} instead of {code}")
        if not night.events and not undisturbed.repeated:
            problems.append("nothing was new, and something was done")
        self.rows.append(Row(night.number, night.title, disturbed, undisturbed, problems))
        with self._rows.open("a") as file:
            file.write(json.dumps(dataclasses.asdict(self.rows[-1])) + "\n")


def _without_disks(night: Night) -> Night:
    kept = tuple(of for of in night.disturbances if of.kind != "disk")
    return dataclasses.replace(night, disturbances=kept)


def told(row: Row) -> list[str]:
    """A row's cells: night, events, disturbances, exit code, verdict, release, accuracy,
    seconds."""
    one = row.disturbed
    words = one.sentence if len(one.sentence) < 160 else one.sentence[:157] + "..."
    return [
        *(str(row.night), row.title, "; ".join(one.struck), str(one.code)),
        *(f"{one.status}: {words}", str(one.version), f"{one.accuracy:.4f}"),
        f"{one.seconds:.1f} ({row.undisturbed.seconds:.1f})",
    ]


def table(rows: list[Row]) -> str:
    """The year in Markdown: nights in which nothing happened, night after night, are one row."""
    head = "night events disturbances exit verdict release accuracy seconds"
    lines = [f"| {' | '.join(head.split())} |", "|" + "---|" * 8]
    quiet: list[Row] = []

    def tell_quiet() -> None:
        if quiet:
            cells = told(quiet[-1])
            if len(quiet) > 1:
                cells[0] = f"{quiet[0].night} to {cells[0]}"
            lines.append(f"| {' | '.join(cells)} |")
            quiet.clear()

    for row in rows:
        if row.title == "nothing new" and not row.disturbed.struck and not row.problems:
            quiet.append(row)
            continue
        tell_quiet()
        lines.append(f"| {' | '.join(told(row))} |")
        lines += [f"| | **{problem}** |" + " |" * 6 for problem in row.problems]
    tell_quiet()
    return "\n".join(lines) + "\n"


def figures(rows: list[Row]) -> dict:
    """What the year amounts to."""
    both = [(row, outcome) for row in rows for outcome in (row.disturbed, row.undisturbed)]
    struck = [words for row in rows for words in row.disturbed.struck]
    cold = [outcome.seconds for _, outcome in both if outcome.cold]
    whole = [o.seconds for _, o in both if not o.struck and o.status == "released"]
    now_and_then = rows[len(rows) // 8 :: len(rows) // 8 or 1]
    return {
        "nights": len(rows),
        "events": Counter(row.title for row in rows),
        "runs": sum(outcome.runs for _, outcome in both),
        "runs_beyond_the_unchanged": sum(o.runs for _, o in both if not o.repeated),
        "disturbed_nights": sum(bool(row.disturbed.struck) for row in rows),
        "disturbed_runs": Counter(words.split()[0] for words in struck),
        "struck": Counter(words.partition(" ")[2] for words in struck),
        "exit_codes": Counter(row.undisturbed.code for row in rows),
        "released": sum(row.undisturbed.status == "released" for row in rows),
        "seconds_of_nothing_new": round(statistics.median(cold), 2) if cold else None,
        "seconds_of_a_release": round(statistics.median(whole), 1) if whole else None,
        "megabytes": {
            "disturbed": [_megabytes(row.disturbed) for row in now_and_then],
            "undisturbed": [_megabytes(row.undisturbed) for row in now_and_then],
            "most": max(_megabytes(row.disturbed) for row in rows),
        },
        "minutes": round(
            sum(max(r.disturbed.seconds, r.undisturbed.seconds) for r in rows) / 60, 1
        ),
        "problems": sum(len(row.problems) for row in rows),
    }


def _megabytes(outcome: Outcome) -> float:
    return round(outcome.bytes / 1e6, 1)


def small_disk(place: Path) -> Path | None:
    """Mounts a disk of DISK_MIB at `place`, where it is not there already; None, and a word, where
    that cannot be done."""
    place.mkdir(parents=True, exist_ok=True)
    if not os.path.ismount(place):
        options = ["-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs"]
        done = subprocess.run(["mount", *options, place], capture_output=True, text=True)
        if done.returncode:
            print(f"no disk is full in this year, none can be mounted: {done.stderr.strip()}")
            return None
    return place


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nights", type=int, default=365)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("out/year"))
    args = parser.parse_args()
    work = args.work.resolve() / f"{args.nights}-nights-seed-{args.seed}"
    work.mkdir(parents=True, exist_ok=True)
    year = Year(work, args.nights, args.seed, small_disk(work / "disk"))
    signal.signal(signal.SIGTERM, lambda *_: setattr(year, "ended", True))
    for row in year.live():
        print(*told(row), *row.problems, sep=" | ", flush=True)
    if len(year.rows) < args.nights:
        return 128 + signal.SIGTERM
    (work / "year.md").write_text(table(year.rows))
    values = figures(year.rows) | {"problems_at_the_end": year.problems}
    text = json.dumps(values, indent=1)
    (work / "year.json").write_text(text + "\n")
    print(table(year.rows), text, sep="\n")
    if values["problems"] or year.problems:
        return 1  # the roots are left as they are, to be looked at
    if year.disk:
        subprocess.run(["umount", year.disk], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
