"""Training: honest splits, the same result after a kill, and a model that says how it was made."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.artifact import open_artifact
from edgekit.data import Dataset, Part, open_data
from edgekit.data.arrays import ArrayItems
from edgekit.errors import ArtifactError, DataError, InputError
from edgekit.measure.evaluate import evaluate
from edgekit.models.build import build
from edgekit.models.checkpoint import EpochRecord, read_checkpoint
from edgekit.models.classification_lesson import ClassificationLesson, cross_entropy
from edgekit.models.fitting import fit
from edgekit.models.images import load_images, split
from edgekit.models.parts import Parts
from edgekit.models.phases import optimizer_for, phases
from edgekit.models.registry import find_spec
from edgekit.models.spec import Optimizer, Schedule
from edgekit.models.train import TrainingInterruptedError, TrainRequest, train
from edgekit.preprocessing import normalize
from edgekit.workers import silent

EPOCHS = 12


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three kinds of 28 x 28 pictures: an upper, a left and a middle stripe in noise; 90 to train, 30 to test."""
    random = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for part, count in (("train", 90), ("test", 30)):
        labels = np.arange(count) % 3
        pixels = random.integers(0, 100, (count, 28, 28))
        for image, label in zip(pixels, labels, strict=True):
            image[
                [slice(4, 8), slice(None), slice(12, 16)][label], [slice(None), slice(4, 8), slice(12, 16)][label]
            ] += 150
        arrays |= {f"x_{part}": pixels.astype(np.uint8), f"y_{part}": labels}
    path = tmp_path_factory.mktemp("data") / "stripes.npz"
    np.savez(path, **arrays)
    return path


def request(data: Path, **changes: Any) -> TrainRequest:
    small = {"units": 32}
    base = TrainRequest(spec=find_spec("mlp"), data=str(data), epochs=EPOCHS, batch_size=16, arguments=small)
    return replace(base, **changes)


