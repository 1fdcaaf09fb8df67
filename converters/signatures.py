"""The uses of a file as signatures of TFLite. It runs in the process of LiteRT."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgekit.errors import need
from edgekit.formats.tflite_objects import part_of


def add_signatures(model: Any, uses: Mapping[str, Sequence[str]]) -> None:
    """Give ``model`` a signature for each of ``uses``, with these outputs of the first one and the inputs they need.

    Each has a graph of its own, of the operators that its outputs need, with the same weights: LiteRT's CompiledModel
    takes no file in which a signature has fewer outputs than its graph.
    """
    main = model.signatureDefs[0]
    whole = model.subgraphs[main.subgraphIndex]
    names = {int(entry.tensorIndex): entry.name for entry in (*main.inputs, *main.outputs)}
    for name, chosen in uses.items():
        wanted = [int(entry.tensorIndex) for entry in main.outputs if entry.name.decode() in chosen]
        operators, needed = _needed(whole, wanted)
        given = [int(entry.tensorIndex) for entry in main.inputs if int(entry.tensorIndex) in needed]
        graph = part_of(whole, operators, given, wanted)
        graph.name = name.encode()
        inputs, outputs = [names[i] for i in given], [names[i] for i in wanted]
        model.signatureDefs.append(signature(name, len(model.subgraphs), graph, inputs, outputs))
        model.subgraphs.append(graph)


def signature(key: str, number: int, graph: Any, inputs: Sequence[bytes], outputs: Sequence[bytes]) -> Any:
    """One of all inputs and outputs of ``graph``, the ``number``-th of its file, with these names, in their order."""
    schema = need("ai_edge_litert.schema_py_generated", extra="convert")

    def named(indices: Iterable[int], names: Sequence[bytes]) -> list[Any]:
        entries = []
        for index, name in zip(indices, names, strict=True):
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = name, int(index)
            entries.append(entry)
        return entries

    made = schema.SignatureDefT()
    made.signatureKey, made.subgraphIndex = key, number
    made.inputs, made.outputs = named(graph.inputs, inputs), named(graph.outputs, outputs)
    return made


def _needed(graph: Any, outputs: Iterable[int]) -> tuple[list[Any], set[int]]:
    """The operators of a graph that the tensors ``outputs`` come from, in its order, and all tensors on the way."""
    needed, operators = set(outputs), []
    for operator in reversed(graph.operators):
        if needed.intersection(map(int, operator.outputs)):
            needed.update(map(int, operator.inputs))
            operators.append(operator)
    return operators[::-1], needed
