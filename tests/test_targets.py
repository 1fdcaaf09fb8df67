"""What devices and engines refuse: the rules, and that the real engines at hand agree with them."""

import importlib.metadata
import importlib.util
import itertools
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from command import edgekit
from onnx import TensorProto, helper
from outer_weights import with_external_buffers
from target_graphs import graph, node, noted, refused, tensor

from edgekit import devices
from edgekit.artifact import Format
from edgekit.card import TensorSpec
from edgekit.errors import CheckFailedError, InputError
from edgekit.formats.graph import Graph
from edgekit.formats.onnx import read_graph as read_onnx
from edgekit.formats.tflite import DTYPES, open_root, read_graph
from edgekit.formats.tflite_objects import open_model, save_model
from edgekit.formats.tflite_ops import OPERATORS
from edgekit.measure import inspect_table
from edgekit.measure.inspect import inspect, require_fit
from edgekit.measure.onnx_versions import ONNX_RUNTIME
from edgekit.measure.target_rules import WEB_TYPES
from edgekit.measure.targets import TARGETS, find_target
from edgekit.measure.tflite_versions import LITERT, MICRO_OPERATORS, NEWER_TYPES, TFLITE_RUNTIME_2_14

NAMES = [target.name for target in TARGETS]


# The sentences


def test_a_browser_takes_float_interfaces_and_fixed_shapes(tiny_models: Path) -> None:
    assert refused(read_graph(tiny_models / "convnet.tflite"), "browser") == []
    free = inspect(tiny_models / "convnet_any_batch.tflite", target="browser")
    with pytest.raises(CheckFailedError) as caught:
        require_fit(free)
    reason = "has a free dimension, shapes must be fixed (convert with a static batch: --batch static)"
    path = tiny_models / "convnet_any_batch.tflite"
    assert str(caught.value) == f"{path} does not fit browser: 'image' {reason}; 'scores' {reason}."
    integers = inspect(tiny_models / "convnet_int8.tflite", target="litertjs")
    reason = "is int8, inputs and outputs must be float32, int32 or uint8 (convert with a float interface: --io float)"
    assert integers.misfits == (f"'image' {reason}", f"'scores' {reason}")


def test_a_finding_comes_once() -> None:
    free = TensorSpec(name="x", shape=(None, 3), dtype="float32")
    passed_on = replace(graph(node("RELU")), inputs=(free,), outputs=(free,))
    assert len(refused(passed_on, "browser")) == 1
    twice = graph(node("STABLEHLO_SORT"), node("STABLEHLO_SORT", version=2), node("CAST", version=7))
    newest = graph(node("STABLEHLO_SORT", version=2), node("CAST", version=8), node("CAST", version=7))
    told = refused(twice, "tflite-runtime-2.14"), refused(newest, "tflite-runtime-2.14")
    assert [[words.split(" (")[0] for words in each] for each in told] == [
        ["CAST has version 7, the engine stops at 5", "the engine lacks STABLEHLO_SORT"],
        ["CAST has version 8, the engine stops at 5", "the engine lacks STABLEHLO_SORT"],
    ]


def test_operators_that_are_too_new_come_with_a_way_out() -> None:
    made = graph(
        node("FULLY_CONNECTED", version=12),
        node("FlexErf", custom=True),
        node("Mine", custom=True),
        node("STABLEHLO_SCATTER"),
        node("STABLEHLO_SORT"),
        node("CAST", version=8),
    )
    assert refused(made, "tflite-runtime-2.14") == [
        "FlexErf is a TensorFlow operator, which needs the Flex delegate "
        "(build the layer of operators that TFLite has, or end the file before it)",
        "Mine is a custom operator that the engine does not have "
        "(build the layer of standard operators, or end the file before it)",
        "CAST has version 8, the engine stops at 5 (use LiteRT 2.1 or newer, or build the layer of other operators)",
        "FULLY_CONNECTED has version 12, the engine stops at 10 "
        "(use LiteRT 1.0 or newer, or convert with --granularity per-tensor)",
        "the engine lacks STABLEHLO_SCATTER (use LiteRT 1.0 or newer, or build the layer of other operators)",
        "the engine lacks STABLEHLO_SORT (build the layer of other operators)",
    ]
    assert refused(graph(node("CAST", version=8)), "pi3-32") == [
        "CAST has version 8, the engine stops at 5 "
        "(use a 64-bit system with LiteRT 2.1 or newer, or build the layer of other operators)"
    ]
    assert refused(graph(node("CAST", version=8), node("STABLEHLO_SCATTER")), "pi4") == []


