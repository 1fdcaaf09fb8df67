"""Activation ranges: clipped where that lowers the error, shared along operators that hand values through."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.converters.ranges import OUTPUT_MARGIN, RangeFinder, least_error_range, tied
from edgekit.formats.graph import Graph, Node


def error(values: npt.NDArray[np.float32], low: float, high: float) -> float:
    """Mean squared error of 256 levels from low to high, in float64 and one value at a time."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255
    zero = round(-low / scale)
    return float(np.mean([(((min(max(round(v / scale) + zero, 0), 255)) - zero) * scale - v) ** 2 for v in values]))


def graph(*nodes: tuple[str, str, str], output: str) -> Graph:
    """A chain of (operator, input tensor, output tensor)."""
    return Graph(
        inputs=(),
        outputs=(),
        input_tensors={},
        output_tensors={"logits": output},
        nodes=tuple(Node(name=o, op=op, inputs=(i,), outputs=(o,), version=1) for op, i, o in nodes),
        tensors={},
        versions={},
    )


def seen(**tensors: npt.NDArray[np.float32]) -> RangeFinder:
    finder = RangeFinder(1, 0)
    for name, values in tensors.items():
        finder.see(name, values)
    return finder


BELL = np.random.default_rng(0).normal(size=300_000).astype(np.float32)
WITH_OUTLIER = np.append(np.abs(BELL), np.float32(40.0))


def test_an_outlier_is_clipped_because_that_costs_less() -> None:
    low, high = least_error_range(WITH_OUTLIER, 0.0, 40.0)
    assert low == 0.0
    # (40 - h)^2 / 300,000 of clipping against h^2 / (12 * 255^2) of rounding: best at h = 28.9.
    assert high == pytest.approx(28.9, abs=0.5)
    assert error(WITH_OUTLIER, low, high) < 0.75 * error(WITH_OUTLIER, 0.0, 40.0)


def test_the_end_with_the_outlier_is_clipped_further_than_the_other() -> None:
    values = np.append(BELL, np.float32(-40.0))
    low, high = least_error_range(values, -40.0, float(BELL.max()))
    assert low / -40.0 < high / BELL.max()


def test_evenly_spread_values_are_not_clipped() -> None:
    spread = np.linspace(0, 6, 5000, dtype=np.float32)
    assert least_error_range(spread, 0.0, 6.0) == (0.0, 6.0)


@given(st.lists(st.floats(-100, 100, width=32), min_size=2, max_size=40).filter(lambda v: max(v) - min(v) > 1e-2))
def test_never_worse_than_from_smallest_to_largest(items: list[float]) -> None:
    values = np.array(items, np.float32)
    low, high = float(values.min()), float(values.max())
    found = least_error_range(values, low, high)
    assert error(values, *found) <= error(values, low, high) * 1.001 + 1e-6
    assert min(low, 0.0) <= found[0] <= 0.0 <= found[1] <= max(high, 0.0)


def test_a_tensor_that_is_always_zero_keeps_its_extremes() -> None:
    assert least_error_range(np.zeros(9, np.float32), 0.0, 0.0) == (0.0, 0.0)


def test_padding_shares_the_range_of_what_it_pads() -> None:
    finder = seen(x=WITH_OUTLIER, padded=np.append(WITH_OUTLIER, np.zeros(5_000, np.float32)), y=BELL)
    ranges = finder.best(graph(("PAD", "x", "padded"), ("CONV_2D", "padded", "y"), output="y"))
    assert ranges["padded"] == ranges["x"]
    assert ranges["x"][1] < 39.0


@pytest.mark.parametrize(
    ("maker", "margin"), [("FULLY_CONNECTED", OUTPUT_MARGIN), ("Gemm", OUTPUT_MARGIN), ("TANH", 1.0)]
)
def test_unbounded_outputs_get_room_for_items_not_seen(maker: str, margin: float) -> None:
    finder = seen(x=BELL, y=BELL)
    ranges = finder.best(graph((maker, "x", "y"), ("RESHAPE", "y", "z"), output="z"))
    assert ranges["y"] == pytest.approx((BELL.min() * margin, BELL.max() * margin))


def test_outputs_that_were_never_negative_get_no_room() -> None:
    finder = seen(x=BELL, y=np.abs(BELL))  # the operator ends in a ReLU
    ranges = finder.best(graph(("FULLY_CONNECTED", "x", "y"), output="y"))
    assert ranges["y"] == (float(np.abs(BELL).min()), float(np.abs(BELL).max()))


def test_means_are_never_clipped() -> None:
    finder = seen(x=BELL, mean=WITH_OUTLIER, y=BELL)
    ranges = finder.best(graph(("MEAN", "x", "mean"), ("FULLY_CONNECTED", "mean", "y"), output="y"))
    assert ranges["mean"] == (float(WITH_OUTLIER.min()), 40.0)


def test_extremes_cover_every_item_and_samples_are_bounded() -> None:
    finder = RangeFinder(3, 0)
    for value in (1.0, -7.0, 3.0):
        finder.see("x", np.full(100_000, value, np.float32))
    assert finder.extremes() == {"x": (-7.0, 3.0)}
    assert sum(len(v) for v in finder._seen["x"].values) == 60_000


def test_the_kept_samples_are_drawn_by_the_seed() -> None:
    kept = []
    for seed in (0, 0, 1):
        finder = RangeFinder(1, seed)
        finder.see("x", BELL)
        kept.append(finder._seen["x"].values[0])
    np.testing.assert_array_equal(kept[0], kept[1])
    assert (kept[0] != kept[2]).any()


def test_a_tensor_without_values_has_no_range() -> None:
    assert seen(x=np.zeros((0, 3), np.float32)).extremes() == {}


def test_both_ends_of_a_state_have_one_range() -> None:
    read = Graph(
        inputs=(),
        outputs=(),
        input_tensors={"h": "before", "c": "cell"},
        output_tensors={"h_next": "copy", "c_next": "sum"},
        nodes=(
            Node(name="m", op="MUL", inputs=("before",), outputs=("after",), version=1),
            Node(name="r", op="RESHAPE", inputs=("after",), outputs=("copy",), version=1),
        ),
        tensors={},
        versions={},
    )
    ends = {"before": (-0.5, 0.9), "after": (-1.0, 0.8), "copy": (-1.0, 0.8), "other": (0.0, 1.0)}
    found = tied(ends, read, [("h", "h_next"), ("c", "c_next")])
    assert found == {**dict.fromkeys(("before", "after", "copy"), (-1.0, 0.9)), "other": (0.0, 1.0)}
    squashed = replace(read, nodes=(replace(read.nodes[0], op="TANH"), read.nodes[1]))
    assert tied(ends, squashed, [("h", "h_next")])["before"] == (-1.0, 127 / 128)
