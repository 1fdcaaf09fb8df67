"""What autoencoders learn from, step by step, and what they are judged by."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_train_anomalies import request
from tiny_tables import rows, write_csv

from edgekit.models.anomaly_material import anomaly_material
from edgekit.models.autoencoders import ae_vanilla, vae
from edgekit.models.batches import ALONE
from edgekit.models.cluster import Together
from edgekit.models.lesson import Terms
from edgekit.models.phases import phases
from edgekit.models.reconstruction_lesson import ReconstructionLesson, Rows, errors_of, reconstruct
from edgekit.models.registry import find_spec
from edgekit.models.variational_autoencoder import variational
from edgekit.workers import silent


def course_of(name: str, data: Path, *, seed: int = 0) -> Any:
    asked = request(name, data)
    arguments = asked.spec.resolved({**asked.arguments, "features": 3})
    terms = Terms(
        preset=asked.settings(), arguments=arguments, preprocessing=None, seed=seed, share=ALONE, progress=silent
    )
    return anomaly_material(asked.spec, str(data), None).course(terms)


@pytest.mark.parametrize(
    ("name", "part"),
    [("ae_sparse", "penalty"), ("ae_contractive", "penalty"), ("ae_denoising", "corruption"), ("vae", "penalty"),
     ("vae", "noise")],
)  # fmt: skip
def test_each_kind_learns_in_its_own_way(name: str, part: str, tmp_path: Path) -> None:
    lesson = course_of(name, write_csv(tmp_path / "t.csv")).lesson
    assert getattr(lesson, part)
    assert not getattr(course_of("ae_vanilla", tmp_path / "t.csv").lesson, part)


def lesson_of(**changes: Any) -> ReconstructionLesson:
    values, labels = rows(20)
    data = Rows(values=values, anomalous=labels == 1, digests=tuple(map(str, range(20))))
    preset = replace(find_spec("ae_vanilla").presets["small"], batch_size=8)
    return ReconstructionLesson(training=data, validation=data, preset=preset, seed=0, share=ALONE, **changes)


def test_a_step_asks_for_the_whole_and_counts_the_penalty() -> None:
    model = ae_vanilla(features=3, code=2)
    lesson = lesson_of(penalty=lambda *_: 5.0)
    given, whole = np.zeros((4, 3), np.float32), np.ones((4, 3), np.float32)
    expected = np.square(np.asarray(model(given)[1]) - whole).mean(axis=1).sum()
    teaching = reconstruct(model, lesson, phases(lesson.preset)[0], Together())
    cost, error = (float(value) for value in teaching.step(given, whole, 4.0))
    assert error == pytest.approx(expected, rel=1e-5)
    assert cost - error == pytest.approx(5, abs=1e-4)


def test_a_step_of_a_variational_one_draws_its_code() -> None:
    learner = variational(vae(features=3, hidden=4, code=2))
    lesson = lesson_of(noise=2)
    given, noise = rows(4)[0], np.full((4, 2), 3, np.float32)
    expected = np.square(np.asarray(learner([given, noise])[1]) - given).mean(axis=1).sum()
    teaching = reconstruct(learner, lesson, phases(lesson.preset)[0], Together())
    assert float(teaching.step(given, given, noise, 4.0)[1]) == pytest.approx(expected, rel=1e-5)


def test_an_epoch_is_judged_by_the_normal_items_without_noise() -> None:
    model, lesson = vae(features=3, hidden=4, code=2), lesson_of()
    learner, data = variational(model), lesson.validation
    for weights in learner.trainable_variables:  # so that noise counts
        weights.assign(np.random.default_rng(0).normal(0, 0.7, weights.shape))
    errors = errors_of(model, data)
    loss, figures = lesson.judge(learner)
    assert loss == pytest.approx(errors[~data.anomalous].mean(), rel=1e-5)
    assert errors.mean() > 1.01 * loss
    assert list(figures) == ["pr_auc"]


def test_the_test_reconstructs_normal_items(tmp_path: Path) -> None:
    course = course_of("ae_vanilla", write_csv(tmp_path / "t.csv", count=120))
    model = ae_vanilla(features=3, code=2)
    (found,) = (metric for metric in course.test(model) if metric.name == "reconstruction_error")
    material = anomaly_material(find_spec("ae_vanilla"), str(tmp_path / "t.csv"), None)
    test = material._rows(material.test, None, silent)
    errors = errors_of(model, test)
    assert found.value == pytest.approx(errors[~test.anomalous].mean(), rel=1e-6)
    assert found.value < 0.9 * errors.mean()


def test_a_copy_of_a_validation_item_is_not_learned(tmp_path: Path) -> None:
    values, labels = rows(60)
    np.savez(tmp_path / "d.npz", x=np.tile(values, (3, 1)), y=np.tile(labels, 3))
    course = course_of("ae_vanilla", tmp_path / "d.npz")
    assert not set(course.lesson.training.digests) & set(course.lesson.validation.digests)


def test_the_percentile_is_the_99th(tmp_path: Path) -> None:
    material = anomaly_material(find_spec("ae_vanilla"), str(write_csv(tmp_path / "t.csv")), None)
    data = Rows(values=np.zeros((101, 3)), anomalous=np.zeros(101, bool), digests=("",) * 101)
    assert material._threshold(np.arange(101.0), data) == pytest.approx(99)


def test_a_seed_decides_the_validation_part_and_all_that_is_drawn(tmp_path: Path) -> None:
    data = write_csv(tmp_path / "t.csv", count=120)
    first, other = (course_of("vae", data, seed=seed).lesson for seed in (0, 1))
    assert set(first.validation.digests) != set(other.validation.digests)
    one, two = ([*lesson.batches(1)] for lesson in (first, replace(first, seed=1)))
    assert not np.array_equal(one[0][2], two[0][2])
    assert not np.array_equal(one[0][2], one[1][2])  # nor is a step's noise another's
