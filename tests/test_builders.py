"""Contract of every architecture: figures of its source, stock Keras layers, and learning."""

import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.artifact import open_artifact
from edgekit.companion import Companion
from edgekit.data import Part, open_data
from edgekit.detection import Detection
from edgekit.errors import InputError
from edgekit.models.blocks import make_divisible
from edgekit.models.build import WITHOUT_DATA, build, build_file, build_with_weights
from edgekit.models.complexity import Complexity, complexity
from edgekit.models.objectives import objective_of
from edgekit.models.prediction_layers import prediction_layers, prediction_lines
from edgekit.models.registry import ZOO, find_spec
from edgekit.models.sequence_parts import NEEDS
from edgekit.models.spec import ModelSpec
from edgekit.models.stages import HEAD, HEADS, second_path, split
from edgekit.models.zoo import single_shot

each_spec = pytest.mark.parametrize("spec", ZOO, ids=lambda s: s.name)
each_of_images = pytest.mark.parametrize("spec", [s for s in ZOO if s.preprocess is not None], ids=lambda s: s.name)
each_classifier = pytest.mark.parametrize("spec", [s for s in ZOO if s.task == "classification"], ids=lambda s: s.name)


def small(spec: ModelSpec) -> dict[str, Any]:
    """Arguments that make the model quick to run: those of the small preset, narrowed."""
    sizes = [argument.low for argument in spec.arguments if argument.name == "size"]
    wanted = {"alpha": 0.25, "size": max(32, *sizes, 0), "classes": 7, "momentum": 0.9, "units": 64}
    wanted |= {"length": 12, "tokens": 30}
    return {**spec.presets["small"].arguments, **{n: v for n, v in wanted.items() if n in spec.defaults}}


@cache
def small_model(name: str) -> Any:
    """The model of these arguments and seed 1, built once: not to be changed."""
    spec = find_spec(name)
    return build(spec, seed=1, **small(spec))


def outputs_of(model: Any, inputs: Any) -> list[np.ndarray[Any, Any]]:
    found = model(inputs)
    found = list(found.values()) if isinstance(found, dict) else found
    return [np.asarray(values) for values in (found if isinstance(found, list) else [found])]


def batch(model: Any, count: int = 8) -> Any:
    random = np.random.default_rng(0)
    found = [
        random.random((count, *t.shape[1:]), np.float32)
        if t.dtype == "float32"
        else random.integers(0, 30, (count, 12))
        for t in model.inputs
    ]
    return found if len(found) > 1 else found[0]


# Parameters and multiply-accumulates by default. torchvision has as many parameters for each of these networks that it
# knows, but for GoogLeNet, which it builds with other kernels; keras.applications 3.15 has as many for the MobileNets.
EXACT = {
    "mlp": (269_322, 268_800),
    "cnn": (80_266, 5_187_456),
    "dfn": (235_146, 234_752),
    "lenet5": (61_706, 416_520),
    "cifar_cnn": (4_456_522, 98_896_384),
    "alexnet": (61_100_840, 714_188_480),
    "vgg16": (138_357_544, 15_470_264_320),
    "vgg19": (143_667_240, 19_632_062_464),
    "inception_v1": (6_998_552, 1_582_671_872),
    "resnet18": (11_689_512, 1_814_073_344),
    "resnet34": (21_797_672, 3_663_761_408),
    "resnet50": (25_557_032, 3_857_973_248),
    "mobilenet_v1": (4_231_976, 568_740_352),
    "mobilenet_v2": (3_504_872, 300_774_272),
    "ssdlite_mobilenet_v2": (4_337_013, 788_830_144),
    "ssdlite_mobilenet_v1": (5_100_661, 1_309_162_944),
    "ssd300_vgg16": (26_285_486, 31_374_277_120),
    "yolo_v1": (271_703_550, 20_285_153_280),
    "faster_rcnn": (137_061_851, 113_232_186_368),
    "rcnn": (57_827_237, 710_915_776),
    "char_rnn": (2_012_857, 201_120_000),
    "char_lstm": (7_914_457, 1_265_280_000),
    "gru_forecast": (199_169, 1_974_016),
    "bilstm_sentiment": (1_543_682, 52_429_312),
    "seq2seq": (205_195, 1_031_680),
    "vec2seq": (141_472, 816_640),
    "gan": (1_486_352, 1_483_776),
    "dcgan": (1_439_873, 23_865_600),
    "cgan": (1_488_912, 1_486_336),
    "infogan": (1_484_929, 23_910_656),
    "ae_vanilla": (2_389, 2_320),
    "ae_deep": (11_269, 11_040),
    "ae_sparse": (11_269, 11_040),
    "ae_denoising": (2_389, 2_320),
    "ae_contractive": (2_389, 2_320),
    "ae_conv": (111_521, 608_384),
    "vae": (6_439, 6_240),
    "rbm": (201_100, 201_000),
    "dbn": (85_002, 84_480),
    "siamese": (38_951_745, 908_627_968),
    "capsnet": (6_804_224, 201_250_272),
    "bayes_dense": (7_850, 7_840),
    "bayes_conv": (80_202, 1_116_416),
    "mc_dropout": (80_202, 1_116_416),
}


