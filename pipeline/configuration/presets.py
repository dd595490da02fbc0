"""Presets: each a function that returns the whole configuration of one run.

A variant copies one and changes two or three fields; the command line overrides with `key=value`.
Gates lie a point or two below what a recipe was measured to reach (benchmarks/README.md); those of
`cifar10_fast` and `celeba_smile` are guesses.
"""

from collections.abc import Callable
from typing import Any

from components.augmentation import policy
from components.augmentation.policy import AugmentConfig
from components.data.config import ImageConfig
from components.gates.model_gates import GatesConfig
from components.networks.config import ModelConfig
from components.sources.config import DataConfig
from components.training.config import TrainConfig
from pipeline.configuration.config import RunConfig

TUTORIAL_POLICIES = AugmentConfig(
    keras=(
        policy.Flip(),
        policy.Rotate(fraction=0.1),
        policy.Zoom(fraction=0.1),
        policy.Translate(fraction=0.1),
    ),
    torch=(
        policy.Flip(),
        policy.PadCrop(padding=4),
        policy.Brightness(fraction=0.2),
        policy.Contrast(fraction=0.2),
    ),
)
"""What each framework's CIFAR-10 tutorial does to its images."""

_MUON = {
    "optimizer": "muon", "learning_rate": 0.01, "schedule": "one_cycle", "min_learning_rate": 0,
    "averaging": 0.99,
}  # fmt: skip


def digits() -> RunConfig:
    """scikit-learn's 1,797 handwritten digits, 8x8 grey; nothing to download.

    python -m pipeline run digits
    """
    gentle = (
        policy.Translate(fraction=0.08),
        policy.Rotate(fraction=0.03),
        policy.Zoom(fraction=0.1),
    )
    return RunConfig(
        name="digits",
        data=DataConfig(source="digits"),
        image=ImageConfig(height=8, width=8, channels=1),
        model=ModelConfig(architecture="digits"),
        augment=AugmentConfig(keras=gentle, torch=gentle),
        train=TrainConfig(epochs=30, batch_size=32),
        gates=GatesConfig(min_accuracy=0.97),
    )


def mnist() -> RunConfig:
    """MNIST, 70,000 handwritten digits, 28x28 grey, through TFDS, with the tutorial network.

    python -m pipeline run mnist [data.dir=PATH]
    """
    gentle = (policy.Translate(fraction=0.05), policy.Rotate(fraction=0.02))
    return RunConfig(
        name="mnist",
        data=DataConfig(source="tfds:mnist"),
        image=ImageConfig(height=28, width=28, channels=1),
        model=ModelConfig(architecture="mnist"),
        augment=AugmentConfig(keras=gentle, torch=gentle),
        train=TrainConfig(
            epochs=10,
            batch_size=128,
            # Muon would multiply matrices of the dense layer's size in every step.
            **_MUON | {"optimizer": "adam", "learning_rate": 2e-3},
        ),
        gates=GatesConfig(min_accuracy=0.985),
    )


def mnist_tiny() -> RunConfig:
    """MNIST with a network of 1,198 parameters.

    python -m pipeline run mnist_tiny [data.dir=PATH]
    """
    return RunConfig(
        name="mnist_tiny",
        data=DataConfig(source="tfds:mnist"),
        image=ImageConfig(height=28, width=28, channels=1),
        model=ModelConfig(architecture="mnist_tiny"),
        train=TrainConfig(epochs=10, batch_size=128, **_MUON),
        gates=GatesConfig(min_accuracy=0.965),
    )


def cifar10() -> RunConfig:
    """CIFAR-10, 60,000 photographs, 32x32 RGB, through TFDS, with the tutorial network.

    python -m pipeline run cifar10 [data.dir=PATH]
    """
    augmented = (policy.Flip(), policy.PadCrop(padding=4, border="reflect"))
    return RunConfig(
        name="cifar10",
        data=DataConfig(source="tfds:cifar10", val_fraction=0.04),
        image=ImageConfig(height=32, width=32, channels=3),
        model=ModelConfig(architecture="cifar10"),
        augment=AugmentConfig(keras=augmented, torch=augmented),
        train=TrainConfig(
            epochs=50,
            batch_size=128,
            **_MUON | {"learning_rate": 0.008, "weight_decay": 0.01, "averaging": 0.995},
        ),
        gates=GatesConfig(min_accuracy=0.84),
    )


