"""`python -m pipeline summary`: the frameworks' networks, layer by layer, side by side.

Each framework builds its network in a process of its own and counts what it built; the description
adds the multiply-accumulates.
"""

import concurrent.futures
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from components.base.process import HOURS, run_module
from components.base.refusal import ConfigError
from components.networks import built_layers
from components.networks.architectures import architecture_of
from components.networks.built_layers import BuiltLayer, SummaryArgs
from components.networks.custom_network import CustomNetwork
from components.networks.description import Architecture, Placed, operations
from components.networks.layers import AveragePool, ChannelDropout, Convolution, Dropout, MaxPool
from components.networks.network import Network
from components.sources.open_source import open_source
from components.training.trained import trained_frameworks
from pipeline.configuration.config import RunConfig
from pipeline.configuration.configure import configure
from pipeline.configuration.overrides import parse_overrides
from pipeline.configuration.presets import PRESETS
from pipeline.outcome.terminal import Terminal
from serving.contract.image_spec import ImageSpec

WIDTH = 100
_TITLES = {"keras": "Keras", "torch": "PyTorch"}

# Framework to the layers it built, by name.
Built = dict[str, dict[str, BuiltLayer]]


def summarise(
    preset: str, arguments: list[str], classes: int | None, console: Console | None = None
) -> None:
    """Prints the table. `classes` is how many to build the network for, see `guess_classes`.

    Raises ConfigError and DataRefused as a run does, and StepFailed when a framework fails.
    """
    overrides = parse_overrides(arguments)
    config = configure(preset, overrides)
    known = preset in PRESETS and "data.source" not in overrides
    network = network_of(config, classes or guess_classes(config, known))
    out = console or Console()
    if not out.is_terminal:
        out.width = WIDTH
    with tempfile.TemporaryDirectory(prefix="darkroom-") as work:
        with Terminal(Path(work) / "log.txt") as terminal:
            terminal.waiting("building the networks")
            built = build(
                network, trained_frameworks(config.train, network.architecture), Path(work)
            )
    out.print(heading(network), highlight=False)
    if isinstance(network.architecture, CustomNetwork):
        for framework, layers in built.items():
            out.print(custom_table(framework, list(layers.values())))
    else:
        out.print(table(network, built))


def network_of(config: RunConfig, classes: int) -> Network:
    """The configured network for that many classes. Raises ConfigError when it cannot be."""
    image = ImageSpec(**config.image.model_dump())
    labels = tuple(map(str, range(classes)))
    try:
        architecture = architecture_of(config.model.architecture, classes)
        frameworks = trained_frameworks(config.train, architecture)
        return Network(frameworks[0], architecture, image, labels)
    except ValueError as error:
        raise ConfigError(f"Bad value for --classes: {error}") from error


def guess_classes(config: RunConfig, known: bool) -> int:
    """How many classes there are: a preset's own are `known` without its data, being 2 where one
    unit is enough and 10 elsewhere; any other source is asked."""
    if not known:
        return len(open_source(config.data).labels)
    return 2 if architecture_of(config.model.architecture, 2).units == 1 else 10


def build(network: Network, frameworks: tuple[str, ...], work: Path) -> Built:
    """What each framework makes of the network; all at once, as their start takes the time."""

    def layers(framework: str) -> dict[str, BuiltLayer]:
        directory, output = work / framework, work / f"{framework}.json"
        network.with_framework(framework).save(directory)
        arguments = SummaryArgs(network=directory, output=output)
        run_module(f"components.networks.{framework}_summary", arguments, work, seconds=HOURS)
        return {layer.name: layer for layer in built_layers.read(output)}

    with concurrent.futures.ThreadPoolExecutor() as pool:
        return dict(zip(frameworks, pool.map(layers, frameworks)))


