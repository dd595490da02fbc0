"""The stages of a training, without a framework: what learns from what, for how long.

A network from scratch has one. One with a pretrained backbone has `head`, on the features that the
frozen backbone makes of the images, and, where `finetune_epochs` are asked for, `finetune`: the
head and the backbone's last layers on the images themselves, from the weights of the stage before.
"""

import dataclasses

import numpy as np

from components.augmentation.plan import read_index, read_policy, training_split
from components.augmentation.policy import Policy
from components.data.arrays import ImageArrays, Split, open_split
from components.features.feature_arrays import FeatureArrays, FeatureSplit
from components.training.arguments import TrainArgs
from components.training.config import TrainConfig
from serving.contract.image_spec import ImageSpec

STAGES = HEAD, FINETUNE, ONLY = "head", "finetune", ""
"""Their names."""


@dataclasses.dataclass(frozen=True)
class Stage:
    """`spec` and `policy` are those of images; a stage on features has none.

    `index` holds the rows of `training` to learn from; those from `originals` on are augmented
    already.
    """

    name: str
    config: TrainConfig
    spec: ImageSpec | None
    policy: Policy
    training: Split | FeatureSplit
    originals: int
    index: np.ndarray
    validation: Split | FeatureSplit


def stages(args: TrainArgs, arrays: ImageArrays, framework: str) -> list[Stage]:
    """Those of a training, in order; that of a network from scratch is the only one.

    Raises ValueError when the plan or the features are missing, or are not of these arrays.
    """
    config = args.train
    if args.features is None:
        return [_on_images(ONLY, config, args, arrays, framework)]
    features = FeatureArrays(args.features)
    for name in ("train", "val"):
        split, found = open_split(arrays, name), features.split(name)
        if not np.array_equal(split.labels, found.labels):
            raise ValueError(
                f"{args.features} holds features of {len(found)} images that are not those of the "
                f"split {name} ({len(split)} images): run the features step again."
            )
    training, index = features.training(read_index(args.plan, len(features.split("train"))))
    head = Stage(
        HEAD, config, None, (), training, len(training), index, features.split("val")
    )  # fmt: skip
    if not config.finetune_epochs:
        return [head]
    return [head, _on_images(FINETUNE, _finetuning(config), args, arrays, framework)]


def settled(args: TrainArgs) -> TrainConfig:
    """The recipe, in float32 where only a head is trained, which costs nothing."""
    if args.features is None or args.train.finetune_epochs:
        return args.train
    return args.train.model_copy(update={"precision": "float32"})


def _on_images(
    name: str, config: TrainConfig, args: TrainArgs, arrays: ImageArrays, framework: str
) -> Stage:
    training, originals = training_split(arrays, args.plan, framework)
    index, policy = read_index(args.plan, len(training)), read_policy(args.plan, framework)
    validation = open_split(arrays, "val")
    return Stage(name, config, arrays.spec, policy, training, originals, index, validation)


def _finetuning(config: TrainConfig) -> TrainConfig:
    rate = config.finetune_learning_rate
    return config.model_copy(
        update={
            "epochs": config.finetune_epochs,
            "learning_rate": rate,
            "min_learning_rate": min(config.min_learning_rate, rate),
        }
    )
