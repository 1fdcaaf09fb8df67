"""Generator files before a judge, through the real engines and the command line: figures, canaries, sentences."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import edgekit
from PIL import Image
from tiny_generator import NOISE, SIDE, generator, judge, names, real_pictures

from edgekit.artifact import open_artifact
from edgekit.card import DataRef, Provenance, TensorSpec
from edgekit.data import Dataset, Part, item_digest, open_data
from edgekit.data.noise import draws
from edgekit.errors import CardError, DataError, InputError
from edgekit.generation import Condition, Drawn, Generator
from edgekit.measure.evaluate_generation import evaluate_generation
from edgekit.measure.generated import judge_generator, look_at_real
from edgekit.measure.held_out import HeldOut
from edgekit.measure.picture_judge import PictureJudge, open_judge
from edgekit.report import write_report
from edgekit.runtimes import open_runtime


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("judging")


@pytest.fixture(scope="module")
def judging(folder: Path) -> Path:
    return judge(folder / "judge.keras")


@pytest.fixture(scope="module")
def real(folder: Path) -> Path:
    return real_pictures(folder / "shades.npz")


@pytest.fixture(scope="module")
def made(folder: Path) -> Path:
    return generator(folder / "made.onnx")


def all_of(data: Dataset) -> HeldOut:
    return HeldOut(data, (), samples=None, seed=0)


def rows(files: list[Path], data: Path, judging: Path, **options: Any) -> list[dict[str, Any]]:
    return evaluate_generation(files, str(data), judge=judging, **{"samples": 60, **options}).results()


def metrics(files: list[Path], data: Path, judging: Path, **options: Any) -> list[dict[str, float]]:
    return [row["metrics"] for row in rows(files, data, judging, **options)]


def refused(files: list[Path], data: Path, judging: Path | None, **options: Any) -> str:
    """The sentence with which a judgement is refused."""
    with pytest.raises((DataError, InputError)) as caught:
        evaluate_generation(files, str(data), judge=judging, **{"samples": 60, **options})
    return str(caught.value)


def test_a_good_generator_is_near_and_makes_what_is_asked(made: Path, real: Path, judging: Path) -> None:
    (row,) = rows([made], real, judging)
    figures = row["metrics"]
    assert figures["frechet"] < 0.01
    assert figures["precision"] > 0.5
    assert figures["recall"] > 0.3
    assert (figures["conditional_accuracy"], figures["conditional_accuracy_high"]) == (1.0, 1.0)
    assert figures["conditional_accuracy_low"] == pytest.approx(0.94, abs=0.01)
    assert not {"purity", "ssim", "psnr_db", "frechet_change"} & set(figures)
    assert row["judge"] == {
        "artifact": str(judging),
        "sha256": open_artifact(judging).sha256,
        "top1": 1.0,
        "n": 60,
    }
    assert (row["n"], row["left_out"], row["data"], row["seed"]) == (60, 0, "shades", 0)


def test_swapped_classes_are_seen_by_the_asked_class_alone(
    made: Path, real: Path, judging: Path, tmp_path: Path
) -> None:
    swapped = generator(tmp_path / "swapped.onnx", order=(1, 0, 2))
    right, wrong = metrics([made, swapped], real, judging)
    assert right["conditional_accuracy"] == 1.0
    assert wrong["conditional_accuracy"] == pytest.approx(1 / 3, abs=0.15)
    assert wrong["frechet"] < 0.02
    assert wrong["ssim"] < 0.8


def test_collapsed_and_shifted_pictures_are_seen(made: Path, real: Path, judging: Path, tmp_path: Path) -> None:
    collapsed = generator(tmp_path / "collapsed.onnx", order=(1, 1, 1))
    right, wrong = metrics([made, collapsed], real, judging)
    assert wrong["frechet"] > 5 * right["frechet"]
    assert wrong["recall"] < right["recall"]
    assert wrong["frechet_change"] == pytest.approx(wrong["frechet"] / right["frechet"] - 1)


def test_the_rounder_the_weights_the_less_like_are_the_pictures(
    made: Path, real: Path, judging: Path, tmp_path: Path
) -> None:
    files = [made, *(generator(tmp_path / f"{rough}.onnx", rough=rough) for rough in (0.0, 0.01, 0.1))]
    first, same, near, far = metrics(files, real, judging)
    assert (same["ssim"], same["psnr_db"], same["frechet_change"]) == (pytest.approx(1), 200.0, 0.0)
    assert 1 > near["ssim"] > far["ssim"]
    assert 200 > near["psnr_db"] > far["psnr_db"]
    assert first["frechet"] == same["frechet"]


def test_categories_that_were_found_are_judged_by_purity(real: Path, judging: Path, tmp_path: Path) -> None:
    found = generator(tmp_path / "found.onnx", asked=False, codes=2, order=(2, 0, 1))
    one = generator(tmp_path / "one.onnx", asked=False, codes=2, order=(1, 1, 1))
    right, wrong = metrics([found, one], real, judging)
    assert (right["purity"], right["purity_matched"]) == (1.0, 1.0)
    assert (wrong["purity"], wrong["purity_matched"]) == (1.0, pytest.approx(1 / 3, abs=0.15))
    assert "conditional_accuracy" not in right


def test_a_generator_without_classes_has_neither(real: Path, judging: Path, tmp_path: Path) -> None:
    (figures,) = metrics([generator(tmp_path / "plain.onnx", classes=None)], real, judging)
    assert set(figures) == {"frechet", "precision", "recall"}


def test_labels_are_matched_by_name(real: Path, folder: Path, tmp_path: Path) -> None:
    four = judge(folder / "four.keras", classes=3, labels=("grey", "light", "dark"))
    twisted = generator(tmp_path / "twisted.onnx", order=(2, 0, 1))
    data = open_data(str(real), part=Part.EVALUATION, data_dir=None)
    plain = Dataset(name="shades", items=data.items)
    (figures,) = evaluate_generation([twisted], plain, judge=four, samples=30).results()
    assert figures["metrics"]["conditional_accuracy"] == 1.0
    assert figures["judge"]["top1"] is None


def test_the_sheet_shows_classes_along_the_columns(made: Path, real: Path, judging: Path) -> None:
    (row,) = rows([made], real, judging)
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(row["sheet_png"]))))
    assert sheet.shape == (4 * SIDE, 10 * SIDE)
    columns = sheet.reshape(4 * SIDE, 10, SIDE).mean(axis=(0, 2)) / 255
    np.testing.assert_allclose(columns, [(n % 3 + 0.5) / 3 for n in range(10)], atol=0.05)


def test_real_pictures_that_trained_the_judge_are_left_out(made: Path, real: Path, folder: Path) -> None:
    data = open_data(str(real), part=Part.EVALUATION, data_dir=None)
    seen = tuple(item_digest(data.items[i]) for i in range(20))
    used = DataRef(name="shades", digest="0" * 64, count=20, items=seen)
    learned = judge(folder / "learned.keras", provenance=Provenance(training=used))
    report = evaluate_generation([made], data, judge=learned, samples=60)
    assert (report.count, report.left_out, report.made) == (40, 20, 60)


def test_a_seed_decides_what_is_made(made: Path, real: Path, judging: Path) -> None:
    first, again, other = (metrics([made], real, judging, seed=seed)[0] for seed in (1, 1, 2))
    assert first == again != other


def test_real_pictures_are_near_real_ones_and_far_from_noise(judging: Path, tmp_path: Path) -> None:
    seer = open_judge(judging)
    real, more = (
        open_data(str(real_pictures(tmp_path / f"{n}.npz", count=count)), part=Part.EVALUATION, data_dir=None)
        for n, count in enumerate((60, 90))
    )
    known = look_at_real(seer, real, all_of(real))
    pictures = np.stack([more.items[i] for i in range(30, 90)]).astype(np.float32) / 127.5 - 1
    plain = Generator(noise=Drawn(name="noise", size=NOISE))

    def near(_inputs: Any) -> Any:
        return pictures

    def noise(inputs: Any) -> Any:
        return np.random.default_rng(0).uniform(-1, 1, (len(inputs["noise"]), SIDE, SIDE, 1))

    alike = judge_generator(near, plain, seer, known, labels=None, samples=60)
    apart = judge_generator(noise, plain, seer, known, labels=None, samples=60)
    assert alike.frechet < 1e-3 < 0.05 < apart.frechet
    assert alike.precision > 0.9


def test_the_figures_of_a_training_name_the_judge(made: Path, real: Path, judging: Path) -> None:
    seer, data = open_judge(judging), open_data(str(real), part=Part.EVALUATION, data_dir=None)
    runtime, card = open_runtime(made), open_artifact(made).card
    assert card.generator is not None
    found = judge_generator(
        lambda inputs: runtime.run(dict(inputs))["image"],
        card.generator,
        seer,
        look_at_real(seer, data, all_of(data)),
        labels=card.labels,
        samples=60,
    )
    assert found.metrics() == pytest.approx(metrics([made], real, judging)[0])
    *plain, asked = found.for_card("shades", seer)
    assert [metric.name for metric in plain] == ["frechet", "precision", "recall"]
    assert asked.data == f"shades, judge {seer.artifact.sha256[:12]}"
    assert (asked.name, asked.value, asked.count, asked.high) == ("conditional_accuracy", 1.0, 60, 1.0)
    without = judge_generator(
        lambda inputs: runtime.run(dict(inputs))["image"],
        Generator(noise=card.generator.noise, condition=Condition(name="condition", classes=3, asked=False)),
        seer,
        look_at_real(seer, data, all_of(data)),
        labels=None,
        samples=60,
    )
    assert [m.name for m in without.for_card("shades", seer)][-2:] == ["purity", "purity_matched"]


def test_a_softmax_behind_the_last_layer_changes_nothing(real: Path, made: Path, judging: Path, folder: Path) -> None:
    soft = judge(folder / "soft.keras", tail="softmax")
    assert metrics([made], real, soft)[0]["frechet"] == pytest.approx(metrics([made], real, judging)[0]["frechet"])


def test_the_command_writes_the_agreed_json(made: Path, real: Path, judging: Path, tmp_path: Path) -> None:
    rough = generator(tmp_path / "rough.onnx", rough=0.05)
    arguments = ("evaluate", made, rough, "--data", real, "--judge", judging, "--samples", 40)
    done = edgekit(*arguments, "--json", tmp_path / "out.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert "40 pictures beside 40 of shades" in done.stdout.replace("\n", " ")
    data = json.loads((tmp_path / "out.json").read_text())
    assert (data["schema_version"], data["command"], len(data["results"])) == (1, "evaluate", 2)
    assert {"frechet", "ssim", "psnr_db", "frechet_change"} <= set(data["results"][1]["metrics"])
    page = write_report(tmp_path, tmp_path / "page.html").read_text()
    assert page.count("data:image/png;base64,") == 2


def test_what_cannot_be_judged_is_one_sentence(made: Path, real: Path, judging: Path, tmp_path: Path) -> None:
    bare = generator(tmp_path / "bare.onnx", told=False)
    assert refused([made], real, None) == (
        "What a generator makes is judged by a classifier of the same data: train one with edgekit train cnn --data "
        "shades -o judge, and name it with --judge judge."
    )
    assert refused([bare], real, judging) == (
        f"{bare} is no generator by its card: take a file that was made of a trained one, or state the key generator "
        "with edgekit card attach."
    )
    for options in ({"preprocess": "unit"}, {"decoder": "yolov8"}):
        assert refused([made], real, judging, **options) == (
            "A generator takes no pictures and finds no objects; leave --preprocess and --decoder out."
        )
    other = generator(tmp_path / "other.onnx", classes=None)
    assert refused([made, other], real, judging) == (
        f"{other} takes other noise or makes other pictures than {made}; expected files of one generator, which are "
        "compared on the same noise: evaluate others by themselves."
    )
    more = generator(tmp_path / "more.onnx", classes=4)
    assert refused([more], real, judging) == (
        f"The 4 classes of {more} are not among the 3 of the judge {judging}; expected one that was trained on the "
        "same data."
    )
    assert refused([made], real, judging, samples=3) == (
        "The data set shades gives 3 real pictures; expected at least 4."
    )
    arrays = tmp_path / "arrays.npz"
    np.savez(arrays, x=np.zeros((8, 3), np.float32))
    assert refused([made], arrays, judging) == (
        "The data set arrays holds no images; a generator is judged beside real pictures: name such data."
    )
    flat = generator(tmp_path / "flat.onnx", flat=True)
    assert refused([flat], real, judging) == (
        f"{flat} made an array of 144; expected a picture of height x width x 1 or 3, as its card says."
    )
    broken = generator(tmp_path / "broken.onnx", nan=True)
    assert refused([broken], real, judging) == (
        f"A picture of {broken} has 1 of 144 values that are NaN or infinite; expected finite numbers."
    )


def test_few_pictures_are_refused(judging: Path, real: Path) -> None:
    seer, data = open_judge(judging), open_data(str(real), part=Part.EVALUATION, data_dir=None)
    plain, known = Generator(noise=Drawn(name="noise", size=NOISE)), look_at_real(seer, data, all_of(data))
    with pytest.raises(DataError, match=r"^There are 3 pictures of the generator; expected at least 4\.$"):
        judge_generator(lambda _: np.zeros((3, SIDE, SIDE, 1)), plain, seer, known, labels=None, samples=3)
    broken = np.where(np.arange(7 * SIDE * SIDE).reshape(7, SIDE, SIDE, 1) == 5, np.nan, 0.0)
    with pytest.raises(DataError, match=r"^A picture of the generator has 1 of 1008 values that are NaN or infinite; "):
        judge_generator(lambda _: broken, plain, seer, known, labels=None, samples=7)


def test_a_card_that_tells_of_another_generator_is_refused(tmp_path: Path, real: Path, judging: Path) -> None:
    wrong = generator(tmp_path / "wrong.onnx", generator=Generator(noise=Drawn(name="noise", size=99)))
    with pytest.raises(CardError) as caught:
        evaluate_generation([wrong], str(real), judge=judging)
    assert str(caught.value) == (
        f"The card of {wrong} tells of a generator of noise (99 numbers); the model takes condition (3 numbers), noise "
        f"({NOISE} numbers)."
    )


def test_a_card_of_outputs_that_are_no_picture_is_refused(
    made: Path, real: Path, judging: Path, tmp_path: Path
) -> None:
    outputs = (TensorSpec(name="image", shape=(None, 144), dtype="float32"),)
    file = generator(tmp_path / "flat.onnx", flat=True, outputs=outputs)
    with pytest.raises(CardError) as caught:
        evaluate_generation([file], str(real), judge=judging)
    assert str(caught.value) == (
        f"The outputs of {file} are image (any x 144); expected one picture (batch x height x width x 1 or 3)."
    )


def sentence(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        open_judge(path)
    return str(caught.value)


def test_what_cannot_judge_is_refused(made: Path, folder: Path) -> None:
    assert sentence(made) == (
        f"The judge {made} is of the format onnx, which does not show its features; name the .keras file or the folder "
        "of its training."
    )
    stranger = judge(folder / "stranger.keras", task=None)
    blind = judge(folder / "blind.keras", preprocessing=None)
    for file in (stranger, blind):
        assert sentence(file) == (
            f"The judge {file} is no classifier of pictures by its card; train one with edgekit train cnn --data mnist "
            "-o judge."
        )
    pooled = folder / "pooled.keras"
    _replace_last(judge(folder / "whole.keras"), pooled)
    assert sentence(pooled) == (
        f"The last layer of the judge {pooled} is Multiply; expected a Dense layer that gives the classes: train one "
        "with edgekit train cnn --data mnist -o judge."
    )


def _replace_last(source: Path, target: Path) -> None:
    """The judge in ``source`` without its last layer, with its card."""
    import keras

    from edgekit.formats.keras import write_card

    model = keras.models.load_model(source)
    (squares,) = (layer for layer in model.layers if layer.name.startswith("multiply"))
    keras.Model(model.inputs, squares.output).save(target)
    write_card(target, open_artifact(source).card)


def test_classes_are_by_position_where_nobody_names_them(made: Path, real: Path, folder: Path) -> None:
    silent = judge(folder / "silent.keras", labels=None)
    assert metrics([made], real, silent)[0]["conditional_accuracy"] == 1.0
    assert isinstance(open_judge(silent), PictureJudge)
    assert names(3) == ("dark", "grey", "light")


@pytest.mark.slow
def test_converted_files_are_judged_beside_their_source(made: Path, real: Path, judging: Path, tmp_path: Path) -> None:
    told = open_artifact(made).card.generator
    assert told is not None
    np.savez(tmp_path / "noise.npz", **draws(told, 64, 5))
    done = edgekit(
        *("convert", made, "-p", "fp16", "-p", "int8", "-f", "onnx", "--calibration", tmp_path / "noise.npz"),
        *("-o", tmp_path),
    )
    assert done.returncode == 0, done.stderr
    files = [made, tmp_path / "made.fp16.onnx", tmp_path / "made.int8.onnx"]
    assert [open_artifact(file).card.generator for file in files] == [told] * 3
    _, half, whole = metrics(files, real, judging)
    assert half["ssim"] > whole["ssim"] > 0.9
    assert half["psnr_db"] > whole["psnr_db"] > 30
    assert whole["conditional_accuracy"] == 1.0
