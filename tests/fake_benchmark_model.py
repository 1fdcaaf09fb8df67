"""What TensorFlow's ``benchmark_model`` is to who calls it: its flags and its words, around a real LiteRT.

Called with ``2021`` or ``newer``, then the tool's own flags; the words are those of its source and of published logs.
"""

import os
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from edgekit.runtimes.delegation import delegated_operators

FLAGS = ("graph", "num_threads", "use_xnnpack", "num_runs", "min_secs", "max_secs", "warmup_runs", "warmup_min_secs")


def main(generation: str, arguments: list[str]) -> int:
    flags = dict(word.removeprefix("--").partition("=")[::2] for word in arguments)

    def say(words: str, prefix: str = "" if generation == "2021" else "INFO: ") -> None:
        sys.stdout.write(f"{prefix}{words}\n")
        sys.stdout.flush()

    say("STARTING!")
    say("Log parameter values verbosely: [0]")
    unknown = [name for name in flags if name not in FLAGS]
    if unknown:
        say(f"Unconsumed cmdline flags: --{unknown[0]}", "")
        return 1
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    try:
        interpreter = Interpreter(flags["graph"], num_threads=int(flags["num_threads"]))
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        say(str(error).splitlines()[0], "ERROR: ")
        say("Failed to initialize the interpreter", "ERROR: ")
        say("Benchmarking failed.", "ERROR: ")
        return 1
    init_us = round((time.perf_counter() - start) * 1e6)
    say(f"Loaded model {flags['graph']}")
    taken, total = delegated_operators(interpreter._get_ops_details())
    if not taken:
        say("Though XNNPACK delegate is explicitly applied, the model graph will not be executed by the delegate.")
    else:
        if generation != "2021":
            say(f"Replacing {taken} out of {total} node(s) with delegate (TfLiteXNNPackDelegate) node", "VERBOSE: ")
        how = "completely executed by the delegate." if taken == total else "partially executed by the delegate w/ 1."
        say(f"Explicitly applied XNNPACK delegate, and the model graph will be {how}")
    say(f"The input model file size (MB): {os.path.getsize(flags['graph']) / 1e6:g}")
    say(f"Initialized session in {init_us / 1e3:g}ms.")
    fill(interpreter)
    most = float(flags.get("max_secs", "150"))
    warm = run(interpreter, int(flags["warmup_runs"]), min(most, float(flags["warmup_min_secs"])))
    say(told(warm, generation))
    times = run(interpreter, int(flags["num_runs"]), min(most, float(flags["min_secs"])))
    say(told(times, generation) + "\n")
    say(
        f"Inference timings in us: Init: {init_us}, First inference: {warm[0]}, "
        f"Warmup (avg): {statistics.mean(warm):g}, Inference (avg): {statistics.mean(times):g}"
    )
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - kilobytes) / 1024
    say("Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE.")
    say(f"Memory footprint delta from the start of the tool (MB): init={more / 2:g} overall={more:g}")
    return 0


def fill(interpreter: Any) -> None:
    for detail in interpreter.get_input_details():
        values = np.random.default_rng(0).integers(0, 2, detail["shape"])
        interpreter.set_tensor(detail["index"], values.astype(detail["dtype"]))


def run(interpreter: Any, count: int, seconds: float) -> list[int]:
    times: list[int] = []
    end = time.perf_counter() + seconds
    while len(times) < count or time.perf_counter() < end:
        start = time.perf_counter_ns()
        interpreter.invoke()
        times.append((time.perf_counter_ns() - start) // 1000)
    return times


def told(times: list[int], generation: str) -> str:
    words = f"count={len(times)}"
    if min(times) == max(times):
        words += f" curr={times[-1]}" + ("(all same)" if len(times) > 1 else "")
    else:
        words += f" first={times[0]} curr={times[-1]} min={min(times)} max={max(times)}"
        words += f" avg={statistics.mean(times):g} std={round(statistics.pstdev(times))}"
    if generation != "2021":
        ordered = sorted(times)
        at = {name: ordered[int(share * len(ordered))] for name, share in (("p5", 0.05), ("p95", 0.95))}
        words += f" p5={at['p5']} median={ordered[len(ordered) // 2]} p95={at['p95']}"
    return words


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
