"""The release store: what is published is whole, what is damaged is refused, all is reversible."""

import json
import multiprocessing
import os
import re
import shutil

import pytest

from serving.store.release import Release, StoreError
from serving.store.store import Store
from tests.helpers.serving_fixtures import bundle, contract, run, seal


def test_a_publish_makes_a_complete_verified_release_current(store, source):
    release = store.publish("digits", source)
    assert release == store.current("digits") == store.select()
    assert release == Release("digits", 1, store.root / "models/digits/1")
    release.verify()
    assert release.manifest()["files"].keys() == {
        "saved_model.pb", "variables/variables.data", "contract.json", "labels.txt",
    }  # fmt: skip
    assert release.contract()["labels"][3] == "3"
    link = store.root / "models/digits/current"
    assert os.readlink(link) == "1"
    assert (source / "saved_model.pb").exists()
    assert (release.path / "saved_model.pb").stat().st_ino != (
        source / "saved_model.pb"
    ).stat().st_ino


def test_releases_are_readable_by_other_users_as_the_umask_allows(store, source):
    release = store.publish("digits", source)
    umask = os.umask(0)
    os.umask(umask)
    assert release.path.stat().st_mode & 0o777 == 0o777 & ~umask
    assert (release.path / "saved_model.pb").stat().st_mode & 0o777 == 0o666 & ~umask


def test_reading_a_store_that_is_not_there_creates_nothing(store):
    assert store.models() == [] and store.releases("digits") == []
    assert store.current("digits") is None
    with pytest.raises(StoreError, match="no release"):
        store.select()
    assert not store.root.exists()


def test_a_file_in_the_place_of_a_store_holds_nothing(store):
    store.root.parent.mkdir()
    store.root.write_text("no folder")
    assert store.models() == [] and store.releases("digits") == []
    assert store.current("digits") is None


def test_two_publishes_in_one_second_get_two_versions(store, source):
    versions = [store.publish("digits", source).version for _ in range(3)]
    assert versions == [1, 2, 3]
    assert [release.version for release in store.releases("digits")] == versions
    assert os.readlink(store.root / "models/digits/current") == "3"


def listed(directory, name: str, entry: object) -> None:
    """Says that of a file in the manifest."""
    manifest = json.loads((directory / "manifest.json").read_text())
    manifest["files"][name] = entry
    (directory / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda d: (d / "saved_model.pb").write_text("weightx"),
            r"saved_model\.pb was altered",
        ),
        (lambda d: (d / "saved_model.pb").write_text("longer now"), r"has 10 bytes"),
        (lambda d: (d / "labels.txt").unlink(), r"labels\.txt is missing"),
        (lambda d: (d / "extra.bin").write_text("x"), r"extra\.bin is not listed"),
        (lambda d: (d / "manifest.json").unlink(), r"manifest\.json is missing"),
        (
            lambda d: (d / "manifest.json").write_text("{"),
            r"manifest\.json cannot be read",
        ),
        (lambda d: (d / "manifest.json").write_text("[1]"), r"a list, expected a JSON object"),
        (lambda d: (d / "manifest.json").write_text("{}"), r"lists no files"),
        (lambda d: (d / "manifest.json").write_text('{"files": ["a"]}'), r"lists no files"),
        (lambda d: listed(d, "labels.txt", "abc"), r"says 'abc' of labels\.txt, expected its"),
        (lambda d: listed(d, "labels.txt", {"sha256": 1, "bytes": 1}), r"says .* of labels\.txt"),
        (lambda d: listed(d, "labels.txt", {"sha256": "0"}), r"says .*'0'. of labels\.txt"),
        (lambda d: os.mkfifo(d / "pipe"), r"pipe is not a plain file or directory"),
        (lambda d: (d / "link").symlink_to("/etc/passwd"), r"releases hold no links"),
        (lambda d: shutil.rmtree(d), r"missing"),
        (lambda d: (shutil.rmtree(d), d.write_text("")), r"source is not a directory"),
    ],
)
def test_a_source_that_does_not_match_its_manifest_is_refused(store, source, damage, message):
    store.publish("digits", source)
    damage(source)
    with pytest.raises(StoreError, match=message):
        store.publish("digits", source)
    assert [release.version for release in store.releases("digits")] == [1]
    assert not list(store.root.glob(".staging-*"))


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../b", "manifest.json", "./x"])
def test_a_manifest_cannot_reach_outside_its_directory(store, source, name):
    listed(source, name, {"sha256": "0" * 64, "bytes": 1})
    with pytest.raises(StoreError, match=f"lists '{name}', (which it must not|outside the dir)"):
        store.publish("digits", source)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "..",
        ".",
        "../x",
        "a/b",
        "a\\b",
        ".hidden",
        "a b",
        "x" * 101,
        "a\n",
        "\u00e4",
    ],
)
def test_model_names_cannot_escape_the_store(store, source, name):
    for call in (lambda: store.publish(name, source), lambda: store.releases(name)):
        with pytest.raises(StoreError) as refused:
            call()
        assert str(refused.value) == (
            f"model name {name!r} is not usable: expected up to 100 letters, digits, '_', '-' and "
            "'.', beginning with a letter or digit."
        )
    assert not store.root.exists()


