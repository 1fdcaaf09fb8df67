"""Errors by layer, on small files with layer names in both formats, healthy and damaged in one layer."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.artifact import attach_card, open_artifact
from edgekit.card import ChannelCopy
from edgekit.data import Dataset
from edgekit.data.arrays import ArrayItems
from edgekit.errors import ArtifactError, CardError, InputError
from edgekit.formats.onnx_parts import OnnxParts
from edgekit.formats.tflite_objects import open_model, save_model
from edgekit.measure.layer_taps import Tap
from edgekit.measure.layers import LayerComparison, compare_layers
from edgekit.measure.watched import open_watched
from edgekit.runtimes import open_runtime

FILES = Path(__file__).parent / "golden" / "layers"
FORMATS = ("tflite", "onnx")
LAYERS = ["stem_relu", "depthwise_relu", "project", "mix", "add", "pool", "logits"]
DATA = Dataset(name="noise", items=ArrayItems(np.random.default_rng(5).uniform(0, 1, (6, 8, 8, 3)).astype(np.float32)))

Change = Callable[[np.ndarray[Any, Any], int], np.ndarray[Any, Any]]
"""From the weights of a layer and the axis of its output channels to damaged ones."""


def layers(reference: Path, other: Path) -> LayerComparison:
    (entry,) = compare_layers(reference, [other], DATA).entries
    return entry


def file(recipe: str, fmt: str) -> Path:
    return FILES / f"small.{recipe}.{fmt}"


def damaged(source: Path, target: Path, layer: str, change: Change, *, part: str = "kernel") -> Path:
    """``source`` with ``change`` made to the kernel or bias of one layer."""
    path = target / source.name
    position = {"kernel": 1, "bias": 2}[part]
    if source.suffix == ".tflite":
        model = open_model(source)
        graph = model.subgraphs[0]
        operator = next(o for o in graph.operators if graph.tensors[o.outputs[0]].name.decode() == layer)
        tensor = graph.tensors[operator.inputs[position]]
        dtype = {0: np.float32, 9: np.int8, 2: np.int32}[tensor.type]
        buffer = model.buffers[tensor.buffer]
        values = np.asarray(buffer.data, np.uint8).view(dtype).reshape(tensor.shape)
        buffer.data = np.frombuffer(change(values.copy(), 0).tobytes(), np.uint8)
        save_model(model, path)
    else:
        import onnx
        from onnx import numpy_helper

        model = onnx.load(source)
        makers = {out: node for node in model.graph.node for out in node.output}
        inner = f"{layer}_QuantizeLinear_Input"  # what an output is called before its conversions
        node = makers[inner if inner in makers else layer]
        node = makers[node.input[0]] if node.op_type in ("Clip", "Relu") else node
        name = node.input[position]
        name = makers[name].input[0] if name in makers else name
        tensor = next(t for t in model.graph.initializer if t.name == name)
        axis = 1 if node.op_type == "Gemm" and not any(a.name == "transB" and a.i for a in node.attribute) else 0
        tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor).copy(), axis), name))
        onnx.save(model, path)
    return path


def test_the_state_of_a_recurrent_layer_is_cleared(tiny_models: Path) -> None:
    x = np.random.default_rng(0).normal(size=(4, 4, 3)).astype(np.float32)
    path = tiny_models / "lstm.tflite"
    (entry,) = compare_layers(path, [path], Dataset(name="noise", items=ArrayItems(x))).entries
    assert {layer.own_sqnr_db for layer in entry.layers} == {200.0}


def test_outputs_of_other_names_are_paired_by_position(tiny_models: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    np.savez(
        tmp_path / "two.npz", **{n: random.normal(size=(4, k)).astype("f4") for n, k in (("zeta", 3), ("alpha", 2))}
    )
    files = [str(tiny_models / f"two_inputs.{fmt}") for fmt in ("onnx", "tflite")]
    command = [sys.executable, "-m", "edgekit", "compare", *files, "--data", str(tmp_path / "two.npz"), "--layers"]
    done = subprocess.run([*command, "--json", "-"], capture_output=True, text=True, check=True)
    assert done.stderr == f"The outputs of {files[1]} are named otherwise; they are compared by position.\n"
    assert json.loads(done.stdout)["results"][0]["matched"] == "position"


@pytest.mark.parametrize("name", ["file", "allow_pickle"])
def test_an_input_may_be_called_as_an_argument_of_numpy(name: str, tmp_path: Path) -> None:
    import onnx

    model = onnx.load(file("fp32", "onnx"))
    given = model.graph.input[0].name
    model.graph.input[0].name = name
    for node in model.graph.node:
        node.input[:] = [name if key == given else key for key in node.input]
    onnx.save(model, tmp_path / "renamed.onnx")
    entry = layers(tmp_path / "renamed.onnx", tmp_path / "renamed.onnx")
    assert [layer.name for layer in entry.layers] == LAYERS


def zeroed(values: np.ndarray[Any, Any], _axis: int) -> np.ndarray[Any, Any]:
    return np.zeros_like(values)


def swapped(values: np.ndarray[Any, Any], axis: int) -> np.ndarray[Any, Any]:
    """Output channels in another order."""
    return np.flip(values, axis).copy()


def with_nan(values: np.ndarray[Any, Any], _axis: int) -> np.ndarray[Any, Any]:
    values[1] = np.nan
    return values


@pytest.mark.parametrize("fmt", FORMATS)
def test_layers_have_keras_names_in_the_order_of_execution(fmt: str) -> None:
    assert [layer.name for layer in layers(file("fp32", fmt), file("int8", fmt)).layers] == LAYERS


@pytest.mark.parametrize("reference", FORMATS)
@pytest.mark.parametrize("fmt", FORMATS)
def test_a_healthy_file_has_no_layer_to_blame(reference: str, fmt: str) -> None:
    """The reference may be of the other format, whose axes are in another order."""
    entry = layers(file("fp32", reference), file("int8", fmt))
    assert (entry.first_nan, entry.first_broken, entry.worst()) == (None, None, ())
    for layer in entry.layers:
        assert layer.activation_sqnr_db is not None
        assert layer.activation_sqnr_db > 30, layer.name
        assert layer.weight_sqnr_db is None or layer.weight_sqnr_db > 35, layer.name
    assert sum(layer.share or 0 for layer in entry.layers) == pytest.approx(1)
    assert entry.explained == pytest.approx(1, abs=0.5)
    assert entry.advice() == (
        f"{entry.given}: the noise at the outputs is {entry.metrics['sqnr_db']:.0f} dB below the signal; "
        "no layer needs to stay in float."
    )


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_file_equals_itself(fmt: str) -> None:
    entry = layers(file("fp32", fmt), file("fp32", fmt))
    assert {layer.activation_sqnr_db for layer in entry.layers} == {200.0}
    assert {layer.share for layer in entry.layers} == {0.0}
    assert {layer.saturation for layer in entry.layers} == {None}


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("recipe", ["fp32", "int8"])
@pytest.mark.parametrize("change", [zeroed, swapped])
@pytest.mark.parametrize("layer", ["stem_relu", "mix", "logits"])
def test_a_damaged_layer_is_the_first_broken_one(
    fmt: str, recipe: str, change: Change, layer: str, tmp_path: Path
) -> None:
    entry = layers(file("fp32", fmt), damaged(file(recipe, fmt), tmp_path, layer, change))
    assert entry.first_broken == layer
    (row,) = [row for row in entry.layers if row.name == layer]
    assert row.weight_sqnr_db is not None
    assert row.weight_sqnr_db < 3
    assert entry.advice() == (
        f"{entry.given}: {layer} makes something else of its inputs than the reference does; look at its weights, "
        "and convert again."
    )


@pytest.mark.parametrize("fmt", FORMATS)
def test_the_first_nan_is_named(fmt: str, tmp_path: Path) -> None:
    entry = layers(file("fp32", fmt), damaged(file("fp32", fmt), tmp_path, "project", with_nan, part="bias"))
    assert entry.first_nan == "project"
    assert [layer.name for layer in entry.layers if layer.finite] == ["stem_relu", "depthwise_relu"]
    assert entry.metrics == {}
    assert {layer.share for layer in entry.layers} == {None}
    assert (
        entry.advice() == f"{entry.given}: the first NaN or infinity is in project; look at its weights and its input."
    )


@pytest.mark.parametrize("fmt", FORMATS)
def test_recorded_scales_are_needed_and_used(fmt: str, tmp_path: Path) -> None:
    """Equalized channels are not errors; a card that forgets their scales makes them look like some."""
    card = open_artifact(file("int8", fmt)).card
    assert card.provenance.channel_scales
    forgetful = tmp_path / f"forgetful.{fmt}"
    forgetful.write_bytes(file("int8", fmt).read_bytes())
    attach_card(forgetful, replace(card, provenance=replace(card.provenance, channel_scales="")))
    good, bad = (layers(file("fp32", fmt), path).layers[0] for path in (file("int8", fmt), forgetful))
    assert good.activation_sqnr_db is not None
    assert bad.activation_sqnr_db is not None
    assert good.activation_sqnr_db > bad.activation_sqnr_db + 20
    assert good.weight_sqnr_db is not None
    assert bad.weight_sqnr_db is not None
    assert good.weight_sqnr_db > bad.weight_sqnr_db + 20


@pytest.mark.parametrize("fmt", FORMATS)
def test_recorded_copies_are_needed_and_used(fmt: str, tmp_path: Path) -> None:
    """A channel that carries another is no error; a card that forgets it makes the layers around it look broken."""
    card = open_artifact(file("int8", fmt)).card
    assert set(card.provenance.channel_copies) == {"stem_relu", "depthwise_relu"}
    forgetful = tmp_path / f"forgetful.{fmt}"
    forgetful.write_bytes(file("int8", fmt).read_bytes())
    attach_card(forgetful, replace(card, provenance=replace(card.provenance, channel_copies={})))
    good, bad = (layers(file("fp32", fmt), path).layers for path in (file("int8", fmt), forgetful))
    for index in (0, 1):
        told, forgotten = good[index].activation_sqnr_db, bad[index].activation_sqnr_db
        assert told is not None
        assert forgotten is not None
        assert told > forgotten + 20
    for index in (0, 1, 2):
        told, forgotten = good[index].weight_sqnr_db, bad[index].weight_sqnr_db
        assert told is not None
        assert forgotten is not None
        assert told > max(forgotten + 10, 30)


@pytest.mark.parametrize("fmt", FORMATS)
def test_copies_of_channels_that_a_layer_lacks_leave_it_out(fmt: str, tmp_path: Path) -> None:
    card = open_artifact(file("int8", fmt)).card
    path = tmp_path / f"odd.{fmt}"
    path.write_bytes(file("int8", fmt).read_bytes())
    odd = {"project": (ChannelCopy(slot=8, source=0, offset=0.0, idle=0.0),)}
    attach_card(path, replace(card, provenance=replace(card.provenance, channel_copies=odd)))
    assert [layer.name for layer in layers(file("fp32", fmt), path).layers] == [n for n in LAYERS if n != "project"]


def test_scales_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    card = open_artifact(file("int8", "tflite")).card
    path = tmp_path / "odd.tflite"
    path.write_bytes(file("int8", "tflite").read_bytes())
    attach_card(path, replace(card, provenance=replace(card.provenance, channel_scales="none")))
    with pytest.raises(CardError) as caught:
        layers(file("fp32", "tflite"), path)
    assert str(caught.value) == f"the card in {path} holds channel scales that cannot be read; convert the model again."


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("recipe", ["fp32", "int8"])
def test_watching_does_not_change_the_outputs(recipe: str, fmt: str) -> None:
    """More outputs can keep an engine from fusing operators, and then other numbers would be measured."""
    watched, runtime = open_watched(file(recipe, fmt), threads=1), open_runtime(file(recipe, fmt))
    watched.watch(list(watched.taps))
    for item in DATA:
        feed = {"image": np.asarray(item)[None]}
        expected = runtime.run(feed, as_float=True)["logits"]
        found = watched.taps["logits"].real(watched.run(feed)["logits"])
        if recipe == "int8":
            np.testing.assert_array_equal(found, expected)
        else:
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_saturation_counts_what_the_range_cuts_off_and_nothing_else() -> None:
    tap = Tap(tensor="t", scale=0.1, zero_point=-128, low=-128, high=127)
    wanted = np.array([0.0, 25.5, 26.0, 25.54, -3.0], np.float32)
    assert tap.clipped(np.array([-128, 127, 127, 127, -128], np.int8), wanted) == 2
    assert Tap(tensor="t").clipped(wanted, wanted) == 0


def test_the_worst_layers_are_named_with_the_option_that_keeps_them() -> None:
    entry = layers(file("fp32", "tflite"), file("int8", "tflite"))
    rows = tuple(
        replace(row, share=share) for row, share in zip(entry.layers, (0.1, 0.0, 0.4, 0.0, 0.3, 0.1, 0.1), strict=True)
    )
    entry = replace(entry, layers=rows, metrics={**entry.metrics, "sqnr_db": 12.0})
    assert entry.advice() == (
        f"{entry.given}: project and add have 70 % of the error; to keep them and what reads them in float: "
        "convert --keep-float '^(project|add|mix|pool)$'."
    )
    floats = replace(entry, artifact=open_artifact(file("fp32", "tflite")))
    assert floats.advice() == f"{entry.given}: project and add have 70 % of the error."


def test_an_integer_file_is_no_reference() -> None:
    with pytest.raises(InputError) as caught:
        layers(file("int8", "onnx"), file("int8", "tflite"))
    assert str(caught.value) == (
        f"{file('int8', 'onnx')} computes 'stem_relu' in integers; layers are compared with a float file: give the "
        "Keras model, or the fp32 file of the same conversion."
    )


def test_a_keras_model_is_the_reference_only(tiny_models: Path) -> None:
    keras = tiny_models / "convnet.keras"
    with pytest.raises(InputError) as caught:
        layers(tiny_models / "convnet.tflite", keras)
    assert str(caught.value) == f"{keras} is a Keras model; only REFERENCE may be one where layers are compared."


def test_a_reference_without_layers_is_refused(tmp_path: Path) -> None:
    model = open_model(file("fp32", "tflite"))
    model.subgraphs[0].operators = []
    save_model(model, tmp_path / "none.tflite")
    with pytest.raises(InputError, match=r"none.tflite have no layer of the same name; convert both with this edgekit"):
        layers(tmp_path / "none.tflite", file("fp32", "tflite"))


def test_files_without_common_layers_are_refused(tmp_path: Path) -> None:
    import onnx

    model = onnx.load(file("fp32", "onnx"))
    kept = {"image", "logits", *(t.name for t in model.graph.initializer)}
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [n if n in kept or not n else f"other/{n}" for n in names]
    del model.graph.value_info[:]
    other = tmp_path / "other.onnx"
    onnx.save(model, other)
    with pytest.raises(InputError) as caught:
        layers(file("fp32", "onnx"), other)
    assert str(caught.value) == (
        f"{other} and {file('fp32', 'onnx')} have no layer of the same name; convert both with this edgekit."
    )


def test_the_command_shows_tables_and_writes_json(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.stack([np.asarray(item) for item in DATA]))
    files = [str(file("int8", fmt)) for fmt in FORMATS]
    command = [sys.executable, "-m", "edgekit", "compare", str(file("fp32", "tflite")), *files]
    done = subprocess.run(
        [*command, "--data", str(tmp_path / "data.npz"), "--layers", "--samples", "4", "--json", "r.json"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert "no layer needs to stay in float" in done.stdout
    assert all(name in done.stdout for name in LAYERS)
    data = json.loads((tmp_path / "r.json").read_text())
    assert data["command"] == "compare"
    for result, fmt in zip(data["results"], FORMATS, strict=True):
        assert (result["format"], result["n"], result["share_n"]) == (fmt, 4, 4)
        assert (result["first_nan"], result["first_broken"]) == (None, None)
        assert set(result["metrics"]) == {"max_abs", "mean_abs", "sqnr_db", "cosine", "agreement"}
        assert [layer["name"] for layer in result["layers"]] == LAYERS
        assert set(result["layers"][0]) == {
            "name", "readers", "weight_sqnr_db", "activation_sqnr_db", "own_sqnr_db", "saturation", "share", "finite",
            "integer",
        }  # fmt: skip


def test_a_file_that_its_engine_refuses_ends_in_a_sentence(tmp_path: Path) -> None:
    """The kernel of one layer has channels that its input does not have."""
    import onnx

    model = open_model(file("fp32", "tflite"))
    graph = model.subgraphs[0]
    operator = next(o for o in graph.operators if graph.tensors[o.outputs[0]].name == b"project")
    graph.tensors[operator.inputs[1]].shape = [16, 1, 1, 4]
    save_model(model, tmp_path / "odd.tflite")
    other = onnx.load(file("fp32", "onnx"))
    next(t for t in other.graph.initializer if t.dims[:2] == [8, 8]).dims[:] = [16, 4, 1, 1]
    onnx.save(other, tmp_path / "odd.onnx")
    for name, engine in (("odd.tflite", "LiteRT"), ("odd.onnx", "ONNX Runtime")):
        path = tmp_path / name
        with pytest.raises(ArtifactError, match=rf"^{re.escape(str(path))} cannot be loaded in {engine}: .+\.$"):
            layers(file("fp32", "tflite"), path)


def test_parts_of_a_file_without_a_graph_or_with_cut_weights_are_refused(tmp_path: Path) -> None:
    import onnx

    empty = tmp_path / "empty.onnx"
    empty.write_bytes(b"\x08\x08")
    with pytest.raises(ArtifactError) as caught:
        OnnxParts(empty)
    assert str(caught.value) == (
        f"{empty} is not an ONNX file, or is cut off: it holds no graph; copy or export it again."
    )
    model = onnx.load(file("fp32", "onnx"))
    tensor = next(t for t in model.graph.initializer if len(t.dims) == 4)
    tensor.raw_data = tensor.raw_data[:-4]
    short = tmp_path / "short.onnx"
    short.write_bytes(model.SerializeToString())
    shape = tuple(tensor.dims)
    with pytest.raises(ArtifactError) as caught:
        OnnxParts(short).constant(tensor.name)
    assert str(caught.value) == (
        f"{short} is damaged: a weight of the shape {shape} has {int(np.prod(shape)) - 1} values; "
        "copy, download or convert it again."
    )


def test_constants_are_read_as_the_onnx_package_reads_them() -> None:
    import onnx
    from onnx import numpy_helper

    for recipe in ("fp32", "int8"):
        parts = OnnxParts(file(recipe, "onnx"))
        for tensor in onnx.load(file(recipe, "onnx")).graph.initializer:
            np.testing.assert_array_equal(parts.constant(tensor.name), numpy_helper.to_array(tensor))
    assert parts.constant("image") is None
