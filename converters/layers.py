"""Layer names in a lowered file, and prepared weights in it; the same for both formats, whose edits differ."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edgekit.converters.accuracy.network import Kind
from edgekit.converters.accuracy.probe import Array, Probe, same
from edgekit.errors import ConversionError

_PREPARED = 1e-3
"""Tolerance of prepared weights. Steps that make large sums cancel raise the rounding of floats, to 1.3e-4 in a network
that learned from 33 photos; a kernel in a wrong place differs by more than a tenth.
"""

Operators = Mapping[str, tuple[Kind, Any]]


def layer_values(probe: Probe, *, before_first: bool) -> list[tuple[str, Array]]:
    """Layers and their values in the order of execution, each with its value before its rectifier.

    ``before_first`` says which of the two comes first in the file, where both are equal.
    """
    found: list[tuple[str, Array]] = []
    for name, values in probe.values.items():
        if name in probe.before:
            pair = [(probe.before[name], probe.values[probe.before[name]]), (name, values)]
            found += pair if before_first else pair[::-1]
        elif name not in probe.before.values():
            found.append((name, values))
    return found


def match_weights(
    probe: Probe,
    operators: Operators,
    kernel_of: Callable[[Any], Array | None],
    file_order: Callable[[Array, Kind, Any], Array],
) -> tuple[dict[str, str], dict[str, str]]:
    """By layer, the output tensor of the operator that holds its weights; for the others the reason why none does."""
    found: dict[str, str] = {}
    missing: dict[str, str] = {}
    for layer, (kind, kernel, _) in probe.weights.items():
        tensor = next((n for n in (layer, probe.before.get(layer)) if n in operators), None)
        if tensor is None:
            missing[layer] = "the file has no single operator for it"
            continue
        found_kind, operator = operators[tensor]
        held, wanted = kernel_of(operator), file_order(kernel, kind, operator)
        limit = 1e-4 * float(np.abs(wanted).max(initial=0.0))
        if found_kind != kind or held is None or held.shape != wanted.shape or np.abs(held - wanted).max() > limit:
            missing[layer] = "the file holds other weights for it"
        else:
            found[layer] = tensor
    return found, missing


def require_values(found: Mapping[str, Array], probe: Probe, what: str) -> None:
    """`ConversionError` when a named tensor of the file with the prepared weights has other values than the network."""
    for name, wanted in probe.values.items():
        if name in found and not same(found[name], wanted, _PREPARED):
            raise ConversionError(
                f"the prepared weights give {name!r} of {what} other values than the prepared network: leave its layer "
                "out with --exclude, or all accuracy steps with --plain."
            )
