"""Detectors that start from the weights of a classifier: those of their backbone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekit.models.construct import build
from edgekit.models.registry import find_spec
from edgekit.models.spec import ModelSpec, Value
from edgekit.models.weights import ImportedWeights, import_weights


def build_on_backbone(
    spec: ModelSpec, weights: Path, *, seed: int, fixed: Mapping[str, Value], defaults: Mapping[str, Value]
) -> tuple[Any, ImportedWeights, dict[str, Value]]:
    """The model of ``spec`` whose backbone holds the values of the file ``weights``, what that says, and all arguments.

    The file wins over ``defaults`` where both builders take an argument, but for the image size; where the ``fixed``
    arguments contradict it, that is an `InputError`. What is not in the backbone is drawn from ``seed``.
    """
    backbone = find_spec(spec.backbone)
    shared = set(backbone.defaults) & set(spec.defaults) - {"classes"}
    size = {**spec.defaults, **defaults, **fixed}["size"]
    imported = import_weights(backbone, weights, {**{k: v for k, v in fixed.items() if k in shared}, "size": size})
    implied = {k: v for k, v in imported.arguments.items() if k in shared and k != "size"}
    resolved = spec.resolved({**defaults, **implied, **fixed})
    own = {k: v for k, v in resolved.items() if k in shared}
    source = build(backbone, seed=seed, **{**own, **imported.arguments, "size": size})
    imported.apply(source)
    model = build(spec, seed=seed, **resolved)
    there = {layer.name: layer for layer in source.layers if layer.weights}
    for layer in model.layers:
        if layer.name in there:
            layer.set_weights(there[layer.name].get_weights())
    return model, imported, resolved
