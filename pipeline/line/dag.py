"""The line as a TFX pipeline: which step reads what. Importing this module imports TFX."""

import itertools
import json
from typing import Any

import apache_beam as beam  # noqa: F401 - resolves the annotations of the Beam components
from tfx.components import ExampleValidator, SchemaGen, StatisticsGen, Transform
from tfx.orchestration import metadata
from tfx.orchestration.pipeline import Pipeline

from components.augmentation.augment_tfx import Augment
from components.base.config import json_slice
from components.base.frameworks import FRAMEWORKS
from components.data.ingest_tfx import ImageExampleGen
from components.data.pack_tfx import Pack
from components.evaluation.corruptions_tfx import Corrupt
from components.evaluation.evaluate_tfx import Evaluate
from components.features.cross_validate_tfx import CrossValidate
from components.features.features_tfx import Features
from components.gates.anomalies_tfx import statistics_options
from components.gates.data_gate_tfx import DataGate
from components.gates.model_gates_tfx import Gates
from components.networks.architectures import architecture_of
from components.training.hardware import fit_beside_each_other
from components.training.train_tfx import Train
from components.training.trained import trained_frameworks
from export.export_tfx import Export
from export.release import provenance
from export.release.push_tfx import Push
from pipeline.configuration.beam import RUNNER
from pipeline.configuration.config import (
    BESIDE,
    RunConfig,
    checkpoints_path,
    pipeline_name,
    root_path,
)
from pipeline.line.step_modules import code
from serving.contract.image_spec import ImageSpec
from serving.store.release import Release
from serving.store.store import Store

# Without a packaging option TFX builds a source package of itself for every Beam step; local
# runners never look at it.
_NO_PACKAGING = "--sdk_container_image=unused"


def beam_args(config: RunConfig) -> list[str]:
    """Beam's in-process runner, and the user's `beam.args`: of every Beam step."""
    return [f"--runner={RUNNER}", _NO_PACKAGING, *config.beam.args]


def build(
    config: RunConfig,
    *,
    source: str,
    labels: tuple[str, ...],
    schema: str,
    run_id: str,
    baseline: Release | None,
) -> Pipeline:
    """The pipeline of one run.

    `source` is the fingerprint of the images, `labels` the order to give the classes, `schema` the
    text of a curated one or empty. `run_id` and `baseline` (the current release) reach only the
    data gate and the steps after evaluation: what feeds training must not depend on a release, or
    every release would retrain.
    """
    data = _data_steps(config, source, labels, schema, baseline)
    models = _model_steps(config, labels, data)
    last = _release_steps(config, source, labels, run_id, baseline, data | models)
    root = root_path(config)
    return Pipeline(
        pipeline_name=pipeline_name(config.name),
        pipeline_root=str(root / "artifacts"),
        components=[*data.values(), *models.values(), *last.values()],
        enable_cache=True,
        metadata_connection_config=metadata.sqlite_metadata_connection_config(
            str(root / "metadata.sqlite")
        ),
        beam_pipeline_args=beam_args(config),
    )


Steps = dict[str, Any]
"""TFX's nodes by their ids, in the order in which they are shown."""


def _steps(*nodes: Any) -> Steps:
    return {node.id: node for node in nodes}


def _data_steps(
    config: RunConfig,
    source: str,
    labels: tuple[str, ...],
    schema: str,
    baseline: Release | None,
) -> Steps:
    """From the source to arrays and the plan by which they are trained on."""
    spec = ImageSpec(**config.image.model_dump()).to_json()
    ingest = ImageExampleGen(
        data=json_slice(config.data, exclude={"schema_path", "accept_classes", "limit", "verify"}),
        labels=json.dumps(labels),
        min_per_class=config.data_gate.min_per_class,
        fingerprint=source,
        cache=str(root_path(config) / "ingested" / config.name),
        code=code("ingest"),
    ).with_id("ingest")
    examples = ingest.outputs["examples"]
    statistics = StatisticsGen(examples=examples, stats_options=statistics_options()).with_id(
        "statistics"
    )
    # Of train alone: a schema that knows every split could find nothing wrong with any.
    inferred = SchemaGen(
        statistics=statistics.outputs["statistics"],
        infer_feature_shape=True,
        exclude_splits=["val", "test"],
    ).with_id("schema")
    validator = ExampleValidator(
        statistics=statistics.outputs["statistics"], schema=inferred.outputs["schema"]
    ).with_id("validator")
    data_gate = DataGate(
        report=ingest.outputs["report"],
        statistics=statistics.outputs["statistics"],
        anomalies=validator.outputs["anomalies"],
        data_gate=json_slice(config.data_gate),
        schema=schema,
        accept_classes=int(config.data.accept_classes),
        release=str(baseline.path) if baseline else "",
        code=code("data_gate"),
    ).with_id("data_gate")
    transform = Transform(
        examples=examples,
        schema=inferred.outputs["schema"],
        preprocessing_fn="components.data.transform_tfx.preprocessing_fn",
        materialize=False,
        disable_statistics=True,
        # TFX's only way to hand the function a parameter, and to have an edit of it noticed.
        custom_config={
            "image_spec": spec,
            "code": code("transform"),
        },
    ).with_id("transform")
    transform.add_upstream_node(data_gate)
    pack = Pack(
        examples=examples,
        transform_graph=transform.outputs["transform_graph"],
        report=ingest.outputs["report"],
        image=spec,
        code=code("pack"),
    ).with_id("pack")
    arrays = pack.outputs["arrays"]
    augment = Augment(
        arrays=arrays,
        augment=json_slice(config.augment),
        limit=config.data.limit or 0,
        code=code("augment"),
    ).with_id("augment")
    return _steps(ingest, statistics, inferred, validator, data_gate, transform, pack, augment)


