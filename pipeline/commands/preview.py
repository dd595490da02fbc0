"""`python -m pipeline preview`: what augmentation does to a source's images, without a run.

A few images are read, decoded and packed as the line would, and handed to the same code that draws
a run's `preview.png`; nothing of TFX is loaded.
"""

import tempfile
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from components.base.refusal import ConfigError, DataRefused
from components.data.arrays import ImageArrays
from components.data.pack import write_description, write_shard
from components.networks.architectures import architecture_of
from components.sources.layout import Entry
from components.sources.open_source import listed_once, open_source
from components.sources.source import RawImage, Source
from components.training.trained import trained_frameworks
from pipeline.configuration.config import RunConfig, root_path
from pipeline.configuration.configure import configure
from pipeline.configuration.overrides import parse_overrides
from pipeline.outcome.preview_sheet import CLASSES, write_preview
from pipeline.outcome.terminal import Terminal
from serving.contract.image_spec import ImageSpec, fit_packed
from serving.contract.open_image import Undecodable, open_image

MOST = 10_000
"""Images looked at in search of every class."""
_TRIES = 5  # files of each class, where files are listed with their classes


@listed_once()
def preview(preset: str, arguments: list[str], output: Path | None) -> Path:
    """Writes the contact sheet, to `preview.png` under the output root by default; returns where.

    Raises ConfigError and DataRefused as a run does, StepFailed when a framework fails.
    """
    config = configure(preset, parse_overrides(arguments))
    output = writable_file(output or root_path(config) / "preview.png")
    source, spec = open_source(config.data), ImageSpec(**config.image.model_dump())
    with tempfile.TemporaryDirectory(prefix="darkroom-") as temporary:
        work = Path(temporary)
        with Terminal(work / "log.txt") as terminal:
            terminal.waiting("reading images")
            images = one_per_class(raw_images(source, config), len(source.labels), config, spec)
            terminal.waiting("augmenting")
            labels = np.array(list(images), np.int64)
            batch = np.stack(list(images.values())), labels
            write_shard(work / "arrays" / "train", 0, len(labels), spec, [batch])
            write_description(work / "arrays", spec, list(source.labels))
            architecture = architecture_of(config.model.architecture, len(source.labels))
            trained = trained_frameworks(config.train, architecture)
            write_preview(ImageArrays(work / "arrays"), config.augment, work, output, trained)
    return output


def raw_images(source: Source, config: RunConfig) -> Iterator[RawImage]:
    """Up to `MOST` of a source's images; where files are listed, the first few of each class."""
    max_bytes = int(config.data.max_file_mib * 2**20)
    left, seen = MOST, dict.fromkeys(range(len(source.labels)), 0)
    for chunk in source.chunks():
        if "files" in chunk:
            chunk = {"files": _first_of_each(chunk["files"], seen)}
        for raw in source.read(chunk, max_bytes):
            yield raw
            left -= 1
            if not left:
                return


def _first_of_each(files: list, seen: dict[int, int]) -> list:
    kept = []
    for file in files:
        entry = Entry(*file)
        if not entry.problem and seen.get(entry.label, _TRIES) < _TRIES:
            seen[entry.label] += 1
            kept.append(file)
    return kept


def one_per_class(
    raws: Iterable[RawImage], classes: int, config: RunConfig, spec: ImageSpec
) -> dict[int, np.ndarray]:
    """Label to the first good image of that class, uint8 of `spec.packed_shape`, for the first ten
    classes that have any; ends as soon as it has those.

    Raises DataRefused when there is none.
    """
    found: dict[int, np.ndarray] = {}
    for raw in raws:
        if raw.label < 0 or raw.label in found or not raw.data:
            continue
        if len(found) == CLASSES and raw.label > max(found):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                image, _ = open_image(raw.data, config.data.max_megapixels)
                found[raw.label] = fit_packed(image, spec)
        except Undecodable:
            continue
        if len(found) > CLASSES:
            del found[max(found)]
        if len(found) == classes or set(found) == set(range(CLASSES)):
            break
    if not found:
        raise DataRefused(
            f"None of the first files of {config.data.source} is an image that can be decoded: "
            "expected JPEG, PNG, GIF, BMP, WEBP or TIFF. A run lists the reasons."
        )
    return dict(sorted(found.items()))


def writable_file(output: Path) -> Path:
    """The path in full, once a file could be written there. Raises ConfigError otherwise."""
    output = output.expanduser().resolve()
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        if output.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        with tempfile.TemporaryFile(dir=output.parent):
            return output
    except OSError as error:
        raise ConfigError(
            f"{str(output)!r} cannot be written ({error.strerror}): give --output FILE in a folder "
            "that can."
        ) from error
