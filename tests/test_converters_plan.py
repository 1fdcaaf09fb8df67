"""Before any work: what a source is, which files it becomes, and what stays in float. No engine runs here."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from edgekit.artifact import Format
from edgekit.card import ModelCard, TensorSpec
from edgekit.cli.convert import _table
from edgekit.converters import lower
from edgekit.converters.float_ops import float_ops, kept_nodes, refuse_loops, refuse_unrunnable, require_integer
from edgekit.converters.plan import plan
from edgekit.converters.quantize import _require_tensorflow
from edgekit.converters.source import Source, SourceKind, open_source
from edgekit.converters.workshop import Workshop
from edgekit.detection import AnchorLevel, Detection, Head
from edgekit.errors import ArtifactError, ConversionError, InputError
from edgekit.formats.graph import Graph, Node, TensorInfo
from edgekit.recipe import Batch, Nms, Precision, Recipe


def source(kind: SourceKind = SourceKind.KERAS) -> Source:
    path = Path(f"net.{kind.value}")
    return Source(path=path, kind=kind, name="net", home=Path(), sha256="0" * 64, card=None)


def recipe(precision: Precision = Precision.INT8, **fields: object) -> Recipe:
    return Recipe(precision=precision, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("head", "got"),
    [
        (None, "no detector by its card"),
        (Head.YOLOV8, "a detector with the head yolov8"),
        (Head.SSD_POSTPROCESS, "a detector with the head ssd-postprocess"),
    ],
)
def test_boxes_are_chosen_in_the_graph_of_a_detector_with_anchors_only(head: Head | None, got: str) -> None:
    level = AnchorLevel(rows=1, columns=1, shapes=((1.0, 1.0),))
    graph = recipe(nms=Nms.GRAPH)

    def detector(detection: Detection | None) -> Source:
        return replace(source(), card=ModelCard(name="net", inputs=(), outputs=(), detection=detection))

    assert plan(detector(Detection(head=Head.SSD, anchors=(level,))), [graph], []).jobs[0].recipe is graph
    for other in (detector(Detection(head=head) if head is not None else None), *([] if head else [source()])):
        with pytest.raises(InputError) as caught:
            plan(other, [recipe(), graph], [])
        assert str(caught.value) == (
            "--nms graph takes a detector with the head ssd, whose anchors are in its card; net.keras is "
            f"{got}: leave --nms out."
        )


def test_a_recipe_that_one_format_lacks_is_left_out_with_a_note() -> None:
    found = plan(source(), [recipe(Precision.FP16), recipe(Precision.INT16X8)], [])
    assert found.names == ("net.fp16.tflite", "net.int16x8.tflite", "net.fp16.onnx", "net.fp16-int16x8.manifest.json")
    assert [(job.format, job.recipe.precision) for job in found.jobs][-1] == (Format.ONNX, Precision.FP16)
    assert found.notes == ("Skipped int16x8 for onnx: onnx has no int16x8; it has fp32, fp16, dynamic, int8.",)


@pytest.mark.parametrize(
    ("kind", "recipes", "formats", "sentence"),
    [
        (SourceKind.KERAS, [], [], "No recipe was given; name at least one, such as int8."),
        (
            SourceKind.KERAS,
            [recipe(Precision.INT16X8)],
            [Format.ONNX],
            "onnx has no int16x8; it has fp32, fp16, dynamic, int8: choose one of these or another format.",
        ),
        (
            SourceKind.ONNX,
            [recipe(Precision.INT16X8)],
            [],
            "onnx has no int16x8; it has fp32, fp16, dynamic, int8: choose one of these.",
        ),
        (
            SourceKind.TFLITE,
            [recipe()],
            [Format.ONNX],
            "net.tflite cannot become onnx: a TFLite file converts to tflite only; start from the Keras model that it "
            "was made from.",
        ),
        (
            SourceKind.TFLITE,
            [recipe(batch=Batch.DYNAMIC)],
            [],
            "net.tflite keeps the batch size it has; a free one needs the Keras model that it was made from.",
        ),
    ],
)
def test_what_a_source_cannot_become_is_refused(
    kind: SourceKind, recipes: list[Recipe], formats: list[Format], sentence: str
) -> None:
    with pytest.raises(InputError) as caught:
        plan(source(kind), recipes, formats)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("no.keras", None, "{} does not exist; give a model file, a SavedModel folder or a run folder."),
        (
            "folder",
            "",
            "{} holds neither model.keras nor saved_model.pb; give a run folder or a SavedModel folder.",
        ),
        (
            "model.pt",
            "x",
            "{} is not a model that can be converted; expected .keras, .h5, .onnx, .tflite, a SavedModel folder, "
            "a run folder or a .manifest.json of an earlier conversion.",
        ),
        ("model.h5", "x", "{} is not an HDF5 file, or is damaged; expected a model saved by Keras as .h5."),
    ],
)
def test_what_is_no_source_is_refused(tmp_path: Path, name: str, content: str | None, sentence: str) -> None:
    path = tmp_path / name
    if content == "":
        path.mkdir()
    elif content is not None:
        path.write_text(content)
    with pytest.raises((InputError, ArtifactError)) as caught:
        open_source(path)
    assert str(caught.value) == sentence.replace("{}", str(path))


@pytest.mark.parametrize("name", ["convnet_int8.tflite", "quantized_interface.onnx"])
def test_a_quantized_file_is_no_source(tiny_models: Path, name: str) -> None:
    with pytest.raises(InputError) as caught:
        open_source(tiny_models / name)
    assert str(caught.value) == (
        f"{tiny_models / name} is already quantized; convert the float model that it was made from."
    )


@pytest.mark.parametrize(
    ("values", "op", "kind"),
    [
        (np.ones(2, np.float16), "Cast", "in half precision"),
        (np.ones(2, np.int8), "DequantizeLinear", "quantized"),  # weights only
    ],
)
def test_weights_of_less_than_float32_make_no_source(tmp_path: Path, values: object, op: str, kind: str) -> None:
    from onnx import TensorProto, helper, numpy_helper

    scale = numpy_helper.from_array(np.float32(0.5), "scale")
    made = (
        helper.make_node("Cast", ["w"], ["y"], to=TensorProto.FLOAT)
        if op == "Cast"
        else helper.make_node(op, ["w", "scale"], ["y"])
    )
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, (2,))
    weights = numpy_helper.from_array(np.asarray(values), "w")
    path = tmp_path / "m.onnx"
    path.write_bytes(
        helper.make_model(helper.make_graph([made], "g", [], [output], [weights, scale])).SerializeToString()
    )
    with pytest.raises(InputError) as caught:
        open_source(path)
    assert str(caught.value) == f"{path} is already {kind}; convert the float model that it was made from."


def test_free_dimensions_after_the_batch_axis_are_refused() -> None:
    free = TensorSpec(name="x", shape=(None, None, 3), dtype="float32")
    card = ModelCard(name="net", inputs=(free,), outputs=())
    with pytest.raises(ArtifactError) as caught:
        lower.load(replace(source(SourceKind.ONNX), card=card), cast("Workshop", None))
    assert str(caught.value) == (
        "Input 'x' of net.onnx has free dimensions after the batch axis; expected fixed sizes."
    )


def test_a_model_without_outputs_is_refused(tmp_path: Path) -> None:
    helper = pytest.importorskip("onnx.helper")
    relu = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [], [])
    (tmp_path / "m.onnx").write_bytes(helper.make_model(relu).SerializeToString())
    with pytest.raises(ConversionError) as caught:
        lower.read_lowered(tmp_path / "m.onnx", Format.ONNX)
    assert str(caught.value) == "m.onnx has no outputs; expected at least one."


def test_layers_cannot_stay_in_float_where_the_other_engine_converts() -> None:
    (job,) = plan(source(), [recipe(keep_float=("head",))], [Format.TFLITE]).jobs
    with pytest.raises(ConversionError) as caught:
        _require_tensorflow(source(), job, ("LEAKY_RELU",))
    assert str(caught.value) == (
        "--keep-float works through litert-quantizer, and int8 of LEAKY_RELU is made by TFLiteConverter; keep these "
        "operators in float too, or leave the flag out."
    )


# --- operators in float ---------------------------------------------------------------------------------------------


def tensor(dtype: str, *, constant: bool = False, size: int = 0) -> TensorInfo:
    return TensorInfo(shape=(32, 32), dtype=dtype, constant=constant, model_bytes=size)


def graph(*nodes: Node, **tensors: TensorInfo) -> Graph:
    return Graph(inputs=(), outputs=(), input_tensors={}, output_tensors={}, nodes=nodes, tensors=tensors, versions={})


def node(op: str, name: str, *inputs: str, custom: bool = False) -> Node:
    return Node(name=name, op=op, inputs=inputs, outputs=(f"{name}_out",), version=1, custom=custom)


MIXED = graph(
    node("QUANTIZE", "in", "x"),
    node("CONV_2D", "whole", "in_out", "kernel"),
    node("ABS", "rest", "x"),
    x=tensor("float32"),
    in_out=tensor("int8"),
    kernel=tensor("int8", constant=True, size=1024),
    whole_out=tensor("int8"),
    rest_out=tensor("float32"),
)


def test_operators_left_in_float_are_refused_unless_allowed_by_name() -> None:
    left = float_ops(MIXED, {}, recipe(), Format.TFLITE, "litert-quantizer")
    assert [(f.name, f.op, f.reason) for f in left] == [("rest", "ABS", "litert-quantizer has no integer form of it")]
    with pytest.raises(ConversionError) as caught:
        require_integer([*left, *left], recipe(), Format.TFLITE)
    assert str(caught.value) == (
        "int8 leaves ABS 'rest' and 1 more in float, since litert-quantizer has no integer form of it; allow it with "
        "--keep-float REGEX, or take the recipe dynamic."
    )
    allowed = recipe(keep_float=("^rest$",))
    kept = float_ops(MIXED, {}, allowed, Format.TFLITE, "litert-quantizer")
    assert [f.reason for f in kept] == ["kept by --keep-float"]
    require_integer(kept, allowed, Format.TFLITE)
    assert float_ops(MIXED, {}, recipe(Precision.FP16), Format.TFLITE, "litert-quantizer") == ()
    assert [n.outputs for n in kept_nodes(MIXED, {}, ["^rest$"])] == [("rest_out",)]
    assert [n.outputs for n in kept_nodes(MIXED, {"rest_out": ("block", "act")}, ["^act$"])] == [("rest_out",)]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_one_float_tensor_makes_an_operator_float(dtype: str) -> None:
    mixed = graph(node("ADD", "a", "x", "w"), x=tensor("int8"), w=tensor(dtype, constant=True), a_out=tensor("int8"))
    assert [f.op for f in float_ops(mixed, {}, recipe(), Format.TFLITE, "e")] == ["ADD"]


def test_dynamic_leaves_in_float_what_keeps_large_float_weights() -> None:
    weights = graph(
        node("FULLY_CONNECTED", "large", "x", "w"),
        node("FULLY_CONNECTED", "small", "x", "v"),
        node("FULLY_CONNECTED", "integer", "x", "q"),
        x=tensor("float32"),
        w=tensor("float32", constant=True, size=4096),
        v=tensor("float32", constant=True, size=4092),
        q=tensor("int8", constant=True, size=8192),
    )
    left = float_ops(weights, {}, recipe(Precision.DYNAMIC), Format.TFLITE, "litert-quantizer")
    assert [(f.name, f.reason) for f in left] == [("large", "litert-quantizer has no dynamic form of it")]
    require_integer(left, recipe(Precision.DYNAMIC), Format.TFLITE)


def test_an_onnx_operator_is_integer_where_it_reads_dequantized_values() -> None:
    onnx = graph(
        node("DequantizeLinear", "d", "q"),
        node("Conv", "conv", "d_out", "d_w"),
        node("Relu", "fused", "conv_out"),
        node("Sigmoid", "light", "fused_out"),
        node("Gemm", "heavy", "d_out", "w"),
        q=tensor("int8"),
        d_out=tensor("float32"),
        d_w=tensor("float32"),
        conv_out=tensor("float32"),
        fused_out=tensor("float32"),
        w=tensor("float32", constant=True),
    )
    left = float_ops(onnx, {}, recipe(), Format.ONNX, "onnxruntime")
    assert [f.name for f in left] == ["light", "heavy"]
    require_integer(left[:1], recipe(), Format.ONNX)
    with pytest.raises(ConversionError, match=r"^int8 leaves Gemm 'heavy' in float, "):
        require_integer(left, recipe(), Format.ONNX)


@pytest.mark.parametrize(
    ("op", "kind"), [("FlexErf", "TensorFlow operator 'FlexErf'"), ("MyOp", "custom operator 'MyOp'")]
)
def test_operators_that_no_stock_runtime_has_are_refused(op: str, kind: str) -> None:
    with pytest.raises(ConversionError) as caught:
        refuse_unrunnable(graph(node("ADD", "a"), node(op, "b", custom=True)), "m.tflite")
    assert str(caught.value) == (
        f"m.tflite needs the {kind}, which no stock runtime has; replace the layer that makes it."
    )


def test_a_loop_has_no_integer_form() -> None:
    loop = graph(node("WHILE", "loop"))
    refuse_loops(loop, recipe(Precision.DYNAMIC))
    with pytest.raises(ConversionError) as caught:
        refuse_loops(loop, recipe())
    assert str(caught.value) == (
        "int8 has no integer form of the operator WHILE, a recurrent layer; the nearest recipe that works is dynamic."
    )


def test_many_operators_of_one_reason_are_told_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    figures = {"max_abs": 0.1, "sqnr_db": 30.0, "cosine": 1.0}
    row: dict[str, Any] = {
        "artifact": "a",
        "model_bytes": 1,
        "ratio": 1.0,
        "metrics": figures,
        "engine": "e",
        "seconds": 1.0,
    }
    kept = [{"op": f"OP{number}", "reason": "its card keeps it in float"} for number in (*range(9), 0)]
    other = {"op": "ADD", "reason": "its input is float"}
    _table([{**row, "float_ops": [*kept, other]}, {**row, "float_ops": kept[:2]}])
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "OP0, OP1, OP2, OP3, OP4, OP5 and 3 more stay in float: its card keeps it in float.",
        "ADD stays in float: its input is float.",
    ]
