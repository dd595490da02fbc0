"""`python -m serving.configs MODEL OUT`: what other servers and clusters need to serve a model."""

import argparse
import sys
from pathlib import Path

from serving.configs import folder, plan
from serving.store.release import StoreError
from serving.store.store import Store


def main(arguments: list[str] | None = None) -> int:
    """Writes the folder. Exit codes: 0 done, 2 it could not be written."""
    options = _parser().parse_args(arguments)
    try:
        store = Store(options.root / "serving")
        chosen = plan.plan(store, options.model, options.image, options.claim)
        written = folder.write(chosen, options.out)
    except (StoreError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if chosen.tensorflow is None:
        print(f"{chosen.name} has no SavedModel: nothing for TensorFlow Serving.")
    print(f"{options.out}: {len(written)} files for {chosen.name} version {chosen.version};")
    print(f"{options.out / folder.README} says how to apply them.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serving.configs",
        description="Write configuration of TensorFlow Serving, Triton, KServe, Kubernetes and"
        " Docker Compose for the current and labelled versions of a model.",
    )
    parser.add_argument("model", metavar="MODEL", help="its name in the store")
    parser.add_argument("out", metavar="OUT", type=Path, help="a new folder, or one to renew")
    parser.add_argument("--root", default="out", type=Path, help="output root (default: out)")
    parser.add_argument(
        "--image", default=plan.IMAGE, help=f"of our own server (default: {plan.IMAGE})"
    )
    parser.add_argument(
        "--claim",
        default="darkroom-releases",
        help="PersistentVolumeClaim with the store (default: darkroom-releases)",
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
