"""A deep belief network: one machine learns after the other, then all of them the classes; a stop changes nothing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.artifact import open_artifact
from edgekit.errors import InputError
from edgekit.models.batches import Share
from edgekit.models.build import build
from edgekit.models.checkpoint import EpochRecord
from edgekit.models.cluster import Together
from edgekit.models.greedy_lesson import GreedyLesson, teach_greedily
from edgekit.models.image_material import image_material
from edgekit.models.lesson import Teaching, Terms
from edgekit.models.phases import learning, phases
from edgekit.models.registry import find_spec
from edgekit.models.train import TrainingInterruptedError, TrainRequest, train
from edgekit.workers import silent

Array = np.ndarray[Any, Any]
NARROW: dict[str, int | float | str] = {"units": 12, "pretraining": 1, "rate": 0.2}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two kinds of 8 x 8 pictures, bright above or below; 80 to train, 20 to test."""
    random, arrays = np.random.default_rng(0), dict[str, Any]()
    for part, count in (("train", 80), ("test", 20)):
        labels = np.arange(count) % 2
        pixels = random.integers(0, 120, (count, 8, 8))
        for image, label in zip(pixels, labels, strict=True):
            image[4 * label : 4 * label + 4] += 120
        arrays |= {f"x_{part}": pixels.astype(np.uint8), f"y_{part}": labels}
    path = tmp_path_factory.mktemp("data") / "halves.npz"
    np.savez(path, **arrays)
    return path


def request(data: Path, **changes: Any) -> TrainRequest:
    base = TrainRequest(spec=find_spec("dbn"), data=str(data), epochs=4, batch_size=8, arguments=NARROW)
    return replace(base, **changes)


def taught(data: Path, **arguments: Any) -> tuple[Any, GreedyLesson, Teaching]:
    """A model, its lesson and what teaches it."""
    spec = find_spec("dbn")
    known = spec.resolved({**NARROW, "classes": 2, **arguments})
    preset = replace(spec.preset("small"), batch_size=8, epochs=2 * int(known["pretraining"]) + 1)
    terms = Terms(
        preset=preset, arguments=known, preprocessing=spec.preprocessing(known), seed=0, share=Share(), progress=silent
    )
    lesson = image_material(spec, str(data), None).course(terms).lesson
    assert isinstance(lesson, GreedyLesson)
    model = build(spec, seed=0, **known)
    (phase,) = phases(preset)
    with learning(model, phase):
        return model, lesson, teach_greedily(model, lesson, phase, Together())


def epoch_of(lesson: GreedyLesson, teaching: Teaching, epoch: int) -> float:
    """The mean reconstruction error of an epoch."""
    sums = [float(teaching.step(*batch)[2]) for batch in lesson.batches(epoch)]
    return sum(sums) / len(lesson.images.training)


def changed(model: Any, before: dict[str, Array]) -> set[str]:
    return {name for name, kernel in kernels(model).items() if not np.array_equal(kernel, before[name])}


def kernels(model: Any) -> dict[str, Array]:
    return {layer.name: np.array(layer.kernel) for layer in model.layers if layer.weights}


def test_one_layer_learns_after_the_other_and_then_all_do(data: Path) -> None:
    model, lesson, teaching = taught(data)
    assert [lesson.stage(epoch) for epoch in range(1, 5)] == [0, 1, 2, 2]
    for epoch, expected in ((1, {"hidden_1"}), (2, {"hidden_2"}), (3, {"hidden_1", "hidden_2", "logits"})):
        before = kernels(model)
        epoch_of(lesson, teaching, epoch)
        assert changed(model, before) == expected


def test_the_last_layer_alone_may_learn_the_classes(data: Path) -> None:
    model, lesson, teaching = taught(data, tuned="logits")
    before = kernels(model)
    epoch_of(lesson, teaching, 3)
    assert changed(model, before) == {"logits"}
    assert all(layer.trainable for layer in model.layers)  # in the file too


def test_a_machine_learns_to_give_back_what_it_sees(data: Path) -> None:
    _, lesson, teaching = taught(data, pretraining=12)
    errors = [epoch_of(lesson, teaching, epoch) for epoch in range(1, 13)]
    pixels = lesson.images.training.pixels[lesson.images.training.places] / 255
    of_means = float(np.mean((pixels - pixels.mean(axis=0)) ** 2))
    assert errors[-1] < of_means < errors[0]


def weights_of(model: Path) -> list[Array]:
    import keras

    return list(keras.saving.load_model(model, safe_mode=True).get_weights())


def test_a_stop_between_two_stages_changes_nothing(data: Path, tmp_path: Path) -> None:
    def stop(record: EpochRecord, _epochs: int) -> None:
        if record.epoch == 2:
            raise KeyboardInterrupt

    records: list[EpochRecord] = []
    whole = train(request(data), tmp_path / "whole", on_epoch=lambda record, _: records.append(record))
    with pytest.raises(TrainingInterruptedError):
        train(request(data), tmp_path / "stopped", on_epoch=stop)
    resumed = train(request(data), tmp_path / "stopped")
    for one, other in zip(weights_of(whole), weights_of(resumed), strict=True):
        np.testing.assert_array_equal(one, other)
    assert set(records[0].metrics) == {"accuracy", "reconstruction", "val_accuracy"}


def test_it_becomes_a_classifier_of_stock_dense_layers(data: Path, tmp_path: Path) -> None:
    import keras

    path = train(request(data, epochs=12), tmp_path / "run")
    card = open_artifact(path).card
    (top1,) = card.metrics
    assert (top1.name, top1.count) == ("top1", 20)
    assert top1.value >= 0.9
    model = keras.saving.load_model(path, safe_mode=True)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == ["InputLayer", "Flatten", "Dense", "Dense", "Dense"]
    assert [layer.activation.__name__ for layer in model.layers[2:]] == ["sigmoid", "sigmoid", "linear"]


def test_too_few_epochs_and_several_workers_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        train(request(data, epochs=2), tmp_path / "run")
    assert str(caught.value) == (
        "dbn takes 2 epochs to learn 2 layers by themselves, and then learns the classes; got 2 epochs: give "
        "--epochs 3 or more, or with --set pretraining=1 3 or more."
    )
    spec = find_spec("dbn")
    terms = Terms(
        preset=spec.preset("small"),
        arguments=spec.defaults,
        preprocessing=spec.preprocessing({}),
        seed=0,
        share=Share(index=0, count=2),
        progress=silent,
    )
    with pytest.raises(InputError) as caught:
        image_material(spec, str(data), None).course(terms)
    assert str(caught.value) == "dbn learns in one process; TF_CONFIG names 2 workers: unset it."
