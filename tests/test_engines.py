"""Which engine runs which file, with which settings, and whether XNNPACK really runs it."""

import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgekit.artifact import Format
from edgekit.errors import ArtifactError, InputError
from edgekit.runtimes import (
    Runtime,
    assign_engines,
    choose_engines,
    default_engine,
    installed_engines,
    litert,
    open_runtime,
)
from edgekit.runtimes.base import Delegation
from edgekit.runtimes.delegation import delegated_operators
from edgekit.runtimes.litert import _load
from edgekit.runtimes.openvino import reason

MODELS = Path(__file__).parent / "golden" / "models"
PLAIN_RESOLVER = "BUILTIN_WITHOUT_DEFAULT_DELEGATES"


# Which engine


def test_a_format_has_its_engine_and_openvino_is_never_taken_unasked() -> None:
    assert {kind: default_engine(kind) for kind in Format} == {
        Format.TFLITE: "litert",
        Format.ONNX: "onnxruntime",
        Format.KERAS: "keras",
    }
    assert installed_engines(Format.TFLITE) == ("litert", "openvino")
    assert installed_engines(Format.ONNX) == ("onnxruntime", "openvino")


def test_tflite_runtime_is_taken_where_it_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"tflite_runtime", "onnxruntime"}
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name if name in there else None)
    assert default_engine(Format.TFLITE) == "tflite-runtime"
    assert installed_engines(Format.TFLITE) == ("tflite-runtime",)
    there.add("ai_edge_litert")
    assert installed_engines(Format.TFLITE) == ("litert",)
    there.clear()
    assert default_engine(Format.TFLITE) == "litert"  # whose absence is then told
    assert installed_engines(Format.ONNX) == ()


def test_a_file_goes_to_those_named_that_run_it() -> None:
    files = [("a.tflite", Format.TFLITE), ("b.onnx", Format.ONNX)]
    assert assign_engines(files, ()) == [("litert",), ("onnxruntime",)]
    assert assign_engines(files, ("litert", "openvino")) == [("litert", "openvino"), ("openvino",)]


@pytest.mark.parametrize(
    ("attempt", "sentence"),
    [
        (
            lambda: choose_engines(Format.ONNX, ["onxruntime"], file="m.onnx"),
            "There is no engine 'onxruntime'; did you mean onnxruntime?",
        ),
        (
            lambda: choose_engines(Format.KERAS, ["litert", "openvino"], file="m.keras"),
            "m.keras is a .keras file, which litert and openvino cannot run; use keras.",
        ),
        (
            lambda: open_runtime(MODELS / "convnet.onnx", engine="litert"),
            f"{MODELS / 'convnet.onnx'} is a .onnx file, which litert cannot run; use onnxruntime or openvino.",
        ),
        (
            lambda: assign_engines([("m.onnx", Format.ONNX)], ["onnxruntime", "litert"]),
            "None of the files is for litert, which runs .tflite files; leave it out.",
        ),
        (
            lambda: assign_engines([("m.onnx", Format.ONNX)], ["openvino", "openvino"]),
            "The engine openvino is named twice; name it once.",
        ),
    ],
)
def test_a_choice_that_cannot_be_is_one_sentence(attempt: Callable[[], object], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        attempt()
    assert str(caught.value) == sentence


# With which settings


def test_threads_reach_litert() -> None:
    asked: list[dict[str, object]] = []
    _load(SimpleNamespace(Interpreter=lambda **options: asked.append(options)), Path("m.tflite"), 3)  # type: ignore[arg-type]
    assert asked == [{"model_path": "m.tflite", "num_threads": 3}]


def test_onnx_runtime_optimizes_all_and_runs_in_sequence() -> None:
    import onnxruntime

    options = open_runtime(MODELS / "convnet.onnx", threads=3)._session.get_session_options()  # type: ignore[attr-defined]
    assert options.intra_op_num_threads == 3
    assert options.inter_op_num_threads == 1
    assert options.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    assert options.execution_mode == onnxruntime.ExecutionMode.ORT_SEQUENTIAL


def test_openvino_has_its_threads_one_stream_and_float32() -> None:
    compiled = open_runtime(MODELS / "convnet.onnx", threads=2, engine="openvino")._compiled  # type: ignore[attr-defined]
    wanted = {"INFERENCE_NUM_THREADS": 2, "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
    assert {name: compiled.get_property(name) for name in wanted} == wanted
    assert str(compiled.get_property("PERFORMANCE_HINT")).endswith("LATENCY")
    assert compiled.get_property("INFERENCE_PRECISION_HINT").to_dtype() == np.float32


def test_openvino_reports_to_nobody_and_leaves_no_files(tmp_path: Path) -> None:
    """Its telemetry would send an event as soon as it is imported, and keep an identity in the home folder."""
    program = (
        "import sys; from pathlib import Path; import numpy\n"
        "from edgekit.runtimes import open_runtime\n"
        f"runtime = open_runtime(Path({str(MODELS / 'convnet.onnx')!r}), engine='openvino')\n"
        "runtime.run({'image': numpy.zeros((1, 6, 4, 3), numpy.float32)})\n"
        "print(sorted(n for n in sys.modules if n.startswith('openvino_telemetry')))\n"
    )
    environment = {**os.environ, "HOME": str(tmp_path)}
    environment.pop("CI", None)  # where it would keep quiet by itself
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path, env=environment
    )
    assert done.stdout == "[]\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (
            "Exception from src/inference/src/cpp/core.cpp:84:\nCheck 'false' failed at src/x.cpp:180:\n"
            "FrontEnd API failed with GeneralFailure:\nNo translator found for X node.\n\n",
            "No translator found for X node",
        ),
        ("plain words", "plain words"),
        ("Exception from src/x.cpp:1:\n", "RuntimeError"),
    ],
)
def test_an_openvino_error_keeps_its_one_useful_line(message: str, sentence: str) -> None:
    assert reason(RuntimeError(message)) == sentence


