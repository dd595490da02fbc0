"""The usual PyTorch tutorial on transfer learning: `python -m benchmarks.tutorial_transfer FOLDER`.

torchvision's ImageFolder and transforms image by image, a DataLoader with two workers, a frozen
backbone and Adam on a new last layer, float32. FOLDER has `train/`, `val/` and `test/` of a folder
per class. It is what `python -m benchmarks photos` compares with, so it stays as plain as that. The
last line is JSON: of each epoch seconds with validation, and accuracies. The test split is looked
at with the clock stopped.
"""

import argparse
import json
import time
from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from benchmarks.tutorial_torch import evaluate
from components.networks import torch_model
from components.networks.backbones import BACKBONES
from components.networks.named_network import network_of
from serving.contract.image_spec import ImageSpec

BATCH, LEARNING_RATE, WORKERS = 32, 1e-3, 2


def network(name: str, classes: tuple[str, ...]) -> nn.Sequential:
    """The pretrained backbone called `name`, frozen, from normalised images (N, 3, H, W) to
    `classifier`'s logits, whose weights are new."""
    backbone = BACKBONES[name]
    spec = ImageSpec(backbone.size, backbone.size, 3)
    whole = network_of(name, spec, classes, "torch")
    module = torch_model.build(whole)
    torch_model.load_backbone(module, whole)
    features = torch_model.backbone_of(module, whole)[1:]  # the transforms normalise
    features.requires_grad_(False)
    return nn.Sequential(
        OrderedDict(
            features=features,
            dropout=nn.Dropout(backbone.dropout),
            classifier=nn.Linear(backbone.features, len(classes)),
        )
    )


def loaders(folder: Path, name: str) -> dict[str, DataLoader]:
    """Of the three splits, images prepared as the backbone called `name` learned from them."""
    backbone = BACKBONES[name]
    normalise = transforms.Normalize((backbone.mean / 255,) * 3, (backbone.scale / 255,) * 3)
    training = transforms.Compose(
        [
            transforms.RandomResizedCrop(backbone.size),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            normalise,
        ]
    )
    held_out = transforms.Compose(
        [
            transforms.Resize(backbone.size * 8 // 7),  # 256 for 224
            transforms.CenterCrop(backbone.size),
            transforms.ToTensor(),
            normalise,
        ]
    )
    return {
        split: DataLoader(
            ImageFolder(
                folder / split,
                training if split == "train" else held_out,
                is_valid_file=lambda path: True,  # whatever it is called
            ),
            BATCH,
            shuffle=split == "train",
            num_workers=WORKERS,
        )
        for split in ("train", "val", "test")
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--backbone", choices=BACKBONES, default="efficientnet_lite0")
    parser.add_argument("--epochs", type=int, default=5, metavar="N")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="0: as PyTorch has it")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    data = loaders(arguments.folder, arguments.backbone)
    model = network(arguments.backbone, tuple(data["train"].dataset.classes))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.classifier.parameters(), lr=LEARNING_RATE)

    epochs = []
    for epoch in range(1, arguments.epochs + 1):
        start = time.perf_counter()
        loss = train(model, data["train"], criterion, optimizer)
        validation = evaluate(model, data["val"])
        seconds = time.perf_counter() - start
        print(f"epoch {epoch}  loss {loss:.3f}  val_accuracy {validation:.3f}", flush=True)
        test = evaluate(model, data["test"])
        epochs.append({"seconds": seconds, "val_accuracy": validation, "accuracy": test})
    print(json.dumps({"epochs": epochs}), flush=True)


def train(
    model: nn.Sequential, loader: DataLoader, criterion: nn.Module, optimizer: torch.optim.Optimizer
) -> float:
    """An epoch; returns its mean loss."""
    model.train()
    model.features.eval()  # or batch norms would take these images' statistics
    running_loss = 0.0
    for images, labels in loader:
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
    return running_loss / len(loader)


if __name__ == "__main__":
    main()
