"""The release store: what is published is whole, what is damaged is refused, all is reversible."""

import datetime
import json
import multiprocessing
import os
import re
import shutil
import time

import pytest

from serving.store.history import Event, labels
from serving.store.release import Release, StoreError
from serving.store.store import Store
from tests.helpers.serving_fixtures import bundle, contract, run, seal


@pytest.fixture
def source(tmp_path):
    return bundle(tmp_path / "source")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "out/serving")


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


def test_the_history_says_what_happened_and_when(store, source):
    for _ in range(2):
        store.publish("digits", source)
    store.rollback("digits")
    lines = (store.root / "models/digits/history.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert [(event["event"], event["version"]) for event in events] == [
        ("publish", 1), ("publish", 2), ("rollback", 1),
    ]  # fmt: skip
    for event in events:
        time = datetime.datetime.fromisoformat(event["time"])
        assert abs(datetime.datetime.now(datetime.UTC) - time) < datetime.timedelta(hours=1)


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


def test_the_history_remembers_what_was_removed(store, source):
    for _ in range(4):
        store.publish("digits", source)
    store.rollback("digits", 2)
    store.publish("digits", source)
    before = [(event.event, event.version) for event in store.history("digits")]
    assert store.prune("digits", 1) == [1, 3, 4]
    assert [(event.event, event.version) for event in store.history("digits")] == before
    assert [release.version for release in store.line("digits")] == [2, 5]
    assert store.rolled_back("digits") == {3: LINEAGE, 4: LINEAGE}
    shutil.rmtree(store.root / "models/digits/2")  # by hand: nobody knows that it was there
    assert [event.version for event in store.history("digits")] == [1, 3, 4, 5]


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


def test_a_damaged_history_names_its_line(store, source):
    store.publish("digits", source)
    with (store.root / "models/digits/history.jsonl").open("a") as file:
        file.write("[]\n")
    with pytest.raises(StoreError, match="line 2, is damaged"):
        store.current("digits")


def test_a_version_that_a_person_wrote_as_a_text_is_a_number(store, source):
    store.publish("digits", source)
    history = store.root / "models/digits/history.jsonl"
    history.write_text(history.read_text().replace('"version": 1', '"version": "1"'))
    assert store.current("digits").version == 1 and store.publish("digits", source).version == 2


def test_the_command_line_lists_verifies_and_rolls_back(store, source):
    root = store.root.parent
    nothing = run("-m", "serving.store", "list", "--root", root)
    assert (nothing.returncode, nothing.stdout) == (2, "")
    assert nothing.stderr == f"error: there is no release in {store.root}.\n"
    store.publish("digits", source)
    store.publish("digits", source)
    listed = run("-m", "serving.store", "list", "--root", root)
    assert listed.returncode == 0
    assert [line.split()[:3] for line in listed.stdout.splitlines()] == [
        ["MODEL", "VERSION", "STATE"], ["digits", "1", "-"], ["digits", "2", "current"],
    ]  # fmt: skip
    back = run("-m", "serving.store", "rollback", "digits", "--root", root)
    assert (back.returncode, back.stdout.split(" (")[0]) == (
        0,
        "digits: version 1 is current",
    )
    assert store.current("digits").version == 1
    assert run("-m", "serving.store", "verify", "--root", root).returncode == 0
    (store.root / "models/digits/2/labels.txt").write_text("tampered")
    verified = run("-m", "serving.store", "verify", "--root", root)
    assert verified.returncode == 1
    assert "digits version 1: ok" in verified.stdout
    assert re.search(r"digits version 2: DAMAGED: \S+/2/labels.txt was altered", verified.stdout)
    unknown = run("-m", "serving.store", "rollback", "digit", "--root", root)
    assert (unknown.returncode, unknown.stderr.count("\n")) == (2, 1)
    assert "did you mean digits?" in unknown.stderr


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


