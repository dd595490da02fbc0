"""Releases that must not be served: each a good one of `digits` that something was done to.

All that leads out of a release leads to `outside`, whose files are as good as any.
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
import socket
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.helpers.serving_fixtures import (
    centroid_network,
    contract,
    digits_release,
    onnx_bytes,
    seal,
)

Damage = Callable[[Path, Path], None]
"""Of a release's directory; the second one is `outside`."""


class Case(NamedTuple):
    """`sealed`: whether the manifest is written anew after the damage, so that it verifies."""

    name: str
    damage: Damage
    sealed: bool
    message: str
    """A regular expression that the refusal holds."""


def outside(directory: Path) -> Path:
    """A folder with weights, a file and a whole release."""
    directory.mkdir(parents=True)
    weights, _ = centroid_network()
    (directory / "weights.bin").write_bytes(weights.tobytes())
    (directory / "labels.txt").write_text("".join(f"{digit}\n" for digit in range(10)))
    digits_release(directory / "release")
    shutil.copyfile(directory / "release/manifest.json", directory / "manifest.json")
    return directory


def make(case: Case, good: Path, directory: Path, outer: Path) -> None:
    """The release of the case, in the new `directory`."""
    shutil.copytree(good, directory)
    case.damage(directory, outer)
    if case.sealed:
        seal(directory)


# Manifests and files.


def _manifest(change: Callable[[dict], object]) -> Damage:
    def damage(release: Path, outer: Path) -> None:
        manifest = json.loads((release / "manifest.json").read_text())
        change(manifest)
        (release / "manifest.json").write_text(json.dumps(manifest))

    return damage


def _entry(name: str, value: Any) -> Damage:
    return _manifest(lambda manifest: manifest["files"].update({name: value}))


def _size(value: Any) -> Damage:
    return _manifest(lambda manifest: manifest["files"]["labels.txt"].update(bytes=value))


def _write(name: str, data: bytes | Callable[[], bytes]) -> Damage:
    def damage(release: Path, outer: Path) -> None:
        (release / name).write_bytes(data if isinstance(data, bytes) else data())

    return damage


def _instead(name: str, put: Callable[[Path, Path], object]) -> Damage:
    """Something else where the file was: `put` gets its path and `outside`."""

    def damage(release: Path, outer: Path) -> None:
        (release / name).unlink()
        put(release / name, outer)

    return damage


