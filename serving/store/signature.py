"""The signature of a release, in the format of OpenSSF's model-signing: who made it.

Hashes in a manifest tell what was damaged; whoever alters a file on purpose writes a new manifest.
The signature is over the manifest and every file beside it. Standard library only, until something
is signed or verified: that takes `pip install model-signing pyopenssl`.
"""

import base64
import contextlib
import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from serving.contract.release_files import SIGNATURE
from serving.store.files import read_plain
from serving.store.release import MOST_JSON, StoreError


def check_private_key(key: Path) -> None:
    """Raises StoreError unless `key` can sign: a PEM without a password, on P-256, P-384 or P-521,
    where model-signing is installed."""
    _signer(key)


def check_public_key(key: Path) -> None:
    """Raises StoreError unless `key` is the PEM of such a key's public half."""
    _verifier(key)


def sign(directory: Path, private_key: Path) -> None:
    """Signs the complete release in `directory`, in place of the signature that it has.

    Raises StoreError when the key cannot sign, or a file cannot be read.
    """
    signer = _signer(private_key)
    with _explained(f"{directory} cannot be signed"):
        signer.set_hashing_config(_hashing()).sign(directory, directory / SIGNATURE)


def verify_signature(directory: Path, public_key: Path) -> None:
    """Raises StoreError unless `directory` is what was signed with the private key of
    `public_key`: every file but the signature, no more and no fewer."""
    path = directory / SIGNATURE
    verifier = _verifier(public_key)
    if not path.exists():
        raise StoreError(
            f"{path} is missing: the release is not signed, expected a signature by {public_key}."
        )
    with _explained(f"{directory} is not what was signed with the key of {public_key}"):
        _check_encoding(read_plain(path, MOST_JSON))
        verifier.set_hashing_config(_hashing()).verify(directory, path)


def _signer(key: Path) -> Any:
    config = _library("signing").Config()
    with _explained(f"{key} is no elliptic-curve private key in PEM without a password"):
        return config.use_elliptic_key_signer(private_key=key)


def _verifier(key: Path) -> Any:
    config = _library("verifying").Config()
    with _explained(f"{key} is no elliptic-curve public key in PEM"):
        return config.use_elliptic_key_verifier(public_key=key)


def _hashing() -> Any:
    """By default files of git would be passed over."""
    config = _library("hashing").Config()
    return config.set_ignored_paths(paths=[SIGNATURE], ignore_git_paths=False)


def _library(module: str) -> ModuleType:
    try:
        return importlib.import_module(f"model_signing.{module}")
    except ImportError as error:
        raise StoreError(
            f"signatures need a package that is not installed ({error}):"
            " pip install model-signing pyopenssl."
        ) from error


def _check_encoding(signature: bytes) -> None:
    """The last character of base64 has bits that decoders pass over: they must be as encoded."""
    envelope = json.loads(signature)["dsseEnvelope"]
    for text in (envelope["payload"], *(one["sig"] for one in envelope["signatures"])):
        if base64.b64encode(base64.b64decode(text)).decode() != text:
            raise ValueError(f"{SIGNATURE} is not encoded as it was written")


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    """Whatever the library raises, and it documents little of it, in one sentence."""
    try:
        yield
    except Exception as error:
        reason = " ".join((str(error) or type(error).__name__).split())
        raise StoreError(f"{what}: {reason.rstrip('.')[:300]}.") from error
