"""Copies of channels in idle ones: which channels are idle, that the network stays what it was, and what it gains."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.artifact import Format
from edgekit.converters.accuracy.choose_ranges import extreme_ranges
from edgekit.converters.accuracy.from_keras import read_network
from edgekit.converters.accuracy.kernel_scales import WeightBits, rounded_kernels
from edgekit.converters.accuracy.network import Network, Rectifier
from edgekit.converters.accuracy.observe import Observed, observe
from edgekit.converters.accuracy.scene import Scene
from edgekit.converters.accuracy.simulate import run, with_zero
from edgekit.converters.accuracy.split_channels import Split, _sources, split_channels
from edgekit.converters.accuracy.steps import Setup, prepare
from edgekit.converters.samples import Samples
from edgekit.recipe import AccuracyStep
from edgekit.workers import silent

keras = pytest.importorskip("keras")
layers = keras.layers

ITEMS = np.random.default_rng(0).uniform(-1, 1, (32, 8, 8, 3)).astype(np.float32)
CHANNELS = 8
NEVER, BELOW_ZERO, CONSTANT, RARE = 1, 3, 5, 6
"""Channels of no weight; of a bias too low for any input; always 2; and idle on the items, not on all inputs."""


def narrow(reader: int = 1, pooled: bool = False, padding: str = "same") -> Any:
    """Two convolutions with idle channels between them."""
    rng = np.random.default_rng(1)
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(CHANNELS, 3, padding="same", name="stem")(image)
    x = layers.ReLU(6.0, name="stem_relu")(x)
    if pooled:
        x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.ReLU(6.0, name="depthwise_relu")(x)
    x = layers.Conv2D(4, reader, padding=padding, name="project")(x)
    model = keras.Model(image, layers.GlobalAveragePooling2D(name="mean")(x))
    kernel = rng.normal(0, 0.4, (3, 3, 3, CHANNELS))
    bias = rng.uniform(1, 3, CHANNELS)
    kernel[..., [NEVER, CONSTANT]] = 0
    bias[NEVER], bias[CONSTANT] = -1, 2
    bias[BELOW_ZERO] = -np.abs(kernel[..., BELOW_ZERO]).sum() - 0.1
    bias[RARE] = -0.98 * np.abs(kernel[..., RARE]).sum()
    model.get_layer("stem").set_weights([kernel, bias])
    depthwise = rng.normal(0.1, 0.2, (3, 3, CHANNELS, 1))
    depthwise[..., CONSTANT, :] = 0  # nor does its border show
    means = rng.uniform(1, 2, CHANNELS)
    means[NEVER] = -1
    model.get_layer("depthwise").set_weights([depthwise, means])
    model.get_layer("project").set_weights([rng.normal(0, 0.5, (reader, reader, CHANNELS, 4)), np.zeros(4)])
    return model


def read(model: Any) -> tuple[Network, dict[str, Observed]]:
    network = read_network(model, ["image"])
    return network, observe(network, [{"image": ITEMS}], items=len(ITEMS), means_of=len(ITEMS), seed=0)


@pytest.fixture(scope="module")
def network() -> Network:
    return read(narrow())[0]


@pytest.fixture(scope="module")
def observed() -> Mapping[str, Observed]:
    return read(narrow())[1]


@pytest.fixture(scope="module")
def split(network: Network, observed: Mapping[str, Observed]) -> Split:
    return split_channels(network, observed, extreme_ranges(network, observed), ())


def outputs(network: Network, ranges: Mapping[str, tuple[float, float]] | None = None) -> Any:
    values = run(network, {"image": ITEMS}, ranges=with_zero(ranges or {}))
    return values[network.outputs[0]].numpy()


def slots(split: Split, layer: str = "stem_relu") -> set[int]:
    return {copy.slot for copy in split.copies.get(layer, ())}


def test_channels_that_no_input_moves_are_idle_and_rare_ones_are_not(split: Split, observed: Any) -> None:
    assert observed["stem_relu"].high[RARE] == 0
    assert slots(split) == slots(split, "depthwise_relu") == {NEVER, BELOW_ZERO, CONSTANT}
    assert not {copy.source for copy in split.copies["stem_relu"]} & slots(split)
    idle = {copy.slot: copy.idle for copy in split.copies["stem_relu"]}
    assert idle == pytest.approx({NEVER: 0, BELOW_ZERO: 0, CONSTANT: 2})


@pytest.mark.parametrize(("reader", "pooled"), [(1, False), (3, False), (1, True)])
def test_the_network_stays_what_it_was(reader: int, pooled: bool) -> None:
    network, observed = read(narrow(reader, pooled))
    ranges = extreme_ranges(network, observed)
    split = split_channels(network, observed, ranges, ())
    assert slots(split)
    before, after = outputs(network), outputs(split.network)
    # Offsets cancel but within a quarter of a step of zero or six.
    step = max(high - low for low, high in ranges.values()) / 255
    assert np.abs(after - before).max() < 0.1 * step
    assert not np.array_equal(after, before)


def test_two_copies_lose_less_to_rounding(network: Network, observed: Any, split: Split) -> None:
    ranges = {
        name: ends
        for name, ends in extreme_ranges(network, observed).items()
        if name in ("stem_relu", "depthwise_relu")
    }
    exact = outputs(network)

    def noise(changed: Network) -> float:
        found = outputs(changed, ranges)
        return float(np.square(found - exact - (found - exact).mean(axis=0)).mean())

    assert noise(split.network) < 0.7 * noise(network)


def test_a_constant_that_borders_would_show_is_not_idle() -> None:
    for model in (narrow(reader=3), narrow(pooled=True)):
        network, observed = read(model)
        found = split_channels(network, observed, extreme_ranges(network, observed), ())
        assert slots(found) == {NEVER}
    model = narrow()
    kernel, bias = model.get_layer("depthwise").get_weights()
    kernel[..., CONSTANT, :] = 0.1
    model.get_layer("depthwise").set_weights([kernel, bias])
    network, observed = read(model)
    assert slots(split_channels(network, observed, extreme_ranges(network, observed), ())) == {NEVER, BELOW_ZERO}


def plain(padding: str, value: float, through: str) -> Any:
    """A convolution without rectifier whose channel NEVER is always ``value``, read by one that may have borders."""
    rng = np.random.default_rng(2)
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(CHANNELS, 1, name="make")(image)
    if through == "depthwise":
        x = layers.DepthwiseConv2D(3, padding=padding, name="carry")(x)
    model = keras.Model(image, layers.Conv2D(4, 1 if through == "depthwise" else 3, padding=padding, name="sum")(x))
    for layer in model.layers[1:]:
        layer.set_weights([rng.normal(0, 0.5, weight.shape) for weight in layer.get_weights()])
    kernel, bias = model.get_layer("make").get_weights()
    kernel[..., NEVER], bias[NEVER] = 0, value
    model.get_layer("make").set_weights([kernel, bias])
    return model


@pytest.mark.parametrize("through", ["nothing", "depthwise"])
@pytest.mark.parametrize("value", [-2.0, -0.05, 0.05, 2.0])
def test_a_constant_of_either_sign_is_idle_only_where_no_border_shows_it(value: float, through: str) -> None:
    for padding in ("same", "valid"):
        network, observed = read(plain(padding, value, through))
        ranges = extreme_ranges(network, observed)
        split = split_channels(network, observed, ranges, ())
        assert slots(split, "make") == ({NEVER} if padding == "valid" else set())
        step = max(high - low for low, high in ranges.values()) / 255
        assert np.abs(outputs(split.network) - outputs(network)).max() < 0.1 * step


def test_a_channel_that_moves_by_part_of_a_step_is_not_idle(network: Network, observed: Any) -> None:
    kernel = network.by_name["stem_relu"].kernel
    assert kernel is not None
    for step, idle in ((0.5, False), (0.005, True)):
        moved = kernel.copy()
        moved[1, 1, 0, CONSTANT] = step * 6 / 255 / 2  # its input lies between -1 and 1
        changed = network.with_kernels({"stem_relu": moved})
        found = split_channels(changed, observed, extreme_ranges(network, observed), ())
        assert (CONSTANT in slots(found)) == idle


def test_idle_is_what_the_range_leaves_no_way_out_of(network: Network, observed: Any) -> None:
    """Zero belongs to every range, and what is cut off at the upper end is as constant as what is rectified."""
    ranges = {**extreme_ranges(network, observed), "image": (0.5, 1.0)}
    kernel, bias = network.by_name["stem_relu"].kernel, network.by_name["stem_relu"].bias
    assert kernel is not None
    assert bias is not None
    kernel, bias = kernel.copy(), bias.copy()
    kernel[..., RARE], bias[RARE] = 0, 0
    kernel[1, 1, 0, RARE], bias[RARE] = -1, 0.4  # zero for inputs from 0.4 on
    assert RARE not in slots(split_channels(_with(network, kernel, bias), observed, ranges, ()))
    bias[RARE] = -0.1
    assert RARE in slots(split_channels(_with(network, kernel, bias), observed, ranges, ()))
    bias[RARE] = 20
    always_six = split_channels(_with(network, kernel, bias, depthwise=0), observed, ranges, ())
    (idle,) = (copy.idle for copy in always_six.copies["stem_relu"] if copy.slot == RARE)
    assert idle == pytest.approx(ranges["stem_relu"][1], rel=0.01)


def _with(network: Network, kernel: Any, bias: Any, depthwise: float = 1.0) -> Network:
    reader = network.by_name["depthwise_relu"]
    assert reader.kernel is not None
    assert reader.bias is not None
    carried = reader.kernel.copy()
    carried[:, :, RARE] *= depthwise
    return network.with_weights({"stem_relu": (kernel, bias), "depthwise_relu": (carried, reader.bias)})


def test_zero_belongs_to_every_range_and_to_padding() -> None:
    """What is constant for the values that were seen is not where a zero comes in."""
    model = plain("valid", 0.4, "nothing")
    kernel, bias = model.get_layer("make").get_weights()
    kernel[..., 0, NEVER] = -1
    model.get_layer("make").set_weights([kernel, bias])
    network, observed = read(keras.Model(model.input, model.output))
    rectified = replace(
        network, ops=tuple(replace(op, rectifier=Rectifier.RELU) if op.name == "make" else op for op in network.ops)
    )
    ranges = {**extreme_ranges(network, observed), "image": (0.5, 1.0), "make": (0.0, 6.0)}
    assert NEVER not in slots(split_channels(rectified, observed, ranges, ()), "make")

    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(CHANNELS, 1, activation="relu", name="make")(image)
    x = layers.DepthwiseConv2D(3, activation="relu", name="carry")(layers.ZeroPadding2D(1, name="pad")(x))
    padded = keras.Model(image, layers.Conv2D(4, 1, name="sum")(x))
    for layer in padded.layers[1:]:
        layer.set_weights([np.random.default_rng(4).normal(0.2, 0.5, w.shape) for w in layer.get_weights()])
    kernel, bias = padded.get_layer("make").get_weights()
    kernel[..., NEVER], bias[NEVER] = 0, 2
    padded.get_layer("make").set_weights([kernel, bias])
    kernel, bias = padded.get_layer("carry").get_weights()
    kernel[:, :, NEVER], bias[NEVER] = -0.1, 1.0  # 0 but along the border, where fewer of the twos are subtracted
    padded.get_layer("carry").set_weights([kernel, bias])
    network, observed = read(padded)
    assert NEVER not in slots(split_channels(network, observed, extreme_ranges(network, observed), ()), "make")


def test_operators_of_an_unknown_or_wider_range_are_left_alone(network: Network, observed: Any) -> None:
    ranges = extreme_ranges(network, observed)
    for name in ("image", "stem_relu", "depthwise_relu"):
        without = {other: ends for other, ends in ranges.items() if other != name}
        assert not split_channels(network, observed, without, ()).copies
        assert not split_channels(network, observed, ranges, (), {name}).copies
    assert split_channels(network, observed, ranges, (), {"mean"}).copies


def test_channels_that_flattening_repeats_are_left_alone() -> None:
    model = narrow()
    flat = layers.Dense(4, name="flat")(layers.Flatten(name="flatten")(model.get_layer("depthwise_relu").output))
    network, observed = read(keras.Model(model.input, flat))
    assert not split_channels(network, observed, extreme_ranges(network, observed), ()).copies


def test_sources_are_those_whose_noise_falls_most() -> None:
    # From one copy to two a channel loses three quarters of its noise, from two to three 5/36.
    assert _sources([2, 3], np.array([10.0, 2.0, 0.0, 0.0])) == {2: 0, 3: 1}
    assert _sources([2, 3], np.array([10.0, 1.5, 0.0, 0.0])) == {2: 0, 3: 0}
    assert _sources([0, 1], np.zeros(2)) == {}


def test_noise_counts_beside_what_its_reader_carries(network: Network, observed: Any) -> None:
    """A hundred times the weight in an output of a hundred times the size is no more noise."""
    kernel = np.full((1, 1, CHANNELS, 4), 1e-3, np.float32)
    kernel[..., 2, 0], kernel[..., 4, 1] = 100, 1
    changed = network.with_kernels({"project": kernel})
    seen = observe(changed, [{"image": ITEMS}], items=len(ITEMS), means_of=len(ITEMS), seed=0)
    found = split_channels(changed, seen, extreme_ranges(changed, seen), ())
    assert {copy.source for copy in found.copies["stem_relu"]} == {2, 4}


def test_noise_of_every_carrier_counts(network: Network, observed: Any) -> None:
    """A channel that the depthwise operator nearly drops still has the noise of its own rounding."""
    carried, kernel = network.by_name["depthwise_relu"].kernel, network.by_name["project"].kernel
    assert carried is not None
    assert kernel is not None
    carried, kernel = carried.copy(), kernel.copy()
    carried[:, :, 4] *= 0.05
    kernel[..., 4, :] *= 20
    changed = network.with_kernels({"depthwise_relu": carried, "project": kernel})
    seen = observe(changed, [{"image": ITEMS}], items=len(ITEMS), means_of=len(ITEMS), seed=0)
    found = split_channels(changed, seen, extreme_ranges(network, observed), ())
    assert {copy.source for copy in found.copies["stem_relu"]} == {4}


def test_offsets_are_parts_of_the_steps_of_each_carrier(network: Network, observed: Any) -> None:
    ranges = {**extreme_ranges(network, observed), "depthwise_relu": (0.0, 3.0)}
    found = split_channels(network, observed, ranges, ())
    for first, second in zip(found.copies["stem_relu"], found.copies["depthwise_relu"], strict=True):
        high = ranges["stem_relu"][1]
        assert (first.slot, first.source) == (second.slot, second.source)
        assert first.offset / high == pytest.approx(second.offset / 3.0)


def test_the_noisiest_channels_have_copies(network: Network, observed: Any) -> None:
    kernel = network.by_name["project"].kernel
    assert kernel is not None
    kernel = kernel.copy()
    kernel[..., 2, :] *= 50
    loud = network.with_kernels({"project": kernel})
    found = split_channels(loud, observed, extreme_ranges(network, observed), ())
    assert {copy.source for copy in found.copies["stem_relu"]} == {2}
    steps = [copy.offset / (6 / 255) for copy in found.copies["stem_relu"]]
    assert sorted(steps) == pytest.approx([-0.125, 0.125, 0.375], rel=0.2)


def test_noise_that_a_depthwise_operator_enlarges_counts(network: Network, observed: Any) -> None:
    kernel = network.by_name["depthwise_relu"].kernel
    assert kernel is not None
    kernel = kernel.copy()
    kernel[:, :, 4] *= 50
    loud = network.with_kernels({"depthwise_relu": kernel})
    found = split_channels(loud, observed, extreme_ranges(network, observed), ())
    assert {copy.source for copy in found.copies["stem_relu"]} == {4}


def test_channels_that_leave_the_network_are_left_alone() -> None:
    model = narrow()
    both = [model.output, model.get_layer("depthwise_relu").output]
    network, observed = read(keras.Model(model.input, both))
    assert not split_channels(network, observed, extreme_ranges(network, observed), ()).copies


def test_one_layer_may_read_copies_and_make_others() -> None:
    rng = np.random.default_rng(3)
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(CHANNELS, 1, activation="relu", name="first")(image)
    x = layers.Conv2D(CHANNELS, 1, activation="relu", name="second")(x)
    model = keras.Model(image, layers.Conv2D(4, 1, name="third")(x))
    for layer in model.layers[1:]:
        kernel, bias = (rng.normal(0.1, 0.4, weight.shape) for weight in layer.get_weights())
        if layer.name != "third":
            kernel[..., NEVER], bias[NEVER] = 0, -1
        layer.set_weights([kernel, bias])
    network, observed = read(model)
    ranges = extreme_ranges(network, observed)
    found = split_channels(network, observed, ranges, ())
    assert slots(found, "first") == slots(found, "second") == {NEVER}
    step = max(high - low for low, high in ranges.values()) / 255
    assert np.abs(outputs(found.network) - outputs(network)).max() < step


def test_copies_lie_beside_their_sources_in_every_layer(split: Split) -> None:
    values: dict[str, Any] = {}
    run(split.network, {"image": ITEMS}, visit=lambda op, _before, after: values.update({op.name: after.numpy()}))
    for name, copies in split.copies.items():
        for copy in copies:
            apart = copy.offset + sum(other.offset for other in copies if other.source == copy.source)
            found = values[name][..., copy.slot] - values[name][..., copy.source]
            # Borders and rectified values, where offsets do not reach, move the median a little.
            assert np.median(found) == pytest.approx(apart, rel=0.3), name


def test_what_copies_do_is_known_without_running(split: Split) -> None:
    seen = observe(split.network, [{"image": ITEMS}], items=len(ITEMS), means_of=len(ITEMS), seed=0)
    for name in ("stem_relu", "depthwise_relu"):
        step = 6 / 255
        for told, found in ((split.observed[name].mean, seen[name].mean), (split.observed[name].high, seen[name].high)):
            np.testing.assert_allclose(told, found, atol=step)
        assert not set(split.observed[name].channels.tolist()) & slots(split)
    linear, watched = read(plain("valid", 2.0, "nothing"))
    moved = split_channels(linear, watched, extreme_ranges(linear, watched), ())
    seen = observe(moved.network, [{"image": ITEMS}], items=len(ITEMS), means_of=len(ITEMS), seed=0)
    (copy,) = moved.copies["make"]
    assert moved.observed["make"].low[copy.slot] == pytest.approx(
        seen["make"].low[copy.slot], abs=abs(copy.offset) + 1e-4
    )
    assert moved.observed["make"].low[copy.slot] < 0 < copy.idle
    seen = observe(split.network, [{"image": ITEMS}], items=len(ITEMS), means_of=len(ITEMS), seed=0)
    # Borders, where the padding lacks the offset of what the depthwise operator reads, are off by a part of a step.
    for told, found in zip(split.observed["stem_relu"].item_means, seen["stem_relu"].item_means, strict=True):
        np.testing.assert_allclose(told, found, atol=1e-3)


@pytest.mark.parametrize("closed", ["stem_relu", "depthwise_relu", "project"])
def test_layers_that_are_fixed_or_in_float_are_left_alone(network: Network, observed: Any, closed: str) -> None:
    ranges = extreme_ranges(network, observed)
    assert not split_channels(network, observed, ranges, {closed}).copies
    assert not split_channels(replace(network, fixed={closed: "a reason"}), observed, ranges, ()).copies


def test_channels_that_two_layers_read_are_left_alone() -> None:
    model = narrow()
    both = layers.Concatenate()([model.get_layer("mean").output, layers.Flatten()(model.get_layer("stem_relu").output)])
    network, observed = read(keras.Model(model.input, both))
    assert not split_channels(network, observed, extreme_ranges(network, observed), ()).copies


def test_the_step_is_recorded_with_its_copies(network: Network, tmp_path: Path) -> None:
    samples = Samples.write(tmp_path / "samples", ({"image": item} for item in ITEMS), len(ITEMS))
    setup = Setup(format=Format.TFLITE, per_channel=True, steps=(AccuracyStep.SPLIT, AccuracyStep.ROUND))
    done = prepare(Scene(network, samples, 0), {}, setup, silent)
    assert [record.step for record in done.records] == ["fold", "split", "round"]
    assert re.fullmatch(
        r"copies: 6, layers: 2; [\d.]+ dB instead of [\d.]+ dB with exact weights", done.records[1].note
    )
    assert set(done.channel_copies) == {"stem_relu", "depthwise_relu"}


@pytest.mark.parametrize("more", [(), (AccuracyStep.BIAS,), (AccuracyStep.ROUND,)])
def test_what_is_recorded_is_what_the_network_has(
    network: Network, more: tuple[AccuracyStep, ...], tmp_path: Path
) -> None:
    samples = Samples.write(tmp_path / "samples", ({"image": item} for item in ITEMS), len(ITEMS))
    scene = Scene(network, samples, 0)
    setup = Setup(format=Format.TFLITE, per_channel=True, steps=(AccuracyStep.SPLIT, *more))
    done = prepare(scene, {}, setup, silent)
    assert done.channel_copies
    kernels = rounded_kernels(done.network, WeightBits.EIGHT, True, frozenset())
    found_db = scene.sqnr_db(done.network, kernels, done.ranges)
    assert done.records[-1].sqnr_db == pytest.approx(found_db, abs=0.01)
    alone = prepare(scene, {}, replace(setup, steps=(AccuracyStep.SPLIT,)), silent)
    assert done.records[1].sqnr_db == alone.records[1].sqnr_db
    if more:  # weights that are still to be mended are judged as if they were exact
        before_db = scene.sqnr_db(network, {}, extreme_ranges(network, scene.observed(silent)))
        assert f"instead of {before_db:.2f} dB with exact weights" in done.records[1].note
    # Copies have the kernels of their sources but for rounding, and biases that keep the means.
    first = done.network.by_name["stem_relu"]
    assert first.kernel is not None
    for copy in done.channel_copies["stem_relu"]:
        scale = np.abs(first.kernel[..., copy.source]).max() / 127
        np.testing.assert_allclose(first.kernel[..., copy.slot], first.kernel[..., copy.source], atol=2.1 * scale)
    exact, found = outputs(network), run(done.network, {"image": ITEMS}, kernels=kernels)[network.outputs[0]].numpy()
    atol = 0.0015 if more == (AccuracyStep.BIAS,) else 0.05
    np.testing.assert_allclose(found.mean(axis=0), exact.mean(axis=0), atol=atol)


def test_layers_in_float_and_those_whose_range_is_widened_take_no_part(network: Network, tmp_path: Path) -> None:
    samples = Samples.write(tmp_path / "samples", ({"image": item} for item in ITEMS), len(ITEMS))
    for setup in (
        Setup(format=Format.ONNX, per_channel=True, steps=(AccuracyStep.SPLIT,), float_ops=frozenset({"stem_relu"})),
        Setup(format=Format.ONNX, per_channel=True, steps=(AccuracyStep.SPLIT,), portable=True),
    ):
        network_of = network
        if setup.portable:  # a second branch that is added to what the first convolution reads
            model = narrow()
            twice = layers.Add(name="add")([model.input, model.input])
            network_of = read_network(keras.Model(model.input, [model.output, twice]), ["image"])
        done = prepare(Scene(network_of, samples, 0), {}, setup, silent)
        assert done.records[1].note == "left out: no idle channel that could carry a copy"


def test_a_network_without_idle_channels_says_so(network: Network, tmp_path: Path) -> None:
    samples = Samples.write(tmp_path / "samples", ({"image": item} for item in ITEMS), len(ITEMS))
    setup = Setup(format=Format.TFLITE, per_channel=True, steps=(AccuracyStep.SPLIT,))
    busy = network.with_biases({"stem_relu": np.ones(CHANNELS, np.float32)}).with_kernels(
        {"stem_relu": np.random.default_rng(0).normal(0, 0.4, (3, 3, 3, CHANNELS)).astype(np.float32)}
    )
    done = prepare(Scene(busy, samples, 0), {}, setup, silent)
    assert done.records[1].note == "left out: no idle channel that could carry a copy"
    assert not done.channel_copies