def _socket(path: Path, outer: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # the path of a socket may have no more than 108 bytes
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(here)


def _device(path: Path, outer: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero
    except PermissionError:  # only root may
        os.mkfifo(path)


def _sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


def _linked_release(release: Path, outer: Path) -> None:
    shutil.rmtree(release)
    release.symlink_to(outer / "release")


def _linked_variables(release: Path, outer: Path) -> None:
    shutil.rmtree(release / "variables")
    (outer / "variables").mkdir(exist_ok=True)
    (release / "variables").symlink_to(outer / "variables")


def _twice(release: Path, outer: Path) -> None:
    text = (release / "manifest.json").read_text()
    (release / "manifest.json").write_text(text[:-1] + ', "files": {"labels.txt": {}}}')


def _truncated_golden(release: Path, outer: Path) -> None:
    data = (release / "golden.npz").read_bytes()
    (release / "golden.npz").write_bytes(data[: len(data) // 2])


_HASH = hashlib.sha256(b"").hexdigest()
_DEEP = b"[" * 100_000
_FILES = r"manifest\.json"
_PLAIN = "not a plain file"

FILES = [
    Case("parent directory", _entry("../1/labels.txt", {"sha256": _HASH, "bytes": 0}), False, "li"),
    Case("up and down", _entry("variables/../x", {"sha256": _HASH, "bytes": 0}), False, "lists"),
    Case("absolute path", _entry("/etc/passwd", {"sha256": _HASH, "bytes": 0}), False, "lists"),
    Case("backslashes", _entry("..\\x", {"sha256": _HASH, "bytes": 0}), False, "no usable name"),
    Case("NUL", _entry("labels.txt\0", {"sha256": _HASH, "bytes": 0}), False, "no usable name"),
    Case("itself", _entry("manifest.json", {"sha256": _HASH, "bytes": 0}), False, "lists"),
    Case("not there", _entry("more.txt", {"sha256": _HASH, "bytes": 0}), False, "is missing"),
    Case("a key twice", _twice, False, "'files' is there twice"),
    Case("no hash", _entry("labels.txt", {"bytes": 20}), False, "expected its sha256 and bytes"),
    Case("no size", _entry("labels.txt", {"sha256": _HASH}), False, "expected its sha256 and"),
    Case("no entry", _entry("labels.txt", None), False, "expected its sha256 and bytes"),
    Case("deep entry", _write("manifest.json", b'{"files": {"a": ' + _DEEP), False, "too deep"),
    Case("wrong size", _size(21), False, r"labels\.txt was altered: it has 20 bytes"),
    Case("fraction of a byte", _size(20.0), False, "expected its sha256 and bytes"),
    Case("huge size", _size(10**400), False, r"labels\.txt was altered"),
    Case("negative size", _size(-1), False, r"labels\.txt was altered"),
    Case("true for a size", _size(True), False, "expected its sha256 and bytes"),
    Case("other content", _write("labels.txt", b"9\n" * 10), False, "its SHA-256 is"),
    Case("unlisted file", _write("more.txt", b""), False, "is not listed"),
    Case("no files", _manifest(lambda m: m.update(files={})), False, "lists no files"),
    Case("a list of files", _manifest(lambda m: m.update(files=[1])), False, "lists no files"),
    Case("another model's", _manifest(lambda m: m.update(model="faces")), False, "model 'faces'"),
    Case("a model of lists", _manifest(lambda m: m.update(model=[["x"] * 9])), False, "of model"),
    Case("no manifest", _instead("manifest.json", lambda p, o: None), False, "is missing"),
    Case("empty manifest", _write("manifest.json", b""), False, _FILES),
    Case("deep manifest", _write("manifest.json", _DEEP), False, "nested too deep"),
    Case("not UTF-8", _write("manifest.json", b'{"\xff": 1}'), False, _FILES),
    Case("UTF-16", _write("manifest.json", '{"files": {}}'.encode("utf-16")), False, _FILES),
    Case("digits", _write("manifest.json", b'{"files": ' + b"9" * 9999), False, _FILES),
    Case("a gigabyte", lambda r, o: _sparse(r / "manifest.json", 2**30), False, "more than"),
    Case("manifest is a link", _instead("manifest.json",
         lambda p, o: p.symlink_to(o / "manifest.json")), False, _PLAIN),
    Case("manifest is a pipe", _instead("manifest.json", lambda p, o: os.mkfifo(p)), False, _PLAIN),
    Case("manifest is a folder", _instead("manifest.json", lambda p, o: p.mkdir()), False, _PLAIN),
    Case("manifest is a device", _instead("manifest.json", _device), False, _PLAIN),
    Case("a link", _instead("labels.txt", lambda p, o: p.symlink_to(o / "labels.txt")), False,
         "hold no links"),
    Case("a link inside", _instead("labels.txt", lambda p, o: p.symlink_to("contract.json")), False,
         "hold no links"),
    Case("a linked folder", _linked_variables, False, "hold no links"),
    Case("a linked version", _linked_release, False, "is a link"),
    Case("a pipe", _instead("labels.txt", lambda p, o: os.mkfifo(p)), False, "not a plain file"),
    Case("a socket", _instead("labels.txt", _socket), False, "not a plain file"),
    Case("a device", _instead("labels.txt", _device), False, "not a plain file"),
    Case("a folder", _instead("labels.txt", lambda p, o: p.mkdir()), False, "is missing"),
    Case("a version that is a file", lambda r, o: (shutil.rmtree(r), r.write_text("")), False,
         "not a directory"),
]  # fmt: skip


# The model.


def _model(change: Callable[[onnx.ModelProto], object]) -> Damage:
    def damage(release: Path, outer: Path) -> None:
        model = onnx.load_from_string(onnx_bytes())
        change(model)
        (release / "model.onnx").write_bytes(model.SerializeToString())

    return damage


UP = "../../../../../outside/weights.bin"
"""From a release in the store of a test to the weights outside of it."""


def _external(location: str = UP, name: str = "weights") -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[64, 10])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def _weights(location: str) -> Damage:
    def change(model: onnx.ModelProto) -> None:
        model.graph.initializer[0].CopyFrom(_external(location))

    return _model(change)


def _absolute(release: Path, outer: Path) -> None:
    _weights(str(outer / "weights.bin"))(release, outer)


def _beside(release: Path, outer: Path) -> None:
    shutil.copyfile(outer / "weights.bin", release / "weights.bin")
    _weights("weights.bin")(release, outer)


def _graph(initializers: list | None = None, nodes: list | None = None) -> onnx.GraphProto:
    output = helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)
    return helper.make_graph(nodes or [], "inner", [], [output], initializers or [])


def _node(model: onnx.ModelProto, *arguments: Any, **attributes: Any) -> None:
    model.graph.node.append(helper.make_node(*arguments, **attributes))


def _constant(model: onnx.ModelProto) -> None:
    _node(model, "Constant", [], ["unused"], value=_external())


def _branch(model: onnx.ModelProto) -> None:
    inner = _graph([_external(name="inner")])
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    _node(model, "If", ["yes"], ["unused"], then_branch=inner, else_branch=inner)


def _loop(model: onnx.ModelProto) -> None:
    constant = helper.make_node("Constant", [], ["inner"], value=_external(name="c"))
    body = _graph(nodes=[constant])
    body.input.append(helper.make_tensor_value_info("i", TensorProto.INT64, []))
    _node(model, "Loop", ["", ""], ["unused"], body=body)


def _sparse_weights(model: onnx.ModelProto) -> None:
    indices = numpy_helper.from_array(np.arange(640), "indices")
    sparse = onnx.SparseTensorProto(values=_external(name="w"), indices=indices, dims=[64, 10])
    model.graph.sparse_initializer.append(sparse)


def _function(model: onnx.ModelProto) -> None:
    nodes = [helper.make_node("Constant", [], ["y"], value=_external(name="c"))]
    opsets = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("own", "F", [], ["y"], nodes, opsets))


def _training(model: onnx.ModelProto) -> None:
    model.training_info.add().algorithm.CopyFrom(_graph([_external(name="inner")]))


def _several(model: onnx.ModelProto) -> None:
    _node(model, "Identity", ["image"], ["unused"])
    model.graph.node[-1].attribute.append(helper.make_attribute("t", [_external(), _external()]))


def _said_only(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL


def _custom(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("own.operators", 1))
    model.graph.node[3].domain = "own.operators"


def _input(kind: int, shape: list) -> Damage:
    value = helper.make_tensor_value_info("image", kind, shape)
    return _model(lambda model: model.graph.input[0].CopyFrom(value))


def _more(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1]))


