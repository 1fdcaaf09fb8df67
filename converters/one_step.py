"""From a recurrent Keras model to a stock model of one of its time steps, whose states are inputs and outputs."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.converters.one_cell import CELLS, Cell
from edgekit.errors import InputError
from edgekit.sequences import State

_IDLE = ("Dropout", "SpatialDropout1D", "GaussianNoise", "GaussianDropout", "AlphaDropout", "ActivityRegularization")
_EACH_VALUE = ("Activation", "ReLU", "LeakyReLU", "ELU", "Identity", "Rescaling")
_EACH_STEP = ("Dense", "Embedding", "TimeDistributed")
_JOINS = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
_LAST_AXIS = ("Concatenate", "Softmax", "LayerNormalization", "BatchNormalization", "UnitNormalization")
_UNSAFE = re.compile(r"[^A-Za-z0-9_]")


@dataclass(frozen=True, slots=True, kw_only=True)
class OneStep:
    """A Keras model of one time step, and its states: what each output gives is the next step's input."""

    model: Any
    states: tuple[State, ...]


@dataclass(frozen=True, slots=True)
class _Tensor:
    """What a tensor of the whole model is at one step; ``timed`` where it had an axis of time there."""

    value: Any
    timed: bool


def one_step(whole: Any, path: Path, *, input_name: str, output_name: str) -> OneStep:
    """The model of one step of the Keras model ``whole``, which was read from ``path``; `InputError` says why not."""
    return _Builder(path).build(whole, input_name, output_name)


@dataclass(slots=True)
class _Builder:
    path: Path
    cells: list[Cell] = field(default_factory=list)
    clones: dict[tuple[int, bool], Any] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    read: set[int] = field(default_factory=set)

    def build(self, whole: Any, input_name: str, output_name: str) -> OneStep:
        import keras

        graph = whole._functional if isinstance(whole, keras.Sequential) else whole
        if not isinstance(graph, keras.Function):
            raise InputError(
                f"{self.path} is code of its own, not a graph of layers, so that no model of one step can be made of "
                "it: build it from stock layers."
            )
        for what, tensors in (("inputs", graph.inputs), ("outputs", graph.outputs)):
            if len(tensors) != 1:
                raise InputError(
                    f"{self.path} has {len(tensors)} {what}; a model of one time step is made of one that takes one "
                    "sequence and gives one answer: leave --rnn step out."
                )
        (first,), (last,) = graph.inputs, graph.outputs
        start = keras.Input(first.shape[2:], dtype=first.dtype, name=input_name)
        tensors = {id(first): _Tensor(start, timed=True)}
        nodes = _nodes(graph, last)
        self.read = {id(last), *(id(tensor) for node in nodes for tensor in _read(node))}
        for node in nodes:
            tensors[id(node.outputs[0])] = self._step(node, tensors)
        if not self.cells:
            raise InputError(f"{self.path} has no recurrent layer and so no state to stream: leave --rnn step out.")
        states = [state for cell in self.cells for state in cell.states]
        outputs = {output_name: tensors[id(last)].value, **{f"{s.name}_next": s.after for s in states}}
        inputs, name = [start, *(state.before for state in states)], f"{_UNSAFE.sub('_', whole.name)}_step"
        try:
            model = keras.Model(inputs, outputs, name=name)
        except ValueError as error:
            raise InputError(
                f"{self.path} cannot be streamed, as its names clash with those of states ({error}): rename its input "
                "and layers."
            ) from None
        return OneStep(model=model, states=tuple(State(input=s.name, output=f"{s.name}_next") for s in states))

    def _step(self, node: Any, tensors: dict[int, _Tensor]) -> _Tensor:
        """What ``node`` gives at one step."""
        layer = node.operation
        read = _read(node)
        given = [tensors[id(tensor)] for tensor in read]
        timed = any(tensor.timed for tensor in given)
        if type(layer).__name__ in CELLS and _stock(layer):
            if any(id(tensor) in self.read for tensor in node.outputs[1:]):
                self._refuse(layer, "hands its state on to other layers")
            return self._recur(layer, given)
        if timed or type(layer).__name__ == "RepeatVector":
            self._require_step_by_step(node, given)
            if type(layer).__name__ in _IDLE:
                return given[0]
        if len(node.outputs) != 1:
            self._refuse(layer, "gives several answers")
        values = {id(tensor): found.value for tensor, found in zip(read, given, strict=True)}
        arguments, options = node.arguments.fill_in({id(tensor): None for tensor in node.input_tensors} | values)
        options.pop("mask", None)
        return _Tensor(self._clone(layer, timed)(*arguments, **options), timed=timed)

    def _recur(self, layer: Any, given: Sequence[_Tensor]) -> _Tensor:
        if layer.go_backwards:
            self._refuse(layer, "reads the sequence from its end")
        if len(given) != 1:
            self._refuse(layer, "is given its first state by other layers")
        if not given[0].timed:
            self._refuse(layer, "reads an axis that is not that of time")
        if (id(layer), True) in self.clones:
            self._refuse(layer, "is used twice")
        cell = CELLS[type(layer).__name__](layer, given[0].value, self._name(layer))
        self.clones[id(layer), True] = cell
        self.cells.append(cell)
        return _Tensor(cell.answer, timed=layer.return_sequences)

    def _require_step_by_step(self, node: Any, given: Sequence[_Tensor]) -> None:
        """`InputError` unless the layer of ``node`` answers each step from that step alone."""
        layer, rank = node.operation, len(node.outputs[0].shape)
        kind = type(layer).__name__
        if kind == "Bidirectional":
            self._refuse(layer, "reads the sequence from its end too")
        known = _stock(layer) and (
            kind in (*_IDLE, *_EACH_VALUE, *_EACH_STEP)
            or (kind in (*_JOINS, *_LAST_AXIS) and all(tensor.timed for tensor in given) and _along(layer, rank))
        )
        if not known or rank < 3:  # the last of two axes is that of time
            self._refuse(layer, "is not among the layers that can be streamed")
        if any(axes > rank - 2 for axes in _constant_ranks(node)):
            self._refuse(layer, "has a constant with an axis of time")

    def _clone(self, layer: Any, timed: bool) -> Callable[..., Any]:
        """``layer`` with its weights, for tensors without the axis of time where they were ``timed``."""
        import keras

        if not isinstance(layer, keras.Layer):
            operation: Callable[..., Any] = layer
            return operation
        moved = timed and type(layer).__name__ in ("TimeDistributed", *_LAST_AXIS)
        if (id(layer), moved) not in self.clones:
            inner = layer.layer if moved and type(layer).__name__ == "TimeDistributed" else layer
            config = {**inner.get_config(), "name": self._name(layer)}
            if moved and inner is layer and "axis" in config:
                config["axis"] = -1
            self.clones[id(layer), moved] = _WithWeights(type(inner).from_config(config), inner)
        clone: Callable[..., Any] = self.clones[id(layer), moved]
        return clone

    def _name(self, layer: Any) -> str:
        """A name of its own for ``layer`` that the graphs of TensorFlow can have too."""
        name = _UNSAFE.sub("_", layer.name)
        while name in self.names:
            name += "_again"
        self.names.append(name)
        return name

    def _refuse(self, layer: Any, why: str) -> None:
        raise InputError(
            f"{self.path} cannot be streamed, as its layer {layer.name!r} ({type(layer).__name__}) {why}; expected "
            "layers that answer each step from it and those before: leave --rnn step out."
        )


