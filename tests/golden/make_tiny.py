"""Makes tiny.tflite and tiny.onnx: which third of an 8 x 8 gray image is the brightest, as three logits.

Run from the project's root: .venv/bin/python tests/golden/make_tiny.py
"""

from pathlib import Path

import numpy as np

from edgekit.artifact import Format, with_card
from edgekit.card import ModelCard, Provenance, TensorSpec
from edgekit.preprocessing import preset
from edgekit.recipe import Precision, Recipe

HERE = Path(__file__).parent
LABELS = ("left", "middle", "right")
COLUMNS = {"left": (0, 1, 2), "middle": (3, 4), "right": (5, 6, 7)}


def weights() -> np.ndarray:
    """(64, 3) float32: the mean brightness of each third."""
    table = np.zeros((8, 8, 3), np.float32)
    for k, label in enumerate(LABELS):
        table[:, COLUMNS[label], k] = 1 / (8 * len(COLUMNS[label]))
    return table.reshape(64, 3)


def card() -> ModelCard:
    """What the files say of themselves."""
    return ModelCard(
        name="tiny",
        task="classification",
        inputs=(TensorSpec(name="image", shape=(1, 8, 8, 1), dtype="float32"),),
        outputs=(TensorSpec(name="logits", shape=(1, 3), dtype="float32"),),
        preprocessing=preset("unit", size_hw=(8, 8), channels=1),
        labels=LABELS,
        provenance=Provenance(recipe=Recipe(precision=Precision.FP32)),
    )


def tflite() -> bytes:
    """The model as a TFLite file."""
    import tensorflow as tf

    class Tiny(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((1, 8, 8, 1), tf.float32, name="image")])
        def __call__(self, image):
            return {"logits": tf.matmul(tf.reshape(image, (1, 64)), tf.constant(weights()))}

    tiny = Tiny()
    function = tiny.__call__.get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([function], tiny).convert()


def onnx() -> bytes:
    """The model as an ONNX file."""
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node("Flatten", ["image"], ["flat"]), helper.make_node("MatMul", ["flat", "weights"], ["logits"])],
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 8, 8, 1))],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, (1, 3))],
        [numpy_helper.from_array(weights(), "weights")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


if __name__ == "__main__":
    (HERE / "tiny.tflite").write_bytes(with_card(tflite(), card(), Format.TFLITE))
    (HERE / "tiny.onnx").write_bytes(with_card(onnx(), card(), Format.ONNX))
