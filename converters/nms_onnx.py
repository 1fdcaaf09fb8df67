"""Decoding and suppression at the end of an ONNX file, in standard operators. It runs in ONNX Runtime's process."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgekit.converters.onnx_edit import rename
from edgekit.detection import LEAST_SCORE, POSTPROCESS_OUTPUTS, Detection, Scores
from edgekit.errors import ConversionError, need
from edgekit.tasks.anchors import LARGEST, anchor_boxes
from edgekit.tasks.boxes import CANDIDATES

_PREFIX = "detection_postprocess"
_ALL = np.iinfo(np.int64).max


def append_nms(model: Any, spec: Detection, offsets: str, scores: str) -> None:
    """Let the graph of ``model`` end in the outputs of `Head.SSD_POSTPROCESS`, made of ``offsets`` and ``scores``.

    They have a fixed size: where fewer boxes are found, the rest is zeros, as TensorFlow's operator leaves it. What is
    kept is what a metric counts; the card's threshold, which may be changed later, chooses among that.
    """
    end = _End(model)
    (given,) = (value for value in model.graph.output if value.name == scores)
    classes = given.type.tensor_type.shape.dim[2].dim_value - 1
    if classes < 1:
        raise ConversionError(
            f"output {scores!r} has a free number of classes; --nms graph takes a fixed one: export the model with it."
        )
    anchors, most = anchor_boxes(spec.anchors), spec.max_detections
    del model.graph.output[:]
    rename(model, {name: f"{_PREFIX}/raw/{name}" for name in POSTPROCESS_OUTPUTS})
    offsets, scores = (f"{_PREFIX}/raw/{n}" if n in POSTPROCESS_OUTPUTS else n for n in (offsets, scores))
    boxes = _corners(end, spec, offsets, anchors)
    likely = _best(end, _likely(end, spec, scores), len(anchors) * classes)
    # The operator keeps what is above its threshold, the decoder on the device what reaches it.
    above = np.nextafter(np.float32(LEAST_SCORE), np.float32(0))
    limits = (np.int64(most), np.float32(spec.iou_threshold), above)
    chosen = end.add("NonMaxSuppression", boxes, likely, *(end.constant(np.array([value])) for value in limits))
    found = end.add("GatherND", likely, chosen)  # a choice is (0, class, anchor)

    # With zeros behind what was chosen there are always enough to take the best ``most``; they mean a box of zeros.
    nothing = np.tile(np.array([[0, 0, len(anchors)]], np.int64), (most, 1))
    padded = end.add("Concat", found, end.constant(np.zeros(most, np.float32)), axis=0)
    best, places = end.add_two("TopK", padded, end.constant(np.array([most])))
    rows = end.add("Gather", end.add("Concat", chosen, end.constant(nothing), axis=0), places, axis=0)
    kind, anchor = (end.add("Gather", rows, end.constant(np.array(column)), axis=1) for column in (1, 2))
    known = end.add("Concat", boxes, end.constant(np.zeros((1, 1, 4), np.float32)), axis=1)
    placed = end.add("Gather", known, anchor, axis=1)
    number = end.add("Slice", end.add("Shape", chosen), *(end.constant(np.array([place])) for place in (0, 1)))
    count = end.add("Min", number, end.constant(np.array([most])))

    first = end.constant(np.array([0]))
    yxyx = end.constant(np.array([1, 0, 3, 2]))  # TensorFlow's order of a box
    end.output(0, (1, most, 4), "Gather", placed, yxyx, axis=2)
    end.output(1, (1, most), "Unsqueeze", end.add("Cast", kind, to=end.float), first)
    end.output(2, (1, most), "Unsqueeze", best, first)
    end.output(3, (1,), "Cast", count, to=end.float)


def _corners(end: "_End", spec: Detection, offsets: str, anchors: np.ndarray[Any, Any]) -> str:
    """Left, top, right, bottom of every anchor's box, (1, anchors, 4), as `edgekit.tasks.anchors.decode` has them."""
    scaled = end.add("Mul", offsets, end.constant(np.array(spec.variances, np.float32)))
    moved, grown = (end.columns(scaled, start, stop) for start, stop in ((0, 2), (2, 4)))
    sides = anchors[None, :, 2:]
    centres = end.add("Add", end.add("Mul", moved, end.constant(sides)), end.constant(anchors[None, :, :2]))
    grown = end.add("Exp", end.add("Min", grown, end.constant(np.array(LARGEST, np.float32))))
    halves = end.add("Mul", grown, end.constant(sides / 2))
    return end.add("Concat", end.add("Sub", centres, halves), end.add("Add", centres, halves), axis=2)


def _likely(end: "_End", spec: Detection, scores: str) -> str:
    """Probabilities of every class but the background, (1, classes, anchors)."""
    if spec.scores is Scores.SOFTMAX:
        scores = end.add("Softmax", scores, axis=2)
    elif spec.scores is Scores.SIGMOID:
        scores = end.add("Sigmoid", scores)
    return end.add("Transpose", end.columns(scores, 1, _ALL), perm=[0, 2, 1])


def _best(end: "_End", likely: str, every: int) -> str:
    """``likely``, of ``every`` value in it the `CANDIDATES` best, and 0 for the others.

    Most scores of a detector are low and above `LEAST_SCORE`: suppression would take several times as long with them.
    """
    most = min(CANDIDATES, every)
    flat = end.add("Reshape", likely, end.constant(np.array([every])))
    best, _ = end.add_two("TopK", flat, end.constant(np.array([most])))
    last = end.add("Gather", best, end.constant(np.array([most - 1])), axis=0)
    return end.add("Where", end.add("Less", likely, last), end.constant(np.array(0, np.float32)), likely)


class _End:
    """The end of a model's graph, where nodes and constants are added; values are told by their name."""

    def __init__(self, model: Any) -> None:
        self._helper = need("onnx.helper", extra="convert")
        self._numpy = need("onnx.numpy_helper", extra="convert")
        self._graph = model.graph
        self.float = int(need("onnx", extra="convert").TensorProto.FLOAT)

    def constant(self, values: np.ndarray[Any, Any]) -> str:
        name = f"{_PREFIX}/constant_{len(self._graph.initializer)}"
        self._graph.initializer.append(self._numpy.from_array(values, name))
        return name

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """The output of a new node."""
        return self._node(op, inputs, [self._name(op)], attributes)[0]

    def add_two(self, op: str, *inputs: str) -> Sequence[str]:
        """Both outputs of a new node."""
        name = self._name(op)
        return self._node(op, inputs, [name, f"{name}/1"], {})

    def columns(self, name: str, start: int, stop: int) -> str:
        """A part of the third axis."""
        return self.add("Slice", name, *(self.constant(np.array([value])) for value in (start, stop, 2)))

    def output(self, place: int, shape: Sequence[int], op: str, *inputs: str, **attributes: Any) -> None:
        """A new node that makes the output of the file at this place."""
        name = POSTPROCESS_OUTPUTS[place]
        self._node(op, inputs, [name], attributes)
        self._graph.output.append(self._helper.make_tensor_value_info(name, self.float, shape))

    def _name(self, op: str) -> str:
        return f"{_PREFIX}/{op}_{len(self._graph.node)}"

    def _node(self, op: str, inputs: Sequence[str], outputs: list[str], attributes: dict[str, Any]) -> list[str]:
        name = self._name(op)
        self._graph.node.append(self._helper.make_node(op, inputs, outputs, name=name, **attributes))
        return outputs
