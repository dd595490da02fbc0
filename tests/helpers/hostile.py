"""A corpus of hostile files: broken, oversized, misnamed, exotic, or no files at all.

`write_corpus` makes the same files for the same seed, and says of each what must become of it.
"""

import os
import random
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.helpers.hostile_files import (
    DECODED,
    bombs,
    damaged,
    exotic,
    foreign,
    slow,
    truncated,
    wrapped,
)
from tests.helpers.images import encode, tile


class Case(NamedTuple):
    """`name`: path in the folder of classes; `expected`: DECODED or the reason of quarantine."""

    name: bytes
    expected: str


def write_corpus(directory: Path, seed: int = 0) -> list[Case]:
    """Writes `images/` (the classes `hostile` and `plain`) and `outside/`, which links lead to."""
    hostile, plain, outside = (directory / n for n in ("images/hostile", "images/plain", "outside"))
    for folder in (hostile, plain, outside):
        folder.mkdir(parents=True)
    good = encode(tile(0, 1, 1), "PNG")
    (plain / "good.png").write_bytes(good)
    (outside / "secret.png").write_bytes(good)
    cases = [(b"plain/good.png", DECODED)]
    for make in (truncated, bombs, slow, damaged, exotic, wrapped, foreign):
        for name, data, expected in make(random.Random(f"{seed}/{make.__name__}")):
            (hostile / name).write_bytes(data)
            cases.append((b"hostile/" + name.encode(), expected))
    cases += [(b"hostile/" + name, expected) for name, expected in _names(hostile, good)]
    cases += [(b"hostile/" + name, expected) for name, expected in _no_files(hostile, outside)]
    return [Case(*case) for case in cases]


def _names(folder: Path, good: bytes) -> Iterator[tuple[bytes, str]]:
    deep = b"/".join([b"deeper"] * 60)
    os.makedirs(os.path.join(os.fsencode(folder), deep))
    for name in (
        *(
            b"new\nline.png",
            b"invalid-\xff\xfe.png",
            b"-rf.png",
            b"$(reboot);'\".png",
            b"tab\t.png",
        ),
        *(b"n" * 251 + b".png", "übermäßig-\u202egnp.jpg".encode(), b"\x1b[31mred.png", b" "),
        deep + b"/good.png",
    ):
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            file.write(good)
        yield name, DECODED


def _no_files(folder: Path, outside: Path) -> Iterator[tuple[bytes, str]]:
    """Links, pipes, devices: nothing that may be followed or opened; and a file beyond any size."""
    for name, target in (
        ("link-out.png", outside / "secret.png"),
        ("link-inside.png", "checksum.png"),
        ("link-nowhere.png", "there is no such file"),
        ("link-itself.png", "link-itself.png"),
        ("link-loop-a.png", "link-loop-b.png"),
        ("link-loop-b.png", "link-loop-a.png"),
        ("link-device.png", "/dev/zero"),
        ("linked-folder", outside),
        ("linked-parent", folder.parent),
    ):
        (folder / name).symlink_to(target)
        yield name.encode(), "symbolic_link"
    os.link(folder / "interlaced.png", folder / "hard-link.png")
    yield b"hard-link.png", DECODED
    os.mkfifo(folder / "pipe.png")
    yield b"pipe.png", "not_a_regular_file"
    here = os.getcwd()
    os.chdir(folder)  # the path of a socket may have no more than 108 bytes
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("socket.png")
    finally:
        os.chdir(here)
    yield b"socket.png", "not_a_regular_file"
    try:
        os.mknod(folder / "device.png", stat.S_IFCHR | 0o600, os.makedev(1, 5))
        yield b"device.png", "not_a_regular_file"
    except PermissionError:
        pass  # only root may
    with open(folder / "sparse.png", "wb") as file:
        file.truncate(2**40)
    yield b"sparse.png", "file_too_large"
    if os.geteuid():  # root reads everything
        (folder / "unreadable.png").write_bytes(b"secret")
        (folder / "unreadable.png").chmod(0)
        yield b"unreadable.png", "unreadable: Permission denied"
