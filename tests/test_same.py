"""Whether a file gives the same answers twice."""

import re
from typing import Any

import numpy as np
import pytest

from edgekit.errors import DataError
from edgekit.measure.same import same_answers

ANSWERS = {
    "scores": np.array([[1, 5, 3], [7, 2, 2]], np.int8),
    "boxes": np.array([[0.5, 0.25], [1.0, -2.0]], np.float32),
}


def changed(name: str, index: tuple[int, ...], value: float) -> dict[str, Any]:
    answers = {n: v.copy() for n, v in ANSWERS.items()}
    answers[name][index] = value
    return answers


def test_the_same_bits_are_identical() -> None:
    found = same_answers(ANSWERS, {n: v.copy() for n, v in ANSWERS.items()})
    assert found.identical
    assert found.metrics() == {
        "identical": 1.0, "differing": 0, "max_abs": 0.0, "sqnr_db": 200.0, "max_steps": 0, "agreement": 1.0,
    }  # fmt: skip


def test_one_other_step_is_noticed() -> None:
    found = same_answers(ANSWERS, changed("scores", (0, 1), 2))
    assert (found.identical, found.count, found.differing, found.max_steps) == (False, 2, 1, 3)
    assert found.agreement == 0.5


def test_the_last_bit_of_a_float_is_noticed() -> None:
    found = same_answers(ANSWERS, changed("boxes", (1, 0), np.nextafter(np.float32(1), np.float32(2))))
    assert (found.identical, found.differing, found.max_steps) == (False, 1, 0)
    assert 0 < found.totals.max_abs < 2e-7
    assert not same_answers({"x": np.array([[0.0]])}, {"x": np.array([[-0.0]])}).identical


def test_outputs_without_ranks_or_steps_have_none() -> None:
    found = same_answers({"x": np.zeros((3, 1), np.float32)}, {"x": np.zeros((3, 1), np.float32)})
    assert (found.max_steps, found.agreement) == (None, None)
    assert set(found.metrics()) == {"identical", "differing", "max_abs", "sqnr_db"}


@pytest.mark.parametrize(
    "other",
    [
        {"scores": ANSWERS["scores"]},
        {**ANSWERS, "scores": ANSWERS["scores"].astype(np.int16)},
        {**ANSWERS, "scores": ANSWERS["scores"][:1]},
    ],
)
def test_runs_of_other_outputs_are_refused(other: dict[str, Any]) -> None:
    described = {n: f"{v.dtype} {v.shape}" for n, v in sorted(other.items())}
    sentence = (
        f"Two runs gave {{'boxes': 'float32 (2, 2)', 'scores': 'int8 (2, 3)'}} and {described}; "
        "expected the same outputs for the same items, at least one."
    )
    with pytest.raises(DataError, match=f"^{re.escape(sentence)}$"):
        same_answers(ANSWERS, other)


def test_no_items_at_all_are_refused() -> None:
    nothing = {"x": np.zeros((0, 2), np.float32)}
    with pytest.raises(DataError, match="expected the same outputs for the same items, at least one"):
        same_answers(nothing, nothing)
