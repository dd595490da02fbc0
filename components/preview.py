"""The preview: a contact sheet of originals beside what the policies make of them, per class."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from components import atomic
from components.arrays import ImageArrays, Split
from components.network import FRAMEWORKS
from components.policy import Policy
from components.process import run_module
from pipeline.config import AugmentConfig

CLASSES, VARIANTS = 10, 8
_TILE, _GAP, _NAME = (
    96,
    4,
    180,
)  # pixels: enlarged side, between two, widest name
_TEXT = 14


def write_preview(arrays: ImageArrays, config: AugmentConfig, work: Path, output: Path) -> None:
    """Writes the PNG `output`: of the first ten classes one training image each, and what eight
    draws of the policy make of it.

    Each policy runs in its framework's own process, with its files in `work`; where both are the
    same, PyTorch, which starts faster, speaks for both. Raises StepFailed when one of them fails.
    """
    split = arrays.split("train")
    present = np.unique(split.labels)
    rows = np.array([np.flatnonzero(split.labels == label)[0] for label in present[:CLASSES]])
    work.mkdir(parents=True, exist_ok=True)
    np.save(work / "rows.npy", rows.repeat(VARIANTS))
    same = config.keras == config.torch
    blocks = {}
    for framework in ("torch",) if same else FRAMEWORKS:
        policy: Policy = getattr(config, framework)
        arguments = {
            "arrays": str(arrays.directory),
            "rows": str(work / "rows.npy"),
            "policy": [operation.model_dump() for operation in policy],
            "keep_margin": False,
            "output": str(work / framework),
        }
        run_module(f"components.{framework}_copies", arguments, work)
        variants = Split(arrays.spec, work / framework).packed(np.arange(len(rows) * VARIANTS))
        title = {"keras": "Keras", "torch": "PyTorch"}[framework]
        title = "Both frameworks (drawn by PyTorch)" if same else title
        blocks[f"{title}: {describe(policy)}"] = variants.reshape(
            len(rows), VARIANTS, *variants.shape[1:]
        )
    names = {label: arrays.labels[label] for label in split.labels[rows].tolist()}
    sheet = contact_sheet(names, split.images(rows), blocks, len(arrays.labels))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    atomic.write(output, buffer.getvalue())


def describe(policy: Policy) -> str:
    """A policy in words: `flip, pad_crop 4, brightness 0.2`."""
    operations = [" ".join(map(str, operation.model_dump().values())) for operation in policy]
    return ", ".join(operations) or "no augmentation"


def contact_sheet(
    names: dict[int, str], originals: np.ndarray, blocks: dict[str, np.ndarray], classes: int
) -> Image.Image:
    """Under each heading of `blocks` a row per class: its name, its original, its variants.

    `names` are those of K labels, `originals` is uint8 (K, H, W, C), each block uint8
    (K, variants, H, W, C). Where there are more `classes` than the K shown, the sheet says so.
    """
    factor = max(1, _TILE // max(originals.shape[1:3]))
    height, width = (side * factor for side in originals.shape[1:3])
    labels = [_fitted(label, name) for label, name in names.items()]
    left = 16 + max(round(font.getlength(text)) for text, font in labels)
    heading = _TEXT + 14
    block_height = heading + len(names) * (height + _GAP)
    columns = 1 + next(iter(blocks.values())).shape[1]
    note = f"{len(names)} of {classes} classes" if len(names) < classes else ""
    title_font = ImageFont.truetype(_default_font(), _TEXT)
    # The original stands apart from its variants by a gap more.
    across = left + columns * (width + _GAP) + 2 * _GAP
    across = max(across, *(16 + round(title_font.getlength(text)) for text in blocks))
    sheet = Image.new(
        "RGB", (across, len(blocks) * block_height + (heading if note else 0)), "white"
    )
    draw = ImageDraw.Draw(sheet)
    for block, (title, variants) in enumerate(blocks.items()):
        top = block * block_height
        draw.text((8, top + heading // 2), title, "black", title_font, "lm")
        for row, (text, font) in enumerate(labels):
            y = top + heading + row * (height + _GAP)
            draw.text((8, y + height // 2), text, "black", font, "lm")
            for column, pixels in enumerate([originals[row], *variants[row]]):
                x = left + column * (width + _GAP) + (2 * _GAP if column else 0)
                sheet.paste(_tile(pixels, (width, height)), (x, y))
    if note:
        draw.text((8, sheet.height - heading // 2), note, "black", title_font, "lm")
    return sheet


def _tile(pixels: np.ndarray, size: tuple[int, int]) -> Image.Image:
    grey = pixels.shape[-1] == 1
    return Image.fromarray(pixels[..., 0] if grey else pixels).resize(
        size, Image.Resampling.NEAREST
    )


def _fitted(label: int, name: str) -> tuple[str, ImageFont.FreeTypeFont]:
    """A class's name, its middle left out where it is too wide, and a font that has its letters;
    where no font has them, its number."""
    path = _font_for(f"{name}…")
    if path is None:
        name, path = f"class {label}", _default_font()
    font = ImageFont.truetype(path, _TEXT)
    kept = len(name)
    text = name
    while font.getlength(text) > _NAME:
        kept -= 1
        text = f"{name[: kept - kept // 2]}…{name[len(name) - kept // 2 :]}"
    return text, font


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
