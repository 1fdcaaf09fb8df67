"""Architectures side by side: size and computation, activations by resolution, and widths times image sizes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgekit.models.build import build
from edgekit.models.complexity import Complexity, complexity
from edgekit.models.spec import ModelSpec, Value, Variant
from edgekit.workers import Progress, silent

HALF_FLOAT_BYTES = 2
"""Bytes of an activation value in the table of activations (Sandler et al. 2018, table 3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantFigures:
    """A published variant, and what our graph of its width and size has."""

    published: Variant
    parameters: int
    macs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFigures:
    """What is compared of an entry: its graph by default, ``widest`` (side: channels), and its variants."""

    spec: ModelSpec
    default: Complexity
    widest: dict[int, int]
    variants: tuple[VariantFigures, ...]


def compare_entries(specs: Sequence[ModelSpec], *, progress: Progress = silent) -> tuple[EntryFigures, ...]:
    """The figures of ``specs``, all read from their graphs, which are built one after the other."""
    total = sum(1 + len(spec.published.variants) for spec in specs)
    done = 0

    def built(spec: ModelSpec, **arguments: Value) -> Any:
        nonlocal done
        model = build(spec, seed=0, **arguments)
        done += 1
        progress("building", done, total)
        return model

    found = []
    for spec in specs:
        model = built(spec)
        variants = []
        for variant in spec.published.variants:
            figures = complexity(built(spec, alpha=variant.alpha, size=variant.size))
            variants.append(VariantFigures(published=variant, parameters=figures.parameters, macs=figures.macs))
        found.append(
            EntryFigures(
                spec=spec, default=complexity(model), widest=widest(model, spec.inner), variants=tuple(variants)
            )
        )
    return tuple(found)


def widest(model: Any, inner: str) -> dict[int, int]:
    """The most channels of an activation between blocks, by side in pixels, largest side first.

    Layers whose names begin with the pattern ``inner`` are inside blocks, of which a part of the channels can be
    computed at a time (Sandler et al. 2018, section 5.1).
    """
    found: dict[int, int] = {}
    for layer in model.layers[1:]:
        shape = layer.output.shape
        if len(shape) == 4 and not (inner and re.match(inner, layer.name)):
            found[shape[1]] = max(found.get(shape[1], 0), shape[3])
    return dict(sorted(found.items(), reverse=True))


def kilobytes_of(side: int, channels: int) -> float:
    """Memory of an activation of 16-bit values, in units of 1,000 bytes.

    >>> round(kilobytes_of(112, 64))
    1606
    """
    return side * side * channels * HALF_FLOAT_BYTES / 1000