def pinned(store) -> tuple[str, str]:
    """What models.config and config.pbtxt say of versions and labels."""
    models = (store.root / "models.config").read_text()
    triton = (store.root / "models/digits/config.pbtxt").read_text()
    found = re.findall(r"versions: \d+|key: .*value: \d+", models)
    return ", ".join(found), re.search(r"versions: \[ (.*) \]", triton).group(1)


def test_labelled_versions_are_served_beside_the_current_one(store, source):
    for _ in range(3):
        store.publish("digits", source)
    store.label("digits", "stable", 1)
    assert pinned(store) == ('versions: 1, versions: 3, key: "stable" value: 1', "1, 3")
    store.label("digits", "canary", 3)
    assert pinned(store)[0].endswith('key: "canary" value: 3, key: "stable" value: 1')
    store.unlabel("digits", "stable")
    assert pinned(store) == ('versions: 3, key: "canary" value: 3', "3")


def test_a_label_above_the_current_version_does_not_make_servers_answer_with_it(store, source):
    """They answer a request that names no version with the highest one that they have."""
    store.publish("digits", source)
    store.publish("digits", source)
    store.label("digits", "bad", 2)
    store.rollback("digits")
    assert pinned(store) == ("versions: 1", "1")


def test_a_labelled_version_with_other_classes_has_no_part_in_tritons_one_list(store, source):
    store.publish("digits", source)
    store.label("digits", "before", 1)
    (source / "contract.json").write_text(json.dumps(contract(labels=["no", "yes"])))
    store.publish("digits", seal(source))
    assert pinned(store) == ('versions: 1, versions: 2, key: "before" value: 1', "2")


def test_a_labelled_version_without_saved_model_is_none_of_tensorflow_servings(store, source):
    store.publish("digits", seal(source, formats=["onnx"]))
    store.label("digits", "before", 1)
    store.publish("digits", seal(source, formats=["onnx", "saved_model"]))
    assert pinned(store) == ("versions: 2", "1, 2")


def test_a_labelled_version_that_is_damaged_stops_nothing(store, source):
    store.publish("digits", source)
    store.label("digits", "before", 1)
    (store.root / "models/digits/1/contract.json").write_text("{")
    store.publish("digits", source)
    assert pinned(store)[1] == "2"


def test_the_command_line_shows_promotes_and_removes(store, source):
    seal(source, metrics={"accuracy": 0.98765}, formats=["saved_model", "onnx"])
    (source / "model.onnx").write_text("onnx")
    seal(
        source,
        metrics={"accuracy": 0.98765},
        formats=["saved_model", "onnx"],
        parity=[{"artifact": "onnx", "max_difference": 2e-7}],
        left_out={"onnx_int8": "its agreement is 0.9"},
    )
    for _ in range(3):
        store.publish("digits", source)

    def done(*arguments: object) -> str:
        result = run("-m", "serving.store", *map(str, arguments), "--root", store.root.parent)
        assert result.returncode == 0, result.stderr
        return result.stdout

    store.label("digits", "stable", 2)
    shown = done("show", "digits")
    assert shown.startswith("digits version 3\n  state          current\n")
    for line in (
        r"  test accuracy  0\.9877",
        r"  input          \S+, uint8 N x 8 x 8 x 1",
        r"  classes        10: 0, 1, 2, 3, 4, 5, 6, 7 and 2 more",
        r"  ONNX        model\.onnx           0\.00 MB  2\.0e-07",
        r"  left out: onnx_int8, as its agreement is 0\.9",
    ):
        assert re.search(f"^{line}$", shown, re.MULTILINE), (line, shown)
    assert done("show", "digits", "stable").startswith(
        "digits version 2\n  state          stable\n"
    )
    assert done("show", "digits", 1).splitlines()[1].endswith("neither current nor labelled")
    unknown = run(
        "-m", "serving.store", "show", "digits", "stabel", "--root", str(store.root.parent)
    )
    assert (unknown.returncode, "did you mean stable?" in unknown.stderr) == (2, True)
    assert done("promote", "digits", 1).startswith("digits: version 1 is current (")
    assert done("rollback", "digits").startswith("digits: version 3 is current (")
    rows = [line.split("  ") for line in done("list").splitlines()]
    assert "rolled back" in rows[1] and "0.9877" in rows[1]
    assert done("prune", "digits", "--keep", 1) == "digits: versions removed: 1\n"
    assert done("prune", "digits", "--keep", 1) == "digits: versions removed: none\n"
    history = done("history", "digits").splitlines()
    assert history[0].endswith("version 1  publish  (removed since)")
    at = store.history("digits")[-1].time
    assert done("history", "digits", "--at", at).startswith("digits: version 3 was current at ")
    (store.root / "models.config").unlink()
    assert done("repair").rstrip().endswith("follow the history")
    assert (store.root / "models.config").exists()
    nothing = run("-m", "serving.store", "repair", "--root", str(source))
    assert nothing.returncode == 2 and not (source / "serving").exists()


