"""Which type a file is of, by its content: its name is no evidence."""

import re

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
"""Those that are read."""
UNSUPPORTED = "unsupported"

_MAGIC = (
    ("JPEG", re.compile(rb"\xff\xd8\xff")),
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("GIF", re.compile(rb"GIF8[79]a")),
    # Two letters would take any text that begins with them for an image: hence the header's size.
    ("BMP", re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL)),
    ("WEBP", re.compile(rb"RIFF.{4}WEBP", re.DOTALL)),
    ("TIFF", re.compile(rb"II\*\0(?!.{4}CR)|MM\0\*", re.DOTALL)),
    ("AVIF", re.compile(rb".{4}ftypavi[fs]", re.DOTALL)),
    ("HEIC", re.compile(rb".{4}ftyp(he[iv][cxms]|mif1|msf1)", re.DOTALL)),
    # Canon's raw files and BigTIFF, ICO and CUR, other ISO media, PSD, PDF, PostScript, JPEG 2000,
    # JPEG XL, QOI, DDS, GIMP, OpenEXR, Radiance, ICNS, netpbm, SVG; PCX and TGA, which have no mark
    # of their own, by the values that their headers may have.
    (
        UNSUPPORTED,
        re.compile(
            rb"II[*+]\0|MM\0[*+]|\0\0[\1\2]\0(?!\0\0)|.{4}ftyp|8BPS|%PDF-|%!PS|\xff\x4f\xff\x51"
            rb"|\0\0\0\x0c(jP  |JXL )|\xff\x0a|qoif|DDS |gimp xcf|v/1\x01|#\?RADIANCE|icns"
            rb"|P[1-7]\s+[\d#]|(\xef\xbb\xbf)?\s*(<\?xml.{,512}|<!--.{,512})?<(!DOCTYPE )?svg"
            rb"|\x0a[\0\2-\5]\x01[\1\2\4\x08]"
            rb"|.(\0[\2\3\x0a\x0b]\0{5}|\x01[\1\x09].{4}[\x0f\x10\x18\x20])"
            rb".{4}(?!\0\0)..(?!\0\0)..[\x08\x0f\x10\x18\x20][\0-\x3f]",
            re.DOTALL,
        ),
    ),
)


def identify(data: bytes) -> str | None:
    """One of FORMATS, `AVIF` or `HEIC`, UNSUPPORTED for other images, None for no image."""
    for name, magic in _MAGIC:
        if magic.match(data):
            return name
    return None
