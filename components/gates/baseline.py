"""The baseline of the change gate: the current release, measured on this run's test split."""

from components.data.arrays import ImageArrays
from components.gates.model_gates import Baseline
from serving.contract.release_files import FORMATS
from serving.inference.onnx_runtime import open_session
from serving.store.release import Release, StoreError


def measure(release: Release, arrays: ImageArrays) -> Baseline:
    """Accuracy of the release's ONNX file on `arrays`' test split (uint8 images, CPU).

    A release with another image size or other classes cannot run on these images, and one whose
    files are damaged must not: they are judged by the accuracy in their manifest, and the
    baseline's `source` says so. Raises StoreError when even that cannot be read.
    """
    contract = release.contract()
    same_shape = tuple(contract["input"]["shape"][1:]) == arrays.spec.shape
    reason = None if same_shape and contract["labels"] == arrays.labels else "on its own data"
    try:
        release.verify()
    except StoreError:
        reason = "as its files are damaged"
    if reason:
        accuracy = float(release.manifest()["metrics"]["accuracy"])
        return Baseline(release.version, accuracy, f"by its manifest, {reason}")
    session = open_session(FORMATS["onnx"].in_release(release.path), gpu=False)
    test = arrays.split("test")
    correct = sum(
        int((session.run(["probabilities"], {"image": images})[0].argmax(axis=1) == labels).sum())
        for images, labels in test.batches(256)
    )
    return Baseline(release.version, correct / len(test), "on the same test images")
