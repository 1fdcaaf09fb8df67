"""Makes two_inputs_{float,int8}.tflite: an image and a bias through a convolution and a dense layer. Needs TensorFlow.

Seeded; run in this folder: python make_two_inputs.py
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

HERE = Path(__file__).parent


class Tiny(tf.Module):
    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        self.kernel = tf.Variable(generator.normal(size=(3, 3, 1, 4)).astype(np.float32))
        self.dense = tf.Variable(generator.normal(size=(4, 3)).astype(np.float32))

    @tf.function(input_signature=[tf.TensorSpec((1, 8, 8, 1), name="image"), tf.TensorSpec((1, 3), name="bias")])
    def __call__(self, image: tf.Tensor, bias: tf.Tensor) -> dict[str, tf.Tensor]:
        features = tf.nn.relu(tf.nn.conv2d(image, self.kernel, 2, "SAME"))
        return {"scores": tf.reduce_mean(features, (1, 2)) @ self.dense + bias}


def converter(model: Tiny) -> tf.lite.TFLiteConverter:
    return tf.lite.TFLiteConverter.from_concrete_functions([model.__call__.get_concrete_function()], model)


def samples() -> list[dict[str, np.ndarray]]:
    generator = np.random.default_rng(1)
    sizes = {"image": (1, 8, 8, 1), "bias": (1, 3)}
    return [{name: generator.random(size, np.float32) for name, size in sizes.items()} for _ in range(16)]


if __name__ == "__main__":
    model = Tiny()
    (HERE / "two_inputs_float.tflite").write_bytes(converter(model).convert())
    integer = converter(model)
    integer.optimizations = [tf.lite.Optimize.DEFAULT]
    integer.representative_dataset = samples
    integer.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    integer.inference_input_type = integer.inference_output_type = tf.int8
    (HERE / "two_inputs_int8.tflite").write_bytes(integer.convert())