def weights_of(model: Path) -> list[Any]:
    import keras

    return list(keras.saving.load_model(model).get_weights())


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an uninterrupted run."""
    return train(request(data), tmp_path_factory.mktemp("finished") / "run").parent


def test_a_run_leaves_a_model_that_says_how_it_was_made(finished: Path, data: Path) -> None:
    assert sorted(p.name for p in finished.iterdir()) == ["history.json", "model.keras", "settings.json"]
    history = json.loads((finished / "history.json").read_bytes())
    assert [e["epoch"] for e in history["epochs"]] == list(range(1, EPOCHS + 1))
    losses = [e["val_loss"] for e in history["epochs"]]
    assert history["best_epoch"] == 1 + losses.index(min(losses))
    card = open_artifact(finished / "model.keras").card
    (metric,) = card.metrics
    assert (metric.name, metric.data, metric.count) == ("top1", "stripes", 30)
    assert metric.low is not None
    assert metric.high is not None
    assert metric.low <= metric.value <= metric.high
    assert metric.value > 0.8
    training = card.provenance.training
    assert training is not None
    assert (training.name, training.count, training.seed, training.items) == (str(data), 90, 0, ())
    assert card.provenance.training_settings == json.loads((finished / "settings.json").read_bytes())
    assert card.provenance.training_settings["data_digest"] == training.digest
    assert card.preprocessing == find_spec("mlp").preprocessing({})


def test_the_metric_is_the_one_that_the_written_model_has(finished: Path, data: Path) -> None:
    import keras

    stored = np.load(data)
    model = keras.saving.load_model(finished / "model.keras")
    logits = np.asarray(model.predict_on_batch(stored["x_test"][..., None].astype(np.float32) * np.float32(1 / 255)))
    right = float(np.mean(logits.argmax(axis=1) == stored["y_test"]))
    assert open_artifact(finished / "model.keras").card.metrics[0].value == pytest.approx(right)


def test_the_same_request_gives_the_same_weights_and_another_seed_others(
    finished: Path, data: Path, tmp_path: Path
) -> None:
    expected = weights_of(finished / "model.keras")
    again = weights_of(train(request(data), tmp_path / "again"))
    other = weights_of(train(request(data, seed=1), tmp_path / "other"))
    assert all(np.array_equal(a, b) for a, b in zip(expected, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(expected, other, strict=True))


def test_a_killed_run_goes_on_to_the_same_result(finished: Path, data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_train import request
from edgekit.models.train import train
train(request(Path({str(data)!r})), Path({str(run)!r}), on_epoch=lambda r, n: print(r.epoch, flush=True))
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if int(line) == 3:
                os.kill(child.pid, signal.SIGKILL)
                break
        assert child.wait() == -signal.SIGKILL
    done = read_checkpoint(run / "checkpoint.npz").epoch
    assert 3 <= done < EPOCHS
    assert not (run / "model.keras").exists()
    seen: list[int] = []
    model = train(request(data), run, on_epoch=lambda record, _: seen.append(record.epoch))
    assert seen == list(range(done + 1, EPOCHS + 1))
    expected = weights_of(finished / "model.keras")
    assert all(np.array_equal(a, b) for a, b in zip(expected, weights_of(model), strict=True))
    figures = [json.loads((f / "history.json").read_bytes()) for f in (finished, run)]
    for history in figures:
        for epoch in history["epochs"]:
            del epoch["seconds"]
    assert figures[0] == figures[1]
    assert sorted(p.name for p in run.iterdir()) == ["history.json", "model.keras", "settings.json"]


def interrupt(record: EpochRecord, _epochs: int) -> None:
    if record.epoch == 2:
        raise KeyboardInterrupt


def test_ctrl_c_keeps_the_finished_epochs_and_other_settings_are_refused(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(TrainingInterruptedError) as caught:
        train(request(data), run, on_epoch=interrupt)
    assert str(caught.value) == (
        f"training was interrupted; {run} keeps every finished epoch: run the same command to go on."
    )
    assert caught.value.exit_code == 130
    assert sorted(p.name for p in run.iterdir()) == ["checkpoint.npz", "settings.json"]
    with pytest.raises(InputError) as refused:
        train(request(data, batch_size=8), run)
    assert str(refused.value) == (
        f"{run} holds a training with other settings (batch_size 16, now 8): "
        "use --force to start again or -o to write elsewhere."
    )
    seen: list[int] = []
    train(request(data, batch_size=8), run, force=True, on_epoch=lambda record, _: seen.append(record.epoch))
    assert seen[0] == 1


def test_a_finished_run_stays_as_it_is(finished: Path, data: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in finished.iterdir()}
    told: list[EpochRecord] = []
    model = train(request(data), finished, on_epoch=lambda record, _: told.append(record))
    assert (model, told) == (finished / "model.keras", [])
    with pytest.raises(InputError) as caught:
        train(request(data, epochs=EPOCHS + 1), finished)
    assert str(caught.value) == (
        f"{finished} holds a training with other settings (epochs {EPOCHS}, now {EPOCHS + 1}): "
        "use --force to start again or -o to write elsewhere."
    )
    assert {path.name: path.read_bytes() for path in finished.iterdir()} == before
    foreign = tmp_path / "model.keras"
    foreign.write_bytes(before["model.keras"])
    with pytest.raises(InputError) as caught:
        train(request(data), tmp_path)
    assert str(caught.value) == f"{foreign} exists; use --force to replace it or -o to write elsewhere."


def test_the_same_data_by_another_path_go_on(finished: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(data.parent)
    told: list[EpochRecord] = []
    train(request(Path(data.name)), finished, on_epoch=lambda record, _: told.append(record))
    assert told == []


def test_an_unfinished_folder_is_no_model(tmp_path: Path, finished: Path) -> None:
    (tmp_path / "checkpoint.npz").touch()
    (tmp_path / "model.keras").write_bytes((finished / "model.keras").read_bytes())  # of a training before
    with pytest.raises(ArtifactError) as caught:
        open_artifact(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} holds an unfinished training; give the command of the training again, or a model file by name."
    )


def test_other_settings_are_refused_before_the_data_are_read(
    finished: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgekit.models.parts.load_images", lambda *_, **__: pytest.fail("the images were read"))
    with pytest.raises(InputError, match=r"holds a training with other settings \(seed 0, now 5\)"):
        train(request(data, seed=5), finished)


def test_data_without_a_test_part_is_tested_on_items_never_learned(data: Path, tmp_path: Path) -> None:
    stored = np.load(data)
    one_part = tmp_path / "one.npz"
    np.savez(one_part, x=stored["x_train"], y=stored["y_train"])
    card = open_artifact(train(request(one_part, epochs=1), tmp_path / "run")).card
    assert (card.metrics[0].data, card.metrics[0].count) == ("one, 20% held out", 18)
    assert card.provenance.training is not None
    assert card.provenance.training.count == 90 - 18
    report = evaluate([tmp_path / "run"], str(one_part))
    assert (report.count, report.left_out) == (18, 72)
    assert report.entries[0].result.top1 == card.metrics[0].value


def test_training_goes_on_from_weights_and_writes_logs(finished: Path, data: Path, tmp_path: Path) -> None:
    source = finished / "model.keras"
    run = tmp_path / "run"
    seen: list[EpochRecord] = []
    model = train(
        request(data, weights=source, epochs=1),
        run,
        tensorboard=True,
        on_epoch=lambda record, _: seen.append(record),
    )
    first = json.loads((finished / "history.json").read_bytes())["epochs"][0]
    assert seen[0].loss < first["loss"]
    assert list((run / "tensorboard").glob("events.out.tfevents.*"))
    assert open_artifact(model).card.provenance.source_sha256 == open_artifact(source).sha256


def on_wrong_labels(data: Path, **preset: Any) -> ClassificationLesson:
    """A training whose validation loss grows: the better the model, the worse on labels that are wrong."""
    preprocessing = find_spec("mlp").preprocessing({})
    learn = load_images(open_data(str(data), part=Part.TRAIN, data_dir=None), preprocessing)
    return ClassificationLesson(
        training=learn,
        validation=replace(learn, labels=(learn.labels + 1) % 3),
        preprocessing=preprocessing,
        classes=3,
        preset=replace(request(data).settings(), **preset),
        seed=0,
    )


def test_the_best_epoch_is_kept_and_patience_ends_what_only_gets_worse(data: Path, tmp_path: Path) -> None:
    model = build(find_spec("mlp"), seed=0, units=32, classes=3)
    weights: list[Any] = []
    state, trained = fit(
        model,
        on_wrong_labels(data, epochs=9, patience=2),
        checkpoint=tmp_path / "checkpoint.npz",
        progress=silent,
        on_epoch=lambda *_: weights.append(model.get_weights()),
    )
    assert trained is model
    assert (state.best_epoch, state.epoch) == (1, 3)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), weights[0], strict=True))
    assert state.history[-1].metrics["val_accuracy"] < 0.5 < state.history[-1].metrics["accuracy"]


def test_a_loss_that_is_no_number_ends_the_training(data: Path, tmp_path: Path) -> None:
    model = build(find_spec("mlp"), seed=0, units=32, classes=3)
    plan = on_wrong_labels(data, learning_rate=1e30)
    with pytest.raises(InputError) as caught:
        fit(model, plan, checkpoint=tmp_path / "c.npz", progress=silent, on_epoch=lambda *_: None)
    assert str(caught.value) == (
        "The loss of mlp became nan in epoch 1; expected a finite number: "
        "train with other settings, such as a larger --batch-size."
    )
    assert not (tmp_path / "c.npz").exists()


@pytest.fixture(scope="module")
def transfer(data: Path) -> TrainRequest:
    """A narrow MobileNet's transfer on the stripes, in colour: two epochs of the head, two of all."""
    with np.load(data) as stored:
        arrays = {k: np.repeat(v[..., None], 3, axis=3) if v.ndim == 3 else v for k, v in stored.items()}
    path = data.parent / "coloured.npz"
    np.savez(path, **arrays)
    spec = find_spec("mobilenet_v1")
    preset = replace(spec.presets["transfer"], epochs=4, frozen_epochs=2, batch_size=30, shift_pixels=1)
    return TrainRequest(
        spec=replace(spec, presets={"transfer": preset}),
        preset="transfer",
        data=str(path),
        weights=path.with_name("some.npz"),  # plans are made without reading them
        arguments={"alpha": 0.1, "size": 32, "momentum": 0.5},
    )