def cifar10_small() -> RunConfig:
    """CIFAR-10 with the tutorial's smaller network, 75,562 trainable parameters.

    python -m pipeline run cifar10_small [data.dir=PATH]
    """
    config = cifar10()
    # It underfits rather than overfits.
    augmented = (policy.Flip(), policy.PadCrop(padding=1))
    train = config.train.model_copy(update={"learning_rate": 0.02, "progressive_resizing": 0.5})
    return config.model_copy(
        update={
            "name": "cifar10_small",
            "model": ModelConfig(architecture="cifar10_small"),
            "augment": AugmentConfig(keras=augmented, torch=augmented),
            "train": train,
            "gates": GatesConfig(min_accuracy=0.76),
        }
    )


def cifar10_fast() -> RunConfig:
    """CIFAR-10 with a residual network, for an NVIDIA GPU.

    python -m pipeline run cifar10_fast [data.dir=PATH]
    """
    augmented = (policy.Flip(), policy.PadCrop(padding=4), policy.Cutout(fraction=0.25))
    return RunConfig(
        name="cifar10_fast",
        data=DataConfig(source="tfds:cifar10"),
        image=ImageConfig(height=32, width=32, channels=3),
        model=ModelConfig(architecture="cifar10_fast"),
        augment=AugmentConfig(keras=augmented, torch=augmented),
        train=TrainConfig(
            epochs=24,
            batch_size=512,
            optimizer="sgd",
            learning_rate=0.1,
            schedule="one_cycle",
            label_smoothing=0.1,
            l2=2.5e-4,
        ),
        gates=GatesConfig(min_accuracy=0.9),
    )


def smiles_v1() -> RunConfig:
    """Smiling or not: 13,165 faces in an archive, 64x64, two classes with one logit.

    python -m pipeline run smiles_v1 data.source=tar:PATH/smiles.tar

    `data.source=folder:PATH` or `tar:PATH` names your copy, with a folder `smiling` and a folder
    `not_smiling`; without it, `smiles.tar` is expected in the current directory.
    """
    flipped = (policy.Flip(), policy.Translate(fraction=0.05))
    return RunConfig(
        name="smiles_v1",
        data=DataConfig(source="tar:smiles.tar"),
        image=ImageConfig(height=64, width=64, channels=3),
        model=ModelConfig(architecture="smiles_v1"),
        augment=AugmentConfig(keras=flipped, torch=flipped),
        train=TrainConfig(epochs=12, batch_size=64, loss="binary_cross_entropy", **_MUON),
        gates=GatesConfig(min_accuracy=0.915),
    )


def smiles_v2() -> RunConfig:
    """`smiles_v1` with batch norm and dropout.

    python -m pipeline run smiles_v2 data.source=tar:PATH/smiles.tar
    """
    return _smiles("smiles_v2")


def smiles_v3() -> RunConfig:
    """`smiles_v1` with twice the convolutions and a dense head.

    python -m pipeline run smiles_v3 data.source=tar:PATH/smiles.tar
    """
    return _smiles("smiles_v3", learning_rate=0.004)  # at 0.01 it falls apart


def smiles_v4() -> RunConfig:
    """`smiles_v1` with residual blocks.

    python -m pipeline run smiles_v4 data.source=tar:PATH/smiles.tar
    """
    return _smiles("smiles_v4", learning_rate=0.004)


def _smiles(name: str, **recipe: Any) -> RunConfig:
    config = smiles_v1()
    train = config.train.model_copy(update=recipe)
    model = ModelConfig(architecture=name)
    return config.model_copy(update={"name": name, "model": model, "train": train})


def celeba_smile() -> RunConfig:
    """CelebA's attribute Smiling, 202,599 portraits, through TFDS, with `smiles_v1`'s network.

    python -m pipeline run celeba_smile [data.dir=PATH]

    The portraits of 218x178 are packed as 78x64; training crops 64x64 of that (178x178 of the
    original) at a random height, everything else crops the middle. Not measured: the set could
    not be downloaded where this was written.
    """
    return RunConfig(
        name="celeba_smile",
        data=DataConfig(source="tfds:celeb_a", label="attributes/Smiling"),
        image=ImageConfig(height=64, width=64, channels=3, margin_height=14),
        model=ModelConfig(architecture="smiles_v1"),
        augment=AugmentConfig(keras=(policy.Flip(),), torch=(policy.Flip(),)),
        train=TrainConfig(epochs=10, batch_size=128, loss="binary_cross_entropy"),
        gates=GatesConfig(min_accuracy=0.85),
    )


PRESETS: dict[str, Callable[[], RunConfig]] = {
    "digits": digits,
    "mnist": mnist,
    "mnist_tiny": mnist_tiny,
    "cifar10": cifar10,
    "cifar10_small": cifar10_small,
    "cifar10_fast": cifar10_fast,
    "smiles_v1": smiles_v1,
    "smiles_v2": smiles_v2,
    "smiles_v3": smiles_v3,
    "smiles_v4": smiles_v4,
    "celeba_smile": celeba_smile,
}
