"""Measures the newest operator set and IR version that an installed ONNX Runtime takes.

Makes the table of `edgekit/measure/onnx_versions.py`: files of one Identity operator, stamped with one number each.

Run: python benchmarks/onnx_versions.py make FOLDER       (needs onnx)
     python benchmarks/onnx_versions.py measure FOLDER    (needs onnxruntime, of whatever version)
"""

import sys
from pathlib import Path

OPSETS, IRS = range(10, 31), range(4, 17)
_OLD_OPSET, _OLD_IR = 10, 4


def make(folder: Path) -> None:
    """Write ``opset.<N>.onnx`` and ``ir.<N>.onnx``."""
    from onnx import TensorProto, helper

    folder.mkdir(parents=True, exist_ok=True)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1,)) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "identity", values[:1], values[1:])
    for name, opset, ir in [*(("opset", n, _OLD_IR) for n in OPSETS), *(("ir", _OLD_OPSET, n) for n in IRS)]:
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        model.ir_version = ir
        number = opset if name == "opset" else ir
        (folder / f"{name}.{number}.onnx").write_bytes(model.SerializeToString())


def measure(folder: Path) -> None:
    """Print the newest operator set and IR version that the engine loads."""
    import onnxruntime

    binding = vars(onnxruntime.capi.onnxruntime_pybind11_state).values()
    refusals = tuple(kind for kind in binding if isinstance(kind, type) and issubclass(kind, Exception))
    newest = {"opset": 0, "ir": 0}
    for path in folder.glob("*.onnx"):
        name, number = path.name.split(".")[:2]
        try:
            onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except refusals:
            continue
        newest[name] = max(newest[name], int(number))
    print(onnxruntime.__version__, newest)


if __name__ == "__main__":
    {"make": make, "measure": measure}[sys.argv[1]](Path(sys.argv[2]))