def variables_of(model: Any) -> dict[str, Any]:
    return {v.path: v.numpy() for v in model.variables}


def plan_of(request: TrainRequest, **preset: Any) -> tuple[Any, ClassificationLesson]:
    settings = replace(request.settings(), **preset)
    model = build(request.spec, seed=0, **{**request.arguments, "classes": 3})
    preprocessing = request.spec.preprocessing(request.arguments)
    learn = load_images(open_data(str(settings.data), part=Part.TRAIN, data_dir=None), preprocessing)
    for _ in range(5):  # statistics of a batch, without which an untrained network lets nothing through
        model(normalize(learn.at(slice(60)), preprocessing), training=True)
    kept, held = split(learn.labels, 0.2, 0, purpose="validation")
    return model, ClassificationLesson(
        training=learn.subset(kept),
        validation=learn.subset(held),
        preprocessing=preprocessing,
        classes=3,
        preset=settings,
        seed=0,
    )


def test_the_head_learns_alone_then_all_but_normalisation_does(transfer: TrainRequest, tmp_path: Path) -> None:
    model, plan = plan_of(transfer)
    before, after = variables_of(model), []
    fit(
        model,
        plan,
        checkpoint=tmp_path / "c.npz",
        progress=silent,
        on_epoch=lambda *_: after.append(variables_of(model)),
    )
    changed = [{name for name, value in now.items() if not np.array_equal(value, before[name])} for now in after]
    assert changed[1] <= {"logits/kernel", "logits/bias"} | {n for n in before if "seed" in n}
    assert changed[1] >= {"logits/kernel", "logits/bias"}
    assert {n for n in changed[3] if "_bn/" in n} == set()
    assert {n for n in before if n.endswith("kernel")} <= changed[3]
    assert all(layer.trainable for layer in model.layers)


