"""Figures of the files that make one model."""

from typing import Any

import pytest

from edgekit.stage_figures import as_one, by_kind, image_p50_ms


def converted(name: str, size: int, ratio: float, max_abs: float, sqnr_db: float, *floats: str) -> dict[str, Any]:
    return {
        "artifact": name,
        "format": "onnx",
        "recipe": "int8",
        "model_bytes": size,
        "ratio": ratio,
        "metrics": {"max_abs": max_abs, "sqnr_db": sqnr_db, "cosine": 0.9},
        "float_ops": [{"op": op} for op in floats],
    }


def test_a_single_file_stays_as_it_is() -> None:
    row = converted("a", 100, 3.5, 0.1, 20.0, "Mul")
    assert as_one([row]) == row


def test_sizes_are_added_and_the_worst_figures_told() -> None:
    found = as_one([converted("a.heads", 300, 4.0, 0.5, 30.0, "Mul"), converted("a", 100, 2.0, 0.1, 10.0, "Add")])
    assert (found["artifact"], found["model_bytes"], found["ratio"]) == ("a", 400, 3.5)  # of 1,200 and 200 bytes
    assert found["metrics"] == {"max_abs": 0.5, "sqnr_db": 10.0, "cosine": 0.9}
    assert found["float_ops"] == [{"op": "Mul"}, {"op": "Add"}]


@pytest.mark.parametrize(
    ("times", "detection", "expected"),
    [
        ((2.0,), None, 2.0),
        ((2.0,), {"proposals": None, "search": None}, 2.0),
        ((2.0, 0.1), {"proposals": {"count": 30}, "search": None}, 5.0),
        ((2.0,), {"proposals": None, "search": {"count": 30}}, 60.0),
    ],
)
def test_the_time_of_an_image_counts_its_regions(times: Any, detection: Any, expected: float) -> None:
    rows = [{"latency_ms": {"p50": value}} for value in times]
    assert image_p50_ms(rows, detection) == pytest.approx(expected)


def test_rows_of_a_kind_keep_their_order() -> None:
    rows = [
        converted("a.heads", 1, 1, 0, 1),
        {**converted("b", 1, 1, 0, 1), "recipe": "fp32"},
        converted("a", 1, 1, 0, 1),
    ]
    found = by_kind(rows)
    assert [row["artifact"] for row in found["onnx", "int8"]] == ["a.heads", "a"]
    assert list(found) == [("onnx", "int8"), ("onnx", "fp32")]


def test_a_file_that_serves_all_recipes_is_with_each_of_its_format() -> None:
    int8 = converted("out/a.int8", 100, 3.0, 0.1, 10.0)
    rows = [
        {**converted("out/a.head", 60, 1.0, 0.0, 90.0), "recipe": "fp32"},
        {**converted("out/a.fp32", 300, 1.0, 0.0, 80.0), "recipe": "fp32"},
        int8,
        {**int8, "format": "tflite"},
    ]
    found = by_kind(rows, shared={"a.head"})
    assert {kind: [row["artifact"] for row in of_kind] for kind, of_kind in found.items()} == {
        ("onnx", "fp32"): ["out/a.head", "out/a.fp32"],
        ("onnx", "int8"): ["out/a.head", "out/a.int8"],
        ("tflite", "int8"): ["out/a.int8"],
    }
    assert (as_one(found["onnx", "int8"])["model_bytes"], as_one(found["onnx", "int8"])["ratio"]) == (160, 2.25)
