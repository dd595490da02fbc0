"""What a gate of verdict.json says in words: of what it is, and which setting to change.

Rows of earlier versions lack keys that later ones have.
"""

import re

_SETTING = re.compile(r"\b(?:gates|data_gate|export|evaluate|data)\.[a-z_0-9]+\b")


def subject(gate: dict) -> str:
    """What was judged: `keras`, `keras tflite`, or `the data`."""
    return " ".join(part for part in (gate.get("model"), artifact(gate)) if part) or "the data"


def artifact(gate: dict) -> str:
    """The format, without the batch size that it was judged at."""
    return (gate.get("artifact") or "").partition(" (")[0]


def title(gate: dict, *others: dict) -> str:
    """`accuracy of keras`, with what it is restricted to and, of an artifact, its batch size;
    `others` are the same gate at other batch sizes."""
    words = f"{gate['name'].replace('_', ' ')} of {subject(gate)}"
    scopes = [gate.get("scope")]
    scopes += [(g.get("artifact") or "").partition(" (")[2].rstrip(")") for g in (gate, *others)]
    said = ", ".join(scope for scope in scopes if scope)
    return f"{words} ({said})" if said else words


def settings(gate: dict) -> list[str]:
    """The keys of the configuration that the expectation is from, the first of them its own."""
    own = [gate["key"]] if gate.get("key") else []
    return list(dict.fromkeys([*own, *_SETTING.findall(gate["expected"])]))
