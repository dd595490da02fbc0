"""The contents of hostile files: (name, bytes, DECODED or the reason of quarantine)."""

import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin

from tests.helpers.crafted import (
    bmp,
    chunk,
    gif,
    ihdr,
    jpeg_with,
    png,
    png_of,
    segment,
    segments,
    webp,
)
from tests.helpers.images import encode, tile

DECODED = "decoded"

Files = Iterator[tuple[str, bytes, str]]


def truncated(rng: random.Random) -> Files:
    """Every format cut in its magic, its header, before, in and after its data."""
    photograph = tile(1, 2, 3, 40, 48)
    for format, magic, header, before in (
        ("JPEG", 2, 60, -1),
        ("PNG", 5, 20, 33),
        ("GIF", 4, 9, 781),
        ("BMP", 12, 30, 54),
        ("WEBP", 10, 14, 20),
    ):
        data = encode(photograph, format)
        if before < 0:
            before = data.index(b"\xff\xda") + 14
        middle = rng.randrange(before + 10, len(data) - 20)
        yield f"cut-in-magic.{format}", data[:magic], "not_an_image"
        yield f"cut-in-header.{format}", data[:header], "truncated"
        yield f"cut-before-data.{format}", data[:before], "truncated"
        yield f"cut-in-data.{format}", data[:middle], "truncated"
        yield f"cut-at-last-byte.{format}", data[:-1], "truncated"
        yield f"cut-before-end.{format}", data[: -12 if format == "PNG" else -2], "truncated"
    rows = zlib.compress(bytes(97 * 20))
    yield "short-data.png", png_of(ihdr(32, 40), rows), "truncated"


def bombs(rng: random.Random) -> Files:
    """A small file whose header announces a huge picture, or whose data unpacks to one."""
    little = zlib.compress(bytes(rng.randrange(100, 1000)))
    yield "60000.png", png_of(ihdr(60_000, 60_000), little), "image_too_large"
    yield "long.png", png_of(ihdr(2**31 - 1, 1), little), "image_too_large"
    yield (
        "narrow.png",
        png_of(ihdr(1, 1_000_001, 1, 0), zlib.compress(bytes(2_000_002))),
        ("image_too_large"),
    )
    yield "canvas.gif", gif((65_535, 65_535), (0, 0, 10, 10)), "image_too_large"
    control = b"!\xf9\4\x08\0\0\0\0"  # asks for a second buffer of the frame's size
    yield "frame.gif", gif((10, 10), (0, 0, 13_000, 13_000), extension=control), "image_too_large"
    yield "offset.gif", gif((10, 10), (65_000, 65_000, 10, 10)), "image_too_large"
    yield "frame-outside.gif", gif((10, 10), (15, 3, 10, 10)), DECODED
    for width, height in (
        (40_000, 40_000),
        (40_000, -40_000),
        (9, -(2**31)),
        (2**31 - 1, 2**31 - 1),
    ):
        yield f"{width}x{height}.bmp", bmp(width, height, 24, bytes(300)), "image_too_large"
    yield "lossless.webp", webp(b"VP8L", b"\x2f" + b"\xff" * 30), "image_too_large"
    yield "extended.webp", webp(b"VP8X", bytes(4) + b"\xff" * 6), "image_too_large"
    yield "lossy.webp", webp(b"VP8 ", b"\0\0\0\x9d\1\x2a" + b"\xff" * 24), "image_too_large"
    yield "65500.jpg", jpeg_with(size=(65_500, 65_500)), "image_too_large"
    zeros = zlib.compress(bytes(64 * 2**20), 9)
    yield "too-much-data.png", png_of(ihdr(8, 8), zeros), DECODED
    yield "text-bomb.png", _text(b"zTXt", b"a\0\0" + zeros), "metadata_too_large"
    yield "international.png", _text(b"iTXt", b"a\0\1\0\0\0" + zeros), "metadata_too_large"
    yield "profile-bomb.png", _text(b"iCCP", b"a\0\0" + zeros), "metadata_too_large"
    million = zlib.compress(bytes(2**20), 9)
    yield "texts.png", _text(b"zTXt", b"a\0\0" + million, 60), "too_many_parts"


