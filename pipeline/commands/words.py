"""The words of a command: names, and `key=value` in the form that `run` takes."""

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from components.base.refusal import ConfigError

_KEY = re.compile(r"([a-z][a-z_.]*)=(.*)", re.DOTALL)
"""A path in which there is an equals sign has a slash before it."""


def apart(words: Iterable[str]) -> tuple[list[str], list[str]]:
    """Names, and words of the form key=value or @FILE."""
    names: list[str] = []
    settings: list[str] = []
    for word in words:
        (settings if _KEY.fullmatch(word) or word.startswith("@") else names).append(word)
    return names, settings


def taken(words: Iterable[str], *keys: str) -> tuple[list[str], dict[str, str]]:
    """The words that are none of `keys`, and what those are set to; the last one wins."""
    rest, values = [], {}
    for word in words:
        found = _KEY.fullmatch(word)
        if found and found[1] in keys:
            values[found[1]] = found[2]
        else:
            rest.append(word)
    return rest, values


def named(words: Iterable[str], *keys: str) -> tuple[list[str], dict[str, str]]:
    """As `taken`, of a command that knows no other keys.

    Raises ConfigError for another key, with the closest.
    """
    rest, values = taken(words, *keys)
    for word in rest:
        if found := _KEY.fullmatch(word):
            (close,) = difflib.get_close_matches(found[1], keys, n=1, cutoff=0.0)
            raise ConfigError(
                f"Unknown key {found[1]!r} in {word!r}: did you mean {close}=? Expected "
                f"{', '.join(f'{key}=' for key in keys)}."
            )
    return rest, values


def nothing_else(names: Sequence[str], *keys: str) -> None:
    """Raises ConfigError where a command got names that it has no use for."""
    if names:
        keyed = " and ".join(f"{key}=..." for key in keys)
        raise ConfigError(f"{names[0]!r} is not expected here: this command takes {keyed} only.")


def one(names: Sequence[str], what: str) -> str:
    """The one name of a command. Raises ConfigError where there are none, or several."""
    if len(names) != 1:
        told = ", ".join(names) or "none"
        raise ConfigError(f"Expected one name of {what}, received {len(names)} ({told}).")
    return names[0]


def root_of(values: dict[str, str]) -> Path:
    """The output root that `root=PATH` names, `out` without it. Raises ConfigError where it is
    empty."""
    root = values.get("root", "out")
    if not root:
        raise ConfigError("Bad value for root: '': expected root=PATH.")
    return Path(root).expanduser()


def whole_number(values: dict[str, str], key: str, default: int) -> int:
    """The value of `key`, 1 or more. Raises ConfigError for anything else."""
    text = values.get(key, str(default))
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ConfigError(f"Bad value for {key}: {text!r}: expected a whole number, 1 or more.")
    return int(text)


def refuse_option(arguments: Iterable[str], *keys: str) -> None:
    """Raises ConfigError for `--root PATH` and the like, which are written `root=PATH`."""
    words = iter(arguments)
    for word in words:
        option, equals, value = word.partition("=")
        if option.removeprefix("--") in keys and option.startswith("--"):
            key, value = option.removeprefix("--"), value if equals else next(words, "...")
            raise ConfigError(f"{option} is written as a word: {key}={value}.")