def test_types_that_are_too_new_are_refused() -> None:
    made = graph(node("ADD"), x=tensor("uint4"), y=tensor("bfloat16"))
    assert refused(made, "pi3-32") == [
        "it has tensors of bfloat16, which the engine does not know "
        "(use a 64-bit system with LiteRT 1.0 or newer, or convert it with another recipe)",
        "it has tensors of uint4, which the engine does not know "
        "(use a 64-bit system with LiteRT 2.1 or newer, or convert it with another recipe)",
    ]
    assert [text.split(",")[0] for text in refused(made, "litert-2.0")] == ["it has tensors of uint4"]
    assert refused(made, "litert-2.1") == []


def test_operator_sets_that_are_too_new_come_with_a_way_out() -> None:
    made = graph(node("Mine", custom=True), versions={"ir": 11, "ai.onnx": 22})
    assert refused(made, "ort-1.19", Format.ONNX) == [
        "it has operator set 22, the engine stops at 21 "
        "(export with operator set 21 or less, or use onnxruntime 1.21 or newer)",
        "it has IR version 11, the engine stops at 10 (save it with ir_version 10, or use onnxruntime 1.23 or newer)",
        "Mine is a custom operator that the engine does not have "
        "(build the layer of standard operators, or end the file before it)",
    ]
    future = graph(versions={"ir": 99, "ai.onnx": 99})
    assert refused(future, "pi5", Format.ONNX) == [
        "it has operator set 99, the engine stops at 28 (export with operator set 28 or less)",
        "it has IR version 99, the engine stops at 14 (save it with ir_version 14)",
    ]


def test_microcontrollers_want_one_kind_of_numbers() -> None:
    made = graph(
        node("ATAN2"),
        node("FULLY_CONNECTED", "real", "eight"),
        node("DEQUANTIZE", "half"),
        node("Mine", custom=True),
        real=tensor("float32"),
        eight=tensor("int8"),
        half=tensor("float16"),
    )
    assert refused(made, "micro") == [
        "Mine is a custom operator that the engine does not have "
        "(build the layer of standard operators, or end the file before it)",
        "microcontrollers lack ATAN2 (build the layer of other operators)",
        "FULLY_CONNECTED multiply real numbers by 8-bit weights, which microcontrollers do not "
        "(convert with -p int8 or -p fp32)",
        "its weights are float16, which microcontrollers do not widen (convert with -p int8 or -p fp32)",
    ]


def test_weights_behind_the_graph_are_told(tiny_models: Path, tmp_path: Path) -> None:
    inner = tiny_models / "convnet_int8.tflite"
    (tmp_path / "m.tflite").write_bytes(with_external_buffers(inner.read_bytes()))
    outer = read_graph(tmp_path / "m.tflite")
    assert noted(read_graph(inner), "micro") == []
    assert (refused(outer, "micro"), noted(outer, "micro")) == (
        [],
        ["its weights stand behind the graph, where tflite-micro reads zeros"],
    )


def test_notes_refuse_nothing(tiny_models: Path) -> None:
    integers = read_graph(tiny_models / "convnet_int8.tflite")
    assert refused(integers, "pi3-32") == []
    assert noted(integers, "pi3-32") == [
        "its 8-bit operators run in built-in kernels: a few steps from LiteRT's answers, and several times slower"
    ]
    assert noted(integers, "pi4") == []
    sixteen = graph(node("CONV_2D", "x"), x=tensor("int16"))
    assert noted(sixteen, "pi4") == ["16-bit activations have no fast kernels in LiteRT"]
    free = read_graph(tiny_models / "convnet_any_batch.tflite")
    assert (refused(free, "android"), noted(free, "android")) == (
        [],
        ["'image' has a free dimension, which delegates such as the GPU's refuse"],
    )
    quantized = graph(node("QuantizeLinear"))
    assert noted(quantized, "browser", Format.ONNX) == [
        "ONNX Runtime Web ran an int8 MobileNetV2 three times slower than its fp32 file"
    ]


