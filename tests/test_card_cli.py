"""``edgekit card show`` and ``edgekit card attach``."""

import json
import shutil
from dataclasses import fields
from pathlib import Path

import pytest
from command import edgekit

from edgekit.artifact import open_artifact
from edgekit.card import ModelCard

LABELS = ["a", "b", "c", "d", "e"]
KEYS = ", ".join(field.name for field in fields(ModelCard))


@pytest.fixture
def model(tiny_models: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(tiny_models / "convnet.tflite", tmp_path))


def card_file(folder: Path, card: object) -> Path:
    path = folder / "card.json"
    path.write_text(json.dumps(card))
    return path


def test_a_part_of_a_card_is_enough(model: Path, tmp_path: Path) -> None:
    part = {"task": "classification", "labels": LABELS, "preprocessing": None}
    done = edgekit("card", "attach", model, card_file(tmp_path, part))
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"{model} has the card now. Unknown: preprocessing.\n"
    artifact = open_artifact(model)
    assert not artifact.foreign
    assert (artifact.card.task, artifact.card.labels) == ("classification", tuple(LABELS))
    assert [s.name for s in artifact.card.inputs] == ["image"]


def test_what_is_shown_can_be_attached(model: Path, tmp_path: Path) -> None:
    shown = edgekit("card", "show", model)
    assert shown.returncode == 0
    assert shown.stderr == (
        f"{model} has no card; this was read from the model. Unknown: task, preprocessing, labels.\n"
    )
    preprocessing = {"size_hw": [6, 4], "resize": "stretch", "scale": [2.0], "offset": [-1.0]}
    card = {**json.loads(shown.stdout), "task": "classification", "labels": LABELS, "preprocessing": preprocessing}
    assert edgekit("card", "attach", model, card_file(tmp_path, card)).stderr == f"{model} has the card now.\n"
    again = edgekit("card", "show", model)
    assert json.loads(again.stdout)["preprocessing"]["resize"] == "stretch"
    assert again.stderr == ""


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ({"lables": LABELS}, f"{{file}} has an unknown key 'lables'; known keys: {KEYS}."),
        ({"task": "classification", "labels": ["a"]}, "The card has 1 labels; the model has 5 classes."),
        ({"preprocessing": {"size_hw": [9, 9], "resize": "stretch"}},
         "The card's preprocessing makes images of 9 x 9 x 3 (nhwc); the model's input 'image' is "
         "1 x 6 x 4 x 3 float32."),
        ([1], "{file} holds no JSON object; expected keys of a card such as task, preprocessing, labels."),
    ],
)  # fmt: skip
def test_a_card_that_does_not_fit_changes_nothing(card: object, message: str, model: Path, tmp_path: Path) -> None:
    before = model.read_bytes()
    file = card_file(tmp_path, card)
    done = edgekit("card", "attach", model, file)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"edgekit: {message.format(file=file)}\n"
    assert model.read_bytes() == before


def test_files_that_cannot_be_read_are_one_sentence(model: Path, tmp_path: Path) -> None:
    missing = edgekit("card", "attach", model, tmp_path / "none.json")
    assert missing.returncode == 2
    assert missing.stderr == f"edgekit: {tmp_path / 'none.json'} cannot be read: No such file or directory.\n"
    (tmp_path / "bad.json").write_text("{")
    bad = edgekit("card", "attach", model, tmp_path / "bad.json")
    assert bad.returncode == 2
    assert bad.stderr.startswith(f"edgekit: {tmp_path / 'bad.json'} is not JSON: ")
    assert bad.stderr.count("\n") == 1
