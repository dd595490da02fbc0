"""`python -m tests.helpers.chosen_devices FRAMEWORK`: prints what its trainer computes with, at
each precision, without and with units for bfloat16."""

import importlib
import sys

from components.training.config import TrainConfig


def main(framework: str) -> None:
    trainer = importlib.import_module(f"components.training.train_{framework}")
    for units in (False, True):
        trainer.cpu_has_bfloat16 = lambda found=units: found
        for precision in ("auto", "bfloat16", "float32"):
            *_, words = trainer.choose_device(TrainConfig(epochs=1, threads=1, precision=precision))
            print(words)


if __name__ == "__main__":
    main(sys.argv[1])
