"""Why a step ran: the file, parameter or artifact that differs from the time before."""

import json
import os

IMAGES = "fingerprint"
"""Ingest's parameter that says what the images are."""

_OF_IMAGES = ("anomalies", "arrays", "corrupted", "examples", "plan", "report", "schema",
              "statistics", "transform_graph")  # fmt: skip
"""Inputs that are other ones whenever the images are."""

_UNNAMED = dict.fromkeys(("run_id", "provenance"), "the release is checked in every run")


def why_it_ran(
    parameters: dict[str, str],
    before: dict[str, str] | None,
    inputs: dict[str, list[int]],
    inputs_before: dict[str, list[int]],
    images: str = "",
    inferred: frozenset[str] = frozenset(),
) -> str:
    """One phrase; `parameters` are the step's as text, `inputs` artifact ids by name.

    A parameter that holds a JSON object is compared field by field, `code` file by file. `images`
    says what became of the images since, where they are other ones in this run; `inferred` are the
    parameters' fields that follow from the images.
    """
    if before is None:
        return "first run"
    reasons: list[str] = []
    moved: list[str] = []
    for name in sorted(parameters.keys() | before.keys()):
        if parameters.get(name) == before.get(name) or name in _UNNAMED:
            continue
        if name == IMAGES:
            reasons.append(images or "other images")
            continue
        for key, phrase in _differences(name, before.get(name), parameters.get(name)):
            own = {key, f"model.{key}"}  # steps are given the network's name alone
            (moved if own & inferred else reasons).append(phrase)
    new = [name for name in sorted(inputs) if inputs[name] != inputs_before.get(name)]
    if images and any(name in _OF_IMAGES for name in new):
        reasons.append("new images")
        new = [name for name in new if name not in _OF_IMAGES]
    reasons += [f"new {name}" for name in new]
    reasons += [f"no {name}" for name in sorted(inputs_before.keys() - inputs.keys())]
    if moved:
        moved[0] = f"inferred from the images: {moved[0]}"
    reasons += moved
    if reasons:
        shown = ", ".join(reasons[:3])
        return shown + (f" and {len(reasons) - 3} more" if len(reasons) > 3 else "")
    for name, phrase in _UNNAMED.items():
        if parameters.get(name) != before.get(name):
            return phrase
    return "its previous output is gone, or beam.args changed"


def _differences(name: str, before: str | None, after: str | None) -> list[tuple[str, str]]:
    """(the field's dotted name, how it differs) of each."""
    old, new = _flat(before), _flat(after)
    if old is None or new is None:
        return [(name, f"{name} {_change(before, after)}")]
    phrases = []
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) == new.get(key):
            continue
        leaf = key.removeprefix("code.")
        if name == "code" or leaf != key:
            verb = "added" if key not in old else "no longer used" if key not in new else "changed"
            phrases.append((leaf, f"{leaf} {verb}"))
        else:
            key_name = f"{name}.{key}".replace("custom_config.image_spec.", "image.")
            phrases.append((key_name, f"{key_name} {_change(old.get(key), new.get(key))}"))
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
