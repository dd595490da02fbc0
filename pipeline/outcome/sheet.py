"""What contact sheets are drawn with: enlarged or reduced images, and text that fits."""

import functools
from pathlib import Path

import numpy as np
from PIL import Image, ImageFont

GAP, NAME = 4, 180  # pixels: between two images, widest name of a class
TEXT = 14  # pixels, a font's size


def tile_size(shape: tuple[int, int], longest: int, shrink: bool = False) -> tuple[int, int]:
    """(width, height) in pixels at which images of `shape` (H, W) are shown: enlarged by the
    largest whole factor at which the longer side is at most `longest`; larger ones as they are, or
    reduced to `longest` with `shrink`."""
    height, width = shape
    factor = longest // max(shape)
    if factor == 0 and shrink:
        return max(1, width * longest // max(shape)), max(1, height * longest // max(shape))
    return width * max(1, factor), height * max(1, factor)


def tile(pixels: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """uint8 (H, W, 1 or 3) at `size`: single pixels stay visible when enlarged."""
    grey = pixels.shape[-1] == 1
    image = Image.fromarray(pixels[..., 0] if grey else pixels)
    reduced = size[0] < image.width
    return image.resize(size, Image.Resampling.LANCZOS if reduced else Image.Resampling.NEAREST)


def fitted(
    label: int, name: str, width: float = NAME, size: int = TEXT
) -> tuple[str, ImageFont.FreeTypeFont]:
    """A class's name, its middle left out where it is wider than `width` pixels, and a font that
    has its letters; where no font has them, its number."""
    path = _font_for(f"{name}…")
    if path is None:
        name, path = f"class {label}", _default_font()
    letters = ImageFont.truetype(path, size)
    kept = len(name)
    text = name
    while letters.getlength(text) > width and kept:
        kept -= 1
        text = f"{name[: kept - kept // 2]}…{name[len(name) - kept // 2 :]}"
    return text, letters


def font(size: int) -> ImageFont.FreeTypeFont:
    """The font of headings."""
    return ImageFont.truetype(_default_font(), size)


@functools.cache
def _font_for(text: str) -> str | None:
    """The first font that has every letter of `text`: matplotlib's own, then the system's."""
    from matplotlib import font_manager, ft2font

    needed = set(map(ord, text))
    if needed <= ft2font.FT2Font(_default_font()).get_charmap().keys():
        return _default_font()
    for path in sorted(font_manager.findSystemFonts()):
        try:
            if needed <= ft2font.FT2Font(path).get_charmap().keys():
                return path
        except RuntimeError:  # a font that FreeType cannot open
            continue
    return None


def _default_font() -> str:
    """DejaVu Sans, which comes with matplotlib: Latin, Greek, Cyrillic, Arabic and more."""
    import matplotlib

    return str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))
