"""A search on tiny real data: real trainings, a real kill, and what is left of them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import psutil
import pytest

from components.base.fingerprint import ROOT
from components.base.process import StepFailed
from components.base.warm import SOCKETS
from pipeline.commands.tune import best_table, trial_line, write_best
from pipeline.configuration import presets
from pipeline.configuration.config import RunConfig
from pipeline.configuration.configure import configure
from pipeline.configuration.overrides import override, parse_overrides
from pipeline.line import step_modules
from pipeline.search.search import Search
from pipeline.search.search_space import search_space
from tests.helpers.training_data import write_arrays, write_plan

pytestmark = pytest.mark.usefixtures("warm_processes")

SPACE = '{"optimizer": ["adam", "sgd"], "learning_rate": [1e-3, 1e-2], "batch_size": [16, 32]}'


def config(**more) -> RunConfig:
    pairs = {"train.epochs": "1", "train.threads": "1", "tune.trials": "2", "tune.space": SPACE}
    return override(presets.digits(), pairs | more)


def search(root: Path, asked: RunConfig) -> Search:
    if not (root / "arrays").exists():
        write_arrays(root / "arrays")
        write_plan(root / "plan")
    space = search_space(asked)
    code = step_modules.code(f"train_{asked.tune.framework}", asked.model.architecture)
    return Search(root / "tune", asked, space, root / "arrays", root / "plan", "digits", code)


def run(asked: Search) -> list:
    ended: list = []
    asked.run(ended.append, lambda _: None)
    return ended


def tell(asked: Search, accuracy: float | None, epochs: int = 0, **attributes) -> None:
    """Records a trial that nobody trained: with an accuracy beyond all others at each epoch, or
    without any."""
    recipe = config().train.model_dump(mode="json")
    trial = optuna.trial.create_trial(
        state=optuna.trial.TrialState["PRUNED" if accuracy is None else "COMPLETE"],
        value=accuracy,
        user_attrs=attributes | {"train": recipe, "seconds": 1.0, "val_loss": 1.0},
        intermediate_values=dict.fromkeys(range(1, epochs + 1), 2.0),
    )
    asked.study.add_trial(trial)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Odd characters, for a file name becomes part of a database's address."""
    return tmp_path_factory.mktemp("a?b#c%20 d")


@pytest.fixture(scope="module")
def first(root):
    asked = search(root, config())
    return asked, run(asked)


def test_trials_are_trainings_judged_on_the_validation_split(first, root):
    asked, ended = first
    assert [outcome.number for outcome in ended] == [0, 1]
    for outcome in ended:
        directory = root / "tune" / "trials" / f"{asked.name}-{outcome.number:04d}"
        result = json.loads((directory / "result.json").read_text())
        assert outcome.accuracy == result["val_accuracy"] and outcome.epochs == 1
        (left,) = directory.glob("*.args.json")
        arguments = json.loads(left.read_text())
        assert arguments["train"] == outcome.train.model_dump(mode="json")
        assert not (directory / "model").exists() and not (directory / "checkpoints").exists()
    # The first trial is the preset's own recipe.
    assert ended[0].train == config().train


def test_the_best_trial_becomes_a_file_of_overrides_that_a_run_takes(first, root):
    asked, ended = first
    (best,) = asked.best(1)
    assert best.accuracy == max(outcome.accuracy for outcome in ended)
    given = {"train.epochs": "1", "name": "mine", "tune.trials": "2"}
    write_best(asked, "digits", given, root / "best.args")
    made = configure("digits", parse_overrides([f"@{root / 'best.args'}"]))
    assert made.name == "mine" and made.tune == presets.digits().tune
    # What the file does not name is the preset's own.
    assert made.train == best.train.model_copy(update={"threads": 0})


def test_what_is_shown_names_results_and_values(first):
    asked, ended = first
    line = trial_line(ended[0], "1/2", asked.space, better=True).plain
    assert f"val_accuracy {ended[0].accuracy:.4f}" in line
    assert "adam, learning_rate 0.001, batch_size 32, cosine" in line
    assert best_table(asked.best(5), asked.space).row_count == 2


