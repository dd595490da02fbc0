"""What is still needed of earlier runs and of their artifacts."""

from pipeline.operation.retention import (
    Execution,
    KeptRun,
    needed_executions,
    outdated_runs,
)


def kept(run_id: str, name: str = "a", judged: bool = True, repeated: bool = False) -> KeptRun:
    return KeptRun(run_id, name, judged, repeated)


def test_the_newest_runs_of_each_name_stay():
    runs = [kept("1"), kept("2", "b"), kept("3"), kept("4"), kept("5"), kept("6", "b")]
    assert outdated_runs(runs, 2, set()) == ["1", "3"]
    assert outdated_runs(runs, 2, {"1"}) == ["3"]
    assert outdated_runs(runs, 10, set()) == []


def test_nights_without_anything_new_do_not_push_out_what_was_measured():
    runs = [kept("1"), kept("2"), *(kept(str(n), repeated=True) for n in range(3, 9))]
    assert outdated_runs(runs, 2, set()) == ["3", "4", "5", "6"]


def test_killed_runs_do_not_push_out_the_verdict_that_the_next_one_asks_for():
    runs = [kept("1"), kept("2", repeated=True), *(kept(str(n), judged=False) for n in range(3, 7))]
    assert outdated_runs(runs, 1, set()) == ["3", "4", "5"]


def execution(number: int, step: str, run: int, *outputs: int, state: str = "made", **more):
    return Execution(
        number, f"line.{step}", run, state != "failed", state == "made", frozenset(outputs), **more
    )


RUNS = [
    execution(1, "ingest", 1, 101), execution(2, "train", 1, 102),
    execution(3, "push", 1, 103, run_id="first"),
    execution(4, "ingest", 2, 104), execution(5, "train", 2, 105),
    execution(6, "ingest", 3, 104, state="cached"), execution(7, "train", 3, 107),
    execution(8, "ingest", 4, 108), execution(9, "train", 4, 109, state="failed"),
]  # fmt: skip


def test_the_newest_runs_and_each_steps_newest_success_are_needed():
    artifacts, executions = needed_executions(RUNS, 1, set(), set())
    # Run 4 as it is, the training before the one that failed, the only push.
    assert artifacts == {108, 109, 107, 103} and executions == {8, 9, 7, 3}


def test_what_a_needed_run_took_over_is_needed_and_so_is_how_it_was_made():
    artifacts, executions = needed_executions(RUNS, 2, set(), set())
    assert artifacts == {108, 109, 104, 107, 103}
    assert executions == {8, 9, 6, 7, 3, 4}  # 4 made what 6 took over


def test_a_released_runs_artifacts_are_needed_whatever_came_after():
    artifacts, _ = needed_executions(RUNS, 1, {"first"}, set())
    assert artifacts == {108, 109, 107, 101, 102, 103}


def test_pipelines_take_nothing_from_each_other():
    other = [Execution(n, "other.ingest", n, True, True, frozenset({n})) for n in range(10, 20)]
    artifacts, _ = needed_executions([*RUNS, *other], 1, set(), set())
    assert artifacts == {108, 109, 107, 103, 19}


def test_a_training_that_was_interrupted_keeps_what_its_checkpoints_belong_to():
    later = [execution(10, "ingest", 5, 110), execution(11, "train", 5, 111)]
    assert 108 not in needed_executions([*RUNS, *later], 1, set(), set())[0]
    artifacts, _ = needed_executions([*RUNS, *later], 1, set(), {"line.train"})
    assert artifacts == {110, 111, 103, 108, 109}
