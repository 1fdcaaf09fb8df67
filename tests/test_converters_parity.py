"""A damaged file is refused: each limit has a canary, and messages are whole sentences."""

import numpy as np
import pytest

from edgekit.converters.engines import Engine, EngineTable, Row, Trial, choose, judge, load_table
from edgekit.converters.parity import compare_outputs, remarks, require_tolerance
from edgekit.converters.plan import RECIPES
from edgekit.converters.steps import Steps
from edgekit.converters.tolerances import TOLERANCES
from edgekit.errors import CheckFailedError, ConversionError, InputError
from edgekit.recipe import Precision

LOGITS = np.random.default_rng(0).normal(0, 3, (50, 10)).astype(np.float32) + np.arange(10, dtype=np.float32)


def _check(other: np.ndarray, precision: Precision, source: np.ndarray = LOGITS) -> None:
    reference, found = {"logits": source}, {"logits": other}
    parity = compare_outputs(reference, found, what="m.tflite", synthetic=False)
    require_tolerance(reference, found, parity, precision, what="m.tflite")


def test_every_recipe_has_a_tolerance_with_a_reason() -> None:
    assert set(TOLERANCES) == set(Precision) == {p for recipes in RECIPES.values() for p in recipes}
    assert all(t.reason for t in TOLERANCES.values())


@pytest.mark.parametrize("precision", list(Precision))
def test_small_noise_passes(precision: Precision) -> None:
    _check(LOGITS + np.float32(1e-5), precision)


@pytest.mark.parametrize("precision", list(Precision))
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda x: np.zeros_like(x), id="all zero"),
        pytest.param(lambda x: np.broadcast_to(x.mean(axis=0), x.shape), id="a layer zeroed: the input is ignored"),
        pytest.param(lambda x: x[:, ::-1], id="channels swapped"),
        pytest.param(lambda x: np.roll(x, 1, axis=0), id="another item's answer"),
    ],
)
def test_damage_is_refused(precision: Precision, damage: object) -> None:
    with pytest.raises(CheckFailedError, match=r"^m\.tflite is refused, and nothing was written: "):
        _check(np.ascontiguousarray(damage(LOGITS)), precision)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("precision", "decibels", "needed"),
    [
        (Precision.FP16, 19.0, 20.0),
        (Precision.DYNAMIC, 4.0, 5.0),
        (Precision.INT8, 2.0, 3.0),
        (Precision.INT16X8, 7.0, 8.0),
    ],
)
def test_noise_is_refused_where_every_item_is_still_followed(
    precision: Precision, decibels: float, needed: float
) -> None:
    with pytest.raises(CheckFailedError) as error:
        _check(LOGITS * np.float32(1 - 10 ** (-decibels / 20)), precision)
    assert str(error.value) == (
        f"m.tflite is refused, and nothing was written: its outputs keep {decibels:.1f} dB of the source's signal; "
        f"{precision} needs {needed:.1f} dB."
    )


def test_noise_beside_one_large_value_is_refused_for_fp32() -> None:
    reference = np.zeros((50, 10), np.float32)
    reference[::2, 0] = 1.0
    with pytest.raises(CheckFailedError, match=r"keep 47\.9 dB of the source's signal; fp32 needs 60\.0 dB\.$"):
        _check(reference + np.float32(9e-4), Precision.FP32, reference)


@pytest.mark.parametrize(
    ("precision", "found", "needed"),
    [
        (Precision.FP32, 0.998, 0.999),
        (Precision.FP16, 0.985, 0.99),
        (Precision.DYNAMIC, 0.75, 0.8),
        (Precision.INT8, 0.45, 0.5),
        (Precision.INT16X8, 0.75, 0.8),
    ],
)
def test_outputs_that_hardly_follow_the_input_are_refused_beside_a_large_constant(
    precision: Precision, found: float, needed: float
) -> None:
    rng = np.random.default_rng(1)
    deviations, other = (v - v.mean(axis=0) for v in (rng.normal(0, 0.1, (50, 10)), rng.normal(0, 0.1, (50, 10))))
    other -= deviations * (deviations * other).sum() / (deviations**2).sum()
    other *= np.linalg.norm(deviations) / np.linalg.norm(other)
    with pytest.raises(CheckFailedError) as error:
        _check(1000 + found * deviations + np.sqrt(1 - found**2) * other, precision, 1000 + deviations)
    assert str(error.value) == (
        "m.tflite is refused, and nothing was written: its outputs follow the source's with a correlation of "
        f"{found:.3f}; {precision} needs {needed:.3f}: a model that has hardly learned, or whose states grow with "
        "every step, keeps no more: train it on, take the recipe dynamic, or find the layer that costs it with edgekit "
        "compare --layers."
    )


