"""What a training is made of: which images, changed how, at which rates, towards which loss."""

import errno
import os
import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgekit.artifact import open_artifact
from edgekit.data import Part, item_digest, open_data
from edgekit.errors import DataError, InputError
from edgekit.models.augmentation import Augmentation
from edgekit.models.batches import class_weights
from edgekit.models.build import build, build_file, build_with_weights
from edgekit.models.classification_lesson import ClassificationLesson, cross_entropy
from edgekit.models.cluster import Together
from edgekit.models.fitting import fit, training_step
from edgekit.models.images import Images, load_images
from edgekit.models.listing import phase_words
from edgekit.models.parts import read_parts
from edgekit.models.phases import optimizer_for, phases
from edgekit.models.registry import find_spec
from edgekit.models.spec import ModelSpec, Schedule, TrainingPreset
from edgekit.models.train import TrainRequest, train
from edgekit.workers import silent


class PlannedError(Exception):
    """Ends a training that was planned."""


def planned(request: TrainRequest, run: Path, monkeypatch: pytest.MonkeyPatch) -> ClassificationLesson:
    """What `train` would learn."""
    plans: list[ClassificationLesson] = []

    def keep(_model: Any, plan: ClassificationLesson, **_: Any) -> None:
        plans.append(plan)
        raise PlannedError

    monkeypatch.setattr("edgekit.models.train.fit", keep)
    with pytest.raises(PlannedError):
        train(request, run)
    return plans[0]


def pictures(count: int, seed: int = 0) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {"x": random.integers(0, 256, (count, 28, 28)).astype(np.uint8), "y": np.arange(count) % 3}


def saved(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def mlp(data: Path, **changes: Any) -> TrainRequest:
    return replace(TrainRequest(spec=find_spec("mlp"), data=str(data), epochs=1), **changes)


def test_no_image_is_learned_from_and_judged_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = pictures(60)
    twice = {name: np.concatenate([values, values]) for name, values in data.items()}
    path = saved(tmp_path / "twice.npz", **twice)
    plan = planned(mlp(path), tmp_path / "run", monkeypatch)
    _, test = read_parts(str(path), None).images(plan.preprocessing, seed=0)
    parts = [set(images.digests) for images in (plan.training, plan.validation, test)]
    assert all(parts)
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]
    assert len(plan.training) > 60


def test_copies_of_the_test_part_are_not_learned_from(tmp_path: Path) -> None:
    data = pictures(30)
    arrays = {"x_train": data["x"], "y_train": data["y"], "x_test": data["x"][:6], "y_test": data["y"][:6]}
    learn, test = read_parts(str(saved(tmp_path / "leak.npz", **arrays)), None).images(
        find_spec("mlp").preprocessing({}), seed=0
    )
    assert (len(learn), len(test)) == (24, 6)


