"""Generators learn against discriminators: both losses are told, and a stop changes nothing."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import edgekit
from PIL import Image
from tiny_generator import judge as shades_judge

from edgekit.artifact import open_artifact
from edgekit.data.noise import draws
from edgekit.errors import DataError, InputError
from edgekit.generation import Condition, Drawn, Generator
from edgekit.measure.evaluate_generation import evaluate_generation
from edgekit.models import fitting
from edgekit.models.adversarial import (
    AVERAGED,
    GENERATOR_STEPS,
    Adversaries,
    adversaries,
    compete,
    deceiving_loss,
    information_loss,
    opponent,
    telling_loss,
)
from edgekit.models.adversarial_lesson import AdversarialLesson, made_by
from edgekit.models.batches import Share
from edgekit.models.build import build, build_file
from edgekit.models.cluster import Together
from edgekit.models.generator_material import GeneratorMaterial, generator_material
from edgekit.models.lesson import Course, Teaching, Terms
from edgekit.models.listing import train_entry, train_rows
from edgekit.models.phases import phases
from edgekit.models.registry import find_spec
from edgekit.models.sample_sheets import sample_inputs
from edgekit.models.train import TrainingInterruptedError, TrainRequest, train
from edgekit.workers import silent

NARROW: dict[str, dict[str, float | str]] = {
    "gan": {"units": 8},
    "cgan": {"units": 8, "dropout": 0.3, "match": "projection"},
    "dcgan": {"filters": 2},
    "infogan": {"filters": 2, "codes": 2},
}
PLAIN = Generator(noise=Drawn(name="noise", size=100))
each_name = pytest.mark.parametrize("name", NARROW)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three kinds of 28 x 28 pictures: black, but for an upper, a middle or a lower third; 72 to train, 12 to test."""
    random = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for part, count in (("train", 72), ("test", 12)):
        labels = np.arange(count) % 3
        pixels = random.integers(0, 40, (count, 28, 28))
        for image, label in zip(pixels, labels, strict=True):
            image[9 * label : 9 * label + 9] += 200
        arrays |= {f"x_{part}": pixels.astype(np.uint8), f"y_{part}": labels}
    path = tmp_path_factory.mktemp("data") / "thirds.npz"
    np.savez(path, **arrays)
    return path


def request(name: str, data: Path, **changes: Any) -> TrainRequest:
    base = TrainRequest(spec=find_spec(name), data=str(data), epochs=3, batch_size=16, arguments=NARROW[name])
    return replace(base, **changes)


def course_of(name: str, data: Path, *, share: Share = Share(), **changes: Any) -> tuple[Course, Any]:  # noqa: B008
    """The course of a narrow entry, and its model."""
    spec = find_spec(name)
    material = generator_material(spec, str(data), None)
    preset = replace(spec.preset("small"), batch_size=16, **changes)
    arguments = spec.resolved({**NARROW[name], **material.arguments})
    model = build(spec, seed=0, **arguments)
    terms = Terms(preset=preset, arguments=arguments, preprocessing=None, seed=0, share=share, progress=silent)
    return material.course(terms), model


def weights_of(model: Path) -> list[Any]:
    import keras

    return list(keras.saving.load_model(model).get_weights())


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of uninterrupted runs by the entry's name."""
    folder = tmp_path_factory.mktemp("finished")
    return {name: train(request(name, data), folder / name).parent for name in ("cgan", "infogan")}


