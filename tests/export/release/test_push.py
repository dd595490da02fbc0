"""Which of the verified exports is released, or why none."""

import dataclasses
import json
import multiprocessing

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from components.gates.result import GateRefused
from export.release.config import ReleaseConfig
from export.release.push import Pushed, push
from export.verification.config import ExportConfig
from serving.contract.release_files import SIGNATURE
from serving.store.signature import verify_signature
from serving.store.store import Store
from tests.helpers.finished_exports import (
    GOOD,
    exported,
)

WORSE = {"accuracy": 0.98, "loss": 0.1}
KEPT = ReleaseConfig()


def pushed(tmp_path, store, facts, number: int, kept=KEPT, metrics=GOOD):
    found, parity = exported(tmp_path, "torch", number, metrics)
    return push(store, "digits", {"torch": found}, parity, {}, ExportConfig(), kept, facts)


def test_the_champion_is_released_in_every_format_with_its_own_facts(tmp_path, store, facts):
    (keras, of_keras), (torch, of_torch) = (
        exported(tmp_path, "keras", 1, WORSE),
        exported(tmp_path, "torch", 2, GOOD),
    )
    models = {"keras": keras, "torch": torch}
    done = push(store, "digits", models, of_keras + of_torch, {}, ExportConfig(), KEPT, facts)
    assert (done.champion, done.unchanged, done.release.version) == ("torch", False, 1)
    assert store.current("digits") == done.release
    done.release.verify()
    manifest = done.release.manifest()
    assert manifest["lineage"] == torch.contract["lineage"] and manifest["metrics"] == GOOD
    assert {record["framework"] for record in manifest["parity"]} == {"torch"}
    assert {gate["model"] for gate in manifest["gates"]} == {"torch"}
    assert manifest["data"] == {"good": 101} and manifest["run_id"] == "run-1"
    assert manifest["latency"] == {} and done.why == ""
    assert (done.release.path / "data/schema.pbtxt").is_file()
    assert json.loads((done.release.path / "contract.json").read_text()) == torch.contract


def test_what_is_the_current_release_already_is_not_pushed_again(tmp_path, store, facts):
    first = pushed(tmp_path, store, facts, 1)
    again = pushed(tmp_path, store, facts, 1)
    assert again == Pushed(first.release, "torch", unchanged=True)
    assert len(store.releases("digits")) == 1


def test_a_release_is_signed_where_a_key_is_configured_and_pushed_anew_if_it_was_not(
    tmp_path, store, facts
):
    pytest.importorskip("model_signing.signing", reason="model-signing is not installed")
    key = ec.generate_private_key(ec.SECP256R1())
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(key.public_key().public_bytes(pem, form))
    found, parity = exported(tmp_path, "torch", 1, GOOD)
    unsigned = push(store, "digits", {"torch": found}, parity, {}, ExportConfig(), KEPT, facts)
    assert not (unsigned.release.path / SIGNATURE).exists()
    kept = ReleaseConfig(signing_key=private)
    for unchanged in (False, True):
        done = push(store, "digits", {"torch": found}, parity, {}, ExportConfig(), kept, facts)
        assert (done.unchanged, done.release.version) == (unchanged, 2)
    done.release.verify()
    verify_signature(done.release.path, public)
    secret = private.read_bytes().splitlines()[1]
    assert not any(secret in p.read_bytes() for p in store.root.rglob("*") if p.is_file())


def test_a_damaged_current_release_is_pushed_anew(tmp_path, store, facts):
    first = pushed(tmp_path, store, facts, 1)
    (first.release.path / "model.onnx").write_text("altered")
    again = pushed(tmp_path, store, facts, 1)
    assert not again.unchanged and again.release.version == 2


def test_a_model_that_was_rolled_back_from_is_refused_and_another_is_not(tmp_path, store, facts):
    pushed(tmp_path, store, facts, 1)
    assert pushed(tmp_path, store, facts, 2).release.version == 2
    assert store.rollback("digits").version == 1
    for _ in range(2):
        with pytest.raises(GateRefused, match="rolled back") as refused:
            pushed(tmp_path, store, facts, 2)
    assert refused.value.exit_code == 3
    (gate,) = refused.value.gates
    assert (gate["name"], gate["passed"]) == ("rolled_back", False)
    assert gate["received"] == "the same model (torch-0000000000000002)"
    assert "serving.store rollback digits 2 restores it" in str(refused.value)
    assert store.current("digits").version == 1 and len(store.releases("digits")) == 2
    assert pushed(tmp_path, store, facts, 3).release.version == 3