@pytest.mark.parametrize(("spec", "preset"), [("cifar_cnn", "small"), ("mobilenet_v2", "transfer")])
def test_images_are_changed_as_the_preset_says(
    spec: str, preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = find_spec(spec).preset(preset)
    plan = ClassificationLesson(
        training=load_images(open_data("digits", part=Part.TRAIN, data_dir=None), find_spec("mlp").preprocessing({})),
        validation=load_images(
            open_data("digits", part=Part.EVALUATION, data_dir=None), find_spec("mlp").preprocessing({})
        ),
        preprocessing=find_spec("mlp").preprocessing({}),
        classes=10,
        preset=settings,
        seed=0,
    )
    told = Augmentation(
        shift_pixels=settings.shift_pixels, flip=settings.flip, zoom=settings.zoom, brightness=settings.brightness
    )
    assert plan.plan.augmentation == told
    assert told != Augmentation(shift_pixels=0, flip=False, zoom=0.0, brightness=0.0)
    assert (plan.plan.batch_size, plan.plan.balanced) == (settings.batch_size, settings.balanced)


def test_an_image_of_no_weight_changes_nothing_and_the_loss_is_the_sum(tmp_path: Path) -> None:
    model = build(find_spec("mlp"), seed=0, units=8, classes=3, dropout=0.0)
    preset = replace(find_spec("mlp").preset("small"), epochs=1)
    optimizer = optimizer_for(preset, phases(preset)[0], 10)
    optimizer.build(model.trainable_variables)
    inputs = np.random.default_rng(0).random((6, 28, 28, 1), np.float32)
    labels = np.arange(6) % 3
    images = Images(pixels=np.empty((0, 28, 28, 1), np.uint8), places=labels[:0], digests=(), labels=labels[:0])
    lesson = ClassificationLesson(
        training=images,
        validation=images,
        preprocessing=find_spec("mlp").preprocessing({}),
        classes=3,
        preset=replace(preset, label_smoothing=0.2),
        seed=0,
    )
    step = training_step(model, optimizer, lesson, Together())
    targets = np.eye(3, dtype=np.float32)[labels]
    expected = cross_entropy(np.asarray(model(inputs)), labels, 0.2) * 6
    before = model.get_weights()
    loss, _ = step(inputs, targets, np.zeros(6, np.float32), 6.0)
    assert float(loss) == 0
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    loss, _ = step(inputs, targets, np.ones(6, np.float32), 6.0)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    assert float(loss) != pytest.approx(cross_entropy(np.asarray(model(inputs)), labels) * 6, rel=1e-3)
    assert not all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def rates(preset: TrainingPreset, phase: int, steps: int) -> list[float]:
    """The learning rate at the first step of every epoch of a phase."""
    found = phases(preset)[phase]
    optimizer = optimizer_for(preset, found, steps)
    told = []
    for epoch in range(found.end - found.start):
        optimizer.iterations.assign(epoch * steps)
        told.append(float(optimizer.learning_rate))
    return told


def test_both_phases_learn_at_their_own_rate() -> None:
    preset = replace(
        find_spec("mobilenet_v2").preset("transfer"), epochs=5, frozen_epochs=2, schedule=Schedule.CONSTANT
    )
    assert (preset.learning_rate, preset.fine_tuning_rate) == (1e-3, 1e-4)
    assert rates(preset, 0, 10) == pytest.approx([1e-3] * 2)
    assert rates(preset, 1, 10) == pytest.approx([1e-4] * 3)


def test_the_rate_falls_by_a_factor_after_each_epoch() -> None:
    preset = replace(
        find_spec("mlp").preset("small"),
        epochs=3, learning_rate=0.8, schedule=Schedule.EXPONENTIAL, decay_per_epoch=0.5,
    )  # fmt: skip
    assert rates(preset, 0, 10) == pytest.approx([0.8, 0.4, 0.2])


def narrow(name: str) -> dict[str, Any]:
    spec = find_spec(name)
    wanted = {"alpha": 0.1, "size": 32, "momentum": 0.5, "classes": 3}
    return {k: v for k, v in wanted.items() if k in spec.defaults}


def coloured(path: Path) -> Path:
    data = pictures(30)
    return saved(path, x=np.repeat(data["x"][..., None], 3, axis=3), y=data["y"])


def test_weights_of_a_keras_file_bring_its_preprocessing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec: ModelSpec = find_spec("mobilenet_v2")
    other = replace(spec, preprocess="torch")
    source = build_file(other, tmp_path / "torch.keras", overrides=narrow("mobilenet_v2")).path
    stated = open_artifact(source).card.preprocessing
    assert stated is not None
    assert stated.scale != spec.preprocessing(narrow("mobilenet_v2")).scale
    again = build_file(spec, tmp_path / "again.keras", overrides={}, weights=source)
    assert again.card.preprocessing == stated
    request = TrainRequest(spec=spec, data=str(coloured(tmp_path / "c.npz")), weights=source)
    plan = planned(request, tmp_path / "run", monkeypatch)
    assert (plan.preprocessing.scale, plan.preprocessing.offset) == (stated.scale, stated.offset)


def test_a_preset_that_stretches_says_so_in_training_and_in_building(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = find_spec("mobilenet_v2")
    small = spec.preset("small")
    assert small.resize is not None
    plan = planned(TrainRequest(spec=spec, epochs=1, arguments={"alpha": 0.1}), tmp_path / "run", monkeypatch)
    built = build_file(spec, tmp_path / "m.keras", overrides=small.arguments, resize=small.resize)
    assert built.card.preprocessing == plan.preprocessing
    assert plan.preprocessing.resize is small.resize


def test_a_transfer_needs_weights() -> None:
    with pytest.raises(InputError) as caught:
        TrainRequest(spec=find_spec("mobilenet_v2"), preset="transfer", data="digits").settings()
    assert str(caught.value) == (
        "The preset transfer starts from trained weights; give them with --weights, or leave it out."
    )


def test_an_archive_of_training_images_is_divided(tmp_path: Path) -> None:
    data = pictures(60)
    path = saved(tmp_path / "own.npz", x_train=data["x"], y_train=data["y"])
    parts = read_parts(str(path), None)
    assert parts.test is None
    learn, test = parts.images(find_spec("mlp").preprocessing({}), seed=0)
    assert (len(learn), len(test)) == (48, 12)
    assert len(open_data(str(path), part=Part.EVALUATION, data_dir=None)) == 60


def photo_folder(root: Path, classes: str, seed: int, count: int = 4) -> None:
    random = np.random.default_rng(seed)
    for name in classes:
        (root / name).mkdir(parents=True)
        for index in range(count):
            Image.fromarray(random.integers(0, 256, (8, 8, 3)).astype(np.uint8)).save(root / name / f"{index}.png")


@pytest.mark.parametrize("held_out", ["test", "val"])
def test_a_folder_with_parts_is_trained_and_tested_on_its_own(held_out: str, tmp_path: Path) -> None:
    photo_folder(tmp_path / "set" / "train", "ab", seed=0)
    photo_folder(tmp_path / "set" / held_out, "ab", seed=1, count=2)
    parts = read_parts(str(tmp_path / "set"), None)
    assert parts.test is not None
    assert parts.test_name == "set"
    assert (parts.classes, parts.train.class_names, len(parts.train), len(parts.test)) == (2, ("a", "b"), 8, 4)
    digests = [{item_digest(item) for item in part} for part in (parts.train, parts.test)]
    assert not digests[0] & digests[1]
    photo_folder(tmp_path / "set" / held_out, "c", seed=2)
    with pytest.raises(DataError) as caught:
        read_parts(str(tmp_path / "set"), None).images(find_spec("lenet5").preprocessing({"channels": 3}), seed=0)
    assert str(caught.value) == (
        "The training part of set has the classes a, b, its test part a, b, c; expected the same."
    )


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    photo_folder(tmp_path / "train", "x", seed=0)
    photo_folder(tmp_path / "bus", "x", seed=1)
    assert open_data(str(tmp_path), part=Part.TRAIN, data_dir=None).class_names == ("bus", "train")


def test_class_ids_of_another_numbering_are_refused(tmp_path: Path) -> None:
    data = pictures(30)
    path = saved(tmp_path / "ids.npz", x=data["x"], y=np.where(data["y"] == 0, 5, 400_000_000))
    with pytest.raises(DataError) as caught:
        _ = read_parts(str(path), None).classes
    assert str(caught.value) == "ids has 2 classes with ids up to 400000000; expected 0 to 1: number them anew."


def test_a_full_disk_is_told_where_pixels_are_kept_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int, _offset: int, length: int) -> None:
        assert length == 30 * 28 * 28
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("edgekit.models.images.IN_MEMORY_BYTES", 1000)
    monkeypatch.setattr("os.posix_fallocate", full)
    data = open_data(str(saved(tmp_path / "x.npz", **pictures(30))), part=Part.TRAIN, data_dir=None)
    with pytest.raises(OSError, match="No space left on device"):
        load_images(data, find_spec("mlp").preprocessing({}))


def test_a_validation_loss_that_is_no_number_ends_the_training_with_what_was_learned_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([0.5, float("nan")])
    monkeypatch.setattr("edgekit.models.classification_lesson.cross_entropy", lambda *_: next(losses))
    path = saved(tmp_path / "x.npz", **pictures(30))
    preprocessing = find_spec("mlp").preprocessing({})
    images = load_images(open_data(str(path), part=Part.TRAIN, data_dir=None), preprocessing)
    plan = ClassificationLesson(
        training=images,
        validation=images,
        preprocessing=preprocessing,
        classes=3,
        preset=mlp(path, epochs=5).settings(),
        seed=0,
    )
    model = build(find_spec("mlp"), seed=0, units=8, classes=3)
    told: list[int] = []
    with pytest.raises(InputError) as caught:
        fit(
            model,
            plan,
            checkpoint=tmp_path / "c.npz",
            progress=silent,
            on_epoch=lambda record, _: told.append(record.epoch),
        )
    assert str(caught.value).startswith("The loss of mlp became nan in epoch 2; expected a finite number: ")
    assert told == [1]


def test_the_last_layer_starts_anew_for_other_classes_of_the_same_number(tmp_path: Path) -> None:
    spec = find_spec("mobilenet_v2")
    (tmp_path / "names.txt").write_text("a\nb\nc\n")
    source = build_file(
        spec, tmp_path / "w.keras", overrides=narrow("mobilenet_v2"), labels_file=tmp_path / "names.txt", seed=3
    ).path
    heads = {}
    for labels in (None, ("a", "b", "c"), ("a", "c", "b")):
        model, _, _ = build_with_weights(spec, source, seed=0, classes=3, labels=labels, arguments={})
        heads[labels] = model.get_layer("logits").get_weights()[0]
    assert np.array_equal(heads[None], heads["a", "b", "c"])
    assert not np.array_equal(heads[None], heads["a", "c", "b"])


def test_rare_classes_weigh_as_much_in_the_choice_of_the_epoch() -> None:
    logits = np.array([[2.0, 0.0]] * 9 + [[1.0, 0.0]])
    labels = np.array([0] * 9 + [1])
    each = [cross_entropy(logits[:1], labels[:1]), cross_entropy(logits[-1:], labels[-1:])]
    weights = class_weights(labels, 2)[labels]
    assert cross_entropy(logits, labels) == pytest.approx(0.9 * each[0] + 0.1 * each[1])
    assert cross_entropy(logits, labels, 0.0, weights) == pytest.approx(np.mean(each))


def test_a_class_is_called_by_its_name_where_it_has_too_few(tmp_path: Path) -> None:
    photo_folder(tmp_path / "set", "ab", seed=0)
    photo_folder(tmp_path / "set", "z", seed=1, count=1)
    with pytest.raises(DataError) as caught:
        read_parts(str(tmp_path / "set"), None).images(find_spec("lenet5").preprocessing({"channels": 3}), seed=0)
    assert str(caught.value) == "Class z has too few images to set one aside for test; add some of that class."


def test_decoding_in_threads_leaves_the_warnings_of_the_process_alone(tmp_path: Path) -> None:
    photo_folder(tmp_path / "set", "ab", seed=0, count=100)
    before = list(warnings.filters)
    load_images(
        open_data(str(tmp_path / "set"), part=Part.TRAIN, data_dir=None),
        find_spec("lenet5").preprocessing({"channels": 3}),
    )
    added = [entry for entry in warnings.filters if entry not in before]
    assert [(entry[0], str(entry[3])) for entry in added] == [("ignore", str(re.compile(r"PIL\.")))]


def test_it_is_told_which_epochs_teach_what() -> None:
    transfer = find_spec("mobilenet_v2").preset("transfer")
    assert phase_words(replace(transfer, epochs=10)) == [
        "Epochs 1 to 5 teach the last layer alone, 6 to 10 all layers."
    ]
    assert phase_words(replace(transfer, epochs=4))[0].startswith(
        "All 4 epochs teach the last layer alone; give --epochs 6 or more "
    )
    assert phase_words(find_spec("mlp").preset("small")) == []


def test_a_single_class_is_refused(tmp_path: Path) -> None:
    photo_folder(tmp_path / "set" / "train", "ab", seed=0)
    with pytest.raises(DataError) as caught:
        _ = read_parts(str(tmp_path / "set"), None).classes
    assert str(caught.value) == (
        "set has the one class train; expected a sub-folder for each of two or more, or train and test (or val) with "
        "these in them."
    )
