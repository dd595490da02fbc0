"""The DAG as a specification for Kubeflow Pipelines, read back by kfp's own parser."""

import importlib.util

import pytest

from components.sources.digits_source import DigitsSource
from pipeline.configuration import presets
from pipeline.line.kubeflow import COMPILE_ONLY
from tests.helpers.command_line import darkroom

INSTALLED = importlib.util.find_spec("kfp") is not None


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """What was printed, the file's text, and the specification as kfp reads it."""
    if not INSTALLED:
        pytest.skip("kfp is not installed (an extra)")
    from kfp.components import load_component_from_file

    folder = tmp_path_factory.mktemp("compiled")
    done = darkroom(
        "compile", "kubeflow", "digits", f"root={folder / 'out'}", "name=My_Digits.v2",
        "beam.args=--direct_running_mode=multi_threading", "--image=registry.example/darkroom:1",
        "--output", str(folder / "digits.yaml"), timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    file = folder / "digits.yaml"
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["digits.yaml"]
    return done.stdout, file.read_text(), load_component_from_file(str(file)).pipeline_spec


@pytest.fixture(scope="module")
def pipeline():
    from pipeline.line import dag

    source = DigitsSource()
    return dag.build(
        presets.digits(), source="0", labels=source.labels, schema="", run_id="1", baseline=None
    )


def test_it_has_every_step_with_what_it_reads_as_the_dag_has_them(compiled, pipeline):
    _, _, spec = compiled
    tasks = spec.root.dag.tasks
    assert len(tasks) == 15 and set(tasks) == {node.id for node in pipeline.components}
    for node in pipeline.components:
        task = tasks[node.id]
        assert set(task.dependent_tasks) == {other.id for other in node.upstream_nodes}
        given = {
            name: artifact.task_output_artifact for name, artifact in task.inputs.artifacts.items()
        }
        read = {name: (of.producer_task, of.output_artifact_key) for name, of in given.items()}
        assert read == {
            name: (channel.producer_component_id, channel.output_key)
            for name, channel in node.inputs.items()
        }
        assert set(spec.components[node.id].output_definitions.artifacts) == set(node.outputs)


def test_its_containers_start_our_executors_with_the_users_beam_options(compiled, pipeline):
    from google.protobuf.json_format import MessageToDict

    executors = MessageToDict(compiled[2].deployment_spec)["executors"]
    assert len(executors) == 15
    for node in pipeline.components:
        container = executors[f"{node.id}_executor"]["container"]
        assert container["image"] == "registry.example/darkroom:1"
        executor = node.executor_spec.executor_class
        assert f"{executor.__module__}.{executor.__qualname__}" in container["args"]
    assert (
        "--direct_running_mode=multi_threading" in executors["pack_executor"]["container"]["args"]
    )


def test_it_is_labelled_compile_only_and_named_as_kubeflow_takes_names(compiled):
    printed, text, spec = compiled
    assert COMPILE_ONLY in printed and text.startswith(f"# {COMPILE_ONLY}\n")
    assert spec.pipeline_info.description == COMPILE_ONLY
    assert spec.pipeline_info.name == "darkroom-my-digits-v2"
    assert spec.schema_version == "2.1.0"
    gates = spec.root.dag.tasks["gates"].inputs.parameters
    assert gates["name"].runtime_value.constant.string_value == "My_Digits.v2"


@pytest.mark.skipif(INSTALLED, reason="kfp is installed")
def test_without_kfp_it_says_what_to_install_and_writes_nothing(tmp_path):
    done = darkroom("compile", "kubeflow", "digits", f"root={tmp_path / 'out'}")
    assert done.returncode == 2 and not (tmp_path / "out").exists()
    assert "pip install 'kfp>=2.6,<2.17'" in done.stderr and done.stderr.count("\n") == 1


def test_only_kubeflow_is_compiled_for(tmp_path):
    done = darkroom("compile", "airflow", "digits", f"root={tmp_path / 'out'}")
    assert done.returncode == 2 and "Unknown target 'airflow': expected kubeflow" in done.stderr
