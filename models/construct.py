"""From an entry of the zoo to its Keras model."""

import importlib
from typing import Any

from edgekit.models.framework import load_keras
from edgekit.models.spec import ModelSpec


def build(spec: ModelSpec, *, seed: int = 0, **arguments: Any) -> Any:
    """The Keras model of ``spec``, with weights drawn from ``seed``, which all global generators get too."""
    resolved = spec.resolved(arguments)
    keras = load_keras()
    keras.utils.set_random_seed(seed)
    module, function = spec.builder.split(":")
    return getattr(importlib.import_module(module), function)(**resolved)