def test_the_manifest_of_another_model_is_refused(store, source):
    with pytest.raises(StoreError, match="of model 'digits', expected 'faces'"):
        store.publish("faces", source)


def test_a_manifest_that_names_no_model_is_anyones(store, source):
    manifest = json.loads((source / "manifest.json").read_text())
    del manifest["model"]
    (source / "manifest.json").write_text(json.dumps(manifest))
    assert store.publish("faces", source).name == "faces"


@pytest.mark.parametrize(
    "change",
    [
        {"input": {}},
        {"output": None},
        {"input": {"name": "i", "dtype": "x", "shape": []}},
    ],
)
def test_a_contract_that_no_server_could_serve_is_refused(store, source, change):
    (source / "contract.json").write_text(json.dumps(contract() | change))
    seal(source)
    with pytest.raises(StoreError, match="cannot be served"):
        store.publish("digits", source)
    assert store.models() == []


def test_rollback_walks_back_and_never_returns_to_what_it_left(store, source):
    for _ in range(3):
        store.publish("digits", source)
    assert store.rollback("digits").version == 2
    assert store.publish("digits", source).version == 4
    assert [release.version for release in store.line("digits")] == [1, 2, 4]
    assert store.rollback("digits").version == 2
    assert store.rollback("digits").version == 1
    with pytest.raises(StoreError, match="nothing before version 1"):
        store.rollback("digits")
    assert store.rollback("digits", 3).version == 3
    assert store.rollback("digits").version == 1


def test_rollback_moves_the_link_and_every_pinned_version(store, source):
    store.publish("digits", source)
    store.publish("digits", source)
    store.rollback("digits", 1)
    assert os.readlink(store.root / "models/digits/current") == "1"
    assert "versions: 1 " in (store.root / "models.config").read_text()
    assert "versions: [ 1 ]" in (store.root / "models/digits/config.pbtxt").read_text()
    assert '"1/labels.txt"' in (store.root / "models/digits/config.pbtxt").read_text()
    assert 'name: "digits"' in (store.root / "models/digits/config.pbtxt").read_text()
    assert Store(store.root).current("digits").version == 1


def test_rollback_refuses_what_is_not_there_or_damaged(store, source):
    with pytest.raises(StoreError, match="^unknown model 'digits': released: none[.]$"):
        store.rollback("digits")
    store.publish("digits", source)
    with pytest.raises(StoreError, match="did you mean digits"):
        store.rollback("digit")
    with pytest.raises(StoreError, match="unknown version of digits '9': released: 1"):
        store.rollback("digits", 9)
    store.publish("digits", source)
    (store.root / "models/digits/1/labels.txt").write_text("tampered")
    with pytest.raises(StoreError, match="altered"):
        store.rollback("digits", 1)
    assert store.current("digits").version == 2


