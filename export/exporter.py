"""Exports of trained models, each verified as soon as it is written."""

import concurrent.futures
import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator

from components.base import atomic
from components.networks.network import Network
from export.formats import contract as contracts
from export.formats import lineage, twin
from export.verification.config import BATCHES, ExportConfig
from export.verification.verify import NotMeasured, child, verify
from serving.contract.release_files import FILES

THREADS = 2


class ExportError(RuntimeError):
    """An export or a verification could not be done; the message names framework and format."""


class Args(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    models: dict[Literal["keras", "torch"], Path]
    arrays: Path
    predictions: dict[Literal["keras", "torch"], Path]
    transform_graph: Path | None = None
    output: Path
    export: ExportConfig = ExportConfig()

    @model_validator(mode="after")
    def _predictions_for_each(self):
        if not self.models or not self.models.keys() <= self.predictions.keys():
            raise ValueError("expected at least one model, and predictions for each")
        return self

    @classmethod
    def load(cls, path: str | Path) -> "Args":
        """From a JSON file; paths become absolute, as the child processes run elsewhere."""
        args = cls.model_validate_json(Path(path).read_text())
        paths = {
            "models": {name: p.resolve() for name, p in args.models.items()},
            "arrays": args.arrays.resolve(),
            "predictions": {name: p.resolve() for name, p in args.predictions.items()},
            "transform_graph": args.transform_graph and args.transform_graph.resolve(),
            "output": args.output.resolve(),
        }
        return args.model_copy(update=paths)


class Exporter:
    """One run: every artifact is verified in a process of its own as soon as it is written, while
    the next one is made. `pool` waits for the child processes, `say` prints a line."""

    def __init__(self, args: Args, pool: concurrent.futures.Executor, say):
        self.args, self.pool, self.say = args, pool, say
        self.verifications: list[concurrent.futures.Future] = []

    def run(self) -> list[dict]:
        """Exports everything; parity.json's records. Raises ExportError."""
        pytorchs_own = None
        try:
            if "torch" in self.args.models:
                network, weights = self._torch_weights()
                contract = self._contract(network, weights)
                # First, since its process needs nothing of TensorFlow, which loads meanwhile.
                pytorchs_own = self.pool.submit(self._torch_onnx, contract)
                if "saved_model" in contract["formats"]:
                    self._torch_by_twin(network, weights, contract)
            if "keras" in self.args.models:
                self._keras()
            if pytorchs_own is not None:
                pytorchs_own.result()
            return self._records()
        finally:
            for future in self.verifications:
                future.cancel()

    def _network(self, framework: str) -> Network:
        network = Network.load(self.args.models[framework])
        if network.framework != framework:
            raise ValueError(
                f"{self.args.models[framework]} holds a model of {network.framework}, "
                f"expected {framework}."
            )
        return network

    def _torch_weights(self) -> tuple[Network, twin.Weights]:
        with self._step("torch", "weights"):
            network = self._network("torch")
            return network, twin.load_torch_weights(self.args.models["torch"], network)

    def _torch_by_twin(self, network: Network, weights: twin.Weights, contract: dict) -> None:
        self._load_tensorflow("torch")
        with self._step("torch", "twin"):
            model = twin.to_keras(weights, network)
        self._tensorflow_formats(model, network, contract)

    def _keras(self) -> None:
        self._load_tensorflow("keras")
        with self._step("keras", "weights"):
            network = self._network("keras")
            model = twin.load_keras(self.args.models["keras"])
            weights = twin.keras_weights(model, network)
        contract = self._contract(network, weights)
        module = self._tensorflow_formats(model, network, contract)
        with self._step("keras", "onnx"):
            from export.formats import onnx

            onnx.export_keras(module, contract, self._path("keras", "onnx"))
        self._verify("keras", "onnx", contract)

    def _load_tensorflow(self, framework: str) -> None:
        """Imports TensorFlow, once, and sets its threads, which works only before it is used."""
        if "tensorflow" in sys.modules:
            return
        with self._step(framework, "start of TensorFlow"):
            import tensorflow as tf

            tf.config.threading.set_intra_op_parallelism_threads(THREADS)
            tf.config.threading.set_inter_op_parallelism_threads(THREADS)

    def _contract(self, network: Network, weights: twin.Weights) -> dict:
        """The framework's contract, written where its artifacts will lie."""
        with_transform = self.args.transform_graph is not None
        contract = contracts.build(network, lineage.identify(network, weights, with_transform))
        path = self.args.output / network.framework / contracts.FILE
        atomic.write(path, contracts.to_json(contract) + "\n")
        return contract

    def _tensorflow_formats(self, model, network: Network, contract: dict):
        """SavedModel and TFLite of a Keras model, the twin's or Keras's own."""
        from export.formats import savedmodel, tflite

        framework = contract["framework"]
        saved = self._path(framework, "saved_model")
        with self._step(framework, "saved_model"):
            module = savedmodel.inference(model, network.architecture, self.args.transform_graph)
            savedmodel.export(module, contract, saved)
        self._verify(framework, "saved_model", contract)
        with self._step(framework, "tflite"):
            tflite.export(saved, contract, self._path(framework, "tflite"))
        self._verify(framework, "tflite", contract)
        return module

    def _torch_onnx(self, contract: dict) -> None:
        with self._step("torch", "onnx"):
            values = {
                "model": str(self.args.models["torch"]),
                "contract": contract,
                "output": str(self._path("torch", "onnx")),
                "threads": THREADS,
            }
            if reason := child("export.formats.onnx", values, THREADS):
                raise RuntimeError(reason)
        self._verify("torch", "onnx", contract)

    def _path(self, framework: str, artifact: str) -> Path:
        return self.args.output / framework / FILES[artifact]

    def _verify(self, framework: str, artifact: str, contract: dict) -> None:
        values = {
            "artifact": artifact,
            "path": str(self._path(framework, artifact)),
            "arrays": str(self.args.arrays),
            "predictions": str(self.args.predictions[framework]),
            "images": self.args.export.images,
            "lineage": contract["lineage"],
            "threads": THREADS,
        }
        self.verifications.append(self.pool.submit(self._measured, values, framework))

    def _measured(self, values: dict, framework: str) -> list[dict]:
        try:
            return verify(values, framework, self.args.export)
        except NotMeasured as error:
            raise ExportError(
                f"The verification of {framework}'s {values['artifact']} ended without a result: "
                f"{str(error).rstrip('.')}. Nothing is known of the artifact: run it again."
            ) from error

    def _records(self) -> list[dict]:
        records = [record for future in self.verifications for record in future.result()]
        order = list(FILES)
        records.sort(key=lambda r: (r["framework"], order.index(r["artifact"]), r["batch"]))
        for first in records[:: len(BATCHES)]:
            self._say_verdict([r for r in records if _artifact(r) == _artifact(first)])
        return records

    def _say_verdict(self, records: list[dict]) -> None:
        """One line for an artifact: the worst of its batch sizes."""
        name = "  verify {} {}: ".format(*_artifact(records[0]))
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
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ExportError(f"The export of {framework}'s {what} failed: {first}") from error
        # For the log of a run; on the console only what was verified counts.
        print(f"export {framework} {what}: {time.perf_counter() - started:.1f} s", flush=True)


def _artifact(record: dict) -> tuple[str, str]:
    return record["framework"], record["artifact"]
