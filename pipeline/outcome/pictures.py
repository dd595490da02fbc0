"""Pictures of what the steps left. None is a reason to lose a run: a failing one is logged."""

from pathlib import Path

from components.augmentation.policy import AugmentConfig
from components.base.console import log_stack
from components.base.frameworks import FRAMEWORKS
from components.data import image_index
from components.data.arrays import ImageArrays
from pipeline.line.steps import Outputs
from pipeline.outcome.doubtful_labels import write_doubtful
from pipeline.outcome.gallery import write_mistakes
from pipeline.outcome.preview_sheet import write_preview
from pipeline.outcome.samples import DARK, write_samples
from pipeline.outcome.verdict import MISTAKES, SAMPLES, SAMPLES_DARK


def draw_preview(config: AugmentConfig, outputs: Outputs) -> None:
    """`preview.png` beside the augmentation plan that it shows, once for each plan. Not by the step
    itself: how a picture is drawn must not decide whether a model is trained again."""
    arrays, plan = outputs.directory("pack", "arrays"), outputs.directory("augment", "plan")
    if arrays is None or plan is None or (plan / "preview.png").is_file():
        return
    try:
        work = plan / "preview"
        write_preview(ImageArrays(arrays), config, work, plan / "preview.png")
    except Exception:  # noqa: BLE001 - a picture is no reason to lose a run
        log_stack()


def draw_answers(outputs: Outputs, directory: Path) -> None:
    """`samples.png`, `mistakes.json` and labels that look wrong, of what was packed and predicted,
    whether a gate let it pass or not."""
    arrays = outputs.directory("pack", "arrays")
    found = {name: outputs.directory(f"evaluate_{name}", "predictions") for name in FRAMEWORKS}
    report = outputs.directory("ingest", "report")
    if arrays is None:
        return
    try:
        images = ImageArrays(arrays)
        answers = {name: path / "test.npz" for name, path in found.items() if path}
        write_samples(images, answers, directory / SAMPLES)
        write_samples(images, answers, directory / SAMPLES_DARK, DARK)
        index = report / image_index.INDEX if report else None
        features = outputs.directory("features", "features")
        write_mistakes(images, answers, index, directory / MISTAKES, features)
        if validation := outputs.directory("cross_validate", "validation"):
            write_doubtful(images, validation, index, directory)
    except Exception:  # noqa: BLE001 - a picture is no reason to lose a run
        log_stack()
