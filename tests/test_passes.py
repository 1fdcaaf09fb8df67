"""Bayesian classifiers in files: evaluated in passes, told from strangers, predicted, converted and shown."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import edgekit
from PIL import Image
from tiny_bayes import blots, request, stripes

from edgekit.artifact import open_artifact
from edgekit.converters import Request, convert
from edgekit.data import Part, open_data
from edgekit.data.pass_noise import pass_noise
from edgekit.demos.uncertain import doubts, told_of_mean
from edgekit.errors import DataError, InputError
from edgekit.formats.keras import write_card
from edgekit.measure.compare import compare
from edgekit.measure.evaluate import EvaluationReport, evaluate
from edgekit.measure.evaluate_by_task import evaluate_by_task
from edgekit.measure.predict import predict
from edgekit.models.passes import sample_path
from edgekit.models.train import train
from edgekit.recipe import Precision, Recipe
from edgekit.tasks.classification import as_probabilities


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """stripes.npz, blots.npz, and ``run``, a classifier of the stripes."""
    made = tmp_path_factory.mktemp("bayes")
    blots(made)
    train(request("bayes_dense", stripes(made)), made / "run")
    return made


@pytest.fixture(scope="module")
def files(folder: Path) -> Mapping[str, Path]:
    """What the run folder becomes in fp32 and int8, by the end of the name."""
    recipes = tuple(Recipe(precision=p, calibration_samples=60) for p in (Precision.FP32, Precision.INT8))
    report = convert(Request(source=folder / "run", recipes=recipes, output_dir=folder / "files"))
    return {row.path.name.removeprefix("run."): row.path for row in report.artifacts}


def evaluated(folder: Path, *paths: Path, **options: Any) -> EvaluationReport:
    return evaluate(paths, str(folder / "stripes.npz"), **options)


def strangers(folder: Path) -> Any:
    return open_data(str(folder / "blots.npz"), part=Part.EVALUATION)


def by_hand(path: Path, data: Any, passes: int) -> tuple[Any, Any]:
    """Mean probabilities and mean entropies of passes, by Keras itself."""
    import keras

    model, card = keras.saving.load_model(path), open_artifact(path).card
    assert card.uncertainty is not None
    each = []
    for number in range(passes):
        noises = [pass_noise(card.uncertainty.noises, card.inputs, item, number) for item in data]
        inputs = [np.stack([item for item in data]).astype(np.float32) / 255]
        inputs += [np.stack([n[spec.name] for n in noises]) for spec in card.inputs[1:]]
        each.append(as_probabilities(np.asarray(model.predict_on_batch(inputs))))
    entropies = -(np.array(each) * np.log(each)).sum(axis=2)
    return np.mean(each, axis=0), entropies.mean(axis=0)


def test_the_probabilities_of_passes_are_averaged(folder: Path) -> None:
    path, data = sample_path(folder / "run/model.keras"), open_data(str(folder / "stripes.npz"), part=Part.EVALUATION)
    expected, of_passes = by_hand(path, data, 4)
    (entry,) = evaluated(folder, path, passes=4).entries
    labels = data.labels
    assert labels is not None
    own = expected[np.arange(len(labels)), labels]
    assert entry.passes == 4
    assert entry.result.nll == pytest.approx(-np.log(own).mean(), rel=1e-4)
    total = -(expected * np.log(expected)).sum(axis=1)
    assert entry.result.entropy == pytest.approx(total.mean(), rel=1e-4)
    assert entry.result.mutual_information == pytest.approx((total - of_passes).mean(), rel=1e-3)
    assert 0.0001 < (total - of_passes).mean()


def test_a_pass_alone_has_no_mutual_information_and_more_passes_have_less_loss(folder: Path) -> None:
    path = sample_path(folder / "run/model.keras")
    alone, several = (evaluated(folder, path, passes=n).entries[0].result for n in (1, 20))
    assert alone.mutual_information is None
    assert several.nll < alone.nll
    assert evaluated(folder, path).entries[0].passes == 20


def test_strangers_have_the_higher_entropy_and_a_damaged_file_does_not_know_it(folder: Path, tmp_path: Path) -> None:
    import keras

    path = sample_path(folder / "run/model.keras")
    model = keras.saving.load_model(path)
    layer = model.get_layer("hidden_1")
    kernel, bias = layer.get_weights()
    layer.set_weights([np.random.default_rng(0).permutation(kernel), bias])
    damaged = tmp_path / "damaged.keras"
    model.save(damaged)
    write_card(damaged, open_artifact(path).card)
    report = evaluated(folder, path, damaged, ood=strangers(folder))
    good, bad = (entry.metrics() for entry in report.entries)
    assert (report.strange_count, report.strange) == (40, str(folder / "blots.npz"))
    assert good["ood_auroc"] > 0.9
    assert good["ood_entropy"] > good["entropy"]
    assert good["ood_auroc_low"] <= good["ood_auroc"] <= good["ood_auroc_high"]
    assert bad["ood_auroc"] < good["ood_auroc"] - 0.1
    assert bad["ood_auroc_difference_high"] < 0
    assert bad["nll_difference_low"] > 0
    assert bad["ece_difference"] == pytest.approx(bad["ece"] - good["ece"])


def test_a_swapped_pair_of_classes_costs_loss_and_calibration(folder: Path, tmp_path: Path) -> None:
    import keras

    path = folder / "run/model.keras"
    model = keras.saving.load_model(path)
    layer = model.get_layer("logits")
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel[:, [1, 0, 2]], bias[[1, 0, 2]]])
    swapped = tmp_path / "swapped.keras"
    model.save(swapped)
    write_card(swapped, open_artifact(path).card)
    good, bad = (entry.metrics() for entry in evaluated(folder, path, swapped).entries)
    assert bad["nll"] > good["nll"] + 0.5
    assert bad["ece"] > good["ece"] + 0.2
    assert bad["nll_difference_low"] > 0.5
    assert bad["entropy"] == pytest.approx(good["entropy"], rel=1e-4)  # it is as sure as before


def test_what_does_not_go_together_is_refused(folder: Path) -> None:
    mean = folder / "run/model.keras"
    with pytest.raises(InputError) as caught:
        evaluated(folder, mean, passes=3)
    assert str(caught.value) == (
        f"--passes is for files that take noise; {mean} takes none: give the file .sample of a Bayesian network, or "
        "leave it out."
    )
    with pytest.raises(InputError, match=r"^A Bayesian classifier is run 1 to 1,000 times; got 0 passes\.$"):
        evaluated(folder, sample_path(mean), passes=0)
    data = open_data(str(folder / "stripes.npz"), part=Part.EVALUATION)
    with pytest.raises(DataError) as same:
        evaluate([mean], data, ood=data)
    assert str(same.value) == (f"--ood takes data of another kind than --data; got {data.name} for both: name another.")
    with pytest.raises(InputError, match=r"^--passes and --ood are for classifiers; leave them out for detection\.$"):
        evaluate_by_task([mean], data, decoder="yolov8", ood=data)


def test_a_prediction_is_that_of_all_passes(folder: Path) -> None:
    path, data = sample_path(folder / "run/model.keras"), open_data(str(folder / "stripes.npz"), part=Part.EVALUATION)
    np.save(folder / "one.npy", data.items[0])
    (found,) = predict(path, [folder / "one.npy"]).predictions
    expected, _ = by_hand(path, [data.items[0]], 20)
    assert [guess.class_id for guess in found.top] == np.argsort(-expected[0]).tolist()
    np.testing.assert_allclose(found.outputs["logits"], expected[0], atol=1e-5)


def photos(folder: Path) -> Path:
    """Two stripes and a blot as PNGs."""
    kept = folder / "photos"
    kept.mkdir(exist_ok=True)
    stripe, blot = (np.load(folder / name) for name in ("stripes.npz", "blots.npz"))
    for name, pixels in (("a", stripe["x_test"][0]), ("b", stripe["x_test"][1]), ("c", blot["x"][0])):
        Image.fromarray(pixels).save(kept / f"{name}.png")
    return kept


def test_the_demo_tells_what_it_does_not_know(folder: Path, tmp_path: Path) -> None:
    run, sheet = folder / "run/model.sample.keras", tmp_path / "sheet.png"
    done = edgekit("demo", "uncertain", run, photos(folder), "--json", tmp_path / "out.json", "--save", sheet)
    assert done.returncode == 0, done.stderr
    assert "I don't know" in done.stdout
    assert "It knows 2 of 3 pictures; " in done.stderr
    assert "ms a picture in 20 passes." in done.stderr
    rows = json.loads((tmp_path / "out.json").read_text())["results"]
    assert [row["known"] for row in rows] == [True, True, False]
    assert [row["top"][0]["class_id"] for row in rows[:2]] == [0, 1]
    assert all(row["entropy"] > row["mutual_information"] >= 0 for row in rows)
    assert {row["passes"] for row in rows} == {20}
    pixels = np.asarray(Image.open(sheet))
    red = np.flatnonzero((pixels == (255, 0, 0)).all(axis=2).any(axis=0))
    assert pixels.shape == (146, 3 * 112, 3)
    assert red.min() >= 2 * 112  # the last, least sure one alone has a red frame


def test_thresholds_decide_and_a_mean_network_says_that_it_sees_less(folder: Path) -> None:
    mean = folder / "run/model.keras"
    none = doubts(mean, [photos(folder)], threshold=0.0)
    every = doubts(mean, [photos(folder)], threshold=9.0)
    assert [any(a.known for a in none.answers), all(a.known for a in every.answers)] == [False, True]
    assert told_of_mean(every) == (
        f"{mean} takes no noise, so that it sees less: how unsure its weights are shows in the passes of a file .sample "
        "alone."
    )
    assert told_of_mean(doubts(sample_path(mean), [photos(folder)], passes=2)) == ""


def test_a_stranger_to_thresholds_is_asked_for_one(colour_model: Any, folder: Path) -> None:
    path = colour_model(np.eye(3))
    with pytest.raises(InputError) as caught:
        doubts(path, [photos(folder)])
    assert str(caught.value) == (
        f"The card of {path} does not say above which entropy it does not know; give one in nats with --threshold."
    )
    np.save(folder / "numbers.npy", np.zeros((4, 6, 3), np.float32))
    with pytest.raises(InputError, match=r"numbers\.npy is no image; give images or folders of images\.$"):
        doubts(path, [folder / "numbers.npy"], threshold=1.0)


@pytest.mark.slow
def test_files_of_both_networks_keep_what_they_tell(folder: Path, files: Mapping[str, Path]) -> None:
    kinds = [f"{code}.{fmt}" for fmt in ("tflite", "onnx") for code in ("fp32", "int8")]
    assert sorted(files) == sorted([*kinds, *(f"sample.{kind}" for kind in kinds)])
    assert len(list((folder / "files").iterdir())) == 9  # and one manifest
    mean = folder / "run/model.keras"
    for prefix, source in (("", mean), ("sample.", sample_path(mean))):
        paths = [files[f"{prefix}{kind}"] for kind in kinds]
        for path in paths:
            assert open_artifact(path).card.uncertainty == open_artifact(source).card.uncertainty
        report = evaluated(folder, source, *paths, ood=strangers(folder))
        first, *others = (entry.metrics() for entry in report.entries)
        for kind, found in zip(kinds, others, strict=True):
            exact = kind.startswith("fp32")
            for name in ("nll", "entropy", "ood_auroc", "ood_entropy"):
                assert found[name] == pytest.approx(first[name], rel=1e-4 if exact else 0.02), (kind, name)
            assert found["agreement"] == 1
        outputs = compare(source, paths, str(folder / "stripes.npz"), samples=20).entries
        assert min(entry.metrics()["sqnr_db"] for entry in outputs) > 25


@pytest.mark.slow
def test_the_manifest_of_both_repeats_them(folder: Path, files: Mapping[str, Path], tmp_path: Path) -> None:
    (manifest,) = (folder / "files").glob("*.manifest.json")
    done = edgekit("convert", manifest, "-o", tmp_path / "again")
    assert done.returncode == 0, done.stderr
    for path in files.values():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.slow
def test_files_are_timed_bundled_and_checked(folder: Path, files: Mapping[str, Path], tmp_path: Path) -> None:
    path = files["sample.int8.tflite"]
    timed = edgekit("benchmark", path, "--runs", 5, "--warmup", 1, "--min-secs", 0)
    assert timed.returncode == 0, timed.stderr
    packed = edgekit("bundle", path, "--data", folder / "stripes.npz", "-o", tmp_path / "b.zip")
    assert packed.returncode == 0, packed.stderr
    begun = edgekit("check", "init", path, "--data", folder / "stripes.npz", cwd=tmp_path)
    assert begun.returncode == 0, begun.stderr
    again = edgekit("check", cwd=tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