@pytest.mark.parametrize(
    "name, text",
    [
        *(("contract.json", text) for text in ("{", "{}", '{"input": null}')),
        ("contract.json", '{"input": {"shape": "x"}}'),
        ("manifest.json", "{"),
        ("manifest.json", '{"formats": 1}'),
        ("manifest.json", '{"formats": [{}]}'),
    ],
)
def test_a_damaged_current_release_can_be_replaced_and_is_served_until_then(
    store, source, tmp_path, name, text
):
    broken = store.publish("digits", source)
    (broken.path / name).write_text(text)
    store.publish("faces", bundle(tmp_path / "faces", "faces"))
    assert 'name: "digits"' in (store.root / "models.config").read_text()
    assert store.publish("digits", source).version == 2


def test_a_version_that_was_announced_and_never_came_is_not_given_out_again(store, source):
    """As a publish leaves it that is killed between its two steps."""
    store.publish("digits", source)
    shutil.rmtree(store.publish("digits", source).path)
    assert store.current("digits").version == 1
    assert store.publish("digits", source).version == 3
    assert [release.version for release in store.line("digits")] == [1, 3]


def test_several_models_are_pinned_independently(store, source, tmp_path):
    faces = bundle(tmp_path / "faces", "faces")
    store.publish("digits", source)
    store.publish("faces", faces)
    store.publish("faces", faces)
    text = (store.root / "models.config").read_text()
    assert re.findall(r'name: "(\w+)"|versions: (\d+)', text) == [
        ("digits", ""), ("", "1"), ("faces", ""), ("", "2"),
    ]  # fmt: skip
    with pytest.raises(StoreError, match="several models are released .digits, faces."):
        store.select()
    assert store.select("faces").version == 2
    with pytest.raises(StoreError, match="^unknown model 'digxxx': did you mean digits[?]$"):
        store.select("digxxx")
    with pytest.raises(StoreError, match="^unknown model 'zzz': released: digits, faces[.]$"):
        store.select("zzz")


def test_opening_for_writing_restores_the_derived_files(store, source):
    store.publish("digits", source)
    store.publish("digits", source)
    (store.root / "models.config").unlink()
    (store.root / "batching.config").unlink()
    (store.root / "models/digits/config.pbtxt").write_text("garbage")
    (store.root / "models/digits/current").unlink()
    (store.root / ".staging-dead").mkdir()
    (store.root / ".tmp-dead").write_text("half")
    store.rollback("digits", 2)
    assert os.readlink(store.root / "models/digits/current") == "2"
    assert "versions: 2 " in (store.root / "models.config").read_text()
    assert "max_batch_size" in (store.root / "batching.config").read_text()
    assert "versions: [ 2 ]" in (store.root / "models/digits/config.pbtxt").read_text()
    assert not list(store.root.glob(".staging-*")) + list(store.root.glob(".tmp-*"))


def test_unchanged_files_are_not_rewritten(store, source):
    """Triton reloads a model whose files have new modification times."""
    store.publish("digits", source)
    files = [store.root / "models.config", store.root / "models/digits/config.pbtxt"]
    before = [path.stat().st_mtime_ns for path in files]
    store.rollback("digits", 1)
    assert [path.stat().st_mtime_ns for path in files] == before


LINEAGE = contract()["lineage"]


def versions(store) -> list[int]:
    return [release.version for release in store.releases("digits")]


def test_a_promoted_release_has_the_one_before_it_to_go_back_to(store, source):
    for _ in range(3):
        store.publish("digits", source)
    assert store.promote("digits", 1).version == 1
    assert [release.version for release in store.line("digits")] == [2, 3, 1]
    assert os.readlink(store.root / "models/digits/current") == "1"
    assert store.rolled_back("digits") == {}
    assert store.rollback("digits").version == 3
    assert store.rolled_back("digits") == {1: LINEAGE}
    store.promote("digits", 1)
    assert store.rolled_back("digits") == {}
    with pytest.raises(StoreError, match="unknown version of digits '7'"):
        store.promote("digits", 7)
    (store.root / "models/digits/2/labels.txt").write_text("tampered")
    with pytest.raises(StoreError, match="altered"):
        store.promote("digits", 2)


