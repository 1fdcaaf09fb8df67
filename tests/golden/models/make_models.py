"""Makes the tiny models beside this script: one network in every format, and files with traits that tests need.

Run: python tests/golden/models/make_models.py (TensorFlow and onnx are needed; weights are seeded).
"""

import sys
import uuid
from pathlib import Path

import keras
import numpy as np
import onnx
import tensorflow as tf
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).parent


def convnet() -> keras.Model:
    """(6, 4, 3) -> 5 probabilities by a convolution, a depthwise one and a dense layer: 112 + 40 + 25 parameters."""
    image = keras.Input((6, 4, 3), name="image")
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="conv")(image)
    x = keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, keras.layers.Dense(5, activation="softmax", name="scores")(x), name="convnet")


def two_inputs() -> keras.Model:
    """zeta (3) and alpha (2) -> sum (4) and difference (4); the weights of the inputs differ, so a mix-up shows."""
    zeta, alpha = keras.Input((3,), name="zeta"), keras.Input((2,), name="alpha")
    left, right = keras.layers.Dense(4, name="left")(zeta), keras.layers.Dense(4, name="right")(alpha)
    outputs = [keras.layers.Add(name="sum")([left, right]), keras.layers.Subtract(name="difference")([left, right])]
    return keras.Model([zeta, alpha], outputs, name="two_inputs")


class FusedLSTM(keras.layers.LSTM):
    """An LSTM in the form that TFLite's converter turns into one operator with state."""

    def inner_loop(self, sequences, initial_state, mask, training=False):  # noqa: ARG002 - the signature of Keras
        def lstm(x, h, c, kernel, recurrent, bias):
            steps = x.shape[1]

            def body(t, h, c, states):
                i, f, g, o = tf.split(tf.matmul(x[:, t], kernel) + tf.matmul(h, recurrent) + bias, 4, 1)
                c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
                h = tf.sigmoid(o) * tf.tanh(c)
                return t + 1, h, c, states.write(t, h)

            states = tf.TensorArray(tf.float32, steps, element_shape=(x.shape[0], self.units))
            _, h, c, states = tf.while_loop(lambda t, *_: t < steps, body, (0, h, c, states))
            return h, tf.transpose(states.stack(), [1, 0, 2]), h, c, tf.constant(1.0)

        attributes = {"api_implements": "lstm_" + str(uuid.UUID(int=1)), "time_major": False, "go_backwards": False}
        call = tf.function(lstm, autograph=False, experimental_attributes=attributes)
        cell = self.cell
        values = (sequences, *initial_state, cell.kernel, cell.recurrent_kernel, cell.bias)
        last, _, h, c, _ = call(*map(tf.convert_to_tensor, values))
        return last, tf.expand_dims(last, 1), [h, c]


def lower(model: keras.Model, *, batch: int | None, int8: bool = False, float_io: bool = False) -> bytes:
    """The model as TFLite with a named signature; in int8, with inputs and outputs in it too unless ``float_io``."""
    specs = [tf.TensorSpec((batch, *i.shape[1:]), i.dtype, name=i.name) for i in model.inputs]
    function = tf.function(lambda *x: dict(zip(model.output_names, keras.tree.flatten(model(list(x))), strict=True)))
    module = tf.Module()
    module.variables_held = [v.value for v in model.variables]
    module.function = function.get_concrete_function(*specs)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.function], module)
    if int8:
        rng = np.random.default_rng(0)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (
            {s.name: rng.random([1, *s.shape[1:]], np.float32) for s in specs} for _ in range(20)
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.float32 if float_io else tf.int8
    return converter.convert()


def quantized_onnx() -> onnx.ModelProto:
    """A uint8 interface around one dense layer whose shapes are not in the file: y = (q - 128) / 64 @ w."""
    weights = np.arange(-6, 6, dtype=np.float32).reshape(4, 3) / 8
    constants = [
        numpy_helper.from_array(weights, "w"),
        numpy_helper.from_array(np.float32(1 / 64), "in_scale"),
        numpy_helper.from_array(np.uint8(128), "in_zero"),
        numpy_helper.from_array(np.float32(1 / 16), "out_scale"),
        numpy_helper.from_array(np.uint8(100), "out_zero"),
    ]
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "in_scale", "in_zero"], ["real"]),
        helper.make_node("MatMul", ["real", "w"], ["product"]),
        helper.make_node("QuantizeLinear", ["product", "out_scale", "out_zero"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "quantized",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, ["N", 4])],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, ["N", 3])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def main() -> None:
    keras.utils.set_random_seed(0)
    for model in (convnet(), two_inputs()):
        model.save(HERE / f"{model.name}.keras")
        (HERE / f"{model.name}.tflite").write_bytes(lower(model, batch=1))
        model.export(HERE / f"{model.name}.onnx", format="onnx", verbose=False)
    net = keras.models.load_model(HERE / "convnet.keras")
    (HERE / "convnet_any_batch.tflite").write_bytes(lower(net, batch=None))
    (HERE / "convnet_int8.tflite").write_bytes(lower(net, batch=1, int8=True))
    (HERE / "convnet_int8_float_io.tflite").write_bytes(lower(net, batch=1, int8=True, float_io=True))
    onnx.save(quantized_onnx(), HERE / "quantized_interface.onnx")
    sequence = keras.Input((4, 3), name="sequence")
    lstm = keras.Model(sequence, FusedLSTM(2, name="state")(sequence), name="lstm")
    (HERE / "lstm.tflite").write_bytes(lower(lstm, batch=1))


if __name__ == "__main__":
    sys.exit(main())