def test_a_model_that_was_rolled_back_from_is_refused_after_later_releases_and_its_removal(
    tmp_path, store, facts
):
    pushed(tmp_path, store, facts, 1)
    pushed(tmp_path, store, facts, 2)
    store.rollback("digits")
    for number in (3, 4):
        pushed(tmp_path, store, facts, number)
    with pytest.raises(GateRefused, match="rollback digits 2 restores it"):
        pushed(tmp_path, store, facts, 2)
    removed = pushed(tmp_path, store, facts, 5, ReleaseConfig(keep=1)).removed
    assert removed == (2, 3)  # 1 is as accurate as any, 4 the one before
    with pytest.raises(GateRefused, match="release 2, .* .that release was removed"):
        pushed(tmp_path, store, facts, 2)
    # The one before, rolled back from and restored, is nobody's fault any more.
    store.rollback("digits", 4)
    store.promote("digits", 5)
    assert pushed(tmp_path, store, facts, 5).unchanged


def test_what_was_released_once_becomes_current_again_and_is_not_pushed_again(
    tmp_path, store, facts
):
    first = pushed(tmp_path, store, facts, 1)
    pushed(tmp_path, store, facts, 2)
    again = pushed(tmp_path, store, facts, 1)
    assert again == Pushed(first.release, "torch", unchanged=False, again=True)
    assert store.current("digits") == first.release and len(store.releases("digits")) == 2
    assert store.rollback("digits").version == 2  # the one that was current before
    assert [event.event for event in store.history("digits")] == [
        "publish", "publish", "promote", "rollback",
    ]  # fmt: skip


def test_old_releases_go_but_not_the_best(tmp_path, store, facts):
    """Else every release could be a little worse than the one before, and nothing would notice."""
    kept = ReleaseConfig(keep=2)
    done = [
        pushed(tmp_path, store, facts, number, kept, {"accuracy": accuracy, "loss": 0.1})
        for number, accuracy in enumerate((0.8, 0.99, 0.9, 0.9, 0.9), 1)
    ]
    assert [of.removed for of in done] == [(), (), (1,), (), (3,)]
    assert [release.version for release in store.releases("digits")] == [2, 4, 5]
    unchanged = pushed(tmp_path, store, facts, 5, ReleaseConfig(keep=1))
    assert (unchanged.unchanged, unchanged.removed) == (True, ())  # the best, the one before, it


