"""The images of a training: their division, their random changes, and the batches of an epoch."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgekit.data import Dataset
from edgekit.data.arrays import ArrayItems
from edgekit.errors import DataError
from edgekit.models.augmentation import Augmentation
from edgekit.models.batches import Batch, Batches, Share, class_weights
from edgekit.models.images import load_images, split
from edgekit.models.registry import find_spec


def test_the_split_takes_a_share_of_every_class() -> None:
    labels = np.array([0] * 50 + [1] * 10 + [2] * 2)
    kept, held = split(labels, 0.2, 0, purpose="validation")
    assert np.bincount(labels[held]).tolist() == [10, 2, 1]
    assert sorted([*kept, *held]) == list(range(62))
    assert split(labels, 0.2, 0, purpose="validation")[1].tolist() == held.tolist()
    assert split(labels, 0.2, 0, purpose="test")[1].tolist() != held.tolist()
    assert split(labels, 0.2, 1, purpose="validation")[1].tolist() != held.tolist()
    with pytest.raises(DataError) as caught:
        split(np.array([0, 0, 1]), 0.5, 0, purpose="validation")
    assert str(caught.value) == ("Class 1 has too few images to set one aside for validation; add some of that class.")


def images(count: int = 7) -> Any:
    pixels = np.arange(count * 5 * 4, dtype=np.uint8).reshape(count, 5, 4, 1)
    data = Dataset(name="x", items=ArrayItems(pixels), labels=np.arange(count) % 2)
    spec = replace(find_spec("mlp").preprocessing({}), size_hw=(5, 4))
    return load_images(data, spec), spec


ALONE = Share()


def epoch_of(
    number: int, *, seed: int = 0, share: Share = ALONE, balanced: bool = False, **augmentation: Any
) -> Iterator[Batch]:
    held, spec = images()
    return Batches(
        images=held,
        preprocessing=spec,
        classes=2,
        batch_size=3,
        augmentation=Augmentation(**augmentation),
        balanced=balanced,
        seed=seed,
        share=share,
    ).of_epoch(number)


def test_the_order_of_images_depends_on_the_seed_and_the_epoch_and_nothing_else() -> None:
    first, again, second, other = (
        np.concatenate([batch.inputs for batch in epoch_of(n, seed=seed, shift_pixels=1)]).tolist()
        for n, seed in ((1, 0), (1, 0), (2, 0), (1, 1))
    )
    assert first == again != second
    assert other not in (first, second)
    assert [len(batch.inputs) for batch in epoch_of(1)] == [3, 3]  # a batch of one is left out


def test_workers_share_every_batch_among_them() -> None:
    whole = list(epoch_of(1, shift_pixels=1, zoom=0.3))
    parts = [list(epoch_of(1, shift_pixels=1, zoom=0.3, share=Share(index=i, count=2))) for i in (0, 1)]
    for batch, first, second in zip(whole, *parts, strict=True):
        assert batch.size == first.size == second.size == 3
        assert np.array_equal(batch.inputs[::2], first.inputs)
        assert np.array_equal(batch.inputs[1::2], second.inputs)
        assert np.array_equal(batch.targets[1::2], second.targets)


def test_balanced_classes_weigh_the_same_together() -> None:
    weights = class_weights(np.array([0] * 6 + [1] * 3 + [2]), 4)
    assert (weights[:3] * [6, 3, 1]).tolist() == pytest.approx([10 / 3] * 3)
    assert all(batch.weights.tolist() == [1, 1, 1] for batch in epoch_of(1))
    drawn = [
        w for batch in epoch_of(1, balanced=True) for w in zip(batch.targets.argmax(1), batch.weights, strict=True)
    ]
    assert dict(drawn) == pytest.approx({0: 7 / 8, 1: 7 / 6})


def test_shifts_move_and_mirrors_turn_each_image_as_a_whole() -> None:
    image = np.array([[1, 2], [3, 4]], np.uint8).reshape(1, 2, 2, 1)
    many = np.repeat(image, 200, axis=0)
    flipped = Augmentation(flip=True).apply(many, np.random.default_rng(0))[..., 0].tolist()
    assert {str(f) for f in flipped} == {"[[1, 2], [3, 4]]", "[[2, 1], [4, 3]]"}
    moved = Augmentation(shift_pixels=1).apply(many, np.random.default_rng(0))[..., 0].tolist()
    assert {str(m) for m in moved} == {
        str([[a, b], [c, d]])
        for a, b, c, d in (
            (1, 2, 3, 4), (1, 1, 3, 3), (2, 2, 4, 4),
            (1, 2, 1, 2), (1, 1, 1, 1), (2, 2, 2, 2),
            (3, 4, 3, 4), (3, 3, 3, 3), (4, 4, 4, 4),
        )
    }  # fmt: skip


def test_zoom_and_brightness_change_an_image_about_its_middle() -> None:
    picture = np.zeros((1, 9, 9, 1), np.uint8)
    picture[0, 3:6, 3:6] = 100
    many = np.repeat(picture, 200, axis=0)
    sizes = [int((im > 0).sum()) for im in Augmentation(zoom=0.5).apply(many, np.random.default_rng(0))]
    assert set(sizes) == {9, 25}
    assert all(
        (im[::-1] == im).all() and (im[:, ::-1] == im).all()
        for im in Augmentation(zoom=0.5).apply(many, np.random.default_rng(1))
    )
    bright = Augmentation(brightness=0.4).apply(many, np.random.default_rng(0)).max(axis=(1, 2, 3))
    assert (bright.min(), bright.max()) == (pytest.approx(60, abs=4), pytest.approx(139, abs=4))
