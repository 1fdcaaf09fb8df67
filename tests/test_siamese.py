"""A siamese network from its first step to files of both formats that recognise as it does."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import edgekit
from PIL import Image

from edgekit.artifact import open_artifact
from edgekit.companion import Companion
from edgekit.converters import Request, convert
from edgekit.data import Dataset, Part, open_data
from edgekit.errors import DataError, InputError
from edgekit.identities import Measure
from edgekit.measure.evaluate_verification import evaluate_verification
from edgekit.measure.held_out import HeldOut
from edgekit.models.build import build, build_file, build_with_weights, save
from edgekit.models.checkpoint import EpochRecord
from edgekit.models.listing import train_entry, train_rows, written
from edgekit.models.pair_losses import MARGIN, TRIPLET_MARGIN, contrastive, logistic, triplet
from edgekit.models.parts import Parts
from edgekit.models.registry import find_spec
from edgekit.models.stages import HEAD, second_path, split
from edgekit.models.train import TrainingInterruptedError, TrainRequest, train
from edgekit.models.twins import all_pairs, kinds_of
from edgekit.models.verification_lesson import LEAST, PICTURES, VerificationLesson, _require_pictures
from edgekit.recipe import Precision, Recipe

SPEC = find_spec("siamese")
TINY = {**SPEC.presets["small"].arguments, "size": 32, "alpha": 0.25, "units": 16}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tower that learned for a moment to tell handwritten digits apart, and its head."""
    folder = tmp_path_factory.mktemp("siamese") / "run"
    spec = replace(SPEC, presets={"small": replace(SPEC.presets["small"], epoch_steps=10)})
    return train(TrainRequest(spec=spec, data="digits", epochs=2, arguments=TINY), folder)


def test_both_files_are_told(run: Path) -> None:
    assert written(run) == f"{run} and {run.with_name('model.head.keras')}"
    second = train_entry(run)["second"]
    assert second["artifact"] == str(run.with_name("model.head.keras"))
    assert second["metrics"] == {}
    rows = [name for name, _ in train_rows(train_entry(run))]
    assert rows[:2] == ["eer on digits", "auc on digits"]


def test_the_head_of_each_loss_tells_what_its_card_says() -> None:
    a, b = np.float32([[1, 2], [0, 1]]), np.float32([[3, 1], [0, 1]])
    model = build(SPEC, **{**TINY, "units": 2, "loss": "contrastive"})
    _, head = split(model, HEAD)
    np.testing.assert_allclose(np.asarray(head([a, b]))[:, 0], [4 + 1, 0])
    verification = SPEC.verification({"loss": "contrastive"})
    assert verification is not None
    assert verification.measure is Measure.DISTANCE
    model = build(SPEC, **{**TINY, "units": 2, "loss": "logistic"})
    _, head = split(model, HEAD)
    kernel, bias = np.float32([[0.5], [-1]]), np.float32([0.25])
    head.get_layer("same").set_weights([kernel, bias])
    np.testing.assert_allclose(np.asarray(head([a, b]))[:, 0], [0.5 * 2 - 1 + 0.25, 0.25])
    assert SPEC.verification({"loss": "logistic"}).measure is Measure.LOGIT  # type: ignore[union-attr]


def test_large_kernels_need_a_large_picture() -> None:
    with pytest.raises(InputError) as caught:
        build(SPEC, size=64)
    assert str(caught.value) == "siamese with large kernels takes size 65 or more; got 64: use small kernels."
    assert build(SPEC, size=65, units=4, alpha=0.1).get_layer("flatten").input.shape[1:3] == (1, 1)


PEOPLE = np.array([0, 0, 1, 1, 2], np.int32)


def kinds() -> Any:
    return [np.asarray(kind) for kind in kinds_of(PEOPLE)]


def test_a_picture_makes_no_pair_with_itself() -> None:
    same, different = kinds()
    assert (int(same.sum()), int(different.sum()), float(np.trace(same + different))) == (4, 16, 0.0)


