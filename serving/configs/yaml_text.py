"""YAML for people and machines, of mappings, lists, text, whole numbers and truth values.

The slim install has no YAML library; this writes the small part that generated files need. Whatever
might be read as something other than the text that it is, is quoted, in ASCII.
"""

import re
from collections.abc import Mapping, Sequence

Value = Mapping[str, "Value"] | Sequence["Value"] | str | int | bool

_PLAIN = re.compile(r"(--)?[A-Za-z/][A-Za-z0-9_=./-]*")
_NO_TEXT = {"true", "false", "yes", "no", "on", "off", "y", "n", "null"}
"""What YAML 1.1 or 1.2 takes for something else, in whatever case."""
_BLOCK = re.compile(r"([!-~][ -~]*\n)([ -~]*\n)*([ -~]*[!-~]\n)|[!-~][ -~]*\n")
"""Lines of ASCII that neither begin with a space nor end with an empty line."""


def documents(comment: str, *values: Mapping[str, Value]) -> str:
    """A file of these documents, below a comment of one or more lines."""
    head = "".join(f"# {line}\n" for line in comment.splitlines())
    return head + "---\n".join(_mapping(value, "") for value in values)


def _mapping(value: Mapping[str, Value], indent: str) -> str:
    return "".join(f"{indent}{_scalar(key)}:{_after(item, indent)}" for key, item in value.items())


def _after(value: Value, indent: str) -> str:
    """What stands behind a key, and the lines below it."""
    deeper = indent + "  "
    if isinstance(value, Mapping) and value:
        return "\n" + _mapping(value, deeper)
    if isinstance(value, str) and value.count("\n") > 1 and _BLOCK.fullmatch(value):
        lines = value.splitlines()
        return " |\n" + "".join(f"{deeper}{line}\n" if line else "\n" for line in lines)
    if isinstance(value, Sequence) and not isinstance(value, str) and value:
        return "\n" + "".join(_item(item, deeper) for item in value)
    return f" {_scalar(value)}\n"


def _item(value: Value, indent: str) -> str:
    if isinstance(value, Mapping) and value:  # its first key stands behind the dash
        return f"{indent}- {_mapping(value, indent + '  ').lstrip(' ')}"
    if isinstance(value, Sequence) and not isinstance(value, str) and value:
        inner = "".join(_item(item, indent + "  ") for item in value)
        return f"{indent}- {inner.lstrip(' ')}"
    return f"{indent}- {_scalar(value)}\n"


def _scalar(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _NO_TEXT
        return value if plain else quoted(value)
    return "[]" if isinstance(value, Sequence) else "{}"


def quoted(text: str) -> str:
    """A double-quoted scalar, also where JSON's escapes are no YAML (characters beyond 16 bits)."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if " " <= character <= "~" else f"\\U{ord(character):08x}"
