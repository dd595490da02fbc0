"""The baseline of the change gate: the current release, measured on this run's test split."""

import onnxruntime

from components.arrays import ImageArrays
from components.gates import Baseline
from serving.store import Release


def measure(release: Release, arrays: ImageArrays) -> Baseline:
    """Accuracy of the release's ONNX file on `arrays`' test split (uint8 images, CPU).

    A release with another image size or other classes cannot run on these images; it is then
    judged by the accuracy in its manifest, and the baseline's `source` says so.
    """
    contract = release.contract()
    same_shape = tuple(contract["input"]["shape"][1:]) == arrays.spec.shape
    if not (same_shape and contract["labels"] == arrays.labels):
        accuracy = float(release.manifest()["metrics"]["accuracy"])
        return Baseline(release.version, accuracy, "by its manifest, on its own data")
    session = onnxruntime.InferenceSession(
        str(release.path / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    test = arrays.split("test")
    correct = sum(
        int((session.run(["probabilities"], {"image": images})[0].argmax(axis=1) == labels).sum())
        for images, labels in test.batches(256)
    )
    return Baseline(release.version, correct / len(test), "on the same test images")
