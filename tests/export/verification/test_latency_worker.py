"""How often latencies are measured follows from the size of the images."""

import json

import pytest

from export.verification.latency_worker import batches_at, rounds_at
from serving.contract.image_spec import ImageSpec


@pytest.mark.parametrize(("side", "batches", "rounds"), [(96, (1, 32), 20), (97, (1,), 10)])
def test_large_images_are_run_one_at_a_time_in_fewer_rounds(tmp_path, side, batches, rounds):
    (tmp_path / "image_spec.json").write_text(ImageSpec(side, side, 3).to_json())
    (tmp_path / "labels.json").write_text(json.dumps(["a", "b"]))
    assert (batches_at(tmp_path), rounds_at(tmp_path)) == (batches, rounds)
