"""Silent faults in a graph rather than in its numbers."""

import dataclasses
import json
import shutil
import struct

import numpy as np

from components.networks.network import FILE
from export.export_formats import write_format
from serving.contract.release_files import FORMATS
from tests.helpers import artifact_files, small_nets
from tests.helpers.export_data import transform_graph
from tests.helpers.fault_site import Rng, Site


def _is_onnx(site: Site) -> bool:
    return FORMATS[site.artifact].runtime == "onnxruntime"


def without_softmax(site: Site, rng: Rng) -> str:
    """Logits come out under the name of probabilities."""
    if _is_onnx(site):
        import onnx

        model = onnx.load(site.path)
        (last,) = (node for node in model.graph.node if node.op_type == "Softmax")
        last.op_type = "Identity"
        del last.attribute[:]
        onnx.save(model, site.path)
    else:
        content = bytearray(site.path.read_bytes())
        _lead_around_softmax(artifact_files.tflite_model(content), content)
        site.path.write_bytes(content)
    return "softmax dropped"


def _lead_around_softmax(model, content: bytearray) -> None:
    """Whoever reads what the softmax gives reads what it takes."""
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    graph = model.Subgraphs(0)
    operators = [graph.Operators(index) for index in range(graph.OperatorsLength())]
    codes = [model.OperatorCodes(of.OpcodeIndex()).BuiltinCode() for of in operators]
    (softmax,) = (of for of, code in zip(operators, codes) if code == BuiltinOperator.SOFTMAX)
    taken, given = softmax.Inputs(0), softmax.Outputs(0)
    for readers in (graph.OutputsAsNumpy(), *(of.InputsAsNumpy() for of in operators)):
        readers[readers == given] = taken
    signature = model.SignatureDefs(0).Outputs(0)
    if signature.TensorIndex() == given:
        table = signature._tab
        struct.pack_into("<I", content, table.Pos + table.Offset(6), taken)


def other_opset(site: Site, rng: Rng) -> str:
    import onnx

    model = onnx.load(site.path)
    (entry,) = (entry for entry in model.opset_import if not entry.domain)
    entry.version = int(rng.choice([1, 2, 3, 999]))
    onnx.save(model, site.path)
    return f"opset {entry.version}"


def fixed_batch(site: Site, rng: Rng) -> str:
    if _is_onnx(site):
        import onnx

        model = onnx.load(site.path)
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = 1
        onnx.save(model, site.path)
    else:
        content = bytearray(site.path.read_bytes())
        graph = artifact_files.tflite_model(content).Subgraphs(0)
        for index in (graph.Inputs(0), graph.Outputs(0)):
            graph.Tensors(index).ShapeSignatureAsNumpy()[0] = 1
        site.path.write_bytes(content)
    return "batch dimension fixed to 1"


def shifted(site: Site, rng: Rng) -> str:
    """The image is moved by a few pixels behind the cast, zeros come in from the side. By so many
    that answers change: one pixel is less than these pictures are told apart by, and what of
    reduced precision is judged is which class comes first."""
    import onnx

    model = onnx.load(site.path)
    # PyTorch's own transposes first.
    first = next(i for i, node in enumerate(model.graph.node) if node.op_type == "Cast")
    cast, pixels = model.graph.node[first], int(rng.integers(4, 7))
    across = 2 if model.graph.node[0].op_type == "Cast" else 3
    pads = np.zeros(8, np.int64)
    pads[across], pads[4 + across] = pixels, -pixels
    given = cast.output[0]
    cast.output[0] = f"{given}_unmoved"
    model.graph.initializer.append(onnx.numpy_helper.from_array(pads, "pads"))
    moved = onnx.helper.make_node("Pad", [cast.output[0], "pads"], [given])
    model.graph.node.insert(first + 1, moved)
    onnx.save(model, site.path)
    return f"the image shifted by {pixels} pixels"


def not_normalised(site: Site, rng: Rng) -> str:
    """Pixels from 0 to 255 reach the first convolution as they are."""
    match site.artifact:
        case "safetensors":
            network = json.loads(_metadata(site)["network"])
            network["image_spec"] |= {"mean": [], "std": []}
            metadata = {"network": json.dumps(network)}
            artifact_files.rewrite_safetensors(site.path, {}, metadata)
        case "keras":
            config = json.loads(artifact_files.unzip(site.path, "config.json"))
            (layer,) = _rescaling(config)
            layer["config"] |= {"scale": 1.0, "offset": 0.0}
            artifact_files.rezip(site.path, {"config.json": json.dumps(config).encode()})
        case "saved_model" | "tflite" | "tflite_rgb":
            spec = dataclasses.replace(site.made.network.spec, mean=(), std=())
            _make_again(site, spec=spec)
        case _:
            _by_value(site)
    return "normalisation dropped"


def _metadata(site: Site) -> dict[str, str]:
    from export.formats.safetensors_file import read_metadata

    return read_metadata(site.path)


def _rescaling(config):
    """The layer's configuration, however deep it lies."""
    if isinstance(config, dict):
        if config.get("class_name") == "Rescaling":
            yield config
        config = list(config.values())
    for value in config if isinstance(config, list) else ():
        yield from _rescaling(value)


def _by_value(site: Site) -> None:
    spec = site.made.network.spec

    def neutral(name: str, array: np.ndarray) -> np.ndarray | None:
        if array.size == spec.channels and array.dtype.kind == "f":
            for value, wanted in ((0, spec.offset), (1, spec.scale)):
                if np.allclose(array.ravel(), wanted, rtol=2e-3):
                    return np.full_like(array, value)
        return None

    assert site.change(neutral) == 2


def other_crop(site: Site, rng: Rng) -> str:
    """`serving_bytes` prepares images for a larger size, of which it then sees the centre."""
    margin = int(rng.integers(2, 6))
    spec = dataclasses.replace(site.made.network.spec, margin_height=margin, margin_width=margin)
    graph = transform_graph(site.made.directory / "other_transform", spec)
    _make_again(site, transform=graph)
    return f"a transform graph with margins of {margin} pixels"


def _make_again(site: Site, spec=None, transform=None) -> None:
    """The same artifact out of an altered model or transform, under the contract of the clean."""
    made = site.made
    if spec is not None:
        altered = made.directory / "altered"
        shutil.copytree(made.model, altered / "model")
        description = json.loads((altered / "model" / FILE).read_text())
        description["image_spec"] = spec.to_dict()
        (altered / "model" / FILE).write_text(json.dumps(description))
        made = made.moved(altered)
    model = small_nets.opened(made, site.made.contract, transform)
    scratch = site.made.directory / "made_again"
    scratch.mkdir()
    path = write_format(model, site.artifact, scratch)
    if path.is_dir():
        shutil.rmtree(site.path)
    path.replace(site.path)
