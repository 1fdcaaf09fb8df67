"""Layers found in lowered files by their values, and prepared weights put into these files."""

from pathlib import Path

import numpy as np
import pytest

from edgekit.converters import litert_worker, onnx_edit, onnx_worker, tflite_edit
from edgekit.converters.accuracy.network import Kind
from edgekit.converters.accuracy.probe import Probe, name_tensors, same
from edgekit.converters.layers import layer_values, match_weights, require_values
from edgekit.errors import ConversionError
from edgekit.formats import onnx, tflite
from edgekit.workers import silent

RNG = np.random.default_rng(0)


def array(*shape: int) -> np.ndarray:
    return RNG.normal(0, 1, shape).astype(np.float32)


def test_tensors_are_the_same_with_channels_last_or_first_up_to_rounding() -> None:
    wanted = array(2, 4, 4, 3)
    assert same(wanted + 5e-5, wanted)
    assert same(np.moveaxis(wanted, -1, 1), wanted)
    assert same(array(1, 3) * 0 + wanted[0, 0, 0], wanted[0, 0, 0])
    assert not same(wanted + 1e-3, wanted)
    assert not same(wanted[..., ::-1], wanted)
    assert not same(wanted.astype(np.int32), wanted)
    assert not same(wanted[:1], wanted)


def test_each_tensor_takes_the_first_layer_with_its_values_that_is_free() -> None:
    a, b = array(2, 4, 4, 3), array(2, 4, 4, 3)
    tensors = {"t0": a, "t1": np.moveaxis(b, -1, 1), "t2": b, "t3": array(2, 4, 4, 3)}
    assert name_tensors(tensors, [("one", a), ("two", b), ("again", b), ("other", array(2, 5))]) == {
        "t0": "one",
        "t1": "two",
        "t2": "again",
    }


@pytest.fixture
def probe() -> Probe:
    return Probe(
        feeds=({"x": array(1, 3)}, {"x": array(1, 3)}),
        values={"x": array(2, 3), "norm": array(2, 4), "relu": array(2, 4)},
        weights={"relu": (Kind.DENSE, array(3, 4), array(4))},
        before={"relu": "norm"},
    )


def test_a_probe_reads_back_as_it_was_written(probe: Probe, tmp_path: Path) -> None:
    probe.save(tmp_path / "probe.npz")
    again = Probe.load(tmp_path / "probe.npz")
    assert (list(again.values), again.before) == (list(probe.values), probe.before)
    np.testing.assert_array_equal(again.feeds[1]["x"], probe.feeds[1]["x"])
    kind, kernel, bias = again.weights["relu"]
    assert kind is Kind.DENSE
    np.testing.assert_array_equal(kernel, probe.weights["relu"][1])
    np.testing.assert_array_equal(bias, probe.weights["relu"][2])


def test_values_before_a_rectifier_come_first_or_second(probe: Probe) -> None:
    assert [n for n, _ in layer_values(probe, before_first=True)] == ["x", "norm", "relu"]
    assert [n for n, _ in layer_values(probe, before_first=False)] == ["x", "relu", "norm"]


def test_weights_are_found_at_the_operator_that_holds_them_or_the_reason_is_told(probe: Probe) -> None:
    kernel = probe.weights["relu"][1]

    def matched(operators: dict[str, tuple[Kind, np.ndarray | None]]) -> tuple[dict[str, str], dict[str, str]]:
        return match_weights(probe, operators, lambda held: held, lambda wanted, _kind, _operator: wanted.T)

    assert matched({"norm": (Kind.DENSE, kernel.T)}) == ({"relu": "norm"}, {})
    assert matched({"relu": (Kind.DENSE, kernel.T)}) == ({"relu": "relu"}, {})
    assert matched({"other": (Kind.DENSE, kernel.T)}) == ({}, {"relu": "the file has no single operator for it"})
    for wrong in ((Kind.DENSE, 1.01 * kernel.T), (Kind.DENSE, kernel), (Kind.DENSE, None), (Kind.CONV, kernel.T)):
        assert matched({"relu": wrong}) == ({}, {"relu": "the file holds other weights for it"})


def test_a_file_with_other_values_than_the_prepared_network_is_refused(probe: Probe) -> None:
    require_values({"x": probe.values["x"], "unknown": array(2, 9)}, probe, "net.tflite")
    require_values({"norm": probe.values["norm"] + 5e-4}, probe, "net.tflite")  # rounding
    with pytest.raises(ConversionError) as error:
        require_values({"norm": probe.values["norm"] + 0.01}, probe, "net.tflite")
    assert str(error.value) == (
        "the prepared weights give 'norm' of net.tflite other values than the prepared network: leave its "
        "layer out with --exclude, or all accuracy steps with --plain."
    )
    with pytest.raises(ConversionError):
        require_values({"norm": probe.values["norm"] * np.nan}, probe, "net.tflite")


