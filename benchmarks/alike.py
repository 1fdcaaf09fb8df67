"""Whether a file answers the same in two places: by its choices where it makes some, else by its recipe's limits."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.artifact import Artifact, Format
from edgekit.bundle.limits import limits_of
from edgekit.card import ModelCard
from edgekit.formats import onnx, tflite
from edgekit.measure.choices import agreement
from edgekit.measure.same import Sameness, exceeded, same_answers
from edgekit.runtimes import open_runtime
from edgekit.runtimes.base import dequantize

Array = npt.NDArray[Any]
Outputs = Mapping[str, Array]


def sameness(artifact: Artifact, here: Outputs, there: Outputs) -> tuple[Sameness, dict[str, float]]:
    """How the answers (count, ...) differ, of which tokens count one by one, and that as figures.

    Those of a file that chooses nothing, such as a forecast or a picture, have ``within_limits``, 1 or 0, for
    ``agreement``. Of anomalies that is the fraction of items that both places put on one side of the card's threshold.
    """
    card = artifact.card
    same = same_answers(*(answers(card, outputs) for outputs in (here, there)))
    metrics = same.metrics()
    metrics.pop("agreement", None)
    agreed = agreement(card, same, *(real(artifact, run) for run in (here, there)))
    if agreed is not None:
        metrics["agreement"] = agreed
    else:
        metrics["within_limits"] = float(same.identical or _within(artifact, here, there))
    return same, metrics


def answers(card: ModelCard, outputs: Outputs) -> dict[str, Array]:
    """What is answered among ``outputs``: no states, and of sequences a row a token."""
    how = card.sequences
    if how is None:
        return dict(outputs)
    states = {state.output for state in how.states}
    return {n: v.reshape(-1, v.shape[-1]) for n, v in outputs.items() if n not in states}


def holds(metrics: Mapping[str, float]) -> bool:
    """Whether two places answer the same by the figures of `sameness`."""
    return metrics["agreement"] == 1 if "agreement" in metrics else metrics["within_limits"] == 1


def told(metrics: Mapping[str, float]) -> str:
    """The figure that `holds` looks at."""
    if "agreement" in metrics:
        agreement = metrics["agreement"]
        return f"{agreement:.3f}" if agreement == 1 else f"{agreement:.4f}"
    return "within limits" if metrics["within_limits"] else "beyond limits"


def real(artifact: Artifact, outputs: Outputs) -> dict[str, Array]:
    """``outputs`` of the file as real numbers."""
    specs = {spec.name: spec for spec in open_runtime(artifact.path).outputs}
    return {n: np.asarray(dequantize(v, specs[n]) if specs[n].quantized else v) for n, v in outputs.items()}


def _within(artifact: Artifact, here: Outputs, there: Outputs) -> bool:
    both = (real(artifact, answers(artifact.card, outputs)) for outputs in (here, there))
    graph = (tflite if artifact.format is Format.TFLITE else onnx).read_graph(artifact.path)
    return exceeded(limits_of(artifact, graph), *both) is None