def _outputs(model: onnx.ModelProto) -> None:
    value = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])
    model.graph.output.append(value)


def _optional(model: onnx.ModelProto) -> None:
    tensor = helper.make_tensor_type_proto(TensorProto.UINT8, ["batch", 8, 8, 1])
    value = helper.make_value_info("image", helper.make_optional_type_proto(tensor))
    model.graph.input[0].CopyFrom(value)
    _node(model, "OptionalGetElement", ["image"], ["given"])
    nodes = list(model.graph.node)
    nodes[0].input[0] = "given"
    del model.graph.node[:]
    model.graph.node.extend([nodes[-1], *nodes[:-1]])


def _huge(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].ClearField("raw_data")
    model.graph.initializer[0].dims[:] = [2**31, 2**31]


def _batch_of_one(model: onnx.ModelProto) -> None:
    shape = numpy_helper.from_array(np.array([1, 64]), "shape")
    model.graph.initializer.append(shape)
    model.graph.node[1].CopyFrom(helper.make_node("Reshape", ["float", "shape"], ["flat"]))


def _length(size: int) -> bytes:
    out = b""
    while size > 127:
        out, size = out + bytes([size & 127 | 128]), size >> 7
    return out + bytes([size])


def nested(depth: int) -> bytes:
    """A model with that many graphs in each other: protobuf's own library cannot write it."""
    graph = b""
    for _ in range(depth):
        for tag in (b"\x32", b"\x2a", b"\x0a"):  # graph of an attribute, of a node, of a graph
            graph = tag + _length(len(graph)) + graph
    return b"\x08\x08\x3a" + _length(len(graph)) + graph


