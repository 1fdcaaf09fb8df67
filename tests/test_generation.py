"""Figures of generators on arrays: those of well-known implementations, and canaries."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgekit.errors import DataError
from edgekit.tasks.generation import (
    Gaussian,
    category_purity,
    conditional_accuracy,
    frechet_distance,
    gaussian,
    neighbourhood,
    precision_recall,
)
from edgekit.tasks.likeness import Likeness, likeness

Array = npt.NDArray[np.floating[Any]]


def waves() -> tuple[Array, Array]:
    """Two sets of 60 points with 3 features, made without chance."""
    i = np.arange(60)
    first = np.stack([np.sin(i * 1.7), np.cos(i * 0.9) * 2, np.sin(i * i * 0.1)], 1)
    second = np.stack([np.sin(i * 1.1) + 0.5, np.cos(i * 0.4), np.cos(i * i * 0.2) * 1.5], 1)
    return first, second


def cloud(count: int, *, seed: int, shift: float = 0.0, size: float = 1.0) -> Array:
    return np.random.default_rng(seed).normal(shift, size, (count, 8))


def distance(a: Array, b: Array) -> float:
    return frechet_distance(gaussian(a), gaussian(b))


def found(real: Array, made: Array) -> tuple[float, float]:
    return precision_recall(neighbourhood(real), neighbourhood(made))


def test_the_frechet_distance_is_that_of_the_matrix_root() -> None:
    """By numpy's cov and scipy 1.17's linalg.sqrtm, as pytorch-fid computes it."""
    first, second = waves()
    assert distance(first, second) == pytest.approx(0.9547428212404159, rel=1e-12)
    assert distance(second, first) == pytest.approx(distance(first, second), rel=1e-9)


def test_precision_and_recall_are_those_of_sorted_distances() -> None:
    """By scikit-learn 1.9's pairwise_distances, as the package prdc computes them with k = 3."""
    assert found(*waves()) == (0.7, 0.55)


def test_equal_sets_are_at_no_distance_even_of_fewer_pictures_than_features() -> None:
    few = np.random.default_rng(0).normal(size=(5, 40))
    assert distance(few, few) == pytest.approx(0, abs=1e-6)
    assert found(few, few) == (1.0, 1.0)


def test_a_shifted_mean_is_its_square() -> None:
    same = cloud(2000, seed=1)
    assert distance(same, same + 0.5) == pytest.approx(8 * 0.25, rel=1e-6)
    assert distance(same, same + 3) > distance(same, same + 1) > 0.5 > distance(same, cloud(2000, seed=2))


def test_collapsed_pictures_lose_recall_and_not_precision() -> None:
    real = cloud(500, seed=1)
    precision, recall = found(real, np.repeat(real[:1], 500, axis=0) + cloud(500, seed=3, size=0.01))
    assert (precision, recall) == (1.0, pytest.approx(0, abs=0.01))
    assert distance(real, np.repeat(real[:1], 500, axis=0)) > 5


def test_pictures_far_from_real_ones_lose_precision_and_not_recall() -> None:
    real = cloud(500, seed=1)
    far = np.concatenate([cloud(250, seed=4), cloud(250, seed=5, shift=30)])
    precision, recall = found(real, far)
    assert precision == pytest.approx(0.5, abs=0.05)
    assert recall > 0.8


def test_more_pictures_than_are_compared_at_a_time() -> None:
    real, made = cloud(1100, seed=1), cloud(1200, seed=2)
    apart = np.linalg.norm(real[:, None] - made, axis=2)
    own = np.sort(np.linalg.norm(real[:, None] - real, axis=2), axis=1)[:, 3]
    assert found(real, made)[0] == pytest.approx(float((apart <= own[:, None]).any(axis=0).mean()), abs=1e-9)


def test_every_part_of_many_pictures_has_its_own_neighbours() -> None:
    """The first 1,024 are close together; those after them are far apart, and reach far."""
    real, made = cloud(200, seed=1), np.concatenate([cloud(1024, seed=2, size=0.01), cloud(200, seed=3)])
    apart = np.linalg.norm(real[:, None] - made, axis=2)
    own = np.sort(np.linalg.norm(made[:, None] - made, axis=2), axis=1)[:, 3]
    expected = float((apart <= own).any(axis=1).mean())
    assert expected > 0.3
    assert found(real, made)[1] == pytest.approx(expected, abs=1e-9)


def test_features_far_from_zero_are_as_near_to_each_other_as_they_are() -> None:
    """In float32 the sum of squares and products is of the size of what it leaves out, a million of eights."""
    real, made = (cloud(300, seed=seed, shift=1000).astype(np.float32) for seed in (1, 2))
    assert found(real, made) == found(real.astype(np.float64) - 1000, made.astype(np.float64) - 1000)


def test_swapped_classes_are_seen() -> None:
    asked = np.arange(1000) % 10
    assert conditional_accuracy(asked, asked).value == 1.0
    swapped = np.where(asked == 3, 8, np.where(asked == 8, 3, asked))
    share = conditional_accuracy(asked, swapped)
    assert (share.value, share.count) == (0.8, 1000)
    assert share.low == pytest.approx(0.7741, abs=1e-4)
    assert share.high == pytest.approx(0.8236, abs=1e-4)


