"""SQNR by layer as a piece of SVG: a line in the order of execution, and bars for the shares of the output error."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from edgekit.report.svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axis

HIGHEST_DB = 60.0
"""What is better is drawn here: it is float, and differences there say nothing."""
SHARES = 60.0
"""Height of the strip of bars, in user units."""
LABELLED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerBar:
    """One layer: ``db`` and ``share`` (0..1) may be unknown."""

    name: str
    db: float | None
    share: float | None


def profile(layers: Sequence[LayerBar], *, title: str, group: str) -> str:
    """``layers`` (one or more) as an ``<svg>`` element; all text is escaped."""
    known = [min(layer.db, HIGHEST_DB) for layer in layers if layer.db is not None]
    bottom = HEIGHT - BOTTOM - SHARES
    y_axis = Axis(min(0.0, *known), max(10.0, *known), bottom, TOP, log=False)
    step = (WIDTH - LEFT - RIGHT) / len(layers)
    places = [LEFT + step * (i + 0.5) for i in range(len(layers))]
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">']
    for value in y_axis.ticks():
        y = y_axis.place(value)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    parts += _bars(layers, places, step, bottom, group)
    points = [
        (x, y_axis.place(min(layer.db, HIGHEST_DB)), layer)
        for x, layer in zip(places, layers, strict=True)
        if layer.db is not None
    ]
    line = "L".join(f"{x:.1f} {y:.1f}" for x, y, _ in points)
    parts.append(f'<path class="bar {escape(group)}" d="M{line}"/>')
    parts += [
        f'<g class="mark {escape(group)}"><title>{escape(_tooltip(layer))}</title>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5"/></g>'
        for x, y, layer in points
    ]
    parts.append(f'<path class="axis" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>')
    parts.append(
        f'<text class="name" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">layers</text>'
    )
    parts.append(
        f'<text class="name" transform="translate(15 {(TOP + bottom) / 2}) rotate(-90)" text-anchor="middle">'
        "SQNR, dB</text>"
    )
    return "\n".join([*parts, "</svg>"])


def _bars(layers: Sequence[LayerBar], places: Sequence[float], step: float, top: float, group: str) -> list[str]:
    """Shares hang from ``top``; the largest ones carry the names of their layers."""
    largest = max((layer.share or 0.0 for layer in layers), default=0.0)
    if largest == 0.0:
        return []
    ranked = sorted(range(len(layers)), key=lambda i: layers[i].share or 0.0, reverse=True)[:LABELLED]
    parts = []
    for position, (x, layer) in enumerate(zip(places, layers, strict=True)):
        height = (layer.share or 0.0) / largest * (SHARES - 6)
        parts.append(
            f'<g class="mark {escape(group)}"><title>{escape(_tooltip(layer))}</title><rect x="{x - 0.4 * step:.1f}" '
            f'y="{top + 4:.1f}" width="{0.8 * step:.1f}" height="{height:.1f}"/></g>'
        )
        if position in ranked:
            anchor = "end" if x > WIDTH / 2 else "start"
            row = ranked.index(position)
            parts.append(
                f'<text class="label {escape(group)}" x="{x:.1f}" y="{TOP + 14 + 15 * row}" text-anchor="{anchor}">'
                f"{escape(layer.name)} {100 * (layer.share or 0.0):.0f} %</text>"
            )
    return parts


def _tooltip(layer: LayerBar) -> str:
    share = "" if layer.share is None else f", {100 * layer.share:.1f} % of the error"
    return f"{layer.name}: {'not finite' if layer.db is None else f'{layer.db:.1f} dB'}{share}"