_OUTSIDE = "model.onnx is not opened: a tensor of it lies in another file"
_SIGNATURE = "model.onnx takes .* its contract says"

MODELS = [
    Case("weights above", _weights(UP), True, _OUTSIDE),
    Case("weights anywhere", _absolute, True, _OUTSIDE),
    Case("weights beside", _beside, True, _OUTSIDE),
    Case("weights in memory", _weights("*/_ORT_MEM_ADDR_/*"), True, _OUTSIDE),
    Case("weights in a device", _weights("/dev/zero"), True, _OUTSIDE),
    Case("of a branch", _model(_branch), True, _OUTSIDE),
    Case("of a loop's constant", _model(_loop), True, _OUTSIDE),
    Case("of a constant", _model(_constant), True, _OUTSIDE),
    Case("of a sparse tensor", _model(_sparse_weights), True, _OUTSIDE),
    Case("of a function", _model(_function), True, _OUTSIDE),
    Case("of the training", _model(_training), True, _OUTSIDE),
    Case("of a list", _model(_several), True, _OUTSIDE),
    Case("said only", _model(_said_only), True, _OUTSIDE),
    Case("own operators", _model(_custom), True, "ONNX Runtime cannot load"),
    Case("takes floats", _input(TensorProto.FLOAT, ["batch", 8, 8, 1]), True, _SIGNATURE),
    Case("takes other sizes", _input(TensorProto.UINT8, ["batch", 4, 16, 1]), True, _SIGNATURE),
    Case("takes any size", _input(TensorProto.UINT8, ["batch", "h", "w", 1]), True, _SIGNATURE),
    Case("takes one image", _input(TensorProto.UINT8, [1, 8, 8, 1]), True, _SIGNATURE),
    Case("takes a flat row", _input(TensorProto.UINT8, ["batch", 64]), True, _SIGNATURE),
    Case("takes two", _model(_more), True, _SIGNATURE),
    Case("takes it or not", _model(_optional), True, "model.onnx"),
    Case("gives two", _model(_outputs), True, _SIGNATURE),
    Case("has huge weights", _model(_huge), True, "ONNX Runtime cannot load"),
    Case("fails on a batch", _model(_batch_of_one), True, "fails on the images|cannot load"),
    Case("empty", _write("model.onnx", b""), True, "model.onnx is not opened"),
    Case("cut", _write("model.onnx", lambda: onnx_bytes()[:-500]), True, "no ONNX model"),
    Case("no graph", _write("model.onnx", b"\x08\x08"), True, "it has no graph"),
    Case("text", _write("model.onnx", b"a model, I promise\n" * 99), True, "no ONNX model"),
    Case("graphs in graphs", _write("model.onnx", lambda: nested(1000)), True, "nested more than"),
    Case("gone", _instead("model.onnx", lambda p, o: None), True, "has no onnx file"),
    Case("wrong answers", _write("model.onnx", lambda: onnx_bytes(1.01)), True, "golden outputs"),
]  # fmt: skip


# What it must answer.


def _golden(**changes: Any) -> Damage:
    def damage(release: Path, outer: Path) -> None:
        with np.load(release / "golden.npz") as golden:
            arrays = dict(golden) | changes
        np.savez(release / "golden.npz", **{k: v for k, v in arrays.items() if v is not None})

    return damage


