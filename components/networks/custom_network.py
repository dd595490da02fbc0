"""Custom networks: `model.architecture=module:function`.

The function takes the number of classes and returns an `Architecture`, which both frameworks build
like any other, or `Builders`, of which only those frameworks are trained that it has one for. The
module is looked for in the current directory too. Import frameworks inside of the builders: each
framework runs in a process of its own, and some cannot share one.
"""

import dataclasses
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from components.base.frameworks import FRAMEWORKS
from components.networks.description import Architecture, Output, Placed, Shape


@dataclasses.dataclass(frozen=True)
class Builders:
    """A Keras builder, a PyTorch builder, or both.

    Each is called with the images' shape (height, width, channels) and the number of classes, and
    returns a `keras.Model` or a `torch.nn.Module` that takes float32 images on a 0-to-255 scale,
    (N, H, W, C) in Keras and (N, C, H, W) in PyTorch, and gives logits (N, classes).
    """

    keras: Callable[[Shape, int], Any] | None = None
    torch: Callable[[Shape, int], Any] | None = None


class CustomNetwork(BaseModel):
    """A network that builders make, in the place of an `Architecture`.

    `network.json` keeps the reference: whoever loads the model needs the module too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    reference: str
    classes: int
    frameworks: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.reference

    @property
    def output(self) -> Output:
        return "logits"

    @property
    def units(self) -> int:
        return self.classes

    @property
    def backbone(self) -> None:
        """Its weights begin as its builders make them."""
        return None

    def placed(self, shape: Shape) -> tuple[Placed, ...]:
        """Nothing: its layers are known only to the builders."""
        del shape
        return ()

    def build(self, framework: str, shape: Shape) -> Any:
        """The builder's network. Raises ValueError when there is no builder, or it fails."""
        builder = getattr(_called(self.reference, self.classes), framework, None)
        if builder is None:
            raise ValueError(f"{self.reference} gives no builder for {framework}, expected one.")
        return _guarded(f"{self.reference}'s {framework} builder", builder, shape, self.classes)


AnyArchitecture = Architecture | CustomNetwork
"""Layers that both frameworks build, or what the user's builders make."""


def frameworks_of(architecture: AnyArchitecture) -> tuple[str, ...]:
    """Those that it can be built in: both, but for a custom network with one builder."""
    return architecture.frameworks if isinstance(architecture, CustomNetwork) else FRAMEWORKS


def custom_architecture(reference: str, classes: int) -> AnyArchitecture:
    """What the user's function makes for that many classes.

    Raises ValueError, naming what is wrong, when there is none or it returns something else.
    """
    made = _called(reference, classes)
    if isinstance(made, Architecture):
        return made
    given = tuple(f.name for f in dataclasses.fields(made) if callable(getattr(made, f.name)))
    if not given:
        raise ValueError(f"{reference} returned no builder at all: expected keras, torch or both.")
    return CustomNetwork(reference=reference, classes=classes, frameworks=given)


def _called(reference: str, classes: int) -> Architecture | Builders:
    made = _guarded(reference, function_of(reference), classes)
    if not isinstance(made, (Architecture, Builders)):
        raise ValueError(
            f"{reference} returned {type(made).__name__}, expected an Architecture or Builders of "
            "components.networks.architectures."
        )
    return made


def function_of(reference: str) -> Callable:
    """The function that `module:function` names. Raises ValueError when there is none."""
    module, _, name = reference.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    importlib.invalidate_caches()
    found = _guarded(f"the import of {module!r} for {reference}", importlib.import_module, module)
    if not callable(function := getattr(found, name, None)):
        raise ValueError(
            f"{found.__file__} has no function {name!r}: expected one that takes the number of "
            "classes and returns an Architecture or Builders."
        )
    return function


def _guarded(what: str, function: Callable, *arguments: Any) -> Any:
    """The user's code, whatever it raises as a ValueError that says where."""
    try:
        return function(*arguments)
    except Exception as error:
        raise ValueError(f"{what} failed: {type(error).__name__}: {error}") from error
