"""`python -m tests.helpers.denormals`: prints PyTorch's threads, and how many of many denormal
results of a trainer's are not 0."""

import torch

from components.training import train_torch
from components.training.config import TrainConfig

if __name__ == "__main__":
    train_torch.choose_device(TrainConfig(epochs=1, threads=2))
    tiny = torch.full((1 << 22,), 1e-37) * 1e-3
    print(torch.get_num_threads(), tiny.view(torch.int32).count_nonzero().item())
