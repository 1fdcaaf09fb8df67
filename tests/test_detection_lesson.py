"""What a detector learns in a step, and how it is judged."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgekit.data import Boxes, Dataset, item_digest
from edgekit.detection import AnchorLevel, Detection, Head
from edgekit.errors import DataError
from edgekit.models.batches import ALONE, Share
from edgekit.models.box_augmentation import BoxAugmentation
from edgekit.models.detection_lesson import DetectionLesson, detection_course
from edgekit.models.images import BoxedImages, load_boxed_images, split_boxed
from edgekit.models.lesson import Setting
from edgekit.models.matching import Matcher
from edgekit.models.objectives import objective_of
from edgekit.models.parts import Parts
from edgekit.models.registry import find_spec
from edgekit.preprocessing import Preprocessing, Resize
from edgekit.workers import silent

DETECTION = Detection(head=Head.SSD, anchors=(AnchorLevel(rows=4, columns=4, shapes=((0.25, 0.25), (0.4, 0.2))),))
PREPROCESSING = Preprocessing(size_hw=(16, 16), resize=Resize.STRETCH, scale=(1 / 255,))


def boxed(count: int = 10) -> BoxedImages:
    """Each image is of one gray level, and has an object or two."""
    random = np.random.default_rng(0)
    boxes = []
    for index in range(count):
        start = random.uniform(0, 0.6, (1 + index % 2, 2))
        corners = np.concatenate([start, start + random.uniform(0.2, 0.35, start.shape)], axis=1)
        boxes.append(
            Boxes(
                image_hw=(16, 16),
                corners=corners.astype(np.float32),
                classes=random.integers(0, 3, len(start)),
                crowd=np.zeros(len(start), bool),
            )
        )
    return BoxedImages(
        pixels=np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None] * 20, (count, 16, 16, 3)).copy(),
        places=np.arange(count),
        digests=tuple(f"{i:08x}" for i in range(count)),
        boxes=tuple(boxes),
    )


def lesson(**fields: Any) -> DetectionLesson:
    images = boxed()
    preset = replace(find_spec("ssdlite_mobilenet_v2").presets["small"], batch_size=4, boxes=None)
    known: dict[str, Any] = {
        "training": images,
        "validation": images,
        "class_names": ("a", "b", "c"),
        "detection": DETECTION,
        "preprocessing": PREPROCESSING,
        "preset": preset,
        "seed": 0,
    }
    return DetectionLesson(**known | fields)


def expected_loss(found: Any, logits: Any, offsets: Any, classes: Any) -> float:
    """The loss of one image, written out."""
    matched = classes > 0
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    entropy = -np.log(np.take_along_axis(shifted / shifted.sum(axis=1, keepdims=True), classes[:, None], axis=1)[:, 0])
    hardest = np.sort(entropy[~matched])[::-1][: 3 * max(1, int(matched.sum()))]
    difference = np.abs(found - offsets)[matched]
    smooth = np.where(difference < 1, 0.5 * difference**2, difference - 0.5)
    return float(entropy[matched].sum() + hardest.sum() + smooth.sum())


def test_the_loss_is_that_of_the_paper_with_the_three_hardest_negatives_for_each_object() -> None:
    random = np.random.default_rng(1)
    offsets, classes = Matcher.of(DETECTION).batch(boxed(4).boxes)
    found = (offsets + random.normal(0, 1.5, offsets.shape)).astype(np.float32)
    logits = random.normal(0, 2, (4, 32, 4)).astype(np.float32)
    loss, right = lesson().loss([found, logits], offsets, classes)
    each = [expected_loss(*values) for values in zip(found, logits, offsets, classes, strict=True)]
    assert float(loss) == pytest.approx(sum(each), rel=1e-5)
    assert int(right) == int(((logits.argmax(axis=2) == classes) & (classes > 0)).sum())
    assert (np.count_nonzero(classes, axis=1) * 4 < 32).all()  # some negatives are left out


def test_an_image_without_objects_teaches_some_background() -> None:
    logits = np.zeros((1, 32, 4), np.float32)
    offsets, classes = np.zeros((1, 32, 4), np.float32), np.zeros((1, 32), np.int32)
    loss, _ = lesson().loss([offsets, logits], offsets, classes)
    assert float(loss) == pytest.approx(3 * np.log(4), rel=1e-5)


class Knowing:
    """Answers with the targets of the images, known by their brightness."""

    name = "knowing"
    output_names = ("boxes", "scores")

    def __init__(self, images: BoxedImages, certainty: float) -> None:
        self.offsets, self.classes = Matcher.of(DETECTION).batch(images.boxes)
        self.certainty = certainty

    def predict_on_batch(self, inputs: Any) -> list[Any]:
        chosen = np.rint(inputs[:, 0, 0, 0] * 255 / 20).astype(int)
        return [self.offsets[chosen], np.eye(4, dtype=np.float32)[self.classes[chosen]] * self.certainty]


def test_a_model_that_knows_is_judged_perfect_and_one_that_does_not_is_not() -> None:
    images = boxed()
    loss, figures = lesson().judge(Knowing(images, 20.0))
    assert loss < 1e-3
    assert figures == {"map50": pytest.approx(1.0)}
    wrong = Knowing(replace(images, boxes=images.boxes[1:] + images.boxes[:1]), 20.0)
    worse, figures = lesson().judge(wrong)
    assert worse > 5
    assert figures["map50"] < 0.5


def test_batches_hold_every_image_once_and_are_the_same_for_a_seed_and_an_epoch() -> None:
    plan = lesson()
    assert plan.steps == 2
    first, again, other = (list(plan.batches(epoch)) for epoch in (1, 1, 2))
    assert all(np.array_equal(a, b) for x, y in zip(first, again, strict=True) for a, b in zip(x, y, strict=True))
    levels = [round(float(image[0, 0, 0]) * 255 / 20) for batch in first for image in batch[0]]
    assert len(set(levels)) == 8
    assert levels != [round(float(image[0, 0, 0]) * 255 / 20) for batch in other for image in batch[0]]
    for inputs, offsets, classes, matched in first:
        assert (inputs.shape, offsets.shape, classes.shape) == ((4, 16, 16, 3), (4, 32, 4), (4, 32))
        assert matched == np.count_nonzero(classes)


def test_workers_share_a_batch_and_divide_by_its_whole_number_of_objects() -> None:
    changes = BoxAugmentation(colour=0.2, crop=0.5, flip=True)
    preset = replace(lesson().preset, boxes=changes)
    whole = next(lesson(preset=preset).batches(1))
    parts = [next(lesson(preset=preset, share=Share(index=i, count=2)).batches(1)) for i in range(2)]
    for position in range(3):
        for index, part in enumerate(parts):
            assert np.array_equal(part[position], whole[position][index::2])
    assert {part[-1] for part in parts} == {whole[-1]}


def test_crowds_are_not_learned(tmp_path: Any) -> None:
    items = np.zeros((2, 20, 20, 3), np.uint8)
    boxes = tuple(
        Boxes(
            image_hw=(20, 20),
            corners=np.array([[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]], np.float32),
            classes=np.array([0, 1]),
            crowd=np.array([crowd, False]),
        )
        for crowd in (True, False)
    )
    loaded = load_boxed_images(Dataset(name="x", items=tuple(items), boxes=boxes), PREPROCESSING)
    assert [own.classes.tolist() for own in loaded.boxes] == [[1], [0, 1]]
    assert loaded.pixels.shape == (2, 16, 16, 3)
    assert [own.classes.tolist() for own in loaded.subset(np.array([1])).boxes] == [[0, 1]]


def test_a_head_that_the_zoo_does_not_build_has_no_objective() -> None:
    with pytest.raises(ValueError, match=r"^There is no training objective for the head yolov8\.$"):
        objective_of(Detection(head=Head.YOLOV8))


def test_data_without_boxes_are_refused() -> None:
    items = tuple(np.zeros((2, 20, 20, 3), np.uint8))
    with pytest.raises(DataError) as caught:
        load_boxed_images(Dataset(name="x", items=items, labels=np.array([0, 1])), PREPROCESSING)
    assert str(caught.value) == "x has no boxes; training a detector needs the objects of each image."


def test_images_set_aside_are_drawn_by_the_seed_and_the_purpose() -> None:
    images = boxed()
    kept, aside = split_boxed(images, 0.2, 0, purpose="test", name="x")
    assert (len(kept), len(aside)) == (8, 2)
    assert set(kept) | set(aside) == set(range(10))
    draws = {
        tuple(split_boxed(images, 0.2, seed, purpose=purpose, name="x")[1])
        for seed in range(3)
        for purpose in ("test", "validation")
    }
    assert len(draws) > 3
    with pytest.raises(DataError) as caught:
        split_boxed(images.subset(np.array([0])), 0.2, 0, purpose="test", name="x")
    assert str(caught.value) == "x has too few images to set one aside for test; expected 2 or more."


@pytest.mark.parametrize(
    ("showing", "message"),
    [
        (0, "The 2 images of x to learn from show no object; add some that do."),
        (1, "The 2 images of x set aside for test show no object; add some that do."),
    ],
)
def test_a_part_without_objects_is_refused_before_the_training(showing: int, message: str) -> None:
    images = boxed().subset(np.arange(4))
    _, aside = split_boxed(images, 0.5, 0, purpose="test", name="x")
    empty = [i for i in range(4) if (i in aside) is bool(showing)]
    nothing = replace(images.boxes[0], corners=np.zeros((0, 4), np.float32), classes=np.zeros(0, np.int64),
                      crowd=np.zeros(0, bool))  # fmt: skip
    poor = replace(images, boxes=tuple(nothing if i in empty else own for i, own in enumerate(images.boxes)))
    with pytest.raises(DataError) as caught:
        split_boxed(poor, 0.5, 0, purpose="test", name="x")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ([], "The 2 images of the test part of x show no object; add some that do."),
        ([4, 1], "The test part of x has the class id 4; the training part has 2 classes."),
    ],
)
def test_a_test_part_that_cannot_test_is_refused_before_the_training(own: list[int], message: str) -> None:
    items = tuple(np.zeros((2, 20, 20, 3), np.uint8))
    objects, tested = (
        Boxes(
            image_hw=(20, 20),
            corners=np.array([[0, 0, 0.5, 0.5]] * len(ids), np.float32).reshape(-1, 4),
            classes=np.array(ids, np.int64),
            crowd=np.zeros(len(ids), bool),
        )
        for ids in ([0, 1], own)
    )
    train, test = (Dataset(name="x", items=items, boxes=(each, each)) for each in (objects, tested))
    with pytest.raises(DataError) as caught:
        Parts(train=train, test=test).boxed_images(PREPROCESSING, 0)
    assert str(caught.value) == message


def test_copies_of_what_is_set_aside_are_not_learned_and_some_others_must_be_left() -> None:
    images = boxed().subset(np.array([0, 1, 1, 2]))
    others = images.subset(np.array([0, 1])).apart_from(images.subset(np.array([2])))
    assert others.digests == images.digests[:1]
    with pytest.raises(DataError) as caught:
        images.subset(np.array([1, 1])).apart_from(images.subset(np.array([2])))
    assert str(caught.value) == (
        "All 2 images to learn from are copies of images that were set aside; add other images."
    )


def test_no_picture_is_learned_and_validated_or_tested_on() -> None:
    images = boxed()
    twice = [*range(10), *range(10)]
    items = tuple(images.pixels[i] for i in twice)
    data = Dataset(name="x", items=items, boxes=tuple(images.boxes[i] for i in twice), class_names=("a", "b", "c"))
    preset = replace(find_spec("ssdlite_mobilenet_v2").presets["small"], validation_fraction=0.2)
    course = detection_course(
        Setting(
            parts=Parts(train=data, test=None),
            preprocessing=PREPROCESSING,
            preset=preset,
            detection=DETECTION,
            seed=0,
            share=ALONE,
            progress=silent,
        )
    )
    lesson: Any = course.lesson
    learned, validated = (set(part.digests) for part in (lesson.training, lesson.validation))
    assert learned
    assert validated
    assert not learned & validated
    tested = {item_digest(item) for item in items} - set(course.learned)
    assert tested
    assert not tested & (learned | validated)
