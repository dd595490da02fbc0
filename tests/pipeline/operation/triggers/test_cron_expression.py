"""Moments of cron, held against cron, systemd and what Kubernetes documents."""

import datetime
import os
import shutil
import subprocess
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.base.refusal import ConfigError
from pipeline.operation.triggers.cron_expression import CronExpression, time_zone

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
LIMITS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
NAMES = {3: "jan feb MAR apr may jun jul aug sep oct nov Dec".split(), 4: "sun mon TUE wed".split()}


def parts(position: int) -> st.SearchStrategy[str]:
    low, high = LIMITS[position]
    number = st.integers(low, high)
    span = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    step = st.integers(1, 40).map(lambda of: f"/{of}")
    stepped = st.tuples(st.just("*") | span, step).map("".join)
    names = st.sampled_from(NAMES.get(position, ["1"]))
    return number.map(str) | span | stepped | names | st.just("*")


def field(position: int) -> st.SearchStrategy[str]:
    whole = st.just("*")
    return whole | st.lists(parts(position), min_size=1, max_size=3).map(",".join)


TEXTS = st.tuples(*map(field, range(5))).map(" ".join)


def parsed(text: str) -> CronExpression | None:
    """None where such a day never comes: 31 February."""
    try:
        return CronExpression.parse(text)
    except ConfigError as error:
        assert "never comes" in str(error)
        return None


def elapses(line: str, count: int) -> list[datetime.datetime]:
    done = subprocess.run(
        [
            "systemd-analyze", "calendar", f"--iterations={count}",
            "--base-time=2026-01-01 00:00:00", line,
        ],
        env=os.environ | {"TZ": "UTC", "LANG": "C"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [
        datetime.datetime.strptime(words[2], "%a %Y-%m-%d %H:%M:%S UTC").replace(
            tzinfo=datetime.UTC
        )
        for row in done.stdout.splitlines()
        if (words := row.strip().partition(": ")) and words[0].startswith(("Next", "Iter"))
    ]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_systemd_elapses_when_cron_would_start_it(text):
    cron = parsed(text)
    if cron is not None:
        ours = cron.following(START, 6)
        theirs = {moment for line in cron.on_calendar() for moment in elapses(line, 6)}
        assert sorted(theirs)[:6] == ours


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_kubernetes_names_the_days_that_cron_means(text):
    """By the rules of robfig/cron: a star alone, in either field of days, asks for both."""
    cron = parsed(text)
    if cron is None or (schedule := cron.kubernetes()) is None:
        return
    fields = schedule.split()
    sets = [read(of, low, high) for of, (low, high) in zip(fields, (*LIMITS[:4], (0, 6)))]
    moments = []
    day = START
    while len(moments) < 4 and day.year < 2060:
        in_month, in_week = day.day in sets[2], day.isoweekday() % 7 in sets[4]
        both = "*" in (fields[2], fields[4])
        if day.month in sets[3] and (in_month and in_week if both else in_month or in_week):
            moments += [day.replace(hour=h, minute=m) for h in sets[1] for m in sets[0]]
        day += datetime.timedelta(days=1)
    assert cron.following(START - datetime.timedelta(seconds=1), 4) == moments[:4]


def read(text: str, low: int, high: int) -> list[int]:
    if text == "*":
        return list(range(low, high + 1))
    values = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        values |= set(range(int(first), int(last or first) + 1))
    assert min(values) >= low and max(values) <= high
    return sorted(values)


@pytest.mark.skipif(not shutil.which("crontab"), reason="no crontab here")
@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_cron_takes_what_is_taken_here(tmp_path_factory, text):
    file = tmp_path_factory.mktemp("crontab") / "tab"
    file.write_text(f"{text} true\n")
    # Only Debian's checks without installing.
    done = subprocess.run(["crontab", "-n", str(file)], capture_output=True, text=True)
    if "invalid option" in done.stderr:
        pytest.skip("this crontab cannot check a file")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("text", "lines", "kubernetes"),
    [
        ("0 3 * * *", ["*-*-* 3:0:00"], "0 3 * * *"),
        ("*/20 9-17 * * mon-fri", ["Mon,Tue,Wed,Thu,Fri *-*-* 9..17:0,20,40:00"], None),
        ("0 3 1,15 * 7", ["*-*-1,15 3:0:00", "Sun *-*-* 3:0:00"], "0 3 1,15 * 0"),
        # The first Monday of a month: both must match, which Kubernetes cannot be told.
        ("0 3 */100,1-7 * MON", ["Mon *-*-1..7 3:0:00"], "none"),
        ("0 3 */2 * 1", ["Mon *-*-1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31 3:0:00"], "none"),
    ],
)
def test_days_of_the_month_and_of_the_week(text, lines, kubernetes):
    cron = CronExpression.parse(text)
    assert cron.on_calendar() == lines
    if kubernetes is not None:
        assert (cron.kubernetes() or "none") == kubernetes


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0 3 * *", "received 4 fields, expected five in quotes, minute"),
        ("0 3 * * * *", "received 6 fields"),
        ("@daily", "received 1 fields"),
        ("60 3 * * *", r"received '60' for minute \(0-59\)"),
        ("0 24 * * *", r"received '24' for hour \(0-23\)"),
        ("0 3 0 * *", r"received '0' for day of the month \(1-31\)"),
        ("0 3 * 13 *", "received '13' for month"),
        ("0 3 * * 8", "received '8' for day of the week"),
        ("0 3 * * Sunday", "received 'Sunday' for day of the week"),
        ("0 3 L * *", "received 'L' for day of the month"),
        ("0 3 * * 1#2", "received '1#2' for day of the week"),
        ("5/15 3 * * *", "received '5/15' for minute .* expected .* 1-5/2"),
        ("*/0 3 * * *", "received '\\*/0' for minute"),
        ("9-5 3 * * *", "received '9-5' for minute"),
        ("\u0663 3 * * *", "for minute"),
        ("0 3 30 2 *", "never comes"),
    ],
)
def test_what_cron_would_not_take_is_refused_by_field(text, words):
    with pytest.raises(ConfigError, match=words):
        CronExpression.parse(text)


def test_a_moment_that_the_clock_skips_comes_after_it_as_cron_has_it():
    zone = ZoneInfo("Europe/Berlin")
    found = CronExpression.parse("30 2 * * *").following(
        datetime.datetime(2026, 3, 28, 12, tzinfo=zone), 2
    )
    assert [moment.isoformat() for moment in found] == [
        "2026-03-29T03:00:00+02:00",
        "2026-03-30T02:30:00+02:00",
    ]


def test_the_time_zone_is_the_machines(tmp_path):
    name, zone = time_zone()
    assert datetime.datetime.now(zone).utcoffset() is not None
    link = tmp_path / "localtime"
    link.symlink_to("/usr/share/zoneinfo/Europe/Berlin")
    name, zone = time_zone(link)
    assert name == "Europe/Berlin" and datetime.datetime(2026, 7, 1, tzinfo=zone).utcoffset() == (
        datetime.timedelta(hours=2)
    )
    assert time_zone(tmp_path / "none") == ("Etc/UTC", datetime.UTC)
