import pytest
from pydantic import ValidationError

from components.base.refusal import ConfigError
from pipeline.configuration import presets
from pipeline.configuration.overrides import as_arguments, leaves, override, parse_overrides


def test_overrides_replace_just_the_named_keys_with_typed_values():
    before = presets.digits()
    after = override(before, {"train.epochs": "5", "gates.min_accuracy": "0.5"})
    changed = {k for k, v in leaves(after).items() if leaves(before)[k] != v}
    assert changed == {"train.epochs", "gates.min_accuracy"}
    assert after.train.epochs == 5 and after.gates.min_accuracy == 0.5


def test_lists_are_written_as_json_and_beam_arguments_as_words():
    after = override(
        presets.digits(),
        {"augment.torch": '[{"kind": "flip"}]', "beam.args": "--runner=FnApiRunner --profile_cpu"},
    )
    assert [operation.kind for operation in after.augment.torch] == ["flip"]
    assert after.beam.args == ("--runner=FnApiRunner", "--profile_cpu")


def test_a_configuration_cannot_be_changed_in_place():
    with pytest.raises(ValidationError):
        presets.digits().train.epochs = 3


@pytest.mark.parametrize(
    "pairs, words",
    [
        ({"train.epoch": "5"}, "did you mean 'train.epochs'"),
        ({"gate.min_accuracy": "1"}, "did you mean 'gates.min_accuracy'"),
        ({"train.epochs": "many"}, "Bad value for train.epochs: 'many'"),
        ({"train.frameworks": "PyTorch"}, "expected both, keras or torch: did you mean 'torch'?"),
        ({"train.frameworks": "[]"}, "Bad value for train.frameworks: []"),
        ({"train.epochs": "0"}, "greater than or equal to 1"),
        ({"gates.min_accuracy": "97"}, "less than or equal to 1"),
        ({"image.channels": "2"}, "expected 1 (grey) or 3 (RGB)"),
        (
            {"train.learning_rate": "0.001", "train.min_learning_rate": "0.01"},
            "min_learning_rate 0.01 is above learning_rate 0.001",
        ),
        ({"train.learning_rate": "inf"}, "finite number"),
        ({"name": "x" * 101}, "at most 100"),
        ({"root": ""}, "at least 1"),
        ({"augment.keras": "[{"}, "not valid JSON"),
        ({"augment.keras": '[{"kind": "melt"}]'}, "augment.keras"),
        ({"train": "5"}, "Unknown key 'train'"),
    ],
)
def test_a_wrong_override_is_refused_with_the_key_and_the_remedy(pairs, words):
    with pytest.raises(ConfigError) as caught:
        override(presets.digits(), pairs)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_argument_without_an_equals_sign_is_refused():
    with pytest.raises(ConfigError, match="expected key=value"):
        parse_overrides(["train.epochs"])


def test_a_file_of_overrides_is_read_in_its_place_and_later_arguments_win(tmp_path):
    file = tmp_path / "best.args"
    file.write_text("# found by a search\n\n  train.epochs=7\ntrain.batch_size=128 \nname=a#b=c\n")
    given = ["train.epochs=1", f"@{file}", "train.batch_size=16"]
    expected = {"train.epochs": "7", "train.batch_size": "16", "name": "a#b=c"}
    assert parse_overrides(given) == expected


def test_a_whole_configuration_survives_being_written_as_arguments(tmp_path):
    space = '{"optimizer": ["sgd", "adamw"], "label_smoothing": null}'
    pairs = {"tune.space": space, "train.epochs": "3", "beam.args": "--runner=FnApiRunner"}
    config = override(presets.cifar10(), pairs)
    (tmp_path / "all.args").write_text("\n".join(as_arguments(config)))
    assert override(presets.cifar10(), parse_overrides([f"@{tmp_path / 'all.args'}"])) == config


@pytest.mark.parametrize(
    "content, words",
    [
        (None, "cannot be read (No such file or directory)"),
        (b"train.epochs=1\nfaster\n", "line 2: 'faster' is not an override"),
        (b"@other.args\n", "line 1: '@other.args' is not an override"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_a_file_that_is_none_of_overrides_is_refused_in_one_sentence(tmp_path, content, words):
    if content is not None:
        (tmp_path / "a.args").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        parse_overrides([f"@{tmp_path / 'a.args'}"])
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_search_names_fields_of_train_and_nothing_else():
    with pytest.raises(ConfigError, match=r"did you mean 'learning_rate'\?$"):
        override(presets.digits(), {"tune.space": '{"learning_rat": [0.1, 0.2]}'})