def _text(name: bytes, payload: bytes, times: int = 1) -> bytes:
    data = zlib.compress(bytes(8 * 25))
    return png_of(ihdr(8, 8), data, before=chunk(name, payload) * times)


def slow(rng: random.Random) -> Files:
    """Small pictures in many parts, each of which costs time."""
    progressive = segments(encode(tile(0, 2, 2), "JPEG", progressive=True))
    scans = [part for part in progressive if part[1] == 0xDA]
    bomb = b"".join(progressive[:-1]) + scans[-1] * 3000 + b"\xff\xd9"
    yield "scans.jpg", bomb, "too_many_scans"
    yield "comments.jpg", jpeg_with(segment(0xFE, b"") * 150_000), "too_many_parts"
    small = zlib.compress(bytes(8 * 25))
    yield "chunks.png", png_of(ihdr(8, 8), small, before=chunk(b"prVt") * 110_000), "too_many_parts"
    comment = b"!\xfe" + (b"\xff" + rng.randbytes(255)) * 20_000 + b"\0"
    yield "comment.gif", gif((10, 10), (0, 0, 10, 10), extension=comment), "too_many_parts"
    blocks = b"!\xfe\1x\0" * 110_000
    yield "blocks.gif", gif((10, 10), (0, 0, 10, 10))[:-1] + blocks + b";", "too_many_parts"
    row = b"".join(b"\x01" + bytes([rng.randrange(256)]) for _ in range(300)) + b"\0\0"
    runs = row * 300 + b"\0\1"
    yield "runs.bmp", bmp(300, 300, 8, runs, 1, _PALETTE), DECODED


_PALETTE = bytes(value for index in range(256) for value in (index, 255 - index, 7, 0))


def damaged(rng: random.Random) -> Files:
    good = encode(tile(0, 3, 3), "PNG")
    changed = bytearray(good)
    changed[good.index(b"IDAT") + rng.randrange(40, 400)] ^= 0x10
    yield "checksum.png", bytes(changed), "damaged"
    yield "no-data.png", good[:33] + chunk(b"IEND"), "truncated"
    yield "zero-width.png", png_of(ihdr(0, 10), zlib.compress(b"")), "damaged"
    yield "colour-type.png", png_of(ihdr(8, 8, 8, 5), zlib.compress(bytes(999))), "damaged"
    yield "filter.png", png_of(ihdr(8, 8), zlib.compress(b"\x09" * 25 * 8)), "damaged"
    yield "not-deflated.png", png_of(ihdr(8, 8), rng.randbytes(200)), "damaged"
    yield "zero-size.gif", gif((0, 0), (0, 0, 0, 0)), "no_pixels"
    yield "zero-width.gif", gif((0, 10), (0, 0, 0, 10)), "no_pixels"
    yield "empty-frame.gif", gif((10, 10), (0, 0, 0, 0)), "no_pixels"
    yield "code-size.gif", gif((10, 10), (0, 0, 10, 10), code_size=13), "damaged"
    yield "no-frame.gif", gif((10, 10), (0, 0, 10, 10))[:25] + b";", "damaged"
    yield "zero-size.bmp", bmp(0, 0, 24, b""), "no_pixels"
    yield "bits.bmp", bmp(8, 8, 7, bytes(64)), "damaged"
    yield "absurd-bits.bmp", bmp(8, 8, 65_535, bytes(64)), "damaged"
    yield "handheld.bmp", bmp(8, 8, 2, bytes(64), head=bytes(16)), "unsupported_bmp"
    yield "photograph.bmp", bmp(32, 32, 24, encode(tile(0, 3, 3), "JPEG"), 4), "unsupported_bmp"
    masks = struct.pack("<III", 0x3FF0_0000, 0xF_FC00, 0x3FF)
    yield "ten-bits.bmp", bmp(8, 8, 32, bytes(256), 3, masks), "unsupported_bmp"
    yield "compression.bmp", bmp(8, 8, 24, bytes(300), 77), "damaged"
    yield (
        "payload.webp",
        webp(b"VP8 ", b"\0\0\0\x9d\1\x2a\x10\0\x10\0" + rng.randbytes(90)),
        "damaged",
    )
    yield "kind.webp", webp(b"VP9 ", rng.randbytes(90)), "damaged"
    yield "zero-height.jpg", jpeg_with(size=(32, 0)), "damaged"
    yield "lossless.jpg", jpeg_with(frame=0xC3), "damaged"
    tables = [part for part in segments(jpeg_with()) if part[1] != 0xC4]
    quantised = [part for part in segments(jpeg_with()) if part[1] != 0xDB]
    yield "no-quantisation.jpg", b"".join(quantised), "damaged"
    del tables[3:-2]
    yield "no-frame.jpg", b"".join(tables), "damaged"