@pytest.mark.parametrize(
    ("kind", "target", "sentence"),
    [
        (Format.ONNX, "pi3-32", "pi3-32 runs TFLite files; this is one of ONNX (convert its source with -f tflite)"),
        (Format.KERAS, "pi4",
         "pi4 runs TFLite and ONNX files; this is one of Keras (convert its source with -f tflite -f onnx)"),
        (Format.TFLITE, "ort-1.20",
         "ort-1.20 runs ONNX files; this is one of TFLite (convert its source with -f onnx)"),
    ],
)  # fmt: skip
def test_a_file_of_another_format_is_refused(kind: Format, target: str, sentence: str) -> None:
    assert refused(graph(), target, kind) == [sentence]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("litert-js", "There is no target 'litert-js'; did you mean litertjs?"),
        ("pi6", "There is no target 'pi6'; did you mean pi5?"),
        ("litert-0.9", "What litert 0.9 takes was not measured; give litert-1.0 or a newer one."),
        ("ort-1.10", "What ort 1.10 takes was not measured; give ort-1.16 or a newer one."),
        ("toaster", "There is no target 'toaster'; choose one of: pi3-32, pi4, pi5, android, browser, micro, litertjs, "
         "tflite-runtime-2.14, litert-2.3, ort-1.32."),
    ],
)  # fmt: skip
def test_a_target_that_is_not_there_is_one_sentence(name: str, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        find_target(name)
    assert str(caught.value) == sentence


def test_versions_between_two_measured_ones_count_as_the_older() -> None:
    old, new = graph(node("CAST", version=7)), graph(node("CAST", version=8))
    assert [refused(old, f"litert-{v}") == [] for v in ("1.1", "1.2", "1.3", "2.3", "9.9")] == [False, *[True] * 4]
    assert refused(new, "litert-2.1") == []
    twenty_six = graph(versions={"ai.onnx": 26, "ir": 13})
    assert [refused(twenty_six, f"ort-{v}", Format.ONNX) == [] for v in ("1.24", "1.25", "1.31")] == [False, True, True]
    assert refused(twenty_six, "onnxruntime-1.31", Format.ONNX) == []
    assert len(set(NAMES)) == len(NAMES)


def test_a_version_after_those_measured_is_told() -> None:
    newest, after = max(LITERT), (max(LITERT)[0], max(LITERT)[1] + 1)
    said = "LiteRT {}.{} is newer than what was measured, and judged as {}.{}"
    assert noted(graph(), f"litert-{newest[0]}.{newest[1]}") == []
    assert noted(graph(), f"litert-{after[0]}.{after[1]}") == [said.format(*after, *newest)]
    (major, minor) = max(ONNX_RUNTIME)
    assert noted(graph(), f"ort-{major}.{minor}", Format.ONNX) == []
    assert noted(graph(), "ort-9.9", Format.ONNX) == [
        f"ONNX Runtime 9.9 is newer than what was measured, and judged as {major}.{minor}"
    ]


# The command


def test_the_command_shows_findings_and_exits_1(tiny_models: Path) -> None:
    path = tiny_models / "convnet_int8.tflite"
    done = edgekit("inspect", path, "--target", "browser", env={"COLUMNS": "200"})
    assert done.returncode == 1
    assert "browser: LiteRT.js, measured with @litertjs/core 2.5.3 in Chromium" in done.stdout
    assert "convert with a float interface: --io float" in " ".join(done.stdout.split())
    fits = edgekit("inspect", path, "--target", "pi4")
    assert (fits.returncode, "nothing speaks against pi4" in fits.stdout) == (0, True)
    other = edgekit("inspect", tiny_models / "convnet.onnx", "--target", "pi3-32", "--json", "-")
    (row,) = json.loads(other.stdout)["results"]
    assert (other.returncode, row["findings"]) == (
        1,
        [
            {
                "what": "pi3-32 runs TFLite files; this is one of ONNX",
                "remedy": "convert its source with -f tflite",
                "severity": "refused",
            }
        ],
    )
    found = inspect(tiny_models / "convnet.onnx", target="pi3-32")
    assert inspect_table.target_title(found) == "pi3-32: no engine for such files"


# The engines at hand


def stamped(path: Path, opset: int, ir: int) -> Path:
    """A file of one Identity with these numbers."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1,)) for name in "xy"]
    made = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "identity", values[:1], values[1:])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = ir
    path.write_bytes(model.SerializeToString())
    return path


def test_onnxruntime_here_takes_what_the_table_says(tmp_path: Path) -> None:
    import onnxruntime

    major, minor = (int(part) for part in onnxruntime.__version__.split(".")[:2])
    target = f"ort-{major}.{minor}"
    opset, ir = ONNX_RUNTIME[max(v for v in ONNX_RUNTIME if v <= (major, minor))]
    errors = tuple(vars(onnxruntime.capi.onnxruntime_pybind11_state)[n] for n in ("Fail", "InvalidGraph"))
    for number, path in enumerate(
        [stamped(tmp_path / f"{i}.onnx", *pair) for i, pair in enumerate(((opset, ir), (opset + 1, ir), (10, ir + 1)))]
    ):
        said = refused(read_onnx(path), target, Format.ONNX)
        if number == 0:
            assert said == []
            onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        else:
            assert len(said) == 1
            with pytest.raises(errors):
                onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("op", ["CONV_2D", "FULLY_CONNECTED", "SOFTMAX"])
def test_litert_here_takes_what_the_table_says(op: str, tiny_models: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    version = installed("ai-edge-litert")
    table = LITERT[max(v for v in LITERT if v <= version)]
    for number, accepted in ((table[op], True), (table[op] + 1, False)):
        data = bytearray((tiny_models / "convnet_int8.tflite").read_bytes())
        codes = [c for c in open_root(bytes(data), "m").tables(1) if c.integer(3) == OPERATORS.index(op)]
        data[codes[0].field(2)] = number
        if accepted:
            Interpreter(model_content=bytes(data))
        else:
            with pytest.raises(ValueError, match=f"Didn't find op for builtin opcode '{op}' version '{number}'"):
                Interpreter(model_content=bytes(data))


def installed(distribution: str) -> tuple[int, int]:
    major, minor = importlib.metadata.version(distribution).split(".")[:2]
    return int(major), int(minor)


def test_litert_here_takes_every_type_that_it_is_said_to(tiny_models: Path, tmp_path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    version = installed("ai-edge-litert")
    for dtype, since in NEWER_TYPES.items():
        model = open_model(tiny_models / "convnet.tflite")
        unused: Any = type(model.subgraphs[0].tensors[0])()
        unused.shape, unused.name, unused.type, unused.buffer = [1], "unused", DTYPES.index(dtype), 0
        model.subgraphs[0].tensors.append(unused)
        save_model(model, tmp_path / "m.tflite")
        assert (refused(read_graph(tmp_path / "m.tflite"), "pi3-32") == []) is False
        if version >= since:
            Interpreter(model_path=str(tmp_path / "m.tflite")).allocate_tensors()


def test_tables_grow() -> None:
    """A newer engine takes all that an older one took."""
    tables = [TFLITE_RUNTIME_2_14, *LITERT.values()]
    for older, newer in itertools.pairwise(tables):
        assert all(newer[op] >= version for op, version in older.items())
    numbers = list(ONNX_RUNTIME.values())
    assert numbers == sorted(numbers)
    assert set().union(*tables) | MICRO_OPERATORS <= set(OPERATORS)


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_says_where_it_is_known_from(name: str) -> None:
    for engine in find_target(name).engines.values():
        assert engine.rules
        assert engine.source.startswith("measured with ")


def taking(dtype: str, *shape: int | None) -> Graph:
    return Graph(
        inputs=(TensorSpec(name="x", shape=shape, dtype=dtype),), outputs=(), input_tensors={"x": "x"},
        output_tensors={}, nodes=(), tensors={"x": tensor(dtype)}, versions={},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("dtype", "remedy"),
    [
        ("int64", "run it in another engine, as on pi4 or android"),
        ("bool", "run it in another engine, as on pi4 or android"),
        ("int8", "convert with a float interface: --io float"),
    ],
)
def test_interfaces_are_looked_at_by_name(dtype: str, remedy: str) -> None:
    assert refused(taking(dtype, 1, 2), "browser") == [
        f"'x' is {dtype}, inputs and outputs must be float32, int32 or uint8 ({remedy})"
    ]


@pytest.mark.parametrize("dtype", ["float32", "int32", "uint8"])
def test_a_browser_takes_three_types(dtype: str) -> None:
    assert refused(taking(dtype, 1, 2), "browser") == []


def test_microcontrollers_want_fixed_shapes() -> None:
    assert refused(taking("int8", 1, 2), "micro") == []
    assert refused(taking("int8", None, 2), "micro") == []  # the batch alone is 1 there
    assert refused(taking("int8", 1, None), "micro") == [
        "'x' has a free dimension, shapes must be fixed (convert with a static batch: --batch static)"
    ]


def test_a_browser_has_no_operators_of_others() -> None:
    assert refused(graph(node("Mine", custom=True)), "litertjs") == [
        "Mine is a custom operator that the engine does not have "
        "(build the layer of standard operators, or end the file before it)"
    ]
    assert refused(graph(node("TFLite_Detection_PostProcess", custom=True)), "litertjs") == []


def test_a_browser_has_the_onnx_runtime_that_its_page_loads() -> None:
    """1.30, which stops where 1.25 did."""
    made = graph(versions={"ai.onnx": 27, "ir": 13})
    assert refused(made, "pi5", Format.ONNX) == []
    assert refused(made, "browser", Format.ONNX) == [
        "it has operator set 27, the engine stops at 26 "
        "(export with operator set 26 or less, or use onnxruntime 1.32 or newer)"
    ]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int4"])
def test_microcontrollers_mix_no_kinds_of_numbers(dtype: str) -> None:
    made = graph(node("CONV_2D", "real", "few"), real=tensor("float32"), few=tensor(dtype))
    assert [text.partition(",")[0] for text in refused(made, "micro")] == [
        "CONV_2D multiply real numbers by 8-bit weights"
    ]


@pytest.mark.parametrize("op", ["QuantizeLinear", "DynamicQuantizeLinear"])
def test_quantized_files_are_slow_in_a_browser(op: str) -> None:
    assert len(noted(graph(node(op)), "browser", Format.ONNX)) == 1
    assert noted(graph(node("Conv")), "browser", Format.ONNX) == []


def test_one_of_two_interfaces_of_android_loads_no_state(tiny_models: Path) -> None:
    compiled = pytest.importorskip("ai_edge_litert.compiled_model").CompiledModel
    with pytest.raises(RuntimeError):
        compiled.from_file(str(tiny_models / "lstm.tflite"))
    assert noted(read_graph(tiny_models / "lstm.tflite"), "android") == [
        "it keeps state from run to run, which LiteRT's CompiledModel does not load"
    ]
    compiled.from_file(str(tiny_models / "convnet.tflite"))
    assert noted(read_graph(tiny_models / "convnet.tflite"), "android") == []


def test_a_browser_refuses_state_and_outputs_without_a_shape(tiny_models: Path) -> None:
    assert refused(read_graph(tiny_models / "lstm.tflite"), "litertjs") == [
        "it keeps state from run to run, which LiteRT.js cannot forget (run it in another engine, as on pi4 or android)"
    ]
    made = Graph(
        inputs=(), outputs=(TensorSpec(name="boxes", shape=(), dtype="float32"),), input_tensors={},
        output_tensors={"boxes": "boxes"}, nodes=(), tensors={"boxes": tensor("float32")}, versions={},
    )  # fmt: skip
    assert refused(made, "browser") == [
        "'boxes' has no shape in the file, of which LiteRT.js gives one number "
        "(convert a detector with --nms device, or run it in another engine, as on pi4 or android)"
    ]


def test_the_page_takes_the_types_that_the_rule_takes() -> None:
    page = (Path(devices.__file__).parent / "web_page" / "engines.js").read_text()
    (types,) = re.findall(r"LITERT_TYPES = (\[.*\]);", page)
    assert tuple(json.loads(types)) == WEB_TYPES


def test_the_stamp_is_read_back(tmp_path: Path) -> None:
    assert dict(read_onnx(stamped(tmp_path / "s.onnx", 21, 10)).versions) == {"ir": 10, "ai.onnx": 21}
    onnx.checker.check_model(str(tmp_path / "s.onnx"))