@pytest.mark.parametrize("stopped", [1, 2, 3])
def test_a_transfer_goes_on_in_any_phase_to_the_same_weights(
    transfer: TrainRequest, stopped: int, tmp_path: Path
) -> None:
    whole, plan = plan_of(transfer)
    fit(whole, plan, checkpoint=tmp_path / "whole.npz", progress=silent, on_epoch=lambda *_: None)

    def stop(record: EpochRecord, _epochs: int) -> None:
        if record.epoch == stopped:
            raise KeyboardInterrupt

    model, plan = plan_of(transfer)
    with pytest.raises(KeyboardInterrupt):
        fit(model, plan, checkpoint=tmp_path / "c.npz", progress=silent, on_epoch=stop)
    model, plan = plan_of(transfer)
    fit(model, plan, checkpoint=tmp_path / "c.npz", progress=silent, on_epoch=lambda *_: None)
    for value, other in zip(whole.variables, model.variables, strict=True):
        assert np.array_equal(value.numpy(), other.numpy()), value.path


def test_rare_classes_are_learned_where_classes_are_balanced(data: Path, tmp_path: Path) -> None:
    """Two of three classes have a tenth of the images: what is learned of them shows in the recall of each."""
    with np.load(data) as stored:
        x, y = stored["x_train"], stored["y_train"]
    kept = np.concatenate([np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:3], np.flatnonzero(y == 2)[:3]])
    path = tmp_path / "rare.npz"
    np.savez(path, x_train=x[kept], y_train=y[kept])
    shares = []
    for balanced in (False, True):
        preset = replace(request(path).settings(), balanced=balanced, epochs=1)
        images = load_images(open_data(str(path), part=Part.TRAIN, data_dir=None), find_spec("mlp").preprocessing({}))
        batches = ClassificationLesson(
            training=images,
            validation=images,
            preprocessing=find_spec("mlp").preprocessing({}),
            classes=3,
            preset=preset,
            seed=0,
        ).plan
        weights = np.zeros(3)
        for batch in batches.of_epoch(1):
            np.add.at(weights, batch.targets.argmax(axis=1), batch.weights)
        shares.append((weights / weights.sum()).round(2).tolist())
    assert shares[0][0] > 0.8
    assert shares[1] == pytest.approx([0.33, 0.33, 0.33], abs=0.03)


def test_a_users_own_data_is_balanced_and_weights_start_a_transfer(data: Path, tmp_path: Path) -> None:
    spec = find_spec("mobilenet_v2")
    assert not TrainRequest(spec=spec).settings().balanced
    assert TrainRequest(spec=spec, data=str(data)).settings().balanced
    assert TrainRequest(spec=spec).preset_name == "small"
    assert TrainRequest(spec=spec, weights=tmp_path / "w.npz").preset_name == "transfer"
    assert TrainRequest(spec=find_spec("mlp"), weights=tmp_path / "w.npz").preset_name == "small"


