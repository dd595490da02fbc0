"""The line as a specification for Kubeflow Pipelines v2, by TFX's own compiler; kfp is an extra.

It is compiled only, and was run by nobody: see `COMPILE_ONLY`.
"""

import importlib.util
import re
import sys

from components.base.refusal import ConfigError
from components.sources.source import Source
from pipeline.configuration.config import RunConfig
from pipeline.line.inputs import classes

COMPILE_ONLY = (
    "Compile-only: a specification to start from, which Darkroom itself never runs. Its steps "
    "start processes and share one file system: a cluster needs one volume under these paths in "
    "every step, and an image with Darkroom and the images in it."
)
"""Stands in the file, and is printed."""

KFP = "kfp>=2.6,<2.17"


def check_kfp() -> None:
    """Raises ConfigError where kfp is not installed."""
    if importlib.util.find_spec("kfp") is None:
        raise ConfigError(
            "Kubeflow's compiler needs kfp, which is not installed: run "
            f"`{sys.executable} -m pip install '{KFP}'`."
        )


def specification(config: RunConfig, source: Source, schema: str, image: str) -> str:
    """The DAG of a first run as a pipeline specification (schema 2.1) in YAML, which kfp's own
    parser has read.

    Its pipeline is named `darkroom-NAME` with dashes for what Kubeflow takes in no name. Starts
    TFX. Raises what TFX's compiler and kfp's parser raise.
    """
    import yaml
    from kfp.components import load_component_from_text
    from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import (
        KubeflowV2DagRunner,
        KubeflowV2DagRunnerConfig,
    )

    from pipeline.line import dag

    pipeline = dag.build(
        config,
        source=source.fingerprint(),
        labels=classes(config, source, None),
        schema=schema,
        run_id="kubeflow",
        baseline=None,
    )
    name = re.sub("[^a-z0-9]+", "-", dag.pipeline_name(config.name).lower()).strip("-")
    pipeline.pipeline_info.pipeline_name = name
    settings = KubeflowV2DagRunnerConfig(default_image=image, use_pipeline_spec_2_1=True)
    compiled = KubeflowV2DagRunner(settings).run(pipeline, write_out=False)["pipelineSpec"]
    compiled["pipelineInfo"]["description"] = COMPILE_ONLY
    text = f"# {COMPILE_ONLY}\n" + yaml.safe_dump(compiled, sort_keys=True)
    load_component_from_text(text)
    return text
