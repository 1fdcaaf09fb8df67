"""The second network of a Bayesian classifier, that of one pass with noise: building it, running it, keeping it."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.card import Metric, ModelCard, TensorSpec
from edgekit.models.images import Images
from edgekit.models.spec import ModelSpec, Value
from edgekit.models.weights import copy_weights
from edgekit.preprocessing import Preprocessing, normalize
from edgekit.tasks.classification import as_probabilities, entropy_of
from edgekit.uncertainty import Distribution, Noise, Uncertainty

Floats = npt.NDArray[np.float64]

SAMPLE = "sample"
"""What the second network and its file are called."""
VARIANCE = "_variance"
"""What the name of a layer ends with that holds the variances of another one's weights."""
NOISE = "_noise"
"""What the name of an input ends with that holds standard normal numbers for a layer's outputs."""
MASK = "_mask"
"""What the name of an input ends with that is 0 for units that are dropped, and 1 / (1 - rate) for those that stay."""
FIRST_DEVIATION = 0.05
"""Of all random weights before training."""
PASSES = 20
"""Whose answers are averaged, unless a user asks for others."""
KEPT_FLOAT = ("^logits", "^sqrt")
"""Layers of a pass through random weights that stay in float: how unsure such a network is of what it has never seen
shows in deviations beyond all that ranges are measured on, where integers end.
"""
_BATCH = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """The network ``model`` of one pass, and what the cards of both networks say beside: ``mean`` is of the other."""

    model: Any
    uncertainty: Uncertainty
    metrics: tuple[Metric, ...] = ()
    mean: Uncertainty = Uncertainty()  # noqa: RUF009 - frozen


def pass_of(model: Any, noises: tuple[Noise, ...]) -> Callable[[Any, Any], Any]:
    """What tells the logits that ``model`` gives of a batch of images with the noise of a seed (2,) int32."""
    import tensorflow as tf

    return lambda images, seed: model([images, *draw(noises, model, tf.shape(images)[0], seed)], training=False)


def build_sample(spec: ModelSpec, arguments: Mapping[str, Value]) -> Any:
    """The network of one pass of ``spec``."""
    module, function = spec.sampler.split(":")
    return getattr(importlib.import_module(module), function)(**arguments)


def untrained(spec: ModelSpec, arguments: Mapping[str, Value], mean: Any) -> Sampled:
    """The second network beside ``mean``, whose weights it gets; nothing is known of it but its inputs."""
    model = build_sample(spec, arguments)
    copy_weights(mean, model, anew=f".*{VARIANCE}")
    return Sampled(model=model, uncertainty=Uncertainty(noises=noises_of(model, arguments), passes=PASSES))


def noises_of(model: Any, arguments: Mapping[str, Value]) -> tuple[Noise, ...]:
    """What the inputs of the network ``model`` of one pass beside its image are."""
    return tuple(_noise(tensor.name, arguments) for tensor in model.inputs[1:])


def _noise(name: str, arguments: Mapping[str, Value]) -> Noise:
    if name.endswith(MASK):
        return Noise(name=name, distribution=Distribution.MASK, keep=1 - float(arguments["dropout"]))
    return Noise(name=name, distribution=Distribution.NORMAL)


def sample_path(path: Path) -> Path:
    """Where the second file of the Bayesian classifier ``path`` is.

    >>> sample_path(Path("run/model.keras")).name
    'model.sample.keras'
    """
    return path.with_name(f"{path.stem}.{SAMPLE}{path.suffix}")


def cards(card: ModelCard, sampled: Sampled) -> tuple[ModelCard, ModelCard]:
    """The cards of both networks, from that of the mean network."""
    model = sampled.model
    second = replace(
        card,
        name=f"{card.name}_{SAMPLE}",
        inputs=_specs([tensor.name for tensor in model.inputs], model.inputs),
        outputs=_specs(model.output_names, model.outputs),
        uncertainty=sampled.uncertainty,
        keep_float=KEPT_FLOAT if _random_weights(sampled.uncertainty) else (),
        metrics=sampled.metrics,
    )
    return replace(card, uncertainty=sampled.mean), second


def _specs(names: Sequence[str], tensors: Sequence[Any]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(name=name, shape=tuple(tensor.shape), dtype=str(tensor.dtype))
        for name, tensor in zip(names, tensors, strict=True)
    )


def _random_weights(uncertainty: Uncertainty) -> bool:
    return any(noise.distribution is Distribution.NORMAL for noise in uncertainty.noises)


def draw(noises: tuple[Noise, ...], model: Any, count: Any, seed: Any) -> list[Any]:
    """The noise of ``count`` items for ``model``, as TensorFlow's tensors; ``seed`` is (2,) int32.

    No input depends on which others there are. The same seed gives the same noise on the same machine.
    """
    import tensorflow as tf

    found = []
    for place, (noise, tensor) in enumerate(zip(noises, model.inputs[1:], strict=True)):
        shape, own = (count, *tensor.shape[1:]), tf.random.experimental.stateless_fold_in(seed, place)
        if noise.distribution is Distribution.NORMAL:
            found.append(tf.random.stateless_normal(shape, own))
        else:
            stays = tf.random.stateless_uniform(shape, own) < noise.keep
            found.append(tf.cast(stays, tf.float32) / noise.keep)
    return found


def in_passes(
    logits: Callable[[Any, Any], Any], images: Images, preprocessing: Preprocessing, *, passes: int, seed: int
) -> tuple[Floats, Floats]:
    """Mean probabilities (count, classes) of ``images`` in order, and the mean entropies (count,) of each pass.

    ``logits`` takes a batch of inputs and the seed (2,) int32 of its noise.
    """
    import tensorflow as tf

    run = tf.function(logits, autograph=False, reduce_retracing=True)
    means, entropies = [], []
    for start in range(0, len(images), _BATCH):
        inputs = tf.constant(normalize(images.at(slice(start, start + _BATCH)), preprocessing))
        seeds = (tf.constant([seed, start * passes + number], tf.int32) for number in range(passes))
        each = np.stack([as_probabilities(np.asarray(run(inputs, own))) for own in seeds])
        means.append(each.mean(axis=0))
        entropies.append(np.mean([entropy_of(one) for one in each], axis=0))
    return np.concatenate(means), np.concatenate(entropies)
