"""From a Keras model to a `Network`: BatchNorm folded into the weights before it, ReLU fused into what it follows."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgekit.converters.accuracy.network import Kind, Network, Op, Rectifier, Weights
from edgekit.errors import EdgekitError


class NotPreparedError(EdgekitError):
    """The model has a form that the accuracy steps do not know; the text says which."""


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of a layer in the model's graph; tensors are known by the identity of their Keras tensor."""

    layer: Any
    name: str
    inputs: tuple[int, ...]
    output: int
    channels_in: int
    channels: int
    compute: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class _Geometry:
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    padding: str = "valid"


def read_network(model: Any, input_names: Sequence[str]) -> Network:
    """The network of a functional or sequential ``model``; `NotPreparedError` for one that is not a graph of layers."""
    import keras

    graph = model._functional if isinstance(model, keras.Sequential) else model
    if not isinstance(graph, keras.Function):
        raise NotPreparedError("the model is code of its own, not a graph of layers")
    names = {id(tensor): name for tensor, name in zip(graph.inputs, input_names, strict=True)}
    ops = [
        Op(name=name, kind=Kind.INPUT, inputs=(), channels=_channels(tensor), members=())
        for tensor, name in zip(graph.inputs, input_names, strict=True)
    ]
    calls = list(_calls(graph))
    readers = Counter(key for call in calls for key in call.inputs)
    readers.update(id(tensor) for tensor in graph.outputs)
    times = Counter(call.layer.name for call in calls)
    made: dict[int, int] = {}  # from tensors to the position of the operator that makes them
    for call in calls:
        source = made.get(call.inputs[0]) if len(call.inputs) == 1 and readers[call.inputs[0]] == 1 else None
        merged = _merged(ops[source], call) if source is not None and times[call.layer.name] == 1 else None
        if source is not None and merged is not None:
            ops[source], made[call.output] = merged, source
        else:
            ops.extend(_ops(call, tuple(names[key] for key in call.inputs)))
            made[call.output] = len(ops) - 1
        names[call.output] = ops[made[call.output]].name
    fixed = {
        op.name: f"the layer {layer} is used {times[layer]} times"
        for op in ops
        if op.weighted
        for layer in op.members
        if times[layer] > 1
    }
    return Network(ops=tuple(ops), outputs=tuple(names[id(tensor)] for tensor in graph.outputs), fixed=fixed)


def _calls(graph: Any) -> Iterator[_Call]:
    seen: Counter[str] = Counter()
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            if node.is_input:
                continue
            layer = node.operation
            if len(node.outputs) != 1:
                raise NotPreparedError(f"the layer {layer.name} has {len(node.outputs)} outputs")
            if not node.input_tensors:
                raise NotPreparedError(f"the layer {layer.name} reads no tensor")
            number = seen[layer.name]
            seen[layer.name] += 1
            yield _Call(
                layer=layer,
                name=f"{layer.name}.{number}" if number else layer.name,
                inputs=tuple(id(tensor) for tensor in node.input_tensors),
                output=id(node.outputs[0]),
                channels_in=_channels(node.input_tensors[0]),
                channels=_channels(node.outputs[0]),
                compute=_compute(node),
            )


def _compute(node: Any) -> Callable[..., Any]:
    keys = [id(tensor) for tensor in node.input_tensors]

    def compute(*values: Any) -> Any:
        arguments, options = node.arguments.fill_in(dict(zip(keys, values, strict=True)))
        return node.operation(*arguments, **options)

    return compute


def _channels(tensor: Any) -> int:
    return int(tensor.shape[-1] or 0) if len(tensor.shape) > 1 else 0


def _ops(call: _Call, inputs: tuple[str, ...]) -> list[Op]:
    """The operators of one layer: two where a weighted layer applies an activation that cannot be fused."""
    members = (call.layer.name,)
    rectifier = _rectifier(call.layer)
    weights = _weights(call.layer)
    if weights is None:
        kind, repeat = _kind(call)
        own = rectifier if kind is Kind.RECTIFIER and rectifier is not None else Rectifier.NONE
        return [
            Op(
                name=call.name, kind=kind, inputs=inputs, channels=call.channels, members=members, rectifier=own,
                repeat=repeat, call=call.compute,
            )
        ]  # fmt: skip
    kind, kernel, bias = weights
    geometry = _geometry(call.layer) if kind is not Kind.DENSE else _Geometry()
    op = Op(
        name=call.name if rectifier is not None else f"{call.name}/linear",
        kind=kind, inputs=inputs, channels=call.channels, members=members, rectifier=rectifier or Rectifier.NONE,
        kernel=kernel, bias=bias, strides=geometry.strides, dilations=geometry.dilations, padding=geometry.padding,
    )  # fmt: skip
    if rectifier is not None:
        return [op]
    activation = call.layer.activation
    return [
        op,
        Op(
            name=call.name, kind=Kind.OTHER, inputs=(op.name,), channels=call.channels, members=members, call=activation
        ),
    ]