@each_spec
def test_figures_are_exact_and_the_published_ones(spec: ModelSpec) -> None:
    figures = complexity(build(spec))
    published = spec.published
    assert (figures.parameters, figures.macs) == EXACT[spec.name]
    assert figures.parameters == pytest.approx(published.parameters, rel=published.tolerance, abs=0)
    if published.macs is not None:
        assert figures.macs == pytest.approx(published.macs, rel=published.macs_tolerance, abs=0)


@pytest.mark.parametrize(
    ("name", "arguments", "parameters"),
    [
        ("mobilenet_v1", {"alpha": 0.25}, 470_072),
        # Narrow ones keep 1,280 channels at the end, wide ones have more. All equal keras.applications 3.15.
        ("mobilenet_v2", {"alpha": 0.35}, 1_677_128),
        ("mobilenet_v2", {"alpha": 1.4}, 6_108_776),
        # The ResNet18 that is common for CIFAR-10 (kuangliu/pytorch-cifar)
        ("resnet18", {"stem": "small", "size": 32, "classes": 10}, 11_173_962),
        # Convolutions, scales and offsets of 4,224 channels, dense layers
        ("vgg16", {"norm": "batch", "size": 32, "classes": 10, "units": 1}, 14_710_464 + 2 * 4_224 + 513 + 2 + 20),
        # Fast YOLO as its authors published it, in 180 MB of weights
        ("yolo_v1", {"depth": "tiny"}, 45_089_374),
    ],
)
def test_parameters_of_other_arguments_are_exact(name: str, arguments: dict[str, Any], parameters: int) -> None:
    assert complexity(build(find_spec(name), **arguments)).parameters == parameters


def test_complexity_of_a_residual_network_counts_the_skipped_tensor() -> None:
    import keras

    image = keras.Input((4, 4, 2))
    x = keras.layers.Conv2D(8, 1, use_bias=False)(image)  # 128 elements beside the input's 32
    x = keras.layers.ReLU()(x)
    x = keras.layers.Conv2D(2, 1, use_bias=False)(x)  # 32, while 128 and the skipped 32 are alive
    model = keras.Model(image, keras.layers.Add()([image, x]))
    assert complexity(model) == Complexity(parameters=32, statistics=0, macs=512, peak_activations=192)


def test_channels_are_never_rounded_down_by_more_than_a_tenth() -> None:
    assert [make_divisible(c) for c in (3, 11.2, 12, 13.2, 19, 33.6)] == [8, 16, 16, 16, 24, 32]


@each_classifier
def test_logits_have_the_size_of_the_classes(spec: ModelSpec) -> None:
    model = small_model(spec.name)
    logits = np.asarray(model(batch(model, 3)))
    assert logits.shape == (3, 7)
    assert logits.dtype == np.float32
    assert not np.allclose(logits.sum(axis=1), 1)
    assert [tensor.name for tensor in model.inputs] == ["image"]
    assert model.layers[-1].name == OUTPUTS[spec.name if spec.name in OUTPUTS else spec.task][-1]


