"""What a server is started with, checked."""

import argparse
import dataclasses
import ipaddress
import os
import ssl
from pathlib import Path

from serving.server.limits import Limits
from serving.server.swap import Selection
from serving.store.release import StoreError
from serving.store.signature import check_public_key

MIN_TOKEN = 16


class OptionsError(ValueError):
    """The server may not, or cannot, be started like this."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Of `python -m serving`."""

    root: Path
    selections: tuple[Selection, ...]
    format: str
    host: str
    port: int
    grpc_port: int | None
    threads: int
    limits: Limits
    allow_load: bool
    certificate: Path | None
    key: Path | None
    token: str | None
    public_key: Path | None

    @classmethod
    def of(cls, given: argparse.Namespace) -> "Options":
        """The options of a command line. Raises OptionsError."""
        try:
            selections = tuple(map(Selection.parse, given.model))
        except ValueError as error:
            raise OptionsError(f"--model: {error}.") from error
        names = [selection.name for selection in selections]
        if len(set(names)) < len(names):
            raise OptionsError("--model names a model twice: label versions to serve several.")
        if (given.tls_certificate is None) != (given.tls_key is None):
            raise OptionsError("--tls-certificate and --tls-key need each other.")
        token = _token(given.token_file)
        guarded = given.tls_certificate is not None and token is not None
        if not (_loopback(given.host) or guarded or given.insecure):
            raise OptionsError(
                f"--host {given.host} can be reached from other machines: give --tls-certificate,"
                " --tls-key and --token-file, or --insecure behind an ingress that has them."
            )
        if given.public_key is not None:
            try:
                check_public_key(given.public_key)
            except StoreError as error:
                raise OptionsError(f"--public-key: {error}") from error
        limits = Limits(
            connections=given.connections,
            queue=given.queue,
            delay_seconds=given.delay_ms / 1000,
            body_bytes=given.max_body_mb * 2**20,
            bodies_bytes=16 * given.max_body_mb * 2**20,
            header_seconds=given.header_seconds,
            body_seconds=given.body_seconds,
            idle_seconds=given.idle_seconds,
            drain_seconds=given.drain_seconds,
        )
        threads = given.threads or len(os.sched_getaffinity(0))
        return cls(
            given.root,
            selections,
            given.format,
            given.host,
            given.port,
            given.grpc_port,
            threads,
            limits,
            given.allow_load,
            given.tls_certificate,
            given.tls_key,
            token,
            given.public_key,
        )

    def tls(self) -> ssl.SSLContext | None:
        """Raises OptionsError when the files are no certificate and its key."""
        if self.certificate is None or self.key is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            reason = error.strerror or str(error)
            raise OptionsError(
                f"{self.certificate} and {self.key} are no certificate and its key: {reason}."
            ) from error
        return context


def _token(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionsError(f"--token-file {path} cannot be read: {error}.") from error
    if len(token) < MIN_TOKEN or not token.isascii() or any(c.isspace() for c in token):
        raise OptionsError(
            f"--token-file {path} holds no token: expected at least {MIN_TOKEN} ASCII characters"
            " without spaces."
        )
    return token


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
