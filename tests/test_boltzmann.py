"""Restricted Boltzmann machines: the update beside exact gradients, training on ratings, and going on after a stop."""

import itertools
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_ratings import tastes

from edgekit.artifact import open_artifact
from edgekit.card import ModelCard
from edgekit.converters import Request, convert
from edgekit.errors import DataError, InputError
from edgekit.measure.evaluate_kinds import evaluate_kind
from edgekit.models.batches import Share
from edgekit.models.boltzmann import rbm
from edgekit.models.build import build_file
from edgekit.models.checkpoint import EpochRecord
from edgekit.models.contrastive import Machine, divergence
from edgekit.models.lesson import Terms
from edgekit.models.listing import train_entry, train_rows
from edgekit.models.ratings_lesson import judged, ratings_material
from edgekit.models.registry import find_spec
from edgekit.models.train import TrainingInterruptedError, TrainRequest, train
from edgekit.recipe import Precision, Recipe
from edgekit.runtimes import open_runtime
from edgekit.workers import silent

Array = np.ndarray[Any, Any]
KERNEL = np.array([[0.8, -0.5], [-1.1, 0.4], [0.3, 0.9]], np.float32)
VISIBLE, HIDDEN = np.array([0.2, -0.3, 0.1], np.float32), np.array([-0.4, 0.5], np.float32)


def machine(*, normal: bool) -> Machine:
    import tensorflow as tf

    parts = (tf.constant(part) for part in (KERNEL, VISIBLE, HIDDEN))
    return Machine(**dict(zip(("kernel", "visible_bias", "hidden_bias"), parts, strict=True)), normal=normal)


def updated(seen: Array, rated: Array, *, normal: bool, steps: int, chains: Array | None = None) -> Any:
    import tensorflow as tf

    known = None if chains is None else tf.constant(chains, tf.float32)
    arrays = (tf.constant(values, tf.float32) for values in (seen * rated, rated))
    return divergence(machine(normal=normal), *arrays, steps=steps, seed=tf.constant([1, 2]), chains=known)


def states(count: int) -> Array:
    return np.array(list(itertools.product((0.0, 1.0), repeat=count)))


def exact(data: Array) -> tuple[Array, Array, Array]:
    """The gradient of the mean log-likelihood of ``data`` (count, 3), 0 or 1, by all states of the machine."""
    visible, hidden = states(3), states(2)
    energy = -(visible @ VISIBLE)[:, None] - (hidden @ HIDDEN)[None] - visible @ KERNEL @ hidden.T
    joint = np.exp(-energy) / np.exp(-energy).sum()
    shown = 1 / (1 + np.exp(-(data @ KERNEL + HIDDEN)))
    return (
        data.T @ shown / len(data) - visible.T @ joint @ hidden,
        data.mean(0) - joint.sum(1) @ visible,
        shown.mean(0) - joint.sum(0) @ hidden,
    )


def test_many_steps_of_sampling_give_the_gradient_of_the_likelihood() -> None:
    data = np.tile([[1.0, 0, 1], [1, 1, 0], [0, 0, 1], [1, 0, 1]], (20_000, 1))
    found = updated(data, np.ones_like(data), normal=False, steps=30)
    for got, expected in zip((found.kernel, found.visible_bias, found.hidden_bias), exact(data[:4]), strict=True):
        np.testing.assert_allclose(got, expected, atol=0.005)  # 80,000 draws leave 0.002
    one = updated(data, np.ones_like(data), normal=False, steps=1)
    assert np.abs(np.asarray(one.kernel) - exact(data[:4])[0]).max() > 0.01  # it has not forgotten the data


def test_one_step_is_the_gradient_of_the_difference_of_free_energies() -> None:
    """Of normal units: v²/2 - vb - sum(log(1 + e^(c + vW))), at the data and at what was made of them."""
    import tensorflow as tf

    random = np.random.default_rng(0)
    seen, rated = random.normal(size=(5, 3)), np.array([[1.0, 1, 1], [1, 0, 1], [0, 1, 1], [1, 1, 0], [1, 1, 1]])
    found = updated(seen, rated, normal=True, steps=1)
    kernel, visible, hidden = (tf.Variable(part) for part in (KERNEL, VISIBLE, HIDDEN))
    data = tf.constant(seen * rated, tf.float32)
    own = machine(normal=True)
    seeds = [tf.constant([1, 2 + number]) for number in range(2)]
    on = own.hidden(data)
    start = tf.cast(tf.random.stateless_uniform(on.shape, seeds[0]) < on, tf.float32)
    made = own.fantasy(start, tf.constant(rated, tf.float32), seeds[1])

    def energy(units: Any) -> Any:
        free = tf.reduce_sum(tf.math.softplus(hidden + units @ kernel), 1)
        return tf.reduce_sum(units**2 / 2 - units * visible, 1) - free

    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(energy(data) - energy(tf.stop_gradient(made)))
    gradients = tape.gradient(loss, [kernel, visible, hidden])
    for got, gradient in zip((found.kernel, found.visible_bias, found.hidden_bias), gradients, strict=True):
        np.testing.assert_allclose(got, -np.asarray(gradient), rtol=1e-4, atol=1e-6)