def test_old_releases_are_removed_but_for_those_that_somebody_needs(store, source):
    for _ in range(9):
        store.publish("digits", source)
    store.label("digits", "stable", 2)
    store.rollback("digits", 4)  # before it: 3
    assert store.prune("digits", 2, spare=[1]) == [5, 6, 7]
    assert versions(store) == [1, 2, 3, 4, 8, 9]
    assert store.prune("digits", 2, spare=[1]) == []
    assert store.prune("digits", 1) == [1, 8]
    assert store.rollback("digits").version == 3
    assert store.publish("digits", source).version == 10
    assert not list(store.root.glob(".staging-*"))
    for release in store.releases("digits"):
        release.verify()


@pytest.mark.parametrize("keep", [0, -1])
def test_nothing_cannot_be_kept(store, source, keep):
    store.publish("digits", source)
    with pytest.raises(StoreError, match=f"{keep} releases cannot be kept, expected 1 or more"):
        store.prune("digits", keep)


def test_a_removal_that_was_interrupted_is_finished(store, source):
    for _ in range(3):
        store.publish("digits", source)
    kept = shutil.copytree(store.root / "models/digits/1", store.root / "models/digits/copy")
    store.prune("digits", 1)
    kept.rename(store.root / "models/digits/1")
    assert versions(store) == [2, 3]  # what is to go has gone
    store.repair()
    assert not (store.root / "models/digits/1").exists()


def test_a_wrong_root_does_not_become_a_store(store):
    for change in (
        lambda: store.rollback("digits"),
        lambda: store.promote("digits", 1),
        lambda: store.label("digits", "stable", 1),
        lambda: store.unlabel("digits", "stable"),
        lambda: store.prune("digits", 5),
    ):
        with pytest.raises(StoreError, match="unknown model 'digits': released: none"):
            change()
    assert not store.root.exists()


def test_who_has_the_store_to_himself_is_not_disturbed(store, source):
    store.publish("digits", source)
    spawn = multiprocessing.get_context("spawn")  # a fork would hold the lock, too
    with store.exclusive():
        other = spawn.Process(target=Store(store.root).rollback, args=("digits", 1))
        other.start()
        other.join(1)
        assert other.exitcode is None  # it waits
        assert store.publish("digits", source).version == 2
        with pytest.raises(OSError, match="of the caller"), store.exclusive():
            raise OSError("of the caller")
    other.join(30)
    assert other.exitcode == 0 and store.current("digits").version == 1


def test_a_store_that_cannot_be_written_says_so(tmp_path, source):
    (tmp_path / "out").write_text("a file in the way")
    with pytest.raises(StoreError, match="cannot be written"):
        Store(tmp_path / "out/serving").publish("digits", source)


def test_the_store_needs_only_the_standard_library():
    script = "import sys; sys.path.insert(0, '.'); import serving.store, serving.store.__main__"
    result = run("-I", "-S", "-c", script)  # no site-packages at all
    assert result.returncode == 0, result.stderr


def test_a_model_that_is_onnx_alone_is_left_out_of_tensorflow_servings_models(
    store, source, tmp_path
):
    alone = bundle(tmp_path / "mine", "mine")
    (alone / "saved_model.pb").unlink()
    store.publish("digits", source)
    store.publish("mine", seal(alone, "mine", formats=["onnx"]))
    text = (store.root / "models.config").read_text()
    assert re.findall(r'name: "(\w+)"', text) == ["digits"]
    assert "versions: [ 1 ]" in (store.root / "models/mine/config.pbtxt").read_text()


def test_what_is_unknown_is_named_with_what_is_known(store, source):
    store.publish("digits", source)
    with pytest.raises(StoreError) as refused:
        store.release("digit", 1)
    assert str(refused.value) == "unknown model 'digit': did you mean digits?"
    store.label("digits", "stable", 1)
    with pytest.raises(StoreError) as refused:
        store.unlabel("digits", "stabel")
    assert str(refused.value) == "unknown label of digits 'stabel': did you mean stable?"
    with pytest.raises(StoreError) as refused:
        store.label("digits", "1st", 1)
    assert str(refused.value) == (
        "label '1st' is not usable: expected up to 100 letters, digits, '_', '-' and '.', "
        "beginning with a letter."
    )
