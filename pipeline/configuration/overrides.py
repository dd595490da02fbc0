"""`key=value` on the command line and in files: a configuration as text, and text over one."""

import difflib
import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, SecretStr, ValidationError

from components.base.config import Slice
from components.base.refusal import ConfigError


def leaves(config: BaseModel, prefix: str = "") -> dict[str, Any]:
    """Dotted names to values, e.g. `{'train.epochs': 5, ...}`, in order of declaration."""
    found: dict[str, Any] = {}
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            found |= leaves(value, f"{prefix}{name}.")
        else:
            found[prefix + (field.alias or name)] = value
    return found


def as_arguments(config: BaseModel) -> list[str]:
    """Every key with its value, `['train.epochs=5', ...]`, in the form that `run` takes; without
    secrets, which are written nowhere."""
    lines = []
    for key, value in leaves(config).items():
        if isinstance(value, SecretStr):
            continue
        if isinstance(value, (tuple, dict)):
            items = [v.model_dump() if hasattr(v, "model_dump") else v for v in value]
            value = json.dumps(items if isinstance(value, tuple) else value)
        lines.append(f"{key}={'null' if value is None else value}")
    return lines


def parse_overrides(arguments: list[str]) -> dict[str, str]:
    """`['train.epochs=5']` to `{'train.epochs': '5'}`; `@FILE` stands for the lines of a file.

    Later arguments win. Raises ConfigError on anything else.
    """
    pairs: dict[str, str] = {}
    for argument in arguments:
        if argument.startswith("@"):
            pairs |= _override_file(argument[1:])
            continue
        key, equals, value = argument.partition("=")
        if not equals:
            raise ConfigError(f"{argument!r} is not an override: expected key=value.")
        pairs[key.strip()] = value
    return pairs


def _override_file(path: str) -> dict[str, str]:
    """The overrides in a file, one per line; empty lines and those that begin with # are none."""
    try:
        lines = Path(path).expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"@{path}: the file of overrides cannot be read ({reason}): expected one key=value "
            "per line."
        ) from error
    pairs: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        key, equals, value = line.strip().partition("=")
        if not key and not equals or key.startswith("#"):
            continue
        if not equals:
            raise ConfigError(
                f"@{path}, line {number}: {line.strip()!r} is not an override: expected key=value."
            )
        pairs[key.strip()] = value
    return pairs


Configuration = TypeVar("Configuration", bound=Slice)


def override(config: Configuration, pairs: dict[str, str]) -> Configuration:
    """`config`, a RunConfig or part of one, with the dotted keys of `pairs` replaced; lists and
    objects are written as JSON.

    Raises ConfigError for an unknown key (naming the closest one) or a value that does not fit.
    """
    known = leaves(config)
    values = config.model_dump()
    for key, text in pairs.items():
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
            raise ConfigError(
                f"Unknown key {key!r}: did you mean {close[0]!r}? "
                "`python -m pipeline show PRESET` lists every key."
            )
        _put(values, key, text)
    return validated(values, type(config))


def restored(kind: type[Configuration], settings: dict[str, str]) -> Configuration:
    """What `as_arguments` wrote, and `parse_overrides` read, of a configuration of that kind, which
    may be part of what was written. Keys that are no longer known are left out, those that are
    missing have their defaults. Raises ConfigError for a value that does not fit."""
    values: dict[str, Any] = {}
    for key, text in settings.items():
        section = kind.model_fields.get(key.partition(".")[0])
        own = getattr(section, "annotation", None)
        if key.partition(".")[2] in getattr(own, "model_fields", ()):
            _put(values, key, text)
    return validated(values, kind)


def _put(values: dict, key: str, text: str) -> None:
    *parents, leaf = key.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
    values[leaf] = _value(text)


def _value(text: str) -> Any:
    if text[:1] in "[{" and text:
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(f"{text!r} is not valid JSON: {error}.") from error
    return None if text == "null" else text


def validated(values: dict, kind: type[Configuration]) -> Configuration:
    """The configuration of that kind from values or slices. Raises ConfigError naming the key,
    value and rule."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        rule = first["msg"].removeprefix("Value error, ").replace("a valid tuple", "a list")
        end = "" if rule.endswith("?") else "."
        raise ConfigError(f"Bad value for {key}: {first['input']!r}: {rule}{end}") from error
