"""One step of Keras's training, and all that a checkpoint must hold of it. Twin of
`torch_learner.py`.
"""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from components.augmentation import keras_augment
from components.augmentation.policy import Policy
from components.augmentation.sizes import sides
from components.networks import keras_model
from components.networks.custom_network import AnyArchitecture
from components.training import keras_losses, keras_optimizers
from components.training.config import TrainConfig
from components.training.recipe import averaging_at
from serving.contract.image_spec import ImageSpec


class Learner:
    """A network, its optimiser and, with `averaging`, the average of its weights.

    Make it, and the model, within the scope of a `tf.distribute` strategy: each of its replicas
    takes a shard of every batch. `weights`, float32 (classes,), are those of the classes in the
    loss. Without a `spec` the network takes features, not images: nothing is augmented.
    """

    def __init__(
        self,
        model: keras.Model,
        architecture: AnyArchitecture,
        spec: ImageSpec | None,
        policy: Policy,
        weights: np.ndarray,
        config: TrainConfig,
    ):
        self.model = model
        self._architecture, self._config = architecture, config
        self._strategy = tf.distribute.get_strategy()
        self._augment = self._crop = None
        if spec is not None:
            self._augment = keras_augment.augmenter(policy, spec, config.seed)
            self._crop = keras_augment.augmenter((), spec, config.seed)
        self._weights = tf.constant(weights)
        self._kernels = [v for v in model.trainable_variables if len(v.shape) > 1]
        self._optimizer = _optimizer(model, config)
        self._average = None
        if config.averaging:
            self._average = [tf.Variable(w, trainable=False) for w in model.get_weights()]
        self._averaged = 0
        self._spec = spec
        self._learns: dict[float, Callable[..., tf.Tensor]] = {}
        self._follow, self._judge = self._compiled()

    def _learn_at(self, scale: float) -> Callable[..., tf.Tensor]:
        """The graph of one step on images of that scale, made when it is first asked for."""
        if scale in self._learns:
            return self._learns[scale]
        replicas, network = self._strategy.num_replicas_in_sync, self.model
        if scale < 1 and self._spec is not None:
            height, width, channels = self._spec.shape
            network = keras_model.at_size(network, (*sides((height, width), scale), channels))
        packed = self._inputs(packed=True)
        numbers, flags = tf.TensorSpec((None,), tf.int64), tf.TensorSpec((None,), tf.bool)
        signature = [packed, numbers, flags, tf.TensorSpec((), tf.float32)]

        # Values of several replicas fit no signature.
        @tf.function(input_signature=signature if replicas == 1 else None, reduce_retracing=True)
        def learn(images: Any, labels: Any, copied: Any, count: tf.Tensor) -> tf.Tensor:
            one = functools.partial(self._learn, network, scale)
            own = self._strategy.run(one, (images, labels, copied, count))
            return self._strategy.reduce(tf.distribute.ReduceOp.SUM, own, axis=None)

        self._learns[scale] = learn
        return learn

    def _inputs(self, packed: bool) -> tf.TensorSpec:
        """Of a batch: images of the packed or of the network's size, or features."""
        if self._spec is None:
            return tf.TensorSpec(self.model.input_shape, tf.float32)
        shape = self._spec.packed_shape if packed else self._spec.shape
        return tf.TensorSpec((None, *shape), tf.uint8)

    def _compiled(self) -> tuple[Callable[..., None], Callable[..., tf.Tensor]]:
        """The graphs of the average's step and of one batch of validation."""
        fed, numbers = self._inputs(packed=False), tf.TensorSpec((None,), tf.int64)
        averages = self._average or []

        @tf.function(input_signature=[tf.TensorSpec((), tf.float32)])
        def follow(share: tf.Tensor) -> None:
            for average, weight in zip(averages, self.model.weights):
                value = tf.convert_to_tensor(weight.value)
                if average.dtype.is_floating:
                    average.assign_add(share * (value - average))
                else:  # a counter
                    average.assign(value)

        @tf.function(input_signature=[fed, numbers])
        def judge(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
            outputs = self.model(tf.cast(images, tf.float32), training=False)
            losses = keras_losses.losses(outputs, labels, self._architecture, 0)
            right = keras_losses.predicted(outputs, self._architecture) == labels
            return tf.stack([tf.reduce_sum(losses), tf.reduce_sum(tf.cast(right, tf.float32))])

        return follow, judge

    def _learn(
        self,
        network: keras.Model,
        scale: float,
        images: tf.Tensor,
        labels: tf.Tensor,
        copied: tf.Tensor,
        count: tf.Tensor,
    ) -> tf.Tensor:
        """One replica's share of a step, by the network for images of that scale."""
        config, variables = self._config, self.model.trainable_variables
        if self._strategy.num_replicas_in_sync > 1:
            # An epoch's last batch may be smaller for some replicas only, which then are traced
            # without a fixed size; Keras's synchronised batch norm has one more all-reduce in the
            # gradients of those, and for it all must meet.
            unknown = self._inputs(packed=True).shape
            images = tf.compat.v1.placeholder_with_default(images, unknown)
        augmented = self._augmented(images, copied, scale)
        with tf.GradientTape() as tape:
            outputs = network(augmented, training=True)
            each = keras_losses.losses(outputs, labels, self._architecture, config.label_smoothing)
            loss = tf.reduce_sum(tf.gather(self._weights, labels) * each) / count
            kernels = [tf.convert_to_tensor(kernel.value) for kernel in self._kernels]
            replicas = self._strategy.num_replicas_in_sync  # whose gradients are added up
            loss += keras_losses.penalty(kernels, config) / replicas
            if self.model.losses:  # regularisers and add_loss, of custom networks
                loss += tf.add_n([tf.cast(own, tf.float32) for own in self.model.losses]) / replicas
        self._optimizer.apply(tape.gradient(loss, variables), variables)
        right = keras_losses.predicted(outputs, self._architecture) == labels
        return tf.stack([loss, tf.reduce_sum(tf.cast(right, tf.float32)) / count])

    def _augmented(self, images: tf.Tensor, copied: tf.Tensor, scale: float) -> tf.Tensor:
        """What the network is fed of packed images; features are fed as they are."""
        if self._augment is None or self._crop is None:
            return images
        crop, augmented = self._crop, self._augment(images, training=True)
        augmented = tf.cond(
            tf.reduce_any(copied),
            lambda: tf.where(copied[:, None, None, None], crop(images, training=True), augmented),
            lambda: augmented,
        )
        return keras_augment.shrink(augmented, scale) if scale < 1 else augmented

    def step(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        copied: np.ndarray,
        rate: float,
        scale: float = 1,
    ) -> tuple[float, float]:
        """Learns from packed images uint8 (N, H, W, C), or features float32 (N, F), and labels
        int64 (N,) at the learning rate `rate`; bool (N,) `copied` tells which are augmented
        already, and the network sees them with sides of `scale` times as many pixels. Returns loss
        and accuracy."""
        replicas = self._strategy.num_replicas_in_sync

        def shard(values: np.ndarray) -> Any:
            if replicas == 1:
                return tf.constant(values)
            return self._strategy.experimental_distribute_values_from_function(
                lambda context: tf.constant(values[context.replica_id_in_sync_group :: replicas])
            )

        self._optimizer.learning_rate = rate
        learn, count = self._learn_at(scale), tf.constant(len(labels), tf.float32)
        loss, accuracy = learn(shard(images), shard(labels), shard(copied), count).numpy()
        if self._average is not None:
            self._averaged += 1
            kept = averaging_at(self._config.averaging, self._averaged)
            self._follow(tf.constant(1 - kept, tf.float32))
        return float(loss), float(accuracy)

    def evaluate(self, batches: Iterable[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        """float64 (2,): summed loss and number of right answers over `batches` of images uint8
        (N, H, W, C) and labels int64 (N,), with the averaged weights if there are any; neither
        smoothing nor class weights count."""
        with self._averaged_weights():
            found = [self._judge(tf.constant(i), tf.constant(n)).numpy() for i, n in batches]
        return np.asarray(found).sum(axis=0, dtype=np.float64)

    @contextlib.contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        if self._average is None:
            yield
            return
        trained = self.model.get_weights()
        self.model.set_weights([average.numpy() for average in self._average])
        yield
        self.model.set_weights(trained)

    def not_finite(self) -> list[str]:
        """Names of the weights that hold a NaN or an infinity."""
        return keras_model.not_finite(self.model)

    def judged(self) -> dict[str, np.ndarray]:
        """The weights that validation judges: the average, or those just trained; a copy."""
        weights = self._average or self.model.weights
        return {f"{n:04d}": _array(weight) for n, weight in enumerate(weights)}

    def load(self, weights: dict[str, np.ndarray]) -> None:
        """Takes over what `judged` gave."""
        self.model.set_weights([weights[name] for name in sorted(weights)])

    def arrays(self) -> dict[str, np.ndarray]:
        """Weights, optimiser, average and the state of random generators, for a checkpoint."""
        return {name: _array(variable) for name, variable in self._variables().items()}

    def restore(self, arrays: dict[str, np.ndarray], steps: int) -> None:
        """Takes over what `arrays` gave after `steps` steps."""
        for name, variable in self._variables().items():
            variable.assign(arrays[name])
        self._averaged = steps

    def _variables(self) -> dict:
        groups = {
            "model": self.model.variables,
            "optimizer": self._optimizer.variables,
            "augment": [v for of in (self._augment, self._crop) if of for v in of.variables],
            "average": self._average or [],
        }
        return {
            f"{group}/{number:04d}": variable
            for group, variables in groups.items()
            for number, variable in enumerate(variables)
        }


def _array(variable: keras.Variable) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(variable))


def _optimizer(model: keras.Model, config: TrainConfig) -> keras.optimizers.Optimizer:
    rate, decay = config.learning_rate, config.weight_decay or None
    if config.optimizer == "sgd":
        momentum = config.momentum
        optimizer = keras_optimizers.SGD(rate, momentum, momentum > 0, weight_decay=decay)
    elif config.optimizer == "muon":
        optimizer = keras_optimizers.Muon(rate, config.momentum, weight_decay=decay)
    else:
        optimizer = keras_optimizers.Adam(rate, weight_decay=decay)
    if decay:
        others = [v for v in model.trainable_variables if len(v.shape) <= 1]
        optimizer.exclude_from_weight_decay(var_list=others)
    optimizer.build(model.trainable_variables)
    return optimizer
