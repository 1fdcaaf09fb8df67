"""The accuracy steps on small Keras models: what is read from them, and that each step does what it says."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.artifact import Format
from edgekit.converters.accuracy.choose_ranges import extreme_ranges, least_error_ranges
from edgekit.converters.accuracy.correct_bias import shift_of_weights
from edgekit.converters.accuracy.equalize import LARGEST_SCALE, equalized, find_scales, rescaled
from edgekit.converters.accuracy.from_keras import NotPreparedError, read_network
from edgekit.converters.accuracy.in_sequence import correct
from edgekit.converters.accuracy.kernel_scales import WeightBits, rounded_kernels
from edgekit.converters.accuracy.network import Kind, Network, Rectifier
from edgekit.converters.accuracy.observe import Observed, observe
from edgekit.converters.accuracy.scene import Scene
from edgekit.converters.accuracy.simulate import run
from edgekit.converters.accuracy.steps import Setup, prepare
from edgekit.converters.samples import Samples
from edgekit.recipe import AccuracyStep
from edgekit.workers import silent

keras = pytest.importorskip("keras")
layers = keras.layers
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

ITEMS = np.random.default_rng(0).normal(0, 1, (48, 8, 8, 3)).astype(np.float32)


def randomize(model: Any) -> Any:
    """Weights of very uneven channels, and statistics of BatchNorm that folding must not get wrong."""
    rng = np.random.default_rng(1)
    for layer in model.layers:
        shapes = [w.shape for w in layer.get_weights()]
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.3, 1.5, s) for s in shapes[:1]] + [rng.normal(0, 0.3, shapes[1])]
                              + [rng.normal(0, 0.3, shapes[2]), rng.uniform(0.5, 2, shapes[3])])  # fmt: skip
        elif shapes:
            uneven = [np.exp(rng.normal(0, 1, s[-1:])) if len(s) > 1 else 1.0 for s in shapes]
            layer.set_weights([rng.normal(0, 0.3, s) * u for s, u in zip(shapes, uneven, strict=True)])
    return model


def residual(rectifier: float | None = 6.0) -> Any:
    """Everything that the zoo's convolutional networks are made of."""
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(8, 3, use_bias=False, name="stem")(layers.ZeroPadding2D(1, name="pad")(image))
    x = layers.ReLU(rectifier, name="stem_relu")(layers.BatchNormalization(name="stem_bn")(x))
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(x)
    y = layers.ReLU(rectifier, name="depthwise_relu")(layers.BatchNormalization(name="depthwise_bn")(y))
    y = layers.BatchNormalization(name="project_bn")(layers.Conv2D(6, 1, use_bias=False, name="project")(y))
    z = layers.Conv2D(6, 1, activation="relu", name="inner")(y)
    y = layers.Add(name="add")([y, layers.Conv2D(6, 3, padding="same", name="outer")(z)])
    left = layers.Conv2D(4, 1, strides=2, activation="relu", name="left")(y)
    right = layers.MaxPooling2D(2, name="right")(layers.ReLU(name="right_relu")(y))
    x = layers.Concatenate(name="concat")([left, right])
    x = layers.Dropout(0.5, name="dropout")(layers.Flatten(name="flatten")(x))
    x = layers.Dense(12, activation="relu", name="hidden")(x)
    return randomize(keras.Model(image, layers.Dense(5, name="logits")(x), name="residual"))


@pytest.fixture(scope="module")
def model() -> Any:
    return residual()


@pytest.fixture(scope="module")
def network(model: Any) -> Network:
    return read_network(model, ["image"])


@pytest.fixture(scope="module")
def observed(network: Network) -> Mapping[str, Observed]:
    return look(network, 24)


def look(network: Network, batch: int = 48) -> dict[str, Observed]:
    batches = [{"image": ITEMS[start : start + batch]} for start in range(0, 48, batch)]
    return observe(network, batches, items=48, means_of=48, seed=0)


def outputs(network: Network, **options: Any) -> Any:
    return run(network, {"image": ITEMS}, **options)[network.outputs[0]].numpy()


def noise(network: Network, reference: Any, ranges: Any, bits: WeightBits = WeightBits.EIGHT) -> float:
    found = outputs(network, kernels=rounded_kernels(network, bits, True, ()), ranges=ranges)
    # The median item: random networks have outliers that no range measured on other items holds.
    return float(np.median(np.square(found - reference).mean(axis=1)))


