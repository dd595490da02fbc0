"""`python -m serving.store`: what it prints, and how it ends."""

import re

from tests.helpers.serving_fixtures import run, seal


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
