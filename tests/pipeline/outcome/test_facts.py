"""What the report's tables say of a verdict."""

from pipeline.outcome.facts import steps


def test_a_step_has_its_time_and_its_memory_as_far_as_they_were_measured():
    table = steps(
        {
            "steps": [
                {"name": "ingest", "seconds": 1.25, "cached": False, "why": "older"},
                {"name": "train", "seconds": 9.0, "peak_memory": 2 * 10**9, "cached": False,
                 "why": "new"},
                {"name": "push", "seconds": 0.1, "peak_memory": 10**9, "cached": True, "why": "-"},
            ]
        }
    )  # fmt: skip
    assert table.head == ("step", "time", "peak memory", "why it ran")
    assert table.rows == [
        ("ingest", "1.2 s", "", "older"),
        ("train", "9.0 s", "2,000.0 MB", "new"),
        ("push", "cached", "", "-"),
    ]
    assert steps({"steps": []}) is None
