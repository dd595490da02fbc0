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


def blank_record(artifact: str) -> dict:
    """A record of an artifact of which nothing is known yet."""
    unknown = ("max_difference", "agreement", "accuracy", "source_accuracy", "sha256", "error")
    return {"artifact": artifact, "images": 0, "bytes": 0} | dict.fromkeys(unknown)
