"""What the cells of a grid must find, and the loss of the paper, written out."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.data import Boxes
from edgekit.detection import Detection, Head
from edgekit.errors import InputError
from edgekit.models.matching import BACKGROUND
from edgekit.models.objectives import objective_of
from edgekit.models.registry import find_spec
from edgekit.models.yolo_grid import GridObjective, grid_side
from edgekit.preprocessing import Preprocessing, Resize
from edgekit.tasks.detection import Decoder

GRID = (3, 4)
OBJECTIVE = GridObjective(grid=GRID)


def boxes(*rows: tuple[float, float, float, float], classes: tuple[int, ...] | None = None) -> Boxes:
    return Boxes(
        image_hw=(100, 100),
        corners=np.array(rows, np.float32).reshape(-1, 4),
        classes=np.array(classes if classes is not None else range(len(rows)), np.int64),
        crowd=np.zeros(len(rows), bool),
    )


def outputs(images: int, *, seed: int = 0, classes: int = 5) -> tuple[Any, Any, Any]:
    """Boxes, confidences and classes of two boxes a cell, at random and mostly between 0 and 1."""
    random = np.random.default_rng(seed)
    shapes = (8, 2, classes)
    first, second, third = (random.normal(0.4, 0.3, (images, *GRID, n)).astype(np.float32) for n in shapes)
    return first, second, third


def test_the_cell_of_the_centre_must_find_an_object() -> None:
    places, classes = OBJECTIVE.targets([boxes((0.5, 0.0, 0.86, 0.25), classes=(6,)), boxes()])
    assert (places.shape, places.dtype, classes.shape, classes.dtype) == ((2, 3, 4, 4), np.float32, (2, 3, 4), np.int32)
    assert np.argwhere(classes != BACKGROUND).tolist() == [[0, 0, 2]]
    assert classes[0, 0, 2] == 7
    np.testing.assert_allclose(places[0, 0, 2], [0.72, 0.375, 0.6, 0.5], atol=1e-5)
    assert np.count_nonzero(places) == 4


def test_of_several_objects_in_a_cell_it_is_the_largest() -> None:
    rows = ((0.1, 0.1, 0.14, 0.14), (0.0, 0.0, 0.2, 0.2), (0.1, 0.1, 0.15, 0.2))
    for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
        places, classes = OBJECTIVE.targets([boxes(*(rows[i] for i in order), classes=order)])
        assert classes[0, 0, 0] == 2
        np.testing.assert_allclose(places[0, 0, 0, 2:] ** 2, 0.2, atol=1e-6)


def test_a_centre_on_the_last_edge_is_in_the_last_cell() -> None:
    _, classes = OBJECTIVE.targets([boxes((1.0, 1.0, 1.0, 1.0))])
    assert np.argwhere(classes[0]).tolist() == [[2, 3]]


@given(st.integers(0, 2**32 - 1))
def test_targets_lead_back_to_the_boxes(seed: int) -> None:
    random = np.random.default_rng(seed)
    start = random.uniform(0, 0.8, (3, 2))
    own = np.concatenate([start, start + random.uniform(0.05, 0.2, (3, 2))], axis=1).astype(np.float32)
    places, classes = OBJECTIVE.targets([boxes(*own.tolist())])
    found = decoded(knowing(places, classes)[0])
    left = np.unique(classes[classes != BACKGROUND]) - 1
    assert sorted(found.classes.tolist()) == left.tolist()
    np.testing.assert_allclose(found.boxes, own[found.classes], atol=1e-5)


def knowing(places: Any, classes: Any) -> list[tuple[Any, Any, Any]]:
    """For each image the outputs of a network that gives what is wanted, in its first boxes."""
    there = (classes != BACKGROUND).astype(np.float32)[..., None]
    found = np.concatenate([places, np.zeros_like(places)], axis=-1)
    confidences = np.concatenate([there, np.zeros_like(there)], axis=-1)
    return list(zip(found, confidences, np.eye(8, dtype=np.float32)[classes][..., 1:], strict=True))


def decoded(parts: tuple[Any, Any, Any]) -> Any:
    names = ("boxes", "confidences", "classes")
    spec = Preprocessing(size_hw=(100, 100), resize=Resize.STRETCH)
    decoder = Decoder(spec=Detection(head=Head.YOLO_V1, grid=GRID), names=names, preprocessing=spec, model="m")
    return decoder(dict(zip(names, parts, strict=True)), (100, 100))


def square(box: Any, cell: tuple[int, int]) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of a place in the ``cell``, row and column."""
    x, y = (cell[1] + box[0]) / GRID[1], (cell[0] + box[1]) / GRID[0]
    w, h = box[2] ** 2, box[3] ** 2
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union else 0.0


