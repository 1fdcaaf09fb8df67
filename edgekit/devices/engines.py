"""What devices other than this machine can be asked to run."""

from collections.abc import Sequence

from edgekit.artifact import Artifact, Format
from edgekit.errors import InputError

LOCAL = "local"
"""What this machine is called."""
ELSEWHERE = ("litert", "tflite-runtime", "onnxruntime")
"""The engines that other devices may have."""


def require_runnable(device: str, artifacts: Sequence[Artifact], engines: Sequence[str]) -> None:
    """`InputError` where a ``device`` other than this machine is asked for what only this machine runs."""
    if device == LOCAL:
        return
    for name in engines:
        if name not in ELSEWHERE:
            raise InputError(
                f"The engine {name} runs on this machine only, and not on {device}; name one of {', '.join(ELSEWHERE)}."
            )
    for artifact in artifacts:
        if artifact.format is Format.KERAS:
            raise InputError(f"{artifact.path} is a Keras file, which {device} does not run; convert it first.")
