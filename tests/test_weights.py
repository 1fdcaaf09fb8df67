"""Weights trained elsewhere: recognised exactly, refused when anything is left over, missing or of another shape."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.artifact import open_artifact
from edgekit.card import BACKGROUND
from edgekit.errors import InputError
from edgekit.files import sha256_file
from edgekit.models.build import build, build_file, build_with_weights
from edgekit.models.registry import find_spec
from edgekit.models.weight_sets import WEIGHT_SETS

Arrays = dict[str, np.ndarray[Any, Any]]
V1_SET, V2_SET = WEIGHT_SETS
V1_ARGUMENTS: dict[str, Any] = {"alpha": 0.25, "size": 32, "classes": 5}
V2_ARGUMENTS: dict[str, Any] = {"alpha": 0.25, "size": 32, "classes": 5, "padding": "torch", "epsilon": 1e-5}


def keras_named(model: Any) -> Arrays:
    """The values of a MobileNetV1 as the Keras-named set has them."""
    arrays: Arrays = {}
    for layer in model.layers:
        for (key, _), value in zip(V1_SET.slots(model).get(layer.name, ()), layer.get_weights(), strict=True):
            arrays[key] = value[None, None] if key == "conv_preds/kernel" else value
    return arrays


def torch_named(model: Any) -> Arrays:
    """The values of a MobileNetV2 as torchvision has them."""
    arrays: Arrays = {}
    for layer in model.layers:
        for (key, _), value in zip(V2_SET.slots(model).get(layer.name, ()), layer.get_weights(), strict=True):
            if value.ndim == 4:
                value = value.transpose((2, 3, 0, 1) if layer.name.endswith("_depthwise") else (3, 2, 0, 1))
            arrays[key] = value.T if key == "classifier.1.weight" else value
    return arrays


def write(path: Path, arrays: Arrays) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


@pytest.fixture(scope="module")
def v2_arrays() -> Arrays:
    return torch_named(build(find_spec("mobilenet_v2"), seed=5, **V2_ARGUMENTS))


def test_torch_names_give_the_same_network(v2_arrays: Arrays, tmp_path: Path) -> None:
    counters: Arrays = {"features.0.1.num_batches_tracked": np.array(7)}
    path = write(tmp_path / "w.npz", v2_arrays | counters)
    model, imported, arguments = build_with_weights(find_spec("mobilenet_v2"), path, arguments={"size": 32})
    assert {k: arguments[k] for k in V2_ARGUMENTS} == V2_ARGUMENTS
    assert (imported.preprocess, imported.background) == ("torch", False)
    expected = build(find_spec("mobilenet_v2"), seed=5, **V2_ARGUMENTS).get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), expected, strict=True))


TORCH_PLACES = {
    "features.0.0.weight": ("stem", "kernel"),
    "features.0.1.weight": ("stem_bn", "gamma"),
    "features.0.1.bias": ("stem_bn", "beta"),
    "features.0.1.running_mean": ("stem_bn", "moving_mean"),
    "features.0.1.running_var": ("stem_bn", "moving_variance"),
    "features.1.conv.0.0.weight": ("block_1_depthwise", "kernel"),
    "features.1.conv.1.weight": ("block_1_project", "kernel"),
    "features.1.conv.2.running_mean": ("block_1_project_bn", "moving_mean"),
    "features.2.conv.0.0.weight": ("block_2_expand", "kernel"),
    "features.2.conv.1.1.bias": ("block_2_depthwise_bn", "beta"),
    "features.2.conv.2.weight": ("block_2_project", "kernel"),
    "features.2.conv.3.running_var": ("block_2_project_bn", "moving_variance"),
    "features.18.0.weight": ("head", "kernel"),
    "classifier.1.bias": ("logits", "bias"),
}
KERAS_PLACES = {
    "conv1/kernel": ("conv1", "kernel"),
    "conv1_bn/gamma": ("conv1_bn", "gamma"),
    "conv1_bn/beta": ("conv1_bn", "beta"),
    "conv1_bn/moving_mean": ("conv1_bn", "moving_mean"),
    "conv1_bn/moving_variance": ("conv1_bn", "moving_variance"),
    "conv_dw_1/depthwise_kernel": ("conv_dw_1", "kernel"),
    "conv_pw_13/kernel": ("conv_pw_13", "kernel"),
    "conv_preds/bias": ("logits", "bias"),
}


@pytest.mark.parametrize(("name", "places"), [("mobilenet_v2", TORCH_PLACES), ("mobilenet_v1", KERAS_PLACES)])
def test_each_array_goes_where_its_name_says(
    name: str, places: dict[str, tuple[str, str]], v2_arrays: Arrays, tmp_path: Path
) -> None:
    arrays = v2_arrays if name == "mobilenet_v2" else keras_named(build(find_spec(name), **V1_ARGUMENTS))
    marked = {key: np.full_like(arrays[key], mark) for mark, key in enumerate(places, 1)}
    path = write(tmp_path / "w.npz", arrays | marked)
    model, _, _ = build_with_weights(find_spec(name), path, arguments={"size": 32})
    for mark, (key, (layer, variable)) in enumerate(places.items(), 1):
        values = getattr(model.get_layer(layer), variable).numpy()
        assert (values == mark).all(), key


def test_keras_names_give_the_same_network(tmp_path: Path) -> None:
    source = build(find_spec("mobilenet_v1"), seed=5, **V1_ARGUMENTS)
    path = write(tmp_path / "w.npz", keras_named(source))
    model, imported, arguments = build_with_weights(find_spec("mobilenet_v1"), path, arguments={"size": 32})
    assert {k: arguments[k] for k in V1_ARGUMENTS} == V1_ARGUMENTS
    assert imported.preprocess == "tf"
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), source.get_weights(), strict=True))


def without(name: str) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {k: v for k, v in arrays.items() if k != name}


def with_shape(name: str, *shape: int) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {**arrays, name: np.zeros(shape, np.float32)}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            without("features.3.conv.1.1.bias"),
            "{path} lacks 'features.3.conv.1.1.bias', one of 262 arrays of torchvision MobileNetV2.",
        ),
        (
            with_shape("extra.weight", 3),
            "{path} has 'extra.weight', which torchvision MobileNetV2 does not have.",
        ),
        (
            with_shape("features.2.conv.0.0.weight", 48, 8, 3, 3),
            "{path}: features.2.conv.0.0.weight has shape (3, 3, 8, 48) for block_2_expand/kernel; "
            "expected (1, 1, 8, 48).",
        ),
        (without("classifier.1.weight"), "The weights lack 'classifier.1.weight', which torchvision MobileNetV2 has."),
        (
            without("features.0.0.weight"),
            "{path} holds no weights that edgekit knows: it has classifier.1.bias, classifier.1.weight, "
            "features.0.1.bias; expected Keras-named MobileNetV1 (conv_preds/kernel, ...), "
            "torchvision MobileNetV2 (features.0.0.weight, ...).",
        ),
    ],
    ids=["missing", "left over", "shape", "no classifier", "unknown"],
)
def test_damaged_weights_are_refused(
    damage: Callable[[Arrays], Arrays], message: str, v2_arrays: Arrays, tmp_path: Path
) -> None:
    path = write(tmp_path / "w.npz", damage(v2_arrays))
    with pytest.raises(InputError) as caught:
        build_file(find_spec("mobilenet_v2"), tmp_path / "m.keras", overrides={"size": 32}, weights=path)
    assert str(caught.value) == message.format(path=path)
    assert [p.name for p in tmp_path.iterdir()] == ["w.npz"]


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        (
            "mobilenet_v2",
            {"alpha": 0.5},
            "{path} was trained with alpha 0.25; got 0.5: leave alpha out.",
        ),
        ("mobilenet_v1", {}, "{path} holds torchvision MobileNetV2, not mobilenet_v1; build mobilenet_v2 instead."),
    ],
)
def test_weights_of_another_model_are_refused(
    name: str, overrides: dict[str, Any], message: str, v2_arrays: Arrays, tmp_path: Path
) -> None:
    path = write(tmp_path / "w.npz", v2_arrays)
    with pytest.raises(InputError) as caught:
        build_with_weights(find_spec(name), path, arguments=overrides)
    assert str(caught.value) == message.format(path=path)


def test_a_keras_file_with_another_stem_is_refused(tmp_path: Path) -> None:
    spec, path = find_spec("resnet18"), tmp_path / "small.keras"
    narrow: dict[str, Any] = {"alpha": 0.05, "size": 32, "classes": 5}
    build_file(spec, path, overrides={**narrow, "stem": "small"})
    with pytest.raises(InputError) as caught:
        build_with_weights(spec, path, arguments={"stem": "imagenet"})
    assert str(caught.value) == f"{path} was trained with stem small; got imagenet: leave stem out."
    assert build_with_weights(spec, path, arguments={})[2] == spec.resolved({**narrow, "stem": "small"})


def test_a_stack_of_fewer_layers_does_not_take_the_weights_of_some(tmp_path: Path) -> None:
    spec, path = find_spec("dbn"), tmp_path / "deep.keras"
    build_file(spec, path, overrides={"units": 4, "depth": 2})
    with pytest.raises(InputError) as caught:
        build_with_weights(spec, path, arguments={"depth": 1})
    assert str(caught.value) == f"{path} was trained with depth 2; got 1: leave depth out."


def test_the_image_size_must_be_said_where_the_weights_do_not_say_it(tmp_path: Path) -> None:
    path = write(tmp_path / "w.npz", keras_named(build(find_spec("mobilenet_v1"), **V1_ARGUMENTS)))
    with pytest.raises(InputError) as caught:
        build_with_weights(find_spec("mobilenet_v1"), path, arguments={})
    assert str(caught.value) == f"{path} does not say its image size; give --size with the one it was trained at."


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.npz", None, "There is no file {path}; give --weights an .npz, .keras or .weights.h5 file."),
        ("w.bin", b"x", "{path} is not a file of weights; expected .npz, .keras or .weights.h5."),
        ("w.npz", b"", "{path} cannot be read as .npz: File is not a zip file."),
    ],
)
def test_files_that_are_no_weights_are_refused(name: str, content: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        build_with_weights(find_spec("mlp"), path, arguments={})
    assert str(caught.value) == message.format(path=path)


def test_a_keras_file_brings_its_arguments_and_can_get_a_new_last_layer(tmp_path: Path) -> None:
    spec = find_spec("mobilenet_v2")
    first = build_file(spec, tmp_path / "a.keras", overrides={"alpha": 0.25, "size": 32, "classes": 5}, seed=8)
    model, imported, arguments = build_with_weights(spec, first.path, arguments={}, classes=3, seed=9)
    assert (arguments["alpha"], arguments["size"], arguments["classes"]) == (0.25, 32, 3)
    assert imported.provenance.source_sha256 == sha256_file(first.path)
    source = build(spec, seed=8, alpha=0.25, size=32, classes=5)
    for layer in source.layers:
        taken = model.get_layer(layer.name).get_weights()
        same = [np.array_equal(a, b) for a, b in zip(layer.get_weights(), taken, strict=True)]
        assert all(same) == (layer.name != "logits")


@pytest.mark.parametrize("size", [None, 4])
def test_a_keras_file_of_another_architecture_is_refused(size: int | None, tmp_path: Path) -> None:
    import keras

    spec, path = find_spec("mlp"), tmp_path / "a.keras"
    if size is None:
        build_file(find_spec("cnn"), path, overrides={})
        message = f"{path} holds cnn, not mlp; use it with cnn instead."
    else:
        keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(size)]).save(path)
        first = next(layer.name for layer in build(spec).layers if layer.weights)
        message = f"{path} has no layer {first!r}; expected a model of the same architecture."
    with pytest.raises(InputError) as caught:
        build_with_weights(spec, path, arguments={})
    assert str(caught.value) == message


def test_a_keras_layer_without_bias_is_refused(tmp_path: Path) -> None:
    import keras

    path = tmp_path / "a.keras"
    first = next(layer for layer in build(find_spec("mlp")).layers if layer.weights)
    dense = keras.layers.Dense(first.units, use_bias=False, name=first.name)
    keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten(), dense]).save(path)
    with pytest.raises(InputError) as caught:
        build_with_weights(find_spec("mlp"), path, arguments={})
    assert str(caught.value) == f"{path} has 1 arrays for layer {first.name!r}; expected 2."


def test_a_file_of_plain_keras_weights_fits_or_is_refused(tmp_path: Path) -> None:
    spec, path = find_spec("mlp"), tmp_path / "m.weights.h5"
    source = build(spec, seed=8, units=4)
    source.save_weights(path)
    model, _, _ = build_with_weights(spec, path, arguments={"units": 4})
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), source.get_weights(), strict=True))
    with pytest.raises(InputError, match=rf"^{path} does not fit mlp: .*\.$"):
        build_with_weights(spec, path, arguments={"units": 5})


def test_labels_of_the_classes_are_completed_with_the_background(tmp_path: Path) -> None:
    arrays = keras_named(build(find_spec("mobilenet_v1"), **{**V1_ARGUMENTS, "classes": 1001}))
    path = write(tmp_path / "w.npz", arrays)
    names = tmp_path / "classes.csv"
    names.write_text("class_id,synset,name\n" + "".join(f'{i},n{i},"c{i}, of {i}"\n' for i in range(1000)))
    spec = find_spec("mobilenet_v1")
    made = build_file(spec, tmp_path / "m.keras", overrides={"size": 32}, weights=path, labels_file=names)
    card = open_artifact(made.path).card
    assert card.labels is not None
    assert card.labels[:2] == (BACKGROUND, "c0, of 0")
    assert len(card.labels) == 1001
    with pytest.raises(InputError) as caught:
        build_file(find_spec("mlp"), tmp_path / "x.keras", overrides={}, labels_file=names)
    assert str(caught.value) == "1000 labels were given for 10 classes; give one label for each class."


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "file", "size", "low", "high"),
    [
        # Published for the whole validation part: 71.9 % and 41.5 %; these 600 photos are easier.
        ("mobilenet_v2", "mobilenet_v2_1.0_224_imagenet_float.npz", 224, 0.79, 0.86),
        ("mobilenet_v1", "mobilenet_v1_0.25_128_imagenet_float.npz", 128, 0.43, 0.52),
    ],
)
def test_real_imagenet_weights_recognise_photos(
    name: str, file: str, size: int, low: float, high: float, shared_data: Path, tmp_path: Path
) -> None:
    from edgekit.data import Part, open_data
    from edgekit.models.classification_lesson import predict
    from edgekit.models.images import load_images
    from edgekit.tasks.classification import evaluate_classification
    from edgekit.tasks.labels import match_labels

    weights = shared_data / "models" / file
    spec = find_spec(name)
    artifact = build_file(
        spec,
        tmp_path / "m.keras",
        overrides={"size": size},
        weights=weights,
        labels_file=shared_data / "imagenet_mini" / "classes.csv",
    )
    card = artifact.card
    assert card.preprocessing is not None
    assert card.provenance.source_sha256 == sha256_file(weights)
    data = open_data("imagenet_mini", part=Part.EVALUATION, data_dir=shared_data)
    model, _, arguments = build_with_weights(spec, weights, arguments={"size": size})
    images = load_images(data, card.preprocessing)
    places = match_labels(data, int(arguments["classes"]), card.labels, model=name).outputs(images.labels)
    result = evaluate_classification(predict(model, images, card.preprocessing, batch_size=50), places)
    assert result.count == 600
    assert low < result.top1 < high
    scrambled = np.roll(images.pixels, 1, axis=-1)  # blue, red, green: the wrong colours must cost accuracy
    wrong = replace(images, pixels=scrambled).subset(np.arange(200))
    damaged = evaluate_classification(predict(model, wrong, card.preprocessing, batch_size=50), places[:200])
    assert damaged.top1 < result.top1
