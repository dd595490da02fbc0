"""Exports of trained models, each verified as soon as it is written."""

import concurrent.futures
import contextlib
import json
import shutil
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator

from components.base import atomic, disk
from components.base.commands import Arguments
from components.base.process import run_module
from components.data.arrays import ImageArrays
from components.evaluation import temperature
from export.export_formats import FormatsArgs, write_format
from export.formats import contract as contracts
from export.formats.inexpressible import sentence
from export.formats.trained_model import TrainedModel
from export.verification.config import ExportConfig, batch_sizes, is_large
from export.verification.held_out import GOLDEN_ANSWERS
from export.verification.latency import workers
from export.verification.latency_worker import Artifact
from export.verification.parity import ParityArgs
from export.verification.parity_gates import parity_gates
from export.verification.records import (
    CURRENT,
    LATENCY,
    PARITY,
    Latencies,
    blank_record,
)
from export.verification.verify import CHILD_SECONDS, NotMeasured, verify_artifact
from serving.contract.release_files import CONTRACT, FORMATS, MANIFEST, Format, formats_of

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
    """For each of them a directory with `test.npz` and `val.npz`, see held_out.py, and
    `calibration.json` where logits are divided by a temperature."""
    transform_graph: Path | None = None
    """The Transform step's artifact; without it SavedModels have no `serving_bytes`."""
    examples: Path | None = None
    """Ingest's artifact, with the files that `serving_bytes` is verified on."""
    current: Path | None = None
    """A release whose latencies are measured beside the new ones."""
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
        height, width, _ = ImageArrays(args.arrays).spec.shape
        self.limits, self.calibration = args.export, args.export.calibration(height, width)
        self.batches, self.large = batch_sizes(height, width), is_large(height, width)
        self.verifications: list[concurrent.futures.Future[list[dict]]] = []
        self.made: list[Artifact] = []
        self.not_made: list[list[dict]] = []
        self._tensorflow_is_set = False

    def run(self) -> tuple[list[dict], Latencies]:
        """Exports everything; parity.json's records and latency.json's. Raises ExportError."""
        elsewhere: list[concurrent.futures.Future[None]] = []
        try:
            # PyTorch first: what it writes itself is made elsewhere, while TensorFlow loads here.
            for framework in sorted(self.args.models, reverse=True):
                elsewhere += self._export(framework)
            for future in elsewhere:
                future.result()
            # While the last are verified, those who will measure them open them; of large images
            # both together would take a gigabyte more.
            verified = self._records() if self.large else None
            with workers(self._measured_ones(), self.args.arrays, CHILD_SECONDS) as latencies:
                records = verified or self._records()
                with self._step("both", "latencies"):
                    return records, latencies.measure()
        finally:
            for verification in self.verifications:
                verification.cancel()

    def _export(self, framework: Framework) -> list[concurrent.futures.Future[None]]:
        """Makes a model's artifacts; returns those that other processes are still making."""
        if framework == "keras":
            self._load_tensorflow(framework)
        with self._step(framework, "weights"):
            model = TrainedModel(
                self.args.models[framework],
                framework,
                self.args.transform_graph,
                temperature=temperature.load(self.args.predictions[framework]),
                arrays=self.args.arrays,
                calibration_count=self.calibration,
            )
            contract = model.contract
        text = contracts.to_json(contract) + "\n"
        atomic.write(self._directory(framework) / CONTRACT, text)
        formats = [FORMATS[name] for name in contracts.formats(model.network)]
        formats = [row for row in formats if row.name in (self.limits.formats or FORMATS)]
        twin = not contracts.without_twin(model.network)
        alone = [row for row in formats if framework == "torch" and (row.from_torch or not twin)]
        futures = [self.pool.submit(self._by_itself, framework, model, alone)] if alone else []
        for row in formats:
            if row not in alone:
                self._here(framework, model, row)
        return futures

    def _here(self, framework: Framework, model: TrainedModel, row: Format) -> None:
        self._load_tensorflow(framework)
        try:
            with self._step(framework, row.name):
                write_format(model, row.name, self._directory(framework))
        except ExportError as error:
            if self.limits.is_required(row) or disk.is_full(error):
                raise
            self._leave_out(framework, row, str(error))
        else:
            self._verify(framework, row, model.contract)

    def _load_tensorflow(self, framework: Framework) -> None:
        """Imports TensorFlow and sets its threads, which works only once, before it is used."""
        if self._tensorflow_is_set:
            return
        self._tensorflow_is_set = True
        with self._step(framework, "start of TensorFlow"):
            import tensorflow as tf

            tf.config.threading.set_intra_op_parallelism_threads(THREADS)
            tf.config.threading.set_inter_op_parallelism_threads(THREADS)

    def _by_itself(self, framework: Framework, model: TrainedModel, rows: list[Format]) -> None:
        scratch = self.args.output / "processes" / framework
        args = FormatsArgs(
            framework=framework,
            model_dir=model.directory,
            contract=model.contract,
            formats=[row.name for row in rows],
            required=[row.name for row in rows if self.limits.is_required(row)],
            arrays=self.args.arrays,
            calibration_images=self.calibration,
            output=self._directory(framework),
            failures=scratch / "failures.json",
        )
        with self._step(framework, "formats"):
            run_module(
                "export.export_formats",
                args,
                scratch,
                seconds=CHILD_SECONDS,
                threads=1,
                gpu=False,
                imports="torch",
            )
        failures = json.loads(args.failures.read_text())
        for row in rows:
            if row.name in failures:
                self._leave_out(framework, row, f"it could not be made: {failures[row.name]}")
            else:
                self._verify(framework, row, model.contract)

    def _leave_out(self, framework: Framework, row: Format, reason: str) -> None:
        record = {"framework": framework} | blank_record(row.name)
        record |= {"error": reason, "passed": False}
        self.not_made.append([record | {"batch": batch} for batch in self.batches])

    def _directory(self, framework: str) -> Path:
        return self.args.output / framework

    def _verify(self, framework: Framework, row: Format, contract: dict) -> None:
        path = self._directory(framework) / row.file
        self.made.append((framework, row.name, path))
        args = ParityArgs(
            artifact=row.name,
            path=path,
            arrays=self.args.arrays,
            predictions=self.args.predictions[framework],
            examples=self.args.examples,
            images=self.limits.images,
            batches=self.batches,
            large=self.large,
            tie=self.limits.max_difference if row.precision == "float32" else 0.0,
            lineage=contract["lineage"],
            threads=1,  # two are under way beside the export, and OpenMP's threads spin
            golden=self._directory(framework) / GOLDEN_ANSWERS / f"{row.name}.npy",
            output=self.args.output / "processes" / f"{framework}-{row.name}.json",
        )
        self.verifications.append(self.pool.submit(self._measured, args, framework))

    def _measured(self, args: ParityArgs, framework: str) -> list[dict]:
        try:
            return verify_artifact(args, framework, self.limits)
        except NotMeasured as error:
            raise ExportError(
                f"The verification of {framework}'s {args.artifact} ended without a result: "
                f"{str(error).rstrip('.')}. Nothing is known of the artifact: run it again."
            ) from error

    def _records(self) -> list[dict]:
        found = [*self.not_made, *(future.result() for future in self.verifications)]
        order = list(FORMATS)
        found.sort(key=lambda of: (of[0]["framework"], order.index(of[0]["artifact"])))
        for records in found:
            self._say_verdict(records)
        return [record for records in found for record in records]

    def _say_verdict(self, records: list[dict]) -> None:
        """One line for an artifact: the worst of its batch sizes."""
        row = FORMATS[records[0]["artifact"]]
        name = f"  verify {records[0]['framework']} {row.name}: "
        bad = "FAILED: " if self.limits.is_required(row) else "left out: "
        if error := next((r["error"] for r in records if r["error"]), None):
            return self.say(f"{name}{bad}{error}")
        failed = [gate for gate in parity_gates(records, self.limits) if not gate.passed]
        if failed:
            return self.say(f"{name}{bad}{failed[0].sentence()}")
        agreement = min(r["agreement"] for r in records)
        sizes = ", ".join(str(r["batch"]) for r in records)
        return self.say(
            f"{name}{records[-1]['images']:,} images at batch {sizes}: accuracy "
            f"{records[-1]['accuracy']:.4f}, agreement {agreement:.4f}, largest difference "
            f"{max(r['max_difference'] for r in records):.1e}"
        )

    def _measured_ones(self) -> list[Artifact]:
        """Whose latency is measured: what was made, and the current release's."""
        if self.args.current is None:
            return self.made
        manifest = json.loads((self.args.current / MANIFEST).read_text())
        current = [
            (CURRENT, row.name, row.in_release(self.args.current)) for row in formats_of(manifest)
        ]
        return [*self.made, *current]

    @contextlib.contextmanager
    def _step(self, framework: str, what: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            traceback.print_exc()  # for the log: the sentence is its first line only
            raise ExportError(
                f"The export of {framework}'s {what} failed: {sentence(error)}."
            ) from error


def export(args: ExportArgs, say: Callable[[str], None]) -> None:
    """Writes `<output>/<framework>/` with the artifacts and the contract of each model,
    `<output>/parity.json` and `<output>/latency.json`, replacing what an earlier export left.
    Raises ExportError."""
    for name in (*args.models, "processes"):
        shutil.rmtree(args.output / name, ignore_errors=True)
    for name in (PARITY, LATENCY):
        (args.output / name).unlink(missing_ok=True)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        exporter = Exporter(args, pool, say)
        records, latencies = exporter.run()
    shutil.rmtree(args.output / "processes", ignore_errors=True)
    atomic.write(args.output / LATENCY, json.dumps(latencies, indent=1) + "\n")
    atomic.write(args.output / PARITY, json.dumps(records, indent=1) + "\n")