def _model_steps(config: RunConfig, labels: tuple[str, ...], data: Steps) -> Steps:
    """Each framework's training, and its model's evaluation."""
    arrays = data["pack"].outputs["arrays"]
    plan = data["augment"].outputs["plan"]
    train, evaluate = {}, {}
    corrupt, corrupted = [], {}
    if config.evaluate.corruptions or config.gates.min_robustness is not None:
        corrupt = [Corrupt(arrays=arrays, code=code("corrupt")).with_id("corrupt")]
        corrupted = {"corrupted": corrupt[0].outputs["corrupted"]}
    architecture = architecture_of(config.model.architecture, len(labels))
    frameworks = trained_frameworks(config.train, architecture)
    features, given = [], {}
    if architecture.backbone is not None:
        features = _feature_steps(config, data)
        given = {"features": features[0].outputs["features"]}
    for framework in frameworks:
        train[framework] = Train(
            arrays=arrays,
            plan=plan,
            **given,
            framework=framework,
            architecture=config.model.architecture,
            train=json_slice(config.train, exclude={"frameworks"}),
            checkpoints=str(checkpoints_path(config)),
            code=code(f"train_{framework}", config.model.architecture),
        ).with_id(f"train_{framework}")
        evaluate[framework] = Evaluate(
            examples=data["ingest"].outputs["examples"],
            arrays=arrays,
            model=train[framework].outputs["model"],
            framework=framework,
            **corrupted,
            evaluate=json_slice(config.evaluate, exclude={"corruptions"}),
            code=code(f"evaluate_{framework}", config.model.architecture),
        ).with_id(f"evaluate_{framework}")
    if not fit_beside_each_other(len(frameworks), config.train.threads):
        for earlier, later in itertools.pairwise(train.values()):
            later.add_upstream_node(earlier)
    return _steps(*features, *train.values(), *corrupt, *evaluate.values())


def _feature_steps(config: RunConfig, data: Steps) -> list[Any]:
    """What a pretrained backbone makes of the images, once for both frameworks, and what a head on
    that says of images that it did not learn from."""
    arrays = data["pack"].outputs["arrays"]
    features = Features(
        arrays=arrays,
        plan=data["augment"].outputs["plan"],
        architecture=config.model.architecture,
        last=str(root_path(config) / "features" / f"{config.name}.json"),
        code=code("features", config.model.architecture),
    ).with_id("features")
    cross_validate = CrossValidate(
        arrays=arrays,
        features=features.outputs["features"],
        code=code("cross_validate"),
    ).with_id("cross_validate")
    return [features, cross_validate]


def _release_steps(
    config: RunConfig,
    source: str,
    labels: tuple[str, ...],
    run_id: str,
    baseline: Release | None,
    before: Steps,
) -> Steps:
    """From judged models to a release; `before` are all other steps."""
    arrays = before["pack"].outputs["arrays"]
    release_store = str(root_path(config) / "serving")
    train, evaluate = (
        {f: before[f"{step}_{f}"] for f in FRAMEWORKS if f"{step}_{f}" in before}
        for step in ("train", "evaluate")
    )

    def both(output: str, nodes: dict, name: str) -> dict:
        return {f"{f}_{name}": nodes[f].outputs[output] for f in nodes}

    gates = Gates(
        arrays=arrays,
        **both("evaluation", evaluate, "evaluation"),
        gates=json_slice(config.gates),
        store=release_store,
        name=config.name,
        releases=json.dumps([of.version for of in Store(release_store).line(config.name)]),
        code=code("gates"),
    ).with_id("gates")
    export = Export(
        arrays=arrays,
        transform_graph=before["transform"].outputs["transform_graph"],
        examples=before["ingest"].outputs["examples"],
        verdict=gates.outputs["verdict"],
        **both("model", train, "model"),
        **both("predictions", evaluate, "predictions"),
        **{f"{f}_blessing": gates.outputs[f"{f}_blessing"] for f in train},
        export=json_slice(config.export),
        # Only where it matters: a new release would have everything exported again.
        current=str(baseline.path) if baseline and config.export.max_slowdown else "",
        code=code("export", config.model.architecture),
    ).with_id("export")
    push = Push(
        exports=export.outputs["exports"],
        verdict=gates.outputs["verdict"],
        arrays=arrays,
        report=before["ingest"].outputs["report"],
        data_verdict=before["data_gate"].outputs["verdict"],
        **both("evaluation", evaluate, "evaluation"),
        **both("predictions", evaluate, "predictions"),
        **both("model_run", train, "run"),
        **_of_backbone(before),
        export=json_slice(config.export),
        release=json_slice(config.release),
        store=release_store,
        name=config.name,
        lineage=json.dumps(_lineage(config, source, len(labels))),
        run_id=run_id,
        # Of now: a checkout may move on while a training takes hours.
        provenance=json.dumps(provenance.recorded(config.model.architecture)),
        code=code("push"),
    ).with_id("push")
    return _steps(gates, export, push)


def _of_backbone(before: Steps) -> dict[str, Any]:
    """What push is given of the steps that only a network with a pretrained backbone has."""
    if "features" not in before:
        return {}
    validation = before["cross_validate"].outputs["validation"]
    return {"validation": validation, "features": before["features"].outputs["features"]}


def _lineage(config: RunConfig, source: str, classes: int) -> dict[str, Any]:
    """Of the manifest: what the model was made from."""
    found = {
        "source_fingerprint": source,
        "config": config.model_dump(mode="json", exclude=BESIDE),
    }
    part = architecture_of(config.model.architecture, classes).backbone
    if part is not None:
        trained = config.train.finetune_layers if config.train.finetune_epochs else 0
        found["backbone"] = provenance.backbone(part.name, trained)
    return found
