"""What both trainers share, without a framework: arguments, the network, batches and seeds.

The record of a training, on disk and on the screen, is `training_record.py`.
"""

import hashlib
import json
from pathlib import Path

from components.augmentation.plan import COPIES
from components.base.commands import Arguments
from components.data.arrays import ImageArrays
from components.networks.description import check_loss
from components.networks.named_network import network_of
from components.networks.network import Network
from components.training.checkpoint import Checkpoints
from components.training.config import TrainConfig


class TrainArgs(Arguments):
    """Arguments of `train_keras` and `train_torch`."""

    arrays: Path
    """ImageArrays directory; only its splits `train` and `val` are read."""
    plan: Path
    """The augment step's directory, see components/augmentation/augment.py."""
    architecture: str
    """A name in `components/networks/architectures.py`, or `module:function` of the user's."""
    features: Path | None = None
    """Features directory of an architecture with a pretrained backbone, see components/features."""
    train: TrainConfig
    model_dir: Path
    """Where the trained model goes: `network.json` and the weights."""
    run_dir: Path
    """Where the record goes: `history.json`, `result.json`, `tensorboard/`."""
    checkpoints: Path | None = None
    """Where an interrupted training is resumed from (default: `checkpoints/` in `run_dir`)."""
    code: str = ""
    """Fingerprint of the code: a checkpoint of other code is not resumed."""

    @property
    def checkpoint_directory(self) -> Path:
        return self.checkpoints or self.run_dir / "checkpoints"


def network_for(args: TrainArgs, arrays: ImageArrays, framework: str) -> Network:
    """The network to train. Raises ValueError for an unknown architecture, too small images, or a
    loss that does not fit the network's output."""
    network = network_of(args.architecture, arrays.spec, tuple(arrays.labels), framework)
    check_loss(network.architecture, args.train.loss)
    return network


def checkpoints_of(
    args: TrainArgs, network: Network, arrays: ImageArrays, stage: str
) -> Checkpoints:
    """Those of a stage of the training (stages.py), each in a folder of its own."""
    found = identity(args, network, arrays)
    return Checkpoints(args.checkpoint_directory / stage, f"{found} {stage}".strip())


def identity(args: TrainArgs, network: Network, arrays: ImageArrays) -> str:
    """A digest of all that a training follows from: its checkpoints belong to nothing else.

    Images are told by the sizes and times of their files.
    """
    digest = hashlib.sha256()
    described = {
        "framework": network.framework,
        "architecture": network.architecture.model_dump(mode="json"),
        "image_spec": network.spec.to_dict(),
        "labels": network.labels,
        "train": args.train.model_dump(mode="json", exclude={"checkpoint_seconds", "frameworks"}),
        "code": args.code,
    }
    digest.update(json.dumps(described, sort_keys=True).encode())
    for name in ("policy.json", "index.npy", "class_weights.npy"):
        digest.update((args.plan / name).read_bytes())
    folders = [arrays.directory, args.plan / COPIES / network.framework]
    for folder in [*folders, *filter(None, [args.features])]:
        for path in sorted(folder.rglob("*.npy")):
            status = path.stat()
            facts = (str(path.relative_to(folder)), status.st_size, status.st_mtime_ns)
            digest.update(json.dumps(facts).encode())
    return digest.hexdigest()
