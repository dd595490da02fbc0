"""What the verification leaves beside the exports: the files' names, and what is in them."""

PARITY = "parity.json"
"""A record for every artifact and batch size, see `parity.measure`, with `framework` and
`passed`."""

LATENCY = "latency.json"
"""`Latencies` of all artifacts."""

CURRENT = "current"
"""Whose latencies those of the current release are."""

Latencies = dict[str, dict[str, dict[str, dict[str, float]]]]
"""By whose it is (a framework, or CURRENT), format and batch size: `p50` and `p99` in milliseconds,
and the number of `calls` they are of."""

TOLERANCES = {"float32": 2e-4, "float16": 0.02, "dynamic_int8": 0.05, "int8": 0.05}
"""How far an artifact's answers to the golden images may be from what is known of them. In float32
they are the source model's; in reduced precision another processor's rounding, or another batch
size's, to 256 levels may lead away a little."""


def blank_record(artifact: str) -> dict:
    """A record of an artifact of which nothing is known yet."""
    measured = ("max_difference", "mean_difference", "agreement", "accuracy", "source_accuracy")
    unknown = (*measured, "sha256", "contract", "error")
    return {"artifact": artifact, "images": 0, "bytes": 0} | dict.fromkeys(unknown)
