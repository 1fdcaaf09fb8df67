"""Detection: from a detector's outputs to boxes in the image, the same for every format and engine."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.artifact import Artifact, Format
from edgekit.detection import POSTPROCESS_OP, POSTPROCESS_OUTPUTS, Detection, Head, parse_head
from edgekit.errors import DataError, InputError
from edgekit.formats import tflite
from edgekit.measure.metrics import require_finite
from edgekit.preprocessing import Colour, Preprocessing, Resize
from edgekit.tasks.heads import READERS, Asked, Detections, UnlikeHeadError, settled

Array = npt.NDArray[Any]
TASK = "detection"

REGION_OUTPUTS = ("regions", "scores", "offsets")
"""What a two-stage detector gives as a whole, in the order of `Head.REGIONS`."""

_TOLD_BY_CARDS = {Head.SSD: "anchors", Head.YOLO_V1: "grid", Head.REGIONS: "regions"}
"""What no output shows of these heads."""
_OF_CELLS = ("boxes", "confidences", "classes")
"""The outputs of `Head.YOLO_V1`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoder:
    """Turns the outputs of one model file, ``names`` in the order of the head's parts, into detections."""

    spec: Detection
    names: tuple[str, ...]
    preprocessing: Preprocessing
    model: str

    def __call__(
        self, outputs: Mapping[str, Array], image_hw: tuple[int, int], *, least_score: float | None = None
    ) -> Detections:
        """What ``outputs``, of one item without a batch axis, say of its image of ``image_hw`` pixels.

        ``least_score`` replaces the threshold of the card, as metrics over all scores need it.
        """
        found = self.read(outputs, self.spec.score_threshold if least_score is None else least_score)
        return settled(found, self.spec, image_hw, self.preprocessing)

    def read(self, outputs: Mapping[str, Array], least_score: float) -> Detections:
        """All boxes from ``least_score`` on that ``outputs`` of one item mean, before suppression.

        They are in fractions of the input, and only those of regions are cut at its edges.
        """
        parts = [np.asarray(outputs[name]) for name in self.names]
        for name, values in zip(self.names, parts, strict=True):
            require_finite(values, f"Output {name!r} of {self.model}")
        try:
            asked = Asked(spec=self.spec, least_score=least_score, size_hw=self.preprocessing.size_hw)
            return READERS[self.spec.head](parts, asked)
        except UnlikeHeadError as error:
            raise self._unlike(error.got, error.expected) from None

    def class_count(self, outputs: Mapping[str, Array]) -> int | None:
        """How many classes ``outputs`` of one item have, None where the head does not show it."""
        shape = np.shape(outputs[self.names[0]])
        match self.spec.head:
            case Head.YOLOV5:
                return int(shape[-1]) - 5
            case Head.YOLOV8:
                return int(shape[0]) - 4
            case Head.FASTESTDET:
                return int(shape[0]) - 5
            case Head.SSD | Head.REGIONS:
                return int(np.shape(outputs[self.names[1]])[-1]) - 1
            case Head.YOLO_V1:
                return int(np.shape(outputs[self.names[2]])[-1])
            case Head.SSD_POSTPROCESS:
                return None

    def _unlike(self, got: Array, expected: str) -> DataError:
        shape = " x ".join(str(n) for n in got.shape) or "scalar"
        return DataError(
            f"Output {self.names[0]!r} of {self.model} is {shape} for one item; a {self.spec.head} head gives "
            f"{expected}: name another with --decoder."
        )


def resolve_detection(artifact: Artifact, option: str | None) -> Detection:
    """What the card of ``artifact`` states, its graph shows, or ``option`` (``--decoder``) names.

    `InputError` where nothing says it, and where the file says otherwise than ``option``.
    """
    stated = artifact.card.detection
    if stated is None and _postprocess_outputs(artifact):
        stated = Detection(head=Head.SSD_POSTPROCESS)
    if option is None:
        if stated is None:
            heads = ", ".join(head for head in Head if head not in _TOLD_BY_CARDS)
            raise InputError(
                f"Nothing says what the outputs of {artifact.path} mean: name them with --decoder, one of {heads}."
            )
        return stated
    head = parse_head(option)
    if stated is None and head in _TOLD_BY_CARDS:
        raise InputError(
            f"The {_TOLD_BY_CARDS[head]} of {artifact.path} must be told in its card: use `edgekit card attach`."
        )
    if stated is not None and stated.head is not head:
        raise InputError(f"{artifact.path} has a {stated.head} head; got --decoder {option}: leave the flag out.")
    return stated or Detection(head=head)


