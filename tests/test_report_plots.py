"""The plots and words of a report by themselves."""

import re
from xml.etree import ElementTree

import pytest

from edgekit.report.layer_plot import LayerBar, profile
from edgekit.report.svg import Point, scatter
from edgekit.report.words import kilobytes, milliseconds


def test_points_lie_where_their_values_are() -> None:
    """Twice the value is twice as far from the axis on a linear scale that begins at zero."""
    drawn = scatter(
        [
            Point(x=x, y=y, label=f"p{x}", group="tflite", tooltip="t")
            for x, y in ((1.0, 10.0), (2.0, 20.0), (3.0, 30.0))
        ],
        title="t",
        x_label="x",
        y_label="y",
    )
    marks = [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', drawn)]
    (x1, y1), (x2, y2), (x3, y3) = marks
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.11)
    assert y1 - y2 == pytest.approx(y2 - y3, abs=0.11)
    assert x1 < x2
    assert y1 > y2
    assert "logarithmic" not in drawn


def test_a_wide_range_is_drawn_on_a_logarithmic_axis() -> None:
    points = [Point(x=x, y=1.0, label="p", group="onnx", tooltip="t") for x in (0.4, 4.0, 40.0)]
    drawn = scatter(points, title="t", x_label="ms", y_label="y")
    centres = [float(x) for x in re.findall(r'<rect x="([\d.]+)"', drawn)]
    assert centres[1] - centres[0] == pytest.approx(centres[2] - centres[1], abs=0.11)
    assert "ms, logarithmic" in drawn


def test_labels_of_neighbours_do_not_cover_each_other() -> None:
    points = [
        Point(x=1.0 + 0.002 * i, y=97.0 + 0.01 * i, label=name, group="tflite", tooltip=name)
        for i, name in enumerate(("fp32", "fp16", "dynamic", "int8", "int16x8"))
    ]
    points.append(Point(x=2.0, y=90.0, label="far", group="tflite", tooltip="far"))
    drawn = scatter(points, title="t", x_label="x", y_label="y")
    labels = [
        (float(x), float(y), len(text))
        for x, y, text in re.findall(r'<text class="label tflite" x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]+)<', drawn)
    ]
    assert len(labels) == 6
    for i, (x, y, n) in enumerate(labels):
        for other_x, other_y, m in labels[i + 1 :]:
            assert abs(y - other_y) >= 13 or abs(x - other_x) >= (n + m) * 3.4


@pytest.mark.parametrize(("size", "text"), [(845, "845 B"), (84_512, "84.5 kB"), (3_900_000, "3.90 MB")])
def test_sizes_for_people(size: int, text: str) -> None:
    assert kilobytes(size) == text


@pytest.mark.parametrize(("value", "text"), [(0.045, "0.0450"), (6.123, "6.12"), (42.19, "42.2"), (253.2, "253")])
def test_times_for_people(value: float, text: str) -> None:
    assert milliseconds(value) == text


def test_the_plot_of_layers_is_well_formed_and_keeps_inside_its_box() -> None:
    bars = [LayerBar(name=f"l<{i}>", db=db, share=0.25) for i, db in enumerate((200.0, 12.0, None, -3.0))]
    drawn = profile(bars, title="<t>", group="onnx")
    ElementTree.fromstring(drawn)  # noqa: S314 - made here
    heights = [float(y) for y in re.findall(r'cy="([^"]+)"', drawn)]
    assert len(heights) == 3
    assert all(0 <= y <= 400 for y in heights)
    assert heights[0] < heights[1] < heights[2]
