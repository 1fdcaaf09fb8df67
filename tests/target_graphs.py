"""Graphs of single operators, and what targets say of them."""

from edgekit.artifact import Format
from edgekit.formats.graph import Graph, Node, TensorInfo
from edgekit.measure.targets import Severity, find_target, judge


def graph(*nodes: Node, versions: dict[str, int] | None = None, **tensors: TensorInfo) -> Graph:
    return Graph(
        inputs=(), outputs=(), input_tensors={}, output_tensors={}, nodes=nodes, tensors=tensors,
        versions=versions or {},
    )  # fmt: skip


def node(op: str, *inputs: str, version: int = 1, custom: bool = False) -> Node:
    return Node(name=op, op=op, inputs=inputs, outputs=(), version=version, custom=custom)


def tensor(dtype: str) -> TensorInfo:
    return TensorInfo(shape=(1,), dtype=dtype)


def refused(made: Graph, target: str, kind: Format = Format.TFLITE) -> list[str]:
    return [str(f) for f in judge(made, kind, find_target(target)) if f.severity is Severity.REFUSED]


def noted(made: Graph, target: str, kind: Format = Format.TFLITE) -> list[str]:
    return [f.what for f in judge(made, kind, find_target(target)) if f.severity is Severity.NOTE]
