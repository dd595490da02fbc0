"""One step of PyTorch's training, and all that a checkpoint must hold of it. Twin of
`keras_learner.py`.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import nn

from components.augmentation import torch_augment
from components.augmentation.policy import Policy
from components.networks import torch_model
from components.networks.custom_network import AnyArchitecture
from components.training import torch_losses
from components.training.config import TrainConfig
from components.training.recipe import ADAM_EPSILON, averaging_at
from components.training.torch_optimizers import Muon
from serving.contract.image_spec import ImageSpec


class Learner:
    """A network, its optimiser and, with `averaging`, the average of its weights.

    `forward` runs the network on several devices (`DistributedDataParallel`), of which this process
    is one of `replicas`. `weights`, float32 (classes,), are those of the classes in the loss.
    Parameters that need no gradient stay as they are, and `still` modules are in eval mode
    throughout. Without a `spec` the network takes features, not images: nothing is augmented.
    """

    def __init__(
        self,
        model: nn.Module,
        architecture: AnyArchitecture,
        spec: ImageSpec | None,
        policy: Policy,
        weights: np.ndarray,
        config: TrainConfig,
        precision: torch.dtype,
        forward: nn.Module | None = None,
        replicas: int = 1,
        still: Sequence[nn.Module] = (),
    ):
        self.model, self._forward, self._replicas = model, forward or model, replicas
        self._architecture, self._config, self._precision = architecture, config, precision
        self._still = still
        self._augment, self._crop = (
            torch_augment.augmenter(of, spec) if spec is not None else torch.Tensor.float
            for of in (policy, ())
        )
        parameters = [p for p in model.parameters() if p.requires_grad]
        self.device = parameters[0].device
        self._weights = torch.from_numpy(weights).to(self.device)
        self._kernels = [p for p in parameters if p.ndim > 1]
        self._optimizer = _optimizer(parameters, config, self.device)
        self._average = _copy(model) if config.averaging else None
        self._averaged = 0

    def step(
        self,
        images: torch.Tensor,
        labels: torch.Tensor,
        copied: torch.Tensor | None,
        rate: float,
        count: int,
        scale: float = 1,
    ) -> torch.Tensor:
        """Learns from packed images uint8 (N, C, H, W), or features float32 (N, F), and labels
        int64 (N,) at the learning rate `rate`; bool (N,) `copied` tells which are augmented
        already, and the network sees them with sides of `scale` times as many pixels.

        `count` is the size of the whole batch, of which these images are a shard. Returns float32
        (2,), on the device: loss and accuracy of the shard, times the number of replicas.
        """
        self._forward.train()
        for module in self._still:
            module.eval()
        augmented = self._augment(images)
        if copied is not None:
            copied = copied.to(self.device)[:, None, None, None]
            augmented = torch.where(copied, self._crop(images), augmented)
        if scale < 1:
            augmented = torch_augment.shrink(augmented, scale)
        with torch.autocast(self.device.type, self._precision, self._reduced()):
            outputs = self._forward(augmented)
        config = self._config
        each = torch_losses.losses(outputs, labels, self._architecture, config.label_smoothing)
        loss = (self._weights[labels] * each).sum() * (self._replicas / count)
        loss = loss + torch_losses.penalty(self._kernels, config)
        self._optimizer.zero_grad()
        loss.backward()
        self._apply(rate)
        right = torch_losses.predicted(outputs, self._architecture) == labels
        return torch.stack([loss.detach(), right.sum() * (self._replicas / count)])

    @torch.no_grad()
    def _apply(self, rate: float) -> None:
        config = self._config
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        if config.optimizer in ("sgd", "muon") and config.weight_decay:
            # PyTorch's own for SGD and Adam is an L2 penalty, which momentum would amplify.
            torch._foreach_mul_(self._kernels, 1 - rate * config.weight_decay)
        self._optimizer.step()
        if self._average is not None:
            self._averaged += 1
            kept = averaging_at(config.averaging, self._averaged)
            state = self.model.state_dict()
            for name, value in self._average.items():
                if value.is_floating_point():
                    value.lerp_(state[name], 1 - kept)

    def _reduced(self) -> bool:
        return self._precision != torch.float32

    @torch.no_grad()
    def evaluate(self, batches: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
        """float64 (2,), float32 on MPS, on the device: summed loss and number of right answers over
        `batches` of images uint8 (N, C, H, W) and labels int64 (N,), with the averaged weights if
        there are any; neither smoothing nor class weights count."""
        precise = torch.float32 if self.device.type == "mps" else torch.float64
        totals = torch.zeros(2, dtype=precise, device=self.device)
        with self._averaged_weights():
            self.model.eval()
            for images, labels in batches:
                with torch.autocast(self.device.type, self._precision, self._reduced()):
                    outputs = self.model(images.float())
                losses = torch_losses.losses(outputs, labels, self._architecture, 0)
                right = torch_losses.predicted(outputs, self._architecture) == labels
                totals += torch.stack([losses.sum(), right.sum()])
        return totals

    @contextlib.contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        if self._average is None:
            yield
            return
        trained = _copy(self.model)
        self.model.load_state_dict(self._average)
        yield
        self.model.load_state_dict(trained)

    def not_finite(self) -> list[str]:
        """Names of the weights that hold a NaN or an infinity."""
        return torch_model.not_finite(self.model)

    def judged(self) -> dict[str, np.ndarray]:
        """The weights that validation judges: the average, or those just trained; a copy."""
        state = self.judged_state()
        return {name: value.detach().cpu().numpy().copy() for name, value in state.items()}

    def judged_state(self) -> dict[str, torch.Tensor]:
        """The weights that validation judges, themselves."""
        return self.model.state_dict() if self._average is None else self._average

    def load(self, weights: dict[str, np.ndarray]) -> None:
        """Takes over what `judged` gave."""
        self.model.load_state_dict(_tensors(weights))

    def arrays(self) -> dict[str, np.ndarray]:
        """Weights, optimiser and average, for a checkpoint."""
        found = {f"model/{name}": value for name, value in self.model.state_dict().items()}
        for name, value in (self._average or {}).items():
            found[f"average/{name}"] = value
        for number, state in self._optimizer.state_dict()["state"].items():
            for name, value in state.items():
                if value is not None:
                    found[f"optimizer/{number}/{name}"] = value
        return {name: value.detach().cpu().numpy() for name, value in found.items()}

    def restore(self, arrays: dict[str, np.ndarray], steps: int) -> None:
        """Takes over what `arrays` gave after `steps` steps."""
        tensors = _tensors(arrays)
        self.model.load_state_dict(_below("model/", tensors))
        if self._average is not None:
            for name, value in _below("average/", tensors).items():
                self._average[name].copy_(value)
        self._averaged = steps
        state = self._optimizer.state_dict()
        parameters = [p for group in self._optimizer.param_groups for p in group["params"]]
        for key, value in _below("optimizer/", tensors).items():
            number, name = key.split("/")
            own = parameters[int(number)]
            if value.shape == own.shape:  # in the parameter's memory order, as it was
                value = torch.empty_like(own).copy_(value)
            state["state"].setdefault(int(number), {})[name] = value
        self._optimizer.load_state_dict(state)


def _optimizer(
    parameters: list[nn.Parameter], config: TrainConfig, device: torch.device
) -> torch.optim.Optimizer:
    kernels = [p for p in parameters if p.ndim > 1]
    others = [p for p in parameters if p.ndim <= 1]
    decay = config.weight_decay if config.optimizer == "adamw" else 0.0
    groups = [{"params": kernels, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
    kinds: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "sgd": torch.optim.SGD,
        "muon": Muon,
    }
    options = {"lr": config.learning_rate, "fused": device.type in ("cpu", "cuda")}
    if config.optimizer == "sgd":
        options |= {"momentum": config.momentum, "nesterov": config.momentum > 0}
    else:
        options |= {"eps": ADAM_EPSILON}
    if config.optimizer == "muon":
        options |= {"momentum": config.momentum}
    return kinds[config.optimizer]([g for g in groups if g["params"]], **options)


def _copy(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _tensors(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Copies: arrays of a checkpoint are read-only."""
    return {name: torch.tensor(array) for name, array in arrays.items()}


def _below(prefix: str, values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {n.removeprefix(prefix): v for n, v in values.items() if n.startswith(prefix)}