def test_categories_need_not_have_the_numbers_of_classes() -> None:
    categories = np.arange(300) % 3
    pure = category_purity(categories, (categories + 1) % 3, shape=(3, 3))
    assert (pure.purity, pure.matched, pure.classes) == (1.0, 1.0, (1, 2, 0))


def test_categories_that_show_one_class_are_pure_and_do_not_match() -> None:
    categories = np.arange(300) % 3
    collapsed = category_purity(categories, np.zeros(300, np.int64), shape=(3, 3))
    assert (collapsed.purity, collapsed.matched) == (1.0, pytest.approx(1 / 3))
    mixed = category_purity(categories, np.repeat(np.arange(3), 100), shape=(3, 3))
    assert mixed.purity == pytest.approx(1 / 3, abs=0.01)


def test_more_categories_than_classes_leave_some_without() -> None:
    categories = np.arange(300) % 3
    many = category_purity(categories, np.minimum(categories, 1), shape=(3, 2))
    assert (many.purity, many.matched) == (1.0, pytest.approx(2 / 3))
    assert sorted(many.classes) == [-1, 0, 1]


def pictures() -> tuple[Array, Array]:
    """Two 14 x 17 pictures from -1 to 1."""
    y, x = np.mgrid[0:14, 0:17]
    a = np.sin(0.7 * x + 0.3 * y)
    b = np.clip(a + 0.25 * np.cos(1.3 * x * y), -1, 1)
    return a[None, ..., None], b[None, ..., None]


def test_likeness_is_that_of_scikit_image() -> None:
    """By skimage 0.26's structural_similarity with gaussian_weights, sigma 1.5, no sample covariance, range 2."""
    like = likeness(*pictures(), low=-1, high=1)
    assert like.ssim == pytest.approx(0.916409622078876, rel=1e-12)
    assert like.psnr_db == pytest.approx(21.592071100957156, rel=1e-12)


def test_likeness_of_parts_adds_up() -> None:
    a, b = pictures()
    both = likeness(np.concatenate([a, a]), np.concatenate([b, a]), low=-1, high=1)
    parts = likeness(a, b, low=-1, high=1) + likeness(a, a, low=-1, high=1)
    assert (both.ssim, both.psnr_db) == (pytest.approx(parts.ssim), pytest.approx(parts.psnr_db))
    assert both.ssim == pytest.approx((1 + 0.916409622078876) / 2)


def test_equal_pictures_are_as_like_as_can_be() -> None:
    a, _ = pictures()
    same = likeness(a, a, low=-1, high=1)
    assert (same.ssim, same.psnr_db) == (pytest.approx(1), 200.0)
    assert (Likeness().ssim, Likeness().psnr_db) == (1.0, 200.0)


@pytest.mark.parametrize("harm", ["noise", "inverse", "shift"])
def test_harmed_pictures_are_less_like(harm: str) -> None:
    a, _ = pictures()
    noise = np.random.default_rng(0).normal(0, 0.3, a.shape)
    harmed = {"noise": a + noise, "inverse": -a, "shift": np.roll(a, 2, axis=2)}[harm]
    like = likeness(a, harmed, low=-1, high=1)
    assert like.ssim < 0.93
    assert like.psnr_db < 20


def test_sets_that_cannot_be_judged_are_refused() -> None:
    with pytest.raises(
        DataError,
        match=r"^A set of pictures is 3 x 8; expected 4 or more rows of 1 to 4,096 features: give more pictures, or a "
        r"smaller classifier\.$",
    ):
        neighbourhood(cloud(3, seed=1))
    with pytest.raises(DataError, match=r"^A set of pictures is 2 x 5000; expected 2 or more rows of 1 to 4,096 "):
        gaussian(np.zeros((2, 5000)))
    with pytest.raises(
        DataError,
        match=r"^What the judge saw has 1 of 32 values that are NaN or infinite; expected finite numbers\.$",
    ):
        gaussian(np.where(np.arange(32).reshape(4, 8) == 5, np.nan, 1.0))
    with pytest.raises(
        DataError, match=r"^Two sets of pictures have 2 and 3 features; expected those of one classifier\.$"
    ):
        frechet_distance(Gaussian(np.zeros(2), np.eye(2)), Gaussian(np.zeros(3), np.eye(3)))
    with pytest.raises(
        DataError, match=r"^Two sets of pictures have 8 and 3 features; expected those of one classifier\.$"
    ):
        precision_recall(neighbourhood(cloud(9, seed=1)), neighbourhood(waves()[0]))
    with pytest.raises(DataError, match=r"^Each picture needs one class of each kind; got \(2,\) and \(3,\)\.$"):
        conditional_accuracy(np.zeros(2), np.zeros(3))
    with pytest.raises(
        DataError,
        match=r"^Pictures to compare are \(1, 10, 12, 1\) and \(1, 10, 12, 1\); expected equal ones \(count, height, "
        r"width, channels\) of at least 11 x 11 pixels\.$",
    ):
        likeness(np.zeros((1, 10, 12, 1)), np.zeros((1, 10, 12, 1)), low=0, high=1)
