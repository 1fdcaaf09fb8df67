"""Decoding and suppression at the end of a TFLite file. It runs in the process of LiteRT."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgekit.converters.tflite_edit import rename
from edgekit.detection import LEAST_SCORE, POSTPROCESS_OP, POSTPROCESS_OUTPUTS, Detection, Scores
from edgekit.errors import need
from edgekit.tasks.anchors import anchor_boxes
from edgekit.tasks.boxes import CANDIDATES

_PREFIX = "detection_postprocess"
_YXHW = [1, 0, 3, 2]
"""TensorFlow's order of a box, made of ours."""
THREADS = 16
"""With how many threads the operator finds every class; see `append_nms`."""


def append_nms(model: Any, spec: Detection, offsets: str, scores: str) -> None:
    """Let the main graph of ``model`` end in `POSTPROCESS_OP`, which reads the outputs ``offsets`` and ``scores``.

    The operator suppresses each class by itself (its "regular" way), as `edgekit.tasks.boxes.suppress` does: its "fast"
    one lets a box of one class suppress those of others. It keeps what a metric counts; the card's threshold, which may
    be changed later, chooses among that.

    With n threads, where n is 2 or more, the engine passes over the class with the number n (LiteRT 2.3 and before:
    NonMaxSuppressionWorkerTask counts on before it takes a number). So there are empty classes in front, one for each
    number up to `THREADS`, and the numbers of the others are made good behind the operator.
    """
    signature = model.signatureDefs[0]
    outputs = {_text(entry.name): int(entry.tensorIndex) for entry in signature.outputs}
    rename(model, {name: f"{_PREFIX}/raw/{name}" for name in POSTPROCESS_OUTPUTS})
    end = _End(model)
    encoded, likely = end.real(outputs[offsets]), end.real(outputs[scores])
    encoded = end.add("GATHER", [encoded, end.constant(_YXHW)], end.shape(encoded), axis=2)
    if spec.scores is Scores.SOFTMAX:
        likely = end.add("SOFTMAX", [likely], end.shape(likely), beta=1.0)
    elif spec.scores is Scores.SIGMOID:
        likely = end.add("LOGISTIC", [likely], end.shape(likely))
    best = _best(end, likely)
    empty = THREADS + 1
    _, count, classes = end.shape(best)
    padding = end.constant([[0, 0], [0, 0], [empty, 0]])
    best = end.add("PAD", [best, padding], (1, count, empty + classes))
    anchors = end.constant(anchor_boxes(spec.anchors)[:, _YXHW])
    most = spec.max_detections
    shapes = ((1, most, 4), (1, most), (1, most), (1,))
    found = [end.tensor(name, shape) for name, shape in zip(POSTPROCESS_OUTPUTS, shapes, strict=True)]
    numbers = end.tensor(f"{_PREFIX}/numbers", shapes[1])
    made = [found[0], numbers, *found[2:]]
    end.custom(POSTPROCESS_OP, [encoded, best, anchors], made, settings(spec, classes=empty + classes))
    # Where nothing was found the number is 0, and stays so.
    end.put("SUB", [numbers, end.real_constant(empty)], [found[1]], fusedActivationFunction=end.relu)
    model.subgraphs[0].outputs = found
    signature.outputs = [end.named(name, index) for name, index in zip(POSTPROCESS_OUTPUTS, found, strict=True)]


def settings(spec: Detection, *, classes: int) -> dict[str, int | float | bool]:
    """The attributes of the operator: it divides by scales where ``spec`` multiplies by variances."""
    x, y, width, height = spec.variances
    return {
        "max_detections": spec.max_detections,
        "detections_per_class": spec.max_detections,
        "max_classes_per_detection": 1,
        "use_regular_nms": True,
        "nms_score_threshold": LEAST_SCORE,
        # The operator refuses 0; boxes that overlap by less than this do not overlap.
        "nms_iou_threshold": max(spec.iou_threshold, float(np.finfo(np.float32).tiny)),
        "num_classes": classes,
        "y_scale": 1 / y,
        "x_scale": 1 / x,
        "h_scale": 1 / height,
        "w_scale": 1 / width,
    }


def _best(end: "_End", likely: int) -> int:
    """The probabilities without those of the background, and 0 where they are not among the `CANDIDATES` best.

    Most scores of a detector are low and above `LEAST_SCORE`: suppression would take a hundred times as long with them.
    Subtraction and products do it, which XNNPACK runs; comparisons are slow kernels.
    """
    _, anchors, columns = end.shape(likely)
    shape = (1, anchors, columns - 1)
    classes = end.add("SLICE", [likely, end.constant([0, 0, 1]), end.constant(list(shape))], shape)
    every = anchors * (columns - 1)
    most = min(CANDIDATES, every)
    flat = end.add("RESHAPE", [classes, end.constant([every])], (every,))
    top = end.add("TOPK_V2", [flat, end.constant(most)], (most,), more=[end.tensor("places", (most,), integer=True)])
    last = end.add("GATHER", [top, end.constant([most - 1])], (1,), axis=0)
    below = end.add("MUL", [last, end.real_constant(1 - 1e-6)], (1,))
    above = end.add("SUB", [classes, below], shape, fusedActivationFunction=end.relu)
    # What is above 0 by anything becomes 1.
    chosen = end.add("MUL", [above, end.real_constant(1e30)], shape, fusedActivationFunction=end.to_one)
    return end.add("MUL", [chosen, classes], shape)


