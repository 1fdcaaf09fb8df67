"""Keras with TensorFlow, loaded on first use, quietly."""

from importlib.metadata import version
from types import ModuleType

from edgekit.runtimes.keras import load_framework


def load_keras() -> ModuleType:
    """Keras running on TensorFlow; `MissingExtraError` or `InputError` where that cannot be had."""
    return load_framework()[1]


def tool_versions() -> dict[str, str]:
    """Versions that a card records beside what was built or trained with them."""
    return {"edgekit": version("edgekit-ml"), "keras": version("keras"), "tensorflow": _tensorflow_version()}


def _tensorflow_version() -> str:
    import tensorflow as tf

    return str(tf.__version__)