def test_a_network_computes_what_its_keras_model_computes(model: Any, network: Network) -> None:
    np.testing.assert_allclose(outputs(network), model(ITEMS, training=False).numpy(), atol=1e-4, rtol=1e-4)


def test_batch_norms_and_rectifiers_join_what_is_before_them(network: Network) -> None:
    ops = network.by_name
    assert list(ops) == [
        "image", "pad", "stem_relu", "depthwise_relu", "project_bn", "inner", "outer", "add", "right_relu", "left",
        "right", "concat", "flatten", "dropout", "hidden", "logits",
    ]  # fmt: skip
    assert ops["stem_relu"].members == ("stem", "stem_bn", "stem_relu")
    assert ops["stem_relu"].rectifier is Rectifier.RELU6
    assert ops["project_bn"].rectifier is Rectifier.NONE
    assert ops["inner"].rectifier is Rectifier.RELU
    assert ops["add"].rectifier is Rectifier.NONE  # its value is read by two layers, so ReLU stands alone
    assert ops["right_relu"].kind is Kind.RECTIFIER
    assert ops["flatten"].repeat == 16
    assert network.outputs == ("logits",)


def test_activations_that_no_engine_fuses_stand_alone() -> None:
    x = keras.Input((4,), name="x")
    found = read_network(keras.Model(x, layers.Dense(3, activation="softmax", name="scores")(x)), ["x"])
    assert [(op.name, op.kind) for op in found.ops] == [
        ("x", Kind.INPUT),
        ("scores/linear", Kind.DENSE),
        ("scores", Kind.OTHER),
    ]


def test_a_layer_used_twice_keeps_its_weights() -> None:
    x = keras.Input((4,), name="x")
    shared = layers.Dense(4, name="shared")
    found = read_network(keras.Model(x, shared(shared(x))), ["x"])
    assert [op.name for op in found.ops] == ["x", "shared", "shared.1"]
    assert found.fixed == dict.fromkeys(("shared", "shared.1"), "the layer shared is used 2 times")


def test_models_without_a_graph_of_layers_are_refused() -> None:
    class Own(keras.Model):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return x

    with pytest.raises(NotPreparedError) as error:
        read_network(Own(), ["x"])
    assert str(error.value) == "the model is code of its own, not a graph of layers"
    x = keras.Input((4, 2), name="x")
    y, _, _ = layers.LSTM(3, return_state=True, name="lstm")(x)
    with pytest.raises(NotPreparedError) as error:
        read_network(keras.Model(x, y), ["x"])
    assert str(error.value) == "the layer lstm has 3 outputs"


def test_sampled_values_are_of_the_channels_that_they_are_said_to_be_of(network: Network, observed: Any) -> None:
    seen: dict[str, Any] = {}
    run(network, {"image": ITEMS}, visit=lambda op, _before, after: seen.update({op.name: after.numpy()}))
    for name in ("stem_relu", "project_bn", "concat", "hidden"):
        channels = seen[name].reshape(-1, seen[name].shape[-1])
        for value, channel in zip(observed[name].values[:200], observed[name].channels[:200], strict=True):
            assert np.abs(channels[:, channel] - value).min() < 1e-4, name
        assert len(set(observed[name].channels[:200].tolist())) > 1


def test_other_seeds_sample_other_values_and_large_ones_are_seeds_too(network: Network) -> None:
    def sampled(seed: int) -> Any:
        return observe(network, [{"image": ITEMS}], items=48, means_of=0, seed=seed)["stem_relu"].values

    np.testing.assert_array_equal(sampled(5), sampled(5))
    for other in (6, 5 + 2**32, 2**80):
        assert not np.array_equal(sampled(5), sampled(other))


