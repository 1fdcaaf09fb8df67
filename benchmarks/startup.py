"""Claim: `edgekit --help` takes at most 0.25 s and loads no TensorFlow, Keras, ONNX or OpenCV.

    python benchmarks/startup.py

Measures wall time of whole processes, alternating with a bare `python -c pass`, and counts the modules loaded.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from saving import Figure, save

from edgekit.codec import to_jsonable
from edgekit.measure.stats import summarize

RUNS = 20
LIMIT_S = 0.25
HEAVY = ("tensorflow", "keras", "onnx", "onnxruntime", "cv2", "ai_edge_litert", "numpy", "PIL")
_LIST = (
    "import atexit, json, sys; atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr));"
    "from edgekit.cli import main; main(['--help'])"
)


def wall_ms(arguments: list[str]) -> float:
    """Wall time of one process in ms."""
    start = time.perf_counter_ns()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter_ns() - start) / 1e6


def loaded_modules() -> list[str]:
    """The names of all modules that `edgekit --help` loads."""
    done = subprocess.run([sys.executable, "-c", _LIST], check=True, capture_output=True, text=True)
    modules: list[str] = json.loads(done.stderr)
    return modules


def main() -> None:
    commands = {"help": ["-m", "edgekit", "--help"], "python": ["-c", "pass"]}
    samples: dict[str, list[float]] = {name: [] for name in commands}
    for arguments in commands.values():
        wall_ms(arguments)  # the first one reads the files from disk
    for _ in range(RUNS):
        for name, arguments in commands.items():
            samples[name].append(wall_ms(arguments))
    modules = loaded_modules()
    heavy = [name for name in HEAVY if name in modules]
    figures = {name: summarize(times, first_ms=times[0]) for name, times in samples.items()}
    results = [
        {"what": name, "latency_ms": to_jsonable(figures[name]), "samples_ms": times, "n": len(times)}
        for name, times in samples.items()
    ]
    kept = figures["help"].p50 <= LIMIT_S * 1000 and not heavy
    figure = Figure(
        what=f"`edgekit --help`, median of {RUNS} runs; heavy packages loaded",
        value=f"{figures['help'].p50:.0f} ms; {', '.join(heavy) or 'none'}",
        limit=f"{LIMIT_S * 1000:.0f} ms; none",
        held=kept,
    )
    path = save("startup", [*results, {"what": "modules", "count": len(modules), "heavy": heavy}], [figure])
    print(
        f"edgekit --help: median {figures['help'].p50:.0f} ms of {RUNS} runs, limit {LIMIT_S * 1000:.0f} ms "
        f"(bare python: {figures['python'].p50:.0f} ms); {len(modules)} modules, of the heavy ones: "
        f"{', '.join(heavy) or 'none'}. Saved {path}."
    )
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
