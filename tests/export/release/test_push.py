"""Which of the verified exports is released, or why none."""

from export.release.push import choose_champion


def test_the_champion_is_the_most_accurate_and_then_the_surest():
    assert (
        choose_champion(
            {"keras": {"accuracy": 0.9, "loss": 0.1}, "torch": {"accuracy": 0.91, "loss": 0.9}}
        )
        == "torch"
    )
    assert (
        choose_champion(
            {"keras": {"accuracy": 0.9, "loss": 0.1}, "torch": {"accuracy": 0.9, "loss": 0.2}}
        )
        == "keras"
    )