@pytest.mark.parametrize("rectifier", [None, 6.0])
def test_equalization_changes_weights_and_no_output(rectifier: float | None) -> None:
    network = read_network(residual(rectifier), ["image"])
    observed = look(network)
    found = find_scales(network, observed)
    changed = equalized(network, found.scales)
    # Behind ReLU6 a scale may let rounding touch the six; nothing else may differ.
    np.testing.assert_allclose(outputs(changed), outputs(network), atol=2e-3, rtol=1e-3)
    for name in ("stem_relu", "depthwise_relu", "project_bn", "left", "hidden"):
        assert np.ptp(found.scales[name]) > 0.1, name
        assert found.scales[name].max() <= LARGEST_SCALE
        assert not np.allclose(changed.by_name[name].kernel, network.by_name[name].kernel)
    # The residual's two makers and all who read it share one scale for each channel.
    np.testing.assert_array_equal(found.scales["project_bn"], found.scales["outer"])
    np.testing.assert_array_equal(found.scales["concat"][4:], found.scales["add"])
    np.testing.assert_array_equal(found.scales["flatten"], np.tile(found.scales["concat"], 16))
    assert found.skipped == {"logits": "logits is an output of the network"}
    np.testing.assert_array_equal(found.scales["image"], 1)


def test_channels_behind_relu6_are_enlarged_and_never_beyond_six(network: Network, observed: Any) -> None:
    found = find_scales(network, observed)
    scale, high = found.scales["stem_relu"], observed["stem_relu"].high
    assert scale.min() >= 1.0
    assert (scale * high)[high < 6].max() <= 6.0 + 1e-4
    np.testing.assert_array_equal(scale[high >= 6], 1.0)


def test_what_equalized_activations_do_is_known_without_running(network: Network, observed: Any) -> None:
    found = find_scales(network, observed)
    told = rescaled(network, observed, found.scales)
    seen = look(equalized(network, found.scales))
    for name in told:
        np.testing.assert_allclose(told[name].low, seen[name].low, atol=1e-3, rtol=1e-3)
        np.testing.assert_allclose(told[name].high, seen[name].high, atol=1e-3, rtol=1e-3)
        np.testing.assert_allclose(told[name].mean, seen[name].mean, atol=1e-2, rtol=1e-2)


def test_weights_that_cannot_be_replaced_lock_the_channels_around_them(network: Network, observed: Any) -> None:
    found = find_scales(replace(network, fixed={"depthwise_relu": "no reason"}), observed)
    for name in ("stem_relu", "depthwise_relu"):
        np.testing.assert_array_equal(found.scales[name], 1)
        assert found.skipped[name] == "no reason"
    assert np.ptp(found.scales["project_bn"]) > 0.1


def test_ranges_follow_what_hands_values_on_and_leave_outputs_room(network: Network, observed: Any) -> None:
    whole, best = extreme_ranges(network, observed), least_error_ranges(network, observed)
    assert best["image"] == best["pad"]
    assert best["concat"] == best["flatten"] == best["dropout"]
    assert best["logits"] == tuple(1.15 * end for end in whole["logits"])
    low, high = best["add"]
    assert whole["add"][0] <= low < 0 < high <= whole["add"][1]
    assert set(best) == set(whole) == {op.name for op in network.ops}


@pytest.mark.parametrize("bits", WeightBits)
def test_rounded_kernels_stay_on_their_levels(network: Network, bits: WeightBits) -> None:
    rounded = rounded_kernels(network, bits, True, {"hidden"})
    assert "hidden" not in rounded
    for name, kernel in rounded.items():
        op = network.by_name[name]
        columns = np.moveaxis(kernel, 2, 3) if op.kind is Kind.DEPTHWISE else kernel
        levels = max(len(np.unique(np.abs(columns[..., i]))) for i in range(op.channels))
        assert levels <= (65 if bits is WeightBits.SEVEN else 128)
        assert np.abs(kernel - op.kernel).max() <= np.abs(op.kernel).max() / 60


def test_biases_undo_the_mean_shift_of_rounding(network: Network, observed: Any) -> None:
    kernels = rounded_kernels(network, WeightBits.SEVEN, True, ())
    ranges = least_error_ranges(network, observed)

    def shift(changed: Network, rounded_too: Mapping[str, tuple[float, float]]) -> float:
        found = outputs(changed, kernels=kernels, ranges=rounded_too)
        return float(np.linalg.norm(np.mean(found - outputs(network), axis=0)))

    weights = network.with_biases(shift_of_weights(network, kernels, observed))
    done = correct(network, kernels, ranges, observed, [{"image": ITEMS}], adapt=None)
    assert done.kernels == kernels
    sequence = network.with_biases(done.biases)
    assert shift(weights, {}) < 0.5 * shift(network, {})
    assert shift(sequence, ranges) < 0.7 * shift(network, ranges)


