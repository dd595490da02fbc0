"""What a release with a pretrained backbone says of it, and which training images go with it."""

import dataclasses

from export.release.config import ReleaseConfig
from export.release.provenance import backbone
from export.release.push import push
from export.verification.config import ExportConfig
from serving.contract.release_files import NEIGHBOURS
from serving.inference.neighbours import read
from tests.helpers.export_data import digits_arrays
from tests.helpers.finished_exports import GOOD, TEST, exported, parity_records
from tests.helpers.serving_fixtures import onnx_bytes
from tests.helpers.training_features import pixel_features

KEPT = ReleaseConfig()
BACKBONE = backbone("efficientnet_lite0", 9)


def test_training_images_go_into_a_release_where_they_may_and_another_wish_is_another_release(
    tmp_path, store, facts
):
    arrays = digits_arrays(tmp_path / "with_train", TEST, val=5, train=40)
    neighbours = pixel_features(tmp_path / "features", arrays)
    facts = dataclasses.replace(facts, arrays=arrays, neighbours=neighbours)
    found, _ = exported(tmp_path, "torch", 1, GOOD)
    (found.directory / "model.onnx").write_bytes(onnx_bytes())
    parity = parity_records(found.directory)

    def released(kept, records=parity):
        limits = ExportConfig()
        return push(store, "digits", {"torch": found}, records, {}, limits, kept, facts).release

    first = released(KEPT)
    first.verify()
    assert first.manifest()["neighbours"] == 40 and NEIGHBOURS in first.manifest()["files"]
    assert len(read(first.path / NEIGHBOURS, 10).names) == 40
    assert "file names of 40 training images" in (first.path / "README.md").read_text()
    without = released(ReleaseConfig(neighbours=False))
    assert without.version == 2 and "neighbours" not in without.manifest()
    assert not (without.path / NEIGHBOURS).exists()
    assert NEIGHBOURS not in (without.path / "README.md").read_text()
    assert released(ReleaseConfig(neighbours=False)) == without and released(KEPT) == first
    found = dataclasses.replace(found, finetuned=True)
    assert released(KEPT) == without  # its features are no longer the backbone's
    found = dataclasses.replace(found, finetuned=False)
    others = [record for record in parity if record["artifact"] != "onnx"]
    assert not (released(KEPT, others).path / NEIGHBOURS).exists()


def test_layers_count_as_trained_where_the_champions_fine_tuning_was_kept(tmp_path, store, facts):
    extra = facts.extra | {"backbone": BACKBONE}
    facts = dataclasses.replace(facts, extra=extra)
    for number, finetuned in enumerate((False, True), 1):
        found, parity = exported(tmp_path, "torch", number, GOOD)
        found = dataclasses.replace(found, finetuned=finetuned)
        done = push(store, "digits", {"torch": found}, parity, {}, ExportConfig(), KEPT, facts)
        assert done.release.manifest()["backbone"]["trained_layers"] == (9 if finetuned else 0)
        card = (done.release.path / "README.md").read_text()
        assert ("the last 9 layers of the backbone" in card) is finetuned