def weight_probe(
    kind: Kind, kernel: np.ndarray, bias: np.ndarray, values: dict[str, np.ndarray], feeds: tuple
) -> Probe:
    return Probe(feeds=feeds, values=values, weights={"first": (kind, kernel, bias)}, before={})


def test_a_tflite_file_takes_names_and_weights(tiny_models: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes((tiny_models / "convnet.tflite").read_bytes())
    graph = tflite.read_graph(path)
    shape = tuple(1 if d is None else d for d in graph.inputs[0].shape)
    feeds = tuple({graph.inputs[0].name: array(*shape)} for _ in range(2))
    held = tflite_edit.activations(path, feeds)
    conv = next(n for n in graph.nodes if n.op == "CONV_2D")
    model = tflite_edit.open_model(path)
    kernel = tflite_edit.kernel_of(model, tflite_edit.weighted_operators(model)[conv.outputs[0]][1])
    assert kernel is not None
    keras_kernel = np.moveaxis(kernel, 0, 3)
    bias = array(keras_kernel.shape[-1])
    weight_probe(Kind.CONV, keras_kernel, bias, {"first": held[conv.outputs[0]]}, feeds).save(tmp_path / "p.npz")
    answer = litert_worker.name({"path": str(path), "probe": str(tmp_path / "p.npz")}, silent)
    assert answer == {"weights": {"first": "first"}, "missing": {}}
    assert "first" in tflite.read_graph(path).tensors
    assert tflite_edit.activations(path, feeds).keys() == {"first" if n == conv.outputs[0] else n for n in held}

    # The same weights and another bias: the values say whether both are where they belong.
    model = tflite_edit.open_model(path)
    _, operator = tflite_edit.weighted_operators(model)["first"]
    tflite_edit.set_weights(model, operator, kernel, bias, "first")
    tflite_edit.save_model(model, tmp_path / "by_hand.tflite")
    wanted = tflite_edit.activations(tmp_path / "by_hand.tflite", feeds)
    assert not same(wanted["first"], held[conv.outputs[0]])
    request = {"source": str(path), "path": str(tmp_path / "out.tflite"), "probe": str(tmp_path / "q.npz"),
               "weights": answer["weights"]}  # fmt: skip
    weight_probe(Kind.CONV, keras_kernel, bias, {"first": wanted["first"]}, feeds).save(tmp_path / "q.npz")
    litert_worker.install(request, silent)
    assert path.stat().st_size + 500 > (tmp_path / "out.tflite").stat().st_size  # the old weights are gone
    weight_probe(Kind.CONV, 1.1 * keras_kernel, bias, {"first": wanted["first"]}, feeds).save(tmp_path / "q.npz")
    with pytest.raises(ConversionError, match="other values than the prepared network"):
        litert_worker.install(request, silent)


def test_an_onnx_file_takes_names_and_weights(tiny_models: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx_worker.fold({"source": str(tiny_models / "convnet.onnx"), "path": str(path), "batch": 1}, silent)
    graph = onnx.read_graph(path)
    feeds = tuple({graph.inputs[0].name: array(*(d or 1 for d in graph.inputs[0].shape))} for _ in range(2))
    held = onnx_edit.activations(path.read_bytes(), feeds)
    conv = next(n for n in graph.nodes if n.op == "Conv")
    import onnx as onnx_package

    model = onnx_package.load(str(path))
    kernel = onnx_edit.kernel_of(model, onnx_edit.weighted_operators(model)[conv.outputs[0]][1])
    assert kernel is not None
    keras_kernel = np.moveaxis(kernel, (0, 1), (3, 2))
    channels_last = np.moveaxis(held[conv.outputs[0]], 1, -1)
    bias = array(keras_kernel.shape[-1])
    weight_probe(Kind.CONV, keras_kernel, bias, {"first": channels_last}, feeds).save(tmp_path / "p.npz")
    answer = onnx_worker.name({"path": str(path), "probe": str(tmp_path / "p.npz")}, silent)
    assert answer == {"weights": {"first": "first"}, "missing": {}}
    assert "first" in onnx.read_graph(path).tensors

    model = onnx_package.load(str(path))
    _, node = onnx_edit.weighted_operators(model)["first"]
    onnx_edit.set_weights(model, node, kernel, bias, "first")
    wanted = np.moveaxis(onnx_edit.activations(model.SerializeToString(), feeds)["first"], 1, -1)
    assert not same(wanted, channels_last)
    request = {"source": str(path), "path": str(tmp_path / "out.onnx"), "probe": str(tmp_path / "q.npz"),
               "weights": answer["weights"]}  # fmt: skip
    weight_probe(Kind.CONV, keras_kernel, bias, {"first": wanted}, feeds).save(tmp_path / "q.npz")
    onnx_worker.install(request, silent)
    assert path.stat().st_size + 500 > (tmp_path / "out.onnx").stat().st_size
    weight_probe(Kind.CONV, 1.1 * keras_kernel, bias, {"first": wanted}, feeds).save(tmp_path / "q.npz")
    with pytest.raises(ConversionError, match="other values than the prepared network"):
        onnx_worker.install(request, silent)
