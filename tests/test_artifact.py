"""A model file with its card, in every format."""

import json
import shutil
import zipfile
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_sequences import LETTERS, WORDS, answerer, forecaster, one_hot

from edgekit.anomaly import Anomaly
from edgekit.artifact import Artifact, Format, attach_card, open_artifact, with_card
from edgekit.card import DataRef, Metric, ModelCard, Provenance
from edgekit.errors import ArtifactError, CardError
from edgekit.files import sha256_file
from edgekit.generation import Drawn, Generator
from edgekit.preprocessing import Layout, preset
from edgekit.recipe import Precision, Recipe
from edgekit.sequences import Encoding, Scaling, Sequences, Series, Text

FILES = ["convnet.tflite", "convnet_int8.tflite", "convnet.onnx", "quantized_interface.onnx", "convnet.keras"]


def copied(name: str, folder: Path) -> Path:
    return Path(shutil.copy(Path(__file__).parent / "golden" / "models" / name, folder))


@pytest.mark.parametrize("name", FILES)
def test_a_file_without_card_opens_and_says_what_is_unknown(name: str, tmp_path: Path) -> None:
    path = copied(name, tmp_path)
    artifact = open_artifact(path)
    assert artifact.foreign
    assert artifact.card.name == path.stem
    assert artifact.card.inputs
    assert artifact.card.outputs
    assert artifact.card.unknown() == ("task", "preprocessing", "labels")
    assert (artifact.sha256, artifact.model_bytes) == (sha256_file(path), path.stat().st_size)
    assert artifact.recipe == ("source" if path.suffix == ".keras" else "unknown")


@pytest.mark.parametrize(
    ("stated", "unknown"),
    [
        ({}, ("task", "preprocessing", "labels")),
        ({"task": "classification"}, ("preprocessing", "labels")),
        ({"task": "anomaly-detection", "anomaly": Anomaly(threshold=1.0, chosen="by hand")}, ("preprocessing",)),
        ({"task": "text-generation", "sequences": Sequences(text=one_hot(4))}, ()),
        ({"task": "sequence-to-sequence", "sequences": Sequences(text=one_hot(4))}, ()),
        ({"task": "text-classification", "sequences": Sequences(text=one_hot(4))}, ("labels",)),
    ],
)
def test_only_what_a_model_of_its_kind_needs_is_unknown(stated: Any, unknown: tuple[str, ...]) -> None:
    assert ModelCard(name="made", inputs=(), outputs=(), **stated).unknown() == unknown


@pytest.mark.parametrize("name", ["convnet.tflite", "convnet_int8.tflite", "convnet.onnx", "convnet.keras"])
def test_a_card_comes_back_from_the_file(name: str, tmp_path: Path) -> None:
    path = copied(name, tmp_path)
    card = full_card(open_artifact(path))
    artifact = attach_card(path, card)
    assert artifact.card == card
    assert not artifact.foreign
    assert artifact.card.unknown() == ()
    assert artifact.recipe == "int8"
    written = path.read_bytes()
    attach_card(path, card)
    assert path.read_bytes() == written


def full_card(artifact: Artifact) -> ModelCard:
    return ModelCard(
        name="über-net",
        task="classification",
        inputs=artifact.card.inputs,
        outputs=artifact.card.outputs,
        preprocessing=preset("tf", size_hw=(6, 4)),
        labels=("a", "b", "c", "d", "é"),
        provenance=Provenance(
            recipe=Recipe(precision=Precision.INT8),
            calibration=DataRef(name="digits", digest="0" * 64, count=3, seed=0, items=("01234567",)),
            tools={"edgekit": "0.1.0"},
        ),
        metrics=(Metric(name="top1", value=0.5, data="digits", count=10, low=0.2, high=0.8),),
    )


TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)


