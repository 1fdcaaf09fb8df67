"""Copies of channels in idle ones: which channels are idle, that the network stays what it was, and what it gains."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.artifact import Format
from edgekit.card import ChannelCopy
from edgekit.channel_copies import joined, repeated, shared
from edgekit.converters.accuracy.choose_ranges import extreme_ranges
from edgekit.converters.accuracy.from_keras import read_network
from edgekit.converters.accuracy.network import Network
from edgekit.converters.accuracy.observe import Observed, observe
from edgekit.converters.accuracy.scene import Scene
from edgekit.converters.accuracy.simulate import run, with_zero
from edgekit.converters.accuracy.split_channels import Split, split_channels
from edgekit.converters.accuracy.steps import Setup, prepare
from edgekit.converters.samples import Samples
from edgekit.errors import CardError
from edgekit.recipe import AccuracyStep
from edgekit.workers import silent

keras = pytest.importorskip("keras")
layers = keras.layers

ITEMS = np.random.default_rng(0).uniform(-1, 1, (32, 8, 8, 3)).astype(np.float32)
CHANNELS = 8
NEVER, BELOW_ZERO, CONSTANT, RARE = 1, 3, 5, 6
"""Channels of no weight; of a bias too low for any input; always 2; and idle on the items, not on all inputs."""


def narrow(reader: int = 1, pooled: bool = False) -> Any:
    """Two convolutions with idle channels between them."""
    rng = np.random.default_rng(1)
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(CHANNELS, 3, padding="same", name="stem")(image)
    x = layers.ReLU(6.0, name="stem_relu")(x)
    if pooled:
        x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.ReLU(6.0, name="depthwise_relu")(x)
    x = layers.Conv2D(4, reader, padding="same", name="project")(x)
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
    assert done.records[1].note == "6 copies of channels in 2 layers"
    assert set(done.channel_copies) == {"stem_relu", "depthwise_relu"}


def test_a_network_without_idle_channels_says_so(network: Network, tmp_path: Path) -> None:
    samples = Samples.write(tmp_path / "samples", ({"image": item} for item in ITEMS), len(ITEMS))
    setup = Setup(format=Format.TFLITE, per_channel=True, steps=(AccuracyStep.SPLIT,))
    busy = network.with_biases({"stem_relu": np.ones(CHANNELS, np.float32)}).with_kernels(
        {"stem_relu": np.random.default_rng(0).normal(0, 0.4, (3, 3, 3, CHANNELS)).astype(np.float32)}
    )
    done = prepare(Scene(busy, samples, 0), {}, setup, silent)
    assert done.records[1].note == "left out: no channel is idle"
    assert not done.channel_copies


COPIES = (
    ChannelCopy(slot=3, source=0, offset=0.25, idle=1.0),
    ChannelCopy(slot=1, source=0, offset=0.5, idle=0.0),
)


def test_copies_are_put_in_place_and_undone() -> None:
    value = np.random.default_rng(0).normal(0, 1, (2, 4, 3)).astype(np.float32)
    value[:, 1], value[:, 3] = 0, 1
    with_copies = repeated(value, COPIES, 1)
    np.testing.assert_allclose(with_copies[:, 1], value[:, 0] + 0.5)
    np.testing.assert_allclose(with_copies[:, 0], value[:, 0] - 0.75)
    np.testing.assert_allclose(joined(with_copies, COPIES, 1), value, atol=1e-6)
    kernel = np.arange(8.0).reshape(4, 2)
    np.testing.assert_allclose(shared(kernel, COPIES, 0), [[0, 1 / 3], [0, 1 / 3], [4, 5], [0, 1 / 3]])
    np.testing.assert_array_equal(repeated(kernel, COPIES, 0, offsets=False)[[1, 3]], kernel[[0, 0]])


@pytest.mark.parametrize(("slot", "source"), [(-1, 0), (0, -1), (2, 2)])
def test_copies_that_cannot_be_are_refused(slot: int, source: int) -> None:
    with pytest.raises(CardError, match=f"Channel {slot} cannot be a copy of channel {source}"):
        ChannelCopy(slot=slot, source=source, offset=0.0, idle=0.0)