def _archive(members: dict[str, bytes], kept: bool = True) -> Damage:
    """Members of an archive as they are, in place of the good ones or beside them."""

    def damage(release: Path, outer: Path) -> None:
        path = release / "golden.npz"
        with zipfile.ZipFile(path) as archive:
            found = {name: archive.read(name) for name in archive.namelist()} if kept else {}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in (found | members).items():
                archive.writestr(name, data)

    return damage


def _npy(shape: str, kind: str = "|u1", data: bytes = b"") -> bytes:
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode() + data


def _one_array() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros((16, 8, 8, 1), np.uint8))
    return file.getvalue()


def _pickled() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([{"a": print}], dtype=object), allow_pickle=True)
    return file.getvalue()


_ARRAY = r"golden\.npz cannot be read"
_ANSWERS = np.zeros((100, 10), np.float32)

ANSWERS = [
    Case("no answers", _instead("golden.npz", lambda p, o: None), True, _ARRAY),
    Case("no archive", _write("golden.npz", b"junk"), True, _ARRAY),
    Case("one array", _write("golden.npz", _one_array), True, _ARRAY),
    Case("cut archive", _truncated_golden, True, _ARRAY),
    Case("no images", _golden(image=None), True, _ARRAY),
    Case("no probabilities", _golden(probabilities=None), True, _ARRAY),
    Case("pickled images", _archive({"image.npy": _pickled()}), True, _ARRAY),
    Case("pickled answers", _archive({"probabilities.npy": _pickled()}), True, _ARRAY),
    Case("a pickle", _archive({"image.npy": b"\x80\4]q\0."}), True, _ARRAY),
    Case("names above", _archive({"../../outside/x.npy": b""}), True, "has a member"),
    Case("other names", _archive({"/etc/cron.d/x": b""}), True, "has a member"),
    Case("many members", _archive({f"a{i}.npy": b"" for i in range(99)}), True, "too many members"),
    Case("announced images", _archive({"image.npy": _npy("(1000000000, 8, 8, 1)")}), True,
         "1000000000"),
    Case("huge images", _archive({"image.npy": _npy("(16, 99999999, 99999999, 1)")}), True, _ARRAY),
    Case("unpacks to more", _archive({"image.npy": _npy("(1, 8, 8, 1)", data=bytes(2**26))}), True,
         "other than 64 bytes"),
    Case("less than it says", _archive({"image.npy": _npy("(9, 8, 8, 1)", data=bytes(99))}), True,
         "other than 576 bytes"),
    Case("a hostile header", _archive({"image.npy": _npy("__import__('os')")}), True, _ARRAY),
    Case("a deep header", _archive({"image.npy": _npy("(" * 5000)}), True, _ARRAY),
    Case("other images", _golden(image=np.zeros((100, 9, 8, 1), np.uint8)), True, _ARRAY),
    Case("images of floats", _golden(image=np.zeros((100, 8, 8, 1), np.float32)), True, _ARRAY),
    Case("not one image", _golden(image=np.zeros((0, 8, 8, 1), np.uint8)), True, _ARRAY),
    Case("fewer answers", _golden(probabilities=_ANSWERS[:99]), True, _ARRAY),
    Case("other classes", _golden(probabilities=_ANSWERS[:, :9]), True, _ARRAY),
    Case("answers are text", _golden(probabilities=_ANSWERS.astype("U1")), True, _ARRAY),
    Case("answers are NaN", _golden(probabilities=_ANSWERS * np.nan), True, "golden outputs"),
    Case("answers are infinite", _golden(probabilities=_ANSWERS + np.inf), True, "golden outputs"),
    Case("wrong parity", _manifest(lambda m: m.update(parity=5)), False, "parity"),
    Case("parity in words", _manifest(
        lambda m: m.update(parity=[{"artifact": "onnx", "max_difference": "none"}])), False,
        "parity"),
]  # fmt: skip


# The contract.


def _contract(**changes: Any) -> Damage:
    return _write("contract.json", lambda: json.dumps(contract() | changes).encode())


