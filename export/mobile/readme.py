"""What the bundle says of itself."""

from export.mobile.facts import Facts


def mark(name: str) -> str:
    """The first line of a bundle's README.md, by which it is known again."""
    return f"<!-- A bundle of {name!r} by `python -m export.mobile`. Renewing it removes edits. -->"


def readme(facts: Facts, samples: list[str]) -> str:
    """README.md."""
    del samples
    return f"{mark(facts.name)}\n# {facts.name}\n"