@each_spec
def test_the_seed_decides_the_weights(spec: ModelSpec) -> None:
    models = [small_model(spec.name), *(build(spec, seed=seed, **small(spec)) for seed in (1, 2))]
    first, again, other = (model.get_weights() for model in models)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    assert len({tuple(layer.name for layer in model.layers) for model in models}) == 1


@each_classifier
def test_training_on_one_batch_lowers_its_loss(spec: ModelSpec) -> None:
    import keras

    still = {"dropout": 0.0} if "dropout" in spec.defaults else {}  # its noise is larger than what few steps bring
    model = build(spec, **small(spec) | still)
    inputs, labels = batch(model), np.arange(8) % 7
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss, run_eagerly=True)  # tracing takes longer than the steps
    losses = [float(model.train_on_batch(inputs, labels)) for _ in range(4)]
    assert min(losses[1:]) < losses[0]


@pytest.mark.parametrize("spec", single_shot.SPECS, ids=lambda s: s.name)
def test_training_on_one_batch_of_objects_lowers_its_loss(spec: ModelSpec) -> None:
    import keras
    import tensorflow as tf

    arguments = small(spec) | ({"dropout": 0.0} if "dropout" in spec.defaults else {})
    model, detection = build(spec, **arguments), spec.detection(arguments)
    assert detection is not None
    scenes = open_data("digit_scenes", part=Part.TRAIN, data_dir=None)
    assert scenes.boxes is not None
    objective = objective_of(detection)
    targets = objective.targets([replace(scenes.boxes[i], classes=scenes.boxes[i].classes % 7) for i in range(8)])
    assert [(None, *t.shape[1:]) for t in targets] == [shape for shape, _ in objective.shapes(model)]
    assert [t.dtype for t in targets] == [dtype for _, dtype in objective.shapes(model)]
    inputs, optimizer, losses = batch(model), keras.optimizers.Adam(1e-4), []
    for _ in range(4):
        with tf.GradientTape() as tape:
            loss, right = objective.loss(model(inputs, training=True), *targets)
        losses.append(float(loss))
        assert 0 <= int(right) <= objective.size(targets)
        weights = model.trainable_weights
        optimizer.apply(tape.gradient(loss, [w.value for w in weights]), weights)
    assert min(losses[1:]) < losses[0]


SECONDS = {"faster_rcnn": HEADS, "siamese": HEAD}
"""Entries of two networks, with the second."""
INPUTS = {
    "forecasting": "window",
    "anomaly-detection": "features",
    "ae_conv": "image",
    "classification": "image",
    "detection": "image",
    "verification": "image",
    "recommendation": "ratings",
}
"""What a file of a task takes, others a text."""
OUTPUTS = {
    "classification": ["logits"],
    "detection": ["boxes", "scores"],
    "image-generation": ["image"],
    "yolo_v1": ["boxes", "confidences", "classes"],
    "faster_rcnn": ["features", "objectness", "anchor_offsets"],
    "rcnn": ["scores", "offsets"],
    "capsnet": ["lengths"],
    "text-generation": ["logits"],
    "text-classification": ["logits"],
    "forecasting": ["forecast"],
    "sequence-to-sequence": ["logits"],
    "anomaly-detection": ["code", "reconstruction", "score"],
    "verification": ["embedding"],
    "recommendation": ["hidden", "reconstruction", "score"],
}
"""What a file of an entry, or else of its task, gives."""


