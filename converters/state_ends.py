"""Ends of TFLite files of one time step: a state that is computed in float is float at the input and output too.

litert-quantizer decides on all outputs of a file at once, and goes wrong where one is read inside the file as well.
So each state gets an output of its own before it is quantized, which is taken away again afterwards.
"""

from collections.abc import Sequence
from typing import Any

from edgekit.converters.tflite_edit import name_of
from edgekit.errors import need

States = Sequence[Sequence[str]]
"""Pairs of names of an input and an output."""


def part_states(model: Any, states: States) -> None:
    """Give each of the ``states`` an output that nothing in the float ``model`` reads: a copy by RESHAPE."""
    file = _File(model)
    for _, after in states:
        inner = file.outputs[after].tensorIndex
        tensor = file.graph.tensors[inner]
        copy = file.tensor(f"{name_of(tensor)}/{after}", tensor, tensor.type)
        options = file.schema.ReshapeOptionsT()
        options.newShape = [int(size) for size in tensor.shape]
        file.add("RESHAPE", inner, copy, file.schema.BuiltinOptions.ReshapeOptions, options)
        file.give(after, copy)


def join_states(model: Any, states: States) -> None:
    """Undo `part_states` in the quantized ``model``; states that it computes in float have float inputs and outputs."""
    file = _File(model)
    for before, after in states:
        end = file.outputs[after].tensorIndex
        inner = file.origin(end)
        file.give(after, inner)
        file.drop(end, inner)
        if file.graph.tensors[inner].type == file.real:
            file.make_real(before)


class _File:
    """The main graph of a model that has one signature; tensors are told by their index."""

    def __init__(self, model: Any) -> None:
        self.schema = need("ai_edge_litert.schema_py_generated", extra="convert")
        self.real = self.schema.TensorType.FLOAT32
        self._model, self._signature, self.graph = model, model.signatureDefs[0], model.subgraphs[0]
        self.inputs = {_text(entry.name): entry for entry in self._signature.inputs}
        self.outputs = {_text(entry.name): entry for entry in self._signature.outputs}

    def tensor(self, name: str, like: Any, kind: int) -> int:
        """A new tensor of the shape of another, not quantized."""
        made = self.schema.TensorT()
        made.name, made.shape, made.hasRank = name.encode(), list(like.shape), True
        made.type, made.buffer = kind, 0
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1

    def add(self, op: str, source: int, result: int, kind: int = 0, options: Any = None) -> None:
        """A new operator, behind all others; one that quantizes an input is the first."""
        operator = self.schema.OperatorT()
        operator.opcodeIndex = self._code(op)
        operator.inputs, operator.outputs = [source], [result]
        operator.builtinOptionsType, operator.builtinOptions = kind, options
        self.graph.operators.insert(0 if op == "QUANTIZE" else len(self.graph.operators), operator)

    def give(self, name: str, index: int) -> None:
        """Let the output called ``name`` be another tensor."""
        old = self.outputs[name].tensorIndex
        self.outputs[name].tensorIndex = index
        self.graph.outputs = [index if int(i) == old else int(i) for i in self.graph.outputs]

    def origin(self, end: int) -> int:
        """The tensor that ``end`` is a copy of, by RESHAPE to the same shape or by QUANTIZE of what is float."""
        while maker := next((op for op in self.graph.operators if end in op.outputs), None):
            source = int(maker.inputs[0])
            same = list(self.graph.tensors[source].shape) == list(self.graph.tensors[end].shape)
            if not same or self._name(maker) not in ("RESHAPE", "QUANTIZE", "DEQUANTIZE"):
                break
            end = source
        return end

    def drop(self, end: int, inner: int) -> None:
        """Leave out the operators between ``inner`` and ``end`` whose results nothing reads."""
        while end != inner and end not in self.graph.outputs and not self._readers(end):
            maker = next(op for op in self.graph.operators if end in op.outputs)
            self.graph.operators.remove(maker)
            end = int(maker.inputs[0])

    def make_real(self, name: str) -> None:
        """Let the quantized input called ``name`` be float; what computes with its integers quantizes it."""
        old = self.inputs[name].tensorIndex
        if self.graph.tensors[old].type == self.real:
            return
        new = self.tensor(f"{name}/real", self.graph.tensors[old], self.real)
        for operator in [op for op in self._readers(old) if self._name(op) == "DEQUANTIZE"]:
            same = int(operator.outputs[0])
            for reader in self._readers(same):
                reader.inputs = [new if int(i) == same else int(i) for i in reader.inputs]
            self.graph.operators.remove(operator)
        if self._readers(old):
            self.add("QUANTIZE", new, old)
        self.inputs[name].tensorIndex = new
        self.graph.inputs = [new if int(i) == old else int(i) for i in self.graph.inputs]

    def _readers(self, index: int) -> list[Any]:
        return [op for op in self.graph.operators if index in [int(i) for i in op.inputs]]

    def _name(self, operator: Any) -> str:
        code = self._model.operatorCodes[operator.opcodeIndex].builtinCode
        return next((name for name, value in vars(self.schema.BuiltinOperator).items() if value == code), "")

    def _code(self, op: str) -> int:
        """The number of an operator among those that the file uses."""
        wanted = getattr(self.schema.BuiltinOperator, op)
        for number, known in enumerate(self._model.operatorCodes):
            if known.builtinCode == wanted:
                return number
        code = self.schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode, code.version = wanted, wanted, 1
        self._model.operatorCodes.append(code)
        return len(self._model.operatorCodes) - 1


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
