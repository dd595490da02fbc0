"""Corrupt step's glue."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component

from components.base.process import HOURS, run_module
from components.data.artifacts_tfx import ImageArraysArtifact
from components.evaluation.corruptions import CorruptArgs


@component
def Corrupt(
    arrays: InputArtifact[ImageArraysArtifact],
    corrupted: OutputArtifact[ImageArraysArtifact],
    code: Parameter[str],
) -> None:
    """Writes the corrupted test images on which robustness is measured."""
    del code
    arguments = CorruptArgs(arrays=Path(arrays.uri), output=Path(corrupted.uri))
    module = "components.evaluation.torch_corruptions"
    run_module(module, arguments, corrupted.uri, seconds=HOURS, gpu=False, imports="torch")