def exotic(rng: random.Random) -> Files:
    """Good pictures that few programs write."""
    image = tile(1, 4, 6, 24, 40)
    rgb, grey = np.asarray(image), np.asarray(image.convert("L"))
    cmyk = encode(image.convert("CMYK"), "JPEG")
    adobe = cmyk.index(b"Adobe") + 11
    yield "cmyk.jpg", cmyk, DECODED
    yield "ycck.jpg", cmyk[:adobe] + b"\2" + cmyk[adobe + 1 :], DECODED
    wide = rgb.astype(np.uint16) * 257
    yield "grey16.png", png(wide[..., 0], 0, 16), DECODED
    yield "rgb16.png", png(wide, 2, 16), DECODED
    yield "grey-alpha16.png", png(wide[..., :2], 4, 16), DECODED
    yield "rgba16.png", png(np.dstack([wide, wide[..., :1]]), 6, 16), DECODED
    for depth in (1, 2, 4):
        yield f"grey{depth}.png", png(grey >> (8 - depth), 0, depth), DECODED
    yield "interlaced.png", png(rgb, 2, interlaced=True), DECODED
    palette = image.quantize(16)
    yield "palette.png", encode(palette, "PNG", transparency=3), DECODED
    yield "palette.gif", encode(palette, "GIF", transparency=3, interlace=1), DECODED
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield f"orientation{orientation}.jpg", encode(image, "JPEG", exif=exif), DECODED
    yield "top-down.bmp", bmp(40, -24, 24, rgb.tobytes()), DECODED
    yield "bits1.bmp", encode(image.convert("1"), "BMP"), DECODED
    yield "lossless-alpha.webp", encode(image.convert("RGBA"), "WEBP", lossless=True), DECODED
    others = [tile(1, row, 2, 24, 40) for row in (5, 6)]
    animation = {"save_all": True, "append_images": others}
    yield "animated.gif", encode(image, "GIF", **animation), DECODED
    yield "animated.png", encode(image, "PNG", **animation), "animated"
    yield "animated.webp", encode(image, "WEBP", **animation), "animated"
    yield "pictures.mpo.jpg", encode(image, "MPO", **animation), DECODED