def test_the_losses_are_those_of_their_papers() -> None:
    same, different = kinds()
    random = np.random.default_rng(0)
    points = random.normal(0, 0.5, (5, 3)).astype(np.float32)
    squares = np.square(points[:, None] - points[None]).sum(-1)
    pairs = [(a, b) for a in range(5) for b in range(5) if a != b]
    of_same = [squares[a, b] / 2 for a, b in pairs if PEOPLE[a] == PEOPLE[b]]
    of_others = [max(0, MARGIN - squares[a, b] ** 0.5) ** 2 / 2 for a, b in pairs if PEOPLE[a] != PEOPLE[b]]
    expected = (np.mean(of_same) + np.mean(of_others)) / 2
    assert float(contrastive(squares, same, different)) == pytest.approx(expected, rel=1e-5)
    hinges = [
        squares[a, p] - squares[a, n] + TRIPLET_MARGIN
        for a in range(5)
        for p in range(5)
        for n in range(5)
        if a != p and PEOPLE[a] == PEOPLE[p] and PEOPLE[a] != PEOPLE[n]
    ]
    wrong = [hinge for hinge in hinges if hinge > 0]
    assert 0 < len(wrong) < len(hinges)
    assert float(triplet(squares, same, different)) == pytest.approx(np.mean(wrong), rel=1e-5)
    logits = random.normal(0, 1, (5, 5)).astype(np.float32)
    alike = [np.log1p(np.exp(-logits[a, b])) for a, b in pairs if PEOPLE[a] == PEOPLE[b]]
    others = sorted(np.log1p(np.exp(logits[a, b])) for a, b in pairs if PEOPLE[a] != PEOPLE[b])
    expected = (np.mean(alike) + np.mean(others[-4:])) / 2  # as many of the most wrong ones
    assert float(logistic(logits, same, different)) == pytest.approx(expected, rel=1e-5)


def test_equal_pictures_have_a_finite_slope() -> None:
    import tensorflow as tf

    same, different = kinds()
    for loss in (logistic, contrastive, triplet):
        told = tf.zeros((5, 5))
        with tf.GradientTape() as tape:
            tape.watch(told)
            value = loss(told, same, different)
        assert np.isfinite(np.asarray(tape.gradient(value, told))).all(), loss


def test_the_head_compares_each_with_each() -> None:
    _, head = split(build(SPEC, **{**TINY, "units": 3}), HEAD)
    points = np.random.default_rng(0).normal(0, 1, (4, 3)).astype(np.float32)
    squares = np.square(points[:, None] - points[None]).sum(-1)
    np.testing.assert_allclose(np.asarray(all_pairs(head, points)), squares, atol=1e-5)


def test_a_batch_has_several_pictures_of_each_person(run: Path) -> None:
    from edgekit.models.images import load_images

    how = open_artifact(run).card.preprocessing
    assert how is not None
    digits = open_data("digits", part=Part.TRAIN, data_dir=None).subset(range(200))
    images = load_images(digits, how)
    preset = replace(SPEC.presets["small"], epoch_steps=3, batch_size=24)
    lesson = VerificationLesson(
        training=images, validation=images, preprocessing=how, loss_name="triplet", preset=preset, seed=0
    )
    batches = list(lesson.batches(1))
    assert [(len(x), size) for x, _, size in batches] == [(24, 24.0)] * lesson.steps == [(24, 24.0)] * 3
    for _, people, _ in batches:
        assert np.unique(people, return_counts=True)[1].tolist() == [PICTURES] * 6
    again = list(lesson.batches(1))
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(batches, again, strict=True))
    assert not np.array_equal(batches[0][0], next(iter(lesson.batches(2)))[0])


