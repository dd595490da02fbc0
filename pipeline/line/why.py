"""Why a step ran: the file, parameter or artifact that differs from the time before."""

import json
import os

_UNNAMED = dict.fromkeys(("run_id", "provenance"), "the release is checked in every run")


def why_it_ran(
    parameters: dict[str, str],
    before: dict[str, str] | None,
    inputs: dict[str, list[int]],
    inputs_before: dict[str, list[int]],
) -> str:
    """One phrase; `parameters` are the step's as text, `inputs` artifact ids by name.

    A parameter that holds a JSON object is compared field by field, `code` file by file.
    """
    if before is None:
        return "first run"
    reasons = []
    for name in sorted(parameters.keys() | before.keys()):
        if parameters.get(name) != before.get(name) and name not in _UNNAMED:
            reasons += _differences(name, before.get(name), parameters.get(name))
    reasons += [f"new {name}" for name in sorted(inputs) if inputs[name] != inputs_before.get(name)]
    if reasons:
        shown = ", ".join(reasons[:3])
        return shown + (f" and {len(reasons) - 3} more" if len(reasons) > 3 else "")
    for name, phrase in _UNNAMED.items():
        if parameters.get(name) != before.get(name):
            return phrase
    return "its previous output is gone, or beam.args changed"


def _differences(name: str, before: str | None, after: str | None) -> list[str]:
    old, new = _flat(before), _flat(after)
    if old is None or new is None:
        return [f"{name} {_change(before, after)}"]
    phrases = []
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) == new.get(key):
            continue
        leaf = key.removeprefix("code.")
        if name == "code" or leaf != key:
            verb = "added" if key not in old else "no longer used" if key not in new else "changed"
            phrases.append(f"{leaf} {verb}")
        else:
            phrases.append(f"{name}.{key} {_change(old.get(key), new.get(key))}")
    return phrases


def _flat(text: str | dict | None, prefix: str = "") -> dict[str, object] | None:
    """A JSON object's leaves by dotted name; None when `text` is not a JSON object."""
    try:
        value = json.loads(text) if isinstance(text, str) else text
    except json.JSONDecodeError:
        return None
    if not isinstance(value, dict):
        return None
    leaves: dict[str, object] = {}
    for key, item in value.items():
        nested = _flat(item, f"{prefix}{key}.") if isinstance(item, (dict, str)) else None
        leaves |= nested if nested is not None else {f"{prefix}{key}": item}
    return leaves


def _change(before: object, after: object) -> str:
    """Before and after in some 30 characters each; of long ones, the part that differs."""
    texts = [value if isinstance(value, str) else json.dumps(value) for value in (before, after)]
    same = len(os.path.commonprefix(texts))
    return " -> ".join(_short(text, same) or "(none)" for text in texts)


def _short(text: str, same: int) -> str:
    start = max(0, same - 8) if len(text) > 30 else 0
    cut = text[start : start + 30]
    return ("..." if start else "") + cut + ("..." if start + 30 < len(text) else "")
