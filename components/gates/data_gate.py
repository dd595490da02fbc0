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
    for split, counts in accounting["splits"].items():
        name, least = min(counts.items(), key=lambda item: item[1])
        results.append(
            GateResult(
                name=f"images_per_class_{split}",
                expected=f"at least {config.min_per_class} of each class in {split} (add images, "
                "or change data.val_fraction, data.test_fraction or data_gate.min_per_class)",
                received=f"{least} of class {name!r}",
                passed=least >= config.min_per_class,
                threshold=config.min_per_class,
                value=least,
                key="data_gate.min_per_class",
            )
        )
    return results
