"""Measures which types of tensors a TFLite engine takes, and which builtin operators tflite-micro has.

Makes the tables of types and of microcontrollers in `edgekit/measure/tflite_versions.py`.

Run: python benchmarks/tflite_types.py types MODULE    (needs ai-edge-litert's schema; MODULE such as
                                                        tflite_runtime.interpreter, in a process for each type)
     python benchmarks/tflite_types.py micro           (needs tflite-micro: an operator is looked up when it is used)
"""

import subprocess
import sys
import tempfile
from pathlib import Path

_LACKS = "Didn't find op for builtin opcode"
_LOAD = """
import importlib, sys
interpreter = importlib.import_module(sys.argv[1]).Interpreter(model_path=sys.argv[2])
interpreter.allocate_tensors()
"""
_MICRO = """
import sys
from tflite_micro import runtime
runtime.Interpreter.from_bytes(open(sys.argv[1], "rb").read(), arena_size=1 << 20)
"""


def model_of(path: Path, *, operator: int | None = None, kind: int = 0) -> Path:
    """A file with one operator, or with none and a second tensor of type number ``kind``."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model, graph, code = schema.ModelT(), schema.SubGraphT(), schema.OperatorCodeT()
    tensors = [schema.TensorT(), schema.TensorT()]
    for tensor, name in zip(tensors, "xy", strict=True):
        tensor.shape, tensor.name, tensor.buffer = [1, 4], name, 0
    tensors[1].type = kind
    graph.tensors, graph.inputs, graph.outputs, graph.operators = tensors, [0], [0], []
    model.operatorCodes = []
    if operator is not None:
        code.deprecatedBuiltinCode, code.builtinCode, code.version = min(operator, 127), operator, 1
        used = schema.OperatorT()
        used.inputs, used.outputs, used.opcodeIndex = [0], [1], 0
        graph.outputs, graph.operators, model.operatorCodes = [1], [used], [code]
    model.version, model.subgraphs, model.buffers = 3, [graph], [schema.BufferT()]
    builder = flatbuffers.Builder(256)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(builder.Output())
    return path


def types(module: str) -> None:
    """Print the types that the engine loads, by the names that edgekit gives them."""
    from edgekit.formats.tflite import DTYPES

    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(DTYPES):
            path = model_of(Path(folder) / "m.tflite", kind=number)
            done = subprocess.run([sys.executable, "-c", _LOAD, module, path], capture_output=True, check=False)
            print(name, "taken" if done.returncode == 0 else "refused")


def micro() -> None:
    """Print the operators that tflite-micro has."""
    from edgekit.formats.tflite_ops import OPERATORS

    found = []
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(OPERATORS):
            path = model_of(Path(folder) / "m.tflite", operator=number)
            command = [sys.executable, "-c", _MICRO, path]
            if _LACKS not in subprocess.run(command, capture_output=True, text=True, check=False).stderr:
                found.append(name)
    print(" ".join(found))


if __name__ == "__main__":
    types(sys.argv[2]) if sys.argv[1] == "types" else micro()
