"""A release's bill of materials: its models, and the packages of the lock that they were made with.

CycloneDX 1.6 as JSON (https://cyclonedx.org/docs/1.6/json/), written here: the library for it would
bring six more packages to write one dictionary, and is what a test validates it with. The same
release has the same bill, so there is no time in it, and its serial number is made of its content.
"""

import hashlib
import json
import re
import urllib.parse
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from components.base.fingerprint import ROOT
from serving.contract.release_files import FORMATS

LOCK = ROOT / "requirements.txt"
_PACKAGE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?==([^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def build(
    name: str,
    lineage: str,
    formats: Iterable[str],
    files: dict[str, dict],
    lock: Path = LOCK,
    backbone: dict | None = None,
) -> str:
    """The text of the bill. `files` are `{"sha256", "bytes"}` by path in the release, `formats`
    names of `release_files.FORMATS`; without a lock no package is known, but that of the weights of
    `backbone`, which is the manifest's."""
    text = lock.read_text(encoding="utf-8") if lock.is_file() else ""
    properties = [{"name": "darkroom:lineage", "value": lineage}]
    if text:
        digest = hashlib.sha256(text.encode()).hexdigest()
        properties.append({"name": "darkroom:lock_sha256", "value": digest})
    release = {
        "type": "application", "bom-ref": "release", "name": name, "version": lineage,
        "properties": properties,
    }  # fmt: skip
    content: dict[str, Any] = {
        "metadata": {"component": release},
        "components": [*_models(formats, lineage, files), *_with_weights(packages(text), backbone)],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(content, sort_keys=True))
    bill = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": serial.urn,
        "version": 1,
        **content,
    }
    # Thousands of hashes: without spaces.
    return json.dumps(bill, separators=(",", ":")) + "\n"


def packages(lock: str) -> list[dict]:
    """A component for each package that the text of a lock pins, with the hashes of all files, for
    whatever platform, that the lock lets be installed."""
    found: list[dict] = []
    for line in lock.splitlines():
        if pinned := _PACKAGE.match(line):
            found.append(_package(*pinned.groups()))
        elif allowed := _HASH.search(line):
            found[-1]["externalReferences"][0]["hashes"].append(_sha256(allowed[1]))
    for component in found:
        if not component["externalReferences"][0]["hashes"]:
            del component["externalReferences"]
    return found


def _with_weights(packages: list[dict], backbone: dict | None) -> list[dict]:
    """The packages with the licence of the one that the weights of `backbone` are from, which the
    lock may lack."""
    if backbone is None:
        return packages
    weights = _package(backbone["package"], backbone["version"])
    del weights["externalReferences"]
    found = next((own for own in packages if own["purl"] == weights["purl"]), weights)
    found["licenses"] = [{"license": {"id": backbone["licence"]}}]
    return packages if found is not weights else [*packages, weights]


def _package(name: str, version: str) -> dict:
    own = re.sub(r"[-_.]+", "-", name).lower()
    purl = f"pkg:pypi/{own}@{urllib.parse.quote(version, safe='')}"
    source = {"type": "distribution", "url": f"https://pypi.org/simple/{own}/", "hashes": []}
    return {
        "type": "library", "bom-ref": purl, "name": own, "version": version, "purl": purl,
        "externalReferences": [source],
    }  # fmt: skip


def _models(formats: Iterable[str], lineage: str, files: dict[str, dict]) -> list[dict]:
    """A component for each format; a directory's holds its files."""
    rows = [FORMATS[name] for name in formats]
    single = {row.file for row in rows if not row.directory}
    components = []
    for row in rows:
        component: dict[str, Any] = {
            "type": "machine-learning-model", "bom-ref": row.name, "name": row.file,
            "version": lineage, "description": row.title,
        }  # fmt: skip
        if row.directory:
            own = (name for name in files if name not in single and _in_saved_model(name))
            component["components"] = [_file(name, files[name]["sha256"]) for name in own]
        else:
            component["hashes"] = [_sha256(files[row.file]["sha256"])]
        components.append(component)
    return components


def _in_saved_model(name: str) -> bool:
    return name.endswith(".pb") or name.startswith(("variables/", "assets.extra/", "assets/"))


def _file(name: str, digest: str) -> dict:
    return {"type": "file", "bom-ref": name, "name": name, "hashes": [_sha256(digest)]}


def _sha256(digest: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": digest}
