"""Predictions for a few inputs, through the real engines."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import edgekit
from PIL import Image

from edgekit.demos.canvas import Canvas
from edgekit.demos.classify import open_classifier
from edgekit.demos.frames import Frame
from edgekit.errors import DataError, InputError
from edgekit.measure.predict import predict, save_outputs

Make = Callable[..., Path]
MODELS = Path(__file__).parent / "golden" / "models"


def refused(model: Path, *inputs: Path, **options: Any) -> str:
    """The sentence with which a prediction is refused."""
    with pytest.raises((DataError, InputError)) as caught:
        predict(model, inputs, **options)
    return str(caught.value)


def test_images_and_folders_get_named_classes_in_order(colour_model: Make, colour_photos: Path) -> None:
    report = predict(colour_model(), [colour_photos / "green" / "0.png", colour_photos / "red"])
    assert [p.top[0].label for p in report.predictions] == ["green"] + ["red"] * 8
    assert report.predictions[1].source == str(colour_photos / "red" / "0.png")
    for prediction in report.predictions:
        chances = [g.score for g in prediction.top]
        assert chances == sorted(chances, reverse=True)
        assert sum(chances) == pytest.approx(1.0)
    assert report.arrays()["scores"].shape == (9, 3)


def test_scores_of_each_class_for_itself_stay_as_they_are(colour_model: Make, colour_photos: Path) -> None:
    model = colour_model(np.eye(3) / 2, independent_scores=True)
    (found,) = predict(model, [colour_photos / "red" / "0.png"]).predictions
    chances = [guess.score for guess in found.top]
    assert sorted(chances) == sorted(found.outputs["scores"].tolist())
    assert sum(chances) < 0.6


def test_scores_of_each_class_for_itself_are_called_scores(colour_model: Make, colour_photos: Path) -> None:
    photo = colour_photos / "red" / "0.png"
    for apart, called in ((True, "score"), (False, "probability")):
        model = colour_model(np.eye(3) / 2, independent_scores=apart)
        report = predict(model, [photo])
        assert report.table()[1] == ["input", "class", "id", called]
        assert {tuple(guess) for guess in report.results()[0]["top"]} == {("class_id", "label", called)}
        look = open_classifier(model, preprocess=None, labels=None, threads=1, engine=None, top=1)
        assert look.columns == ("class", "id", called)
        pixels = np.asarray(Image.open(photo).convert("RGB"))
        (drawn, by_hand), (seen, _) = (Canvas(pixels), Canvas(pixels)), look(Frame(name="red", pixels=pixels))
        seen.draw(drawn)
        (best,) = seen.top
        assert seen.to_json()["top"] == [{"class_id": 0, "label": "red", called: best.score}]
        by_hand.bars([(best.score, f"{best.score:{'.2f' if apart else '.0%'}} red")])
        np.testing.assert_array_equal(drawn.pixels, by_hand.pixels)


def test_arrays_are_one_item_or_many(colour_model: Make, tmp_path: Path) -> None:
    x = np.zeros((3, 4, 6, 3), np.float32)
    x[np.arange(3), :, :, [2, 1, 0]] = 1
    np.save(tmp_path / "many.npy", x)
    np.save(tmp_path / "one.npy", x[0])
    np.savez(tmp_path / "set.npz", x=x)
    report = predict(colour_model(), [tmp_path / f for f in ("many.npy", "one.npy", "set.npz")], top=1)
    ids = [g.class_id for p in report.predictions for g in p.top]
    assert ids == [2, 1, 0, 2, 2, 1, 0]
    assert report.predictions[1].source == f"{tmp_path / 'many.npy'}[1]"


def test_what_is_no_classifier_shows_figures(colour_model: Make, colour_photos: Path) -> None:
    model = colour_model(np.ones((3, 4)), task=None)
    report = predict(model, [colour_photos / "red" / "0.png"])
    assert report.predictions[0].top == ()
    title, columns, rows = report.table()
    assert title.startswith(f"{model} on onnxruntime ")
    assert columns == ["input", "output", "shape", "min", "max", "mean"]
    assert rows[0][1:3] == ["scores", "4 float32"]
    known = colour_model(np.ones((3, 4)))  # its card says that it classifies
    assert [g.label for g in predict(known, [colour_photos / "red" / "0.png"], top=2).predictions[0].top] == [
        None,
        None,
    ]


def test_models_of_several_inputs_take_arrays_by_name(tmp_path: Path) -> None:
    from edgekit.runtimes import open_runtime

    model = MODELS / "two_inputs.tflite"
    arrays = {
        spec.name: np.ones((2, *(d or 1 for d in spec.shape[1:])), spec.dtype) for spec in open_runtime(model).inputs
    }
    np.savez(tmp_path / "set.npz", **arrays)
    report = predict(model, [tmp_path / "set.npz"])
    assert [sorted(p.outputs) for p in report.predictions] == [["difference", "sum"]] * 2


def test_outputs_are_saved_by_name_whatever_they_are_called(
    colour_model: Make, colour_photos: Path, tmp_path: Path
) -> None:
    report = predict(colour_model(output="file"), [colour_photos / "blue"])
    save_outputs(report, tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as stored:
        assert stored.files == ["file"]
        assert stored["file"].argmax(axis=1).tolist() == [2] * 8


def test_what_cannot_be_predicted_is_refused(colour_model: Make, colour_photos: Path, tmp_path: Path) -> None:
    model, image = colour_model(), colour_photos / "red" / "0.png"
    assert refused(model) == "There is nothing to predict; give images, texts, .npy arrays or .npz files."
    assert refused(model, tmp_path / "no.png") == f"There is no file or folder {tmp_path / 'no.png'}."
    endings = ".jpg, .jpeg, .png, .bmp, .webp, .ppm, .pgm"
    assert refused(model, tmp_path) == f"{tmp_path} holds no images; expected files that end in {endings}."
    assert refused(model, colour_photos) == (
        f"{colour_photos} holds images in its sub-folders only; name one of them, such as {colour_photos / 'blue'}."
    )
    (tmp_path / "a.txt").write_text("x")
    assert refused(model, tmp_path / "a.txt") == (
        f"{tmp_path / 'a.txt'} is no input; expected an image, a folder of images, an .npy or an .npz."
    )
    np.save(tmp_path / "o.npy", np.array([None]))
    assert refused(model, tmp_path / "o.npy") == (
        f"{tmp_path / 'o.npy'} is not a readable .npy of plain numbers: it holds pickled objects, which are not opened."
    )
    os.mkfifo(tmp_path / "p.npy")
    assert refused(model, tmp_path / "p.npy") == (
        f"{tmp_path / 'p.npy'} is not a readable .npy of plain numbers: it is no regular file."
    )
    np.save(tmp_path / "s.npy", np.float32(1))
    assert refused(model, tmp_path / "s.npy") == (
        f"{tmp_path / 's.npy'} holds no array of items; expected one item, or one a row."
    )
    np.save(tmp_path / "n.npy", np.full((1, 4, 6, 3), np.nan))
    assert refused(model, tmp_path / "n.npy") == (
        f"{tmp_path / 'n.npy'} holds NaN or infinite values, first in item 0; expected finite ones."
    )
    assert refused(model, image, labels=("red", "green")) == (
        f"{model} has 3 outputs and 2 labels; give as many with --labels."
    )
    broken = colour_model(np.full((3, 3), np.nan))
    assert refused(broken, image) == (
        f"Output 'scores' of {broken} has 3 of 3 values that are NaN or infinite; expected finite numbers."
    )


def test_the_command_writes_the_agreed_json_and_arrays(colour_model: Make, colour_photos: Path, tmp_path: Path) -> None:
    model, image, out = str(colour_model()), str(colour_photos / "blue" / "3.png"), tmp_path / "out.npz"
    done = edgekit("predict", model, image, "--json", "-", "-o", str(out), "--top", "2")
    data = json.loads(done.stdout)
    (result,) = data["results"]
    assert (data["command"], result["artifact"], result["input"], result["n"]) == ("predict", model, image, 1)
    assert (result["top"][0]["class_id"], result["top"][0]["label"]) == (2, "blue")
    assert len(result["top"]) == 2
    assert result["outputs"]["scores"]["shape"] == [3]
    assert out.exists()
    again = edgekit("predict", model, image, "-o", str(out))
    assert (again.returncode, again.stdout, again.stderr) == (
        2,
        "",
        f"edgekit: {out} exists; use --force to replace it or -o to write elsewhere.\n",
    )
    table = edgekit("predict", model, image, "-o", str(out), "--force")
    assert (table.returncode, table.stderr) == (0, "")
    assert "blue" in table.stdout
