"""What a server or a person can see of a store: nothing of it may ever be half done.

`python -m tests.helpers.visible_store ROOT STOP` looks again and again until the file STOP is
there, and prints how often it looked, how many versions it verified and, a line each, what was
wrong.
"""

import os
import re
import sys
from pathlib import Path

from serving.store.release import Release, StoreError
from serving.store.store import Store

_NAMES = re.compile(r"[1-9][0-9]*|current|history\.jsonl|config\.pbtxt")


def check_visible(store: Store) -> int:
    """The number of versions that were verified. Raises AssertionError."""
    count = 0
    _check_pinned(store)
    for name in store.names():
        directory = store.root / "models" / name
        names = os.listdir(directory)
        assert all(map(_NAMES.fullmatch, names)), names
        for version in (int(n) for n in names if n.isdecimal()):
            count += _check_version(Release(name, version, directory / str(version)))
        _check_link(store, directory)
    return count


def _check_version(release: Release) -> bool:
    try:
        release.verify()
    except (StoreError, FileNotFoundError) as error:
        # Removed in one step while it was read: nothing of it is there any more.
        assert not release.path.exists(), f"{release.path} is visible and damaged: {error}"
        return False
    return True


def _check_link(store: Store, directory: Path) -> None:
    link = directory / "current"
    while link.is_symlink():
        target = os.readlink(link)
        if (directory / target / "manifest.json").exists():
            assert store.current(directory.name) is not None
            break
        assert link.is_symlink() and os.readlink(link) != target, f"{link} leads nowhere"


def _check_pinned(store: Store) -> None:
    """What TensorFlow Serving is told to serve is there."""
    config = store.root / "models.config"
    while config.exists():
        text = config.read_text()
        assert text.startswith("model_config_list {") and text.endswith("}\n"), text
        pinned = [
            (name, version)
            for name, versions in re.findall(r'name: "(\w+)".*?specific \{(.*?)\}', text, re.DOTALL)
            for version in re.findall(r"\d+", versions)
        ]
        missing = [pin for pin in pinned if not (store.root / "models" / "/".join(pin)).exists()]
        if not missing:
            return
        assert config.read_text() != text, f"models.config pins {missing}"


def main(root: str, stop: str) -> None:
    looks, verified, wrong = 0, 0, []
    while not os.path.exists(stop):
        try:
            verified += check_visible(Store(root))
        except (AssertionError, StoreError, OSError) as error:
            wrong.append(f"{type(error).__name__}: {error}")
        looks += 1
    print(looks, verified, *wrong, sep="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