def test_what_is_not_rated_takes_no_part() -> None:
    random = np.random.default_rng(0)
    seen, rated = random.normal(size=(6, 3)), np.tile([1.0, 0, 1], (6, 1))
    found = updated(seen, rated, normal=True, steps=3)
    assert not np.asarray(found.kernel)[1].any()
    assert np.asarray(found.visible_bias)[1] == 0
    assert np.asarray(found.kernel)[[0, 2]].all()


def test_persistent_chains_do_not_start_at_the_data() -> None:
    rated = np.ones((2000, 3))
    chains = np.tile([[0.0, 1], [1, 1], [1, 0], [0, 0]], (500, 1))
    first, second = (updated(value * rated, rated, normal=False, steps=1, chains=chains) for value in (0, 1))
    np.testing.assert_array_equal(first.chains, second.chains)
    assert set(np.unique(first.chains)) <= {0, 1}
    from_data = [np.asarray(updated(value * rated, rated, normal=False, steps=1).chains) for value in (0, 1)]
    assert not np.array_equal(*from_data)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tastes(tmp_path_factory.mktemp("data") / "films.csv")


def request(table: Path, **changes: Any) -> TrainRequest:
    spec = find_spec("rbm")
    fast = {"small": replace(spec.presets["small"], learning_rate=0.2)}
    arguments: dict[str, Any] = {"hidden": 6, "least": 2}
    base = TrainRequest(spec=replace(spec, presets=fast), data=str(table), epochs=40, batch_size=8, arguments=arguments)
    return replace(base, **changes)


def weights_of(model: Path) -> list[Array]:
    import keras

    return list(keras.saving.load_model(model, safe_mode=True).get_weights())


@pytest.fixture(scope="module")
def trained(table: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ModelCard]:
    path = train(request(table), tmp_path_factory.mktemp("run") / "rbm")
    return path, open_artifact(path).card


def test_it_learns_tastes_that_means_know_nothing_of(trained: tuple[Path, ModelCard]) -> None:
    _, card = trained
    figures = {metric.name: metric for metric in card.metrics}
    assert figures["mse_ratio"].value < 0.4
    assert figures["mse"].value < figures["offset_mse"].value
    assert figures["mse"].low is not None
    assert figures["mse"].low < figures["mse"].value < (figures["mse"].high or 0)
    assert figures["mse"].count == 7 * 2


def test_the_card_says_all_that_others_need(trained: tuple[Path, ModelCard]) -> None:
    _, card = trained
    assert card.ratings is not None
    assert (len(card.ratings.items), card.ratings.lowest, card.ratings.highest) == (12, 1, 5)
    assert card.ratings.titles[card.ratings.items.index("i7")] == "Film 7"
    assert card.signatures == {"encode": ("hidden",), "reconstruct": ("reconstruction",), "score": ("score",)}
    assert card.keep_float == ("^score",)
    assert card.provenance.notes[-1] == (
        "0 ratings of the training part are of items with too few ratings, and were left out"
    )


def test_the_weights_are_the_same_both_ways_and_the_score_is_the_error_at_the_ratings(
    trained: tuple[Path, ModelCard],
) -> None:
    import keras

    model = keras.saving.load_model(trained[0], safe_mode=True)
    first, last, scale = (model.get_layer(name) for name in ("hidden", "visible", "standardized"))
    deviation = np.sqrt(scale.moving_variance.numpy()[0])
    np.testing.assert_allclose(last.kernel.numpy().T, 6 * deviation * first.kernel.numpy(), rtol=1e-6)
    ratings = np.full((2, 12), -1, np.float32)
    ratings[0, :4], ratings[1, 5] = [1, 0.75, 0, 0.5], 0.25
    outputs = {name: np.asarray(values) for name, values in model(ratings).items()}
    assert outputs["reconstruction"].min() >= 0
    assert outputs["reconstruction"].max() <= 1
    gaps = np.where(ratings >= 0, ratings - outputs["reconstruction"], np.nan)
    np.testing.assert_allclose(outputs["score"][:, 0], np.nanmean(gaps**2, 1), rtol=1e-5)


