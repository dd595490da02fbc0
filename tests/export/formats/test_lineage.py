"""Equal lineage means equal graphs and weights: whatever they depend on changes it."""

import numpy as np

from export.formats import lineage
from tests.helpers.export_data import network


def test_lineage_changes_with_whatever_the_artifacts_depend_on(tmp_path):
    description = network("keras")
    weights = {"00_conv/kernel": np.arange(4, dtype=np.float32)}
    for name in (
        "export/formats/onnx.py",
        "components/networks/keras_model.py",
        "components/data/transform_tfx.py",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("pass\n")

    def identify(weights=weights, with_transform=True, description=description):
        return lineage.identify(description, weights, with_transform, root=tmp_path)

    first = identify()
    assert first == identify() and first.startswith("keras-") and len(first) == 6 + 16
    altered = {"00_conv/kernel": np.array([0, 1, 2, 3.0000002], np.float32)}
    others = {
        identify(weights=altered),
        identify(weights={"00_conv/kernel": weights["00_conv/kernel"].astype(np.float64)}),
        identify(with_transform=False),
        identify(description=description.with_framework("torch")),
    }
    (tmp_path / "components/data/transform_tfx.py").write_text("pass  # changed\n")
    others.add(identify())
    (tmp_path / "export/formats/onnx.py").write_text("pass  # changed\n")
    others.add(identify())
    assert len(others) == 6 and first not in others