def test_many_pixels_are_kept_in_a_file(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = find_spec("mlp").preprocessing({})
    opened = open_data(str(data), part=Part.TRAIN, data_dir=None)
    in_memory = load_images(opened, spec)
    monkeypatch.setattr("edgekit.models.images.IN_MEMORY_BYTES", 1000)
    in_file = load_images(opened, spec)
    assert isinstance(in_file.pixels, np.memmap)
    some = in_file.subset(np.array([5, 1, 7])).subset(np.array([2, 0]))
    assert np.array_equal(some.at(slice(None)), in_memory.pixels[[7, 5]])
    assert np.shares_memory(some.pixels, in_file.pixels)


def test_the_learning_rate_falls_in_steps(data: Path) -> None:
    plan = on_wrong_labels(data, epochs=4, learning_rate=0.8, schedule=Schedule.STEP, decay_per_step=0.5)
    steps = plan.plan.steps
    optimizer = optimizer_for(plan.preset, phases(plan.preset)[0], steps)
    rates = []
    for step in range(steps * 4):
        optimizer.iterations.assign(step)
        rates.append(float(optimizer.learning_rate))
    assert rates == pytest.approx([0.8] * steps + [0.4] * steps + [0.2] * steps + [0.1] * steps)


def test_sgd_follows_the_rule_of_the_papers(data: Path) -> None:
    import keras

    rate, decay, gradient = 0.1, 2e-3, 1e-3
    settings = {"optimizer": Optimizer.SGD, "learning_rate": rate, "weight_decay": decay}
    preset = on_wrong_labels(data, schedule=Schedule.CONSTANT, **settings).preset
    optimizer = optimizer_for(preset, phases(preset)[0], 1)
    weight = keras.Variable(np.ones(1, np.float32))
    optimizer.build([weight])
    expected, velocity = 1.0, 0.0
    for _ in range(600):
        optimizer.apply([np.full(1, gradient, np.float32)], [weight])
        # Krizhevsky, Sutskever and Hinton 2012, section 5
        velocity = 0.9 * velocity - rate * (gradient + decay * expected)
        expected += velocity
        assert float(weight.numpy()[0]) == pytest.approx(expected, abs=0.02)
    assert expected < 0.3


def test_cross_entropy_equals_that_of_keras() -> None:
    import keras

    logits = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    labels = np.arange(6) % 4
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    assert cross_entropy(logits, labels, 0.1) == pytest.approx(float(loss(np.eye(4)[labels], logits)), rel=1e-5)


@pytest.mark.parametrize(
    ("values", "labels", "message"),
    [
        (
            np.zeros((3, 4), np.float32),
            np.zeros(3, np.int64),
            "x holds (4,) float32; training takes images of (height, width, channels) uint8.",
        ),
        (np.zeros((3, 4, 4, 1), np.uint8), None, "x has no labels; training needs a class for each image."),
        (np.zeros((0, 4, 4, 1), np.uint8), np.zeros(0, np.int64), "x is empty; training needs labelled images."),
    ],
)
def test_data_that_cannot_be_learned_is_refused(values: Any, labels: Any, message: str) -> None:
    data = Dataset(name="x", items=ArrayItems(values), labels=labels)
    with pytest.raises(DataError) as caught:
        load_images(data, find_spec("mlp").preprocessing({}))
    assert str(caught.value) == message


def test_a_test_part_with_more_classes_than_the_training_part_is_refused() -> None:
    train, test = (
        Dataset(name="x", items=ArrayItems(np.zeros((3, 28, 28, 1), np.uint8)), labels=np.array(labels))
        for labels in ((0, 1, 1), (0, 1, 2))
    )
    with pytest.raises(DataError) as caught:
        Parts(train=train, test=test).images(find_spec("mlp").preprocessing({}), 0)
    assert str(caught.value) == "The test part of x has the class id 2; the training part has 2 classes."


def test_a_preset_without_data_asks_for_some() -> None:
    with pytest.raises(InputError) as caught:
        TrainRequest(spec=find_spec("mobilenet_v2"), preset="book").settings()
    assert str(caught.value) == ("The preset book of mobilenet_v2 has no data set of its own; name one with --data.")
