"""Inputs to time a model with: seeded, in the range that it is used in. Never used to measure accuracy."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.card import ModelCard, TensorSpec
from edgekit.data.noise import draws
from edgekit.data.pass_noise import drawn
from edgekit.errors import ArtifactError, DataError
from edgekit.generation import Generator
from edgekit.preprocessing import Preprocessing, normalize
from edgekit.ratings import UNRATED
from edgekit.runtimes.base import checked_input
from edgekit.sequences import Encoding, Text
from edgekit.uncertainty import Uncertainty

Array = npt.NDArray[Any]

_RATED = 0.1


def sample_inputs(card: ModelCard, *, seed: int) -> dict[str, Array]:
    """One batch for each input of ``card`` by name, free dimensions as 1.

    An image input is filled with noise of 0..255 that went through the card's preprocessing, one of texts with tokens
    of the card's vocabulary; the inputs of a generator, and the noise of a Bayesian network, with what is drawn for
    them, that of a recommender with a few ratings; a quantized input with all of its integers; any other float input
    with 0..1, and any other integer input with 0 and 1, which every table of a vocabulary or of classes has.
    """
    if card.generator is not None and (feed := _drawn_inputs(card, card.generator, seed)):
        return feed
    if card.uncertainty is not None and card.uncertainty.noises:
        return _with_noise(card, card.uncertainty, seed)
    generator = np.random.default_rng(seed)
    if card.ratings is not None:
        return {spec.name: _ratings(spec, generator) for spec in card.inputs}
    if card.preprocessing is not None and len(card.inputs) == 1:
        images = _image_values(card.inputs[0], card.preprocessing, generator)
        if images is not None:
            return {card.inputs[0].name: images}
    text = None if card.sequences is None else card.sequences.text
    states = set() if card.sequences is None else {state.input for state in card.sequences.states}
    return {
        spec.name: sample_values(spec, generator)
        if text is None or spec.name in states
        else _token_values(spec, text, generator)
        for spec in card.inputs
    }


def sample_feeds(card: ModelCard, *, samples: int, seed: int) -> list[dict[str, Array]]:
    """``samples`` different ones of `sample_inputs`."""
    return [sample_inputs(card, seed=seed + number) for number in range(samples)]


def sample_values(spec: TensorSpec, generator: np.random.Generator) -> Array:
    """Values for one input that nothing more is known of, in the file's own dtype."""
    shape = tuple(1 if size is None else size for size in spec.shape)
    try:
        dtype = np.dtype(spec.dtype)
    except TypeError:
        raise ArtifactError(
            f"Input {spec.name!r} is {spec.dtype}; a benchmark makes numbers only: convert the model to take them."
        ) from None
    if dtype.kind == "f":
        return generator.random(shape, np.float32).astype(dtype)
    if dtype.kind == "b":
        return generator.integers(0, 2, shape).astype(dtype)
    if dtype.kind in "iu":
        if spec.quantized or dtype.itemsize == 1:
            info = np.iinfo(dtype)
            return generator.integers(info.min, info.max, shape, dtype, endpoint=True)
        return generator.integers(0, 2, shape, dtype)
    raise ArtifactError(
        f"Input {spec.name!r} is {spec.dtype}; a benchmark makes numbers only: convert the model to take them."
    )


def _ratings(spec: TensorSpec, generator: np.random.Generator) -> Array:
    """Ratings of some items, and none of most, as users give them."""
    values = sample_values(spec, generator)
    if not spec.quantized:
        values[generator.random(values.shape) >= _RATED] = UNRATED
    return values


def _token_values(spec: TensorSpec, text: Text, generator: np.random.Generator) -> Array:
    """Tokens of the vocabulary of ``text``, as numbers or as rows with a 1 at them, in the file's own dtype."""
    shape, tokens = tuple(1 if size is None else size for size in spec.shape), len(text.vocabulary.tokens)
    if text.encoding is Encoding.INDEX or shape[-1:] != (tokens,):
        return generator.integers(0, tokens, shape).astype(spec.dtype)
    rows = np.eye(tokens, dtype=np.float32)[generator.integers(0, tokens, shape[:-1])]
    if not spec.quantized:
        return rows.astype(spec.dtype)
    kind = np.iinfo(spec.dtype)
    steps: Array = np.clip(np.rint(rows / spec.scale[0]) + spec.zero_point[0], kind.min, kind.max)
    return steps.astype(spec.dtype)


def _drawn_inputs(card: ModelCard, generator: Generator, seed: int) -> dict[str, Array]:
    """One draw for each input in the file's dtype; nothing where the file does not take what its card says."""
    arrays = draws(generator, 1, seed)
    try:
        return {spec.name: checked_input(arrays[spec.name], spec) for spec in card.inputs}
    except (KeyError, DataError):
        return {}


def _with_noise(card: ModelCard, uncertainty: Uncertainty, seed: int) -> dict[str, Array]:
    """What the mean network would be fed with, and noise for the inputs that the mean network lacks."""
    noises = {noise.name: noise for noise in uncertainty.noises}
    others = tuple(spec for spec in card.inputs if spec.name not in noises)
    feed = sample_inputs(replace(card, inputs=others, uncertainty=None), seed=seed)
    for place, spec in enumerate(card.inputs):
        if spec.name in noises:
            shape = tuple(1 if size is None else size for size in spec.shape)
            feed[spec.name] = checked_input(drawn(noises[spec.name], shape, [seed, place]), spec)
    return feed


def _image_values(spec: TensorSpec, preprocessing: Preprocessing, generator: np.random.Generator) -> Array | None:
    if np.dtype(spec.dtype).kind != "f":
        return None
    image = generator.integers(0, 256, (1, *preprocessing.size_hw, preprocessing.channels))
    values = normalize(image, preprocessing).astype(spec.dtype)
    fits = len(spec.shape) == values.ndim and all(
        size in (None, got) for size, got in zip(spec.shape, values.shape, strict=True)
    )
    return values if fits else None
