"""The data gate: whether what was ingested may be trained on, judged by the accounting."""

from pydantic import Field

from components.base.config import Slice
from components.gates.result import GateResult


class DataGateConfig(Slice):
    """What the ingested images must be like before anything is trained on them."""

    max_quarantined: float = Field(0.01, ge=0, le=1, description="share of unreadable files")
    min_per_class: int = Field(1, ge=1, description="images of each class in each split")
    max_label_drift: float = Field(
        0.2, ge=0, le=1, description="change of a class's share of a split since the release"
    )
    max_drift: float = Field(
        0.25,
        ge=0,
        le=1,
        description="Jensen-Shannon divergence of brightness, contrast and size since the release",
    )
    max_relabelled: float = Field(
        0.01,
        ge=0,
        le=1,
        description="share of the images that the release knows, which have another class now",
    )


def check_accounting(accounting: dict, config: DataGateConfig) -> list[GateResult]:
    """The gates on counts: quarantined share, and images per class and split."""
    read, bad = accounting["read"], accounting["quarantined"]
    share = bad / read
    results = [
        GateResult(
            name="quarantined",
            expected=f"at most {config.max_quarantined:.2%} of the files "
            "(data_gate.max_quarantined)",
            received=f"{share:.2%} ({bad} of {read})",
            passed=share <= config.max_quarantined,
            threshold=config.max_quarantined,
            value=share,
            key="data_gate.max_quarantined",
        )
    ]
    unknown = accounting["without_class"]
    results.append(
        GateResult(
            name="labels",
            expected="a class of the source's list for every image",
            received=f"{unknown} without" if unknown else "all",
            passed=not unknown,
        )
    )
    return [*results, _images_per_class(accounting["splits"], config.min_per_class)]


def _images_per_class(splits: dict[str, dict[str, int]], least: int) -> GateResult:
    """Whether each class has `least` images in each split; names all that have not, with their
    counts."""
    short = [
        f"{name!r} ({', '.join(f'{counts[name]} {split}' for split, counts in splits.items())})"
        for name in splits["train"]
        if any(counts[name] < least for counts in splits.values())
    ]
    fewest = min(count for counts in splits.values() for count in counts.values())
    advice = (
        f"give each {3 * least} different images or more, and where the source has splits itself "
        f"{least} in each; or take it out"
    )
    if 0 < fewest < least:
        advice += f", or set data_gate.min_per_class={fewest}"
    classes = f"{len(short)} {'class' if len(short) == 1 else 'classes'}"
    return GateResult(
        name="images_per_class",
        expected=f"at least {least} of each class in {', '.join(splits)}"
        + (f" ({advice})" if short else ""),
        received=f"too small for {classes}: {', '.join(short)}" if short else f"{fewest} or more",
        passed=not short,
        threshold=least,
        value=fewest,
        key="data_gate.min_per_class",
    )
