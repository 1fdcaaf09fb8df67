"""A scatter plot as a piece of SVG: axes with units, error bars, and labels that keep out of each other's way."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 560, 400  # user units; the page scales them
LEFT, RIGHT, TOP, BOTTOM = 62, 18, 16, 52
CHARACTER = 8.0  # mean width of a label's character at 13 units, generous for a sans-serif
LINE = 14.0  # height of a label
RADIUS = 5.5
LOG_FROM = 20.0  # an axis whose values span more than this factor is logarithmic


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One mark: ``low`` and ``high`` draw an error bar over y; ``group`` is its CSS class and chooses its shape.

    An empty ``label`` draws none.
    """

    x: float
    y: float
    label: str
    group: str
    tooltip: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in user units."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: "Box") -> float:
        """Area that both cover."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return width * height if width > 0 and height > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps values to user units between ``start`` and ``end``."""

    low: float
    high: float
    start: float
    end: float
    log: bool

    def place(self, value: float) -> float:
        """The position of ``value``."""
        low, high, v = (math.log10(t) if self.log else t for t in (self.low, self.high, value))
        return self.start + (v - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values inside the axis: 1, 2, 5 times powers of ten, or steps of these on a linear axis."""
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            values = [m * 10.0**d for d in decades for m in (1, 2, 5)]
        else:
            step = nice_step((self.high - self.low) / 5)
            first = math.ceil(self.low / step - 1e-9)
            values = [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]
        return [v for v in values if self.low <= v * (1 + 1e-9) and v <= self.high * (1 + 1e-9) + 1e-12]


def nice_step(rough: float) -> float:
    """The smallest of 1, 2, 2.5, 5, 10 times a power of ten that is ``rough`` or more.

    >>> nice_step(0.03), nice_step(7)
    (0.05, 10.0)
    """
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * (1 - 1e-9))


def scatter(points: Sequence[Point], *, title: str, x_label: str, y_label: str) -> str:
    """``points`` (one or more, finite, x above zero) as an ``<svg>`` element; all text is escaped."""
    x_axis = _axis([p.x for p in points], LEFT, WIDTH - RIGHT, floor=0.0, may_log=True)
    heights = [v for p in points for v in (p.y, p.low, p.high) if v is not None]
    y_axis = _axis(heights, HEIGHT - BOTTOM, TOP, floor=None, may_log=False)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        *_frame(x_axis, y_axis, x_label, y_label),
        *_marks(points, x_axis, y_axis),
        "</svg>",
    ]
    return "\n".join(parts)


def shape(group: str, x: float, y: float) -> str:
    """The mark of a group at (x, y): a circle for tflite or first, a square for onnx or second, else a diamond."""
    r = RADIUS
    match group:
        case "tflite" | "first":
            return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r}"/>'
        case "onnx" | "second":
            return f'<rect x="{x - r:.1f}" y="{y - r:.1f}" width="{2 * r}" height="{2 * r}" rx="1"/>'
        case _:
            d = r * 1.3
            return f'<path d="M{x:.1f} {y - d:.1f}l{d} {d}l-{d} {d}l-{d} -{d}z"/>'


def _axis(values: Sequence[float], start: float, end: float, *, floor: float | None, may_log: bool) -> Axis:
    low, high = min(values), max(values)
    if may_log and high / low > LOG_FROM:
        return Axis(low / 1.5, high * 1.5, start, end, log=True)
    margin = (high - low) * 0.12 or abs(high) * 0.1 or 1.0
    low, high = low - margin, high + margin
    return Axis(low if floor is None else max(floor, low), high, start, end, log=False)


def _number(value: float) -> str:
    return f"{value:,.6g}"


def _frame(x_axis: Axis, y_axis: Axis, x_label: str, y_label: str) -> list[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for value in x_axis.ticks():
        x = x_axis.place(value)
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{bottom}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{_number(value)}</text>')
    for value in y_axis.ticks():
        y = y_axis.place(value)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_number(value)}</text>')
    parts.append(f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>')
    scale = ", logarithmic" if x_axis.log else ""
    middle_x, middle_y = (LEFT + right) / 2, (TOP + bottom) / 2
    parts.append(
        f'<text class="name" x="{middle_x}" y="{HEIGHT - 10}" text-anchor="middle">{escape(x_label + scale)}</text>'
    )
    parts.append(
        f'<text class="name" transform="translate(15 {middle_y}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_label)}</text>"
    )
    return parts


def _marks(points: Sequence[Point], x_axis: Axis, y_axis: Axis) -> list[str]:
    places = [(x_axis.place(p.x), y_axis.place(p.y)) for p in points]
    bars = [
        f'<path class="bar {escape(p.group)}" d="M{x:.1f} {y_axis.place(p.low):.1f}V{y_axis.place(p.high):.1f}"/>'
        for p, (x, _) in zip(points, places, strict=True)
        if p.low is not None and p.high is not None
    ]
    marks = [
        f'<g class="mark {escape(p.group)}"><title>{escape(p.tooltip)}</title>{shape(p.group, x, y)}</g>'
        for p, (x, y) in zip(points, places, strict=True)
    ]
    return [*bars, *marks, *_labels(points, places)]


def _labels(points: Sequence[Point], places: Sequence[tuple[float, float]]) -> list[str]:
    """Each label on the side of its point where it covers least of what is there already; a line joins distant ones."""
    taken = [Box(x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS) for x, y in places]
    parts = []
    for point, (x, y) in ((p, place) for p, place in zip(points, places, strict=True) if p.label):
        box = min(_candidates(point.label, x, y), key=lambda b: _cost(b, x, y, taken))
        taken.append(box)
        middle_x, middle_y = (box.left + box.right) / 2, (box.top + box.bottom) / 2
        if math.hypot(middle_x - x, middle_y - y) > (box.right - box.left) / 2 + 3 * RADIUS:
            end_y = box.bottom if middle_y < y else box.top
            parts.append(f'<line class="leader" x1="{x:.1f}" y1="{y:.1f}" x2="{middle_x:.1f}" y2="{end_y:.1f}"/>')
        parts.append(
            f'<text class="label {escape(point.group)}" x="{middle_x:.1f}" y="{box.bottom - 3:.1f}" '
            f'text-anchor="middle">{escape(point.label)}</text>'
        )
    return parts


def _candidates(label: str, x: float, y: float) -> list[Box]:
    width = len(label) * CHARACTER
    gap = RADIUS + 3
    centres = [
        (x + gap + width / 2, y),
        (x - gap - width / 2, y),
        (x, y - gap - LINE / 2),
        (x, y + gap + LINE / 2),
    ]
    for rows in range(1, 7):
        centres += [
            (x + side * (gap + width / 2), y + direction * rows * LINE) for side in (1, -1) for direction in (-1, 1)
        ]
    return [Box(cx - width / 2, cy - LINE / 2, cx + width / 2, cy + LINE / 2) for cx, cy in centres]


def _cost(box: Box, x: float, y: float, taken: Sequence[Box]) -> float:
    inside = box.overlap(Box(LEFT + 2, TOP, WIDTH - 2, HEIGHT - BOTTOM))
    outside = (box.right - box.left) * (box.bottom - box.top) - inside
    distance = math.hypot((box.left + box.right) / 2 - x, (box.top + box.bottom) / 2 - y)
    return 10 * outside + 4 * sum(box.overlap(other) for other in taken) + 0.05 * distance
