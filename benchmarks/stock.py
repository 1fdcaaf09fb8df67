"""One conversion by the stock tools, as their documentation shows it: load, convert, save, in this process.

    python benchmarks/stock.py MODEL.keras RECIPE FORMAT SAMPLES.npy OUTPUT

SAMPLES holds the calibration items as the model takes them, (count, ...). TFLite by `TFLiteConverter`, or by
litert-quantizer for the recipe `int8-litert`; ONNX by tf2onnx and ONNX Runtime's quantizer with seven-bit weights.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RECIPES = {
    "tflite": ("fp32", "fp16", "dynamic", "int8", "int16x8"),
    "onnx": ("fp32", "fp16", "dynamic", "int8"),
}
"""What the stock tools make, and edgekit too."""
_OPSET = 17


def load(model: Path) -> Any:
    import keras

    return keras.models.load_model(model, compile=False)


def to_tflite(model: Path, recipe: str, samples: Path, output: Path) -> None:
    import numpy as np
    import tensorflow as tf

    if recipe == "int8-litert":
        to_tflite(model, "fp32", samples, output)
        _quantize_by_litert(output, samples)
        return
    converter = tf.lite.TFLiteConverter.from_keras_model(load(model))
    if recipe != "fp32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if recipe == "fp16":
        converter.target_spec.supported_types = [tf.float16]
    if recipe in ("int8", "int16x8"):
        items = np.load(samples)

        def representative() -> Iterator[list[Any]]:
            for item in items:
                yield [item[None]]

        converter.representative_dataset = representative
        ops = tf.lite.OpsSet
        integer = recipe == "int8"
        converter.target_spec.supported_ops = [
            ops.TFLITE_BUILTINS_INT8 if integer else ops.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        ]
        kind = tf.int8 if integer else tf.int16
        converter.inference_input_type = converter.inference_output_type = kind
    output.write_bytes(converter.convert())


def _quantize_by_litert(path: Path, samples: Path) -> None:
    import numpy as np
    from litert_quantizer import quantizer, recipe

    worker = quantizer.Quantizer(str(path))
    worker.load_quantization_recipe(recipe.static_wi8_ai8())
    signature, name = _signature_and_input(path)
    ranges = worker.calibrate({signature: [{name: item[None]} for item in np.load(samples)]})
    worker.quantize(ranges).export_model(str(path), overwrite=True)


def _signature_and_input(path: Path) -> tuple[str, str]:
    """Name of the signature of a TFLite file, and of its input."""
    from ai_edge_litert.interpreter import Interpreter

    signatures = Interpreter(model_path=str(path)).get_signature_list()
    key = next(iter(signatures))
    return key, signatures[key]["inputs"][0]


def to_onnx(model: Path, recipe: str, samples: Path, output: Path) -> None:
    import numpy as np
    import onnx
    import tensorflow as tf
    import tf2onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_dynamic, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process
    from onnxruntime.transformers.float16 import convert_float_to_float16

    loaded = load(model)
    spec = [tf.TensorSpec((1, *loaded.inputs[0].shape[1:]), tf.float32, name="input")]
    call = tf.function(lambda x: loaded(x, training=False))
    made, _ = tf2onnx.convert.from_function(call, input_signature=spec, opset=_OPSET)
    onnx.save(made, output)
    if recipe == "fp16":
        onnx.save(convert_float_to_float16(made, keep_io_types=True), output)
    if recipe in ("dynamic", "int8"):
        ready = output.with_suffix(".ready.onnx")
        quant_pre_process(str(output), str(ready), skip_symbolic_shape=True)
        if recipe == "dynamic":
            quantize_dynamic(str(ready), str(output))
        else:
            items = iter(np.load(samples))

            class Reader(CalibrationDataReader):  # type: ignore[misc]
                def get_next(self) -> dict[str, Any] | None:
                    item = next(items, None)
                    return None if item is None else {"input": item[None]}

            quantize_static(
                str(ready), str(output), Reader(), quant_format=QuantFormat.QDQ, per_channel=True, reduce_range=True
            )
        ready.unlink()


if __name__ == "__main__":
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")
    source, wanted, fmt, data, target = sys.argv[1:]
    make = {"tflite": to_tflite, "onnx": to_onnx}[fmt]
    make(Path(source), wanted, Path(data), Path(target))
