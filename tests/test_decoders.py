"""Outputs of every head become the boxes that they stand for."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.artifact import Artifact, Format
from edgekit.card import ModelCard, TensorSpec
from edgekit.detection import AnchorLevel, Detection, Head, Scores, parse_head
from edgekit.errors import DataError, InputError
from edgekit.preprocessing import Preprocessing, Resize
from edgekit.tasks.anchors import anchor_boxes, encode
from edgekit.tasks.detection import Decoder, make_decoder, published_resize, resolve_detection
from edgekit.tasks.heads import Detections

INPUT = Preprocessing(size_hw=(100, 200), resize=Resize.STRETCH)
SQUARE = (50, 50)
# Two objects, left, top, right, bottom in fractions: class 2 in the upper left, class 0 on the right.
BOXES = np.array([[0.1, 0.2, 0.3, 0.6], [0.7, 0.1, 0.9, 0.9]])


def decoder(head: Head, count: int = 1, **settings: Any) -> Decoder:
    names = tuple(f"o{i}" for i in range(count))
    return Decoder(spec=Detection(head=head, **settings), names=names, preprocessing=INPUT, model="m")


def centred(scale: tuple[float, float] = (1, 1)) -> Any:
    """The boxes as centre and sides."""
    low, high = BOXES[:, :2] * scale, BOXES[:, 2:] * scale
    return np.concatenate([(low + high) / 2, high - low], axis=1)


def yolov5(scale: tuple[float, float] = (200, 100)) -> dict[str, Any]:
    rows = np.zeros((40, 8), np.float32)
    rows[:, 2:4] = 1
    rows[7, :5], rows[7, 5 + 2] = [*centred(scale)[0], 0.9], 0.8
    rows[8] = rows[7] * np.float32([1.01, 1, 1, 1, 0.9, 1, 1, 1])  # the same object once more
    rows[9, :5], rows[9, 5] = [*centred(scale)[1], 0.5], 1.0
    return {"o0": rows}


def yolov8() -> dict[str, Any]:
    columns = np.zeros((7, 40), np.float32)
    columns[:4, 3], columns[4 + 2, 3] = centred((200, 100))[0], 0.72
    columns[:4, 5], columns[4, 5] = centred((200, 100))[1], 0.5
    return {"o0": columns}


def postprocess() -> dict[str, Any]:
    boxes = np.array([[0, 0, 1, 1], [0.1, 0.7, 0.9, 0.9], [0.2, 0.1, 0.6, 0.3], [0, 0, 1, 1]], np.float32)
    return {
        "o0": boxes,
        "o1": np.float32([1, 0, 2, 1]),
        "o2": np.float32([0.1, 0.5, 0.72, 0.99]),
        "o3": np.float32(3),  # the last one is not among those that were found
    }


LEVEL = AnchorLevel(rows=5, columns=8, shapes=((0.2, 0.4),))


def ssd(kind: Scores = Scores.SOFTMAX) -> dict[str, Any]:
    anchors = anchor_boxes([LEVEL])
    offsets, scores = np.zeros((40, 4), np.float32), np.zeros((40, 4), np.float32)
    scores[:, 0] = 0.0 if kind is Scores.SIGMOID else 9.0
    scores[:, 1:] = -9.0 if kind is Scores.SIGMOID else 0.0
    for row, box, class_id, likely in zip((11, 25), centred(), (2, 0), (0.72, 0.5), strict=True):
        offsets[row] = encode(box[None], anchors[row : row + 1], (0.1, 0.1, 0.2, 0.2))[0]
        if kind is Scores.SIGMOID:
            scores[row, 1 + class_id] = np.log(likely / (1 - likely))
        else:
            scores[row] = np.log(1e-9)
            scores[row, 0], scores[row, 1 + class_id] = np.log(1 - likely), np.log(likely)
    if kind is Scores.PROBABILITIES:
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True)
    return {"o0": offsets, "o1": scores}


def fastestdet() -> dict[str, Any]:
    maps = np.zeros((8, 10, 10), np.float32)
    maps[3:5] = -20  # no size
    for (x, y, w, h), class_id, likely in zip(centred(), (2, 0), (0.8, 0.5), strict=True):
        row, column = int(y * 10), int(x * 10)
        maps[0, row, column] = likely
        maps[1:3, row, column] = np.arctanh([x * 10 - column, y * 10 - row])
        maps[3:5, row, column] = np.log([w / (1 - w), h / (1 - h)])
        maps[5 + class_id, row, column] = 1.0
    return {"o0": maps}


def yolo_v1() -> dict[str, Any]:
    """Four rows and five columns of cells with two boxes each; the second box finds the first object."""
    boxes, confidences, classes = (np.zeros((4, 5, n), np.float32) for n in (8, 2, 3))
    for own, ((x, y, w, h), class_id, confidence, probability) in enumerate(
        zip(centred(), (2, 0), (0.9, 0.5), (0.8, 1.0), strict=True)
    ):
        row, column, place = int(y * 4), int(x * 5), 1 - own
        boxes[row, column, 4 * place : 4 * place + 4] = [x * 5 - column, y * 4 - row, np.sqrt(w), -np.sqrt(h)]
        confidences[row, column, place] = confidence
        classes[row, column, class_id] = probability
    confidences[0, 0], classes[0, 0] = -0.9, -0.9  # two wrongs
    return {"o0": boxes, "o1": confidences, "o2": classes}


@pytest.mark.parametrize(
    ("head", "outputs", "scores"),
    [
        (Head.YOLOV5, yolov5(), (0.72, 0.5)),
        (Head.YOLOV5, yolov5((1, 1)), (0.72, 0.5)),
        (Head.YOLOV8, yolov8(), (0.72, 0.5)),
        (Head.SSD_POSTPROCESS, postprocess(), (0.72, 0.5)),
        (Head.FASTESTDET, fastestdet(), (0.8**0.6, 0.5**0.6)),
    ],
    ids=["yolov5", "yolov5-fractions", "yolov8", "ssd-postprocess", "fastestdet"],
)
def test_both_objects_are_found_once(head: Head, outputs: Mapping[str, Any], scores: tuple[float, ...]) -> None:
    found = decoder(head, len(outputs))(outputs, SQUARE)
    np.testing.assert_allclose(found.scores, scores, atol=1e-6)
    assert found.classes.tolist() == [2, 0]
    np.testing.assert_allclose(found.boxes, BOXES, atol=1e-5)
    assert (found.boxes.dtype, found.scores.dtype, found.classes.dtype) == (np.float32, np.float32, np.int64)


@pytest.mark.parametrize("kind", Scores)
@pytest.mark.parametrize("least", [0.05, 0.4, 0.6])
def test_offsets_from_anchors_are_found_too(kind: Scores, least: float) -> None:
    found = decoder(Head.SSD, 2, anchors=(LEVEL,), scores=kind)(ssd(kind), SQUARE, least_score=least)
    count = 2 if least < 0.5 else 1
    np.testing.assert_allclose(found.scores, (0.72, 0.5)[:count], atol=1e-5)
    assert found.classes.tolist() == [2, 0][:count]
    np.testing.assert_allclose(found.boxes, BOXES[:count], atol=1e-5)


@pytest.mark.parametrize("kind", [Scores.SOFTMAX, Scores.SIGMOID])
def test_a_score_of_just_the_threshold_reaches_it(kind: Scores) -> None:
    """Whatever the logarithm of the threshold is rounded to."""
    read = decoder(Head.SSD, 2, anchors=(LEVEL,), scores=kind).read
    outputs = {"o0": np.zeros((40, 4), np.float32), "o1": np.tile(np.float32([0, -9]), (40, 1))}
    for logit in np.random.default_rng(0).uniform(-3, 6, 200):
        outputs["o1"][5, 1] = logit
        (score,) = read(outputs, 0.01).scores
        assert read(outputs, float(score)).scores.tolist() == [score]


def test_logits_of_any_size_are_probabilities() -> None:
    scores = ssd(Scores.SIGMOID)
    scores["o1"][11, 1:3] = [-1e4, -100]
    scores["o1"][25, 1] = 1e4
    found = decoder(Head.SSD, 2, anchors=(LEVEL,), scores=Scores.SIGMOID)(scores, SQUARE)
    assert found.classes.tolist() == [0, 2]
    np.testing.assert_allclose(found.scores, [1, 0.72], atol=1e-5)
    maps = fastestdet()
    maps["o0"][3, 2, 2] = -1e4
    maps["o0"][0, 2, 2] = maps["o0"][5, 2, 2] = 1
    empty = decoder(Head.FASTESTDET).read(maps, 0.9)
    assert (len(empty), np.ptp(empty.boxes[:, [0, 2]])) == (1, 0)


@pytest.mark.parametrize("least", [0.001, 0.4, 0.6])
def test_boxes_of_the_cells_of_a_grid_are_found_too(least: float) -> None:
    found = decoder(Head.YOLO_V1, 3, grid=(4, 5))(yolo_v1(), SQUARE, least_score=least)
    count = 2 if least < 0.5 else 1
    np.testing.assert_allclose(found.scores, (0.72, 0.5)[:count], atol=1e-6)
    assert found.classes.tolist() == [2, 0][:count]
    np.testing.assert_allclose(found.boxes, BOXES[:count], atol=1e-6)
    assert (found.boxes.dtype, found.scores.dtype, found.classes.dtype) == (np.float32, np.float32, np.int64)


def test_a_score_above_one_counts_as_one() -> None:
    sure = yolo_v1()
    sure["o1"] *= 3
    assert decoder(Head.YOLO_V1, 3, grid=(4, 5))(sure, SQUARE).scores.tolist() == [1, 1]


@pytest.mark.parametrize(("output", "last"), [("o0", 7), ("o0", 4), ("o1", 4), ("o1", 0)])
def test_boxes_and_confidences_that_do_not_belong_together_are_refused(output: str, last: int) -> None:
    wrong = {**yolo_v1(), output: np.zeros((4, 5, last), np.float32)}
    with pytest.raises(DataError) as caught:
        decoder(Head.YOLO_V1, 3, grid=(4, 5))(wrong, SQUARE)
    assert str(caught.value) == (
        f"Output 'o0' of m is 4 x 5 x {wrong['o0'].shape[-1]} for one item; a yolo-v1 head gives 4 x 5 cells, and in "
        "boxes 4 numbers for each of their confidences: name another with --decoder."
    )


def test_another_grid_is_refused() -> None:
    with pytest.raises(DataError, match=r"is 4 x 5 x 8 for one item; a yolo-v1 head gives 5 x 4 cells, and in boxes 4"):
        decoder(Head.YOLO_V1, 3, grid=(5, 4))(yolo_v1(), SQUARE)


def test_the_outputs_of_a_grid_are_known_by_their_names() -> None:
    spec = Detection(head=Head.YOLO_V1, grid=(4, 5))

    def made(*names: str, columns: int = 5) -> Decoder:
        specs = tuple(TensorSpec(name=name, shape=(None, 4, columns, 8), dtype="float32") for name in names)
        found = artifact()
        return make_decoder(replace(found, card=replace(found.card, outputs=specs)), spec, INPUT)

    assert made("classes", "boxes", "confidences").names == ("boxes", "confidences", "classes")
    for names, columns in ((("boxes", "scores"), 5), (("boxes", "confidences", "classes"), 4)):
        with pytest.raises(InputError) as caught:
            made(*names, columns=columns)
        assert str(caught.value) == (
            f"m.onnx has the outputs {', '.join(names)}; a yolo-v1 head has boxes, confidences, classes, each of 4 x 5 "
            "cells as its card says."
        )
    assert decoder(Head.YOLO_V1, 3, grid=(4, 5)).class_count(yolo_v1()) == 3


def test_a_grid_is_told_by_the_card_alone() -> None:
    with pytest.raises(InputError) as caught:
        resolve_detection(artifact(), "yolo-v1")
    assert str(caught.value) == "The grid of m.onnx must be told in its card: use `edgekit card attach`."
    stated = Detection(head=Head.YOLO_V1, grid=(4, 5))
    assert resolve_detection(artifact(detection=stated), "yolo-v1") is stated
    with pytest.raises(InputError) as caught:
        resolve_detection(artifact(), None)
    assert str(caught.value) == (
        "Nothing says what the outputs of m.onnx mean: name them with --decoder, one of ssd-postprocess, yolov5, "
        "yolov8, fastestdet."
    )


def test_more_anchors_than_rows_are_refused() -> None:
    other = replace(LEVEL, rows=6)
    with pytest.raises(DataError, match=r"a ssd head gives 48 x 4 offsets and 48 x \(1 \+ classes\) scores"):
        decoder(Head.SSD, 2, anchors=(other,))(ssd(), SQUARE)


def test_offsets_and_scores_are_told_apart() -> None:
    spec = Detection(head=Head.SSD, anchors=(LEVEL,))

    def made(*outputs: tuple[str, int]) -> Decoder:
        specs = tuple(TensorSpec(name=n, shape=(1, 40, size), dtype="float32") for n, size in outputs)
        found = artifact()
        return make_decoder(replace(found, card=replace(found.card, outputs=specs)), spec, INPUT)

    assert made(("a", 11), ("b", 4)).names == ("b", "a")
    assert made(("b", 4), ("a", 11)).names == ("b", "a")
    assert made(("scores", 4), ("boxes", 4)).names == ("boxes", "scores")
    refused: tuple[tuple[tuple[tuple[str, int], ...], str], ...] = (
        ((("a", 4), ("b", 4)), "m.onnx has no output with four offsets for each anchor."),
        ((("a", 11),), "m.onnx has no two outputs of 40 rows, one for each anchor of its card."),
    )
    for outputs, message in refused:
        with pytest.raises(InputError) as caught:
            made(*outputs)
        assert str(caught.value) == message
    with pytest.raises(InputError) as caught:
        resolve_detection(artifact(), "ssd")
    assert str(caught.value) == "The anchors of m.onnx must be told in its card: use `edgekit card attach`."
    with pytest.raises(InputError) as caught:
        resolve_detection(artifact(), "regions")
    assert str(caught.value) == "The regions of m.onnx must be told in its card: use `edgekit card attach`."


@pytest.mark.parametrize(
    ("head", "outputs"),
    [
        (Head.YOLOV5, yolov5()),
        (Head.YOLOV8, yolov8()),
        (Head.SSD_POSTPROCESS, postprocess()),
        (Head.FASTESTDET, fastestdet()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_threshold_is_the_cards_unless_a_metric_needs_all(head: Head, outputs: Mapping[str, Any]) -> None:
    strict = decoder(head, len(outputs), score_threshold=0.7)
    assert strict(outputs, SQUARE).classes.tolist() == [2]
    assert set(strict(outputs, SQUARE, least_score=0.05).classes.tolist()) >= {0, 2}


def test_what_overlaps_little_enough_stays() -> None:
    assert len(decoder(Head.YOLOV5)(yolov5(), SQUARE)) == 2
    assert len(decoder(Head.YOLOV5, iou_threshold=1.0)(yolov5(), SQUARE)) == 3
    assert len(decoder(Head.YOLOV5, max_detections=1)(yolov5(), SQUARE)) == 1


@pytest.mark.parametrize(("largest", "fractions"), [(3.9, True), (4.1, False), (50.0, False)])
def test_boxes_that_reach_far_beyond_the_input_are_in_pixels(largest: float, fractions: bool) -> None:
    rows = np.zeros((40, 7), np.float32)
    rows[7] = [1.0, 1.0, largest, 0.5, 1, 1, 0]
    found = decoder(Head.YOLOV5).read({"o0": rows}, 0.5).boxes
    expected = np.array([[1 - largest / 2, 0.75, 1 + largest / 2, 1.25]]) / (1 if fractions else [200, 100, 200, 100])
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_boxes_are_told_in_the_image_not_in_the_input() -> None:
    boxed = replace(decoder(Head.YOLOV8), preprocessing=replace(INPUT, resize=Resize.LETTERBOX))
    found = boxed(yolov8(), SQUARE)  # the square fills the middle half of the input
    expected = np.clip((BOXES - [0.25, 0, 0.25, 0]) * [2, 1, 2, 1], 0, 1)
    np.testing.assert_allclose(found.boxes, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("head", "shape"),
    [(Head.YOLOV5, (8, 40)), (Head.YOLOV8, (40, 7)), (Head.FASTESTDET, (40, 8)), (Head.YOLOV5, (40, 5))],
)
def test_outputs_of_another_head_are_refused(head: Head, shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=rf"is {' x '.join(map(str, shape))} for one item; a {head} head gives .* name"):
        decoder(head)({"o0": np.zeros(shape, np.float32)}, SQUARE)


def test_values_that_are_no_numbers_are_refused() -> None:
    broken = yolov8()
    broken["o0"][0, 0] = np.nan
    with pytest.raises(DataError, match=r"^Output 'o0' of m has 1 of 280 values that are NaN or infinite"):
        decoder(Head.YOLOV8)(broken, SQUARE)


def test_chosen_boxes_are_no_more_than_are_kept_and_no_surer_than_sure() -> None:
    sure = {**postprocess(), "o2": np.float32([0.1, 0.5, 7.5, 0.99])}
    found = decoder(Head.SSD_POSTPROCESS, 4, max_detections=1)(sure, SQUARE)
    assert (found.scores.tolist(), found.classes.tolist()) == ([1], [2])


@pytest.mark.parametrize("class_id", [1e30, -1.0, 2.0**20])
def test_a_number_that_is_no_class_is_refused(class_id: float) -> None:
    with pytest.raises(DataError) as caught:
        decoder(Head.SSD_POSTPROCESS, 4)({**postprocess(), "o1": np.float32([1, 0, class_id, 1])}, SQUARE)
    assert str(caught.value) == (
        "Output 'o0' of m is 4 x 4 for one item; a ssd-postprocess head gives boxes of classes 0 to 1048575: name "
        "another with --decoder."
    )


def test_more_boxes_than_there_are_is_refused() -> None:
    with pytest.raises(DataError, match=r"gives as many boxes as classes and scores: name another with --decoder\.$"):
        decoder(Head.SSD_POSTPROCESS, 4)({**postprocess(), "o3": np.float32(9)}, SQUARE)


def artifact(outputs: int = 1, **card: Any) -> Artifact:
    specs = tuple(TensorSpec(name=f"o{i}", shape=(1, 7, 40), dtype="float32") for i in range(outputs))
    return Artifact(
        path=Path("m.onnx"),
        format=Format.ONNX,
        card=ModelCard(name="m", inputs=(), outputs=specs, **card),
        sha256="0",
        model_bytes=1,
        foreign=False,
    )


def test_the_head_is_the_cards_or_must_be_named() -> None:
    stated = Detection(head=Head.YOLOV8, score_threshold=0.1)
    assert resolve_detection(artifact(detection=stated), None) is stated
    assert resolve_detection(artifact(detection=stated), "yolov8") is stated
    assert resolve_detection(artifact(), "yolov5") == Detection(head=Head.YOLOV5)
    for option, message in (
        (None, "Nothing says what the outputs of m.onnx mean: name them with --decoder, one of ssd-postprocess, "),
        ("yolo8", "There is no decoder 'yolo8'; did you mean yolov8?"),
    ):
        with pytest.raises(InputError) as caught:
            resolve_detection(artifact(), option)
        assert str(caught.value).startswith(message)
    with pytest.raises(InputError) as caught:
        resolve_detection(artifact(detection=stated), "yolov5")
    assert str(caught.value) == "m.onnx has a yolov8 head; got --decoder yolov5: leave the flag out."


def test_a_head_needs_its_outputs() -> None:
    with pytest.raises(InputError) as caught:
        make_decoder(artifact(outputs=2), Detection(head=Head.YOLOV8), INPUT)
    assert str(caught.value) == "m.onnx has 2 outputs; a yolov8 head has one."
    with pytest.raises(InputError) as caught:
        make_decoder(artifact(outputs=4), Detection(head=Head.SSD_POSTPROCESS), INPUT)
    assert str(caught.value) == "m.onnx holds no TFLite_Detection_PostProcess whose four outputs are the file's."


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"grid": (7, 7)}, "The head yolov5 has the grid (7, 7); yolo-v1 has rows and columns, others none."),
        (
            {"head": Head.YOLO_V1},
            "The head yolo-v1 has the grid None; yolo-v1 has rows and columns, others none.",
        ),
        (
            {"head": Head.YOLO_V1, "grid": (0, 7)},
            "A detector's grid is rows and columns, 1000000 cells at most; got (0, 7).",
        ),
        (
            {"head": Head.YOLO_V1, "grid": (1001, 1000)},
            "A detector's grid is rows and columns, 1000000 cells at most; got (1001, 1000).",
        ),
        ({"score_threshold": 1.5}, "A detector's score_threshold is 0 to 1; got 1.5."),
        ({"iou_threshold": -1}, "A detector's iou_threshold is 0 to 1; got -1."),
        ({"max_detections": 0}, "A detector's max_detections is 1 to 1000; got 0."),
        ({"max_detections": 1001}, "A detector's max_detections is 1 to 1000; got 1001."),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Detection(**{"head": Head.YOLOV5, **settings})
    assert str(caught.value) == message


def test_images_are_resized_as_the_source_of_the_head_does() -> None:
    crop = Preprocessing(size_hw=(8, 8), resize=Resize.CROP, short_side=9)
    found = {head: published_resize(crop, head) for head in Head}
    assert {h: (s.resize.value, s.colour.value) for h, s in found.items()} == {
        Head.SSD_POSTPROCESS: ("stretch", "rgb"),
        Head.YOLOV5: ("letterbox", "rgb"),
        Head.YOLOV8: ("letterbox", "rgb"),
        Head.SSD: ("stretch", "rgb"),
        Head.FASTESTDET: ("stretch", "bgr"),
        Head.YOLO_V1: ("stretch", "rgb"),
        Head.REGIONS: ("stretch", "rgb"),
    }
    assert parse_head("fastestdet") is Head.FASTESTDET


def test_chosen_detections_keep_their_parts_together() -> None:
    found = decoder(Head.YOLOV8)(yolov8(), SQUARE)
    (last,) = found.at(np.array([1])).classes
    assert (last, len(found.at(found.scores > 0.6)), isinstance(found, Detections)) == (0, 1, True)
