"""What a search may try: typed, narrowed by the user, and never what `train` would refuse."""

import json

import optuna
import pytest

from components.base.refusal import ConfigError
from components.training.config import TrainConfig
from pipeline.configuration import presets
from pipeline.configuration.config import RunConfig
from pipeline.configuration.overrides import override
from pipeline.search.search_space import (
    DEFAULT,
    FIXED,
    Choices,
    Powers,
    Range,
    draw,
    left_out,
    own_parameters,
    recipe,
    search_space,
)


def config(space: dict | None = None, **train) -> RunConfig:
    pairs = {f"train.{name}": str(value) for name, value in train.items()}
    return override(presets.digits(), pairs | {"tune.space": json.dumps(space or {})})


def recipes(count: int, asked: RunConfig) -> list[TrainConfig]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    space = search_space(asked)
    return [draw(study.ask(), space, asked.train) for _ in range(count)]


def test_whatever_is_drawn_is_a_recipe_of_its_own_with_values_of_the_space():
    drawn = recipes(200, config())
    assert {r.optimizer for r in drawn} == {"adam", "adamw", "sgd", "muon"}
    assert {r.schedule for r in drawn} == {"constant", "plateau", "cosine", "one_cycle"}
    assert {r.batch_size for r in drawn} == {16, 32, 64, 128, 256, 512}
    assert all(1e-4 <= r.learning_rate <= 0.1 for r in drawn)
    # On a logarithmic scale a third of the draws lies in each of three decades.
    assert 40 < sum(r.learning_rate < 1e-3 for r in drawn) < 95
    assert all((r.weight_decay == 0) == (r.optimizer == "adam") for r in drawn)
    assert all(r.epochs == presets.digits().train.epochs for r in drawn)


def test_a_user_narrows_extends_and_shortens_the_space():
    space = search_space(
        config(
            {
                "learning_rate": [1e-3, 2e-3],
                "batch_size": [60, 300],
                "optimizer": ["adamw", "sgd"],
                "schedule": None,
                "plateau": [2, 9],
                "momentum": [0.8, 0.9, 0.95],
                "l2": [1e-6, 1e-3],
            }
        )
    )
    assert space == {
        "optimizer": Choices(("adamw", "sgd")),
        "learning_rate": Range(1e-3, 2e-3, log=True),
        "batch_size": Powers(64, 256),
        "label_smoothing": DEFAULT["label_smoothing"],
        "weight_decay": DEFAULT["weight_decay"],
        "plateau": Range(2, 9),
        "momentum": Choices((0.8, 0.9, 0.95)),
        "l2": Range(1e-6, 1e-3, log=True),
    }
    assert all(isinstance(r.plateau, int) for r in recipes(5, config({"plateau": [2, 9]})))


def test_a_recipe_without_decay_is_searched_without_it_and_one_with_it_loses_it_to_adam():
    assert "weight_decay" not in search_space(config({"optimizer": None}))
    base = config(optimizer="adamw", weight_decay=0.05).train
    assert recipe(base, {"optimizer": "adam"}).weight_decay == 0
    assert recipe(base, {"optimizer": "sgd"}).weight_decay == 0.05


def test_the_presets_own_values_are_a_trial_as_far_as_the_space_reaches():
    asked = config()
    own = own_parameters(search_space(asked), asked.train)
    assert own == {
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "log2 batch_size": 5,
        "schedule": "cosine",
        "label_smoothing": 0,
    }
    far = config({"learning_rate": [0.01, 0.1]}, batch_size=48)
    own = own_parameters(search_space(far), far.train)
    assert own.keys() == {"optimizer", "schedule", "label_smoothing"}


def test_what_the_recipe_has_no_room_for_is_not_tried_and_said():
    asked = override(presets.cifar10_small(), {})
    space = search_space(asked)
    assert space == DEFAULT | {"schedule": Choices(("constant", "cosine", "one_cycle"))}
    (line,) = left_out(asked, space)
    assert line.startswith("not tried: schedule plateau (")
    assert "progressive_resizing" in line
    assert {r.schedule for r in recipes(50, asked)} == {"constant", "cosine", "one_cycle"}

    asked = config({"optimizer": None}, min_learning_rate=5e-4)
    space = search_space(asked)
    assert space.keys() == DEFAULT.keys() - {"optimizer", "learning_rate", "weight_decay"}
    rate, decay = left_out(asked, space)
    assert rate.startswith("not tried: learning_rate (train.min_learning_rate 0.0005")
    assert "is above learning_rate 0.0001" in rate
    assert decay.startswith("not tried: weight_decay (")
    assert left_out(config(), search_space(config())) == []


@pytest.mark.parametrize(
    "space, words",
    [
        ({"learning_rat": [1, 2]}, "did you mean 'learning_rate'"),
        ({"learning_rate": [0, 0.1]}, "logarithmic scale"),
        ({"learning_rate": [0.1, 0.01]}, "0.1 is not below 0.01"),
        ({"learning_rate": [1e-8, 0.1]}, "min_learning_rate 1e-06 is above learning_rate 1e-08"),
        ({"min_learning_rate": [1e-5, 1e-3]}, "0.001 is above learning_rate 0.0001"),
        (
            {"learning_rate": [1e-3, 0.1], "min_learning_rate": [1e-5, 0.01]},
            "min_learning_rate 0.01 is above learning_rate 0.001",
        ),
        ({"label_smoothing": [0, 1]}, "label_smoothing: 1.0: Input should be less than 1"),
        ({"optimizer": ["sgd", "lion"]}, "'lion'"),
        ({"batch_size": [65, 100]}, "no power of two"),
        ({"plateau": [0.5, 3]}, "expected whole numbers"),
        ({"plateau": [0, 3]}, "plateau: 0"),
        ({"momentum": []}, "expected [low, high]"),
        ({"optimizer": ["adam"], "weight_decay": [0.1, 0.2]}, "adam has no decoupled"),
        (dict.fromkeys(DEFAULT), "leaves nothing to search"),
        *(({name: [1, 2]}, f"set train.{name} itself") for name in FIXED),
    ],
)
def test_what_train_would_refuse_is_refused_before_anything_runs(space, words):
    with pytest.raises(ConfigError) as caught:
        search_space(config(space))
    assert words in str(caught.value) and "\n" not in str(caught.value)
