"""What a benchmark says in a sentence, and when it says nothing."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from timings import HOST, QUIET, artifact, timing

from edgekit.measure.benchmark import judge
from edgekit.measure.benchmark_table import doubts, rows
from edgekit.measure.settings import BenchmarkReport, BenchmarkResult, BenchmarkSettings, DeviceRun
from edgekit.measure.verdict import verdicts


def judged(recipe: str | None, median: float, *, spread: float = 0.01, **of: object) -> BenchmarkResult:
    generator = np.random.default_rng([round(median * 100), *(recipe or "").encode()])
    rounds = [(median * generator.normal(1, spread, 8)).tolist() for _ in range(20)]
    model = artifact(recipe, **of)  # type: ignore[arg-type]
    run = DeviceRun(
        timings=(timing(rounds, model),), conditions=(QUIET, QUIET), order=((0,),), others_cpus=0.0, host=HOST
    )
    return judge(run, BenchmarkSettings())[0]


def test_a_slower_int8_is_shipped_for_its_size() -> None:
    (said,) = verdicts([judged("fp32", 1.0, model_bytes=350), judged("int8", 1.12)], BenchmarkSettings())
    assert re.fullmatch(
        r"int8 is 1\.12 × slower than fp32 in tflite by litert on local with 1 thread "
        r"\(95 % interval 1\.1\d to 1\.1\d\): ship it for size, not speed \(the file is 3\.5 × smaller\)\.",
        said,
    )


def test_a_faster_int8_pays() -> None:
    (said,) = verdicts([judged("fp32", 1.5, model_bytes=350), judged("int8", 1.0)], BenchmarkSettings())
    assert re.fullmatch(
        r"int8 is 1\.50 × faster than fp32 in tflite by litert on local with 1 thread "
        r"\(95 % interval 1\.\d\d to 1\.5\d\): it pays on this CPU, and the file is 3\.5 × smaller\.",
        said,
    )


def test_nothing_is_claimed_when_the_interval_contains_1() -> None:
    (said,) = verdicts(
        [judged("fp32", 1.0, spread=0.1, model_bytes=350), judged("int8", 1.001, spread=0.1)], BenchmarkSettings()
    )
    assert "faster" not in said
    assert "slower" not in said
    assert said.startswith(
        "int8 and fp32 cannot be told apart in speed in tflite by litert on local with 1 thread (times 95 %"
    )


def test_files_of_one_recipe_are_told_apart() -> None:
    float32, one, other = judged("fp32", 1.0), judged("int8", 1.2), judged("int8", 1.4)
    paths = (Path("a/m.fp32.tflite"), Path("a/m.int8.tflite"), Path("b/m.int8.tflite"))
    results = [
        replace(r, timing=replace(r.timing, artifact=replace(r.timing.artifact, path=path)))
        for r, path in zip((float32, one, other), paths, strict=True)
    ]
    told = verdicts(results, BenchmarkSettings())
    assert [said.partition(" is ")[0] for said in told] == ["int8 (a/m.int8.tflite)", "int8 (b/m.int8.tflite)"]
    report = BenchmarkReport(results=tuple(results), verdicts=told, hosts={"local": HOST})
    assert [row[0] for row in rows(report)] == ["m.fp32.tflite", "a/m.int8.tflite", "b/m.int8.tflite"]
    doubtful = replace(report, results=(results[0], results[1], replace(results[2], flags=("drift: it drifts",))))
    assert doubts(doubtful) == ["Not valid, drift: it drifts (b/m.int8.tflite)."]


def test_a_flagged_run_says_so() -> None:
    pair = [judged("fp32", 1.0, model_bytes=350), judged("int8", 1.12)]
    for index in (0, 1):
        results = [*pair]
        results[index] = replace(pair[index], valid=False, flags=("throttled: throttled",))
        (said,) = verdicts(results, BenchmarkSettings())
        assert said.endswith(" The run is flagged; repeat it on a quiet machine before relying on this.")


def elsewhere(**changes: object) -> BenchmarkResult:
    result = judged("int8", 2.0)
    return replace(result, timing=replace(result.timing, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "other",
    [
        judged(None, 2.0),
        judged("int8", 2.0, source="c" * 64),
        judged("fp32", 2.0),
        elsewhere(threads=2),
        elsewhere(device="ssh://pi"),
        elsewhere(runtime_name="openvino"),
    ],
)
def test_strangers_are_not_compared(other: BenchmarkResult) -> None:
    assert verdicts([judged("fp32", 1.0), other], BenchmarkSettings()) == ()
