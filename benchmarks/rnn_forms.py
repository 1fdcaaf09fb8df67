"""Claim: the form that `convert` chooses for recurrent layers is the smallest or the fastest that the recipe has.

    python benchmarks/rnn_forms.py [--lengths]

One network of each kind (two layers of 64 units, 40 steps of 32 values; seeded, not trained) is converted in every form
and recipe. Each row has the size, the parity with the source and the median time of a sequence on one thread, all of
one run. ``naive`` is what TFLiteConverter makes of the same model without help: a loop. ``--lengths`` tells what
unrolling costs by length instead. Takes some minutes.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from saving import Figure, save

from edgekit.artifact import Format
from edgekit.converters import Request, convert
from edgekit.converters.report import Converted
from edgekit.converters.workshop import Workshop
from edgekit.errors import ConversionError, InputError
from edgekit.formats import tflite
from edgekit.recipe import Precision, Recipe, Rnn
from edgekit.runtimes import open_runtime
from edgekit.workers import silent

STEPS, VALUES, UNITS, ITEMS = 40, 32, 64, 32
KINDS = ("LSTM", "GRU", "SimpleRNN", "Bidirectional")


def build(kind: str, path: Path, steps: int = STEPS) -> None:
    """Save a network of two layers of ``kind``, and a dense one behind."""
    import keras
    from keras import layers

    def layer(**settings: Any) -> Any:
        if kind == "Bidirectional":
            return layers.Bidirectional(layers.LSTM(UNITS, **settings))
        return getattr(layers, kind)(UNITS, **settings)

    keras.utils.set_random_seed(0)
    x = keras.Input((steps, VALUES), name="x")
    keras.Model(x, layers.Dense(10, name="y")(layer()(layer(return_sequences=True)(x)))).save(path)


def median_ms(path: Path, item: np.ndarray[Any, Any]) -> float:
    """The median of 100 calls after 10, in milliseconds."""
    runtime = open_runtime(path)
    call = runtime.bind({runtime.inputs[0].name: quantized(item, runtime.inputs[0])})
    samples = []
    for _ in range(110):
        start = time.perf_counter()
        call()
        samples.append(time.perf_counter() - start)
    return float(np.median(samples[10:])) * 1e3


def quantized(item: np.ndarray[Any, Any], spec: Any) -> np.ndarray[Any, Any]:
    """One item as the file takes it."""
    if spec.dtype == "float32":
        return item
    limits = np.iinfo(spec.dtype)
    steps = np.round(item / spec.scale[0]) + spec.zero_point[0]
    return np.asarray(np.clip(steps, limits.min, limits.max), dtype=spec.dtype)


def rows(kind: str, folder: Path) -> Iterator[dict[str, Any]]:
    """What every form of one network is like, by recipe."""
    source, data = folder / f"{kind}.keras", folder / "data.npz"
    build(kind, source)
    for rnn in (Rnn.AUTO, Rnn.FUSED, Rnn.UNROLLED):
        for precision in Precision:
            recipe = Recipe(precision=precision, rnn=rnn, calibration_samples=ITEMS)
            target = folder / f"{kind}.{rnn.value}"
            request = Request(
                source=source, recipes=(recipe,), formats=(Format.TFLITE,), calibration=str(data), output_dir=target
            )
            row = {"network": kind, "rnn": rnn.value, "recipe": precision.value}
            try:
                made = convert(request).artifacts[0]
            except (ConversionError, InputError) as error:
                yield {**row, "refused": str(error)}
                continue
            yield {**row, **figures(made, np.load(data)["x"][:1])}


def naive(kind: str, folder: Path) -> Iterator[dict[str, Any]]:
    """What TFLiteConverter alone makes of the network: integer recipes end its process."""
    shop_folder = folder / f"{kind}.naive"
    shop_folder.mkdir()
    item = np.load(folder / "data.npz")["x"][:1]
    with Workshop(shop_folder, silent) as shop:
        shop.tensorflow("load", {"path": str(folder / f"{kind}.keras"), "kind": "keras"})
        for precision in (Precision.FP32, Precision.FP16, Precision.DYNAMIC):
            path = shop_folder / f"{precision.value}.tflite"
            request = {"path": str(path), "batch": 1, "forms": [], "stateful": False, "granularity": "per-channel"}
            operation = "lower_tflite" if precision is Precision.FP32 else "quantize_tflite"
            shop.tensorflow(operation, {**request, "precision": precision.value})
            yield {
                "network": kind, "rnn": "naive", "recipe": precision.value, "bytes": path.stat().st_size,
                "p50_ms": round(median_ms(path, item), 3),
            }  # fmt: skip


def lengths(folder: Path) -> Iterator[dict[str, Any]]:
    """What unrolling two layers costs by the number of steps."""
    for steps in (50, 100, 200, 400):
        source, data = folder / f"{steps}.keras", folder / f"{steps}.npz"
        build("LSTM", source, steps)
        np.savez(data, x=np.random.default_rng(0).normal(0, 1, (ITEMS, steps, VALUES)).astype(np.float32))
        recipe = Recipe(precision=Precision.INT8, rnn=Rnn.UNROLLED, calibration_samples=ITEMS)
        request = Request(
            source=source, recipes=(recipe,), formats=(Format.TFLITE,), calibration=str(data), output_dir=folder
        )
        start = time.perf_counter()
        made = convert(request).artifacts[0]
        seconds = round(time.perf_counter() - start, 1)
        operators = len(tflite.read_graph(made.path).nodes)
        yield {
            "unrolled": 2 * steps,
            "operators": operators,
            "seconds": seconds,
            **figures(made, np.load(data)["x"][:1]),
        }


def figures(made: Converted, item: np.ndarray[Any, Any]) -> dict[str, Any]:
    """What is published of one file."""
    return {
        "bytes": made.model_bytes,
        "sqnr_db": round(made.parity.sqnr_db, 1),
        "max_abs": made.parity.max_abs,
        "p50_ms": round(median_ms(made.path, item), 3),
        "notes": list(made.notes),
    }


def main() -> None:
    """Print and save a row for each file; say whether the form chosen for float files is faster than the naive loop."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "--lengths" in sys.argv[1:]:
            for row in lengths(folder):
                print(row, flush=True)
            return
        items = np.random.default_rng(0).normal(0, 1, (ITEMS, STEPS, VALUES)).astype(np.float32)
        np.savez(folder / "data.npz", x=items)
        found = []
        for kind in KINDS:
            for row in (*rows(kind, folder), *naive(kind, folder)):
                print(row, flush=True)
                found.append(row)
    times = {(r["network"], r["rnn"], r["recipe"]): r["p50_ms"] for r in found if "p50_ms" in r}
    ratio = times["LSTM", "auto", "fp32"] / times["LSTM", "naive", "fp32"]
    figure = Figure(
        what="time of the fused LSTM in fp32, of that of the naive loop", value=f"{ratio:.2f}", limit="below 1.00",
        held=ratio < 1.0,
    )  # fmt: skip
    print(f"{figure.what}: {figure.value}. Saved {save('rnn_forms', found, [figure])}.")
    sys.exit(0 if figure.held else 1)


if __name__ == "__main__":
    main()
