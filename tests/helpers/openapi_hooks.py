"""What Schemathesis must know of our interface that its OpenAPI document cannot say.

A document names the parts of a request, not how one follows from another, and knows no images.
Loaded by Schemathesis itself, see tests/serving/server/test_openapi.py.
"""

import base64
import io

import schemathesis
from hypothesis import strategies
from PIL import Image

LENGTH = "Inference-Header-Content-Length"
PIXELS = 8 * 8


def picture(size: tuple[int, int], mode: str, kind: str) -> bytes:
    """An image file."""
    file = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert(mode).save(file, kind)
    return file.getvalue()


def files(kind: str) -> strategies.SearchStrategy[bytes]:
    side = strategies.integers(1, 12)
    size = strategies.tuples(side, side)
    return strategies.builds(
        picture, size, strategies.sampled_from(["L", "RGB"]), strategies.just(kind)
    )


for name in ("PNG", "JPEG", "GIF", "BMP", "WEBP"):
    schemathesis.openapi.media_type(f"image/{name.lower()}", files(name))
pixels = strategies.binary(min_size=PIXELS, max_size=PIXELS)
schemathesis.openapi.media_type("application/octet-stream", pixels | files("PNG"))
texts = files("PNG").map(base64.b64encode).map(bytes.decode)
schemathesis.openapi.format("byte", texts)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Makes the parts of a valid request fit each other."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if case.operation.path.endswith("/infer"):
        if case.media_type == "application/octet-stream":
            case.headers[LENGTH] = "0"
        else:
            case.headers.pop(LENGTH, None)
    if case.media_type == "application/json" and isinstance(case.body, dict):
        case.body = whole(case.body)
        if case.operation.path.endswith("/infer"):
            tensor = case.body["inputs"][0]
            tensor["shape"], tensor["data"] = fitting(tensor["shape"], tensor["data"])


def whole(value):
    """JSON Schema takes 3.0 for an integer; a model, as other servers do, no float for a pixel."""
    if isinstance(value, dict):
        return {key: whole(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [whole(entry) for entry in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def fitting(shape: list, data: list) -> tuple[list, list]:
    """The shape names as many images as the data holds."""
    if len(shape) == 1 or isinstance(data[0], list):
        return [len(data), *shape[1:]], data
    count = len(data) // PIXELS
    return [count, *shape[1:]], data[: count * PIXELS]
