"""The two networks of a model of two files, which are trained as one and kept apart."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgekit.card import ModelCard
from edgekit.models.framework import load_keras
from edgekit.two_files import has_second_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """The second network: what it and its file are called, and how many of the last inputs and outputs are its.

    With ``in_float`` one fp32 file of it serves those of all recipes of the first.
    """

    name: str
    inputs: int
    outputs: int
    in_float: bool = False


HEADS = Second(name="heads", inputs=1, outputs=2)
"""Of a two-stage detector: a region's features in, scores and offsets out."""
HEAD = Second(name="head", inputs=2, outputs=1, in_float=True)
"""Of what compares pictures: two embeddings in, a logit or a distance out.

It has next to nothing to compute, and the differences of nearly equal embeddings are what 8 bits round away.
"""
SECONDS = (HEADS, HEAD)


def second_of(card: ModelCard) -> Second | None:
    """The second network of the model with this ``card``, none of one network."""
    if not has_second_file(card):
        return None
    return HEAD if card.verification is not None else HEADS


def split(model: Any, second: Second) -> tuple[Any, Any]:
    """Both networks, which share the layers of ``model``."""
    keras = load_keras()
    inputs, outputs = model.inputs, model.outputs
    first = keras.Model(_one(inputs[: -second.inputs]), _one(outputs[: -second.outputs]), name=model.name)
    last = _one(inputs[-second.inputs :]), _one(outputs[-second.outputs :])
    return first, keras.Model(*last, name=f"{model.name}_{second.name}")


def _one(tensors: list[Any]) -> Any:
    return tensors[0] if len(tensors) == 1 else tensors


def second_path(path: Path, second: Second) -> Path:
    """Where the second file of the model ``path`` is.

    >>> second_path(Path("run/model.keras"), HEADS).name
    'model.heads.keras'
    """
    return path.with_name(f"{path.stem}.{second.name}{path.suffix}")


def split_card(card: ModelCard, second: Second) -> tuple[ModelCard, ModelCard]:
    """The cards of the two networks, from that of both together."""
    first = replace(card, inputs=card.inputs[: -second.inputs], outputs=card.outputs[: -second.outputs])
    last = replace(
        card,
        name=f"{card.name}_{second.name}",
        task=None,
        inputs=card.inputs[-second.inputs :],
        outputs=card.outputs[-second.outputs :],
        preprocessing=None,
        labels=card.labels if second is HEADS else None,
        detection=None,
        verification=None,
        keep_float=() if second.in_float else card.keep_float,
        metrics=(),
    )
    return first, last
