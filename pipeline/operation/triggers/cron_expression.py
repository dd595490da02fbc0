"""When something is started: five fields of cron, as Debian's cron reads them.

The rule that the others do not share: where both a day of the month and a day of the week are
given, either is enough, unless one of the two fields begins with a star, in which case both must
match (crontab(5) of Debian's cron 3.0pl1).
"""

import dataclasses
import datetime
import re
from collections.abc import Iterable
from pathlib import Path
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from components.base.refusal import ConfigError

_FIELDS = (
    "minute (0-59)", "hour (0-23)", "day of the month (1-31)", "month (1-12 or jan-dec)",
    "day of the week (0-7 or sun-sat)",
)  # fmt: skip
_VALUE = r"(\d+|[A-Za-z]{3})"
_PART = rf"(\*|{_VALUE}-{_VALUE})(/\d+)?|{_VALUE}"
_FIELD = re.compile(rf"({_PART})(,({_PART}))*")
"""What both cron and cronsim take: cronsim knows more (L, #, 5/15), which cron refuses."""
_DAYS, _MONTHS, _WEEK = frozenset(range(1, 32)), frozenset(range(1, 13)), frozenset(range(7))
_WEEKDAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")


@dataclasses.dataclass(frozen=True)
class CronExpression:
    """`weekdays` counts from Sunday, 0, to 6; `both` says that a day must be among `days` and among
    `weekdays`, where otherwise one of the two is enough."""

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    both: bool

    @classmethod
    def parse(cls, text: str) -> "CronExpression":
        """Raises ConfigError that names the field and what it may hold, also for an expression that
        never comes."""
        fields = text.split()
        if len(fields) != len(_FIELDS):
            raise ConfigError(
                f"{text!r} is no cron expression: received {len(fields)} fields, expected five in "
                f"quotes, {', '.join(_FIELDS)}; '0 3 * * *' is every night at three."
            )
        for name, field in zip(_FIELDS, fields):
            if not _FIELD.fullmatch(field):
                raise _bad(text, field, name)
        start = datetime.datetime(2000, 1, 1)
        for position, name in enumerate(_FIELDS):
            alone = ["*"] * len(_FIELDS)
            alone[position] = fields[position]
            try:
                CronSim(" ".join(alone), start)
            except CronSimError as error:
                raise _bad(text, fields[position], name) from error
        try:
            found = CronSim(text, start)
            next(found)
        except (CronSimError, StopIteration) as error:
            raise ConfigError(
                f"{text!r} never comes: no month that it names has such a day."
            ) from error
        return cls(
            " ".join(fields),
            frozenset(found.minutes),
            frozenset(found.hours),
            frozenset(found.days),
            frozenset(found.months),
            frozenset(day % 7 for day in found.weekdays if isinstance(day, int)),
            found.day_and,
        )

    def following(self, after: datetime.datetime, count: int) -> list[datetime.datetime]:
        """The next so many moments after `after`, in its time zone."""
        moments = CronSim(self.text, after)
        return [next(moments) for _ in range(count)]

    @property
    def _sides(self) -> list[tuple[frozenset[int], frozenset[int]]]:
        """Days of the month and of the week, each with all of the other: a day that matches both of
        one pair is meant."""
        if self.both:
            return [(self.days, self.weekdays)]
        if self.days == _DAYS or self.weekdays == _WEEK:
            return [(_DAYS, _WEEK)]
        return [(self.days, _WEEK), (_DAYS, self.weekdays)]

    def on_calendar(self) -> list[str]:
        """The same as systemd's calendar events, of which each starts it; there, a day must always
        match both."""
        months = _listed(self.months, _MONTHS, "..")
        minutes, hours = (_listed(of, (), "..") for of in (self.minutes, self.hours))
        lines = []
        for days, weekdays in self._sides:
            names = "" if weekdays == _WEEK else _named(weekdays) + " "
            date = f"*-{months}-{_listed(days, _DAYS, '..')}"
            lines.append(f"{names}{date} {hours}:{minutes}:00")
        return lines

    def kubernetes(self) -> str | None:
        """The same as a CronJob's schedule, in numbers; None where there is none.

        There, `*/2` is a list like others and only a star alone makes that both must match, and
        Sunday is 0 (robfig/cron, which Kubernetes reads schedules with).
        """
        days, weekdays = self._sides[0] if len(self._sides) == 1 else (self.days, self.weekdays)
        if self.both and days != _DAYS and weekdays != _WEEK:
            return None
        everything = (
            frozenset(range(60)), frozenset(range(24)), _DAYS, _MONTHS, _WEEK,
        )  # fmt: skip
        fields = (self.minutes, self.hours, days, self.months, weekdays)
        return " ".join(_listed(of, whole, "-") for of, whole in zip(fields, everything))


def _bad(text: str, field: str, name: str) -> ConfigError:
    return ConfigError(
        f"{text!r} is no cron expression: received {field!r} for {name}, expected *, a number, a "
        "range 1-5, a step */2 or 1-5/2, or a list of these with commas."
    )


def _runs(values: Iterable[int]) -> list[tuple[int, int]]:
    """Neighbours together, as (first, last)."""
    runs: list[tuple[int, int]] = []
    for value in sorted(values):
        if runs and runs[-1][1] == value - 1:
            runs[-1] = runs[-1][0], value
        else:
            runs.append((value, value))
    return runs


def _listed(values: frozenset[int], whole: Iterable[int], between: str) -> str:
    """`1,3..5`, or a star for the whole of what is possible."""
    if values == whole:
        return "*"
    return ",".join(
        str(first) if first == last else f"{first}{between}{last}" for first, last in _runs(values)
    )


def _named(weekdays: frozenset[int]) -> str:
    return ",".join(_WEEKDAYS[day] for day in sorted(weekdays))


def time_zone(localtime: Path = Path("/etc/localtime")) -> tuple[str | None, datetime.tzinfo]:
    """The machine's, which cron and systemd go by whatever TZ says: its name where the system tells
    it, and its rules; UTC where none is set."""
    name = str(localtime.resolve()).partition("/zoneinfo/")[2].removeprefix("posix/") or None
    try:
        with open(localtime, "rb") as file:
            return name, ZoneInfo.from_file(file, key=name)
    except (OSError, ValueError):
        return "Etc/UTC", datetime.UTC