@pytest.mark.parametrize(("part", "told"), [(2e-6, False), (1e-4, True)])
def test_deviations_of_a_few_digits_of_float32_have_no_correlation(part: float, told: bool) -> None:
    """A forecast that is almost the last value is one of those; rounding is not what makes it a wrong file."""
    random = np.random.default_rng(0)
    forecast = (1 + part * random.normal(size=(64, 1))).astype(np.float32)
    rounded = forecast + np.float32(1.2e-7) * random.choice([-1, 1], (64, 1)).astype(np.float32)
    parity = compare_outputs({"forecast": forecast}, {"forecast": rounded}, what="m.tflite", synthetic=False)
    assert (parity.correlation is not None) is told
    require_tolerance({"forecast": forecast}, {"forecast": rounded}, parity, Precision.FP32, what="m.tflite")


def test_an_output_that_is_constant_in_the_source_has_no_correlation() -> None:
    reference = {"y": np.tile(np.arange(1.0, 5.0), (50, 1))}
    other = {"y": reference["y"] + np.random.default_rng(0).normal(0, 1e-7, (50, 4))}
    parity = compare_outputs(reference, other, what="m.onnx", synthetic=False)
    assert parity.correlation is None
    require_tolerance(reference, other, parity, Precision.FP32, what="m.onnx")


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_the_worst_of_several_outputs_counts(order: tuple[str, str]) -> None:
    first, second = order
    reference = {first: LOGITS, second: LOGITS}
    other = {first: LOGITS, second: np.roll(LOGITS, 1, axis=0)}
    parity = compare_outputs(reference, other, what="m.onnx", synthetic=False)
    alone = compare_outputs({second: LOGITS}, {second: other[second]}, what="m.onnx", synthetic=False)
    assert parity == alone
    with pytest.raises(CheckFailedError, match=rf": output '{second}' differs from the source by "):
        require_tolerance(reference, other, parity, Precision.FP32, what="m.onnx")


def test_nan_is_refused() -> None:
    broken = LOGITS.copy()
    broken[3, 3] = np.nan
    with pytest.raises(CheckFailedError) as error:
        _check(broken, Precision.INT8)
    assert str(error.value) == (
        "Output 'logits' of m.tflite has values that are NaN or infinite; expected finite numbers."
    )
    with pytest.raises(CheckFailedError) as error:
        _check(LOGITS, Precision.INT8, broken)
    assert str(error.value) == (
        "Output 'logits' of the source has values that are NaN or infinite; expected finite numbers."
    )


def test_a_wrong_shape_is_refused() -> None:
    with pytest.raises(CheckFailedError) as error:
        _check(LOGITS[:, :9], Precision.INT8)
    assert str(error.value) == "Output 'logits' of m.tflite has the shape (9,) for an item; the source has (10,)."


def test_a_missing_output_is_refused() -> None:
    with pytest.raises(CheckFailedError) as error:
        compare_outputs({"a": LOGITS}, {"b": LOGITS}, what="m.onnx", synthetic=False)
    assert str(error.value) == "m.onnx has the outputs ['b']; the source has ['a']."
    with pytest.raises(CheckFailedError) as error:
        compare_outputs({"a": LOGITS}, {"a": LOGITS, "b": LOGITS}, what="m.onnx", synthetic=False)
    assert str(error.value) == "m.onnx has the outputs ['a', 'b']; the source has ['a']."


def test_integers_for_real_numbers_are_refused() -> None:
    with pytest.raises(CheckFailedError) as error:
        _check(np.rint(LOGITS).astype(np.int8), Precision.INT8)
    assert str(error.value) == "Output 'logits' of m.tflite is int8; the source has float32."


