"""What the contract inside every artifact says in words."""

import dataclasses

import pytest

from export.formats import contract as contracts
from serving.contract.image_spec import ImageSpec
from serving.contract.release_files import FORMATS
from tests.helpers.export_data import network

WORDS = {
    "crop": "crop it centrally to the aspect ratio of the packed size, resize it with",
    "stretch": "resize it to the packed size with an antialiased bilinear filter whatever its",
    "pad": "into the middle of a black image of that size, crop the margins",
}


def _built(fit: str) -> dict:
    description = network("keras")
    spec = dataclasses.replace(description.spec, fit=fit)
    return contracts.build(dataclasses.replace(description, spec=spec), "keras-00")


@pytest.mark.parametrize("fit", ["crop", "stretch", "pad"])
def test_preprocessing_is_told_as_the_spec_fits_images(fit):
    contract = _built(fit)
    assert ImageSpec.from_dict(contract["image_spec"]).fit == fit
    for row in (FORMATS["tflite"], FORMATS["tflite_rgb"]):
        told = contracts.inside(contract, row)["preprocessing"]
        assert told.startswith("Turn the image upright (EXIF), ")
        assert {how for how, words in WORDS.items() if words in told} == {fit}
        assert ("All three channels are given" in told) == bool(row.from_grey)


def test_a_contract_that_crops_says_what_it_did_before_there_was_a_choice():
    contract = _built("crop")
    assert contract["preprocessing"] == (
        "Turn the image upright (EXIF), crop it centrally to the aspect ratio of the packed size, "
        "resize it with an antialiased bilinear filter, crop the margins, and pass the pixels as "
        "they are, 0 to 255: normalisation is inside the model."
    )
    assert "fit" not in contract["image_spec"]
