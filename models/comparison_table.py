"""What is told of architectures side by side, as JSON and as table rows."""

from collections.abc import Mapping, Sequence
from typing import Any

from edgekit.codec import to_jsonable
from edgekit.errors import InputError
from edgekit.models.comparison import EntryFigures, VariantFigures, kilobytes_of
from edgekit.models.spec import ModelSpec

Json = dict[str, Any]
Table = tuple[str, list[str], list[list[str]]]
"""Title, columns and rows."""

AGREED = 0.02
"""Relative difference from a published figure that needs no word: figures are printed with few digits."""
PRINTED = 1e6
"""Multiply-accumulates of variants are printed in whole millions, cut off or rounded."""

Key = tuple[str, float, int]
"""Name, width and size of a variant."""
Latencies = Mapping[Key, float]
"""Milliseconds."""


def require_comparable(specs: Sequence[ModelSpec], *, plotted: bool) -> None:
    """`InputError` for a name given twice, and where there is to be a plot but no published variant."""
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"The model {name} is named twice; name it once.")
    for spec in specs:
        if plotted and not spec.published.variants:
            raise InputError(f"{spec.name} has no published widths and image sizes to plot; leave --plot out.")


def comparison_entry(entry: EntryFigures, latencies: Latencies) -> Json:
    """An entry for JSON; accuracies are the published ones."""
    return {
        "name": entry.spec.name,
        "metrics": {
            **to_jsonable(entry.default),
            "activation_bytes_int8": entry.default.activation_bytes_int8,
        },
        "published": to_jsonable(entry.spec.published),
        "widest": [{"side": side, "channels": channels} for side, channels in entry.widest.items()],
        "variants": [
            {
                **to_jsonable(v.published),
                "published_macs": v.published.macs,
                "macs": v.macs,
                "parameters": v.parameters,
                "p50_ms": latencies.get(_key(entry, v)),
            }
            for v in entry.variants
        ],
    }


def size_table(entries: Sequence[EntryFigures]) -> Table:
    """Parameters and multiply-accumulates beside the published ones."""
    rows = []
    for entry in entries:
        here, printed = entry.default, entry.spec.published
        rows.append(
            [
                entry.spec.name,
                _millions(here.parameters),
                _beside(here.parameters, printed.parameters),
                _millions(here.macs),
                _beside(here.macs, printed.macs),
                f"{here.activation_bytes_int8 / 1000:,.0f}",
            ]
        )
    columns = ["model", "parameters, M", "published", "multiply-accumulates, M", "published", "activations int8, kB"]
    return "Size and computation (activations: the most that is alive at once, layer by layer)", columns, rows


def activation_table(entries: Sequence[EntryFigures]) -> Table:
    """Channels and memory of the widest activation between blocks at each resolution, the largest memory last."""
    sides = sorted({side for entry in entries for side in entry.widest}, reverse=True)
    columns = ["side, pixels"]
    for entry in entries:
        columns += [f"{entry.spec.name}, channels", "kB of 16 bits", "published, channels"]
    rows = []
    for side in sides:
        row = [f"{side}"]
        for entry in entries:
            channels = entry.widest.get(side)
            printed = entry.spec.published.widest.get(side)
            row += ["–", "–"] if channels is None else [f"{channels}", f"{kilobytes_of(side, channels):,.0f}"]
            row.append("" if printed is None else f"{printed}")
        rows.append(row)
    largest = ["largest"]
    for entry in entries:
        printed_kb = max((kilobytes_of(s, c) for s, c in entry.spec.published.widest.items()), default=None)
        here_kb = max((kilobytes_of(s, c) for s, c in entry.widest.items()), default=None)
        largest += ["", "–" if here_kb is None else f"{here_kb:,.0f}"]
        largest.append("" if printed_kb is None else f"{printed_kb:,.0f} kB")
    return "Activations between blocks", columns, [*rows, largest]


def variant_table(entries: Sequence[EntryFigures], latencies: Latencies) -> Table:
    """Widths and image sizes: published accuracy, computation, and where it was measured latency."""
    columns = ["model", "width", "size", "top-1 published, %", "multiply-accumulates, M", "published"]
    columns += ["parameters, M", *(["p50, ms"] if latencies else [])]
    rows = [
        [
            entry.spec.name,
            f"{v.published.alpha:g}",
            f"{v.published.size}",
            f"{100 * v.published.top1:.1f}",
            f"{v.macs / 1e6:.1f}",
            _beside(v.macs, v.published.macs),
            _millions(v.parameters),
            *([f"{latencies[_key(entry, v)]:.2f}"] if latencies else []),
        ]
        for entry in entries
        for v in entry.variants
    ]
    return "Width and image size", columns, rows


def explanations(entries: Sequence[EntryFigures]) -> list[str]:
    """Why figures differ from the published ones, and which variants do."""
    found = [f"{entry.spec.name}: {note}" for entry in entries for note in entry.spec.published.notes]
    for entry in entries:
        off = [v for v in entry.variants if abs(v.macs - v.published.macs) > max(AGREED * v.published.macs, PRINTED)]
        if off:
            listed = ", ".join(f"{v.published.alpha:g}-{v.published.size}" for v in off)
            found.append(f"{entry.spec.name}: the page of checkpoints has other multiply-accumulates for {listed}.")
    return found


def _key(entry: EntryFigures, variant: VariantFigures) -> Key:
    return entry.spec.name, variant.published.alpha, variant.published.size


def _millions(count: int) -> str:
    return f"{count / 1e6:.2f}"


def _beside(here: int, published: int | None) -> str:
    """The published figure in millions, and by how much ours differs."""
    return "" if published is None else f"{published / 1e6:g} ({here / published - 1:+.1%})"
