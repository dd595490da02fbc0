"""The command line of the release store: `python -m serving.store COMMAND`."""

import argparse
import datetime
import sys
from pathlib import Path

from serving.store.release import Release, StoreError
from serving.store.signature import check_public_key, verify_signature
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
        description="List, verify, roll back and label model releases.",
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--root", default="out", help="output root (default: out)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listing = commands.add_parser("list", parents=[common], help="show every release")
    listing.add_argument("model", nargs="?", help="only this model")
    listing.set_defaults(command=_list)
    verify = commands.add_parser("verify", parents=[common], help="compare files with manifests")
    verify.add_argument("model", nargs="?", help="only this model")
    verify.add_argument("version", nargs="?", type=int, help="only this version")
    verify.add_argument(
        "--public-key", type=Path, metavar="FILE", help="PEM; signatures must be of its private key"
    )
    verify.set_defaults(command=_verify)
    back = commands.add_parser("rollback", parents=[common], help="make another release current")
    back.add_argument("model")
    back.add_argument("version", nargs="?", type=int, help="default: the one current before")
    back.set_defaults(command=_rollback)
    label = commands.add_parser("label", parents=[common], help="name a release: stable, canary...")
    label.add_argument("model")
    label.add_argument("label")
    label.add_argument("version", type=int)
    label.set_defaults(command=_label)
    unlabel = commands.add_parser("unlabel", parents=[common], help="take a label away")
    unlabel.add_argument("model")
    unlabel.add_argument("label")
    unlabel.set_defaults(command=_unlabel)
    history = commands.add_parser("history", parents=[common], help="what was current when")
    history.add_argument("model")
    history.add_argument("--at", type=_moment, metavar="TIME", help="only at this moment, in UTC")
    history.set_defaults(command=_history)
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
        marks = ["current"] if store.current(release.name) == release else []
        named = store.labels(release.name).items()
        mark = ", ".join(marks + sorted(label for label, other in named if other == release))
        manifest = release.manifest()
        facts = [str(manifest.get(key, "-")) for key in ("framework", "created", "lineage")]
        rows.append((release.name, str(release.version), mark, *facts))
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    return 0


def _verify(store: Store, options: argparse.Namespace) -> int:
    damaged = 0
    if options.public_key is not None:
        check_public_key(options.public_key)
    for release in _chosen(store, options.model, options.version):
        try:
            release.verify()
            if options.public_key is not None:
                verify_signature(release.path, options.public_key)
            print(f"{release.name} version {release.version}: ok")
        except StoreError as error:
            damaged += 1
            print(f"{release.name} version {release.version}: DAMAGED: {error}")
    return 1 if damaged else 0


def _rollback(store: Store, options: argparse.Namespace) -> int:
    release = store.rollback(options.model, options.version)
    print(f"{release.name}: version {release.version} is current ({release.path})")
    return 0


def _label(store: Store, options: argparse.Namespace) -> int:
    release = store.label(options.model, options.label, options.version)
    print(f"{release.name}: {options.label} is version {release.version}")
    return 0


def _unlabel(store: Store, options: argparse.Namespace) -> int:
    store.unlabel(options.model, options.label)
    print(f"{options.model}: {options.label} names no version")
    return 0


def _history(store: Store, options: argparse.Namespace) -> int:
    name = store.select(options.model).name
    if options.at is not None:
        release = store.current_at(name, options.at)
        if release is None:
            raise StoreError(f"no version of {name} was current at {options.at.isoformat()}.")
        print(f"{name}: version {release.version} was current at {options.at.isoformat()}")
        return 0
    for event in store.history(name):
        print(f"{event.time}  version {event.version}  {event.event}")
    return 0


def _moment(text: str) -> datetime.datetime:
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time, expected one like 2026-11-30T12:00"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


if __name__ == "__main__":
    raise SystemExit(main())