def wrapped(rng: random.Random) -> Files:
    """Pictures with something else around them."""
    image = tile(0, 6, 2)
    photograph, drawing, animation = (encode(image, format) for format in ("JPEG", "PNG", "GIF"))
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(zipfile.ZipInfo("payload.txt"), "not an image")
    yield "archive.jpg", photograph + archive.getvalue(), DECODED
    yield "script.png", drawing + b"<script>alert(1)</script>", DECODED
    script = b"!\xfe" + bytes([7]) + b"*/=1;/*" + b"\0"
    yield "script.gif", gif((0x2A2F, 10), (0, 0, 10, 10), extension=script) + b"*/alert(1)", DECODED
    yield "garbage.jpg", photograph + rng.randbytes(5000), DECODED
    yield "garbage.bmp", encode(image, "BMP") + rng.randbytes(50), DECODED
    yield "garbage.webp", encode(image, "WEBP") + rng.randbytes(50), DECODED
    yield "twice.jpg", photograph + photograph, DECODED
    exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\xff\xff" + rng.randbytes(65_000)
    yield "exif.jpg", photograph[:2] + segment(0xE1, exif) + photograph[2:], DECODED
    loop = b"Exif\0\0II\x2a\0\x08\0\0\0\1\0\x69\x87\4\0\1\0\0\0\x08\0\0\0\x08\0\0\0"
    yield "exif-loop.jpg", photograph[:2] + segment(0xE1, loop) + photograph[2:], DECODED
    yield "exif.png", drawing[:33] + chunk(b"eXIf", rng.randbytes(300)) + drawing[33:], DECODED
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    broken = rng.randbytes(200) + profile[200:]
    yield "profile.jpg", encode(image, "JPEG", icc_profile=broken), DECODED
    yield "profile.png", encode(image, "PNG", icc_profile=broken), DECODED
    parts = segment(0xE2, b"MPF\0II\x2a\0\x08\0\0\0\xff\xff" + rng.randbytes(90))
    yield "index.jpg", photograph[:2] + parts + photograph[2:], DECODED
    text = PngImagePlugin.PngInfo()
    text.add_text("Raw profile type exif", "\nexif\n 4\nnot hexadecimal")
    yield "text-exif.png", encode(image, "PNG", pnginfo=text), DECODED
    yield "critical.png", drawing[:33] + chunk(b"PrVt", b"x") + drawing[33:], DECODED


def foreign(rng: random.Random) -> Files:
    """What is no image, or none of the six types, whatever it is called."""
    image = tile(0, 7, 3)
    yield "empty.png", b"", "empty_file"
    yield "text.png", b"This is a text, and no image at all.\n", "not_an_image"
    yield "bmw.bmp", b"BMW builds cars, and this is a text.\n", "not_an_image"
    yield "page.jpg", b"<!DOCTYPE html><html><body>404</body></html>", "not_an_image"
    yield "zeros.gif", bytes(500), "not_an_image"
    yield "sound.webp", b"RIFF\x24\0\0\0WAVEfmt " + bytes(28), "not_an_image"
    for number in range(4):
        yield f"noise{number}.jpg", b"\1" + rng.randbytes(rng.randrange(20, 900)), "not_an_image"
    for format in ("ICO", "PPM", "JPEG2000", "TGA", "PCX"):
        yield f"{format}.png", encode(image, format), "unsupported_type"
    for format in ("TGA", "PCX"):
        for mode in ("L", "P"):
            yield f"{mode}.{format}", encode(image.convert(mode), format), "unsupported_type"
    yield "run-length.tga", encode(image, "TGA", compression="tga_rle"), "unsupported_type"
    yield "photograph.avif", encode(image, "AVIF"), "unsupported_avif"
    yield "photograph.heic", b"\0\0\0\x18ftypheic" + bytes(90), "unsupported_heic"
    yield "film.mp4", b"\0\0\0\x18ftypisom" + bytes(90), "unsupported_type"
    yield "exposures.exr", b"v/1\1\2\0\0\0" + bytes(90), "unsupported_type"
    entry = struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, 2**32 - 1, 2**32 - 1)
    yield "extents.ico", b"\0\0\1\0\xff\xff" + entry * 3, "unsupported_type"
    svg = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>'
    yield "drawing.svg", svg, "unsupported_type"
    yield "layers.psd", b"8BPS\0\1" + bytes(60), "unsupported_type"
    yield "page-first.jpg", b"%PDF-1.4\n" + encode(image, "JPEG"), "unsupported_type"
    yield "drawing.jpg", encode(image, "PNG"), DECODED
    yield "photograph", encode(image, "JPEG"), DECODED
    yield "photograph.exe", encode(image, "JPEG"), DECODED