@given(name=TEXT, labels=st.none() | st.lists(TEXT, min_size=5, max_size=5).map(tuple), notes=st.lists(TEXT).map(tuple))
@settings(max_examples=30, deadline=None)
@pytest.mark.parametrize("file", ["convnet.tflite", "convnet.onnx", "convnet.keras"])
def test_any_text_survives_the_round_trip(
    file: str,
    name: str,
    labels: tuple[str, ...] | None,
    notes: tuple[str, ...],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = copied(file, tmp_path_factory.mktemp("round"))
    known = open_artifact(path).card
    card = ModelCard(
        name=name, inputs=known.inputs, outputs=known.outputs, labels=labels, provenance=Provenance(notes=notes)
    )
    assert attach_card(path, card).card == card


def test_labels_given_replace_those_of_the_card(tmp_path: Path) -> None:
    artifact = open_artifact(copied("convnet.tflite", tmp_path), labels=("x", "y"))
    assert artifact.card.labels == ("x", "y")


def test_a_training_folder_means_its_model(tmp_path: Path) -> None:
    copied("convnet.keras", tmp_path).rename(tmp_path / "model.keras")
    artifact = open_artifact(tmp_path)
    assert (artifact.path, artifact.format) == (tmp_path / "model.keras", Format.KERAS)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("m.tflite", None, "{} does not exist; check the path."),
        ("m.tflite", b"", "{} is empty; copy, download or convert it again."),
        ("m.onnx", b"", "{} is empty; copy, download or convert it again."),
        ("m.keras", b"", "{} is empty; copy, download or convert it again."),
        ("m.pt", b"x", "{} is no kind of model that edgekit knows; give a .tflite, .onnx, .keras or .h5 file."),
        ("m.tflite", b"x" * 50, "{} is not a TFLite file: it lacks the mark TFL3; check what the file is."),
        ("m.h5", b"x" * 50, "{} is damaged: Unable to synchronously open file (file signature not found); "
         "copy or save it again."),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_one_sentence(
    name: str, data: bytes | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ArtifactError) as caught:
        open_artifact(path)
    assert str(caught.value) == message.format(path)


def test_a_folder_without_a_model_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError) as caught:
        open_artifact(tmp_path)
    assert str(caught.value) == f"{tmp_path} is a folder without model.keras; give a .tflite, .onnx or .keras file."


def test_a_card_of_another_edgekit_is_one_sentence(tmp_path: Path) -> None:
    from edgekit.formats.tflite_card import write_metadata

    path = copied("convnet.tflite", tmp_path)
    path.write_bytes(write_metadata(path.read_bytes(), "edgekit.card", b'{"colour": 1}', where="m"))
    with pytest.raises(CardError) as caught:
        open_artifact(path)
    known = ", ".join(field.name for field in fields(ModelCard))
    assert str(caught.value) == f"the card in {path} has an unknown key 'colour'; known keys: {known}."


def test_what_takes_no_pictures_needs_no_preprocessing() -> None:
    maker = Generator(noise=Drawn(name="noise", size=8))
    assert ModelCard(name="made", inputs=(), outputs=(), generator=maker).unknown() == ("task",)


