"""What the machines of a stack learn by."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_greedy import epoch_of, taught

from edgekit.models import greedy_lesson


def test_the_seed_of_a_stack_draws_all(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    path = tmp_path / "h.npz"
    x, y = random.integers(0, 255, (40, 8, 8)).astype(np.uint8), np.arange(40) % 2
    np.savez(path, x_train=x, y_train=y, x_test=x[:10], y_test=y[:10])
    _, lesson, _ = taught(path)
    other = replace(lesson, images=replace(lesson.images, seed=1))
    one, two = ([batch[-2] for batch in each.batches(1)] for each in (lesson, other))
    assert not any(map(np.array_equal, one, two))


def test_pixels_have_biases_and_classes_begin_after_all_machines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked, made = [], greedy_lesson.optimizer_for
    monkeypatch.setattr(greedy_lesson, "optimizer_for", lambda *a: [asked.append(a[1].start), made(*a)][1])
    random = np.random.default_rng(0)
    path = tmp_path / "h.npz"
    x, y = random.integers(0, 255, (40, 8, 8)).astype(np.uint8), np.arange(40) % 2
    np.savez(path, x_train=x, y_train=y, x_test=x[:10], y_test=y[:10])
    _, lesson, teaching = taught(path)
    epoch_of(lesson, teaching, 1)
    first, second, *_ = teaching.variables
    assert np.asarray(first).any()
    assert not np.asarray(second).any()
    assert asked == [lesson.depth * lesson.pretraining]