def test_evaluate_gives_the_same_figures_as_the_test(trained: tuple[Path, ModelCard], table: Path) -> None:
    path, card = trained
    (entry,) = evaluate_kind([path], str(table), task="recommendation").entries
    told = {metric.name: metric.value for metric in card.metrics}
    found = entry.metrics()
    assert {name: found[name] for name in told} == pytest.approx(told, rel=1e-6)


def test_figures_are_of_users_and_of_ratings(trained: tuple[Path, ModelCard], table: Path) -> None:
    path, card = trained
    report = evaluate_kind([path], str(table), task="recommendation")
    assert report.table()[0] == f"Recommendation on {report.count} users of {table.stem}"
    rows = dict(map(tuple, train_rows(train_entry(path))))
    (mse,) = [metric for metric in card.metrics if metric.name == "mse"]
    assert rows[f"mse on {mse.data}"].endswith(f"{mse.count} ratings)")


def test_a_damaged_model_is_worse(trained: tuple[Path, ModelCard], table: Path) -> None:
    import keras

    model = keras.saving.load_model(trained[0], safe_mode=True)
    material = ratings_material(find_spec("rbm").set_to({"least": 2}), str(table), None)
    users = tuple(np.asarray(user) for user in material.test)
    sound = judged(model, users, material.how)
    kernel = model.get_layer("hidden").kernel
    kernel.assign(kernel.numpy()[::-1])
    assert judged(model, users, material.how).mse > 2 * sound.mse


@pytest.mark.parametrize("chains", ["data", "persistent"])
def test_a_stop_changes_nothing(table: Path, tmp_path: Path, chains: str) -> None:
    wanted = request(table, epochs=4, arguments={"hidden": 6, "least": 2, "steps": 2, "chains": chains})

    def stop(record: EpochRecord, _epochs: int) -> None:
        if record.epoch == 2:
            raise KeyboardInterrupt

    whole = train(wanted, tmp_path / "whole")
    with pytest.raises(TrainingInterruptedError):
        train(wanted, tmp_path / "stopped", on_epoch=stop)
    resumed = train(wanted, tmp_path / "stopped")
    for one, other in zip(weights_of(whole), weights_of(resumed), strict=True):
        np.testing.assert_array_equal(one, other)
    other = train(replace(wanted, seed=1), tmp_path / "seed")
    assert any(not np.array_equal(a, b) for a, b in zip(weights_of(whole), weights_of(other), strict=True))


def test_chains_and_steps_are_other_ways_to_learn(table: Path, tmp_path: Path) -> None:
    ways: list[dict[str, int | str]] = [{}, {"steps": 3}, {"chains": "persistent"}]
    found = [
        weights_of(train(request(table, epochs=1, arguments={"hidden": 3, "least": 2, **way}), tmp_path / str(number)))
        for number, way in enumerate(ways)
    ]
    assert not np.array_equal(found[0][-2], found[1][-2])
    assert not np.array_equal(found[0][-2], found[2][-2])


def test_items_with_few_ratings_are_left_out_and_counted(table: Path) -> None:
    spec = find_spec("rbm")
    rows = table.read_text() + "".join(f"u{user},rare,3,Rare\n" for user in range(3))
    more = table.with_name("more.csv")
    more.write_text(rows)
    material = ratings_material(spec.set_to({"least": 4}), str(more), None)
    assert "rare" not in material.how.items
    assert 0 < material.left_out <= 3
    with pytest.raises(DataError) as caught:
        ratings_material(spec.set_to({"least": 100}), str(table), None)
    assert str(caught.value) == (f"No item of {table} has 100 ratings or more to learn from; give more ratings.")


def test_one_long_id_does_not_lengthen_the_others(tmp_path: Path) -> None:
    rows = [f"{user},{item},{1 + (user + item) % 5}\n" for user in range(100) for item in range(200)]
    path = tmp_path / "long.csv"
    path.write_text("user,item,rating\n" + "".join([*rows, *(f"{user},{'i' * 200},3\n" for user in ("a", "b", "c"))]))
    tracemalloc.start()
    material = ratings_material(find_spec("rbm").set_to({"least": 1}), str(path), None)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "i" * 200 in material.how.items
    assert most < 16_000 * 200 * 4  # bytes, of an array of the items of all rows to learn from


