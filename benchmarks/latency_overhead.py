"""Claim: edgekit adds at most 2 % or 15 µs, whichever is more, to one run of the bare interpreter.

    python benchmarks/latency_overhead.py [FILE.tflite|FILE.onnx ...]

For each file three calls of the *same* loaded model in one process, in turns of a shuffled order: a bare loop as one
writes it by hand over the engine's interpreter; the bound call that `edgekit benchmark` times; and `Runtime.run`, which
an application calls, with its checks and names. Ratios of medians come with their 95 % intervals. It exits with 1
where a whole interval is beyond the limit.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from material import made
from saving import Figure, save

from edgekit.artifact import open_artifact
from edgekit.codec import to_jsonable
from edgekit.measure.sample_inputs import sample_inputs
from edgekit.measure.stats import median_ratio
from edgekit.measure.timing import time_calls
from edgekit.runtimes import Feed, Runtime, open_runtime

ROUNDS = 200
TURN_S = 0.02
"""Short turns and many of them: what else the machine does then hits the three calls alike."""
LIMIT_RATIO = 1.02
LIMIT_US = 15.0


def bare(runtime: Runtime, feed: Feed) -> Callable[[], object]:
    """One run as written by hand over the interpreter that ``runtime`` holds."""
    if runtime.name == "onnxruntime":
        session = runtime._session  # type: ignore[attr-defined]
        return lambda: session.run(None, feed)
    interpreter = runtime._interpreter  # type: ignore[attr-defined]
    interpreter.allocate_tensors()
    details = {d["name"]: d["index"] for d in interpreter.get_input_details()}
    signatures = interpreter.get_signature_list()
    if signatures:
        runner = interpreter.get_signature_runner()
        details = {name: d["index"] for name, d in runner.get_input_details().items()}
    inputs = [(details[name], array) for name, array in feed.items()]
    outputs = [d["index"] for d in interpreter.get_output_details()]

    def run() -> list[object]:
        for index, array in inputs:
            interpreter.set_tensor(index, array)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in outputs]

    return run


def measure(path: Path) -> dict[str, Any]:
    """Times of the three calls, and what edgekit's two add."""
    feed = sample_inputs(open_artifact(path).card, seed=0)
    runtime = open_runtime(path, threads=1)
    bound = runtime.bind(feed)
    calls = {"bare": bare(runtime, feed), "bound": bound, "run": lambda: runtime.run(feed)}
    (first,) = time_calls(bound, runs=1, min_duration_s=0, settle=20)
    runs = max(1, min(100, round(TURN_S * 1e9 / first)))
    rounds: dict[str, list[list[float]]] = {name: [] for name in calls}
    order = np.random.default_rng(0)
    start = time.monotonic()
    for _ in range(ROUNDS):
        for name in order.permutation(list(calls)):
            times = time_calls(calls[name], runs=runs, min_duration_s=0, settle=1)
            rounds[name].append([t / 1e6 for t in times])
    medians = {name: float(np.median(np.concatenate(times))) for name, times in rounds.items()}
    found: dict[str, Any] = {
        "artifact": path.name,
        "runtime": {"name": runtime.name, "version": runtime.version},
        "medians_ms": medians,
        "runs": ROUNDS * runs,
        "seconds": time.monotonic() - start,
    }
    kept = True
    for name in ("bound", "run"):
        ratio = median_ratio(rounds[name], rounds["bare"], seed=0)
        added_us = (medians[name] - medians["bare"]) * 1000
        least_us = (ratio.low - 1) * medians["bare"] * 1000
        within = ratio.low <= LIMIT_RATIO or least_us <= LIMIT_US
        kept = kept and within
        found[name] = {"ratio": to_jsonable(ratio), "added_us": added_us, "within": within}
        print(
            f"{path.name} in {runtime.name}, {name}: {medians[name] * 1000:.1f} µs, "
            f"bare {medians['bare'] * 1000:.1f} µs, {added_us:+.1f} µs, "
            f"ratio {ratio.value:.4f} ({ratio.low:.4f} to {ratio.high:.4f})"
        )
    return {**found, "within": kept}


def lines(result: dict[str, Any]) -> Iterator[Figure]:
    """The lines of the table for one file."""
    for name, call in (("bound", "what `edgekit benchmark` times"), ("run", "`Runtime.run`")):
        found = result[name]
        ratio = found["ratio"]
        yield Figure(
            what=f"{call} / the bare interpreter: {result['artifact']}",
            value=f"{ratio['value']:.3f} ({ratio['low']:.3f} to {ratio['high']:.3f}), {found['added_us']:+.1f} µs",
            limit=f"{LIMIT_RATIO} or {LIMIT_US:.0f} µs",
            held=found["within"],
        )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(a) for a in sys.argv[1:]] or [f for m in made(Path(folder)) for f in m.files]
        results = [measure(path) for path in paths]
    figures = [figure for result in results for figure in lines(result)]
    print(f"Saved {save('latency_overhead', results, figures)}.")
    sys.exit(0 if all(r["within"] for r in results) else 1)


if __name__ == "__main__":
    main()
