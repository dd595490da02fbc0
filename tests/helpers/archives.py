"""Small archives for tests, with any names in them."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

from PIL import Image

from tests.helpers.images import encode

PICTURE = encode(Image.new("L", (8, 8), 7), "PNG")
COMPRESSIONS = {"": bytes, "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


def write_tar(path: Path, *members, ending: bytes = b"") -> Path:
    """`members` are names, (name, content) or TarInfo; a `../` stays as it is."""
    with tarfile.open(path, "w") as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            name, content = member if isinstance(member, tuple) else (member, PICTURE)
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    if ending:
        path.write_bytes(path.read_bytes() + ending)
    return path


def write_zip(path: Path, *members, method: int = zipfile.ZIP_DEFLATED) -> Path:
    """`members` are names, (name, content) or (ZipInfo, content)."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for member in members:
            name, content = member if isinstance(member, tuple) else (member, PICTURE)
            archive.writestr(name, content)
    return path
