"""Capsules: what they compute, what they learn by, and that their files say the same."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.artifact import Format, open_artifact
from edgekit.converters import Request, convert
from edgekit.data import Part, open_data
from edgekit.errors import InputError
from edgekit.measure.evaluate import evaluate
from edgekit.models import capsnet
from edgekit.models.batches import ALONE
from edgekit.models.build import build
from edgekit.models.capsule_lesson import ABSENT_WEIGHT, descend, margin_loss, with_decoder
from edgekit.models.checkpoint import EpochRecord
from edgekit.models.classification_lesson import predict
from edgekit.models.complexity import complexity
from edgekit.models.image_material import image_material
from edgekit.models.lesson import Terms
from edgekit.models.phases import phases
from edgekit.models.registry import find_spec
from edgekit.models.run_folder import HISTORY
from edgekit.models.train import TrainingInterruptedError, TrainRequest, train
from edgekit.recipe import InterfaceType, Precision, Recipe
from edgekit.workers import silent

SPEC = find_spec("capsnet")
TINY = {"size": 28, "classes": 10, "filters": 16, "types": 2}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Capsules that learned digits for a moment."""
    folder = tmp_path_factory.mktemp("capsnet") / "run"
    return train(TrainRequest(spec=SPEC, data="digits", epochs=4, batch_size=32, arguments=TINY), folder)


def squash(s: Any) -> Any:
    squares = np.square(s).sum(axis=-1, keepdims=True)
    return squares / (1 + squares) * s / np.sqrt(squares)


@pytest.mark.parametrize("routings", [1, 3, 10])
def test_votes_are_routed_as_the_paper_says(routings: int) -> None:
    """Procedure 1 and equation 1, written down again in numpy."""
    import keras

    model = build(SPEC, seed=3, **{**TINY, "routings": routings})
    images = np.random.default_rng(0).random((5, 28, 28, 1), np.float32)
    first = keras.Model(model.input, model.get_layer("primary_capsules").output)
    (weights,) = model.get_layer("votes").get_weights()
    votes = np.einsum("bni,nijo->bnjo", squash(np.asarray(first(images), np.float64)), weights.astype(np.float64))
    logits = np.zeros(votes.shape[:3])
    for _ in range(routings):
        shares = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
        capsules = squash((shares[..., None] * votes).sum(axis=1))
        logits = logits + (votes * capsules[:, None]).sum(axis=-1)
    expected = np.sqrt(np.square(capsules).sum(axis=-1))
    np.testing.assert_allclose(np.asarray(model(images)), expected, rtol=1e-4)
    looking = with_decoder(model, None).looking
    assert looking.outputs[1] is model.get_layer(f"routing_{routings}_capsules").output
    sums = np.asarray(looking(images)[1])
    np.testing.assert_allclose(squash(sums), capsules, rtol=1e-3, atol=1e-6)


def test_the_paper_counts_the_decoder_too() -> None:
    decoder = capsnet.decoder(**SPEC.defaults)  # type: ignore[arg-type]
    assert complexity(build(SPEC)).parameters == 6_804_224
    assert decoder.count_params() == 1_411_344  # together 8.2 million


def test_routing_no_times_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        build(SPEC, **{**TINY, "routings": 0})
    assert str(caught.value) == "capsnet takes routings 1 to 10; got 0."


def test_margins_are_those_of_the_paper() -> None:
    lengths = np.float32([[0.95, 0.05, 0.3], [0.5, 0.9, 0.1]])
    classes = np.float32([[1, 0, 0], [1, 0, 0]])
    expected = [ABSENT_WEIGHT * 0.2**2, 0.4**2 + ABSENT_WEIGHT * 0.8**2]
    np.testing.assert_allclose(np.asarray(margin_loss(lengths, classes)), expected, rtol=1e-5)


def test_the_decoder_learns_from_the_capsule_of_the_right_class_alone() -> None:
    model = build(SPEC, seed=0, **TINY)
    seen: list[Any] = []
    capsules = with_decoder(model, capsnet.decoder(size=28, classes=10, digit=16))

    class Watched:
        trainable_variables, variables = capsules.decoder.trainable_variables, capsules.decoder.variables

        def __call__(self, shown: Any, training: bool) -> Any:
            import tensorflow as tf

            tf.py_function(lambda values: seen.append(values.numpy()), [shown], [])
            return capsules.decoder(shown, training=training)

    class Lesson:
        preset, steps = SPEC.presets["small"], 1

    watched = replace(capsules, decoder=Watched())
    step = descend(watched, Lesson(), phases(Lesson.preset)[0], None).step  # type: ignore[arg-type]
    images = np.random.default_rng(0).random((4, 28, 28, 1)).astype(np.float32)
    labels = np.array([3, 0, 9, 3])
    before = [np.array(v) for v in (*model.trainable_variables, *capsules.decoder.trainable_variables)]
    margins, errors, right = step(images, np.eye(10, dtype=np.float32)[labels], np.ones(4, np.float32), np.float32(4))
    (shown,) = seen
    assert [np.flatnonzero(np.abs(row).sum(axis=1)).tolist() for row in shown] == [[3], [0], [9], [3]]
    lengths = np.linalg.norm(shown, axis=2).sum(axis=1)
    assert (lengths > 0).all()
    assert (lengths < 1).all()
    assert (float(margins) > 0, float(errors) > 0, 0 <= float(right) <= 4) == (True, True, True)
    after = [np.array(v) for v in (*model.trainable_variables, *capsules.decoder.trainable_variables)]
    assert all(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))  # both networks learn
    nothing = step(images, np.eye(10, dtype=np.float32)[labels], np.zeros(4, np.float32), np.float32(4))
    assert float(nothing[0]) == 0  # images that count nothing