@each_spec
def test_a_file_loads_in_stock_keras_and_carries_its_card(spec: ModelSpec, tmp_path: Path) -> None:
    import keras

    artifact = build_file(spec, tmp_path / "m.keras", overrides=small(spec), seed=1)
    loaded = keras.saving.load_model(artifact.path, safe_mode=True)
    assert {type(layer).__module__.split(".")[0] for layer in loaded.layers} == {"keras"}
    model = small_model(spec.name)
    if spec.name in SECONDS:
        model = split(model, SECONDS[spec.name])[0]
    inputs = batch(model, 2)
    for got, expected in zip(outputs_of(loaded, inputs), outputs_of(model, inputs), strict=True):
        np.testing.assert_array_equal(got, expected)
    card = open_artifact(artifact.path).card
    assert not artifact.foreign
    assert (card.name, card.task, card.labels) == (spec.name, spec.task, None)
    assert without_companion(card.detection) == spec.detection(small(spec))
    assert card.preprocessing == spec.preprocessing(small(spec))
    assert card.generator == spec.generator(small(spec))
    assert (card.verification is None) == (spec.verification(small(spec)) is None)
    assert [(t.name, t.shape, t.dtype) for t in card.inputs] == [
        (t.name, (None, *t.shape[1:]), t.dtype) for t in model.inputs
    ]
    if card.generator is None:
        assert [t.name for t in card.inputs] == [INPUTS.get(spec.name) or INPUTS.get(spec.task, "text")]
    outputs = OUTPUTS[spec.name if spec.name in OUTPUTS else spec.task]
    assert [(t.name, t.dtype) for t in card.outputs] == [(name, "float32") for name in outputs]
    assert [t.shape for t in card.outputs] == [tuple(t.shape) for t in model.outputs]
    assert card.provenance.architecture == spec.name
    assert card.provenance.arguments == spec.resolved(small(spec))
    assert set(card.provenance.tools) == {"edgekit", "keras", "tensorflow"}
    notes = ("weights not trained, drawn from seed 1",)
    assert card.provenance.notes == ((*notes, WITHOUT_DATA) if spec.task in NEEDS else notes)
    assert card.sequences is None


def without_companion(detection: Detection | None) -> Detection | None:
    if detection is None or detection.proposals is None:
        return detection
    return replace(detection, proposals=replace(detection.proposals, heads=None))


def test_a_detector_of_two_stages_is_two_files(tmp_path: Path) -> None:
    import keras

    spec = find_spec("faster_rcnn")
    first = build_file(spec, tmp_path / "m.keras", overrides=small(spec), seed=1)
    proposals = first.card.detection.proposals if first.card.detection is not None else None
    assert proposals is not None
    second = open_artifact(second_path(first.path, HEADS))
    assert proposals.heads == Companion(name="m.heads.keras", sha256=second.sha256)
    assert (second.card.name, second.card.task, second.card.detection) == ("faster_rcnn_heads", None, None)
    assert [t.name for t in (*second.card.inputs, *second.card.outputs)] == ["pooled", "scores", "offsets"]
    assert second.card.provenance.architecture == "faster_rcnn"
    heads = split(small_model("faster_rcnn"), HEADS)[1]
    inputs = batch(heads, 3)
    loaded = keras.saving.load_model(second.path, safe_mode=True)
    assert all(map(np.array_equal, outputs_of(loaded, inputs), outputs_of(heads, inputs)))
    first.path.unlink()
    with pytest.raises(InputError) as caught:
        build_file(spec, first.path, overrides=small(spec))
    assert str(caught.value) == f"{second.path} exists; use --force to replace it or -o to write elsewhere."
    again, _, arguments = build_with_weights(
        spec, build_file(spec, first.path, overrides=small(spec), seed=1, force=True).path, classes=3, arguments={}
    )
    for layer in ("proposals", "hidden_6"):
        ours, theirs = (m.get_layer(layer).get_weights()[0] for m in (again, small_model("faster_rcnn")))
        assert np.array_equal(ours, theirs), layer
    assert (arguments["classes"], again.get_layer("scores").units) == (3, 4)


def test_a_stride_that_no_pooling_makes_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        build(find_spec("faster_rcnn"), stride=12)
    assert str(caught.value) == "faster_rcnn takes stride 8 or 16; got 12."


