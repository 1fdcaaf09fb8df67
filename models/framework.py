"""Keras with TensorFlow, loaded on first use, quietly."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from types import ModuleType

from edgekit.errors import InputError, need


def load_keras() -> ModuleType:
    """Keras running on TensorFlow; `MissingExtraError` or `InputError` where that cannot be had."""
    if "tensorflow" not in sys.modules:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        with _held_back_stderr():
            need("tensorflow", extra="train")
    keras = need("keras", extra="train")
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise InputError(f"Keras runs on {backend}; edgekit needs TensorFlow: unset KERAS_BACKEND.")
    return keras


def tool_versions() -> dict[str, str]:
    """Versions that a card records beside what was built or trained with them."""
    return {"edgekit": version("edgekit-ml"), "keras": version("keras"), "tensorflow": _tensorflow_version()}


def _tensorflow_version() -> str:
    import tensorflow as tf

    return str(tf.__version__)


@contextlib.contextmanager
def _held_back_stderr() -> Iterator[None]:
    """Keep from the terminal what TensorFlow's C++ side says while it loads, before it heeds any log level.

    It is shown after all when loading fails.
    """
    sys.stderr.flush()
    shown = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:  # an interruption has its own sentence, and nothing to explain
            held.seek(0)
            os.write(shown, held.read())
            raise
        finally:
            os.dup2(shown, 2)
            os.close(shown)