@dataclass(frozen=True, slots=True)
class _WithWeights:
    """A new layer that gets the weights of another once it knows their shapes."""

    layer: Any
    other: Any

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        result = self.layer(*arguments, **options)
        self.layer.set_weights(self.other.get_weights())
        return result


def _nodes(graph: Any, last: Any) -> list[Any]:
    """The nodes that make the tensor ``last``, in order; without those that make masks alone."""
    by_depth = graph._nodes_by_depth
    nodes = [node for depth in sorted(by_depth) for node in by_depth[depth] if not node.is_input]
    wanted, found = {id(last)}, []
    for node in nodes:  # from the last to the first
        if any(id(tensor) in wanted for tensor in node.outputs):
            found.append(node)
            wanted |= {id(tensor) for tensor in _read(node)}
    return found[::-1]


def _read(node: Any) -> list[Any]:
    """The tensors that ``node`` reads, but for masks of padding, which is not streamed."""
    masks = node.arguments.kwargs.get("mask")
    hidden = {id(mask) for mask in (masks if isinstance(masks, (list, tuple)) else [masks])}
    return [tensor for tensor in node.input_tensors if id(tensor) not in hidden]


def _stock(layer: Any) -> bool:
    return type(layer).__module__.partition(".")[0] == "keras"


def _along(layer: Any, rank: int) -> bool:
    """Whether a layer or operation works along the last of ``rank`` axes alone, and so can at one step."""
    import keras

    axis = getattr(layer, "axis", -1)
    axes = list(axis) if isinstance(axis, (list, tuple)) else [axis]
    return axes == [-1] or (axes == [rank - 1] and isinstance(layer, keras.Layer))  # an operation cannot be changed


def _constant_ranks(node: Any) -> list[int]:
    """How many axes everything has that ``node`` computes with beside tensors and weights."""
    arguments = [*node.arguments.args, *node.arguments.kwargs.values()]
    own = [getattr(node.operation, name, None) for name in ("scale", "offset")]
    return [np.ndim(value) for value in (*_constants(arguments), *own)]


def _constants(arguments: Sequence[Any]) -> Iterator[Any]:
    import keras

    for value in arguments:
        if isinstance(value, (list, tuple)) and any(keras.backend.is_keras_tensor(part) for part in value):
            yield from _constants(value)
        elif not keras.backend.is_keras_tensor(value):
            yield value