# All have an 8-bit form in TFLite and in ONNX.
PORTABLE = {
    "InputLayer", "Conv2D", "DepthwiseConv2D", "Dense", "BatchNormalization", "ReLU", "MaxPooling2D",
    "GlobalAveragePooling2D", "Add", "Concatenate", "ZeroPadding2D", "Flatten", "Dropout", "Reshape", "LeakyReLU",
    "Conv2DTranspose", "Activation", "Subtract", "Dot",
}  # fmt: skip


@each_of_images
def test_every_layer_can_be_quantized(spec: ModelSpec) -> None:
    model = small_model(spec.name)
    kept = re.compile("|".join(spec.keep_float) or "$^")
    assert {type(layer).__name__ for layer in model.layers if not kept.search(layer.name)} <= PORTABLE
    assert all(layer.groups == 1 for layer in model.layers if type(layer).__name__ == "Conv2D")


def test_the_prediction_layers_of_ssd_and_ssdlite_cost_what_their_paper_says() -> None:
    ordinary, separable = prediction_layers()
    assert (ordinary["head"], separable["head"]) == ("full", "lite")
    assert ordinary["parameters"] == pytest.approx(14_800_000, rel=0.005)
    assert ordinary["macs"] == pytest.approx(1_250_000_000, rel=0.01)
    assert separable["parameters"] == pytest.approx(2_100_000, rel=0.02)
    assert separable["macs"] == 177_617_344  # half of the published figure, see the page
    lines = prediction_lines([ordinary, separable])
    assert "| SSDLite | 2.11 | 2.1 | 0.18 | 0.35 |" in lines


@pytest.mark.parametrize("spec", [s for s in ZOO if "stem" in s.defaults], ids=lambda s: s.name)
def test_the_small_stem_keeps_more_of_a_small_image(spec: ModelSpec) -> None:
    small_stem, imagenet_stem = (
        build(spec, **{**small(spec), "stem": stem, "size": 64}).get_layer("stem") for stem in ("small", "imagenet")
    )
    assert small_stem.output.shape[1:3] == (64, 64)
    assert max(imagenet_stem.output.shape[1:3]) <= 32


@pytest.mark.parametrize("spec", [s for s in ZOO if "norm" in s.defaults], ids=lambda s: s.name)
def test_normalisation_takes_the_place_of_biases(spec: ModelSpec) -> None:
    for norm, normalised in (("batch", True), ("none", False)):
        model = build(spec, **{**small(spec), "norm": norm})
        names = {layer.name for layer in model.layers}
        kinds = [layer for layer in model.layers if type(layer).__name__ == "Conv2D"]
        # Neither outputs nor what proposes regions are normalised.
        convolutions = [layer for layer in kinds if f"{layer.name}_relu" in names and layer.name != "proposals"]
        assert {layer.use_bias for layer in convolutions} == {not normalised}
        assert {f"{layer.name}_bn" in names for layer in convolutions} == {normalised}


def test_an_image_too_small_for_alexnets_first_stride_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        build(find_spec("alexnet"), size=62)
    assert str(caught.value) == ("alexnet with the stem imagenet takes size 63 or more; got 62: use the stem small.")
    assert build(find_spec("alexnet"), size=63, units=8).get_layer("pool_4").output.shape[1:3] == (1, 1)


def test_a_residual_block_projects_only_where_the_shape_changes() -> None:
    counts = {"resnet18": 3, "resnet34": 3, "resnet50": 4}
    for name, count in counts.items():
        assert sum(layer.name.endswith("_shortcut") for layer in small_model(name).layers) == count


def test_torch_padding_differs_from_same_for_stride_two() -> None:
    spec = find_spec("mobilenet_v2")
    same, torch = (build(spec, seed=0, **{**small(spec), "padding": p}) for p in ("same", "torch"))
    torch.set_weights(same.get_weights())
    inputs = batch(same, 2)
    assert not np.allclose(same.predict_on_batch(inputs), torch.predict_on_batch(inputs), rtol=0.01, atol=0)
    assert sum("ZeroPadding" in type(layer).__name__ for layer in torch.layers) == 5
    assert not any("ZeroPadding" in type(layer).__name__ for layer in same.layers)
