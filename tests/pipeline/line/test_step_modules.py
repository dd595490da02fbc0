"""What an edit reruns: for each step, on the real fingerprints."""

import json

import pytest

from components.base.fingerprint import ROOT, named_files
from pipeline.line.step_modules import STEP_MODULES, code
from serving.contract.release_files import FORMATS

FEEDS_TRAINING = {
    *("ingest", "transform", "pack", "augment", "features", "train_keras", "train_torch"),
}
BOTH_TRAINERS = {"train_keras", "train_torch"}
BOTH_EVALUATIONS = {"evaluate_keras", "evaluate_torch"}
ALL = set(STEP_MODULES)

EDITS: dict[str, set[str]] = {
    # Slices of configuration rerun the step that they configure.
    "components/sources/config.py": {"ingest", "data_gate"},
    "components/gates/data_gate.py": {"data_gate"},
    "components/gates/model_gates.py": {"gates"},
    "components/training/config.py": BOTH_TRAINERS,
    "components/augmentation/policy.py": {"augment", "features", *BOTH_TRAINERS},
    "export/verification/config.py": {"export", "push"},
    "components/data/config.py": set(),  # an ImageSpec is what steps are handed
    "components/networks/config.py": set(),
    "pipeline/configuration/config.py": set(),
    "pipeline/configuration/presets.py": set(),
    "pipeline/configuration/configure.py": set(),
    # What draws pictures, prints or judges afterwards reruns nothing.
    "pipeline/outcome/preview_sheet.py": set(),
    "pipeline/outcome/sheet.py": set(),
    "pipeline/outcome/samples.py": set(),
    "pipeline/outcome/terminal.py": set(),
    "pipeline/line/dag.py": set(),
    "pipeline/commands/run.py": set(),
    "serving/server/application.py": set(),
    "serving/predict/classifier.py": set(),
    # Steps' own code.
    "components/sources/folder_source.py": {"ingest"},
    "components/data/examine.py": {"ingest", "data_gate"},
    "components/data/transform_tfx.py": {"transform"},
    "components/augmentation/augment.py": {"augment"},
    "components/augmentation/keras_copies.py": {"augment"},
    "components/augmentation/torch_augment.py": {"augment", "features", "train_torch"},
    "components/augmentation/keras_augment.py": {"augment", "train_keras"},
    "components/training/keras_learner.py": {"train_keras"},
    "components/training/torch_learner.py": {"train_torch"},
    "components/training/schedule.py": BOTH_TRAINERS,
    "components/networks/torch_model.py": {"features", "train_torch", "evaluate_torch", "export"},
    "components/networks/architectures.py": {"features", *BOTH_TRAINERS},
    "components/features/extract.py": {"features"},
    "components/features/cross_validate.py": {"cross_validate", "push"},
    "components/evaluation/evaluate.py": BOTH_EVALUATIONS,
    "components/evaluation/torch_corruptions.py": {"corrupt"},
    "components/evaluation/slices.py": BOTH_EVALUATIONS,
    "components/gates/baseline.py": {"gates"},
    "components/gates/change_gate.py": {"gates"},
    "components/gates/validation_tfx.py": {"gates"},
    "export/formats/tflite.py": {"export"},
    "export/verification/parity_gates.py": {"export", "push"},
    "export/release/bundle.py": {"push"},
    "export/release/push.py": {"push"},
    # The ground that much stands on.
    "requirements.txt": ALL,
}


@pytest.fixture(scope="module")
def depends() -> dict[str, set[str]]:
    """Step to the files in its fingerprint."""
    return {step: set(json.loads(code(step))) for step in STEP_MODULES}


@pytest.mark.parametrize("file", EDITS)
def test_an_edit_reruns_these_steps_and_what_follows(depends, file):
    assert (ROOT / file).is_file()
    assert {step for step, files in depends.items() if file in files} == EDITS[file]


def test_no_step_that_feeds_training_depends_on_gates_releases_or_what_people_see(depends):
    for step in FEEDS_TRAINING:
        for file in depends[step]:
            assert not file.startswith(("pipeline/", "export/", "components/gates/")), (step, file)
            assert not file.startswith(("serving/store/", "serving/server/")), (step, file)


def test_every_process_that_a_step_starts_is_among_its_modules():
    """`run_module("...")` names a process by its module, which is no import."""
    started = {
        "augment": "components.augmentation.{}_copies",
        "train_{}": "components.training.train_{}",
        "evaluate_{}": "components.evaluation.{}_predict",
    }
    for step, module in started.items():
        for framework in ("keras", "torch"):
            assert module.format(framework) in STEP_MODULES[step.format(framework)]
    exports = named_files(*STEP_MODULES["export"])
    assert {"export/__main__.py", "export/export_formats.py"} <= exports.keys()
    assert {f"export/formats/{row.module}.py" for row in FORMATS.values()} <= exports.keys()


def test_a_network_of_the_users_own_reruns_what_builds_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "edited_net.py").write_text("")
    with_it = {s for s in STEP_MODULES if "edited_net.py" in json.loads(code(s, "edited_net:f"))}
    assert with_it == BOTH_TRAINERS | BOTH_EVALUATIONS | {"features", "export"}
