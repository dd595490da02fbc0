"""The bundle as a folder: which files, and whether it may be written."""

import dataclasses
import json
import os
import shutil
from pathlib import Path

from export.mobile import photo
from export.mobile.cpp_header import CPP_HEADER, cpp_header
from export.mobile.facts import Facts
from export.mobile.readme import mark, readme
from serving.contract.release_files import CONTRACT, LABELS, size
from serving.store.files import make_directory, temporary_name
from serving.store.release import StoreError

README = "README.md"
IMAGES = "golden/images.bin"
PROBABILITIES = "golden/probabilities.bin"
PHOTO = "golden/photo.png"
PHOTO_RAW = "golden/photo_raw.bin"
PHOTO_PIXELS = "golden/photo.bin"
SAMPLES = Path(__file__).parent / "samples"
_NOT_COPIED = shutil.ignore_patterns("__pycache__", "node_modules", "build", "target", ".gradle")
"""What building a sample leaves beside it."""


def write(facts: Facts, out: Path) -> None:
    """Makes `out` the bundle in one rename.

    It must be new, empty, or a bundle of this model, which is replaced. Raises StoreError when it
    is none of these, or cannot be written.
    """
    out = out.resolve()
    _refuse_others(facts, out)
    made = temporary_name(out.parent)
    try:
        make_directory(out.parent)
        made.mkdir()
        _fill(facts, made)
        _replace(made, out)
    except OSError as error:
        raise StoreError(f"{out} cannot be written: {error}.") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)


def contract(facts: Facts) -> dict:
    """contract.json of the bundle: the release's, with what the samples need to know of the files.

    In `image_spec` every field is there, also one that an older release leaves out.
    """
    shape = photo.raw(photo.photo(facts.images, facts.spec)).shape
    return facts.contract | {
        "image_spec": dataclasses.asdict(facts.spec),
        "model": facts.name,
        "version": facts.version,
        "files": {
            model.row.file: {
                "bytes": model.bytes,
                "sha256": model.sha256,
                "format": model.row.name,
                "precision": model.row.precision,
                "channels": model.channels,
                "tolerance": model.tolerance,
            }
            for model in facts.models
        },
        "golden": {
            "images": IMAGES,
            "probabilities": PROBABILITIES,
            "count": len(facts.images),
            "photo": PHOTO,
            "photo_raw": PHOTO_RAW,
            "photo_shape": list(shape),
            "photo_pixels": PHOTO_PIXELS,
        },
    }


def golden_bytes(out: Path) -> int:
    """Bytes of a bundle's golden files."""
    return size((out / IMAGES).parent)


def samples() -> list[str]:
    """The names of the samples' folders, sorted."""
    return sorted(path.name for path in SAMPLES.iterdir() if path.is_dir())


def _fill(facts: Facts, target: Path) -> None:
    for name in [LABELS, *(model.row.file for model in facts.models)]:
        shutil.copyfile(facts.release / name, target / name)
    (target / CONTRACT).write_text(json.dumps(contract(facts), indent=1) + "\n")
    (target / README).write_text(
        readme(facts, [SAMPLES / name for name in samples()]), encoding="utf-8"
    )
    (target / IMAGES).parent.mkdir()
    picture = photo.photo(facts.images, facts.spec)
    picture.save(target / PHOTO)
    for name, array in (
        (IMAGES, facts.images),
        (PROBABILITIES, facts.probabilities.astype("<f4")),
        (PHOTO_RAW, photo.raw(picture)),
        (PHOTO_PIXELS, photo.preprocessed(picture, facts.spec)),
    ):
        (target / name).write_bytes(array.tobytes())
    for name in samples():
        shutil.copytree(SAMPLES / name, target / name, ignore=_NOT_COPIED)
    if "cpp" in samples():
        (target / CPP_HEADER).write_text(cpp_header(contract(facts)))


def _refuse_others(facts: Facts, out: Path) -> None:
    if facts.release == out or facts.release in out.parents:
        raise StoreError(f"{out} lies inside the release, which never changes: name a new folder.")
    if out.exists() and not out.is_dir():
        raise StoreError(f"{out} is a file: name a new folder.")
    if out.is_dir() and any(out.iterdir()):
        try:
            first = (out / README).read_text(encoding="utf-8").splitlines()[:1]
        except (OSError, UnicodeDecodeError):
            first = []
        if first != [mark(facts.name)]:
            raise StoreError(
                f"{out} is not empty and holds no bundle of {facts.name}: name a new folder."
            )


def _replace(made: Path, out: Path) -> None:
    """A directory that holds something cannot be renamed over: the old one steps aside first."""
    if not (out.is_dir() and any(out.iterdir())):
        os.replace(made, out)
        return
    old = temporary_name(out.parent)
    os.rename(out, old)
    try:
        os.rename(made, out)
    except OSError:
        os.rename(old, out)
        raise
    shutil.rmtree(old)
