import json

from pipeline.line.why import why_it_ran

INPUTS = {"arrays": [4]}


def _why(after: dict, before: dict | None, inputs: dict = INPUTS) -> str:
    return why_it_ran(after, before, inputs, INPUTS)


def test_a_first_run_says_so():
    assert _why({"a": "1"}, None) == "first run"


def test_the_file_that_differs_is_named():
    before = {"code": json.dumps({"components/a.py": "1", "components/b.py": "1"})}
    after = {"code": json.dumps({"components/a.py": "2", "components/c.py": "1"})}
    assert _why(after, before) == (
        "components/a.py changed, components/b.py no longer used, components/c.py added"
    )


def test_the_field_of_a_parameter_that_differs_is_named_with_both_values():
    before = {"gates": json.dumps({"min_accuracy": 0.97, "max_regression": 0.01})}
    after = {"gates": json.dumps({"min_accuracy": 0.99, "max_regression": 0.01})}
    assert _why(after, before) == "gates.min_accuracy 0.97 -> 0.99"


def test_the_artifact_that_differs_is_named():
    assert _why({}, {}, {"arrays": [9]}) == "new arrays"


def test_an_artifact_that_is_no_longer_there_is_named():
    assert why_it_ran({}, {}, {}, {"keras_evaluation": [3]}) == "no keras_evaluation"


def test_many_differences_are_cut_short():
    after = {"code": json.dumps({f"{n}.py": "2" for n in range(5)})}
    before = {"code": json.dumps({f"{n}.py": "1" for n in range(5)})}
    assert _why(after, before).endswith("2.py changed and 2 more")


def test_without_any_difference_the_output_must_have_gone():
    assert _why({"a": "1"}, {"a": "1"}).startswith("its previous output is gone")


def test_code_inside_transforms_custom_config_is_named_by_file():
    before = {"custom_config": json.dumps({"code": json.dumps({"x.py": "1"}), "image_spec": "{}"})}
    after = {"custom_config": json.dumps({"code": json.dumps({"x.py": "2"}), "image_spec": "{}"})}
    assert _why(after, before) == "x.py changed"


def test_other_images_are_told_in_words_and_once_downstream():
    words = "30 files added to class 3"
    after, before = {"fingerprint": "94", "labels": "[]"}, {"fingerprint": "70", "labels": "[]"}
    assert why_it_ran(after, before, {}, {}, words) == words
    assert why_it_ran(after, before, {}, {}) == "other images"
    inputs, old = {"arrays": [9], "plan": [8], "model": [7]}, {"arrays": [1], "plan": [2]}
    assert why_it_ran({}, {}, inputs, old, words) == "new images, new model"
    assert why_it_ran({}, {}, inputs, old) == "new arrays, new model, new plan"


def test_a_value_that_moves_with_the_images_is_no_setting_that_somebody_changed():
    after = {"train": json.dumps({"epochs": 28, "ema": 1}), "architecture": "cifar10"}
    before = {"train": json.dumps({"epochs": 30, "ema": 0}), "architecture": "digits"}
    inferred = frozenset({"train.epochs", "model.architecture"})
    assert why_it_ran(after, before, {}, {}, inferred=inferred) == (
        "train.ema 0 -> 1, inferred from the images: architecture digits -> cifar10, "
        "train.epochs 30 -> 28"
    )
