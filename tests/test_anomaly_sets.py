"""The page of every autoencoder on every set: what its cells say, and when the claim fails."""

import sys
from pathlib import Path
from typing import Any

import pytest

from edgekit.models.registry import find_spec

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import anomaly_sets as sets

KNOWN = {"model": "ae_vanilla", "data": "thyroid"}
METRICS = {"pr_auc": 0.5966, "pr_auc_low": 0.46, "pr_auc_high": 0.74, "roc_auc": 0.91}
SOURCE = {**KNOWN, "format": "keras", "recipe": "source", "n": 1509, "metrics": METRICS}


def file(fmt: str, recipe: str, lost: float) -> dict[str, Any]:
    metrics = {**METRICS, "pr_auc": METRICS["pr_auc"] * (1 - lost)}
    return {**KNOWN, "format": fmt, "recipe": recipe, "n": 1509, "metrics": metrics, "lost": lost}


REFUSED = {**KNOWN, "format": "onnx", "recipe": "int8", "refused": "Too far."}


def test_a_page_marks_what_loses_and_names_what_is_refused() -> None:
    rows = [SOURCE, file("tflite", "fp16", 0.019), file("onnx", "fp16", 0.021), REFUSED]
    score = {"data": "thyroid", "score": "isolation forest", **METRICS, "pr_auc": 0.4}
    page = sets.page(rows, [score, {**score, "data": "fraud"}], {"cpu": "A CPU", "cores": 2})
    assert "## thyroid\n\n1,509 held-out items.\n" in page
    assert (
        "| ae_vanilla | 0.5966 (0.460–0.740) | 0.9100 | - / - | 0.5853 / **0.5841** | - / - | - / - | - / refused |"
        in page
    )
    assert page.count("| isolation forest | 0.4000 (0.460–0.740) | 0.9100 | | | | | |") == 1
    table = [line for line in page.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1
    assert page.endswith("Measured on A CPU, 2 cores.\n")


@pytest.mark.parametrize(
    ("rows", "held"),
    [
        ([file("tflite", "int8", 0.02)], True),
        ([file("tflite", "int8", 0.0201)], False),
        ([REFUSED], False),
        ([REFUSED, file("tflite", "fp16", 0.0)], True),
        ([file("tflite", "fp32", 0.0), REFUSED], False),  # no quantized file keeps enough
    ],
)
def test_one_quantized_file_of_each_model_must_keep_enough(rows: list[dict[str, Any]], held: bool) -> None:
    (found,) = sets.groups([SOURCE, *rows]).values()
    assert any(map(sets.keeps, found)) is held


def test_all_autoencoders_of_rows_take_part() -> None:
    assert all(find_spec(name).task == "anomaly-detection" for name in sets.MODELS)
    assert {"ae_vanilla", "ae_denoising", "vae"} <= set(sets.MODELS)
    assert "ae_conv" not in sets.MODELS