def test_a_file_that_openvino_cannot_run_is_one_sentence() -> None:
    path = MODELS / "lstm.tflite"
    with pytest.raises(ArtifactError) as caught:
        open_runtime(path, engine="openvino")
    version = importlib.metadata.version("openvino")
    assert str(caught.value) == (
        f"{path} cannot be loaded in openvino {version}: This tensor should be either input, constant or should be "
        "already produced by previous operators: arith.constant. Error is encountered while working with operation of "
        "type UNIDIRECTIONAL_SEQUENCE_LSTM and name 0."
    )


def test_a_tensor_that_openvino_has_otherwise_is_one_sentence() -> None:
    runtime = open_runtime(MODELS / "convnet.onnx", engine="openvino")
    start = (
        f"{MODELS / 'convnet.onnx'} cannot be used in openvino {runtime.version}: 'image' is float32 in the file and "
    )
    port = SimpleNamespace(
        get_names=lambda: {"image"},
        get_element_type=lambda: SimpleNamespace(to_dtype=lambda: np.dtype("float16")),
    )
    for ports, found in (([], "not there"), ([port], "float16")):
        with pytest.raises(ArtifactError) as caught:
            runtime._ports(ports, runtime.inputs, {"image": "image"})  # type: ignore[attr-defined]
        assert str(caught.value) == f"{start}{found} after loading; use another engine."


def test_a_run_that_fails_in_openvino_is_one_sentence() -> None:
    runtime = open_runtime(MODELS / "convnet.onnx", engine="openvino")
    call = runtime.bind({"image": np.zeros((1, 6, 4, 3), np.float32)})
    runtime._output_ports = [7]  # type: ignore[attr-defined]
    with pytest.raises(ArtifactError, match=rf"^{MODELS / 'convnet.onnx'} failed in openvino {runtime.version}: .+\.$"):
        call()


# XNNPACK


def without_xnnpack(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on LiteRT has no XNNPACK, as on a CPU that it does not know."""
    from ai_edge_litert import interpreter

    plain = partial(interpreter.Interpreter, experimental_op_resolver_type=interpreter.OpResolverType[PLAIN_RESOLVER])
    monkeypatch.setattr(litert, "load_engine", lambda _name: SimpleNamespace(Interpreter=plain))


@pytest.mark.parametrize(
    ("name", "operators", "total"),
    [
        ("convnet.tflite", 5, 5),
        ("convnet_any_batch.tflite", 5, 5),
        ("convnet_int8.tflite", 4, 5),
        ("lstm.tflite", 0, 2),
    ],
)
def test_what_xnnpack_runs_is_asked_of_the_interpreter(name: str, operators: int, total: int) -> None:
    found = open_runtime(MODELS / name).delegation
    assert found == Delegation(name="xnnpack", operators=operators, total=total, works=True)


def test_an_xnnpack_that_does_not_run_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    without_xnnpack(monkeypatch)
    found = open_runtime(MODELS / "convnet.tflite").delegation
    assert found == Delegation(name="xnnpack", operators=0, total=5, works=False)


def test_other_engines_have_no_delegate() -> None:
    runtimes: list[Runtime] = [open_runtime(MODELS / "convnet.onnx", engine=e) for e in ("onnxruntime", "openvino")]
    assert [r.delegation for r in runtimes] == [None, None]


def test_operators_between_a_delegates_inputs_and_outputs_are_its_own() -> None:
    def op(name: str, inputs: list[int], outputs: list[int]) -> dict[str, Any]:
        return {"op_name": name, "inputs": inputs, "outputs": outputs}

    chain = [op("A", [0], [1]), op("B", [1, 9], [2]), op("C", [2], [3]), op("D", [3, -1], [4])]
    assert delegated_operators(chain) == (0, 4)
    assert delegated_operators([*chain, op("DELEGATE", [1, 9], [3])]) == (2, 4)
    assert delegated_operators([*chain, op("DELEGATE", [0], [1]), op("DELEGATE", [2], [4])]) == (3, 4)