def test_one_other_best_class_is_refused_for_fp32_unless_it_is_a_tie() -> None:
    other = LOGITS.astype(np.float64)
    first, second = np.argsort(other[0])[::-1][:2]
    tie = LOGITS.copy()
    tie[0, second] = tie[0, first] - np.float32(1e-5)
    swapped = tie.copy()
    swapped[0, second] += np.float32(2e-5)
    reference, found = {"logits": tie}, {"logits": swapped}
    parity = compare_outputs(reference, found, what="m.onnx", synthetic=False)
    assert parity.agreement is not None
    assert parity.agreement < 1.0
    require_tolerance(reference, found, parity, Precision.FP32, what="m.onnx")


def test_the_limit_exceeded_is_named() -> None:
    with pytest.raises(CheckFailedError) as error:
        _check(LOGITS + np.float32(0.5), Precision.FP32)
    allowed = 1e-3 * float(np.max(np.abs(LOGITS)))
    assert str(error.value) == (
        "m.tflite is refused, and nothing was written: output 'logits' differs from the source by 0.5; "
        f"fp32 allows {allowed:.3g}."
    )


def test_the_engine_follows_the_measured_trial() -> None:
    good, noisy = Trial(sqnr_db=40.0), Trial(sqnr_db=30.0)
    left = Trial(sqnr_db=50.0, float_ops=("ABS",))
    failed = Trial(sqnr_db=None, failure="crashed")
    assert judge(good, good) is Engine.LITERT_QUANTIZER
    assert judge(noisy, good) is Engine.TFLITE_CONVERTER
    assert judge(left, good) is Engine.TFLITE_CONVERTER
    assert judge(failed, noisy) is Engine.TFLITE_CONVERTER
    assert judge(noisy, failed) is Engine.LITERT_QUANTIZER
    assert judge(failed, failed) is None


def test_one_operator_decides_for_the_whole_graph() -> None:
    row = Row(
        operator="ABS",
        recipe=Precision.INT8,
        engine=Engine.TFLITE_CONVERTER,
        litert_quantizer=Trial(sqnr_db=40.0, float_ops=("ABS",)),
        tflite_converter=Trial(sqnr_db=40.0),
    )
    table = EngineTable(schema_version=1, tools={}, settings="", rows=(row,))
    chosen = choose(["CONV_2D", "ABS"], Precision.INT8, table)
    assert (chosen.engine, chosen.reason, chosen.operators) == (
        Engine.TFLITE_CONVERTER,
        "ABS: litert-quantizer leaves it in float",
        ("ABS",),
    )
    assert choose(["CONV_2D", "ABS"], Precision.FP16, table).engine is Engine.LITERT_QUANTIZER


def test_the_shipped_table_agrees_with_its_own_figures() -> None:
    table = load_table()
    assert {"CONV_2D", "DEPTHWISE_CONV_2D", "LEAKY_RELU", "ABS", "TILE"} <= {row.operator for row in table.rows}
    for row in table.rows:
        assert row.engine is judge(row.litert_quantizer, row.tflite_converter), row.operator


def test_a_failure_names_its_step() -> None:
    def broken() -> None:
        raise ConversionError("the disk is full.")

    steps = Steps()
    steps.run("load", int)
    with pytest.raises(ConversionError) as error:
        steps.run("verify a.tflite", broken)
    assert str(error.value) == "The step 'verify a.tflite' failed: the disk is full."


def test_what_the_user_can_mend_passes_unchanged() -> None:
    def refused() -> None:
        raise InputError("no such file.")

    with pytest.raises(InputError, match=r"^no such file\.$"):
        Steps().run("load", refused)


def test_what_a_comparison_does_not_show_is_said() -> None:
    def said(source: np.ndarray, noise: float) -> tuple[str, ...]:
        other = source + noise * np.random.default_rng(1).normal(size=source.shape).astype(np.float32)
        return remarks(compare_outputs({"y": source}, {"y": other}, what="m", synthetic=False))

    forecasts = 1 + 1e-8 * LOGITS[:, :1]
    signal = float(np.sqrt(np.mean(LOGITS**2)))
    assert said(LOGITS, signal / 10**0.47) == ()
    (few,) = said(LOGITS, signal / 10**0.45)
    assert few.startswith("Only 9.")
    assert few.endswith("see with edgekit evaluate what its task has lost")
    assert said(forecasts, 0.001) == (
        "The source answers nearly the same to all 50 items, so the comparison tells little: see with edgekit evaluate "
        "whether source and file do their task",
    )
    assert len(said(forecasts[:2], 0.001)) == 1
    assert said(forecasts[:1], 0.001) == ()
