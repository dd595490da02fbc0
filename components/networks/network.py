"""What must be known to rebuild a trained network: `network.json` in every model directory.

<directory>/network.json          framework, architecture (its layers, or the reference to the
                                  user's builders), image_spec, labels
<directory>/model.weights.h5      Keras's weights     (keras_model.py)
<directory>/model.safetensors     PyTorch's weights   (torch_model.py)
"""

import dataclasses
import json
from pathlib import Path

from pydantic import ValidationError

from components.base import atomic
from components.base.frameworks import FRAMEWORKS
from components.networks.custom_network import AnyArchitecture, CustomNetwork
from components.networks.description import Architecture, BackbonePart, Placed
from components.networks.layers import Activation, BatchNorm
from serving.contract.image_spec import ImageSpec

FILE = "network.json"


@dataclasses.dataclass(frozen=True)
class Network:
    """A network's framework, layers, input and class names; its weights lie beside it.

    Raises ValueError when the parts do not fit each other.
    """

    framework: str
    architecture: AnyArchitecture
    spec: ImageSpec
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(self.labels))
        if self.framework not in FRAMEWORKS:
            raise ValueError(f"framework is {self.framework!r}, expected one of {FRAMEWORKS}.")
        if isinstance(self.architecture, CustomNetwork):
            _check_custom(self.architecture, self.framework, len(self.labels))
        else:
            _check_units(self.architecture, len(self.labels))
        self.architecture.placed(self.spec.shape)

    @property
    def backbone(self) -> BackbonePart:
        """What of it begins with pretrained weights. Raises ValueError where nothing does."""
        part = self.architecture.backbone
        if part is None:
            raise ValueError(
                f"architecture {self.architecture.name!r} has no pretrained backbone, expected one "
                "that has."
            )
        return part

    @property
    def backbone_layers(self) -> tuple[Placed, ...]:
        """From normalised images to features. Raises ValueError where it has no backbone."""
        return self.architecture.placed(self.spec.shape)[: self.backbone.layers]

    @property
    def head_layers(self) -> tuple[Placed, ...]:
        """From features to answers. Raises ValueError where it has no backbone."""
        return self.architecture.placed(self.spec.shape)[self.backbone.layers :]

    def frozen_layers(self, trained: int) -> list[str]:
        """Names of the layers that stay as they are while the last `trained` of the backbone's
        layers are trained with the head: those before them, and every batch norm of the backbone,
        whose statistics are of more images than there will be here."""
        kept = len(self.backbone_layers) - trained
        return [
            layer.name
            for number, placed in enumerate(self.backbone_layers)
            for layer in placed.all()
            if number < kept or isinstance(layer.layer, BatchNorm)
        ]

    def with_framework(self, name: str) -> "Network":
        """The same network for the other framework."""
        return dataclasses.replace(self, framework=name)

    def to_json(self) -> str:
        """The content of `network.json`."""
        values = {
            "framework": self.framework,
            "architecture": self.architecture.model_dump(mode="json"),
            "image_spec": self.spec.to_dict(),
            "labels": list(self.labels),
        }
        return json.dumps(values, indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Network":
        """What `to_json` gave. Raises KeyError, TypeError or ValueError when it is not that."""
        values = json.loads(text)
        custom = "reference" in values["architecture"]
        return cls(
            framework=values["framework"],
            architecture=(CustomNetwork if custom else Architecture).model_validate(
                values["architecture"]
            ),
            spec=ImageSpec.from_dict(values["image_spec"]),
            labels=tuple(values["labels"]),
        )

    def save(self, directory: str | Path) -> None:
        """Writes `network.json`; the directory is made if need be."""
        atomic.write(Path(directory) / FILE, self.to_json() + "\n")

    @classmethod
    def load(cls, directory: str | Path) -> "Network":
        """Reads `network.json`. Raises ValueError when it is missing or not one."""
        path = Path(directory) / FILE
        try:
            return cls.from_json(path.read_text())
        except FileNotFoundError as error:
            raise ValueError(f"{path} is missing: expected a trained model's directory.") from error
        except (KeyError, TypeError, ValidationError, json.JSONDecodeError) as error:
            raise ValueError(f"{path} does not describe a network: {error!r}.") from error


def _check_custom(architecture: CustomNetwork, framework: str, classes: int) -> None:
    if framework not in architecture.frameworks:
        raise ValueError(
            f"{architecture.reference} gives a builder for {', '.join(architecture.frameworks)}, "
            f"expected one for {framework}."
        )
    if architecture.classes != classes:
        raise ValueError(
            f"{architecture.reference} was asked for {architecture.classes} classes, expected the "
            f"{classes} of the labels."
        )


def _check_units(architecture: Architecture, classes: int) -> None:
    units, last = architecture.units, architecture.layers[-1]
    if units == 1 and classes != 2:
        raise ValueError(
            f"architecture {architecture.name!r} gives one number, the second class's of two, and "
            f"there are {classes} classes: expected one unit for each, use another architecture."
        )
    if units not in (1, classes):
        raise ValueError(
            f"architecture {architecture.name!r} ends with {units} units, expected one unit for "
            f"each of the {classes} classes."
        )
    if architecture.output == "logits" or not isinstance(last, Activation):
        return
    if (units == 1) != (last.function == "sigmoid"):
        raise ValueError(
            f"architecture {architecture.name!r} makes probabilities of {units} units by "
            f"{last.function}, expected sigmoid of one unit, softmax or log_softmax of several."
        )


def weights_file(directory: str | Path, name: str) -> Path:
    """The path of the weights `name` in a model directory. Raises ValueError when missing."""
    path = Path(directory) / name
    if not path.is_file():
        raise ValueError(f"{path} is missing: expected the trained weights; train the model again.")
    return path