def _weights(layer: Any) -> tuple[Kind, Weights, Weights] | None:
    """Kernel and bias of a layer that the steps can change; ``None`` for any other."""
    from keras import layers

    if type(layer) is layers.Dense:
        kind = Kind.DENSE
    elif type(layer) is layers.Conv2D and layer.groups == 1 and layer.data_format == "channels_last":
        kind = Kind.CONV
    elif type(layer) is layers.DepthwiseConv2D and layer.depth_multiplier == 1 and layer.data_format == "channels_last":
        kind = Kind.DEPTHWISE
    else:
        return None
    kernel = _array(layer.kernel)
    channels = kernel.shape[2] if kind is Kind.DEPTHWISE else kernel.shape[-1]
    bias = _array(layer.bias) if layer.use_bias else np.zeros(channels, np.float32)
    return kind, kernel, bias


def _geometry(layer: Any) -> _Geometry:
    return _Geometry(tuple(layer.strides), tuple(layer.dilation_rate), layer.padding)


def _rectifier(layer: Any) -> Rectifier | None:
    """What rectifier a layer is or applies; ``None`` where it applies another activation."""
    import keras

    if isinstance(layer, keras.layers.ReLU):
        if layer.negative_slope or layer.threshold or layer.max_value not in (None, 6):
            return None
        return Rectifier.RELU if layer.max_value is None else Rectifier.RELU6
    known = {
        keras.activations.linear: Rectifier.NONE,
        keras.activations.relu: Rectifier.RELU,
        keras.activations.relu6: Rectifier.RELU6,
    }
    return known.get(getattr(layer, "activation", None))


def _kind(call: _Call) -> tuple[Kind, int]:
    """What a layer without a kernel does to channels, and how often each recurs in its output."""
    from keras import layers

    layer = call.layer
    same = call.channels == call.channels_in and getattr(layer, "data_format", None) != "channels_first"
    if isinstance(layer, (layers.ReLU, layers.Activation)):
        rectifier = _rectifier(layer)
        if rectifier is None:
            return Kind.OTHER, 1
        return (Kind.HANDED if rectifier is Rectifier.NONE else Kind.RECTIFIER), 1
    if isinstance(layer, layers.Add):
        return Kind.ADD, 1
    if isinstance(layer, layers.Concatenate) and layer.axis in (-1, len(layer.output.shape) - 1):
        return Kind.CONCAT, 1
    if isinstance(layer, (layers.GlobalAveragePooling2D, layers.AveragePooling2D)) and same:
        return Kind.AVERAGE, 1
    handing = (layers.ZeroPadding2D, layers.Cropping2D, layers.MaxPooling2D, layers.GlobalMaxPooling2D)
    idle = (layers.Dropout, layers.SpatialDropout2D, layers.GaussianNoise, layers.GaussianDropout)
    if isinstance(layer, (*handing, *idle)) and same:
        return Kind.HANDED, 1
    if isinstance(layer, (layers.Flatten, layers.Reshape)) and call.channels and call.channels_in:
        # The last axis varies fastest, so that whatever is folded into it repeats the channels in order.
        repeat, rest = divmod(call.channels, call.channels_in)
        if rest == 0:
            return Kind.HANDED, repeat
    return Kind.OTHER, 1


def _merged(op: Op, call: _Call) -> Op | None:
    """``op`` with the layer of ``call`` folded in, or ``None`` where that is impossible."""
    from keras import layers

    if op.rectifier is not Rectifier.NONE or not (op.weighted or op.kind is Kind.ADD):
        return None
    layer = call.layer
    merged = replace(op, name=call.name, members=(*op.members, layer.name))
    if isinstance(layer, layers.BatchNormalization) and op.weighted and layer.axis in (-1, len(layer.output.shape) - 1):
        return _folded(merged, layer)
    if isinstance(layer, (layers.ReLU, layers.Activation)):
        rectifier = _rectifier(layer)
        return replace(merged, rectifier=rectifier) if rectifier is not None else None
    return None


def _folded(op: Op, norm: Any) -> Op:
    """``op`` with the normalisation multiplied into kernel and bias (Jacob et al. 2018, section 3.2)."""
    mean, variance = _array(norm.moving_mean).astype(float), _array(norm.moving_variance).astype(float)
    scale = (_array(norm.gamma) if norm.scale else 1.0) / np.sqrt(variance + norm.epsilon)
    shift = _array(norm.beta) if norm.center else 0.0
    if op.kernel is None or op.bias is None:
        raise ValueError(f"{op.name} has no weights to fold into.")
    kernel = op.kernel * (scale[:, None] if op.kind is Kind.DEPTHWISE else scale)
    bias = (op.bias - mean) * scale + shift
    return replace(op, kernel=kernel.astype(np.float32), bias=bias.astype(np.float32))


def _array(variable: Any) -> Weights:
    return np.asarray(variable.value.numpy(), np.float32)
