"""Claim: the p50 of `edgekit benchmark` is within 5 % of the median of LiteRT's own `litert-benchmark`.

    python benchmarks/litert_benchmark.py [FILE.tflite ...]

Both tools measure the same file alternately, in an order shuffled anew in every round, each in processes of its own
with one thread and 50 runs or more. The ratio is the median of the rounds' ratios, since the speed of a shared machine
changes between rounds; its 95 % interval is a bootstrap over the rounds. It exits with 1 where the whole interval is
beyond 5 %.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from material import made
from saving import Figure, save

from edgekit.codec import to_jsonable
from edgekit.measure.benchmark import benchmark
from edgekit.measure.settings import BenchmarkSettings
from edgekit.measure.stats import median_ratio

ROUNDS = 20
RUNS = 50
LIMIT = 0.05
LEAST_MS = 1.0
"""`litert-benchmark` gives hundredths of a millisecond, too coarse for faster models."""


def ours(path: Path) -> float:
    """The p50 of `edgekit benchmark`, ms."""
    (result,) = benchmark([path], BenchmarkSettings(runs=RUNS, min_duration_s=0.5)).results
    return result.latency_ms.p50


def theirs(path: Path) -> float:
    """The median of `litert-benchmark`, ms."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "result.json"
        options = ["--model", path, "--num_runs", RUNS, "--num_threads", 1, "--result_json", answer]
        command = [sys.executable, "-m", "ai_edge_litert.tools.benchmark_litert_model", *map(str, options)]
        subprocess.run(command, check=True, capture_output=True)
        return float(json.loads(answer.read_text())["latency"]["median_ms"])


def compare(path: Path) -> dict[str, Any] | None:
    """Both tools on one file; None for a file that is too fast for `litert-benchmark`."""
    if theirs(path) < LEAST_MS:
        print(f"{path.name} takes less than {LEAST_MS:g} ms, which litert-benchmark tells too coarsely: left out.")
        return None
    tools: dict[str, Callable[[Path], float]] = {"edgekit": ours, "litert-benchmark": theirs}
    medians_ms: dict[str, list[float]] = {name: [] for name in tools}
    order = np.random.default_rng(0)
    for _ in range(ROUNDS):
        for name in order.permutation(list(tools)):
            medians_ms[name].append(tools[name](path))
    ratios = np.divide(medians_ms["edgekit"], medians_ms["litert-benchmark"])
    ratio = median_ratio([[r] for r in ratios], [[1.0]] * ROUNDS, seed=0)
    within = ratio.low <= 1 + LIMIT and ratio.high >= 1 - LIMIT
    print(
        f"{path.name}: edgekit {np.median(medians_ms['edgekit']):.2f} ms, "
        f"litert-benchmark {np.median(medians_ms['litert-benchmark']):.2f} ms, "
        f"ratio {ratio.value:.3f} ({ratio.low:.3f} to {ratio.high:.3f}), {ROUNDS} rounds"
    )
    return {"artifact": path.name, "medians_ms": medians_ms, "ratio": to_jsonable(ratio), "within": within}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(a) for a in sys.argv[1:]] or [f for m in made(Path(folder)) for f in m.files]
        found = [compare(path) for path in paths if path.suffix == ".tflite"]
    results = [result for result in found if result is not None]
    figures = [
        Figure(
            what=f"p50 of `edgekit benchmark` / median of litert-benchmark: {r['artifact']}",
            value=f"{r['ratio']['value']:.3f} ({r['ratio']['low']:.3f} to {r['ratio']['high']:.3f})",
            limit=f"{1 - LIMIT} to {1 + LIMIT}",
            held=r["within"],
        )
        for r in results
    ]
    print(f"Saved {save('litert_benchmark', results, figures)}.")
    sys.exit(0 if all(r["within"] for r in results) else 1)


if __name__ == "__main__":
    main()