def expected_loss(found: tuple[Any, Any, Any], places: Any, labels: Any) -> tuple[float, list[tuple[int, ...]]]:
    """Equation 3 for one image, term by term, and the row, column and number of each responsible box."""
    loss, responsible = 0.0, []
    for cell in np.ndindex(GRID):
        own, confidences, classes = (part[cell].astype(float) for part in found)
        chosen = -1
        if labels[cell] != BACKGROUND:
            truth = places[cell].astype(float)
            overlaps = [overlap(square(own[4 * i : 4 * i + 4], cell), square(truth, cell)) for i in range(2)]
            chosen = int(np.argmax(overlaps))
            responsible.append((*cell, chosen))
            x, y, root_w, root_h = own[4 * chosen : 4 * chosen + 4]
            loss += 5 * ((x - truth[0]) ** 2 + (y - truth[1]) ** 2)
            loss += 5 * ((root_w - truth[2]) ** 2 + (root_h - truth[3]) ** 2)
            loss += (confidences[chosen] - overlaps[chosen]) ** 2
            for label, probability in enumerate(classes):
                loss += (probability - (label == labels[cell] - 1)) ** 2
        for i in range(2):
            if i != chosen:
                loss += 0.5 * confidences[i] ** 2
    return loss, responsible


WANTED = (boxes((0.1, 0.1, 0.4, 0.5), (0.5, 0.4, 0.9, 0.8), (0.3, 0.6, 0.5, 1.0)), boxes((0.6, 0.1, 0.9, 0.9)), boxes())


def test_the_loss_is_that_of_the_paper() -> None:
    places, labels = OBJECTIVE.targets(WANTED)
    found = outputs(3)
    loss, right = OBJECTIVE.loss(list(found), places, labels)
    each = [expected_loss(parts, places[i], labels[i]) for i, parts in enumerate(zip(*found, strict=True))]
    assert {i for _, chosen in each for *_, i in chosen} == {0, 1}
    assert float(loss) == pytest.approx(sum(value for value, _ in each), rel=1e-5)
    assert int(right) == int(((found[2].argmax(axis=3) == labels - 1) & (labels != BACKGROUND)).sum())
    assert OBJECTIVE.size((places, labels)) == 4
    assert OBJECTIVE.size((places[2:], labels[2:])) == 1


def test_what_is_wanted_costs_nothing_and_all_of_it_is_right() -> None:
    places, labels = OBJECTIVE.targets(WANTED)
    found = [np.stack(parts) for parts in zip(*knowing(places, labels), strict=True)]
    loss, right = OBJECTIVE.loss(found, places, labels)
    assert float(loss) == pytest.approx(0, abs=1e-5)
    assert int(right) == 4


def test_only_the_responsible_box_learns_its_place_and_overlaps_are_not_learned() -> None:
    """A confidence follows its box, not the box its confidence."""
    import tensorflow as tf

    places, labels = OBJECTIVE.targets(WANTED)
    found = [tf.Variable(values) for values in outputs(3)]
    with tf.GradientTape() as tape:
        loss, _ = OBJECTIVE.loss(found, places, labels)
    of_boxes, of_confidences, of_classes = (np.asarray(g) for g in tape.gradient(loss, found))
    expected = np.zeros_like(of_boxes)
    for image, parts in enumerate(zip(*(np.asarray(v) for v in found), strict=True)):
        for row, column, i in expected_loss(parts, places[image], labels[image])[1]:
            at = image, row, column, slice(4 * i, 4 * i + 4)
            expected[at] = 10 * (parts[0][at[1:]] - places[image, row, column])
    np.testing.assert_allclose(of_boxes, expected, atol=1e-5)
    empty = labels == BACKGROUND
    np.testing.assert_allclose(of_confidences[empty], np.asarray(found[1])[empty], atol=1e-6)
    assert not of_classes[empty].any()
    assert of_classes[~empty].any()


def test_where_no_box_overlaps_the_object_the_nearest_is_responsible() -> None:
    import tensorflow as tf

    places, labels = OBJECTIVE.targets([boxes((0.02, 0.02, 0.12, 0.12))])
    found = [np.zeros((1, *GRID, n), np.float32) for n in (8, 2, 5)]
    found[0][0, 0, 0] = [3, 3, 0.1, 0.1, 2, 2, 0.1, 0.1]  # the second is nearer
    variables = [tf.Variable(values) for values in found]
    with tf.GradientTape() as tape:
        loss, _ = OBJECTIVE.loss(variables, places, labels)
    gradient = np.asarray(tape.gradient(loss, variables[0]))[0, 0, 0]
    assert not gradient[:4].any()
    assert gradient[4:].all()


def test_the_head_decides_the_objective() -> None:
    spec = find_spec("yolo_v1")
    detection = spec.detection({"size": 96, "cell": 32})
    assert detection is not None
    assert (detection.head, detection.grid) == (Head.YOLO_V1, (3, 3))
    assert objective_of(detection) == GridObjective(grid=(3, 3))


def test_a_cell_that_no_halvings_give_is_refused() -> None:
    assert [grid_side(160, cell) for cell in (8, 16, 32, 64)] == [20, 10, 5, 3]
    with pytest.raises(InputError) as caught:
        grid_side(160, 24)
    assert str(caught.value) == "yolo_v1 has cells of 8, 16, 32, 64 pixels; got 24: choose one of these."
