"""What a detector's file says of its outputs: their kind, and how boxes are chosen from them."""

from dataclasses import dataclass
from enum import StrEnum

from edgekit.errors import InputError, suggest
from edgekit.regions import Proposals, Search

MOST_ANCHORS = 1_000_000
"""Of all feature maps together; SSD512 has 24,564, EfficientDet-D7 on 1,536 pixels 441,936."""

MOST_SIDE = 10.0
"""Of an anchor, in fractions of the input: more is a mistake, such as pixels."""

MOST_VARIANCE = 10.0
"""Published ones are 0.1 and 0.2, or 1 for none."""

MOST_KEPT = 1000
"""Of the boxes of an image: suppression looks at no more."""

LEAST_SCORE = 0.001
"""Average precision is over boxes of all scores; lower ones change nothing that can be seen (Ultralytics' default)."""

POSTPROCESS_OP = "TFLite_Detection_PostProcess"
"""The operator that decodes and suppresses boxes in TFLite files: a custom one, which the engines have built in."""

POSTPROCESS_OUTPUTS = ("detection_boxes", "detection_classes", "detection_scores", "num_detections")
"""Outputs of a file that `convert` made choose its boxes, in the order of `Head.SSD_POSTPROCESS`."""


class Head(StrEnum):
    """What a detector's outputs are. Boxes are in the file's input, C is the number of classes.

    ``ssd-postprocess``: what TensorFlow's `TFLite_Detection_PostProcess` gives: (1, N, 4) top, left, bottom, right in
    fractions, (1, N) classes, (1, N) scores, (1) count; suppression is done already.
    ``yolov5``: (1, N, 5 + C) centre x, y, width, height, objectness, class scores; boxes in pixels or fractions.
    ``yolov8``: (1, 4 + C, N), the same without objectness.
    ``ssd``: two outputs, (1, A, 4) offsets of the A anchors and (1, A, 1 + C) scores, of which the first is the
    background's.
    ``fastestdet``: (1, 5 + C, H, W) objectness, offsets of the centre before tanh, logits of the sides, class scores.
    ``yolo-v1``: "boxes" (1, H, W, 4 B), "confidences" (1, H, W, B) and "classes" (1, H, W, C) of a grid of H x W cells:
    of each of B boxes centre x and y within the cell and the roots of width and height; probabilities of the classes.
    ``regions``: (R, 4) regions of the image, (R, 1 + C) scores, of which the first is the background's, and (R, 4 C)
    offsets from them, each class its own. What a two-stage detector's files and the work between them give together.
    """

    SSD_POSTPROCESS = "ssd-postprocess"
    YOLOV5 = "yolov5"
    YOLOV8 = "yolov8"
    SSD = "ssd"
    FASTESTDET = "fastestdet"
    YOLO_V1 = "yolo-v1"
    REGIONS = "regions"


class Scores(StrEnum):
    """What the scores of an `Head.SSD` or `Head.REGIONS` are."""

    SOFTMAX = "softmax"  # logits of classes of which one is there
    SIGMOID = "sigmoid"  # logits of each class by itself
    PROBABILITIES = "probabilities"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorLevel:
    """Anchors of one feature map of ``rows`` x ``columns`` cells: in the middle of each cell one of every shape.

    ``shapes`` are width and height in fractions of the input. Order: row by row, in a row cell by cell, then shapes.
    """

    rows: int
    columns: int
    shapes: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        if not 1 <= self.rows * self.columns * len(self.shapes) <= MOST_ANCHORS or min(self.rows, self.columns) < 1:
            raise InputError(
                f"A level of anchors has {self.rows} x {self.columns} cells of {len(self.shapes)} shapes; "
                f"expected some, and at most {MOST_ANCHORS} anchors."
            )
        for side in (side for shape in self.shapes for side in shape):
            if not 0 < side <= MOST_SIDE:
                raise InputError(f"An anchor has a side of {side:g}; expected a fraction of the input, above 0.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """How the outputs of a detector become boxes.

    Boxes below ``score_threshold`` are not shown; of two of a class that overlap by more than ``iou_threshold`` the
    better one stays; at most ``max_detections`` of an image are kept. ``anchors``, ``variances`` and ``scores`` are
    those of `Head.SSD`: an offset is (centre x, centre y) / anchor side / variance and ln(side / anchor side) /
    variance (Liu et al. 2016, SSD, equation 2, with the variances of its published code). Those of `Head.REGIONS` are
    from regions, which ``proposals`` or a ``search`` give; proposals have anchors too. ``grid`` is that of
    `Head.YOLO_V1`: rows and columns.
    """

    head: Head
    anchors: tuple[AnchorLevel, ...] = ()
    variances: tuple[float, float, float, float] = (0.1, 0.1, 0.2, 0.2)
    scores: Scores = Scores.SOFTMAX
    grid: tuple[int, int] | None = None
    score_threshold: float = 0.3
    iou_threshold: float = 0.45
    max_detections: int = 100
    proposals: Proposals | None = None
    search: Search | None = None

    def __post_init__(self) -> None:
        for name in ("score_threshold", "iou_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"A detector's {name} is 0 to 1; got {getattr(self, name):g}.")
        sources = sum(part is not None for part in (self.proposals, self.search))
        if sources != (self.head is Head.REGIONS):
            raise InputError(
                f"The head {self.head} has {sources} sources of regions; expected proposals or a search for regions, "
                "and neither for others."
            )
        if (self.head is Head.SSD or self.proposals is not None) != bool(self.anchors):
            raise InputError(
                f"The head {self.head} has {len(self.anchors)} levels of anchors; only ssd and proposals have any."
            )
        count = sum(level.rows * level.columns * len(level.shapes) for level in self.anchors)
        if count > MOST_ANCHORS:
            raise InputError(f"A detector has {count} anchors in all; expected at most {MOST_ANCHORS}.")
        if (self.head is Head.YOLO_V1) != (self.grid is not None):
            raise InputError(
                f"The head {self.head} has the grid {self.grid}; yolo-v1 has rows and columns, others none."
            )
        if self.grid is not None and not (min(self.grid) >= 1 and self.grid[0] * self.grid[1] <= MOST_ANCHORS):
            raise InputError(f"A detector's grid is rows and columns, {MOST_ANCHORS} cells at most; got {self.grid}.")
        if not all(0 < variance <= MOST_VARIANCE for variance in self.variances):
            raise InputError(f"A detector's variances are above 0 and at most {MOST_VARIANCE:g}; got {self.variances}.")
        if not 1 <= self.max_detections <= MOST_KEPT:
            raise InputError(f"A detector's max_detections is 1 to {MOST_KEPT}; got {self.max_detections}.")


def parse_head(name: str) -> Head:
    """The head called ``name``; `InputError` offers the closest when there is none.

    >>> parse_head("yolov8")
    <Head.YOLOV8: 'yolov8'>
    """
    try:
        return Head(name)
    except ValueError:
        raise InputError(f"There is no decoder {name!r}; {suggest(name, [h.value for h in Head])}") from None
