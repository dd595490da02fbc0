"""The command line of the release store: `python -m serving.store COMMAND`."""

import argparse
import datetime
import sys
from collections.abc import Callable
from pathlib import Path

from serving.store import tables
from serving.store.reader import unknown
from serving.store.release import Release, StoreError
from serving.store.signature import check_public_key, verify_signature
from serving.store.store import Store

Command = Callable[[Store, argparse.Namespace], int]


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
        description="List, verify, promote, roll back, label and remove model releases.",
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--root", default="out", help="output root (default: out)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, summary: str, command: Command) -> argparse.ArgumentParser:
        added = commands.add_parser(name, parents=[common], help=summary)
        added.set_defaults(command=command)
        return added

    listing = add("list", "show every release", _list)
    listing.add_argument("model", nargs="?", help="only this model")
    show = add("show", "show one release in full", _show)
    show.add_argument("model")
    show.add_argument("release", nargs="?", help="a version or a label (default: the current one)")
    verify = add("verify", "compare files with manifests", _verify)
    verify.add_argument("model", nargs="?", help="only this model")
    verify.add_argument("version", nargs="?", type=int, help="only this version")
    verify.add_argument(
        "--public-key", type=Path, metavar="FILE", help="PEM; signatures must be of its private key"
    )
    promote = add("promote", "make another release current; rollback returns", _promote)
    promote.add_argument("model")
    promote.add_argument("version", type=int)
    back = add("rollback", "back to another release: this one is not released again", _rollback)
    back.add_argument("model")
    back.add_argument("version", nargs="?", type=int, help="default: the one current before")
    label = add("label", "name a release: stable, canary...", _label)
    label.add_argument("model")
    label.add_argument("label")
    label.add_argument("version", type=int)
    unlabel = add("unlabel", "take a label away", _unlabel)
    unlabel.add_argument("model")
    unlabel.add_argument("label")
    history = add("history", "what was current when", _history)
    history.add_argument("model")
    history.add_argument("--at", type=_moment, metavar="TIME", help="only at this moment, in UTC")
    prune = add("prune", "remove old releases", _prune)
    prune.add_argument("model")
    prune.add_argument(
        "--keep",
        type=int,
        required=True,
        help="how many of the newest stay; the current one, the one before and labelled ones do",
    )
    add("repair", "finish what was interrupted", _repair)
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
    print(tables.listing(store, _chosen(store, options.model)))
    return 0


def _show(store: Store, options: argparse.Namespace) -> int:
    current, labels = store.select(options.model), store.labels(options.model)
    wanted = options.release
    if wanted is None:
        release = current
    elif wanted in labels:
        release = labels[wanted]
    elif wanted.isdecimal():
        release = store.release(options.model, int(wanted))
    else:
        raise StoreError(unknown(f"label of {options.model}", wanted, labels))
    print(tables.details(store, release))
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


def _promote(store: Store, options: argparse.Namespace) -> int:
    return _say_current(store.promote(options.model, options.version))


def _rollback(store: Store, options: argparse.Namespace) -> int:
    return _say_current(store.rollback(options.model, options.version))


def _say_current(release: Release) -> int:
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
    there = {release.version for release in store.releases(name)}
    if options.at is not None:
        event = store.current_at(name, options.at)
        if event is None:
            raise StoreError(f"no version of {name} was current at {options.at.isoformat()}.")
        gone = "" if event.version in there else ", which was removed since"
        print(f"{name}: version {event.version} was current at {options.at.isoformat()}{gone}")
        return 0
    for event in store.history(name):
        gone = "" if event.version in there else "  (removed since)"
        print(f"{event.time}  version {event.version}  {event.event}{gone}")
    return 0


def _prune(store: Store, options: argparse.Namespace) -> int:
    gone = store.prune(options.model, options.keep)
    versions = ", ".join(map(str, gone)) or "none"
    print(f"{options.model}: versions removed: {versions}")
    return 0


def _repair(store: Store, options: argparse.Namespace) -> int:
    if not store.names():
        raise StoreError(f"there is no release in {store.root}.")
    store.repair()
    print(f"{store.root}: link, configuration and releases follow the history")
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
