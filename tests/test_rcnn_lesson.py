"""What R-CNN learns: regions of scenes, and linear machines on a network's features."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgekit.data import Part, open_data
from edgekit.errors import DataError, MissingExtraError
from edgekit.models import rcnn_lesson
from edgekit.models.batches import ALONE, Share
from edgekit.models.box_augmentation import BoxAugmentation
from edgekit.models.images import BoxedImages, load_boxed_images
from edgekit.models.lesson import Setting
from edgekit.models.parts import Parts
from edgekit.models.rcnn_lesson import RegionLesson, _teach_machines, region_course, studied
from edgekit.models.region_samples import Samples, sampled
from edgekit.models.registry import find_spec
from edgekit.preprocessing import Preprocessing, Resize
from edgekit.regions import Search
from edgekit.tasks.anchors import encode
from edgekit.tasks.boxes import centred, iou
from edgekit.tasks.regions import warp
from edgekit.workers import silent

HOW = Search(size_hw=(160, 160), count=40, scales=(75.0,), context=0.1)
WHOLE = Preprocessing(size_hw=(160, 160), resize=Resize.STRETCH)


@pytest.fixture(scope="module")
def images() -> BoxedImages:
    return load_boxed_images(open_data("digit_scenes", part=Part.TRAIN, data_dir=None).subset(range(4)), WHOLE)


@pytest.fixture(scope="module")
def samples(images: BoxedImages) -> Samples:
    return sampled(images, HOW)


def lesson(samples: Samples, **fields: Any) -> RegionLesson:
    preset = replace(find_spec("rcnn").presets["small"], batch_size=16)
    known: dict[str, Any] = {
        "training": samples,
        "validation": samples,
        "preprocessing": replace(WHOLE, size_hw=(12, 12), scale=(1 / 255,)),
        "preset": preset,
        "context": HOW.context,
        "seed": 0,
    }
    return RegionLesson(**known | fields)


def test_each_region_knows_the_object_that_it_overlaps_most(samples: Samples, images: BoxedImages) -> None:
    assert sorted(set(samples.images.tolist())) == [0, 1, 2, 3]
    before = 0
    for image, boxes in enumerate(images.boxes):
        own = np.flatnonzero(samples.images == image)
        overlap = iou(samples.regions[own], boxes.corners)
        np.testing.assert_allclose(samples.overlaps[own], overlap.max(axis=1), atol=1e-6)
        assert np.array_equal(samples.objects[own] - before, overlap.argmax(axis=1))
        assert np.array_equal(samples.nearest[own], boxes.classes[overlap.argmax(axis=1)])
        assert np.array_equal(samples.truth[own], boxes.corners[overlap.argmax(axis=1)])
        assert np.array_equal(samples.regions[own][samples.true[own]], boxes.corners)
        before += len(boxes)
    shown = samples.overlaps >= 0.5
    assert np.array_equal(samples.classes > 0, shown)
    assert np.array_equal(samples.classes[shown], samples.nearest[shown] + 1)
    found = sampled(images, HOW, truth=False)
    assert not found.true.any()
    assert len(found) == len(samples) - before


def test_an_image_without_objects_shows_nothing(images: BoxedImages) -> None:
    nothing = replace(images.boxes[0], corners=np.zeros((0, 4), np.float32), classes=np.zeros(0, np.int64),
                      crowd=np.zeros(0, bool))  # fmt: skip
    found = sampled(replace(images, boxes=(nothing, *images.boxes[1:])), HOW)
    own = found.images == 0
    assert own.any()
    assert not found.classes[own].any()
    assert set(found.objects[own].tolist()) == {-1}
    assert found.objects[~own].min() == 0


def test_an_epoch_has_one_region_of_each_object(samples: Samples) -> None:
    chosen = samples.one_of_each_object(np.random.default_rng(0))
    assert sorted(samples.objects[chosen].tolist()) == sorted(set(samples.objects[samples.classes > 0].tolist()))
    assert (samples.classes[chosen] > 0).all()
    other = samples.one_of_each_object(np.random.default_rng(1))
    assert set(chosen.tolist()) != set(other.tolist())


def test_regions_are_shown_as_the_device_sees_them(samples: Samples, images: BoxedImages) -> None:
    places = np.array([len(samples) - 1, 0, 5])
    found = samples.warped(places, (12, 12), HOW.context)
    for place, pixels in zip(places, found, strict=True):
        image = images.at(np.array([samples.images[place]]))[0]
        assert np.array_equal(pixels, warp(image, samples.regions[place : place + 1], (12, 12), HOW.context)[0])


def test_a_quarter_of_a_batch_shows_objects(samples: Samples) -> None:
    plan = lesson(samples)
    first, again, other = (list(plan.batches(epoch)) for epoch in (1, 1, 2))
    assert len(first) == plan.steps == len(set(samples.objects[samples.classes > 0].tolist())) // 4
    assert all(np.array_equal(a, b) for x, y in zip(first, again, strict=True) for a, b in zip(x, y, strict=True))
    assert not np.array_equal(first[0][0], other[0][0])
    for inputs, classes, count in first:
        assert (inputs.shape, inputs.dtype, classes.dtype, count) == ((16, 12, 12, 3), np.float32, np.int32, 16.0)
        assert np.count_nonzero(classes) == 4
        assert 0 <= inputs.min() <= inputs.max() <= 1
    parts = [next(lesson(samples, share=Share(index=i, count=2)).batches(1)) for i in range(2)]
    for position in range(2):
        for index, part in enumerate(parts):
            assert np.array_equal(part[position], first[0][position][index::2])


def test_regions_without_an_object_are_others_in_each_batch(samples: Samples) -> None:
    preset = replace(find_spec("rcnn").presets["small"], batch_size=16, boxes=None)
    (first, *_), (second, *_) = list(lesson(samples, preset=preset).batches(1))[:2]
    assert len(np.unique(np.concatenate([first[4:], second[4:]]), axis=0)) > 12


def test_regions_are_not_cut_again(samples: Samples) -> None:
    """A crop of a region shows another region, whose class may be another."""
    preset = replace(find_spec("rcnn").presets["small"], batch_size=16)
    plain, cut = (
        next(lesson(samples, preset=replace(preset, boxes=changes)).batches(1))
        for changes in (BoxAugmentation(flip=True), BoxAugmentation(flip=True, crop=1.0, expand=3.0, mosaic=1.0))
    )
    assert np.array_equal(plain[0], cut[0])


def test_machines_learn_from_what_overlaps_little_and_boxes_from_what_overlaps_much(samples: Samples) -> None:
    overlaps = np.array([0.0, 0.29, 0.31, 0.49, 0.59, 0.61, 1.0], np.float32)
    few = replace(samples, **{f: getattr(samples, f)[:7] for f in ("images", "regions", "nearest", "truth", "objects")},
                  overlaps=overlaps, true=overlaps == 1)  # fmt: skip
    true, far, near = studied(few, np.random.default_rng(0))
    assert (true.tolist(), sorted(far.tolist()), near.tolist()) == ([6], [0, 1], [5, 6])


def test_machines_and_boxes_are_learned_from_the_features_of_the_network(samples: Samples) -> None:
    """Pixels alone tell most objects of a few scenes apart."""
    import keras

    pixels = keras.Input((12, 12, 3))
    features = keras.layers.Identity(name="dropout_2")(keras.layers.Flatten(name="flatten")(pixels))
    outputs = [keras.layers.Dense(width, name=name)(features) for name, width in (("scores", 11), ("offsets", 40))]
    model, taught = keras.Model(pixels, outputs), lesson(samples)
    detection = find_spec("rcnn").detection(find_spec("rcnn").defaults)
    assert detection is not None
    _teach_machines(model, taught, detection, 10)
    true, far, near = studied(samples, np.random.default_rng(0))
    scores, offsets = taught.outputs(model, samples, np.arange(len(samples)))
    assert not scores[:, 0].any()
    assert (scores[true, 1:].argmax(axis=1) == samples.nearest[true]).mean() > 0.5  # by chance a tenth
    assert scores[far, 1:].max(axis=1).mean() < scores[true, samples.classes[true]].mean()
    wanted = encode(centred(samples.truth[near]), centred(samples.regions[near]), detection.variances)
    found = offsets.reshape(-1, 10, 4)[near, samples.nearest[near]]
    assert ((found - wanted) ** 2).mean() < 0.9 * (wanted**2).mean()


def setting(train: Sequence[int]) -> Setting:
    """Some scenes to learn from, and another one for the test."""
    data, preset = open_data("digit_scenes", part=Part.TRAIN, data_dir=None), find_spec("rcnn").presets["small"]
    detection = find_spec("rcnn").detection(find_spec("rcnn").resolved(preset.arguments))
    return Setting(
        parts=Parts(train=data.subset(train), test=data.subset([9])),
        preprocessing=replace(WHOLE, size_hw=(12, 12)),
        preset=preset,
        detection=detection,
        seed=0,
        share=ALONE,
        progress=silent,
    )


def test_regions_are_searched_in_no_more_images_than_take_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rcnn_lesson.MOST_SEARCHED == 1200
    monkeypatch.setattr(rcnn_lesson, "MOST_SEARCHED", 3)
    made: Any = region_course(setting(range(5))).lesson
    assert (len(made.training.pictures), len(made.validation.pictures)) == (2, 1)


def test_a_training_of_copies_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        region_course(setting([0, 0, 0]))
    assert str(caught.value) == (
        "All 2 images to learn from are copies of images that were set aside; add other images."
    )


@pytest.mark.parametrize(("package", "extra"), [("skimage", "regions"), ("sklearn", "train")])
def test_a_missing_package_is_told_before_the_training(
    package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = setting([0, 1])
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError) as caught:
        region_course(asked)
    assert str(caught.value) == f"{package} is not installed. Run: pip install 'edgekit-ml[{extra}]'"


class Knowing:
    """Answers with the classes of the regions, known by their order."""

    name = "knowing"

    def __init__(self, classes: Any, certainty: float) -> None:
        self.answers = iter(
            np.array_split(np.eye(11, dtype=np.float32)[classes] * certainty, range(256, len(classes), 256))
        )

    def predict_on_batch(self, _inputs: Any) -> Any:
        return next(self.answers)


def test_a_network_that_knows_is_judged_right(samples: Samples) -> None:
    loss, figures = lesson(samples).judge(Knowing(samples.classes, 30.0))
    assert loss < 1e-6
    assert figures == {"accuracy": 1.0}
    wrong = (samples.classes + 1) % 11
    worse, figures = lesson(samples).judge(Knowing(wrong, 1.0))
    assert worse == pytest.approx(np.log(np.e + 10), rel=1e-4)
    assert figures == {"accuracy": 0.0}
