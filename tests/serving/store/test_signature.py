"""Signed releases: whatever was altered after signing is refused, whatever its manifest."""

import base64
import json
import shutil
import string
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from serving.contract.release_files import MANIFEST, SIGNATURE
from serving.inference.errors import NotServable
from serving.inference.model import Model
from serving.store import __main__ as command_line
from serving.store.release import StoreError, verify_directory
from serving.store.signature import check_private_key, check_public_key, sign, verify_signature
from serving.store.store import Store
from tests.helpers.serving_fixtures import REPOSITORY, bundle, digits_release, run, seal

pytest.importorskip("model_signing.signing", reason="model-signing is not installed")


def write_keys(directory: Path, key=None) -> tuple[Path, Path]:
    """PEM files of a private and its public key."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    directory.mkdir(parents=True)
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    form, public_form = serialization.PrivateFormat.PKCS8, serialization.PublicFormat
    private, public = directory / "private.pem", directory / "public.pem"
    private.write_bytes(key.private_bytes(pem, form, plain))
    public_bytes = key.public_key().public_bytes(pem, public_form.SubjectPublicKeyInfo)
    public.write_bytes(public_bytes)
    return private, public


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return write_keys(tmp_path_factory.mktemp("keys") / "ours")


@pytest.fixture
def signed(tmp_path, keys):
    directory = bundle(tmp_path / "signed")
    (directory / ".gitattributes").write_text("*.onnx binary\n")  # model-signing passes over these
    seal(directory)
    sign(directory, keys[0])
    return directory


def flipped(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def names(directory: Path) -> list[str]:
    return sorted(p.relative_to(directory).as_posix() for p in directory.rglob("*") if p.is_file())


def test_what_was_signed_is_whole_and_verified(signed, keys):
    assert SIGNATURE not in verify_directory(signed)
    verify_signature(signed, keys[1])
    before = (signed / SIGNATURE).read_bytes()
    sign(signed, keys[0])
    assert (signed / SIGNATURE).read_bytes() != before  # ECDSA draws a number for each
    verify_signature(signed, keys[1])


def test_one_bit_of_any_file_is_refused_also_where_the_manifest_was_written_anew(signed, keys):
    altered = [name for name in names(signed) if name not in (MANIFEST, SIGNATURE)]
    assert len(altered) == 5
    for name in altered:
        whole = {file: (signed / file).read_bytes() for file in names(signed)}
        path = signed / name
        flipped(path, 8 * (path.stat().st_size // 2))
        seal(signed)
        verify_directory(signed)  # hashes alone do not tell
        with pytest.raises(StoreError, match="is not what was signed with the key of"):
            verify_signature(signed, keys[1])
        for file, data in whole.items():
            (signed / file).write_bytes(data)
        verify_signature(signed, keys[1])


def test_one_bit_of_the_manifest_alone_is_refused(signed, keys):
    path = signed / MANIFEST
    path.write_text(path.read_text().replace('"created": "2026', '"created": "2025'))
    verify_directory(signed)
    with pytest.raises(StoreError, match="manifest.json"):
        verify_signature(signed, keys[1])


def test_any_bit_of_the_signature_is_refused(signed, keys):
    """Every seventh bit, and all of the characters that base64 ends in."""
    path = signed / SIGNATURE
    data = path.read_bytes()
    ends = [i for i in range(1, len(data)) if data[i - 1 : i + 1] in (b'="', b'=="')]
    bits = set(range(0, 8 * len(data), 7))
    bits |= {8 * (end - back) + bit for end in ends for back in range(4) for bit in range(8)}
    for bit in sorted(bits):
        flipped(path, bit)
        with pytest.raises(StoreError, match="is not what was signed|is missing"):
            verify_signature(signed, keys[1])
        path.write_bytes(data)


def test_bits_of_base64_that_decoders_pass_over_are_refused(signed, keys):
    """Of its last character before '=', the lowest bits mean nothing."""
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
    path = signed / SIGNATURE
    text = path.read_text()
    payload = json.loads(text)["dsseEnvelope"]["payload"]
    while not payload.endswith("="):  # by chance of its length: a longer name makes it longer
        (signed / ("x" + "x" * len(names(signed)))).write_text("")
        sign(seal(signed), keys[0])
        text = path.read_text()
        payload = json.loads(text)["dsseEnvelope"]["payload"]
    body = payload.rstrip("=")
    other = body[:-1] + alphabet[alphabet.index(body[-1]) + 1] + payload[len(body) :]
    assert base64.b64decode(other) == base64.b64decode(payload)
    path.write_text(text.replace(payload, other))
    with pytest.raises(StoreError, match="not encoded as it was written"):
        verify_signature(signed, keys[1])


@pytest.mark.parametrize("name", ["more.txt", "variables/more", ".gitignore", ".git/config"])
def test_a_file_more_or_fewer_is_refused_whatever_the_manifest_says(signed, keys, name):
    (signed / name).parent.mkdir(exist_ok=True)
    (signed / name).write_text("")
    with pytest.raises(StoreError, match="is not what was signed"):
        verify_signature(signed, keys[1])
    (signed / name).unlink()
    verify_signature(signed, keys[1])
    (signed / "labels.txt").unlink()
    seal(signed)
    with pytest.raises(StoreError, match="is not what was signed"):
        verify_signature(signed, keys[1])


def test_no_signature_and_that_of_somebody_else_are_refused(signed, keys, tmp_path):
    private, public = write_keys(tmp_path / "theirs")
    with pytest.raises(StoreError, match="is not what was signed"):
        verify_signature(signed, public)
    sign(signed, private)
    verify_signature(signed, public)
    with pytest.raises(StoreError, match="is not what was signed"):
        verify_signature(signed, keys[1])
    (signed / SIGNATURE).unlink()
    verify_directory(signed)
    with pytest.raises(StoreError, match="model.sig is missing: the release is not signed"):
        verify_signature(signed, keys[1])


def test_the_signature_of_another_release_is_refused(signed, keys, tmp_path):
    other = bundle(tmp_path / "other", text="other weights")
    shutil.copyfile(signed / SIGNATURE, other / SIGNATURE)
    verify_directory(other)
    with pytest.raises(StoreError, match="is not what was signed"):
        verify_signature(other, keys[1])


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"[" * 100_000, b"\xff", b'{"dsseEnvelope": {"payload": 1}}']
)
def test_what_is_no_signature_is_refused_in_a_sentence(signed, keys, content):
    (signed / SIGNATURE).write_bytes(content)
    with pytest.raises(StoreError, match=r"is not what was signed .*\.$") as refused:
        verify_signature(signed, keys[1])
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 1000


def test_a_file_that_is_no_key_is_refused_in_a_sentence(tmp_path, keys):
    private, public = keys
    unsuitable = write_keys(tmp_path / "edwards", ed25519.Ed25519PrivateKey.generate())
    small = write_keys(tmp_path / "small", ec.generate_private_key(ec.SECP224R1()))
    text = tmp_path / "key.pem"
    text.write_text("no key\n")
    for path in (public, unsuitable[0], small[0], text, tmp_path / "none"):
        with pytest.raises(StoreError, match="is no elliptic-curve private key in PEM"):
            check_private_key(path)
    for path in (private, unsuitable[1], small[1], text, tmp_path / "none"):
        with pytest.raises(StoreError, match="is no elliptic-curve public key in PEM"):
            check_public_key(path)


def test_without_the_package_the_reason_names_it(signed, keys, monkeypatch):
    monkeypatch.setitem(sys.modules, "model_signing.verifying", None)
    with pytest.raises(StoreError, match="pip install model-signing"):
        verify_signature(signed, keys[1])
    verify_directory(signed)


def test_the_store_keeps_the_signature_and_no_manifest_may_list_it(tmp_path, signed, keys):
    store = Store(tmp_path / "out/serving")
    release = store.publish("digits", signed)
    release.verify()
    verify_signature(release.path, keys[1])
    with pytest.raises(StoreError, match="lists 'model.sig', which it must not"):
        verify_directory(seal_with_signature(signed))


def seal_with_signature(directory: Path) -> Path:
    path = directory / MANIFEST
    entry = '"files": {"model.sig": {"sha256": "0", "bytes": 1}, '
    path.write_text(path.read_text().replace('"files": {', entry))
    return directory


def test_the_command_line_verifies_signatures_where_it_is_given_a_key(
    tmp_path, signed, keys, capsys
):
    store = Store(tmp_path / "out/serving")
    store.publish("digits", signed)
    store.publish("digits", bundle(tmp_path / "unsigned"))
    verify = ["verify", "--root", str(tmp_path / "out"), "digits"]
    assert command_line.main(verify) == 0
    assert command_line.main([*verify, "1", "--public-key", str(keys[1])]) == 0
    capsys.readouterr()
    assert command_line.main([*verify, "--public-key", str(keys[1])]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first == "digits version 1: ok"
    assert second.startswith("digits version 2: DAMAGED: ") and "is not signed" in second
    assert command_line.main([*verify, "--public-key", str(keys[0])]) == 2
    assert "is no elliptic-curve public key" in capsys.readouterr().err


def test_a_server_serves_only_what_was_signed(tmp_path, keys):
    store = Store(tmp_path / "out/serving")
    directory = digits_release(tmp_path / "release")
    unsigned = store.publish("digits", directory)
    Model(unsigned)
    with pytest.raises(NotServable, match="the release is not signed"):
        Model(unsigned, public_key=keys[1])
    started = ["-m", "serving", "--root", tmp_path / "out", "--public-key", keys[1]]
    done = run(*started)
    assert done.returncode == 2 and "the release is not signed" in done.stderr
    done = run(*started[:-1], keys[0])
    assert done.returncode == 2 and "--public-key: " in done.stderr
    sign(directory, keys[0])
    Model(store.publish("digits", directory), public_key=keys[1])


def test_model_signings_own_command_verifies_it(tmp_path, keys):
    directory = bundle(tmp_path / "release")
    sign(directory, keys[0])
    command = [sys.executable, "-m", "model_signing", "verify", "key", directory]
    command += ["--signature", directory / SIGNATURE, "--public_key", keys[1]]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True)
    assert done.returncode == 0, done.stderr