def test_a_training_leaves_a_tower_that_names_its_head_and_a_threshold(run: Path) -> None:
    tower, head = open_artifact(run), open_artifact(run.with_name("model.head.keras"))
    card = tower.card
    assert card.verification is not None
    assert card.verification.head == Companion(name="model.head.keras", sha256=head.sha256)
    assert card.verification.threshold is not None
    assert card.verification.threshold > 0
    assert ([t.name for t in card.inputs], [t.name for t in card.outputs]) == (["image"], ["embedding"])
    assert [t.name for t in (*head.card.inputs, *head.card.outputs)] == ["first", "second", "distance"]
    assert (head.card.task, head.card.verification, head.card.labels, card.labels) == (None, None, None, None)
    eer = next(metric for metric in card.metrics if metric.name == "eer")
    assert 0 <= eer.low < eer.value < eer.high < 0.35  # type: ignore[operator]
    # The figure of the training is that of the files.
    report = evaluate_verification([run], "digits", samples=150)
    assert report.entries[0].result.eer == pytest.approx(eer.value, abs=0.03)  # of all 360
    assert report.entries[0].result.one_shot[0].accuracy > 0.5  # of four


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["triplet", "logistic"])
def test_a_stopped_training_goes_on_to_the_same_bits(loss: str, tmp_path: Path) -> None:
    spec = replace(SPEC, presets={"small": replace(SPEC.presets["small"], epoch_steps=4)})
    wanted = TrainRequest(spec=spec, data="digits", epochs=3, arguments={**TINY, "loss": loss})
    whole = train(wanted, tmp_path / "whole")
    with pytest.raises(TrainingInterruptedError):
        train(wanted, tmp_path / "stopped", on_epoch=stop_after_two)
    stopped = train(wanted, tmp_path / "stopped")
    for one, other in zip(weights_of(whole), weights_of(stopped), strict=True):
        np.testing.assert_array_equal(one, other)
    cards = [open_artifact(path).card for path in (whole, stopped)]
    assert cards[0].metrics == cards[1].metrics
    assert cards[0].verification.threshold == cards[1].verification.threshold  # type: ignore[union-attr]
    other_seed = train(replace(wanted, seed=1), tmp_path / "seed")
    assert any(not np.array_equal(a, b) for a, b in zip(weights_of(whole), weights_of(other_seed), strict=True))


def stop_after_two(record: EpochRecord, _epochs: int) -> None:
    if record.epoch == 2:
        raise KeyboardInterrupt


def weights_of(path: Path) -> list[Any]:
    """Those of the tower, and of its head."""
    import keras

    return [w for p in (path, second_path(path, HEAD)) for w in keras.saving.load_model(p).get_weights()]


@pytest.mark.slow
def test_both_files_of_all_recipes_recognise_as_the_model_does(run: Path, tmp_path: Path) -> None:
    recipes = tuple(Recipe(precision=p, calibration_samples=64) for p in (Precision.FP32, Precision.INT8))
    report = convert(Request(source=run, recipes=recipes, output_dir=tmp_path / "out"))
    names = [row.path.name for row in report.artifacts]
    assert names == [
        "model.head.fp32.tflite", "model.head.fp32.onnx",
        "model.fp32.tflite", "model.int8.tflite", "model.fp32.onnx", "model.int8.onnx",
    ]  # fmt: skip
    towers = [row.path for row in report.artifacts[2:]]
    for path in towers:
        second = open_artifact(path.with_name(f"model.head.fp32{path.suffix}"))
        verification = open_artifact(path).card.verification
        assert verification is not None
        assert verification.head == Companion(name=second.path.name, sha256=second.sha256)
        assert verification.threshold == open_artifact(run).card.verification.threshold  # type: ignore[union-attr]
    found = evaluate_verification([run, *towers], "digits", samples=150)
    figures = {entry.subject.given.name: entry.metrics() for entry in found.entries}
    reference = figures.pop("model.keras")
    for name, metrics in figures.items():
        limit = 0.02 if "int8" in name else 1e-4
        assert metrics["eer"] == pytest.approx(reference["eer"], abs=limit), name
        assert metrics["one_shot_9"] == pytest.approx(reference["one_shot_9"], abs=limit), name
        assert abs(metrics["eer_difference"]) <= limit
    training = open_data("digits", part=Part.TRAIN, data_dir=None)
    left = HeldOut(training, [open_artifact(towers[1])], samples=None, seed=0)
    list(left)
    assert left.left_out >= 64  # those that calibrated it
    # The head is the same file whatever it is made beside.
    alone = convert(Request(source=run, recipes=recipes[1:], output_dir=tmp_path / "alone"))
    assert alone.artifacts[0].sha256 == report.artifacts[0].sha256


