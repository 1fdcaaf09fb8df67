"""Which pictures a siamese network learns from and is judged by, and what the seed decides."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_verifier import pictures, verifier

from edgekit.card import ModelCard
from edgekit.data import Dataset
from edgekit.demos.verify import Match
from edgekit.identities import Measure, Verification
from edgekit.measure.evaluate_verification import evaluate_verification
from edgekit.models.augmentation import Augmentation
from edgekit.models.batches import ALONE
from edgekit.models.build import build
from edgekit.models.images import Images
from edgekit.models.lesson import Terms
from edgekit.models.pair_losses import PAIR_LOSSES
from edgekit.models.registry import find_spec
from edgekit.models.twins import Twins, all_pairs, kinds_of
from edgekit.models.verification_lesson import embedded, likeness, verification_material
from edgekit.preprocessing import normalize
from edgekit.tasks.trials import draw_pairs, draw_trials
from edgekit.tasks.verification import _weights, equal_error_rate
from edgekit.workers import silent


def people(path: Path) -> Path:
    """Pictures of three people, ten of each, and a copy of every one."""
    random = np.random.default_rng(0)
    x = random.integers(0, 255, (30, 32, 32)).astype(np.uint8)
    np.savez(path, x=np.concatenate([x, x]), y=np.tile(np.arange(30) % 3, 2))
    return path


def siamese_course(data: Path, seed: int = 0) -> tuple[Any, Any, Any]:
    spec = find_spec("siamese")
    arguments = spec.resolved({**spec.presets["small"].arguments, "size": 32, "alpha": 0.25, "units": 16})
    terms = Terms(
        preset=spec.preset("small"), arguments=arguments, preprocessing=spec.preprocessing(arguments), seed=seed,
        share=ALONE, progress=silent,
    )  # fmt: skip
    return verification_material(spec, str(data), None).course(terms), spec, arguments


def test_a_copy_of_a_validation_picture_is_not_learned(tmp_path: Path) -> None:
    lesson = siamese_course(people(tmp_path / "p.npz"))[0].lesson
    assert not set(lesson.training.digests) & set(lesson.validation.digests)


def test_the_threshold_is_that_of_the_validation_pictures(tmp_path: Path) -> None:
    course, spec, arguments = siamese_course(people(tmp_path / "p.npz"))
    model, lesson = build(spec, seed=0, **arguments), course.lesson
    card = ModelCard(name="s", task="verification", inputs=(), outputs=(), verification=spec.verification(arguments))
    pairs, twins = draw_pairs(lesson.validation.labels, 0), Twins.of(model)
    told = likeness(twins, embedded(twins, lesson.validation, lesson.preprocessing), pairs, lesson.loss_name)
    _, expected = equal_error_rate(told, pairs.same)
    stated = course.stated(model, card).verification
    assert stated.likeness(stated.threshold) == pytest.approx(expected, rel=1e-5)


def test_the_loss_is_that_of_all_pairs_and_few_are_compared_at_once(tmp_path: Path) -> None:
    """The loss is that of each 128 pictures by themselves, the equal error rate that of all pairs."""
    course, spec, arguments = siamese_course(people(tmp_path / "p.npz"))
    twins, lesson = Twins.of(build(spec, seed=0, **arguments)), course.lesson
    random, at_once = np.random.default_rng(0), []
    pixels = random.integers(0, 255, (140, *lesson.validation.pixels.shape[1:])).astype(np.uint8)
    many = replace(
        lesson,
        validation=Images(
            pixels=pixels, labels=np.repeat(np.arange(70), 2), digests=("",) * 140, places=np.arange(140)
        ),
    )

    def head(pair: Any) -> Any:
        at_once.append(len(pair[0]))
        return twins.head(pair)

    loss, figures = many.judge(replace(twins, head=head))
    assert max(at_once) <= 1024
    vectors = embedded(twins, many.validation, lesson.preprocessing)
    losses = [
        float(
            PAIR_LOSSES[lesson.loss_name](all_pairs(twins.head, vectors[own]), *kinds_of(many.validation.labels[own]))
        )
        for own in (slice(0, 128), slice(128, 140))
    ]
    assert loss == pytest.approx(np.average(losses, weights=[128, 12]), rel=1e-5)
    pairs = draw_pairs(many.validation.labels, lesson.seed)
    expected, _ = equal_error_rate(likeness(twins, vectors, pairs, lesson.loss_name), pairs.same)
    assert figures == {"eer": pytest.approx(expected)}


def test_likeness_is_the_logit_and_falls_with_a_distance() -> None:
    def head(pair: Any) -> Any:
        return pair[0] + 10 * pair[1]

    model, vectors = Twins(model=None, tower=None, head=head), np.arange(3.0)[:, None]
    pairs = draw_pairs(np.array([0, 0, 1]), 0)
    told = vectors[pairs.first, 0] + 10 * vectors[pairs.second, 0]
    np.testing.assert_array_equal(likeness(model, vectors, pairs, "logistic"), told)
    np.testing.assert_array_equal(likeness(model, vectors, pairs, "contrastive"), -told)


def test_pictures_that_are_drawn_keep_their_people_and_pixels(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "g", people=6)
    report = evaluate_verification([verifier(tmp_path)], str(folder), samples=20, seed=3)
    assert report.indices != tuple(range(20))
    (entry,) = report.entries
    assert entry.result.eer == 0
    assert entry.result.one_shot[0].accuracy == entry.result.one_shot[0].pixels == 1


def test_the_seed_draws_the_trials() -> None:
    shown = np.repeat(np.arange(6), 5)
    first, again, other = (draw_trials(shown, 4, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.offered, again.offered)
    assert not np.array_equal(first.offered, other.offered)


@pytest.mark.parametrize(("threshold", "accepted", "rejected"), [(0.0, 0, 1), (1e6, 1, 0)])
def test_a_distance_at_most_the_threshold_is_accepted(
    threshold: float, accepted: int, rejected: int, tmp_path: Path
) -> None:
    path = verifier(tmp_path, threshold=threshold)
    (entry,) = evaluate_verification([path], str(pictures(tmp_path / "g"))).entries
    found = entry.metrics()
    assert (found["false_accepts"], found["false_rejects"]) == (accepted, rejected)


def test_at_the_threshold_a_match_is_known_and_closer_ones_are_closer() -> None:
    how = Verification(measure=Measure.DISTANCE, threshold=2.0)
    matches = [Match(name="a", measured=m, how=how) for m in (0.0, 1.0, 2.0, 3.0)]
    assert [m.known for m in matches] == [True, True, True, False]
    assert [m.closeness for m in matches] == pytest.approx([1, 2 / 3, 1 / 2, 2 / 5])


def test_a_different_pair_counts_as_often_as_both_of_its_people() -> None:
    people_ = np.repeat(np.arange(4), 2)
    pairs = draw_pairs(people_, 0)
    rows = _weights(people_, pairs, pairs.same, 20, np.random.default_rng(0))
    times = rows[:, pairs.same]
    first, second = people_[pairs.first][~pairs.same], people_[pairs.second][~pairs.same]
    np.testing.assert_array_equal(rows[:, ~pairs.same], times[:, first] * times[:, second])


def test_the_seed_decides_what_a_batch_is(tmp_path: Path) -> None:
    lesson = siamese_course(people(tmp_path / "p.npz"))[0].lesson
    one, two = (next(iter(replace(lesson, seed=seed).batches(1)))[0] for seed in (0, 1))
    assert not np.array_equal(one, two)


def test_the_pictures_of_a_batch_are_shifted_mirrored_zoomed_and_lit(tmp_path: Path) -> None:
    lesson = siamese_course(people(tmp_path / "p.npz"))[0].lesson
    still = replace(lesson.preset, shift_pixels=0, flip=False, zoom=0.0, brightness=0.0)
    plain, shown, _ = next(iter(replace(lesson, preset=still).batches(1)))
    random = np.random.default_rng([lesson.seed, 1])
    for count in (3, *np.unique(lesson.training.labels, return_counts=True)[1]):  # the people, and then their pictures
        random.permutation(count)
    pixels = np.rint((plain + 1) * 127.5)
    changed = Augmentation(shift_pixels=3, flip=True, zoom=0.1, brightness=0.2).apply(pixels.astype(np.uint8), random)
    images, people_, _ = next(iter(lesson.batches(1)))
    np.testing.assert_array_equal(people_, shown)
    np.testing.assert_allclose(images, normalize(changed, lesson.preprocessing), atol=1e-6)
    assert not np.array_equal(images, plain)


def test_the_interval_of_a_test_is_drawn_by_the_seed_of_the_training(tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).integers(0, 255, (120, 32, 32)).astype(np.uint8), np.arange(120) % 15
    np.savez(tmp_path / "p.npz", x_train=x[:60], y_train=y[:60], x_test=x[60:], y_test=y[60:])
    (course, spec, arguments), other = (siamese_course(tmp_path / "p.npz", seed=seed) for seed in (3, 4))
    model = build(spec, seed=0, **arguments)
    (eer, _), (another, _) = course.test(model), other[0].test(model)
    assert eer.low < eer.value == another.value < eer.high  # of the same pairs
    assert (eer.low, eer.high) != (another.low, another.high)


def test_the_seed_draws_the_pairs_of_a_test(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    shown = np.repeat(np.arange(80), 5)
    data = Dataset(name="p", items=list(random.integers(0, 255, (400, 8, 8, 3)).astype(np.uint8)), labels=shown)
    first, again, other = (evaluate_verification([verifier(tmp_path)], data, seed=seed).pairs for seed in (0, 0, 1))
    assert not first.whole
    np.testing.assert_array_equal(first.second, again.second)
    assert not np.array_equal(first.second, other.second)
