"""What a bundle needs on a device: an environment with numpy and one engine, its size, its start, its memory.

Run: python benchmarks/bundle_footprint.py BUNDLE.zip [FOLDER]    (needs the network; FOLDER keeps the environments)

For each engine an environment is made from nothing with this Python. Its size is without pip; starting is Python, numpy
and the engine, the fastest of 9 processes; verifying is the whole command; memory is that of `bench` at its highest.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ENGINES = {
    "ai-edge-litert": (("numpy", "ai-edge-litert"), "ai_edge_litert.interpreter", "tflite"),
    "onnxruntime": (("numpy", "onnxruntime"), "onnxruntime", "onnx"),
    "tflite-runtime": (("numpy<2", "tflite-runtime==2.14.0"), "tflite_runtime.interpreter", "tflite"),
}
STARTS = 9
_PIP = ("pip", "setuptools", "pkg_resources", "_distutils_hack")
_IMPORTED = "import re, numpy, {}; print(re.search(r'VmRSS:\\s*(\\d+)', open('/proc/self/status').read())[1])"


def python_with(folder: Path, packages: tuple[str, ...]) -> Path:
    """The Python of a new environment with these packages, or of the one that is in ``folder`` already."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    return python


def size_mb(folder: Path) -> float:
    """Megabytes of the packages in an environment."""
    (site,) = folder.glob("lib/python*/site-packages")
    kept = (path for path in site.iterdir() if not path.name.startswith(_PIP))
    return (
        sum(f.stat().st_size for top in kept for f in (top.rglob("*") if top.is_dir() else [top]) if f.is_file()) / 1e6
    )


def seconds(command: list[str | Path]) -> tuple[float, str]:
    """How long a command takes, and what it prints."""
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return time.perf_counter() - start, done.stdout


def main(bundle: Path, folder: Path) -> None:
    """Print one row for each engine."""
    print("engine, MB, start ms, RSS after it MB, verify s, model, peak RSS in bench MB, p50 ms")
    for name, (packages, module, kind) in ENGINES.items():
        python = python_with(folder / name, packages)
        starts = [seconds([python, "-I", "-c", _IMPORTED.format(module)]) for _ in range(STARTS)]
        start_ms = min(s for s, _ in starts) * 1e3
        rss_mb = statistics.median(int(text) for _, text in starts) / 1e3
        listed = subprocess.run(
            [sys.executable, "-m", "zipfile", "-l", bundle], capture_output=True, text=True, check=True
        )
        words = [line.split()[0] for line in listed.stdout.splitlines() if line.startswith("bundle/models/")]
        for model in sorted(Path(word).name for word in words if word.endswith(f".{kind}")):
            verify_s, _ = seconds([python, "-I", bundle, "verify", "--model", model])
            timed = json.loads(seconds([python, "-I", bundle, "bench", "--model", model, "--json", "-"])[1])["results"][
                0
            ]
            print(
                f"{name}, {size_mb(folder / name):.0f}, {start_ms:.0f}, {rss_mb:.0f}, {verify_s:.1f}, {model}, "
                f"{timed['peak_rss_bytes'] / 1e6:.0f}, {timed['latency_ms']['p50']:.2f}"
            )


if __name__ == "__main__":
    if len(sys.argv) > 2:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            main(Path(sys.argv[1]), Path(scratch))