def test_a_run_leaves_the_generator_both_losses_and_a_sheet_of_each_epoch(
    finished: dict[str, Path], data: Path
) -> None:
    run = finished["infogan"]
    assert sorted(p.name for p in run.iterdir()) == ["history.json", "model.keras", "samples", "settings.json"]
    history = json.loads((run / "history.json").read_bytes())
    assert history["best_epoch"] == 3
    told = ["loss", "generator_loss", "information_loss"]
    assert list(history["epochs"][0]) == ["epoch", *told, *(f"val_{name}" for name in told), "seconds"]
    assert all(0 < epoch[name] < 20 for epoch in history["epochs"] for name in told)
    sheets = sorted(p.name for p in (run / "samples").iterdir())
    assert sheets == ["epoch_0001.png", "epoch_0002.png", "epoch_0003.png"]
    pictures = [np.asarray(Image.open(run / "samples" / name)) for name in sheets]
    assert {picture.shape for picture in pictures} == {(4 * 28, 10 * 28)}
    assert not np.array_equal(pictures[0], pictures[2])
    card = open_artifact(run / "model.keras").card
    assert (card.task, card.preprocessing, card.labels) == ("image-generation", None, None)
    assert card.generator == Generator(
        noise=Drawn(name="noise", size=100),
        condition=Condition(name="condition", classes=10, asked=False),
        code=Drawn(name="code", size=2),
    )
    assert [(t.name, t.shape) for t in card.outputs] == [("image", (None, 28, 28, 1))]
    assert {m.name: (m.data, m.count) for m in card.metrics} == {
        name: ("thirds", 12) for name in ("discriminator_loss", "generator_loss", "information_loss")
    }
    assert card.provenance.training is not None
    assert (card.provenance.training.name, card.provenance.training.count) == (str(data), 72)
    assert card.provenance.notes[0] == "last epoch, moving average of the weights with a decay of 0.999 a step"


def test_a_conditional_generator_knows_the_number_of_its_classes(finished: dict[str, Path]) -> None:
    card = open_artifact(finished["cgan"] / "model.keras").card
    assert card.generator is not None
    assert card.generator.condition == Condition(name="condition", classes=3, asked=True)
    assert {m.name for m in card.metrics} == {"discriminator_loss", "generator_loss"}


@pytest.mark.parametrize("name", ["cgan", "infogan"])
def test_a_stopped_run_goes_on_to_the_same_result(
    name: str, finished: dict[str, Path], data: Path, tmp_path: Path
) -> None:
    def stop(record: Any, _epochs: int) -> None:
        if record.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(TrainingInterruptedError):
        train(request(name, data), tmp_path / "run", on_epoch=stop)
    assert not (tmp_path / "run/model.keras").exists()
    epochs: list[int] = []
    model = train(request(name, data), tmp_path / "run", on_epoch=lambda record, _: epochs.append(record.epoch))
    assert epochs == [3]
    expected = weights_of(finished[name] / "model.keras")
    assert all(map(np.array_equal, expected, weights_of(model)))
    for sheet in (finished[name] / "samples").iterdir():
        assert (tmp_path / "run/samples" / sheet.name).read_bytes() == sheet.read_bytes()
    metrics = [open_artifact(path).card.metrics for path in (model, finished[name] / "model.keras")]
    assert metrics[0] == metrics[1]
    other = weights_of(train(request(name, data, seed=1, epochs=1), tmp_path / "other"))
    assert not all(map(np.array_equal, expected, other))


def test_a_run_that_ends_before_its_checkpoint_has_the_sheet_of_that_epoch_already(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fitting, "write_checkpoint", end)
    with pytest.raises(TrainingInterruptedError):
        train(request("cgan", data), tmp_path / "run")
    assert [p.name for p in (tmp_path / "run/samples").iterdir()] == ["epoch_0001.png"]


def test_pictures_become_like_those_that_are_learned(data: Path, tmp_path: Path) -> None:
    stored = np.load(data)
    upper = tmp_path / "upper.npz"
    kept = {f"{name}_{part}": stored[f"{name}_{part}"][::3] for name in "xy" for part in ("train", "test")}
    np.savez(upper, **kept)
    course, model = course_of("gan", upper, learning_rate=1e-3)
    learner = course.learner(model)
    teaching = compete(learner, course.lesson, phases(course.lesson.preset)[0], Together())
    noise = {"noise": draws(PLAIN, 8, seed=0)["noise"]}

    def contrast() -> float:
        """By how much the upper third is brighter than the others."""
        thirds = made_by(learner.kept, noise)[:, :27, :, 0].reshape(8, 3, 9 * 28).mean(axis=(0, 2))
        return float(thirds[0] - thirds[1:].max())

    assert abs(contrast()) < 0.1
    for epoch in range(1, 161):
        for batch in course.lesson.batches(epoch):
            teaching.step(*batch)
    assert contrast() > 0.5


