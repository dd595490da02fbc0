"""An output root as runs leave one, without their work: folders of runs, artifacts of real size
ratios, and what TFX tells ML Metadata of them, written by ML Metadata's own library."""

import os
import shutil
from pathlib import Path

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.outcome.verdict import Verdict, point_latest
from serving.store.store import Store
from tests.helpers.serving_fixtures import bundle, seal

STEPS = {"ingest": "examples", "pack": "arrays", "train_torch": "model", "push": "pushed"}
"""Each takes the output of the one before."""
PARAMETERS = "x" * 10_000
"""Of a step: with these the database grows by as much as with the fifteen steps of a real run."""


class SimulatedLine:
    """Runs of the release `name` in `root`, one after the other."""

    def __init__(self, root: Path, name: str = "digits", kilobytes: int = 40):
        self.root, self.name, self.kilobytes = root, name, kilobytes
        root.mkdir(parents=True, exist_ok=True)
        config = mlmd.ConnectionConfig()
        config.sqlite.filename_uri = str(root / "metadata.sqlite")
        config.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        self._config = config
        self._before: dict[str, list[int]] = {}

    def run(self, fresh: str = "ingest", stops_at: str | None = None, release: bool = False) -> str:
        """A run that takes over all before the step `fresh`, and fails in `stops_at`; its id."""
        run_id = self._next_id()
        store = MetadataStore(self._config)
        context = self._context(store, "pipeline_run", run_id)
        made, steps, inputs = False, [], []
        for step, output in STEPS.items():
            made = made or step == fresh
            failed = step == stops_at
            inputs = self._execution(store, context, step, output, inputs, made, failed, run_id)
            steps.append({"name": step, "seconds": 1.0, "cached": not made, "why": ""})
            if failed:
                break
            self._before[step] = inputs
        status = "failed" if stops_at else "released" if release else "refused"
        self._folder(run_id, status, steps)
        if release:
            source = seal(bundle(self.root / ".source"), self.name, run_id=run_id, lineage=run_id)
            Store(self.root / "serving").publish(self.name, source)
            shutil.rmtree(source)
        return run_id

    def repeat(self) -> str:
        """A run that found nothing new."""
        run_id = self._next_id()
        steps = [{"name": s, "seconds": 0.0, "cached": True, "why": ""} for s in STEPS]
        self._folder(run_id, "unchanged", steps)
        return run_id

    def artifacts(self) -> set[str]:
        found = (self.root / "artifacts").glob("*/[!.]*/*")
        return {str(path.relative_to(self.root / "artifacts")) for path in found if path.is_dir()}

    def cached(self, step: str) -> list[str]:
        """What TFX's cache would hand out of the step, newest first: outputs of its successful
        executions that are alive. In a copied root they have the addresses of the original."""
        store = MetadataStore(self._config)
        node = store.get_context_by_type_and_name("node", f"darkroom-{self.name}.{step}")
        found = []
        for execution in sorted(
            store.get_executions_by_context(node.id), key=lambda e: e.id, reverse=True
        ):
            if execution.last_known_state in (mlmd.Execution.COMPLETE, mlmd.Execution.CACHED):
                events = store.get_events_by_execution_ids([execution.id])
                ids = [e.artifact_id for e in events if e.type == mlmd.Event.OUTPUT]
                alive = [
                    artifact.uri
                    for artifact in store.get_artifacts_by_id(ids)
                    if artifact.state == mlmd.Artifact.LIVE
                ]
                found += alive
        return found

    def _next_id(self) -> str:
        last = max((path.name for path in (self.root / "runs").glob("2*")), default="-0")
        return f"20260101-000000-{int(last.rpartition('-')[2]) + 1:06d}"

    def _folder(self, run_id: str, status: str, steps: list[dict]) -> None:
        directory = self.root / "runs" / run_id
        directory.mkdir(parents=True)
        verdict = Verdict(run_id, self.name, self.name, status=status, exit_code=0, steps=steps)
        verdict.write(directory)
        (directory / "report.html").write_bytes(os.urandom(self.kilobytes * 250))
        point_latest(self.root / "runs", run_id)

    def _context(self, store: MetadataStore, kind: str, name: str) -> mlmd.Context:
        type_id = store.put_context_type(mlmd.ContextType(name=kind))
        known = store.get_context_by_type_and_name(kind, name)
        if known is None:
            (number,) = store.put_contexts([mlmd.Context(type_id=type_id, name=name)])
            (known,) = store.get_contexts_by_id([number])
        return known

    def _execution(self, store, context, step, output, inputs, made, failed, run_id) -> list[int]:
        """The ids of its outputs."""
        states = mlmd.Execution
        state = states.FAILED if failed else states.COMPLETE if made else states.CACHED
        execution = states(
            type_id=store.put_execution_type(mlmd.ExecutionType(name=step)),
            last_known_state=state,
        )
        execution.custom_properties["code"].string_value = PARAMETERS + run_id
        if step == "push":
            execution.custom_properties["run_id"].string_value = run_id
        node = self._context(store, "node", f"darkroom-{self.name}.{step}")
        kinds = store.put_artifact_type(mlmd.ArtifactType(name=output))
        pairs = [
            (artifact, mlmd.Event(type=mlmd.Event.INPUT))
            for artifact in store.get_artifacts_by_id(inputs)
        ]
        number, ids, _ = store.put_execution(execution, pairs, [node, context])
        out = mlmd.Artifact(type_id=kinds, state=mlmd.Artifact.LIVE)
        if made:
            place = self.root / "artifacts" / step / output / str(number)
            place.mkdir(parents=True)
            (place / "data").write_bytes(os.urandom(self.kilobytes * 1000))
            (self.root / "artifacts" / step / ".system/executor_execution" / str(number)).mkdir(
                parents=True
            )
            out.uri = str(place)
        else:
            (out,) = store.get_artifacts_by_id(self._before[step])
        event = mlmd.Event(type=mlmd.Event.OUTPUT, execution_id=number)
        event.path.steps.add().key = output
        (same,) = store.get_executions_by_id([number])
        _, written, _ = store.put_execution(same, [(out, event)], [])
        return written


def disk(*paths: Path) -> int:
    """Bytes of files below these, as the disk counts them."""
    files = (file for path in paths for file in (path, *path.rglob("*")))
    return sum(file.lstat().st_blocks * 512 for file in files)
