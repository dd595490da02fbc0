"""Options for Beam: what Beam would ignore is refused, by what Beam itself knows."""

import pytest

from components.base.refusal import ConfigError
from pipeline.configuration import presets
from pipeline.configuration.beam import local_options
from pipeline.configuration.overrides import override
from tests.helpers.command_line import darkroom


@pytest.mark.parametrize(
    "args, words",
    [
        ("--direct_num_worker=2", "did you mean --direct_num_workers?"),
        ("--direct_num_work=2", "did you mean --direct_num_workers?"),  # no abbreviations
        ("direct_running_mode=in_memory", "did you mean --direct_running_mode?"),
        ("--temp_location=/tmp", "expected some of --direct_num_workers, --direct_running_mode,"),
        ("--num_workers=2", "did you mean --direct_num_workers?"),  # of Dataflow
        ("--direct_num_workers=two", "expected a whole number, 0 for all cores, not 'two'"),
        ("--direct_num_workers=-1", "expected a whole number"),
        ("--direct_num_workers", "expected one argument"),
        ("--direct_running_mode=threads", "multi_threading"),
        ("--direct_num_workers=2", "add --direct_running_mode=multi_processing"),
        ("--runner=DataflowRunner", "expected FnApiRunner"),
        ("--runner=DirectRunner", "expected FnApiRunner"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused_with_what_would(args, words):
    with pytest.raises(ConfigError, match="Bad value for beam.args") as caught:
        override(presets.digits(), {"beam.args": args})
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_options_are_taken_with_an_equals_sign_or_a_space():
    for args in ("--direct_running_mode=multi_threading", "--direct_running_mode multi_threading"):
        config = override(presets.digits(), {"beam.args": f"--direct_num_workers=0 {args}"})
        assert config.beam.args == ("--direct_num_workers=0", *args.split())


def test_a_run_refuses_one_before_anything_is_written(tmp_path):
    out = tmp_path / "out"
    done = darkroom("run", "digits", "beam.args=--direct_num_worker=2", f"root={out}")
    assert done.returncode == 2 and not out.exists()
    assert done.stderr.count("\n") == 1 and "did you mean --direct_num_workers?" in done.stderr


def test_beam_knows_every_option_by_the_same_choices_and_reads_the_same_values():
    from apache_beam.options.pipeline_options import PipelineOptions

    given = (
        "--runner=FnApiRunner --direct_num_workers=3 --direct_running_mode=multi_threading "
        "--experiment=a --experiments=b --profile_cpu --profile_location=/tmp/there"
    ).split()
    ours = vars(local_options().parse_args(given))
    theirs = PipelineOptions(given).get_all_options(drop_default=True, retain_unknown_options=True)
    assert {ours.pop("experiment") == ["a", "b"], theirs.pop("experiments") == ["a", "b"]} == {True}
    assert theirs == ours
    found: list = []
    PipelineOptions([]).get_all_options(add_extra_args_fn=found.append)
    (choices,) = (
        action.choices for action in found[0]._actions if action.dest == "direct_running_mode"
    )
    assert tuple(choices) == local_options()._option_string_actions["--direct_running_mode"].choices
