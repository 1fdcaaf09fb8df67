"""Linear machines and box regressors on features, as layers."""

from typing import Any

import numpy as np
import pytest

from edgekit.models import machines as taught
from edgekit.models.machines import Linear, machines, regressors, scale_of


def features(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (count, 6)).astype(np.float32)


def applied(linear: Linear, values: np.ndarray) -> np.ndarray:
    return np.asarray(values @ linear.kernel + linear.bias)


def test_each_machine_says_yes_to_its_class_alone() -> None:
    objects, others = features(120, 0), features(3000, 1)
    classes = np.arange(120) % 3
    for index in range(3):
        objects[classes == index, index] += 9  # where each class is on its own
    others[:, :3] = np.clip(others[:, :3], -2, 2)
    values, unlike = np.concatenate([objects, others]), np.ones((3120, 4), bool)
    unlike[np.arange(120), classes] = False
    found = applied(machines(objects, classes, values, unlike, count=4, seed=0), values)
    assert not found[:, 0].any()  # the background
    assert (found[:120, 1:4].argmax(axis=1) == classes).all()
    assert ((found[:120, 1:4] > 0) == (classes[:, None] == np.arange(3))).all()
    assert (found[120:, 1:4] < 0).all()
    assert (found[:, 4] == -1).all()  # a class without objects


def test_what_a_machine_takes_for_its_class_is_learned_next() -> None:
    """The hard ones are rarer than one in two thousand, of which a machine sees at most two thousand at first."""
    own, easy, hard = features(40, 0), features(20_000, 1), features(6, 2)
    own[:, 0] += 12
    hard[:, 0], hard[:, 1] = 11, -12
    easy[:, :2] = np.clip(easy[:, :2], -3, 3)
    others = np.concatenate([easy, hard])
    linear = machines(own, np.zeros(40, np.int64), others, np.ones((len(others), 1), bool), count=1, seed=0)
    assert (applied(linear, own)[:, 1] > 0).all()
    assert (applied(linear, hard)[:, 1] < 0).all()


def test_machines_are_optimal_for_the_published_settings() -> None:
    """The gradient of 0.5 (|w|^2 + (b / 10)^2) + C sum(weight * hinge^2) is zero; features have the mean length 20."""
    own, others = features(60, 0) + 0.4, features(900, 1)
    linear = machines(own, np.zeros(60, np.int64), others, np.ones((900, 1), bool), count=1, seed=0)
    values = np.concatenate([own, others])
    scale = 20 / np.linalg.norm(values, axis=1).mean()
    answers, weights = np.repeat([1, -1], [60, 900]), np.repeat([2, 1], [60, 900])
    hinge = np.maximum(0, 1 - answers * applied(linear, values)[:, 1])
    pulls = 2 * 1e-3 * weights * answers * hinge
    np.testing.assert_allclose(linear.kernel[:, 1] / scale, pulls @ values * scale, rtol=0.02, atol=1e-3)
    assert linear.bias[1] == pytest.approx(10**2 * pulls.sum(), rel=0.02)


def test_hard_regions_are_looked_for_three_times(monkeypatch: pytest.MonkeyPatch) -> None:
    counts, fitted = [], taught._fitted

    def counted(own: Any, others: Any) -> Any:
        counts.append(len(others))
        return fitted(own, others)

    monkeypatch.setattr(taught, "_fitted", counted)
    own, *others = (features(count, seed) for seed, count in enumerate((40, 20_000, 6, 40)))
    for values, place in zip((own, *others), ((10, 10), (-8, -8), (9, -12), (-20, 9)), strict=True):
        values[:, :2] += place  # what tells the third from the first makes the fourth look like it
    each = np.concatenate(others)
    machines(own, np.zeros(40, np.int64), each, np.ones((len(each), 1), bool), count=1, seed=0)
    assert counts[0] == 2000
    assert len(counts) == 3
    assert counts == sorted(set(counts))


def test_regressors_shrink_weights_as_the_paper_does() -> None:
    values = np.resize(np.float32([1, -1]), (100, 1))  # 20 and -20 when they are scaled
    linear = regressors(values, np.repeat(2 * values, 4, axis=1), np.zeros(100, np.int64), 1)
    np.testing.assert_allclose(linear.kernel, 2 * 20**2 * 100 / (20**2 * 100 + 1000), rtol=1e-5)


def test_machines_do_not_depend_on_the_scale_of_features() -> None:
    objects, others = features(30, 0) + 3, features(200, 1)
    classes, unlike = np.zeros(30, np.int64), np.ones((200, 1), bool)
    small = machines(objects, classes, others, unlike, count=1, seed=0)
    large = machines(objects * 100, classes, others * 100, unlike, count=1, seed=0)
    np.testing.assert_allclose(applied(small, others), applied(large, others * 100), rtol=1e-3, atol=1e-4)
    assert scale_of(np.zeros((3, 2), np.float32)) == 1.0


def test_regressors_give_back_what_depends_on_features_linearly() -> None:
    random = np.random.default_rng(0)
    values, classes = features(4000, 3) * 50, np.arange(4000) % 2
    tables = random.normal(0, 0.1, (2, 6, 4))
    offsets = np.einsum("nf,nfo->no", values, tables[classes]) + classes[:, None] + 0.5
    linear = regressors(values, offsets.astype(np.float32), classes, 3)
    found = applied(linear, values).reshape(-1, 3, 4)
    each = found[np.arange(4000), classes]
    assert np.abs(each - offsets).max() < 0.02 * np.abs(offsets).max()
    assert not found[:, 2].any()  # a class without regions
    shrunk = regressors(values[:40], offsets[:40].astype(np.float32), classes[:40], 2)
    assert np.abs(shrunk.kernel).sum() < np.abs(linear.kernel).sum()
