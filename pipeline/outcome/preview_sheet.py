"""The preview: a contact sheet of originals beside what the policies make of them, per class."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from components.augmentation.copies import CopyArgs
from components.augmentation.policy import AugmentConfig, Policy
from components.base import atomic
from components.base.frameworks import FRAMEWORKS, IMPORTED
from components.base.process import HOURS, run_module
from components.data.arrays import ImageArrays, Split
from pipeline.outcome.sheet import GAP, TEXT, fitted, font, tile, tile_size

CLASSES, VARIANTS = 10, 8
_TILE = 96  # pixels: longer side of an enlarged image


def write_preview(
    arrays: ImageArrays,
    config: AugmentConfig,
    work: Path,
    output: Path,
    frameworks: tuple[str, ...] = FRAMEWORKS,
) -> None:
    """Writes the PNG `output`: of the first ten classes one training image each, and what eight
    draws of the policy make of it.

    The policy of each of `frameworks` runs in a process of that one's own, with its files in
    `work`; where both are the same, PyTorch, which starts faster, speaks for both. Raises
    StepFailed when one of them fails.
    """
    split = arrays.split("train")
    present = np.unique(split.labels)
    rows = np.array([np.flatnonzero(split.labels == label)[0] for label in present[:CLASSES]])
    work.mkdir(parents=True, exist_ok=True)
    np.save(work / "rows.npy", rows.repeat(VARIANTS))
    same = len(frameworks) > 1 and config.keras == config.torch
    blocks = {}
    for framework in ("torch",) if same else frameworks:
        policy: Policy = getattr(config, framework)
        arguments = CopyArgs(
            arrays=arrays.directory,
            rows=work / "rows.npy",
            policy=policy,
            keep_margin=False,
            output=work / framework,
        )
        module = f"components.augmentation.{framework}_copies"
        run_module(module, arguments, work, seconds=HOURS, imports=IMPORTED[framework])
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
    """A policy in words: `flip, pad_crop 4, brightness 0.2`; what is as by default goes unsaid."""
    operations = []
    for operation in policy:
        given = operation.model_dump(exclude_defaults=True).values()
        operations.append(" ".join([operation.kind, *map(str, given)]))
    return ", ".join(operations) or "no augmentation"


def contact_sheet(
    names: dict[int, str], originals: np.ndarray, blocks: dict[str, np.ndarray], classes: int
) -> Image.Image:
    """Under each heading of `blocks` a row per class: its name, its original, its variants.

    `names` are those of K labels, `originals` is uint8 (K, H, W, C), each block uint8
    (K, variants, H, W, C). Where there are more `classes` than the K shown, the sheet says so.
    """
    width, height = size = tile_size(originals.shape[1:3], _TILE)
    labels = [fitted(label, name) for label, name in names.items()]
    left = 16 + max(round(letters.getlength(text)) for text, letters in labels)
    heading = TEXT + 14
    block_height = heading + len(names) * (height + GAP)
    columns = 1 + next(iter(blocks.values())).shape[1]
    note = f"{len(names)} of {classes} classes" if len(names) < classes else ""
    title_font = font(TEXT)
    # The original stands apart from its variants by a gap more.
    across = left + columns * (width + GAP) + 2 * GAP
    across = max(across, *(16 + round(title_font.getlength(text)) for text in blocks))
    sheet = Image.new(
        "RGB", (across, len(blocks) * block_height + (heading if note else 0)), "white"
    )
    draw = ImageDraw.Draw(sheet)
    for block, (title, variants) in enumerate(blocks.items()):
        top = block * block_height
        draw.text((8, top + heading // 2), title, "black", title_font, "lm")
        for row, (text, letters) in enumerate(labels):
            y = top + heading + row * (height + GAP)
            draw.text((8, y + height // 2), text, "black", letters, "lm")
            for column, pixels in enumerate([originals[row], *variants[row]]):
                x = left + column * (width + GAP) + (2 * GAP if column else 0)
                sheet.paste(tile(pixels, size), (x, y))
    if note:
        draw.text((8, sheet.height - heading // 2), note, "black", title_font, "lm")
    return sheet