@each_name
def test_one_step_moves_the_discriminator_once_and_the_generator_twice(name: str, data: Path) -> None:
    course, model = course_of(name, data)
    learner = course.learner(model)
    assert isinstance(learner, Adversaries)
    teaching = compete(learner, course.lesson, phases(course.lesson.preset)[0], Together())
    moments = [v for v in teaching.variables if "iteration" in v.path]
    before = [[np.array(v) for v in network.variables] for network in (learner.generator, learner.discriminator)]
    first = [np.array(v) for v in learner.kept.variables]
    batch = next(iter(course.lesson.batches(1)))
    found = teaching.step(*batch)
    assert [int(v) for v in moments] == [GENERATOR_STEPS, 1]
    assert len(found) == 1 + len(teaching.figures)
    assert all(np.isfinite(float(value)) for value in found)
    for network, earlier in zip((learner.generator, learner.discriminator), before, strict=True):
        assert not any(np.array_equal(a, v) for a, v in zip(earlier, network.variables, strict=True) if a.ndim > 1)
    stays = min(AVERAGED, 2 / 11)
    for average, start, now in zip(learner.kept.variables, first, learner.generator.variables, strict=True):
        np.testing.assert_allclose(np.array(average), stays * start + (1 - stays) * np.array(now), atol=1e-6)


def _first_step(data: Path, **changes: Any) -> tuple[float, list[Any], Teaching]:
    """The discriminator's loss, the generator's weights and the teaching after a step from the same weights."""
    course, model = course_of("infogan", data, **changes)
    learner = course.learner(model)
    teaching = compete(learner, course.lesson, phases(course.lesson.preset)[0], Together())
    _, still = (v for v in teaching.variables if "learning_rate" in v.path)
    still.assign(0)  # so that the discriminator is the same in the generator's turn, whatever it has been taught
    found = teaching.step(*next(iter(course.lesson.batches(1))))
    return float(found[0]), learner.generator.get_weights(), teaching


@pytest.fixture(scope="module")
def first_step(data: Path) -> tuple[float, list[Any], Teaching]:
    return _first_step(data)