def test_a_network_that_was_not_trained_has_no_threshold(tmp_path: Path) -> None:
    artifact = build_file(SPEC, tmp_path / "m.keras", overrides=TINY)
    assert artifact.card.verification is not None
    assert artifact.card.verification.threshold is None
    model = build(SPEC, **TINY)
    with pytest.raises(InputError) as caught:
        save(model, artifact.card, tmp_path / "m.keras")
    assert str(caught.value).startswith(f"{tmp_path / 'm.keras'} exists; use --force")


def test_both_networks_start_from_the_files_of_a_training(run: Path, tmp_path: Path) -> None:
    built = build_file(SPEC, tmp_path / "m.keras", overrides={}, weights=run)
    again, _, arguments = build_with_weights(SPEC, built.path, arguments={})
    earlier, _, _ = build_with_weights(SPEC, run, arguments={})
    assert arguments["units"] == TINY["units"]
    assert all(map(np.array_equal, again.get_weights(), earlier.get_weights()))
    assert not all(map(np.array_equal, again.get_weights(), build(SPEC, seed=0, **TINY).get_weights()))


@pytest.mark.parametrize("held_out", [True, False])
def test_a_person_of_few_pictures_is_refused(held_out: bool) -> None:
    needed = LEAST * (2 if held_out else 3)
    data = Dataset(name="people", items=[], labels=np.repeat([0, 1], [needed, needed - 1]), class_names=("ann", "bob"))
    parts = Parts(train=data, test=data if held_out else None)
    with pytest.raises(DataError) as caught:
        _require_pictures(parts)
    uses = "2 to learn from, 2 to validate" + ("" if held_out else ", 2 to test")
    assert str(caught.value) == (f"people has {needed - 1} pictures of bob; expected {needed} or more of each: {uses}.")


@pytest.mark.parametrize(
    ("tested", "copied", "told"),
    [
        (1, 0, "The 3 pictures of the test part of people have no two of the same person"),
        (2, 1, "The 3 pictures to learn from have no two of the same person"),
    ],
)
def test_parts_without_pairs_are_refused_before_the_training(
    tested: int, copied: int, told: str, tmp_path: Path
) -> None:
    """The second test part holds a copy of a picture of each person to learn from, which is left out there."""
    random = np.random.default_rng(0)
    for person in range(3):
        pictures = random.integers(0, 255, (4 + tested, 32, 32), dtype=np.uint8)
        parts = {"train": pictures[:4], "test": pictures[4 - copied : 4 - copied + tested]}
        for part, own in parts.items():
            folder = tmp_path / "people" / part / f"p{person}"
            folder.mkdir(parents=True)
            for number, pixels in enumerate(own):
                Image.fromarray(pixels).save(folder / f"{number}.png")
    request = TrainRequest(spec=SPEC, data=str(tmp_path / "people"), epochs=1, arguments=TINY)
    with pytest.raises(DataError) as caught:
        train(request, tmp_path / "run")
    assert str(caught.value) == f"{told}; expected two or more people, and one with two or more."
    assert not (tmp_path / "run").exists()


def test_zoo_build_tells_both_files(tmp_path: Path) -> None:
    path = tmp_path / "s.keras"
    few = [word for each in ("kernels=small", "units=4", "alpha=0.25") for word in ("--set", each)]
    done = edgekit("zoo", "build", "siamese", "--size", "32", *few, "-o", path)
    assert f"Wrote{path}and{tmp_path / 's.head.keras'}" in "".join(done.stdout.split())  # the title is wrapped
