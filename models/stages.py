"""The two networks of a two-stage detector, which are trained as one and kept as two files."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from edgekit.card import ModelCard
from edgekit.detection import Detection
from edgekit.models.framework import load_keras
from edgekit.regions import Companion

HEADS = "heads"
"""What the second network and its file are called."""


def has_two_files(detection: Detection | None) -> bool:
    """Whether a detector is two networks side by side, of which each gets a file."""
    return detection is not None and detection.proposals is not None


def split(model: Any) -> tuple[Any, Any]:
    """The network of the image and that of a region, which share the layers of ``model``."""
    keras = load_keras()
    image, pooled = model.inputs
    first = keras.Model(image, model.outputs[:-2], name=model.name)
    return first, keras.Model(pooled, model.outputs[-2:], name=f"{model.name}_{HEADS}")


def heads_path(path: Path) -> Path:
    """Where the second file of the detector ``path`` is.

    >>> heads_path(Path("run/model.keras")).name
    'model.heads.keras'
    """
    return path.with_name(f"{path.stem}.{HEADS}{path.suffix}")


def split_card(card: ModelCard) -> tuple[ModelCard, ModelCard]:
    """The cards of the two networks, from that of both together."""
    first = replace(card, inputs=card.inputs[:1], outputs=card.outputs[:-2])
    second = replace(
        card,
        name=f"{card.name}_{HEADS}",
        task=None,
        inputs=card.inputs[1:],
        outputs=card.outputs[-2:],
        preprocessing=None,
        detection=None,
        metrics=(),
    )
    return first, second


def linked(card: ModelCard, companion: Companion) -> ModelCard:
    """``card`` of a first file, naming the second."""
    assert card.detection is not None  # noqa: S101 - a detector's
    assert card.detection.proposals is not None  # noqa: S101
    proposals = replace(card.detection.proposals, heads=companion)
    return replace(card, detection=replace(card.detection, proposals=proposals))