def changed(card: ModelCard, **changes: object) -> ModelCard:
    import dataclasses

    return dataclasses.replace(card, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ("a", "b")}, "The card has 2 labels; the model has 5 classes."),
        (
            {"preprocessing": preset("tf", size_hw=(4, 6))},
            "The card's preprocessing makes images of 4 x 6 x 3 (nhwc); the model's input 'image' is "
            "1 x 6 x 4 x 3 float32.",
        ),
        (
            {"preprocessing": preset("tf", size_hw=(6, 4), layout=Layout.NCHW)},
            "The card's preprocessing makes images of 3 x 6 x 4 (nchw); the model's input 'image' is "
            "1 x 6 x 4 x 3 float32.",
        ),
        ({"inputs": ()}, "The card names the inputs []; the model has ['image']."),
        ({"outputs": ()}, "The card names the outputs []; the model has ['scores']."),
    ],
)
def test_a_card_that_does_not_fit_is_refused(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    path = copied("convnet.tflite", tmp_path)
    before = path.read_bytes()
    with pytest.raises(CardError) as caught:
        attach_card(path, changed(full_card(open_artifact(path)), **changes))
    assert str(caught.value) == message
    assert path.read_bytes() == before


def test_a_damaged_graph_is_noticed_beside_a_whole_card(tmp_path: Path) -> None:
    import onnx

    path = copied("convnet.onnx", tmp_path)
    card = open_artifact(path).card
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.elem_type = 99
    path.write_bytes(with_card(model.SerializeToString(), card, Format.ONNX))
    with pytest.raises(ArtifactError, match=r"a tensor has type number 99"):
        open_artifact(path)


def test_a_card_of_another_model_is_refused(tmp_path: Path) -> None:
    card = full_card(open_artifact(copied("convnet_int8.tflite", tmp_path)))
    with pytest.raises(CardError) as caught:
        attach_card(copied("convnet.tflite", tmp_path), card)
    assert (
        str(caught.value)
        == "The card says that input 'image' is 1 x 6 x 4 x 3 int8; in the model it is 1 x 6 x 4 x 3 float32."
    )


def test_a_keras_file_takes_its_card_in_place(tmp_path: Path) -> None:
    card = open_artifact(copied("convnet.keras", tmp_path)).card
    with pytest.raises(ArtifactError) as caught:
        with_card(b"", card, Format.KERAS)
    assert str(caught.value) == "A Keras file takes its card in place; use edgekit.formats.keras.write_card."


@pytest.mark.shared_data
def test_every_foreign_model_opens(shared_data: Path) -> None:
    files = [f for f in sorted((shared_data / "models").iterdir()) if f.suffix in (".tflite", ".onnx", ".h5")]
    cards = {f.name: open_artifact(f).card for f in files}
    assert len(cards) == 14
    assert all(card.inputs for card in cards.values())
    labels = cards["mobilenet_v1_0.25_128_quant.tflite"].labels
    assert labels is not None
    assert (len(labels), labels[0]) == (1001, "background")


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "caf\udce9.onnx"
    with pytest.raises(ArtifactError) as caught:
        open_artifact(path)
    assert str(caught.value) == f"{str(path)!r} is a name that is not UTF-8; rename the file."


def test_a_tensor_that_no_memory_holds_is_refused(tmp_path: Path, tiny_models: Path) -> None:
    path = tmp_path / "vast.keras"
    with zipfile.ZipFile(tiny_models / "convnet.keras") as source, zipfile.ZipFile(path, "w") as target:
        config = json.loads(source.read("config.json"))
        (first,) = [layer for layer in config["config"]["layers"] if layer["class_name"] == "InputLayer"]
        first["config"]["batch_shape"] = [None, 1 << 40, 1 << 40, 3]
        target.writestr("config.json", json.dumps(config))
    name = first["config"]["name"]
    with pytest.raises(ArtifactError) as caught:
        open_artifact(path)
    assert str(caught.value) == (
        f"{path}: {name!r} is any x 1099511627776 x 1099511627776 x 3 float32, which no memory holds; "
        "export a smaller one."
    )


def test_a_card_of_sequences_must_fit_the_model(tmp_path: Path) -> None:
    answers = answerer(tmp_path / "a.onnx", np.eye(3))
    series = forecaster(tmp_path / "f.onnx", [0, 1])
    for path, sequences, told in (
        (
            answers,
            Sequences(text=one_hot(4)),
            "have 4 x 3 for an item; the model's input 'text' is any x 3 x 3 float32",
        ),
        (
            answers,
            Sequences(text=one_hot(3), answer=one_hot(3, WORDS)),
            "have 3 x 5 for an item; the model's output 'logits' is any x 3 x 3 float32",
        ),
        (
            answers,
            Sequences(text=Text(vocabulary=LETTERS, length=3, encoding=Encoding.INDEX)),
            "have 3 for an item; the model's input 'text' is any x 3 x 3 float32",
        ),
        (
            series,
            Sequences(series=Series(length=2, columns=("a", "b"), scaling=Scaling.NONE)),
            "have 2 x 2 for an item; the model's input 'window' is any x 2 x 1 float32",
        ),
    ):
        card = open_artifact(path).card
        assert attach_card(path, card).card == card
        with pytest.raises(CardError) as caught:
            attach_card(path, replace(card, sequences=sequences))
        assert str(caught.value) == f"The card's sequences {told}."
