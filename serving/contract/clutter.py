"""What a folder of images holds beside images, and nobody put there."""

_CLUTTER = {"__macosx", "thumbs.db", "desktop.ini"}


def is_clutter(name: str) -> bool:
    """Whether a file or folder is passed over: hidden, or left by an operating system."""
    return name.startswith(".") or name.lower() in _CLUTTER
