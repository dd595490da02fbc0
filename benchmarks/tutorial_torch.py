"""The usual PyTorch tutorial on CIFAR-10: `python -m benchmarks.tutorial_torch --images 6400`.

A Dataset of Pillow images, torchvision's transforms image by image, a DataLoader with four workers,
Adam, float32. It is what `python -m benchmarks train` compares with, so it stays as plain as that.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.tutorial import BATCH, LEARNING_RATE, load, parse, report

WORKERS = 4
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
TRAIN = transforms.Compose(
    [
        transforms.RandomHorizontalFlip(),
        transforms.RandomCrop(32, padding=4),
        transforms.ColorJitter(brightness=0.2, contrast=0.2),
        transforms.ToTensor(),
        transforms.Normalize(MEAN, STD),
    ]
)
TEST = transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN, STD)])


class Images(Dataset):
    """As torchvision.datasets.CIFAR10: an array in memory, a Pillow image for each item."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, transform: Callable[..., Any]):
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


class Cifar10(nn.Module):
    """32-32-64-64-128, convolution-ReLU-batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *self.block(3, 32), *self.block(32, 32), nn.MaxPool2d(2), nn.Dropout(0.25),
            *self.block(32, 64), *self.block(64, 64), nn.MaxPool2d(2), nn.Dropout(0.25),
            *self.block(64, 128), nn.AdaptiveAvgPool2d(1),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Linear(128, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10)
        )

    @staticmethod
    def block(channels: int, filters: int) -> tuple[nn.Module, ...]:
        convolution = nn.Conv2d(channels, filters, 3, padding=1)
        return convolution, nn.ReLU(), nn.BatchNorm2d(filters)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x).flatten(1))


class Cifar10Small(nn.Module):
    """32-32-64-64, convolution-batch norm-ReLU, channel dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *self.block(3, 32), *self.block(32, 32), nn.MaxPool2d(2), nn.Dropout2d(0.25),
            *self.block(32, 64), *self.block(64, 64), nn.MaxPool2d(2), nn.Dropout2d(0.25),
            nn.AdaptiveAvgPool2d(1),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10)
        )

    @staticmethod
    def block(channels: int, filters: int) -> tuple[nn.Module, ...]:
        convolution = nn.Conv2d(channels, filters, 3, padding=1)
        return convolution, nn.BatchNorm2d(filters), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x).flatten(1))


NETWORKS: dict[str, type[nn.Module]] = {"cifar10": Cifar10, "cifar10_small": Cifar10Small}


def main() -> None:
    arguments = parse(__doc__)
    torch.set_num_threads(arguments.threads)
    training = Images(*load(arguments.arrays, "train", arguments.images), TRAIN)
    loader = DataLoader(training, batch_size=BATCH, shuffle=True, num_workers=WORKERS)
    model = NETWORKS[arguments.network]()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)

    start: float | None = None
    counted, epochs = 0, []
    for epoch in range(1, arguments.epochs + 1):
        epoch_start = time.perf_counter()
        model.train()
        running_loss = 0.0
        for images, labels in loader:
            optimizer.zero_grad()
            loss = criterion(model(images), labels)
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
            if start is None:  # the first step starts the workers and chooses kernels
                start = time.perf_counter()
            else:
                counted += len(labels)
        stop = time.perf_counter()
        epochs.append(stop - epoch_start)
        print(f"epoch {epoch}  loss {running_loss / len(loader):.3f}", flush=True)
    assert start is not None, "there was a step"
    accuracy = evaluate(model, _test(arguments.arrays)) if arguments.evaluate else None
    report(counted, stop - start, epochs, accuracy)


def _test(arrays: Path) -> DataLoader:
    return DataLoader(Images(*load(arrays, "test"), TEST), BATCH, num_workers=WORKERS)


@torch.no_grad()
def evaluate(model: nn.Module, loader: DataLoader) -> float:
    """The share of images that are named right."""
    model.eval()
    correct = total = 0
    for images, labels in loader:
        correct += (model(images).argmax(1) == labels).sum().item()
        total += len(labels)
    return correct / total


if __name__ == "__main__":
    main()
