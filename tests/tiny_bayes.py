"""Stripes to learn from, and tiny Bayesian classifiers of them."""

from pathlib import Path
from typing import Any

import numpy as np

from edgekit.models.registry import find_spec
from edgekit.models.train import TrainRequest

NARROW: dict[str, dict[str, Any]] = {
    "bayes_dense": {"units": 16},
    "bayes_conv": {"filters": 4, "units": 16},
    "mc_dropout": {"filters": 4, "units": 16, "dropout": 0.25},
}


def stripes(folder: Path) -> Path:
    """Three kinds of 28 x 28 pictures: an upper, a left and a middle stripe in noise; 120 to train, 60 to test."""
    random = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for part, count in (("train", 120), ("test", 60)):
        labels = np.arange(count) % 3
        pixels = random.integers(0, 60, (count, 28, 28))
        for pixel, label in zip(pixels, labels, strict=True):
            pixel[[slice(0, 9), slice(None), slice(10, 18)][label], [slice(None), slice(0, 9), slice(None)][label]] += (
                150
            )
        arrays |= {f"x_{part}": pixels.astype(np.uint8), f"y_{part}": labels}
    np.savez(folder / "stripes.npz", **arrays)
    return folder / "stripes.npz"


def blots(folder: Path) -> Path:
    """40 pictures of other things: bright noise."""
    pixels = np.random.default_rng(1).integers(0, 256, (40, 28, 28)).astype(np.uint8)
    np.savez(folder / "blots.npz", x=pixels)
    return folder / "blots.npz"


def request(name: str, data: Path, *, epochs: int = 16, **changes: Any) -> TrainRequest:
    """A training of the narrowed entry ``name`` in seconds."""
    arguments = NARROW[name]
    return TrainRequest(
        spec=find_spec(name), data=str(data), epochs=epochs, batch_size=20, arguments=arguments, **changes
    )