def _spec(**changes: Any) -> Damage:
    return _contract(image_spec=contract()["image_spec"] | changes)


def _consistent(height: Any = 8, width: Any = 8, channels: Any = 1) -> Damage:
    return _contract(**contract(height, width, channels))


_CONTRACT = r"contract\.json"

CONTRACTS = [
    Case("no contract", _instead("contract.json", lambda p, o: None), True, _CONTRACT),
    Case("empty contract", _write("contract.json", b"{}"), True, "contract.json is incomplete"),
    Case("contract is a list", _write("contract.json", b"[]"), True, _CONTRACT),
    Case("deep contract", _write("contract.json", _DEEP), True, "nested too deep"),
    Case("contract of bytes", _write("contract.json", b"\xff\xfe"), True, _CONTRACT),
    Case("a large contract", lambda r, o: _sparse(r / "contract.json", 2**26), True, "more than"),
    Case("sides of 1e9", _consistent(10**9, 10**9), True, "more than"),
    Case("a side of 1e400", _consistent(10**400), True, "more than"),
    Case("no channels", _consistent(channels=0), True, "channels is 0"),
    Case("a negative side", _consistent(width=-8), True, "size is 8x-8"),
    Case("a fractional side", _consistent(height=8.0), True, "height of image_spec"),
    Case("a side in words", _consistent(width="8"), True, "width of image_spec"),
    Case("true channels", _consistent(channels=True), True, "channels of image_spec"),
    Case("huge margins", _spec(margin_height=10**9), True, "more than"),
    Case("an unknown fit", _spec(fit="squeeze"), True, "fit is 'squeeze'"),
    Case("no mean", _spec(mean=[float("nan")]), True, "mean and std"),
    Case("a mean in words", _spec(mean=["x"]), True, _CONTRACT),
    Case("a mean beyond floats", _spec(mean=[10**400]), True, _CONTRACT),
    Case("a spread of nothing", _spec(std=[0]), True, "mean and std"),
    Case("more than a spec", _spec(more=1), True, _CONTRACT),
    Case("no spec", _contract(image_spec=[8, 8, 1]), True, _CONTRACT),
    Case("another shape", _contract(input=contract(9)["input"]), True, "the input is"),
    Case("another type", _contract(input=contract()["input"] | {"dtype": "int8"}), True, "is int8"),
    Case("output of two", _contract(output=contract(labels="ab")["output"]), True, "the output is"),
    Case("another name", _contract(input=contract()["input"] | {"name": "picture"}), True,
         _SIGNATURE),
    Case("output of no name", _contract(output={"name": None}), True, "no text"),
    Case("no input", _contract(input=None), True, _CONTRACT),
    Case("no labels", _contract(**contract(labels=[])), True, "labels are no list"),
    Case("labels are a text", _contract(labels="0123456789"), True, "labels are no list"),
    Case("labels are numbers", _contract(labels=list(range(10))), True, "labels are not all text"),
    Case("long labels", _contract(labels=["a" * 1001] * 10), True, "labels are not all text"),
    Case("many labels", _contract(labels=["a"] * 10**6), True, "labels are no list"),
    Case("10 million labels", _write("contract.json",
         lambda: b'{"labels": [' + b'"a",' * 10**7 + b'""]}'), True, "more than"),
    Case("other labels.txt", _write("labels.txt", b"0\n1\n2\n3\n4\n5\n6\n7\n8\nten\n"), True,
         "not those in"),
    Case("fewer in labels.txt", _write("labels.txt", b"0\n1\n"), True, "not those in"),
]  # fmt: skip

CASES = [*FILES, *MODELS, *ANSWERS, *CONTRACTS]


def state(directory: Path) -> dict[str, tuple[int, int]]:
    """Sizes and times of everything in a folder, to see that nothing was written."""
    found = {}
    for path in sorted(directory.rglob("*")):
        with contextlib.suppress(FileNotFoundError):
            status = path.lstat()
            found[str(path)] = status.st_size, status.st_mtime_ns
    return found
