"""Nights of a year: the calendar, what each night finds, and a week that is lived through."""

import dataclasses
import io
import json
import os
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers.lived_nights import Outcome, differences, release_kept
from tests.helpers.nights import (
    MISLABELLED,
    SIGNALS,
    SPECIAL,
    WEEK,
    Night,
    bring,
    calendar,
    epochs,
    expected,
    images,
)
from tests.year import Row, Year, figures, small_disk, table

YEAR = calendar(365, 1)
EVENTS = {"new", "fixed", *SPECIAL}


def test_a_year_is_drawn_by_its_seed_and_begins_with_a_week_that_has_everything():
    assert calendar(365, 1) == YEAR != calendar(365, 2)
    assert [night.number for night in YEAR] == list(range(1, 366))
    for seed in range(5):
        week = calendar(WEEK, seed)
        assert len(week) == WEEK and () in [night.events for night in week]
        assert {event for night in week for event in night.events} == EVENTS
        assert {of.kind for night in week for of in night.disturbances} == {*SIGNALS, "disk"}


def test_every_later_week_begins_with_new_images_and_has_one_special_event():
    found = []
    for start in range(WEEK, 364, WEEK):
        week = YEAR[start : start + WEEK]
        assert week[0].events == ("new",) and sum(not night.events for night in week) >= 4
        (special,) = [e for night in week for e in night.events if e in SPECIAL]
        assert ("fixed",) in [night.events for night in week] or special in ("better", "rollback")
        found.append(special)
    assert all(found.count(special) >= 12 for special in SPECIAL)
    assert 80 < sum(bool(night.disturbances) for night in YEAR) < 160


def test_what_a_night_ends_with_follows_from_the_last_event():
    days = [("new",), ("corrupt",), (), ("fixed",), ("rollback",), (), ("new",), ("mislabelled",)]
    nights = [Night(number, events) for number, events in enumerate(days, 1)]
    codes = [expected(nights[: night.number]) for night in nights]
    assert codes == [0, 4, 4, 0, 3, 3, 0, 3]
    with pytest.raises(ValueError, match="no images"):
        expected([Night(1)])
    assert epochs([*nights, Night(9, ("fixed", "better"))]) == epochs(nights) + 1


def _opens(data: bytes) -> bool:
    try:
        Image.open(io.BytesIO(data)).load()
    except OSError:
        return False
    return True


def test_images_grow_and_a_bad_batch_is_bad_until_it_is_fixed():
    events = ("new", "new", "corrupt", "fixed", "mislabelled", "fixed")
    nights = [Night(number, (event,)) for number, event in enumerate(events, 1)]
    first, more, corrupt, whole, mislabelled, after = (
        images(nights[: night.number]) for night in nights
    )
    assert first.items() < more.items() < corrupt.items()
    assert all(map(_opens, more.values()))
    truncated = [name for name in corrupt if not _opens(corrupt[name])]
    assert set(truncated) == corrupt.keys() - more.keys() and len(truncated) > 0.02 * len(more)
    assert whole.keys() == corrupt.keys() and all(map(_opens, whole.values()))
    assert whole.items() < mislabelled.items() and after == whole
    right = {name.partition("/")[2]: name[0] for name in images(YEAR)}
    wrong = mislabelled.keys() - whole.keys()
    assert wrong and all(right[name.partition("/")[2]] != name[0] for name in wrong)


@pytest.mark.parametrize("seed", range(3))
def test_there_are_images_enough_for_a_year(seed):
    nights = calendar(365, seed)
    for bad in [night for night in nights if "mislabelled" in night.events]:
        there = images(nights[: bad.number - 1])
        came = images(nights[: bad.number]).keys() - there.keys()
        assert len(came) >= MISLABELLED * len(there)
    assert len(images(nights)) > 1000


def test_only_files_that_change_are_touched(tmp_path):
    bring(tmp_path, {"0/a.png": b"a", "1/b.png": b"b", "1/c.png": b"c"})
    before = (tmp_path / "0/a.png").stat()
    bring(tmp_path, {"0/a.png": b"a", "1/b.png": b"other", "0/d.png": b"d"})
    found = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.glob("*/*")}
    assert found == {"0/a.png": b"a", "1/b.png": b"other", "0/d.png": b"d"}
    assert (tmp_path / "0/a.png").stat() == before


OUTCOME = Outcome(
    *(0, "released", "photos version 2", False, 2, "torch-1", "torch", 0.97, 9.0, 10**6, 1, False)
)


