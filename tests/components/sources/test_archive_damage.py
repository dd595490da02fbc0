"""Archives that were cut short or damaged are refused: what they lost would not be missed."""

import functools
import io
import os
import tarfile

import pytest

from components.base.refusal import DataRefused
from components.sources.archive_source import TarSource, ZipSource
from tests.helpers.archives import COMPRESSIONS, write_zip


def _hostile_tar(*records: tuple[bytes, int]) -> bytes:
    """Headers of members of any type and size, without content."""
    data = b""
    for kind, size in records:
        info = tarfile.TarInfo("b/2.png")
        info.type, info.size = kind, size
        data += info.tobuf(tarfile.GNU_FORMAT)
    return data


@functools.cache
def _damages() -> dict[str, bytes]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number in range(40):
            info = tarfile.TarInfo(f"{'ab'[number % 2]}/{number}.png")
            info.size = 3_000
            archive.addfile(info, io.BytesIO(os.urandom(3_000)))
    whole = buffer.getvalue()
    unmarked = whole[: 40 * 3_584]
    damaged_header = bytearray(whole)
    damaged_header[20 * 3_584] ^= 0xFF
    damages = {
        "no end mark": unmarked,
        "cut in a header": unmarked[: 20 * 3_584 + 100],
        "cut between members": unmarked[: 20 * 3_584],
        "cut in a member": unmarked[: 20 * 3_584 + 2_000],
        "a damaged header": bytes(damaged_header),
        "a second archive behind the first": whole + whole,
        "a negative size": unmarked[:3_584] + _hostile_tar((tarfile.REGTYPE, -512)) + unmarked,
        "a negative long name": unmarked + _hostile_tar((tarfile.GNUTYPE_LONGNAME, -512)),
        "a name of a GiB": unmarked + _hostile_tar((tarfile.GNUTYPE_LONGNAME, 2**30)) + bytes(4096),
        "names without end": unmarked + _hostile_tar(*[(tarfile.GNUTYPE_LONGNAME, 0)] * 2_000),
    }
    for name, compress in COMPRESSIONS.items():
        if name:
            data = compress(whole)
            damages |= {f"{name} cut": data[:-40_000], f"{name} cut at its end": data[:-6]}
            damages[f"{name} damaged"] = data[:50_000] + b"\0\0\0" + data[50_003:]
    return damages


@pytest.mark.parametrize("name", _damages())
def test_a_tar_that_may_have_lost_members_is_refused(tmp_path, name):
    path = tmp_path / "a.tar"
    path.write_bytes(_damages()[name])
    with pytest.raises(DataRefused, match="is damaged or cut short"):
        TarSource(str(path))


@pytest.mark.parametrize("share", [0.3, 0.99])
def test_a_zip_that_was_cut_short_is_refused(tmp_path, share):
    data = write_zip(
        tmp_path / "a.zip", *(f"{c}/{i}.png" for i in range(20) for c in "ab")
    ).read_bytes()
    (tmp_path / "cut.zip").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DataRefused, match="is damaged or cut short"):
        ZipSource(str(tmp_path / "cut.zip"))
