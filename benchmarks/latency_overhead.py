"""Claim: what `edgekit benchmark` times is the interpreter, with next to nothing added.

    python benchmarks/latency_overhead.py [MODEL.tflite ...]

For each model: edgekit's stopwatch over its runtime, and a bare loop over the same engine's interpreter, in one
process, in turns of a shuffled order. The ratio of the medians comes with its 95 % interval. Without arguments: the
tiny golden models of the tests.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from saving import save

from edgekit.artifact import open_artifact
from edgekit.codec import to_jsonable
from edgekit.measure.sample_inputs import sample_inputs
from edgekit.measure.stats import median_ratio
from edgekit.measure.timing import collector_off, time_calls
from edgekit.runtimes import open_runtime
from edgekit.runtimes.base import Feed

ROUNDS = 20
RUNS_PER_ROUND = 100
GOLDEN = Path(__file__).parent.parent / "tests" / "golden"
DEFAULT = (GOLDEN / "two_inputs_float.tflite", GOLDEN / "two_inputs_int8.tflite")


def bare(path: Path, feed: Feed) -> Callable[[], list[float]]:
    """A loop as one would write it by hand over the engine's own interpreter; one round's times in ms."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    signed = interpreter.get_signature_runner().get_input_details() if interpreter.get_signature_list() else {}
    names = {d["name"]: d["name"] for d in interpreter.get_input_details()} | {d["name"]: n for n, d in signed.items()}
    inputs = [(d["index"], feed[names[d["name"]]]) for d in interpreter.get_input_details()]
    outputs = [d["index"] for d in interpreter.get_output_details()]

    def one_round() -> list[float]:
        times = []
        with collector_off():
            for _ in range(RUNS_PER_ROUND):
                start = time.perf_counter_ns()
                for index, array in inputs:
                    interpreter.set_tensor(index, array)
                interpreter.invoke()
                for index in outputs:
                    interpreter.get_tensor(index)
                times.append(time.perf_counter_ns() - start)
        return [t / 1e6 for t in times]

    return one_round


def ours(path: Path, feed: Feed) -> Callable[[], list[float]]:
    """One round as `edgekit benchmark` times it, in ms."""
    call = open_runtime(path, threads=1).bind(feed)
    return lambda: [t / 1e6 for t in time_calls(call, runs=RUNS_PER_ROUND, min_duration_s=0, settle=2)]


def compare(path: Path) -> dict[str, object]:
    """Both loops on one model, and their ratio."""
    feed = sample_inputs(open_artifact(path).card, seed=0)
    loops = {"edgekit": ours(path, feed), "bare": bare(path, feed)}
    rounds: dict[str, list[list[float]]] = {name: [] for name in loops}
    order = np.random.default_rng(0)
    for _ in range(ROUNDS):
        for name in order.permutation(list(loops)):
            rounds[name].append(loops[name]())
    ratio = median_ratio(rounds["edgekit"], rounds["bare"], seed=0)
    medians = {name: float(np.median(np.concatenate(times))) for name, times in rounds.items()}
    print(
        f"{path.name}: edgekit {medians['edgekit'] * 1000:.2f} µs, bare loop {medians['bare'] * 1000:.2f} µs, "
        f"ratio {ratio.value:.3f} ({ratio.low:.3f} to {ratio.high:.3f}), {ROUNDS * RUNS_PER_ROUND} runs each"
    )
    return {"artifact": path.name, "medians_ms": medians, "ratio": to_jsonable(ratio), "samples_ms": rounds}


def main() -> None:
    paths = [Path(argument) for argument in sys.argv[1:]] or list(DEFAULT)
    print(f"Saved {save('latency_overhead', [compare(path) for path in paths])}.")


if __name__ == "__main__":
    main()
