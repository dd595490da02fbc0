import json
import shutil

import pytest

import components
from components.base import fingerprint as code


def _names(*modules: str) -> set[str]:
    return {path.relative_to(code.ROOT).as_posix() for path in code.files_of(*modules)}


def test_a_step_depends_on_what_its_modules_import_transitively():
    names = _names("components.data.pack_tfx")
    assert {
        "components/data/pack_tfx.py",
        "components/data/pack.py",
        "serving/contract/image_spec.py",
    } <= names
    assert not any(name.startswith(("export/", "components/train")) for name in names)


def test_the_augmentation_plan_does_not_depend_on_networks_or_trainings():
    names = _names(
        "components.augmentation.augment_tfx",
        "components.augmentation.keras_copies",
        "components.augmentation.torch_copies",
    )
    assert {
        "components/augmentation/augment.py",
        "components/augmentation/torch_augment.py",
    } <= names
    others = ("architectures", "description", "network", "custom_network")
    assert names.isdisjoint(f"components/networks/{name}.py" for name in others)
    assert not any(name.startswith("components/training/") for name in names)


def test_the_gates_depend_on_the_store_and_training_does_not():
    assert "serving/store/store.py" in _names("components.gates.model_gates_tfx")
    for framework in ("keras", "torch"):
        names = _names("components.training.train_tfx", f"components.training.train_{framework}")
        assert not any(name.startswith("serving/store/") for name in names)


def test_the_two_trainers_do_not_depend_on_each_other():
    assert not any("torch" in name for name in _names("components.training.train_keras"))
    assert not any("keras" in name for name in _names("components.training.train_torch"))


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the project that may be edited."""
    for name in (*code.PACKAGES, "requirements.txt"):
        source = code.ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    monkeypatch.setattr(code, "ROOT", tmp_path)
    monkeypatch.setattr(components, "__path__", [str(tmp_path / "components")])
    code._hash.cache_clear()
    yield tmp_path
    code._hash.cache_clear()


def test_editing_a_file_changes_the_fingerprint_of_its_importers_only(copy):
    steps = (
        "components.data.pack_tfx",
        "components.gates.model_gates_tfx",
        "components.training.train_torch",
    )
    before = {step: code.fingerprint(step) for step in steps}
    with open(copy / "components" / "data" / "pack.py", "a") as file:
        file.write("# edited\n")
    code._hash.cache_clear()
    changed = {step for step in steps if code.fingerprint(step) != before[step]}
    assert changed == {"components.data.pack_tfx"}


def test_a_network_within_the_project_brings_all_of_the_project_that_it_imports(copy):
    for name, text in {
        "my_net": "from . import my_block\nfrom components.my_head import head\n",
        "my_block": "",
        "my_head": "",
    }.items():
        (copy / "components" / f"{name}.py").write_text(text)
    found = code.fingerprint("components.gates", architecture="components.my_net:build")
    new = {f"components/{name}.py" for name in ("my_net", "my_block", "my_head")}
    assert json.loads(found).keys() >= new
    assert not new & json.loads(code.fingerprint("components.gates")).keys()


def test_the_lock_is_part_of_every_fingerprint():
    assert "requirements.txt" in json.loads(code.fingerprint("components.gates"))


def test_a_module_that_is_not_the_projects_is_refused():
    with pytest.raises(ValueError, match="not a module of this project"):
        code.files_of("numpy")
