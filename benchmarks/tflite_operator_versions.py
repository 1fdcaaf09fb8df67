"""Measures the newest version of every builtin operator that an installed TFLite engine takes.

Makes the tables of `edgekit/measure/tflite_versions.py`: the engine looks up every operator code of a file when it
loads it, so a file without operators that lists one code shows whether the engine has it.

Run: python benchmarks/tflite_operator_versions.py make FOLDER               (needs flatbuffers and ai-edge-litert)
     python benchmarks/tflite_operator_versions.py measure FOLDER MODULE     (MODULE such as tflite_runtime.interpreter)
"""

import importlib
import sys
from pathlib import Path

NEWEST_TRIED = 20


def make(folder: Path) -> None:
    """Write ``<operator>.<version>.tflite`` for all builtin operators."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    folder.mkdir(parents=True, exist_ok=True)
    for name, number in vars(schema.BuiltinOperator).items():
        if not isinstance(number, int) or name == "CUSTOM":
            continue
        for version in range(1, NEWEST_TRIED + 1):
            model, code, graph, tensor = schema.ModelT(), schema.OperatorCodeT(), schema.SubGraphT(), schema.TensorT()
            code.deprecatedBuiltinCode, code.builtinCode, code.version = min(number, 127), number, version
            tensor.shape, tensor.name = [1], "x"
            graph.tensors, graph.inputs, graph.outputs, graph.operators = [tensor], [0], [0], []
            model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
            model.buffers = [schema.BufferT()]
            builder = flatbuffers.Builder(256)
            builder.Finish(model.Pack(builder), b"TFL3")
            (folder / f"{name}.{version}.tflite").write_bytes(builder.Output())


def measure(folder: Path, module: str) -> None:
    """Print the newest version of each operator that the engine loads."""
    interpreter = importlib.import_module(module).Interpreter
    newest: dict[str, int] = {}
    for path in sorted(folder.glob("*.tflite")):
        name, version = path.name.split(".")[:2]
        try:
            interpreter(model_path=str(path))
        except (RuntimeError, ValueError):
            continue
        newest[name] = max(newest.get(name, 0), int(version))
    print(" ".join(f"{name}:{version}" for name, version in newest.items()))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]))
    else:
        measure(Path(sys.argv[2]), sys.argv[3])