def test_a_generator_learns_from_what_is_guessed_of_its_inputs(
    first_step: tuple[float, list[Any], Teaching], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, first, _ = first_step
    assert all(map(np.array_equal, first, _first_step(data)[1]))
    monkeypatch.setattr("edgekit.models.adversarial.CATEGORY_WEIGHT", 0.0)
    monkeypatch.setattr("edgekit.models.adversarial.CODE_WEIGHT", 0.0)
    assert not all(map(np.array_equal, first, _first_step(data)[1]))


def test_the_preset_says_how_sure_a_discriminator_is_taught_to_be(
    first_step: tuple[float, list[Any], Teaching], data: Path
) -> None:
    assert _first_step(data, label_smoothing=0.5)[0] != pytest.approx(first_step[0], rel=1e-4)


def test_gradients_are_remembered_for_a_short_time(first_step: tuple[float, list[Any], Teaching]) -> None:
    """After one step the squared mean of gradients is (1 - 0.5)² of g², and that of squares 1 - 0.999 of it."""
    variables = first_step[2].variables
    means, squares = ([np.array(v) for v in variables if kind in v.path] for kind in ("momentum", "velocity"))
    mean, square = (found[-1][found[-1] != 0].astype(np.float64) for found in (means, squares))
    np.testing.assert_allclose(mean**2 / square, 0.25 / 0.001, rtol=1e-3)


def test_no_picture_is_learned_from_and_judged_on(data: Path, tmp_path: Path) -> None:
    stored = dict(np.load(data))
    stored["x_train"][1::2] = stored["x_train"][::2]  # copies
    twins = tmp_path / "twins.npz"
    np.savez(twins, **stored)
    lesson = course_of("gan", twins)[0].lesson
    assert isinstance(lesson, AdversarialLesson)
    assert len(lesson.validation)
    assert not set(lesson.training.digests) & set(lesson.validation.digests)


def test_the_average_follows_slowly_after_a_while(data: Path) -> None:
    course, model = course_of("gan", data)
    learner = course.learner(model)
    teaching = compete(learner, course.lesson, phases(course.lesson.preset)[0], Together())
    (iterations, _) = (v for v in teaching.variables if "iteration" in v.path)
    iterations.assign(10**7)
    first = [np.array(v) for v in learner.kept.variables]
    teaching.step(*next(iter(course.lesson.batches(1))))
    for average, start, now in zip(learner.kept.variables, first, learner.generator.variables, strict=True):
        np.testing.assert_allclose(
            np.array(average), AVERAGED * start + (1 - AVERAGED) * np.array(now), rtol=1e-4, atol=1e-7
        )


def test_losses_are_those_of_their_papers() -> None:
    real, made = np.array([[0.3], [2.0]], np.float32), np.array([[-1.0], [0.5]], np.float32)

    def chance(logits: Any) -> Any:
        return 1 / (1 + np.exp(-logits))

    expected = -np.log(chance(real)) - np.log(1 - chance(made))
    np.testing.assert_allclose(np.asarray(telling_loss(real, made)), expected, rtol=1e-5)
    smooth = -0.9 * np.log(chance(real)) - 0.1 * np.log(1 - chance(real)) - np.log(1 - chance(made))
    np.testing.assert_allclose(np.asarray(telling_loss(real, made, 0.1)), smooth, rtol=1e-5)
    np.testing.assert_allclose(np.asarray(deceiving_loss(made)), -np.log(chance(made)), rtol=1e-5)
    guessed = {"category": np.array([[1.0, 2.0, 0.5]], np.float32), "code": np.array([[0.5, -1.0]], np.float32)}
    inputs = {"condition": np.array([[0, 1.0, 0]], np.float32), "code": np.array([[0.25, 1.0]], np.float32)}
    shares = np.exp(guessed["category"][0]) / np.exp(guessed["category"][0]).sum()
    told = np.asarray(information_loss(guessed, inputs))
    np.testing.assert_allclose(told, [-np.log(shares[1]) + 0.25**2 + 2.0**2], rtol=1e-5)


def test_batches_ask_for_the_classes_of_their_pictures_and_are_of_one_size(data: Path) -> None:
    course, _ = course_of("cgan", data)
    lesson = course.lesson
    assert isinstance(lesson, AdversarialLesson)
    batches = list(lesson.batches(1))
    assert len(batches) == lesson.steps == len(lesson.training) // 16
    for images, noise, condition, size in batches:
        assert (images.shape, noise.shape, condition.shape, size) == ((16, 28, 28, 1), (16, 100), (16, 3), 16.0)
        assert -1 <= images.min() < images.max() <= 1
        bright = images[:, :27, :, 0].reshape(16, 3, 9 * 28).mean(axis=2).argmax(axis=1)
        assert bright.tolist() == condition.argmax(axis=1).tolist()
    assert all(map(np.array_equal, batches[0], next(iter(lesson.batches(1)))))
    assert not any(map(np.array_equal, batches[0][:2], next(iter(lesson.batches(2)))[:2]))
    few = replace(lesson, preset=replace(lesson.preset, batch_size=1000))
    assert [batch[-1] for batch in few.batches(1)] == [len(lesson.training)]


def test_the_judges_losses_are_the_means_over_all_pictures(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    course, model = course_of("infogan", data)
    learner, lesson = course.learner(model), course.lesson
    assert isinstance(lesson, AdversarialLesson)
    loss, others = lesson.judge(learner)
    assert set(others) == {"generator_loss", "information_loss"}
    monkeypatch.setattr("edgekit.models.adversarial_lesson._BATCH", 3)
    again, rest = lesson.judge(learner)
    assert again == pytest.approx(loss, rel=1e-4)
    assert rest == pytest.approx(others, rel=1e-4)


def test_sheets_ask_for_every_class_and_go_through_a_code() -> None:
    whole = Generator(
        noise=Drawn(name="noise", size=3),
        condition=Condition(name="condition", classes=4, asked=True),
        code=Drawn(name="code", size=2),
    )
    inputs = sample_inputs(whole, seed=0)
    assert inputs["condition"].argmax(axis=1)[:10].tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert inputs["code"][::10, 0].tolist() == pytest.approx([-1, -1 / 3, 1 / 3, 1])
    assert all(np.array_equal(a, b) for a, b in zip(inputs.values(), sample_inputs(whole, 0).values(), strict=True))


def test_pictures_without_classes_do_for_a_generator_that_is_asked_for_none(data: Path, tmp_path: Path) -> None:
    from PIL import Image as image_module

    stored = np.load(data)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, pixels in enumerate(stored["x_train"][:20]):
        image_module.fromarray(pixels).save(folder / f"{number}.png")
    material = generator_material(find_spec("gan"), str(folder), None)
    assert isinstance(material, GeneratorMaterial)
    assert (material.arguments, material.labels, material.keeps_items) == ({}, None, True)
    model = train(request("gan", folder, epochs=1, batch_size=4), tmp_path / "run")
    card = open_artifact(model).card
    assert card.provenance.training is not None
    assert len(card.provenance.training.items) == 16
    with pytest.raises(DataError, match=r"has no labels; training needs a class for each image\.$"):
        train(request("cgan", folder), tmp_path / "other")


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that tells three classes apart."""
    return shades_judge(tmp_path_factory.mktemp("judge") / "judge.keras")


def test_a_judge_adds_figures_to_the_card_and_changes_nothing_else(
    data: Path, judge: Path, finished: dict[str, Path], tmp_path: Path
) -> None:
    few = replace(request("cgan", data), judge=judge)
    model = train(few, tmp_path / "run")
    assert all(map(np.array_equal, weights_of(finished["cgan"] / "model.keras"), weights_of(model)))
    settings = [(run / "settings.json").read_bytes() for run in (finished["cgan"], tmp_path / "run")]
    assert settings[0] == settings[1]
    metrics = {m.name: m for m in open_artifact(model).card.metrics}
    losses = ["discriminator_loss", "generator_loss"]
    assert list(metrics) == [*losses, "frechet", "precision", "recall", "conditional_accuracy"]
    assert metrics["generator_loss"] == open_artifact(finished["cgan"] / "model.keras").card.metrics[1]
    told = f"thirds, judge {open_artifact(judge).sha256[:12]}"
    assert {(metrics[name].data, metrics[name].count) for name in set(metrics) - set(losses)} == {(told, 10_000)}
    assert train(few, tmp_path / "run") == model  # finished, with this judge
    with pytest.raises(
        InputError,
        match=r" holds this training, finished without that judge; measure it with edgekit evaluate .*cgan --data "
        r".*thirds\.npz --judge .*judge\.keras, or give --force to train anew\.$",
    ):
        train(few, finished["cgan"])
    rows = dict(map(tuple, train_rows(train_entry(model))))
    assert rows["generator_loss on thirds"].endswith(" (12 items)")
    assert rows[f"frechet on {told}"] == f"{metrics['frechet'].value:.4g} (10,000 items)"
    share = metrics["conditional_accuracy"]
    assert rows[f"conditional_accuracy on {told}"].startswith(f"{share.value:.2%} (95 % interval ")


def test_the_cards_figures_are_those_of_evaluate(data: Path, judge: Path, tmp_path: Path) -> None:
    model = train(request("infogan", data, epochs=1, judge=judge), tmp_path / "run")
    (row,) = evaluate_generation([model], str(data), judge=judge).results()
    for metric in open_artifact(model).card.metrics[3:]:
        assert metric.value == pytest.approx(row["metrics"][metric.name], rel=1e-3), metric.name


def test_pictures_set_aside_for_the_test_do_for_a_judge(data: Path, judge: Path, tmp_path: Path) -> None:
    stored = np.load(data)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, pixels in enumerate(stored["x_train"][:40]):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    model = train(request("gan", folder, epochs=1, batch_size=4, judge=judge), tmp_path / "run")
    assert {m.data.partition(", judge")[0] for m in open_artifact(model).card.metrics} == {"pictures, 20% held out"}


def test_a_judge_that_cannot_is_refused_before_the_training(data: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError,
        match=r"^--judge looks at the pictures of a generator; mlp is for classification: leave --judge out\.$",
    ):
        train(TrainRequest(spec=find_spec("mlp"), data=str(data), judge=tmp_path / "none.keras"), tmp_path / "run")
    other = shades_judge(tmp_path / "four.keras", classes=4)
    with pytest.raises(InputError, match=r"^The 3 classes of cgan are not among the 4 of the judge .*four\.keras; "):
        train(request("cgan", data, judge=other), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_wrong_uses_are_one_sentence(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^gan learns in one process; TF_CONFIG names 2 workers: unset it\.$"):
        course_of("gan", data, share=Share(index=0, count=2))
    labels = tmp_path / "labels.txt"
    labels.write_text("a\nb\n")
    with pytest.raises(InputError, match=r"^gan has no classes that labels could name; leave --labels out\.$"):
        build_file(find_spec("gan"), tmp_path / "m.keras", overrides=NARROW["gan"], labels_file=labels)
    with pytest.raises(
        InputError,
        match=r"^cgan cannot start from weights, which were learned with tokens, scales or an opponent of their own; "
        r"leave out --weights\.$",
    ):
        train(request("cgan", data, weights=tmp_path / "m.keras"), tmp_path / "run")


def test_a_file_in_the_place_of_the_sheets_is_told_before_the_training(data: Path, tmp_path: Path) -> None:
    (tmp_path / "samples").write_text("mine")
    with pytest.raises(InputError) as caught:
        train(request("gan", data), tmp_path, on_epoch=lambda *_: pytest.fail("it learned"))
    assert str(caught.value) == (
        f"{tmp_path / 'samples'} is no folder, and the sheets of this training go there; move it away."
    )


def test_the_command_tells_losses_as_numbers(data: Path, tmp_path: Path) -> None:
    done = edgekit("train", "gan", "--data", data, "--epochs", "1", "-o", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("epoch 1/1: loss ")
    assert ", generator loss " in done.stderr
    (line,) = (line for line in done.stdout.splitlines() if "discriminator_loss on thirds" in line)
    assert "%" not in line
    assert "(12 items)" in line
    shown = edgekit("zoo", "show", "gan").stdout
    assert "1,486,352" in shown
    assert "top-1" not in shown


@each_name
def test_the_opponent_looks_at_pictures_of_the_generators_size(name: str) -> None:
    spec = find_spec(name)
    arguments = spec.resolved(NARROW[name])
    generator, discriminator = build(spec, **arguments), opponent(spec, arguments)
    assert tuple(discriminator.inputs[0].shape) == tuple(generator.outputs[0].shape)
    assert set(discriminator.output_names) == ({"real", "category", "code"} if name == "infogan" else {"real"})
    learner = adversaries(generator, discriminator)
    assert len(learner.variables) == 2 * len(generator.variables) + len(discriminator.variables)
    assert all(map(np.array_equal, learner.generator.get_weights(), generator.get_weights()))


@pytest.mark.parametrize("match", ["beside", "projection"])
def test_what_the_opponent_says_depends_on_the_class_asked_for(match: str) -> None:
    spec = find_spec("cgan")
    discriminator = opponent(spec, spec.resolved({"units": 8, "match": match}))
    image = np.repeat(np.random.default_rng(0).random((1, 28, 28, 1), np.float32), 2, axis=0)
    told = np.asarray(discriminator([image, np.eye(10, dtype=np.float32)[:2]])["real"])
    assert told.shape == (2, 1)
    assert told[0] != told[1]
