"""Pictures of what the steps left. None is a reason to lose a run: a failing one is logged."""

import threading
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


class Pictures:
    """Those of one run, for its `directory`: drawn in the background as soon as all that they show
    is there, for the export does not keep all cores busy."""

    def __init__(self, config: AugmentConfig, directory: Path):
        self._config, self._directory = config, directory
        self._drawing: threading.Thread | None = None
        self._abandoned = False

    def begin(self, outputs: Outputs) -> None:
        """Starts to draw them."""
        self._drawing = threading.Thread(
            target=self._draw, args=(outputs,), name="pictures", daemon=True
        )
        self._drawing.start()

    def finish(self, outputs: Outputs) -> None:
        """Returns when they are drawn; draws what there is where none called `begin`."""
        if self._drawing is None:
            self._draw(outputs)
        else:
            self._drawing.join()

    def abandon(self) -> None:
        """Has nothing more drawn nor logged: the run was interrupted, and does not wait."""
        self._abandoned = True

    def _draw(self, outputs: Outputs) -> None:
        arrays = outputs.directory("pack", "arrays")
        if arrays is None:
            return
        for draw in (self._draw_preview, self._draw_answers):
            if self._abandoned:
                return
            try:
                draw(outputs, ImageArrays(arrays))
            except Exception:  # noqa: BLE001 - a picture is no reason to lose a run
                if not self._abandoned:
                    log_stack()

    def _draw_preview(self, outputs: Outputs, arrays: ImageArrays) -> None:
        """`preview.png` beside the augmentation plan that it shows, once for each plan. Not by the
        step itself: how a picture is drawn must not decide whether a model is trained again."""
        plan = outputs.directory("augment", "plan")
        if plan is not None and not (plan / "preview.png").is_file():
            write_preview(arrays, self._config, plan / "preview", plan / "preview.png")

    def _draw_answers(self, outputs: Outputs, arrays: ImageArrays) -> None:
        """`samples.png`, `mistakes.json` and labels that look wrong, of what was packed and
        predicted, whether a gate let it pass or not."""
        found = {name: outputs.directory(f"evaluate_{name}", "predictions") for name in FRAMEWORKS}
        answers = {name: path / "test.npz" for name, path in found.items() if path}
        write_samples(arrays, answers, self._directory / SAMPLES)
        write_samples(arrays, answers, self._directory / SAMPLES_DARK, DARK)
        report = outputs.directory("ingest", "report")
        index = report / image_index.INDEX if report else None
        features = outputs.directory("features", "features")
        write_mistakes(arrays, answers, index, self._directory / MISTAKES, features)
        if validation := outputs.directory("cross_validate", "validation"):
            write_doubtful(arrays, validation, index, self._directory)
