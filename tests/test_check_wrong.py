"""What is wrong with a configuration, a baseline or the data, each told in one sentence."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from check_project import HOW, LABELS, MODEL, change_card
from command import edgekit
from PIL import Image
from tiny_generator import generator

from edgekit.check import check, init
from edgekit.check.baseline import read_baseline
from edgekit.codec import to_jsonable
from edgekit.errors import InputError


@pytest.fixture
def folder(checked_project: Path, tmp_path: Path) -> Path:
    """A copy of the original to be changed."""
    return Path(shutil.copytree(checked_project, tmp_path / "project"))


def text_of(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return change


def no_models(folder: Path) -> None:
    text_of("edgekit.toml", f'[[models]]\nfile = "{MODEL}"', "")(folder)
    text_of("edgekit.toml", "schema_version = 1", "schema_version = 1\nmodels = []")(folder)


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def cut(folder: Path) -> None:
    text = (folder / "baseline.json").read_text()
    (folder / "baseline.json").write_text(text[: len(text) // 2])


def of_the_model(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        data = json.loads((folder / "baseline.json").read_text())
        change(data["models"][MODEL])
        (folder / "baseline.json").write_text(json.dumps(data))

    return changed


def changed_photos(what: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        with np.load(folder / "photos.npz") as arrays:
            data = dict(arrays)
        match what:
            case "pixel":
                data["x"][5, 0, 0, 0] ^= 1
            case "label":
                data["y"][5] = (data["y"][5] + 1) % 4
            case "count":
                data["x"], data["y"] = data["x"][:-1], data["y"][:-1]
        np.savez(folder / "photos.npz", **data)

    return change


TOML, JSON = "{folder}/edgekit.toml", "{folder}/baseline.json"
MEND = "restore it, or record why with: edgekit check --update --reason TEXT."
WRONG: dict[str, tuple[Callable[[Path], None], str]] = {
    "no configuration": (
        without("edgekit.toml"),
        f"There is no {TOML}; make one with: edgekit check init FILE... --data DATA, or name it with --config.",
    ),
    "an unknown key": (
        text_of("edgekit.toml", "max_drop", "max_dorp"),
        f"{TOML}.budgets has an unknown key 'max_dorp'; known keys: max_drop, max_relative_loss, "
        "min_agreement, min_sqnr_db, max_size_growth, min_calibration_share, max_p50_ratio.",
    ),
    "a missing key": (text_of("edgekit.toml", "source", "#source"), f"{TOML}.data lacks the key 'source'."),
    "another schema of the configuration": (
        text_of("edgekit.toml", "schema_version = 1", "schema_version = 7"),
        f"{TOML} has schema version 7; this edgekit reads 1: use the edgekit that wrote it, or make it anew with: "
        "edgekit check init --force.",
    ),
    "a fraction beyond 1": (
        text_of("edgekit.toml", "max_drop = 0.01", "max_drop = 1.5"),
        "The budget max_drop is 1.5; expected a fraction, such as 0.01 for a hundredth.",
    ),
    "a size that shrinks": (
        text_of("edgekit.toml", "max_size_growth = 0.1", "max_size_growth = -0.1"),
        "The budget max_size_growth is -0.1; expected 0 or more.",
    ),
    "a loss that is none": (
        text_of("edgekit.toml", "max_size_growth = 0.1", "max_relative_loss = -0.1"),
        "The budget max_relative_loss is -0.1; expected 0 or more.",
    ),
    "a ratio of nothing": (
        text_of("edgekit.toml", "max_drop = 0.01", "max_p50_ratio = 0.0"),
        "The budget max_p50_ratio is 0; expected more than 0.",
    ),
    "a ratio to nothing": (
        text_of("edgekit.toml", "max_drop = 0.01", "max_p50_ratio = 2.0"),
        "small.int8.onnx has a max_p50_ratio and nothing to be timed against; name a reference in [latency], or leave "
        "the ratio out.",
    ),
    "no samples": (
        text_of("edgekit.toml", "seed = 0", "samples = 0"),
        "The samples of the data are 0; expected 1 or more, or none to take all.",
    ),
    "a seed below 0": (
        text_of("edgekit.toml", "seed = 0", "seed = -1"),
        "The seed of the data is -1; expected 0 or more.",
    ),
    "no model": (no_models, "There is no model to check; expected [[models]] with a file."),
    "a model twice": (
        text_of("edgekit.toml", "[[models]]", f'[[models]]\nfile = "{MODEL}"\n[[models]]'),
        "The model small.int8.onnx is named twice; name it once.",
    ),
    "a baseline elsewhere": (
        text_of("edgekit.toml", '"baseline.json"', '"../baseline.json"'),
        "The baseline is '../baseline.json'; expected the name of a file beside edgekit.toml.",
    ),
    "a model without a baseline": (
        text_of("edgekit.toml", "[[models]]", '[[models]]\nfile = "small.fp32.onnx"\n[[models]]'),
        "small.fp32.onnx is in edgekit.toml and not in baseline.json; restore what was changed, or record why with: "
        "edgekit check --update --reason TEXT.",
    ),
    "a baseline without its model": (
        text_of("edgekit.toml", MODEL, "small.fp32.onnx"),
        "small.fp32.onnx is in edgekit.toml and not in baseline.json; restore what was changed, or record why with: "
        "edgekit check --update --reason TEXT.",
    ),
    "no model file": (without(MODEL), f"{{folder}}/{MODEL} does not exist; check the path."),
    "no data": (without("photos.npz"), "There is no file or folder {folder}/photos.npz."),
    "a limit that is no number": (
        text_of("edgekit.toml", "max_size_growth = 0.1", "max_size_growth = nan"),
        f"{TOML}.budgets.max_size_growth is nan; expected a finite number.",
    ),
    "a limit without an end": (
        text_of("edgekit.toml", "max_size_growth = 0.1", "max_size_growth = inf"),
        f"{TOML}.budgets.max_size_growth is inf; expected a finite number.",
    ),
    "a size beyond any": (
        of_the_model(lambda model: model.update(model_bytes=10**400)),
        "The baseline has a model without a size or without a latency; make it anew.",
    ),
    "a calibration beyond any": (
        of_the_model(lambda model: model["calibration"].update(count=10**400)),
        "The calibration on train has no number of items that can be; make it anew.",
    ),
    "a calibration on less than nothing": (
        of_the_model(lambda model: model["calibration"].update(count=-1)),
        "The calibration on train has no number of items that can be; make it anew.",
    ),
    "a photo changed": (
        changed_photos("pixel"),
        f"Item 5 of photos is not that of the baseline, or another version of Pillow decodes it otherwise; {MEND}",
    ),
    "a label changed": (changed_photos("label"), f"The labels of photos are not those of the baseline; {MEND}"),
    "a photo less": (changed_photos("count"), f"The data photos has 159 items, the baseline's had 160; {MEND}"),
    "another draw": (
        text_of("edgekit.toml", "seed = 0", "samples = 9\nseed = 1"),
        "The [data] of the configuration asks for 9 items of photos.npz with seed 1, the baseline has all items of "
        f"photos.npz with seed 0; {MEND}",
    ),
    "no baseline": (
        without("baseline.json"),
        f"There is no baseline {JSON}; make one with: edgekit check init --force.",
    ),
    "a baseline of another schema": (
        text_of("baseline.json", '"schema_version": 1', '"schema_version": 99'),
        f"{JSON} has schema version 99; this edgekit reads 1: use the edgekit that wrote it, or make it anew with: "
        "edgekit check init --force.",
    ),
    "a baseline without its data": (text_of("baseline.json", '"data"', '"date"'), f"{JSON} has an unknown key 'date'"),
    "an answer less": (
        of_the_model(lambda model: model["classes"].pop()),
        f"The baseline's answers of {MODEL} are not one for each of its items; make it anew.",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_one_sentence(name: str, folder: Path) -> None:
    change, sentence = WRONG[name]
    change(folder)
    with pytest.raises(InputError) as caught:
        check(folder / "edgekit.toml")
    expected = sentence.replace("{folder}", str(folder))
    assert str(caught.value).startswith(expected)
    assert str(caught.value) == expected or not expected.endswith(".")
    assert caught.value.exit_code == 2


def test_a_damaged_baseline_is_one_sentence(folder: Path) -> None:
    cut(folder)
    done = edgekit("check", cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("edgekit: baseline.json is damaged, it is not JSON: ")
    assert done.stderr.endswith("; restore it, or make it anew with: edgekit check init --force.\n")
    assert done.stderr.count("\n") == 1


def test_a_folder_without_a_configuration_is_told_what_to_do(tmp_path: Path) -> None:
    done = edgekit("check", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "edgekit: There is no edgekit.toml; make one with: edgekit check init FILE... --data DATA, or name it with "
        "--config.\n"
    )


def test_files_that_are_no_text_or_too_large_are_refused(folder: Path) -> None:
    toml, baseline = folder / "edgekit.toml", folder / "baseline.json"
    good = toml.read_bytes()
    for bad in (b"\xff", b"models = [", b"x = " + b"[" * 100_000):
        toml.write_bytes(bad)
        with pytest.raises(InputError) as caught:
            check(toml)
        assert str(caught.value).startswith(f"{toml} is not TOML: ")
    with toml.open("wb") as stream:
        stream.truncate((1 << 20) + 1)
    with pytest.raises(InputError) as caught:
        check(toml)
    assert str(caught.value) == f"{toml} is larger than 1 MB; expected a few lines of TOML."
    toml.write_bytes(good)
    with baseline.open("wb") as stream:
        stream.truncate((256 << 20) + 1)
    with pytest.raises(InputError) as caught:
        check(toml)
    assert str(caught.value) == f"{baseline} is larger than 256 MB; expected a baseline of edgekit check."
    for path in (toml, baseline):
        path.unlink()
        path.mkdir()
        with pytest.raises(InputError) as caught:
            check(toml)
        assert str(caught.value) == f"{path} cannot be read: Is a directory."
        path.rmdir()
        path.write_bytes(good)


def test_data_without_labels_cannot_begin(folder: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "bare.npz", x=np.zeros((3, 8, 8, 3), np.float32))
    with pytest.raises(InputError, match=r"^The data set bare has no labels; expected"):
        init([folder / MODEL], str(tmp_path / "bare.npz"), output_dir=tmp_path / "new")
    assert [p.name for p in tmp_path.iterdir() if p.name != "project"] == ["bare.npz"]


def test_generators_of_pictures_are_not_watched(folder: Path) -> None:
    with pytest.raises(InputError) as caught:
        init([generator(folder / "g.onnx")], str(folder / "photos.npz"), output_dir=folder / "new")
    assert str(caught.value) == (
        "These models are for image-generation, whose figures are of all pictures together, so that a baseline has no "
        "part of each to be compared with: measure these with `edgekit evaluate` and `edgekit compare`."
    )


def test_the_next_command_is_told(folder: Path) -> None:
    for name, quoted in (("new", "new/edgekit.toml"), ("my models", "'my models/edgekit.toml'")):
        done = edgekit("check", "init", MODEL, "--data", "photos.npz", "-o", name, cwd=folder)
        assert done.stderr.splitlines()[-1] == (
            f"Wrote {name}/edgekit.toml and {name}/baseline.json. Check with: edgekit check --config {quoted}"
        )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((MODEL, "--data", "photo"), "There is no data set or path 'photo'; choose one of: digits, "),
        (("none.onnx", "--data", "photos.npz"), "none.onnx does not exist; check the path."),
        (
            (MODEL, "--data", "photos.npz", "--reference", "none.onnx"),
            "new/../none.onnx does not exist; check the path.",
        ),
        (
            (MODEL, "--data", "photos.npz", "--labels", "none"),
            "The labels file new/../none cannot be read: No such file",
        ),
    ],
)
def test_what_is_not_there_is_told_before_anything_is_written(
    arguments: tuple[str, ...], sentence: str, folder: Path
) -> None:
    done = edgekit("check", "init", *arguments, "-o", "new", cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"edgekit: {sentence}")
    assert not (folder / "new").exists()


def test_a_card_file_tells_the_preprocessing(folder: Path) -> None:
    (folder / "cards").mkdir()
    (folder / "cards" / "how.json").write_text(json.dumps(to_jsonable(HOW)))
    change_card(folder / MODEL, preprocessing=None)
    for given, written in (("cards/how.json", "../cards/how.json"), ("unit", "unit")):
        done = edgekit(
            *("check", "init", MODEL, "--data", "photos.npz", "--preprocess", given, "-o", "new", "--force"), cwd=folder
        )
        assert done.returncode == 0, done.stderr
        assert f'preprocess = "{written}"' in (folder / "new" / "edgekit.toml").read_text()
        assert check(folder / "new" / "edgekit.toml").regressed == ()


def test_a_path_is_not_taken_for_a_known_set_or_a_preset(folder: Path) -> None:
    """However it was written, such as with the slash of a shell's completion."""
    with np.load(folder / "photos.npz") as arrays:
        for place in range(0, 160, 20):
            target = folder / "digits" / LABELS[int(arrays["y"][place])]
            target.mkdir(parents=True, exist_ok=True)
            Image.fromarray(arrays["x"][place]).save(target / f"{place}.png")
    (folder / "torch").write_text(json.dumps(to_jsonable(HOW)))
    change_card(folder / MODEL, preprocessing=None)
    for data in ("digits/", "./digits"):
        done = edgekit("check", "init", MODEL, "--data", data, "--preprocess", "./torch", "--force", cwd=folder)
        assert done.returncode == 0, done.stderr
        text = (folder / "edgekit.toml").read_text()
        assert 'source = "./digits"' in text
        assert 'preprocess = "./torch"' in text
        record = read_baseline(folder / "baseline.json")
        assert (record.data.total, record.models[MODEL].preprocessing) == (8, HOW)
    again = edgekit("check", cwd=folder)
    assert (again.returncode, again.stderr) == (0, "")


def test_a_name_that_no_toml_holds_is_refused(folder: Path, tmp_path: Path) -> None:
    name = tmp_path / "caf\udce9.npz"
    shutil.copy(folder / "photos.npz", name)
    with pytest.raises(InputError) as caught:
        init([folder / MODEL], str(name), output_dir=tmp_path)
    assert str(caught.value) == f"{str(name)!r} is a name that is not UTF-8; rename it."
