"""Lines over time as a picture, drawn by Pillow, which every device with edgekit has."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.report.svg import Axis

WIDTH, HEIGHT = 1200, 480
"""Pixels of a panel."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 110, 30, 60, 50
_LETTERS = 20
_COLOURS = ((27, 35, 48), (185, 80, 10), (29, 99, 200), (86, 97, 115))
_GRID, _GROUND = (223, 227, 234), (255, 255, 255)
_THICK = 2


@dataclass(frozen=True, slots=True)
class Line:
    """Values (count,), one a step, finite."""

    name: str
    values: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Lines of one length over the steps from ``first`` on."""

    title: str
    lines: Sequence[Line]
    first: int = 0


def png(panels: Sequence[Panel]) -> bytes:
    """``panels``, one below the other, as the bytes of a PNG."""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("RGB", (WIDTH, HEIGHT * len(panels)), _GROUND)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(_LETTERS)
    for number, panel in enumerate(panels):
        _panel(draw, font, panel, number * HEIGHT)
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    return stream.getvalue()


def _panel(draw: Any, font: Any, panel: Panel, top: int) -> None:
    count = len(panel.lines[0].values)
    values = np.concatenate([line.values for line in panel.lines])
    margin = float(np.ptp(values)) * 0.05 or abs(float(values[0])) * 0.1 or 1.0
    bottom = top + HEIGHT - _BOTTOM
    x_axis = Axis(panel.first, panel.first + max(1, count - 1), _LEFT, WIDTH - _RIGHT, log=False)
    y_axis = Axis(float(values.min()) - margin, float(values.max()) + margin, bottom, top + _TOP, log=False)
    for tick in y_axis.ticks():
        y = y_axis.place(tick)
        draw.line([(_LEFT, y), (WIDTH - _RIGHT, y)], fill=_GRID)
        draw.text((_LEFT - 10, y), f"{tick:,.6g}", font=font, fill=_COLOURS[3], anchor="rm")
    for tick in x_axis.ticks():
        draw.text((x_axis.place(tick), bottom + 10), f"{tick:,.6g}", font=font, fill=_COLOURS[3], anchor="mt")
    draw.line([(_LEFT, top + _TOP), (_LEFT, bottom), (WIDTH - _RIGHT, bottom)], fill=_COLOURS[3])
    x, title = _LEFT + 10, panel.title.encode("ascii", "replace").decode()
    draw.text((x, top + 28), title, font=font, fill=_COLOURS[0], anchor="lm")
    x += int(font.getlength(title)) + 40
    for line, colour in zip(panel.lines, _COLOURS, strict=False):
        points = [(x_axis.place(panel.first + i), y_axis.place(float(v))) for i, v in enumerate(line.values)]
        draw.line(points if len(points) > 1 else [*points, *points], fill=colour, width=_THICK)
        draw.line([(x, top + 28), (x + 30, top + 28)], fill=colour, width=2 * _THICK)
        draw.text((x + 40, top + 28), line.name, font=font, fill=_COLOURS[0], anchor="lm")
        x += 80 + int(font.getlength(line.name))