def test_the_same_search_is_done_already_and_a_longer_one_adds_the_rest(first, root):
    before = first[1]
    assert run(search(root, config())) == []
    longer = search(root, config(**{"tune.trials": "3"}))
    (third,) = run(longer)
    assert third.number == 2 and longer.outcomes()[:2] == before
    assert len({str(outcome.train) for outcome in longer.outcomes()}) == 3


def test_other_settings_make_a_search_of_their_own_beside_it(first, root):
    other = search(root, config(**{"train.epochs": "2"}))
    assert other.outcomes() == [] and other.name != first[0].name
    assert len(search(root, config()).outcomes()) >= 2


def test_an_edit_of_the_network_makes_a_search_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = {"model.architecture": "searched_network:build"}
    names = []
    for width in (1, 1, 2):
        (tmp_path / "searched_network.py").write_text(f"WIDTH = {width}\n")
        names.append(search(tmp_path, config(**own)).name)
    assert names[0] == names[1] != names[2]
    assert len({*names, search(tmp_path, config()).name}) == 3


def _alone() -> dict[str, str]:
    """An environment in which trainers are children of who asks for them."""
    environment = {key: value for key, value in os.environ.items() if key != SOCKETS}
    return environment | {"PYTHONPATH": str(ROOT)}


_ENDLESS = f"""
import sys
from pathlib import Path
from {__name__} import config, run, search
run(search(Path(sys.argv[1]), config(**{{"train.epochs": "10000"}})))
"""


def test_a_trial_that_a_kill_interrupted_is_repeated_and_its_trainer_does_not_live_on(tmp_path):
    program = [sys.executable, "-c", _ENDLESS, str(tmp_path)]
    process = subprocess.Popen(program, cwd=ROOT, env=_alone())
    try:
        _wait_for(lambda: list((tmp_path / "tune").glob("trials/*/*.args.json")))
        _wait_for(psutil.Process(process.pid).children)
        trainers = psutil.Process(process.pid).children(recursive=True)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    assert psutil.wait_procs(trainers, timeout=10)[1] == []
    (left,) = (tmp_path / "tune" / "trials").iterdir()
    (left / "model").mkdir(exist_ok=True)
    (left / "checkpoints").mkdir(exist_ok=True)
    (left / "checkpoints" / "000001.npz").touch()
    asked = search(tmp_path, config(**{"train.epochs": "10000"}))
    assert {path.name for path in left.iterdir()}.isdisjoint({"model", "checkpoints"})
    states = [trial.state for trial in asked.study.trials]
    assert states == [optuna.trial.TrialState.FAIL, optuna.trial.TrialState.WAITING]
    assert asked.outcomes() == []
    killed, waiting = asked.study.trials
    assert waiting.system_attrs["fixed_params"] == killed.params != {}
    assert asked.study.ask().params == {} and len(asked.study.trials) == 2  # the one that waited


def test_a_trial_behind_the_others_is_ended_early(tmp_path):
    asked = search(tmp_path, config(**{"train.epochs": "10000", "tune.trials": "5"}))
    for number in range(4):
        tell(asked, 0.9 + number / 100, epochs=300)
    asked.study.pruner = optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=0)
    (ended,) = run(asked)
    assert ended.accuracy is None and not ended.error and 1 <= ended.epochs < 10_000
    assert asked.best(1)[0].accuracy == 0.93


def test_a_search_whose_first_trials_all_fail_ends_with_the_reason(tmp_path):
    asked = search(tmp_path, config(**{"tune.trials": "9"}))
    (tmp_path / "plan" / "index.npy").unlink()
    for _ in range(2):
        tell(asked, None, error="out of memory")
    with pytest.raises(StepFailed, match="Every trial failed; the last: .*index.npy"):
        run(asked)
    assert len(asked.outcomes()) == 3


def _wait_for(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
