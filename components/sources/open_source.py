"""Where images come from. A source lists its files once and reads them in chunks.

Every source gives encoded bytes, an integer label and, where it has them, its own splits. Nothing
is decoded or judged here: that is `ingest.py`.
"""

from components.base.refusal import ConfigError
from components.sources.config import DataConfig
from components.sources.digits_source import DigitsSource

LISTED = ("folder", "tar", "zip")


def open_listed(kind: str, path: str):
    """The folder or archive at `path`; `kind` is folder, tar or zip.

    Raises ConfigError where there is none, DataRefused where it cannot be trained on.
    """
    if kind == "folder":
        from components.sources.folder_source import FolderSource

        return FolderSource(path)
    from components.sources.archive_source import TarSource, ZipSource

    return TarSource(path) if kind == "tar" else ZipSource(path)


def open_source(config: DataConfig):
    """The source that `config.source` names.

    Every source has `labels`, `splits` (its own, maybe none) and `ignored` (names of files that are
    no images), `fingerprint()`, `chunks()` and `read(chunk, max_bytes)`; it can be pickled, and so
    can its chunks.

    Raises ConfigError for an unknown source or an absent one, DataRefused for a folder or archive
    without images, with a single class, or damaged.
    """
    kind, _, rest = config.source.partition(":")
    if config.source == "digits":
        return DigitsSource()
    if kind in LISTED and rest:
        return open_listed(kind, rest)
    if kind == "tfds" and rest:
        from components.sources.tfds_source import TfdsSource

        return TfdsSource(rest, config.dir, config.label)
    raise ConfigError(
        f"Unknown data.source {config.source!r}: expected digits, tfds:NAME, folder:PATH, tar:PATH "
        "or zip:PATH."
    )