def test_means_are_those_of_the_training_part(table: Path) -> None:
    material = ratings_material(find_spec("rbm").set_to({"least": 2}), str(table), None)
    every = np.concatenate([np.asarray(user) for user in material.train])
    own = every[every["item"] == "i3"]["rating"]
    assert material.how.means[material.how.items.index("i3")] == pytest.approx(own.mean(), abs=1e-6)
    assert material.how.mean == pytest.approx(every["rating"].mean(), abs=1e-6)


def test_other_data_and_several_workers_are_refused(table: Path, tmp_path: Path) -> None:
    spec = find_spec("rbm")
    numbers = tmp_path / "numbers.csv"
    numbers.write_text("a,label\n1,0\n2,1\n")
    with pytest.raises(DataError) as caught:
        ratings_material(spec, str(numbers), None)
    assert str(caught.value) == (
        f"{numbers} is no data for rbm; expected ratings: a .csv with the columns user, item and rating, or movielens."
    )
    material = ratings_material(spec.set_to({"least": 2}), str(table), None)
    terms = Terms(
        preset=spec.preset("small"),
        arguments=spec.defaults,
        preprocessing=None,
        seed=0,
        share=Share(index=0, count=2),
        progress=silent,
    )
    with pytest.raises(InputError) as refused:
        material.course(terms)
    assert str(refused.value) == "rbm learns in one process; TF_CONFIG names 2 workers: unset it."


def test_users_who_all_agree_teach_nothing(tmp_path: Path) -> None:
    path = tmp_path / "same.csv"
    path.write_text("user,item,rating\n" + "".join(f"u{u},a,1\nu{u},b,5\n" for u in range(20)))
    with pytest.raises(DataError) as caught:
        train(request(path), tmp_path / "run")
    assert str(caught.value) == "All users of same rate an item alike; there is nothing to learn."


def test_one_that_was_built_knows_no_items(tmp_path: Path) -> None:
    artifact = build_file(find_spec("rbm"), tmp_path / "rbm.keras", overrides={"items": 5, "hidden": 2})
    assert artifact.card.ratings is None
    assert artifact.card.provenance.notes[-1].startswith("it takes numbers: ")
    model = rbm(items=5, hidden=2)
    assert [tuple(t.shape) for t in model.outputs] == [(None, 2), (None, 5), (None, 1)]


@pytest.fixture(scope="module")
def files(
    trained: tuple[Path, ModelCard], table: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], Path]:
    """The files of the trained machine by recipe and format."""
    recipes = tuple(Recipe(precision=precision) for precision in (Precision.FP32, Precision.INT8))
    folder = tmp_path_factory.mktemp("files")
    asked = Request(source=trained[0], recipes=recipes, calibration=str(table), output_dir=folder)
    return {(row.recipe.code, row.format.value): row.path for row in convert(asked).artifacts}


@pytest.mark.slow
def test_int8_foretells_as_well_and_its_score_is_the_error_of_what_it_gives(
    files: dict[tuple[str, str], Path], trained: tuple[Path, ModelCard], table: Path
) -> None:
    assert len(files) == 4
    report = evaluate_kind([trained[0], *files.values()], str(table), task="recommendation")
    mse = [entry.metrics()["mse"] for entry in report.entries]
    assert max(mse) < 1.02 * mse[0]
    ratings = np.full((1, 12), -1, np.float32)
    ratings[0, [0, 3, 7]] = [1.0, 0.75, 0.25]
    for path in files.values():
        found = open_runtime(path).run({"ratings": ratings}, as_float=True)
        gaps = found["reconstruction"][0, [0, 3, 7]] - ratings[0, [0, 3, 7]]
        assert found["score"].reshape(-1)[0] == pytest.approx(float(np.mean(gaps**2)), rel=1e-4), path.name
        card = open_artifact(path).card
        assert card.ratings == trained[1].ratings
        assert card.signatures == trained[1].signatures


@pytest.mark.slow
def test_a_file_of_tflite_has_its_uses_as_signatures(files: dict[tuple[str, str], Path]) -> None:
    from ai_edge_litert.interpreter import Interpreter

    ratings = np.full((1, 12), -1, np.float32)
    ratings[0, 2] = 1
    interpreter = Interpreter(str(files["int8", "tflite"]))
    whole = {n: v.copy() for n, v in interpreter.get_signature_runner("serving_default")(ratings=ratings).items()}
    for name, output in (("encode", "hidden"), ("reconstruct", "reconstruction"), ("score", "score")):
        found = interpreter.get_signature_runner(name)(ratings=ratings)
        assert list(found) == [output]
        np.testing.assert_array_equal(found[output], whole[output])