def is_detector(artifact: Artifact) -> bool:
    """Whether ``artifact`` says by itself that it is a detector."""
    card = artifact.card
    return card.task == TASK or card.detection is not None or bool(_postprocess_outputs(artifact))


def published_resize(spec: Preprocessing, head: Head) -> Preprocessing:
    """``spec`` with the resize rule and colours of the source of ``head``, for files that do not state theirs.

    SSD, FastestDet and the first YOLO stretch the image, later ones put it into a letterbox, and FastestDet takes blue
    first.
    """
    rule = Resize.LETTERBOX if head in (Head.YOLOV5, Head.YOLOV8) else Resize.STRETCH
    colour = Colour.BGR if head is Head.FASTESTDET else spec.colour
    return replace(spec, resize=rule, short_side=None, colour=colour)


def make_decoder(artifact: Artifact, spec: Detection, preprocessing: Preprocessing) -> Decoder:
    """The decoder of ``artifact`` whose outputs are as ``spec`` says; `InputError` when they cannot be."""
    names = tuple(output.name for output in artifact.card.outputs)
    if spec.head is Head.SSD_POSTPROCESS:
        names = _postprocess_outputs(artifact)
        if len(names) != 4:
            raise InputError(f"{artifact.path} holds no {POSTPROCESS_OP} whose four outputs are the file's.")
    elif spec.head is Head.SSD:
        names = _ssd_outputs(artifact, spec)
    elif spec.head is Head.YOLO_V1:
        names = _outputs_of_cells(artifact, spec)
    elif spec.head is Head.REGIONS:
        names = REGION_OUTPUTS
    elif len(names) != 1:
        raise InputError(f"{artifact.path} has {len(names)} outputs; a {spec.head} head has one.")
    return Decoder(spec=spec, names=names, preprocessing=preprocessing, model=str(artifact.path))


def _ssd_outputs(artifact: Artifact, spec: Detection) -> tuple[str, str]:
    """The names of the offsets and the scores, told apart by their shapes, or by their names where both have four."""
    outputs = artifact.card.outputs
    count = sum(level.rows * level.columns * len(level.shapes) for level in spec.anchors)
    if len(outputs) != 2 or any(output.shape[1:-1] != (count,) for output in outputs):
        raise InputError(f"{artifact.path} has no two outputs of {count} rows, one for each anchor of its card.")
    offsets = [output.name for output in outputs if output.shape[-1] == 4]
    if len(offsets) == 2:
        offsets = [name for name in offsets if "box" in name or "offset" in name]
    if len(offsets) != 1:
        raise InputError(f"{artifact.path} has no output with four offsets for each anchor.")
    (scores,) = (output.name for output in outputs if output.name != offsets[0])
    return offsets[0], scores


def _outputs_of_cells(artifact: Artifact, spec: Detection) -> tuple[str, ...]:
    """The names of the boxes, confidences and classes of the grid."""
    shapes = {output.name: output.shape for output in artifact.card.outputs}
    if set(shapes) != set(_OF_CELLS) or any(shape[1:-1] != spec.grid for shape in shapes.values()):
        rows, columns = spec.grid or (0, 0)
        raise InputError(
            f"{artifact.path} has the outputs {', '.join(shapes)}; a {spec.head} head has {', '.join(_OF_CELLS)}, each "
            f"of {rows} x {columns} cells as its card says."
        )
    return _OF_CELLS


def _postprocess_outputs(artifact: Artifact) -> tuple[str, ...]:
    """The file's outputs that TensorFlow's post-processing gives, in its order; none without it.

    Their names tell it where the card says what they are; others give such names to classes counted from 1. Without a
    card it is seen from the operator, which only TFLite has.
    """
    spec, names = artifact.card.detection, {output.name for output in artifact.card.outputs}
    if spec is not None and spec.head is Head.SSD_POSTPROCESS and names == set(POSTPROCESS_OUTPUTS):
        return POSTPROCESS_OUTPUTS
    if artifact.format is not Format.TFLITE:
        return ()
    graph = tflite.read_graph(artifact.path)
    named = {key: name for name, key in graph.output_tensors.items()}
    for node in graph.nodes:
        if node.op == POSTPROCESS_OP:
            return tuple(named[key] for key in node.outputs if key in named)
    return ()