class _End:
    """The end of a model's main graph, where tensors and operators are added; tensors are told by their index."""

    def __init__(self, model: Any) -> None:
        self.schema = need("ai_edge_litert.schema_py_generated", extra="convert")
        self._model, self._graph = model, model.subgraphs[0]
        self.relu = self.schema.ActivationFunctionType.RELU
        self.to_one = self.schema.ActivationFunctionType.RELU_N1_TO_1

    def shape(self, index: int) -> tuple[int, ...]:
        return tuple(int(size) for size in self._graph.tensors[index].shape)

    def tensor(self, name: str, shape: Sequence[int], *, integer: bool = False) -> int:
        """A new tensor of float32, or of int32."""
        made, kinds = self.schema.TensorT(), self.schema.TensorType
        made.name, made.shape, made.hasRank = name.encode(), list(shape), True
        made.type, made.buffer = kinds.INT32 if integer else kinds.FLOAT32, 0
        self._graph.tensors.append(made)
        return len(self._graph.tensors) - 1

    def constant(self, values: int | Sequence[int] | Sequence[Sequence[int]] | np.ndarray[Any, Any]) -> int:
        """A new constant: float32 where ``values`` are, else int32."""
        integer = not isinstance(values, np.ndarray)
        array = np.asarray(values, np.int32 if integer else np.float32)
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(array.tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        index = self.tensor(f"{_PREFIX}/constant_{len(self._graph.tensors)}", array.shape, integer=integer)
        self._graph.tensors[index].buffer = len(self._model.buffers) - 1
        return index

    def real_constant(self, value: float) -> int:
        return self.constant(np.array([value]))

    def real(self, index: int) -> int:
        """The tensor in float, dequantized where it is not."""
        kinds, kind = self.schema.TensorType, self._graph.tensors[index].type
        if kind == kinds.FLOAT32:
            return index
        version = {kinds.UINT8: 1, kinds.INT8: 2, kinds.INT16: 3}[kind]
        return self.add("DEQUANTIZE", [index], self.shape(index), version=version)

    def add(
        self,
        op: str,
        inputs: Sequence[int],
        shape: Sequence[int],
        *,
        version: int = 1,
        more: Sequence[int] = (),
        **options: float,
    ) -> int:
        """The output, of this shape, of a new builtin operator; ``more`` are the other outputs that it has."""
        output = self.tensor(f"{_PREFIX}/{op}_{len(self._graph.tensors)}", shape)
        self.put(op, inputs, [output, *more], version=version, **options)
        return output

    def put(
        self, op: str, inputs: Sequence[int], outputs: Sequence[int], *, version: int = 1, **options: float
    ) -> None:
        """A new builtin operator that makes ``outputs``."""
        made = self._append(self._code(op, version), inputs, outputs)
        if options:
            kind = f"{op.title()}Options"
            made.builtinOptionsType = getattr(self.schema.BuiltinOptions, kind)
            made.builtinOptions = getattr(self.schema, f"{kind}T")()
            for name, value in options.items():
                setattr(made.builtinOptions, name, value)

    def custom(self, op: str, inputs: Sequence[int], outputs: Sequence[int], options: Mapping[str, Any]) -> None:
        """A new custom operator with ``options`` as FlexBuffers has them."""
        packed = need("flatbuffers.flexbuffers", extra="convert").Dumps(dict(options))
        made = self._append(self._code("CUSTOM", 1, custom=op.encode()), inputs, outputs)
        made.customOptions = np.frombuffer(packed, np.uint8)

    def named(self, name: str, index: int) -> Any:
        """An entry of a signature."""
        entry = self.schema.TensorMapT()
        entry.name, entry.tensorIndex = name.encode(), index
        return entry

    def _append(self, code: int, inputs: Sequence[int], outputs: Sequence[int]) -> Any:
        made = self.schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = code, list(inputs), list(outputs)
        self._graph.operators.append(made)
        return made

    def _code(self, op: str, version: int, *, custom: bytes | None = None) -> int:
        """The index of the operator in the model's list, where it is put if it is not in yet."""
        number = getattr(self.schema.BuiltinOperator, op)
        for index, code in enumerate(self._model.operatorCodes):
            if (code.builtinCode, code.version, code.customCode) == (number, version, custom):
                return index
        made = self.schema.OperatorCodeT()
        made.builtinCode, made.version, made.customCode = number, version, custom
        made.deprecatedBuiltinCode = min(number, 127)
        self._model.operatorCodes.append(made)
        return len(self._model.operatorCodes) - 1


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name