def test_an_epoch_is_judged_by_the_validation_images(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x, y = random.integers(0, 255, (40, 28, 28)).astype(np.uint8), np.arange(40) % 2
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y, x_test=x[:4], y_test=y[:4])
    arguments = SPEC.resolved({**TINY, "classes": 2})
    terms = Terms(
        preset=SPEC.preset("small"),
        arguments=arguments,
        preprocessing=SPEC.preprocessing(arguments),
        seed=0,
        share=ALONE,
        progress=silent,
    )
    course = image_material(SPEC, str(tmp_path / "d.npz"), None).course(terms)
    model, lesson = build(SPEC, seed=0, **arguments), course.lesson
    validation = lesson.plain.validation
    lengths = predict(model, validation, lesson.plain.preprocessing)
    loss, figures = lesson.judge(with_decoder(model, None))
    expected = np.asarray(margin_loss(lengths, np.eye(2, dtype=np.float32)[validation.labels])).mean()
    assert loss == pytest.approx(float(expected), rel=1e-5)
    assert figures == {"accuracy": pytest.approx(np.mean(lengths.argmax(axis=1) == validation.labels))}
    assert 0 < len(validation) < len(lesson.plain.training)


def test_a_training_leaves_lengths_and_no_decoder(run: Path) -> None:
    artifact = open_artifact(run)
    card = artifact.card
    assert [(t.name, t.shape) for t in card.outputs] == [("lengths", (None, 10))]
    assert card.keep_float == SPEC.keep_float
    (top1,) = card.metrics
    assert (top1.name, top1.count) == ("top1", 360)
    assert top1.value > 0.8
    report = evaluate([run], "digits")
    assert report.entries[0].result.top1 == pytest.approx(top1.value)
    assert sorted(report.entries[0].metrics()) == ["top1", "top1_high", "top1_low", "top5"]  # nothing of probabilities
    assert card.independent_scores


@pytest.mark.slow
def test_a_stopped_training_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    import keras

    def stop(record: EpochRecord, _epochs: int) -> None:
        if record.epoch == 2:
            raise KeyboardInterrupt

    def weights_of(path: Path) -> list[Any]:
        return list(keras.saving.load_model(path).get_weights())

    wanted = TrainRequest(spec=SPEC, data="digits", epochs=3, batch_size=64, arguments={**TINY, "filters": 8})
    whole = train(wanted, tmp_path / "whole")
    with pytest.raises(TrainingInterruptedError):
        train(wanted, tmp_path / "stopped", on_epoch=stop)
    stopped = train(wanted, tmp_path / "stopped")
    # What the decoder learned before the stop is in what the capsules learn after it.
    for one, other in zip(weights_of(whole), weights_of(stopped), strict=True):
        np.testing.assert_array_equal(one, other)
    losses = [
        [{**epoch, "seconds": None} for epoch in json.loads((path.parent / HISTORY).read_bytes())["epochs"]]
        for path in (whole, stopped)
    ]
    assert losses[0] == losses[1]
    other_seed = train(replace(wanted, seed=1), tmp_path / "seed")
    assert any(not np.array_equal(a, b) for a, b in zip(weights_of(whole), weights_of(other_seed), strict=True))


@pytest.mark.slow
def test_int8_files_keep_capsules_in_float_and_choose_as_the_model_does(run: Path, tmp_path: Path) -> None:
    recipes = tuple(Recipe(precision=p, calibration_samples=64) for p in (Precision.FP32, Precision.INT8))
    report = convert(Request(source=run, recipes=recipes, output_dir=tmp_path / "out"))
    for row in report.artifacts:
        if row.recipe.precision is Precision.INT8:
            assert {f.reason for f in row.float_ops} == {"its card keeps it in float", "its input is float"} - (
                {"its input is float"} if row.format is Format.TFLITE else set()
            )
            assert row.recipe.interface is InterfaceType.FLOAT
            assert not {f.op for f in row.float_ops} & {"CONV_2D", "Conv"}
        assert open_artifact(row.path).card.independent_scores
    found = evaluate([run, *(row.path for row in report.artifacts)], "digits")
    reference, *files = found.entries
    for entry in files:
        assert entry.difference is not None
        assert entry.difference.agreement > 0.97, entry.subject.given
        assert entry.result.top1 == pytest.approx(reference.result.top1, abs=0.02)
    data = open_data("digits", part=Part.EVALUATION, data_dir=None)
    assert found.count == len(data)


def test_a_portable_file_of_capsules_is_refused(run: Path, tmp_path: Path) -> None:
    recipe = Recipe(precision=Precision.INT8, portable=True)
    with pytest.raises(InputError) as caught:
        convert(Request(source=run, recipes=(recipe,), output_dir=tmp_path / "out"))
    assert str(caught.value) == (
        "Layers in float differ between CPUs; got a portable recipe that keeps 'primary_' in float: leave one of the "
        "two out."
    )
