"""The command line of the release store: `python -m serving.store list|verify|rollback`."""

import argparse
import sys
from pathlib import Path

from serving.store.release import Release, StoreError
from serving.store.store import Store


def main(arguments: list[str] | None = None) -> int:
    """Runs one command. Exit codes: 0 done, 1 a release is damaged, 2 usage or nothing there."""
    options = _parser().parse_args(arguments)
    store = Store(Path(options.root) / "serving")
    try:
        return options.command(store, options)
    except (StoreError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serving.store",
        description="List, verify and roll back model releases.",
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--root", default="out", help="output root (default: out)")
    commands = parser.add_subparsers(required=True, metavar="list|verify|rollback")
    listing = commands.add_parser("list", parents=[common], help="show every release")
    listing.add_argument("model", nargs="?", help="only this model")
    listing.set_defaults(command=_list)
    verify = commands.add_parser("verify", parents=[common], help="compare files with manifests")
    verify.add_argument("model", nargs="?", help="only this model")
    verify.add_argument("version", nargs="?", type=int, help="only this version")
    verify.set_defaults(command=_verify)
    back = commands.add_parser("rollback", parents=[common], help="make another release current")
    back.add_argument("model")
    back.add_argument("version", nargs="?", type=int, help="default: the one current before")
    back.set_defaults(command=_rollback)
    return parser


def _chosen(store: Store, name: str | None, version: int | None = None) -> list[Release]:
    names = store.models() if name is None else [store.select(name).name]
    releases = [release for line in names for release in store.releases(line)]
    if version is not None:
        releases = [release for release in releases if release.version == version]
    if not releases:
        what = f"version {version} of {name}" if version is not None else "release"
        raise StoreError(f"there is no {what} in {store.root}.")
    return releases


def _list(store: Store, options: argparse.Namespace) -> int:
    rows: list[tuple[str, ...]] = [("MODEL", "VERSION", "STATE", "FRAMEWORK", "CREATED", "LINEAGE")]
    for release in _chosen(store, options.model):
        mark = "current" if store.current(release.name) == release else ""
        manifest = release.manifest()
        facts = [str(manifest.get(key, "-")) for key in ("framework", "created", "lineage")]
        rows.append((release.name, str(release.version), mark, *facts))
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    return 0


def _verify(store: Store, options: argparse.Namespace) -> int:
    damaged = 0
    for release in _chosen(store, options.model, options.version):
        try:
            release.verify()
            print(f"{release.name} version {release.version}: ok")
        except StoreError as error:
            damaged += 1
            print(f"{release.name} version {release.version}: DAMAGED: {error}")
    return 1 if damaged else 0


def _rollback(store: Store, options: argparse.Namespace) -> int:
    release = store.rollback(options.model, options.version)
    print(f"{release.name}: version {release.version} is current ({release.path})")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