def _changed(**values) -> Outcome:
    return dataclasses.replace(OUTCOME, **values)


def test_two_nights_differ_in_any_part_of_their_verdict_or_release():
    assert differences(OUTCOME, OUTCOME) == []
    assert differences(_changed(seconds=99.0, bytes=1, runs=3), OUTCOME) == []
    others = {"code": 3, "version": 3, "lineage": "torch-2", "champion": "keras", "accuracy": 0.96}
    for name, value in {**others, "status": "unchanged", "sentence": "other"}.items():
        (found,) = differences(_changed(**{name: value}), OUTCOME)
        assert found.startswith(f"{name}: {value!r} instead of ")


def test_only_who_was_disturbed_may_find_that_its_model_is_released_already():
    again = {"status": "unchanged", "sentence": "is release 2 already", "struck": ("SIGKILL",)}
    assert differences(_changed(**again), OUTCOME) == []
    assert differences(_changed(**again | {"status": "refused"}), OUTCOME)
    refused = _changed(code=3, status="refused", sentence="accuracy is 0.7")
    assert differences(dataclasses.replace(refused, sentence="other"), refused)


@pytest.mark.parametrize(
    "events, before, now, right",
    [
        (("new",), 1, _changed(version=2), True),
        (("new",), 2, _changed(version=2), False),
        ((), 2, _changed(status="unchanged"), True),
        ((), 1, _changed(status="unchanged"), False),
        (("new",), 1, _changed(status="unchanged", struck=("SIGKILL",)), True),
        (("corrupt",), 2, _changed(status="refused", code=4), True),
        (("corrupt",), 1, _changed(status="refused", code=4), False),
        (("mislabelled",), 1, _changed(status="refused", code=3, struck=("SIGKILL",)), False),
        (("rollback",), 3, _changed(status="refused", code=3), True),
        (("rollback",), 2, _changed(status="refused", code=3), False),
    ],
)
def test_the_release_moves_only_when_a_run_says_so(events, before, now, right):
    assert (release_kept(Night(9, events), _changed(version=before), now) == []) is right
    assert release_kept(Night(1, ("new",)), None, _changed(version=1)) == []


def test_the_table_tells_of_every_event_and_sums_up_quiet_nights():
    quiet = [Row(n, "nothing new", OUTCOME, OUTCOME, []) for n in (2, 3, 4)]
    struck = _changed(struck=("SIGKILL during train_torch",))
    rows = [
        Row(1, "new", struck, OUTCOME, []),
        *quiet,
        Row(5, "rollback", _changed(code=3), OUTCOME, ["code: 3 instead of 0"]),
    ]
    lines = table(rows).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| 1", "| 2 to 4", "| 5", "|"]
    assert "SIGKILL during train_torch" in lines[2] and "**code: 3 instead of 0**" in lines[5]
    sums = figures(rows)
    assert sums["runs"] == 10 and sums["disturbed_nights"] == sums["problems"] == 1


@pytest.mark.full
def test_a_disturbed_week_ends_every_night_as_an_undisturbed_one(tmp_path):
    disk = small_disk(tmp_path / "disk")
    year = Year(tmp_path, WEEK, 1, disk)
    try:
        rows = list(year.live())
        again = list(_without_the_last_row(tmp_path, disk).live())
    finally:
        if disk and os.path.ismount(disk):
            subprocess.run(["umount", disk], check=True)
    print(table(rows))
    assert [row.problems for row in rows] == [[]] * WEEK and year.problems == []
    assert [row.undisturbed.code for row in rows] == [0, 0, 4, 0, 3, 0, 3]
    assert [row.undisturbed.version for row in rows] == [1, 1, 1, 2, 2, 3, 2]
    assert "rolled_back is the same model" in rows[-1].disturbed.sentence
    assert sum(bool(row.disturbed.struck) for row in rows) >= 3
    assert [_text(row) for row in again] == [_text(rows[-1])]  # noted, and not lived


def _without_the_last_row(work: Path, disk: Path | None) -> Year:
    """As if the script was ended when both lives had noted their night and the year had not."""
    nights = work / "nights.jsonl"
    nights.write_text("".join(nights.read_text().splitlines(keepends=True)[:-1]))
    return Year(work, WEEK, 1, disk)


def _text(row: Row) -> str:
    return json.dumps(dataclasses.asdict(row))
