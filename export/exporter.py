"""Exports of trained models, each verified as soon as it is written."""

import concurrent.futures
import contextlib
import json
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator

from components.base import atomic
from components.base.commands import Arguments
from components.base.process import run_module
from export.export_format import FormatArgs, write_format
from export.formats import contract as contracts
from export.formats.trained_model import TrainedModel
from export.verification.config import ExportConfig, batches_of
from export.verification.parity import ParityArgs
from export.verification.parity_gates import PARITY
from export.verification.verify import CHILD_SECONDS, NotMeasured, verify_artifact
from serving.contract.release_files import CONTRACT, FORMATS, formats_of

THREADS = 2

Framework = Literal["keras", "torch"]


class ExportError(ValueError):
    """An export or a verification could not be done; the message names framework and format."""


class ExportArgs(Arguments):
    """Arguments of `python -m export`."""

    models: dict[Framework, Path]
    """Model directories, of one framework or both."""
    arrays: Path
    predictions: dict[Framework, Path]
    """For each of them a directory with `test.npz` and `val.npz`, see held_out.py."""
    transform_graph: Path | None = None
    """The Transform step's artifact; without it SavedModels have no `serving_bytes`."""
    output: Path
    export: ExportConfig = ExportConfig()

    @model_validator(mode="after")
    def _predictions_for_each(self) -> Self:
        if not self.models or not self.models.keys() <= self.predictions.keys():
            raise ValueError("expected at least one model, and predictions for each")
        return self


class Exporter:
    """One run: every artifact is verified in a process of its own as soon as it is written, while
    the next one is made. `pool` waits for the child processes, `say` prints a line."""

    def __init__(
        self, args: ExportArgs, pool: concurrent.futures.Executor, say: Callable[[str], None]
    ):
        self.args, self.pool, self.say = args, pool, say
        self.verifications: list[concurrent.futures.Future[list[dict]]] = []

    def run(self) -> list[dict]:
        """Exports everything; parity.json's records. Raises ExportError."""
        elsewhere: list[concurrent.futures.Future[None]] = []
        try:
            # PyTorch first: what it writes itself is made elsewhere, while TensorFlow loads here.
            for framework in sorted(self.args.models, reverse=True):
                elsewhere += self._export(framework)
            for future in elsewhere:
                future.result()
            return self._records()
        finally:
            for verification in self.verifications:
                verification.cancel()

    def _export(self, framework: Framework) -> list[concurrent.futures.Future[None]]:
        """Makes a model's artifacts; returns those that other processes are still making."""
        directory, graph = self.args.models[framework], self.args.transform_graph
        if framework == "keras":
            self._load_tensorflow(framework)
        with self._step(framework, "weights"):
            model = TrainedModel(directory, framework, graph)
            contract = model.contract
        text = contracts.to_json(contract) + "\n"
        atomic.write(self.args.output / framework / CONTRACT, text)
        alone = [f for f in formats_of(contract) if framework == "torch" and f.from_torch]
        futures = [self.pool.submit(self._by_itself, framework, model, f.name) for f in alone]
        for format in formats_of(contract):
            if format not in alone:
                self._load_tensorflow(framework)
                with self._step(framework, format.name):
                    write_format(model, format.name, self._path(framework, format.name))
                self._verify(framework, format.name, contract)
        return futures

    def _load_tensorflow(self, framework: Framework) -> None:
        """Imports TensorFlow, once, and sets its threads, which works only before it is used."""
        if "tensorflow" in sys.modules:
            return
        with self._step(framework, "start of TensorFlow"):
            import tensorflow as tf

            tf.config.threading.set_intra_op_parallelism_threads(THREADS)
            tf.config.threading.set_inter_op_parallelism_threads(THREADS)

    def _by_itself(self, framework: Framework, model: TrainedModel, name: str) -> None:
        args = FormatArgs(
            framework=framework,
            model_dir=model.directory,
            contract=model.contract,
            format=name,
            output=self._path(framework, name),
        )
        with self._step(framework, name):
            run_module(
                "export.export_format",
                args,
                self.args.output / "processes" / f"{framework}-{name}",
                seconds=CHILD_SECONDS,
                threads=THREADS,
                gpu=False,
            )
        self._verify(framework, name, model.contract)

    def _path(self, framework: str, name: str) -> Path:
        return self.args.output / framework / FORMATS[name].file

    def _verify(self, framework: Framework, name: str, contract: dict) -> None:
        args = ParityArgs(
            artifact=name,
            path=self._path(framework, name),
            arrays=self.args.arrays,
            predictions=self.args.predictions[framework],
            images=self.args.export.images,
            batches=batches_of(name),
            lineage=contract["lineage"],
            threads=THREADS,
            output=self.args.output / "processes" / f"{framework}-{name}.json",
        )
        self.verifications.append(self.pool.submit(self._measured, args, framework))

    def _measured(self, args: ParityArgs, framework: str) -> list[dict]:
        try:
            return verify_artifact(args, framework, self.args.export)
        except NotMeasured as error:
            raise ExportError(
                f"The verification of {framework}'s {args.artifact} ended without a result: "
                f"{str(error).rstrip('.')}. Nothing is known of the artifact: run it again."
            ) from error

    def _records(self) -> list[dict]:
        found = [future.result() for future in self.verifications]
        order = list(FORMATS)
        found.sort(key=lambda of: (of[0]["framework"], order.index(of[0]["artifact"])))
        for records in found:
            self._say_verdict(records)
        return [record for records in found for record in records]

    def _say_verdict(self, records: list[dict]) -> None:
        """One line for an artifact: the worst of its batch sizes."""
        name = f"  verify {records[0]['framework']} {records[0]['artifact']}: "
        if error := next((r["error"] for r in records if r["error"]), None):
            return self.say(f"{name}FAILED: {error}")
        difference = max(r["max_difference"] for r in records)
        agreement = min(r["agreement"] for r in records)
        sizes = " and ".join(str(r["batch"]) for r in records)
        verdict = "" if all(r["passed"] for r in records) else "FAILED: "
        return self.say(
            f"{name}{verdict}{records[0]['images']} images at batch {sizes}, largest difference "
            f"{difference:.1e}, agreement {agreement:.4f}"
        )

    @contextlib.contextmanager
    def _step(self, framework: str, what: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        except Exception as error:
            traceback.print_exc()  # for the log: the sentence is its first line only
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ExportError(f"The export of {framework}'s {what} failed: {first}") from error
        # For the log of a run; on the console only what was verified counts.
        print(f"export {framework} {what}: {time.perf_counter() - started:.1f} s", flush=True)


def export(args: ExportArgs, say: Callable[[str], None]) -> None:
    """Writes `<output>/<framework>/` with the artifacts and the contract of each model, and
    `<output>/parity.json`, replacing what an earlier export left. Raises ExportError."""
    for name in (*args.models, "processes"):
        shutil.rmtree(args.output / name, ignore_errors=True)
    (args.output / PARITY).unlink(missing_ok=True)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        records = Exporter(args, pool, say).run()
    shutil.rmtree(args.output / "processes", ignore_errors=True)
    atomic.write(args.output / PARITY, json.dumps(records, indent=1) + "\n")
