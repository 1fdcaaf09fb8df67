"""Running a `Network` in TensorFlow: in float, or with weights and activations rounded as an integer file does."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from edgekit.converters.accuracy.network import Kind, Network, Op, Rectifier, Weights, last_use

Ranges = Mapping[str, tuple[float, float]]
Visit = Callable[[Op, Any, Any], None]


def run(
    network: Network,
    feed: Mapping[str, Any],
    *,
    kernels: Mapping[str, Weights] | None = None,
    ranges: Ranges | None = None,
    visit: Visit | None = None,
) -> dict[str, Any]:
    """The outputs by operator name for a batch. ``kernels`` replace those of the network; activations of which
    ``ranges`` holds the range, as `with_zero` gives it, are rounded to 256 levels. ``visit`` sees each operator's
    value before and after its rectifier.
    """
    import tensorflow as tf

    values: dict[str, Any] = {}
    last = last_use(network.ops, network.outputs)
    for op in network.ops:
        inputs = (
            [tf.convert_to_tensor(feed[op.name])] if op.kind is Kind.INPUT else [values[name] for name in op.inputs]
        )
        before = linear(op, inputs, (kernels or {}).get(op.name, op.kernel))
        after = rounded(rectified(op, before), (ranges or {}).get(op.name))
        if visit is not None:
            visit(op, before, after)
        values[op.name] = after
        for name in op.inputs:
            if last.get(name) == op.name:
                values.pop(name, None)
    return {name: values[name] for name in network.outputs}


def linear(op: Op, inputs: Iterable[Any], kernel: Weights | None) -> Any:
    """The value of ``op`` before its rectifier."""
    import tensorflow as tf

    x, *rest = inputs
    padding = op.padding.upper()
    match op.kind:
        case Kind.INPUT:
            return x
        case Kind.CONV:
            y = tf.nn.conv2d(x, kernel, op.strides, padding, dilations=op.dilations)
        case Kind.DEPTHWISE:
            y = tf.nn.depthwise_conv2d(x, kernel, (1, *op.strides, 1), padding, dilations=op.dilations)
        case Kind.DENSE:
            y = tf.tensordot(x, kernel, 1) if len(x.shape) > 2 else tf.matmul(x, kernel)
        case Kind.ADD:
            return tf.add_n([x, *rest])
        case Kind.RECTIFIER:
            return x
        case _:
            if op.call is None:
                raise ValueError(f"{op.name} cannot be computed.")
            return op.call(x, *rest)
    return tf.nn.bias_add(y, op.bias)


def rectified(op: Op, value: Any) -> Any:
    """``value`` after the rectifier of ``op``."""
    import tensorflow as tf

    match op.rectifier:
        case Rectifier.RELU:
            return tf.nn.relu(value)
        case Rectifier.RELU6:
            return tf.nn.relu6(value)
    return value


def with_zero(ranges: Ranges) -> dict[str, tuple[float, float]]:
    """``ranges`` that hold zero; without those that are empty, which no rounding changes."""
    return {name: (min(float(low), 0.0), max(float(high), 0.0)) for name, (low, high) in ranges.items() if low < high}


def levels(ends: tuple[float, float]) -> tuple[float, float]:
    """The lowest and the highest level of the 8-bit range ``ends``, which holds zero: moved so that zero is a level."""
    low, high = ends
    step = (high - low) / 255
    below = round(-low / step)
    return -below * step, (255 - below) * step


def rounded(value: Any, ends: tuple[Any, Any] | None) -> Any:
    """``value`` on the 256 levels of the range ``ends``, which is moved so that zero is a level."""
    import tensorflow as tf

    return value if ends is None else tf.quantization.fake_quant_with_min_max_vars(value, *ends, num_bits=8)
