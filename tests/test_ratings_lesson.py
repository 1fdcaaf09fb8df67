"""Whom a recommender learns from, step by step, and what its seed decides."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_boltzmann import tastes

from edgekit.models.batches import Share
from edgekit.models.build import build
from edgekit.models.cluster import Together
from edgekit.models.contrastive import HIDDEN
from edgekit.models.lesson import Terms
from edgekit.models.phases import phases
from edgekit.models.ratings_lesson import ratings_material, teach
from edgekit.models.registry import find_spec
from edgekit.ratings import Ratings, encode_user, user_of
from edgekit.tasks.recommendation import errors_of, ratio_interval
from edgekit.workers import silent


def ratings_course(data: Path, *, seed: int = 0, least: int = 2, **preset: Any) -> Any:
    spec = find_spec("rbm").set_to({"least": least})
    material = ratings_material(spec, str(data), None)
    arguments = spec.resolved({"hidden": 6, "least": least, "chains": "persistent", **material.arguments})
    settings = replace(spec.preset("small"), batch_size=8, **preset)
    terms = Terms(preset=settings, arguments=arguments, preprocessing=None, seed=seed, share=Share(), progress=silent)
    return material, material.course(terms), arguments


def test_users_who_validate_are_not_learned_from(tmp_path: Path) -> None:
    material, course, _ = ratings_course(tastes(tmp_path / "t.csv"))
    lesson = course.lesson
    learned = {row.tobytes() for row in lesson.training}
    whole = [encode_user(user_of(user["item"], user["rating"]), material.how) for user in lesson.validation]
    assert not learned & {row.tobytes() for row in whole}
    assert len(whole) + len(lesson.training) == len(material.train) == len(course.learned)


def test_an_item_is_known_from_so_many_ratings_on_and_means_are_of_known_items(tmp_path: Path) -> None:
    lines = [f"u{u},{item},{1 + (u + item) % 3}" for u in range(40) for item in range(3)]
    rare = [f"u{u},rare,5" for u in range(12)]
    (tmp_path / "t.csv").write_text("\n".join(["user,item,rating", *lines, *rare]) + "\n")

    def known(least: int) -> Any:
        return ratings_material(find_spec("rbm").set_to({"least": least}), str(tmp_path / "t.csv"), None)

    every = np.concatenate([np.asarray(user) for user in known(1).train])
    count = int((every["item"] == "rare").sum())
    assert known(count).how.items == ("0", "1", "2", "rare")
    fewer = known(count + 1)
    assert (fewer.how.items, fewer.left_out) == (("0", "1", "2"), count)
    assert fewer.how.mean == pytest.approx(every["rating"][every["item"] != "rare"].mean(), abs=1e-5)


def test_who_rates_no_known_item_teaches_nothing(tmp_path: Path) -> None:
    path = tastes(tmp_path / "t.csv")
    path.write_text(path.read_text() + "".join(f"stranger{n},own{n},{1 + n % 5},x\n" for n in range(30)))
    _, course, _ = ratings_course(path)
    assert (course.lesson.training >= 0).any(axis=1).all()


def test_a_step_goes_on_with_the_chains_and_decays_the_weights(tmp_path: Path) -> None:
    kernels = []
    for decay in (0.0, 0.5):
        _, course, arguments = ratings_course(tastes(tmp_path / "t.csv"), weight_decay=decay)
        model = course.learner(build(find_spec("rbm"), seed=0, **arguments))
        teaching = teach(model, course.lesson, phases(course.lesson.preset)[0], Together())
        _, chains = teaching.variables
        before, batch = chains.numpy(), next(iter(course.lesson.batches(1)))
        first = np.array(model.get_layer(HIDDEN).kernel)
        teaching.step(*batch)
        moved = (chains.numpy() != before).any(axis=1)
        assert moved[batch[1]].any()
        assert not np.delete(moved, batch[1]).any()
        kernels.append(np.array(model.get_layer(HIDDEN).kernel))
    rate = course.lesson.preset.learning_rate
    assert np.abs(kernels[0] - kernels[1]).max() > 0.1 * rate * 0.5 * np.abs(first).max()


def test_the_seed_of_ratings_draws_all(tmp_path: Path) -> None:
    _, course, _ = ratings_course(tastes(tmp_path / "t.csv"))
    one, other = (next(iter(replace(course.lesson, seed=seed).batches(1)))[2] for seed in (0, 1))
    assert not np.array_equal(one, other)
    random = np.random.default_rng(0)
    errors = random.random(50)
    found = [ratio_interval(errors, np.ones(50), seed=seed) for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]


def test_the_forecast_by_an_offset_stays_on_the_scale() -> None:
    how = Ratings(items=("a", "b"), titles=("A", "B"), lowest=1, highest=5, mean=3, means=(1, 5))
    user = user_of(np.array(["a", "b"]), np.array([5, 5]), np.array([False, True]))
    assert errors_of(np.array([0.5, 0.5]), user, how)[3] == 0


def test_the_seed_decides_who_validates(tmp_path: Path) -> None:
    lessons = (ratings_course(tastes(tmp_path / "t.csv"), seed=seed)[1].lesson for seed in (0, 1))
    one, two = ({user.tobytes() for user in lesson.validation} for lesson in lessons)
    assert one != two
