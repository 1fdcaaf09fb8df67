"""Claim: `converters/engine_table.json` names the engine that makes a TFLite recipe best, operator by operator.

    python benchmarks/engine_table.py [--write]

For each operator a tiny graph around it is converted by both engines. Its output on 32 seeded items is compared with
the float graph's in the real runtime: SQNR in dB, operators left in float, or how it failed. The engines run in
processes of their own, since some attempts crash. Takes some minutes. It exits with 1 where another engine would be
chosen today; ``--write`` puts what was measured into the table.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from saving import Figure, save

from edgekit.artifact import Format
from edgekit.codec import to_jsonable
from edgekit.converters.engines import FIRST_STEP, TABLE_SCHEMA, Engine, EngineTable, Row, Trial, judge, operators
from edgekit.converters.float_ops import float_ops
from edgekit.converters.rnn_forms import Form
from edgekit.converters.rnn_keras import shape
from edgekit.converters.samples import Samples
from edgekit.converters.workshop import Workshop
from edgekit.errors import ConversionError, EdgekitError
from edgekit.formats import tflite
from edgekit.measure.host import host_facts
from edgekit.measure.metrics import sqnr_db
from edgekit.recipe import Precision, Recipe
from edgekit.workers import WorkerCrashError, silent

TOOLS = ("tensorflow", "tensorflow-cpu", "keras", "litert-quantizer", "ai-edge-litert")

TABLE = Path(__file__).parent.parent / "converters" / "engine_table.json"
ITEMS = 32
PRECISIONS = (Precision.FP16, Precision.DYNAMIC, Precision.INT8, Precision.INT16X8)


def graphs() -> dict[str, Callable[[Any, Any], Any]]:
    """From the TFLite operator's name to the layers that make it, given two convolutions' (1, 8, 8, 8) activations."""
    from keras import layers, ops

    class Op(layers.Layer):  # type: ignore[misc]
        """A function as a layer, inside this process only."""

        def __init__(self, function: Callable[[Any], Any]) -> None:
            super().__init__()
            self.function = function

        def call(self, x: Any) -> Any:
            return self.function(x)

    def squash(x: Any) -> Any:
        square = ops.sum(ops.square(x), axis=-1, keepdims=True)
        return x * ops.sqrt(square) / (1.0 + square)

    def op(function: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
        return lambda x, _y: Op(function)(x)

    def fused(layer: Any, x: Any) -> Any:
        shape(layer, [Form.FUSED])
        return layer(layers.Reshape((16, 32))(x))

    return {
        "CONV_2D": lambda x, _y: layers.Conv2D(16, 3, padding="same", activation="relu6")(x),
        "DEPTHWISE_CONV_2D": lambda x, _y: layers.ReLU(6.0)(layers.DepthwiseConv2D(3, padding="same")(x)),
        "FULLY_CONNECTED": lambda x, _y: layers.Dense(16)(layers.Flatten()(x)),
        "TRANSPOSE_CONV": lambda x, _y: layers.Conv2DTranspose(8, 3, strides=2, padding="same")(x),
        "LEAKY_RELU": lambda x, _y: layers.LeakyReLU(0.2)(x),
        "RELU": lambda x, y: layers.ReLU()(layers.Concatenate()([x, y])),
        "PRELU": lambda x, _y: layers.PReLU(alpha_initializer="random_uniform", shared_axes=[1, 2])(x),
        "ELU": lambda x, _y: layers.ELU()(x),
        "HARD_SWISH": lambda x, _y: layers.Activation("hard_swish")(x),
        "GELU": lambda x, _y: layers.Activation("gelu")(x),
        "LOGISTIC": lambda x, _y: layers.Activation("sigmoid")(x),
        "TANH": lambda x, _y: layers.Activation("tanh")(x),
        "SOFTMAX": lambda x, _y: layers.Softmax()(layers.Dense(10)(layers.Flatten()(x))),
        "ABS": op(ops.abs),
        "TILE": op(lambda x: ops.tile(x, (1, 1, 2, 1))),
        "SQUARE": op(ops.square),
        "SUM": op(lambda x: ops.sum(x, axis=-1)),
        "DIV": op(squash),
        "SQRT": op(lambda x: ops.sqrt(ops.relu(x) + 0.01)),
        "RSQRT": op(lambda x: ops.rsqrt(ops.relu(x) + 0.5)),
        "EXP": op(ops.exp),
        "LOG": op(lambda x: ops.log(ops.relu(x) + 0.5)),
        "ADD": lambda x, y: layers.Add()([x, y]),
        "SUB": lambda x, y: layers.Subtract()([x, y]),
        "MUL": lambda x, y: layers.Multiply()([x, y]),
        "MAXIMUM": lambda x, y: layers.Maximum()([x, y]),
        "MINIMUM": lambda x, y: layers.Minimum()([x, y]),
        "CONCATENATION": lambda x, y: layers.Concatenate()([x, y]),
        "AVERAGE_POOL_2D": lambda x, _y: layers.AveragePooling2D(2)(x),
        "MAX_POOL_2D": lambda x, _y: layers.MaxPooling2D(2)(x),
        "MEAN": lambda x, _y: layers.GlobalAveragePooling2D()(x),
        "REDUCE_MAX": lambda x, _y: layers.GlobalMaxPooling2D()(x),
        "RESHAPE": lambda x, _y: layers.Reshape((64, 8))(x),
        "TRANSPOSE": lambda x, _y: layers.Permute((3, 1, 2))(x),
        "PAD": lambda x, _y: layers.ZeroPadding2D(1)(x),
        "MIRROR_PAD": op(lambda x: ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")),
        "RESIZE_NEAREST_NEIGHBOR": op(lambda x: ops.image.resize(x, (16, 16), interpolation="nearest")),
        "RESIZE_BILINEAR": lambda x, _y: layers.UpSampling2D(interpolation="bilinear")(x),
        "STRIDED_SLICE": lambda x, _y: layers.Cropping2D(1)(x),
        "BATCH_MATMUL": op(lambda x: ops.matmul(ops.reshape(x, (-1, 64, 8)), ops.reshape(x, (-1, 8, 64)))),
        "SPLIT": op(lambda x: ops.add(*ops.split(x, 2, axis=-1))),
        "PACK": op(lambda x: ops.stack([x, ops.relu(x)], axis=1)),
        "SQUARED_DIFFERENCE": lambda x, _y: layers.LayerNormalization()(x),
        "REVERSE_V2": op(lambda x: ops.flip(x, axis=1)),
        "UNIDIRECTIONAL_SEQUENCE_LSTM": lambda x, _y: fused(layers.LSTM(48, return_sequences=True), x),
        FIRST_STEP: lambda x, _y: layers.LSTM(48, return_sequences=True, unroll=True)(layers.Reshape((16, 32))(x)),
    }


def build(operator: str, path: Path) -> None:
    """Save the tiny graph of ``operator`` as a SavedModel with one input and seeded weights."""
    import keras
    import tensorflow as tf
    from keras import layers

    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 16), name="image")
    # Large enough that both engines quantize the weights: TFLiteConverter leaves fewer than 1,024 of them in float.
    x = layers.Conv2D(8, 3, padding="same")(image)
    y = layers.Conv2D(8, 3, padding="same")(image)
    model = keras.Model(image, graphs()[operator](x, y))
    signature = tf.function(lambda image: {"output": model(image, training=False)}).get_concrete_function(
        tf.TensorSpec((None, 8, 8, 16), tf.float32, name="image")
    )
    tf.saved_model.save(model, str(path), signatures={"serving_default": signature})


def outputs(shop: Workshop, path: Path, samples: Samples) -> np.ndarray[Any, Any]:
    """The real-valued output of a TFLite file in the real runtime, (count, ...)."""
    folder = Path(tempfile.mkdtemp(dir=shop.folder)) / "outputs"
    request = {"path": str(path), "samples": str(samples.folder), "outputs": str(folder), "count": ITEMS}
    shop.once("run_worker", "run", request)
    return np.array(next(iter(Samples.open(folder).arrays().values())))


def attempt(shop: Workshop, engine: Engine, precision: Precision, case: "Case") -> Trial:
    """What ``engine`` makes of the float file or the source behind it; a crash of its process is raised."""
    path = shop.folder / f"{case.operator}.{engine.value}.{precision.value}.tflite"
    request: dict[str, Any] = {
        "source": str(case.fp32), "path": str(path), "precision": precision.value, "granularity": "per-channel",
        "ranges": {}, "clip": True, "seed": 0, "interface": "int8", "samples": str(case.samples.folder), "batch": 1,
        "keep_float": [], "forms": [], "stateful": "LSTM" in case.operator,
    }  # fmt: skip
    try:
        if engine is Engine.TFLITE_CONVERTER:
            shop.tensorflow("quantize_tflite", request)
        else:
            shop.engine(Format.TFLITE, "quantize", request)
    except ConversionError as error:
        return Trial(sqnr_db=None, failure=_short(error))
    # Weights that are left in float32 tell of fp16 what they tell of dynamic.
    counted = Recipe(precision=Precision.DYNAMIC if precision is Precision.FP16 else precision)
    left = float_ops(tflite.read_graph(path), {}, counted, Format.TFLITE, engine.value)
    try:
        found = sqnr_db(case.expected, outputs(shop, path, case.samples))
    except EdgekitError as error:
        return Trial(sqnr_db=None, failure=f"made, but does not run: {_short(error).replace(str(path), path.name)}")
    return Trial(sqnr_db=round(found, 1), float_ops=tuple(sorted({f.op for f in left})))


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One tiny graph, lowered, with its items and float outputs."""

    operator: str
    fp32: Path
    samples: Samples
    expected: np.ndarray[Any, Any]


