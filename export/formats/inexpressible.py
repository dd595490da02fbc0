"""What a format cannot express, in one sentence: which operation of which layer, and what to do.

Converters say it in pages of their own kinds; the operation and its place are somewhere in them.
"""

import re
from collections.abc import Iterator

_CHOICES = {
    "TFLite": "build it of other operations, or leave the format out of export.formats",
    "ONNX": "build it of other operations, as the server and the gates need this format",
}
_PLACE = r"(?P<place>[^\s\"@]+)"
_MISSING = (
    # TFLite's converter.
    (r"\"" + _PLACE + r"@[^\"]*\".*'tf\.(?P<op>\w+)' op is neither", "TFLite"),
    # The checker of ONNX, of what tf2onnx wrote.
    (r"No Op registered for (?P<op>\w+) with.*Name: " + _PLACE + r" OpType", "ONNX"),
    # PyTorch's exporter.
    (r"No ONNX function found for <OpOverload\(op='(?P<op>[^']+)'", "ONNX"),
)
_UNTRACED = re.compile(
    r"following call raised this error:\s*File \"(?P<file>[^\"]+)\", line (?P<line>\d+), in "
    r"\S+\s*(?P<code>[^\n]*)"
)


def sentence(error: BaseException) -> str:
    """Why a model could not be exported, without a full stop: of an operation that the format lacks
    its name, its layer and the choices; of anything else the first line of the message."""
    for message in _messages(error):
        if found := _UNTRACED.search(message):
            return (
                f"{found['file']}, line {found['line']} ({found['code'].strip()}) cannot be part "
                "of a fixed graph, as it depends on the values in the images: choose by "
                "torch.where, or by anything that does not"
            )
        for pattern, name in _MISSING:
            if found := re.search(pattern, message, re.DOTALL):
                place = found.groupdict().get("place")
                where = f"layer {_layer(place)} needs" if place else "the network needs"
                op, choices = found["op"], _CHOICES[name]
                return f"{where} the operation {op}, which {name} does not have: {choices}"
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def _messages(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield str(error)
        error = error.__cause__ or error.__context__


def _layer(place: str) -> str:
    """`odd_1` of `functional_1/odd_1/Betainc`: the last scope is the operation's own name."""
    scopes = place.split("/")
    return scopes[-2] if len(scopes) > 1 else place