def history_of(store) -> list[dict]:
    lines = (store.root / "models/digits/history.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_an_event_says_what_it_is_about_and_nothing_else(store, source):
    store.publish("digits", source)
    store.label("digits", "stable", 1)
    store.label("digits", "stable", 1)  # it is already
    store.unlabel("digits", "stable")
    assert [{k: v for k, v in event.items() if k != "time"} for event in history_of(store)] == [
        {"event": "publish", "version": 1, "lineage": LINEAGE},
        {"event": "label", "version": 1, "label": "stable"},
        {"event": "unlabel", "version": 1, "label": "stable"},
    ]


def test_a_history_without_lineages_takes_them_from_the_releases_before_they_go(store, source):
    """As older stores have it."""
    for number in range(1, 5):
        store.publish("digits", seal(source, lineage=f"torch-{number}"))
    store.rollback("digits", 1)
    path = store.root / "models/digits/history.jsonl"
    events = [{k: v for k, v in event.items() if k != "lineage"} for event in history_of(store)]
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    assert store.rolled_back("digits") == {2: "torch-2", 3: "torch-3", 4: "torch-4"}
    (store.root / "models/digits/3/manifest.json").write_text("{")
    manifest = store.root / "models/digits/4/manifest.json"
    manifest.write_text(json.dumps({"files": {}}))
    known = {2: "torch-2", 3: "", 4: ""}  # what nothing says is nobody's
    assert store.rolled_back("digits") == known
    store.publish("digits", seal(source, lineage="torch-5"))
    store.publish("digits", seal(source, lineage="torch-6"))
    assert store.prune("digits", 1) == [1, 2, 3, 4]
    assert store.rolled_back("digits") == known
    assert history_of(store)[-3]["lineage"] == "torch-2"


def test_which_version_was_current_at_a_moment(store, source):
    for _ in range(3):
        store.publish("digits", source)
        time.sleep(0.002)  # a moment is a millisecond
    moments = [event.moment for event in store.history("digits")]
    assert moments == sorted(moments)
    just = datetime.timedelta(microseconds=1)
    assert store.current_at("digits", moments[0] - just) is None
    for version, moment in enumerate(moments, 1):
        assert store.current_at("digits", moment).version == version
    assert store.current_at("digits", moments[2] - just).version == 2
    assert store.current_at("digits", moments[2] + just).version == 3


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


def test_a_label_that_nothing_had_is_taken_away_in_vain():
    assert labels([Event.now("unlabel", 1, "stable")], {1}) == {}


def test_a_history_that_is_no_text_is_refused(store, source):
    store.publish("digits", source)
    path = store.root / "models/digits/history.jsonl"
    path.write_bytes(b"\xff")
    with pytest.raises(StoreError, match=f"^{re.escape(str(path))} cannot be read: 'utf-8'"):
        store.current("digits")