class Bench:
    """Processes that serve all graphs in turn, and are started anew when one of them has crashed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shop = Workshop(folder, silent).__enter__()

    def lowered(self, operator: str) -> Case:
        """The case of ``operator``, and its source held by the TensorFlow process."""
        self._load(operator)
        fp32 = self.folder / f"{operator}.fp32.tflite"
        self.shop.tensorflow("lower_tflite", {"path": str(fp32), "batch": 1, "forms": []})
        graph = tflite.read_graph(fp32)
        present = set(operators(graph, graph.nodes))
        if operator not in present:
            raise SystemExit(f"The graph of {operator} has {sorted(present)}; expected {operator} among them.")
        rng = np.random.default_rng(0)
        items = ({"image": rng.normal(0, 1, (8, 8, 16)).astype(np.float32)} for _ in range(ITEMS))
        samples = Samples.write(self.folder / f"{operator}.samples", items, ITEMS)
        return Case(operator=operator, fp32=fp32, samples=samples, expected=outputs(self.shop, fp32, samples))

    def trial(self, engine: Engine, precision: Precision, case: Case) -> Trial:
        """`attempt`, a crash included."""
        try:
            return attempt(self.shop, engine, precision, case)
        except WorkerCrashError as error:
            self.close()
            self.shop = Workshop(self.folder, silent).__enter__()
            self._load(case.operator)
            return Trial(sqnr_db=None, failure=_short(error))

    def close(self) -> None:
        """End the processes."""
        self.shop.__exit__(None, None, None)

    def _load(self, operator: str) -> None:
        self.shop.tensorflow("load", {"path": str(self.folder / operator), "kind": "saved_model"})


def measure(operator: str, bench: Bench) -> list[Row]:
    """The rows of ``operator``, for every recipe."""
    build(operator, bench.folder / operator)
    case = bench.lowered(operator)
    rows = []
    for precision in PRECISIONS:
        litert, converter = (bench.trial(engine, precision, case) for engine in Engine)
        rows.append(
            Row(
                operator=operator,
                recipe=precision,
                engine=judge(litert, converter),
                litert_quantizer=litert,
                tflite_converter=converter,
            )
        )
    return rows


def _short(error: EdgekitError) -> str:
    return str(error).splitlines()[0][:160]


def main() -> None:
    """Say whether an engine would be chosen otherwise today; with ``--write`` rewrite the table."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        try:
            for operator in graphs():
                rows.extend(measure(operator, bench))
                for row in rows[-len(PRECISIONS) :]:
                    print(row.operator, row.recipe, row.engine, row.litert_quantizer, row.tflite_converter, flush=True)
        finally:
            bench.close()
    tools = {name: found for name, found in host_facts()["packages"].items() if name in TOOLS}
    settings = (
        f"{ITEMS} normal items of 8 x 8 x 16, seed 0; the same items calibrate, litert-quantizer by least squared "
        "error, TFLiteConverter from smallest to largest value; per-channel weights"
    )
    table = EngineTable(schema_version=TABLE_SCHEMA, tools=tools, settings=settings, rows=tuple(rows))
    if "--write" in sys.argv[1:]:
        TABLE.write_text(json.dumps(to_jsonable(table), indent=1) + "\n")
        return
    stored = {(r["operator"], r["recipe"]): r["engine"] for r in json.loads(TABLE.read_text())["rows"]}
    changed = [f"{r.operator} {r.recipe.value}" for r in rows if stored.get((r.operator, r.recipe.value)) != r.engine]
    figure = Figure(
        what=f"engines that would be chosen otherwise, of {len(rows)} pairs of an operator and a recipe",
        value=", ".join(changed) or "none",
        limit="none",
        held=not changed,
    )
    print(f"{figure.what}: {figure.value}. Saved {save('engine_table', [to_jsonable(table)], [figure])}.")
    sys.exit(0 if figure.held else 1)


if __name__ == "__main__":
    main()
