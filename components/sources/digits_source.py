"""scikit-learn's bundled digits as a source: nothing to download."""

import hashlib
import importlib.util
import io
from collections.abc import Iterator
from pathlib import Path

from components.sources.source import RawImage, Stamp


class DigitsSource:
    """scikit-learn's bundled handwritten digits: 1,797 grey images of 8x8, ten classes."""

    labels = tuple("0123456789")
    splits: frozenset[str] = frozenset()
    ignored: tuple[str, ...] = ()
    listed = Stamp()

    def fingerprint(self) -> str:
        """SHA-256 of the bundled file."""
        # The library is found, not imported, which takes seconds.
        library = importlib.util.find_spec("sklearn")
        assert library is not None and library.origin is not None, "it is in the lock"
        bundled = Path(library.origin).parent / "datasets" / "data" / "digits.csv.gz"
        return hashlib.sha256(bundled.read_bytes()).hexdigest()

    def take(self, fingerprint: str) -> None:
        """Nothing to remember: the file is a part of the installation."""

    def still(self, fingerprint: str) -> bool:
        return True

    def chunks(self) -> list[dict]:
        return [{"start": s, "stop": min(s + 600, 1797)} for s in range(0, 1797, 600)]

    def read(self, chunk: dict, max_bytes: int) -> Iterator[RawImage]:
        import numpy as np
        from PIL import Image
        from sklearn.datasets import load_digits

        digits = load_digits()
        for row in range(chunk["start"], chunk["stop"]):
            pixels = np.round(digits.images[row] * (255 / 16)).astype(np.uint8)
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG")
            yield RawImage(f"digits/{row}", buffer.getvalue(), int(digits.target[row]), None)