def heading(network: Network) -> Text:
    architecture, shape = network.architecture, network.spec.shape
    gives = f"{architecture.units} {architecture.output.replace('_', ' ')}"
    if architecture.units == 1:
        gives = "1 logit" if architecture.output == "logits" else "1 probability"
    name = (f"Network {architecture.name}", "bold")
    return Text.assemble(
        name, f" on {_shape(shape)} images of {len(network.labels)} classes, giving {gives}"
    )


def table(network: Network, built: Built) -> Table:
    """Shapes are without the batch: height x width x channels in Keras's columns, channels first
    in PyTorch's. Not for a `CustomNetwork`, see `custom_table`."""
    architecture, shape = network.architecture, network.spec.shape
    assert isinstance(architecture, Architecture)
    found = Table(caption="Shapes without the batch; MACs: multiply-accumulates per image")
    found.add_column("layer")
    for framework in built:
        found.add_column(_TITLES[framework], justify="right")
        found.add_column("parameters", justify="right")
    found.add_column("MACs", justify="right")
    height, width, channels = shape
    own_order = {"keras": shape, "torch": (channels, height, width)}
    images = [cell for framework in built for cell in (_shape(own_order[framework]), "")]
    found.add_row("image", *images, "")
    for placed in in_order(architecture, shape):
        own = [layers[placed.name] for layers in built.values()]
        cells = [cell for layer in own for cell in (_shape(layer.shape), _count(_total(layer)))]
        found.add_row(_title(placed), *cells, _count(placed.operations))
    found.add_section()
    for name, count in (
        ("trainable", lambda layer: layer.trainable),
        ("moving statistics", lambda layer: layer.statistics),
        ("in all", _total),
    ):
        sums = [sum(map(count, layers.values())) for layers in built.values()]
        last = operations(architecture, shape) if name == "in all" else 0
        cells = [cell for total in sums for cell in ("", f"{total:,}")]
        style = "bold" if name == "in all" else None
        found.add_row(name, *cells, _count(last), style=style)
    return found


def custom_table(framework: str, layers: list[BuiltLayer]) -> Table:
    """Of a custom network, whose layers need not be the other framework's."""
    found = Table(caption="Shapes without the batch")
    found.add_column("layer")
    found.add_column(_TITLES[framework], justify="right")
    found.add_column("parameters", justify="right")
    for layer in layers:
        found.add_row(layer.name, _shape(layer.shape), _count(_total(layer)))
    found.add_section()
    found.add_row("trainable", "", f"{sum(layer.trainable for layer in layers):,}")
    found.add_row("others", "", f"{sum(layer.statistics for layer in layers):,}")
    found.add_row("in all", "", f"{sum(map(_total, layers)):,}", style="bold")
    return found


def in_order(architecture: Architecture, shape: tuple[int, ...]) -> list[Placed]:
    """As `all_placed`, but each block in front of the layers inside of it."""

    def nested(placed: Placed) -> list[Placed]:
        inside = [*placed.inner, *filter(None, [placed.projection])]
        return [placed, *(deeper for layer in inside for deeper in nested(layer))]

    return [layer for placed in architecture.placed(shape) for layer in nested(placed)]


def _title(placed: Placed) -> str:
    """Its name, indented inside of a block, and what is not told by shapes: kernel, stride, padding
    and rates."""
    *outer, name = placed.name.split(".")
    layer, details = placed.layer, ""
    match layer:
        case Convolution():
            details = f" {layer.kernel}x{layer.kernel}"
            details += f" /{layer.stride}" if layer.stride > 1 else ""
            # A single pixel needs no padding.
            details += f" {layer.padding}" if layer.padding != "same" and layer.kernel > 1 else ""
        case MaxPool() | AveragePool():
            details = f" {layer.kernel}x{layer.kernel}"
            details += f" /{layer.step}" if layer.step != layer.kernel else ""
        case Dropout() | ChannelDropout():
            details = f" {layer.rate:g}"
    return "  " * len(outer) + name + details


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _total(layer: BuiltLayer) -> int:
    return layer.trainable + layer.statistics


def _count(number: int) -> str:
    return f"{number:,}" if number else ""
