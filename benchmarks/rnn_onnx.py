"""Claim: an LSTM or GRU as one ONNX operator takes less time than as the loop that tf2onnx makes of it.

    python benchmarks/rnn_onnx.py

Each network is one layer over a sequence and a dense layer, with random weights. Files of every recipe, and the loop
for one item, take turns in a shuffled order in ONNX Runtime on one thread. Times are those of the thread on
the CPU. It exits with 1 where an operator in fp32 is not faster than the loop, by the median.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import numpy as np

from edgekit.artifact import Format
from edgekit.converters import Request, convert
from edgekit.errors import ConversionError
from edgekit.recipe import Precision, Recipe

NETWORKS = {
    "LSTM 128, 100 steps of 64": ("LSTM", 128, 100, 64),
    "LSTM 800, 100 steps of 57": ("LSTM", 800, 100, 57),
    "GRU 128, 100 steps of 64": ("GRU", 128, 100, 64),
    "GRU 256, 10 steps of 1": ("GRU", 256, 10, 1),
    "SimpleRNN 128, 100 steps of 64": ("SimpleRNN", 128, 100, 64),
}
ROUNDS = 40
RECIPES = (Precision.FP32, Precision.FP16, Precision.DYNAMIC, Precision.INT8)


def build(folder: Path, kind: str, units: int, steps: int, features: int) -> None:
    """Write the network, data for it, and the loop that tf2onnx makes of it for one item."""
    import keras
    import tensorflow as tf
    import tf2onnx

    keras.utils.set_random_seed(0)
    layer = getattr(keras.layers, kind)(units)
    model = keras.Sequential([keras.layers.Input((steps, features), name="x"), layer, keras.layers.Dense(10, name="y")])
    model.save(folder / "net.keras")
    data = np.random.default_rng(0).normal(0, 1, (32, steps, features)).astype(np.float32)
    np.savez(folder / "data.npz", x=data)
    signature = [tf.TensorSpec((1, steps, features), tf.float32, name="x")]
    loop, _ = tf2onnx.convert.from_function(tf.function(model.call), input_signature=signature, opset=17)
    (folder / "loop.onnx").write_bytes(loop.SerializeToString())


def files(folder: Path) -> tuple[dict[str, Path], dict[str, float]]:
    """The loop and the file of each recipe that there is, and their distance from Keras in dB."""
    found, distance = {"loop": folder / "loop.onnx"}, {}
    for precision in RECIPES:
        recipe = Recipe(precision=precision, calibration_samples=32)
        data = str(folder / "data.npz")
        try:
            (row,) = convert(
                Request(source=folder / "net.keras", recipes=(recipe,), formats=(Format.ONNX,), calibration=data)
            ).artifacts
        except ConversionError:  # int8 of what has no integer form
            continue
        found[precision.value], distance[precision.value] = row.path, row.parity.sqnr_db
    return found, distance


def times(paths: dict[str, Path], item: np.ndarray) -> dict[str, float]:
    """The median of each file in ms."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    sessions = {
        name: onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        for name, path in paths.items()
    }
    taken: dict[str, list[float]] = {name: [] for name in sessions}
    random = np.random.default_rng(0)
    for _ in range(ROUNDS):
        for name in random.permutation(list(sessions)):
            session = sessions[str(name)]
            feed = {session.get_inputs()[0].name: item}
            session.run(None, feed)  # caches hold another file's weights
            started = time.thread_time()
            for _ in range(3):
                session.run(None, feed)
            taken[str(name)].append((time.thread_time() - started) / 3 * 1e3)
    return {name: float(np.median(values)) for name, values in taken.items()}


def main() -> int:
    """Print a row for each network."""
    print("| network | file | ms | KB | dB to Keras |\n|---|---|---|---|---|")
    slower = 0
    for name, settings in NETWORKS.items():
        with tempfile.TemporaryDirectory() as text:
            folder = Path(text)
            arguments = [sys.executable, __file__, "build", text, *map(str, settings)]
            subprocess.run(arguments, check=True, capture_output=True)  # TensorFlow stays out of what is timed
            paths, distance = files(folder)
            taken = times(paths, np.load(folder / "data.npz")["x"][:1])
            for kind, path in paths.items():
                far = f"{distance[kind]:.1f}" if kind in distance else "-"
                print(f"| {name} | {kind} | {taken[kind]:.3f} | {path.stat().st_size / 1024:.0f} | {far} |", flush=True)
            slower += taken["fp32"] >= taken["loop"]
    return int(slower > 0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["build"]:
        build(Path(sys.argv[2]), sys.argv[3], *map(int, sys.argv[4:]))
    else:
        sys.exit(main())
