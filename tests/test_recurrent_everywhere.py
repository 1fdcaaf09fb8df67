"""The table of every recurrent model: what its rows say, and when the claim fails."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from test_evaluate_sequences import BOOK, NEXT
from tiny_sequences import generator, stepper

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import recurrent_everywhere as everywhere

WORKS = {
    "model": "lstm",
    "format": "tflite",
    "recipe": "int8",
    "form": "step",
    "works": True,
    "parity": {"sqnr_db": 31.26},
    "sha256": "0",
    "model_bytes": 12_345,
    "p50_ms": 0.1234,
    "custom_operators": [],
    "metrics": {"nats_per_token": 1.3, "top1": 0.6},
    "elsewhere": {"[litert]": {"agreement": 1.0}, "cortex-a72": {"agreement": 1.0}},
}
REFUSED = {**{k: WORKS[k] for k in ("model", "format", "recipe", "form")}, "works": False, "reason": "No kernel."}


def test_rows_tell_what_works_and_why_not() -> None:
    assert everywhere.line(WORKS) == (
        "| lstm | tflite | int8 | step | works | 31.3 | nats/token 1.3000 | 12.3 | 0.123 | [litert] 1.000, cortex-a72 "
        "1.000 |"
    )
    assert everywhere.line(REFUSED) == "| lstm | tflite | int8 | step | refused: No kernel. | | | | | |"
    source = {"model": "lstm", "format": "keras", "works": True, "metrics": {"mse_ratio": 0.98}}
    assert everywhere.line(source) == "| lstm | keras | - | whole | source | | MSE ratio 0.980 | | | |"
    assert len({row.count("|") for row in everywhere.table([WORKS, REFUSED, source]).splitlines()}) == 1
    others = [
        REFUSED,
        WORKS,
        {**REFUSED, "format": "onnx"},
        {**REFUSED, "recipe": "fp16"},
        {**REFUSED, "form": "whole"},
    ]
    assert [(row["works"], row["format"], row["recipe"], row["form"]) for row in everywhere.joined(others)] == [
        (False, "tflite, onnx", "int8, fp16", "step"),
        (True, "tflite", "int8", "step"),
        (False, "tflite", "int8", "whole"),
    ]
    notes = [
        "a: fused, one operator for all time steps",
        "b: unrolled, 4 time steps",
        "c: fused, one operator",
        "Slow.",
    ]
    assert everywhere.works({**WORKS, "notes": notes}) == "works, fused, unrolled"


def test_the_page_names_the_rows_for_which_the_claim_fails() -> None:
    host = {"cpu": "A CPU", "cores": 2}
    wrong = {**WORKS, "elsewhere": {"cortex-a72": {"agreement": 0.99}}}
    assert "Not the same answers" not in everywhere.page([WORKS, REFUSED], host, samples=0)
    told = everywhere.page([WORKS, wrong], host, samples=500)
    assert told.count(everywhere.line(WORKS)) == 1
    assert told.count(everywhere.line(wrong)) == 2
    assert "of 500 of the held-out items" in told
    assert told.endswith("Measured on A CPU, 2 cores.\n")


@pytest.mark.parametrize(
    ("row", "held"),
    [
        (WORKS, True),
        (REFUSED, True),
        ({**REFUSED, "reason": ""}, False),
        ({**REFUSED, "reason": "Traceback (most recent call last)"}, False),
        ({**REFUSED, "reason": "the process of a worker ended with code 1; its last words: Killed"}, False),
        ({**WORKS, "benchmark": "It crashed."}, False),
        ({**WORKS, "custom_operators": ["FlexTensorListReserve"]}, False),
        ({**WORKS, "elsewhere": {"cortex-a72": {"agreement": 0.99}}}, False),
        ({**WORKS, "elsewhere": {"cortex-a72": {"within_limits": 1.0}}}, True),
        ({**WORKS, "elsewhere": {"cortex-a72": {"within_limits": 0.0}}}, False),
        ({**WORKS, "elsewhere": {}, "not_compared": "It crashed."}, False),
        ({**WORKS, "recipe": "int16x8", "elsewhere": {}, "not_compared": "XNNPACK did not run it."}, True),
        ({"model": "lstm", "format": "keras", "works": True, "metrics": {}}, True),
    ],
)
def test_the_claim_can_fail(row: dict[str, object], held: bool) -> None:
    assert everywhere.holds(row) is held


def test_rows_of_generators_tell_distance_and_likeness() -> None:
    row = {
        **WORKS,
        "metrics": {"frechet": 5.4321, "ssim": 0.98765},
        "elsewhere": {"cortex-a72": {"within_limits": 1.0}},
    }
    assert "| Frechet 5.432, SSIM 0.9877 |" in everywhere.line(row)
    assert everywhere.line(row).endswith("| cortex-a72 within limits |")


def test_a_model_is_called_as_its_training_and_the_rows_of_others_stay(tmp_path: Path) -> None:
    assert everywhere.called(tmp_path / "gan/model.keras") == "gan"
    assert everywhere.called(tmp_path / "mine.keras") == "mine"
    assert everywhere.known(tmp_path, ["lstm"]) == []
    (tmp_path / "recurrent.json").write_text(json.dumps({"results": [WORKS, {**WORKS, "model": "gan"}]}))
    assert [row["model"] for row in everywhere.known(tmp_path, ["lstm"])] == ["gan"]


def test_inputs_are_windows_or_steps_with_states(tmp_path: Path) -> None:
    whole, step = generator(tmp_path / "g.onnx", NEXT), stepper(tmp_path / "step.onnx", NEXT)
    given = everywhere.inputs_of(whole, [whole], BOOK, 5)
    assert {name: values.shape for name, values in given.items()} == {"text": (5, 4, 3)}
    steps = everywhere.inputs_of(step, [step], BOOK, 5)
    assert {name: values.shape for name, values in steps.items()} == {"text": (5, 3), "before": (5, 3)}
    np.testing.assert_array_equal(steps["text"].sum(axis=1), np.ones(5))
    found = everywhere.elsewhere(step, steps, [everywhere.here()])
    assert found["here"]["agreement"] == 1
    assert found["here"]["identical"] == 1
