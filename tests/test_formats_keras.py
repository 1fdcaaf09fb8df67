"""Keras files: reading without TensorFlow, writing the card as a member of the zip."""

import shutil
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.card import ModelCard, dump_card
from edgekit.errors import ArtifactError, EdgekitError
from edgekit.formats.keras import count_weights, read_card, read_model, write_card

MODELS = Path(__file__).parent / "golden" / "models"
CONVNET = (MODELS / "convnet.keras").read_bytes()


def card(name: str) -> ModelCard:
    return ModelCard(name=name, inputs=(), outputs=())


def test_inputs_outputs_layers_and_weights_are_read(tiny_models: Path) -> None:
    model = read_model(tiny_models / "convnet.keras")
    assert (model.inputs[0].name, model.inputs[0].shape, model.inputs[0].dtype) == ("image", (None, 6, 4, 3), "float32")
    assert (model.outputs[0].name, model.outputs[0].shape) == ("scores", (None, 5))
    assert model.layers == {"InputLayer": 1, "Conv2D": 1, "DepthwiseConv2D": 1, "GlobalAveragePooling2D": 1, "Dense": 1}
    assert model.custom_layers == ()
    assert count_weights(tiny_models / "convnet.keras") == (177, {"float32": 177 * 4})


def test_the_order_of_inputs_and_outputs_is_that_of_the_model(tiny_models: Path) -> None:
    model = read_model(tiny_models / "two_inputs.keras")
    assert [s.name for s in model.inputs] == ["zeta", "alpha"]
    assert [(s.name, s.shape) for s in model.outputs] == [("sum", (None, 4)), ("difference", (None, 4))]


def test_a_card_leaves_the_other_members_as_they_were(tmp_path: Path) -> None:
    path = Path(shutil.copy(MODELS / "convnet.keras", tmp_path))
    write_card(path, card("first"))
    write_card(path, card("second"))
    assert read_card(path) == dump_card(card("second")).encode()
    with zipfile.ZipFile(MODELS / "convnet.keras") as before, zipfile.ZipFile(path) as after:
        assert after.namelist() == [*before.namelist(), "edgekit.json"]
        assert all(before.read(name) == after.read(name) for name in before.namelist())
    written = path.read_bytes()
    write_card(path, card("second"))
    assert path.read_bytes() == written
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no zip", "{} is not a file that Keras 3 saved, or is cut off: it is no zip archive; copy or save it again."),
        (
            CONVNET[:-100],
            "{} is not a file that Keras 3 saved, or is cut off: it is no zip archive; copy or save it again.",
        ),
    ],
)
def test_a_damaged_file_is_one_sentence(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    path.write_bytes(data)
    with pytest.raises(ArtifactError) as caught:
        read_model(path)
    assert str(caught.value) == message.format(path)


def test_a_zip_of_something_else_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("photo.jpg", b"x")
    with pytest.raises(ArtifactError) as caught:
        read_model(path)
    assert str(caught.value) == f"{path} is not a Keras model: it has no config.json; save it with Keras 3."


@pytest.mark.parametrize("config", ["[]", "{}", '{"class_name": "Functional", "config": {"layers": [1]}}'])
def test_a_strange_description_is_one_sentence(config: str, tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", config)
    with pytest.raises(ArtifactError) as caught:
        read_model(path)
    assert str(caught.value) == f"{path} describes no Keras model that edgekit can read; save it again with Keras 3."


def test_an_h5_file_opens_and_takes_no_card(tmp_path: Path) -> None:
    import h5py

    path = tmp_path / "m.h5"
    config = zipfile.ZipFile(MODELS / "convnet.keras").read("config.json").decode()
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = config
        file.create_group("model_weights").create_dataset("kernel", data=[1.0, 2.0])
    assert read_model(path).inputs[0].shape == (None, 6, 4, 3)
    assert count_weights(path) == (2, {"float64": 16})
    with pytest.raises(ArtifactError) as caught:
        write_card(path, card("x"))
    assert str(caught.value) == f"{path} has no place for a card; save the model as .keras first."


@given(length=st.integers(0, len(CONVNET) - 1))
@settings(max_examples=40, deadline=None)
def test_a_truncated_file_never_raises_anything_else(length: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    read_everything(CONVNET[:length], tmp_path_factory.mktemp("cut"))


@given(changes=st.lists(st.tuples(st.integers(0, len(CONVNET) - 1), st.integers(0, 255)), min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_a_changed_file_never_raises_anything_else(
    changes: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = bytearray(CONVNET)
    for position, value in changes:
        data[position] = value
    read_everything(bytes(data), tmp_path_factory.mktemp("changed"))


def read_everything(data: bytes, folder: Path) -> None:
    path = folder / "m.keras"
    path.write_bytes(data)
    sentences: list[str] = []
    for action in (
        lambda: read_model(path),
        lambda: count_weights(path),
        lambda: read_card(path),
        lambda: write_card(path, card("x")),
    ):
        try:
            action()
        except EdgekitError as error:
            sentences.append(str(error))
    assert not any("\n" in s for s in sentences)
