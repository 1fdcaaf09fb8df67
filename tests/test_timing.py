"""The stopwatch of a benchmark, and what it feeds the models. Clocks are injected."""

import gc
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.card import ModelCard, TensorSpec
from edgekit.errors import ArtifactError
from edgekit.measure import bench_worker
from edgekit.measure.bench_worker import Bench
from edgekit.measure.sample_inputs import sample_inputs
from edgekit.measure.timing import thinned, time_calls
from edgekit.preprocessing import preset
from edgekit.workers import silent

GOLDEN = Path(__file__).parent / "golden"


# The stopwatch


def ticking(step_ns: int) -> Callable[[], int]:
    return itertools.count(0, step_ns).__next__


def test_runs_and_seconds_must_both_be_reached() -> None:
    ticks = ticking(1000)
    assert len(time_calls(lambda: None, runs=7, min_duration_s=0, settle=0, clock=ticks)) == 7
    long = time_calls(lambda: None, runs=1, min_duration_s=1e-3, settle=0, clock=ticking(1000))
    assert len(long) > 100
    assert set(long) == {1000}


def test_settling_runs_are_not_timed() -> None:
    calls = []
    times = time_calls(lambda: calls.append(1), runs=3, min_duration_s=0, settle=4, clock=ticking(1))
    assert (len(times), len(calls)) == (3, 7)


def test_the_collector_rests_while_timing_and_wakes_after_an_error() -> None:
    states = []
    time_calls(lambda: states.append(gc.isenabled()), runs=2, min_duration_s=0, settle=0)
    assert states == [False, False]

    def fail() -> None:
        raise RuntimeError("engine")

    with pytest.raises(RuntimeError, match=r"^engine$"):
        time_calls(fail, runs=1, min_duration_s=0, settle=0)
    assert gc.isenabled()


def test_many_samples_are_thinned_evenly() -> None:
    assert thinned(list(range(1000)), 500) == list(range(0, 1000, 2))
    assert len(thinned(list(range(501)), 500)) == 251
    assert thinned([5], 500) == [5]


def test_the_first_run_is_timed_before_any_other_and_the_warm_up_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []

    class Counting:
        name, version, delegation = "onnxruntime", "1", None

        def bind(self, _feed: object) -> Callable[[], object]:
            return lambda: events.append("run")

    def recorded(call: Callable[[], object], **options: Any) -> list[int]:
        events.append("clock")
        return time_calls(call, **options)

    monkeypatch.setattr(bench_worker, "time_calls", recorded)
    monkeypatch.setattr("edgekit.runtimes.open_runtime", lambda *_args, **_options: Counting())
    np.savez(tmp_path / "x.npz", x=np.zeros(1))
    request = {"path": str(GOLDEN / "tiny.onnx"), "engine": None, "threads": 1, "inputs": str(tmp_path / "x.npz")}
    Bench().load({**request, "warmup": 2}, silent)
    assert events == ["clock", "run", "run", "run"]


# Inputs


def spec(dtype: str, *shape: int | None, scale: tuple[float, ...] = ()) -> TensorSpec:
    return TensorSpec(name="x", shape=shape, dtype=dtype, scale=scale, zero_point=(0,) * len(scale))


@pytest.mark.parametrize(
    ("given", "low", "high"),
    [
        (spec("float32", None, 50), 0.0, 1.0),
        (spec("int32", 1, 50), 0, 1),
        (spec("int8", 1, 500, scale=(0.1,)), -128, 127),
        (spec("uint8", 1, 500), 0, 255),
        (spec("bool", 1, 50), False, True),
    ],
)
def test_inputs_stay_in_range_and_repeat(given: TensorSpec, low: float, high: float) -> None:
    card = ModelCard(name="m", inputs=(given,), outputs=())
    values = sample_inputs(card, seed=0)["x"]
    assert values.shape == tuple(1 if d is None else d for d in given.shape)
    assert values.dtype == given.dtype
    assert low <= values.min() < values.max() <= high
    np.testing.assert_array_equal(values, sample_inputs(card, seed=0)["x"])
    assert not np.array_equal(values, sample_inputs(card, seed=1)["x"])


def test_images_go_through_the_preprocessing_of_the_card() -> None:
    card = ModelCard(
        name="m", inputs=(spec("float32", None, 16, 8, 3),), outputs=(), preprocessing=preset("tf", size_hw=(16, 8))
    )
    values = sample_inputs(card, seed=0)["x"]
    assert values.shape == (1, 16, 8, 3)
    assert -1.0 <= values.min() < -0.9 < 0.9 < values.max() <= 1.0


def test_text_inputs_are_refused() -> None:
    with pytest.raises(ArtifactError) as caught:
        sample_inputs(ModelCard(name="m", inputs=(spec("string", 1),), outputs=()), seed=0)
    assert str(caught.value) == ("Input 'x' is string; a benchmark makes numbers only: convert the model to take them.")