@pytest.fixture
def samples(tmp_path: Path) -> Samples:
    more = np.random.default_rng(1).normal(0, 1, (60, 8, 8, 3)).astype(np.float32)
    return Samples.write(tmp_path / "samples", ({"image": item} for item in more), 60)


@pytest.mark.parametrize("fmt", Format)
def test_steps_are_recorded_and_leave_less_noise(network: Network, samples: Samples, fmt: Format) -> None:
    if fmt is Format.KERAS:
        return
    setup = Setup(format=fmt, per_channel=True, steps=tuple(AccuracyStep))
    done = prepare(Scene(network, samples, 0), {}, setup, silent)
    named = [record.step for record in done.records]
    assert done.records[0].note == "5 layers merged into those before them"
    assert named == ["fold", *(["pairs"] if fmt is Format.ONNX else []), "equalize", "ranges", "split", "bias", "round"]
    figures = [record.sqnr_db for record in done.records]
    assert figures == sorted(figures)  # a step that does not help is left out
    assert figures[-1] > figures[0] + 1
    bits = WeightBits.SEVEN if fmt is Format.ONNX else WeightBits.EIGHT
    observed = Scene(network, samples, 0).observed(silent)
    before = noise(network, outputs(network), extreme_ranges(network, observed), bits)
    assert noise(done.network, outputs(network), done.ranges, done.bits) < before


def test_the_judge_sees_rounded_weights_and_ranges(network: Network, samples: Samples) -> None:
    scene = Scene(network, samples, 0)
    whole = {op.name: op.kernel for op in network.ops if op.kernel is not None}
    assert scene.sqnr_db(network, whole, {}) > 100
    rounded = rounded_kernels(network, WeightBits.EIGHT, True, ())
    assert 20 < scene.sqnr_db(network, rounded, {}) < 60
    coarse = {name: np.round(kernel, 0) for name, kernel in whole.items()}
    assert scene.sqnr_db(network, coarse, {}) < 15
    ranges = extreme_ranges(network, scene.observed(silent))
    halved = {name: (low / 2, high / 2) for name, (low, high) in ranges.items()}
    assert scene.sqnr_db(network, whole, halved) < scene.sqnr_db(network, whole, ranges) < 60


def test_a_step_that_does_not_help_is_left_out(samples: Samples) -> None:
    x = keras.Input((8, 8, 3), name="image")
    network = read_network(keras.Model(x, layers.Flatten(name="flat")(x)), ["image"])
    setup = Setup(format=Format.TFLITE, per_channel=True, steps=(AccuracyStep.EQUALIZE,))
    done = prepare(Scene(network, samples, 0), {}, setup, silent)
    fold, equalize = done.records
    assert equalize.note == "left out: no gain"
    assert equalize.sqnr_db == fold.sqnr_db


def test_weights_that_are_fixed_leave_as_they_came(network: Network, samples: Samples) -> None:
    setup = Setup(format=Format.ONNX, per_channel=True, steps=tuple(AccuracyStep))
    done = prepare(Scene(network, samples, 0), {"logits": "the file holds other weights for it"}, setup, silent)
    kept, changed = done.network.by_name["logits"], done.network.by_name["stem_relu"]
    np.testing.assert_array_equal(kept.kernel, network.by_name["logits"].kernel)
    np.testing.assert_array_equal(kept.bias, network.by_name["logits"].bias)
    assert not np.array_equal(changed.kernel, network.by_name["stem_relu"].kernel)


def test_operators_are_corrected_on_as_many_items_as_fit_into_memory(
    network: Network, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    def items() -> list[int]:
        return [len(batch["image"]) for batch in Scene(network, samples, 0).for_correction()]

    assert sum(items()) == 60  # all that there are
    largest_bytes = 8 * 8 * 8 * 4  # of the stem
    monkeypatch.setattr("edgekit.converters.accuracy.scene.CORRECTED_BYTES", 20 * largest_bytes)
    assert items() == [4] * 5
    monkeypatch.setattr("edgekit.converters.accuracy.scene.CORRECTED_BYTES", largest_bytes)
    assert items() == [4] * 2
