"""Accuracy of model files through the real engines: figures, held-out items, canaries, sentences."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import edgekit

from edgekit.card import DataRef, Provenance
from edgekit.data import Part, item_digest, open_data
from edgekit.errors import DataError, InputError
from edgekit.measure.evaluate import evaluate
from edgekit.preprocessing import Colour, preset

Make = Callable[..., Path]
NAN = np.full((3, 3), np.nan)


def refused(paths: list[Path], data: Any, **options: Any) -> str:
    """The sentence with which an evaluation is refused."""
    with pytest.raises((DataError, InputError)) as caught:
        evaluate(paths, str(data), **options)
    return str(caught.value)


def test_a_right_model_is_right(colour_model: Make, colour_photos: Path) -> None:
    report = evaluate([colour_model()], str(colour_photos))
    (entry,) = report.entries
    assert (report.data, report.count, report.left_out) == ("photos", 24, 0)
    assert (entry.result.top1, entry.result.top5, entry.difference) == (1.0, None, None)
    np.testing.assert_array_equal(entry.result.confusion, 8 * np.eye(3))


def test_swapped_colour_channels_lower_the_accuracy(colour_model: Make, colour_photos: Path) -> None:
    wrong = colour_model(preprocessing=dataclasses.replace(preset("unit", size_hw=(4, 6)), colour=Colour.BGR))
    report = evaluate([colour_model(), wrong], str(colour_photos))
    difference = report.entries[1].difference
    assert report.entries[1].result.top1 == 8 / 24
    assert difference is not None
    assert difference.agreement == 8 / 24
    assert difference.top1_difference == pytest.approx(-16 / 24)
    assert difference.top1_difference_high < -0.4
    assert difference.mcnemar_p == pytest.approx(2 / 2**16)


def test_a_zeroed_layer_shows_and_nan_is_refused(colour_model: Make, colour_photos: Path) -> None:
    zeroed = evaluate([colour_model(np.zeros((3, 3)))], str(colour_photos))
    assert zeroed.entries[0].result.top1 == pytest.approx(1 / 3)
    broken = colour_model(NAN)
    assert refused([broken], colour_photos) == (
        f"The output of {broken} has 72 of 72 values that are NaN or infinite; expected finite numbers."
    )


def test_nothing_is_told_of_probabilities_that_there_are_not(colour_model: Make, colour_photos: Path) -> None:
    paths = [colour_model(), colour_model(np.eye(3), independent_scores=True)]
    report = evaluate(paths, str(colour_photos))
    logits, apart = (entry.metrics() for entry in report.entries)
    assert {"ece", "nll", "entropy"} < set(logits)
    assert sorted(apart) == [
        "agreement", "mcnemar_p", "top1", "top1_difference", "top1_difference_high", "top1_difference_low", "top1_high",
        "top1_low",
    ]  # fmt: skip
    _, columns, rows = report.table()
    told = [dict(zip(columns, row, strict=False)) for row in rows]
    assert [row["ECE"] == row["NLL"] == row["entropy"] == "-" for row in told] == [False, True]
    assert told[1]["top-1 %"] == "100.00"


def test_items_that_calibrated_or_trained_are_left_out_for_all(colour_model: Make, colour_photos: Path) -> None:
    digests = [item_digest(item) for item in open_data(str(colour_photos), part=Part.EVALUATION, data_dir=None)]

    def used(items: list[str]) -> DataRef:
        return DataRef(name="photos", digest="", count=len(items), items=tuple(items))

    calibrated = colour_model(provenance=Provenance(calibration=used(digests[:5])))
    trained = colour_model(provenance=Provenance(training=used(digests[3:8])))
    report = evaluate([colour_model(), calibrated, trained], str(colour_photos))
    assert (report.count, report.left_out) == (16, 8)
    assert report.indices == tuple(range(8, 24))
    assert report.entries[1].classes.tolist() == [1] * 8 + [2] * 8
    assert [e.result.count for e in report.entries] == [16, 16, 16]
    assert report.entries[0].result.confusion.diagonal().tolist() == [8, 8, 0]  # blue comes first
    some = evaluate([calibrated], str(colour_photos), samples=10, seed=1)
    assert some.count == 10
    everything = colour_model(provenance=Provenance(calibration=used(digests)))
    assert refused([everything], colour_photos) == (
        "All 24 items of photos were used to calibrate or train these files: "
        "use other data, or calibrate on fewer items."
    )


def test_samples_are_drawn_by_the_seed(colour_model: Make, colour_photos: Path) -> None:
    model = colour_model()
    counts = [
        evaluate([model], str(colour_photos), samples=7, seed=seed).entries[0].result.confusion for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(counts[0], counts[1])
    assert (counts[0] != counts[2]).any()


def test_labels_are_matched_by_name_or_named_on_the_command_line(colour_model: Make, colour_photos: Path) -> None:
    order = np.roll(np.eye(3), 1, axis=1) * 10
    by_name = colour_model(order, labels=("blue", "red", "green"))
    plain, renamed = evaluate([colour_model(), by_name], str(colour_photos), threads=2).entries
    assert renamed.result.top1 == 1.0
    assert renamed.difference is not None
    assert renamed.difference.agreement == 1.0  # of classes, whatever the numbers of the outputs
    assert plain.subject.runtime._session.get_session_options().intra_op_num_threads == 2  # type: ignore[attr-defined]
    background = colour_model(np.hstack([-np.ones((3, 1)), 10 * np.eye(3)]))
    assert refused([background], colour_photos) == (
        f"The 3 classes of the data set photos cannot be matched with the 4 outputs of {background}: "
        "give the names of its outputs, in their order, with --labels."
    )
    names = ("background", "red", "green", "blue")
    assert evaluate([background], str(colour_photos), labels=names).entries[0].result.top1 == 1.0


def test_known_data_is_evaluated_on_its_test_part(colour_model: Make) -> None:
    assert evaluate([colour_model(np.ones((3, 10)))], "digits").count == 360


def test_foreign_files_need_to_be_told_the_preprocessing(colour_model: Make, colour_photos: Path) -> None:
    foreign = colour_model(card=None)
    assert refused([foreign], colour_photos) == (
        "The data holds images and nothing says how they become the model's float32 input 'image': "
        "say it with --preprocess unit|tf|torch|raw or a card file, or attach a card."
    )
    report = evaluate([foreign], str(colour_photos), preprocess="tf", labels=("red", "green", "blue"))
    assert report.entries[0].result.top1 == 1.0
    assert report.results()[0]["recipe"] == "unknown"


def test_arrays_of_the_models_type_need_no_preprocessing(colour_model: Make, tmp_path: Path) -> None:
    x = np.zeros((3, 4, 6, 3), np.float32)
    x[np.arange(3), :, :, np.arange(3)] = 1
    np.savez(tmp_path / "set.npz", x=x, y=[0, 1, 2])
    assert evaluate([colour_model(card=None)], str(tmp_path / "set.npz")).entries[0].result.top1 == 1.0


def test_what_cannot_be_evaluated_is_refused(colour_model: Make, colour_photos: Path) -> None:
    model = colour_model(task="detection")
    assert refused([model], colour_photos) == (
        f"The card of {model} states the task detection; evaluate measures classification."
    )
    assert refused([colour_model()], colour_photos / "red") == (
        "The data set red has no labels; expected a sub-folder for each class, labels.csv, y in an .npz, or "
        "for texts a .csv with text and label."
    )
    regressor = colour_model(np.ones((3, 1)))
    assert refused([regressor], colour_photos) == (
        f"Output 'scores' of {regressor} is 1 for one item; expected one score for each of two or more classes."
    )


def test_the_command_writes_the_agreed_json(colour_model: Make, colour_photos: Path, tmp_path: Path) -> None:
    model, other = str(colour_model()), str(colour_model(np.zeros((3, 3))))
    out = tmp_path / "out.json"
    done = edgekit("evaluate", model, other, "--data", str(colour_photos), "--json", str(out))
    assert (done.returncode, done.stderr) == (0, "")
    assert "Accuracy on 24 items of photos" in done.stdout
    data = json.loads(out.read_text())
    assert (data["schema_version"], data["command"]) == (1, "evaluate")
    assert data["host"]
    first, second = data["results"]
    assert {k: first[k] for k in ("artifact", "format", "recipe", "n", "left_out")} == {
        "artifact": model,
        "format": "onnx",
        "recipe": "unknown",
        "n": 24,
        "left_out": 0,
    }
    assert len(first["sha256"]) == 64
    assert first["confusion_matrix"] == [[8, 0, 0], [0, 8, 0], [0, 0, 8]]
    assert first["metrics"]["top1"] == 1.0
    assert sorted(first["metrics"]) == ["ece", "entropy", "nll", "top1", "top1_high", "top1_low"]
    assert sorted(set(second["metrics"]) - set(first["metrics"])) == [
        "agreement",
        "ece_difference",
        "mcnemar_p",
        "nll_difference",
        "nll_difference_high",
        "nll_difference_low",
        "top1_difference",
        "top1_difference_high",
        "top1_difference_low",
    ]


def test_bad_input_is_one_sentence_and_exit_code_2(colour_model: Make, colour_photos: Path) -> None:
    done = edgekit("evaluate", str(colour_model(card=None)), "--data", str(colour_photos))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "edgekit: The data holds images and nothing says how they become the model's float32 input 'image': "
        "say it with --preprocess unit|tf|torch|raw or a card file, or attach a card.\n"
    )
    done = edgekit("evaluate", str(colour_model()), "--data", "mnits", "--json", "-")
    assert (done.returncode, done.stderr) == (
        2,
        "edgekit: There is no data set or path 'mnits'; did you mean mnist?\n",
    )


@pytest.mark.shared_data
def test_the_published_resnet8_scores_what_its_authors_say(shared_data: Path) -> None:
    paths = [shared_data / "models" / f"resnet8_cifar10_{kind}.tflite" for kind in ("float", "int8")]
    report = evaluate(paths, "cifar10", data_dir=shared_data, preprocess="raw")
    assert [e.result.top1 for e in report.entries] == [0.8745, 0.872]


@pytest.mark.shared_data
def test_a_foreign_quantized_mobilenet_is_fed_and_matched_right(shared_data: Path) -> None:
    path = shared_data / "models" / "mobilenet_v1_0.25_128_quant.tflite"
    report = evaluate([path], "imagenet_mini", data_dir=shared_data, preprocess="tf")
    assert report.entries[0].result.top1 == pytest.approx(263 / 600, abs=0.005)