def test_two_pushes_of_one_model_at_once_make_one_release(tmp_path, store, facts):
    """What the second decides by is what the first left."""
    found, parity = exported(tmp_path, "torch", 1, GOOD)
    fork, results = multiprocessing.get_context("fork"), multiprocessing.SimpleQueue()

    def one() -> None:
        models = {"torch": found}
        done = push(Store(store.root), "digits", models, parity, {}, ExportConfig(), KEPT, facts)
        results.put(done.unchanged)

    processes = [fork.Process(target=one) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert sorted(results.get() for _ in processes) == [False, True, True]
    assert len(store.releases("digits")) == 1


def test_an_artifact_that_disagrees_refuses_all_and_releases_nothing(tmp_path, store, facts):
    (keras, of_keras), (torch, of_torch) = (
        exported(tmp_path, "keras", 1, GOOD),
        exported(tmp_path, "torch", 2, WORSE),
    )
    next(r for r in of_torch if r["artifact"] == "onnx")["max_difference"] = 1e-3
    models = {"keras": keras, "torch": torch}
    with pytest.raises(GateRefused, match="torch onnx .*max_difference is 0.001"):
        push(store, "digits", models, of_keras + of_torch, {}, ExportConfig(), KEPT, facts)
    assert not store.models()


def test_a_reduced_precision_that_is_not_good_enough_is_left_out_and_said_to_be(
    tmp_path, store, facts
):
    found, parity = exported(tmp_path, "torch", 1, GOOD)
    for record in parity:
        if record["artifact"] == "onnx_int8":
            record |= {"agreement": 0.97, "passed": False}
    models = {"torch": found}
    done = push(store, "digits", models, parity, {}, ExportConfig(), KEPT, facts)
    manifest = done.release.manifest()
    assert "onnx_int8" not in manifest["formats"] and "tflite_int8" in manifest["formats"]
    assert not (done.release.path / "model_int8.onnx").exists()
    assert "agreement is 0.9700, expected at least 0.9850" in manifest["left_out"]["onnx_int8"]
    required = ExportConfig(required=("onnx_int8",))
    with pytest.raises(GateRefused, match="onnx_int8 .*agreement is 0.9700"):
        push(store, "digits", models, parity, {}, required, KEPT, facts)
    # One that has become good enough since is worth a release, though the model is the same.
    for record in parity:
        record |= {"agreement": 1.0, "passed": True}
    assert (
        push(store, "digits", models, parity, {}, ExportConfig(), KEPT, facts).release.version == 2
    )


def test_time_and_size_are_bounded_where_they_are_asked_to_be(tmp_path, store, facts):
    found, parity = exported(tmp_path, "torch", 1, GOOD)
    times = {record["artifact"]: {"1": {"p50": 2.0, "p99": 3.0}} for record in parity}
    latency = {"torch": times | {"onnx_float16": {"1": {"p50": 90.0}}}}

    def pushed_with(**limits):
        return push(
            store,
            "digits",
            {"torch": found},
            parity,
            latency,
            ExportConfig(**limits),
            ReleaseConfig(),
            facts,
        )

    with pytest.raises(GateRefused, match="torch onnx: latency is 2 ms, expected at most 1.5 ms"):
        pushed_with(max_latency_ms=1.5)
    with pytest.raises(GateRefused, match="torch saved_model: size is 0.001 MB"):
        pushed_with(max_mb=0.0005)
    latency["current"] = {"onnx": {"1": {"p50": 1.0}}}
    with pytest.raises(GateRefused, match="onnx: slowdown is 2 times the release's"):
        pushed_with(max_slowdown=1.5)
    assert not store.models()
    done = pushed_with(max_latency_ms=2.5, max_mb=1, max_slowdown=2.5)
    assert "onnx_float16" in done.release.manifest()["formats"]  # for GPUs: not judged here
    del latency["torch"]["onnx"]
    with pytest.raises(GateRefused, match="onnx: latency is nan ms"):
        pushed_with(max_latency_ms=2.5)


def test_the_faster_in_onnx_of_two_equal_models_is_pushed(tmp_path, store, facts):
    found, parity = {}, []
    for number, framework in enumerate(("keras", "torch")):
        found[framework], records = exported(tmp_path, framework, number, GOOD)
        parity += records
    latency = {
        "keras": {"onnx": {"1": {"p50": 0.2}}, "tflite": {"1": {"p50": 0.1}}},
        "torch": {"onnx": {"1": {"p50": 0.1}}, "tflite": {"1": {"p50": 0.3}}},
    }
    found["keras"] = dataclasses.replace(found["keras"], metrics=GOOD | {"accuracy": 0.991})
    done = push(store, "digits", found, parity, latency, ExportConfig(), KEPT, facts)
    assert done.why == (
        "keras's 0.9910 is better by no more than chance, and it is faster (0.1 against 0.2 ms an "
        "image)"
    )
    assert done.champion == "torch"
    assert done.release.manifest()["latency"] == latency["torch"]
    again = push(store, "digits", found, parity, latency, ExportConfig(), KEPT, facts)
    assert again == Pushed(done.release, "torch", unchanged=True, why=done.why)


@pytest.mark.parametrize("latency", [{"torch": {}}, {"torch": {"onnx": {}}, "keras": {}}])
def test_a_time_that_was_not_measured_of_one_image_is_not_known(tmp_path, store, facts, latency):
    found, parity = exported(tmp_path, "torch", 1, GOOD)
    assert push(store, "digits", {"torch": found}, parity, latency, ExportConfig(), KEPT, facts)
