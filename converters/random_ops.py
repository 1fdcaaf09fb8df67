"""Which random numbers the outputs of a TensorFlow function depend on."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_RANDOM = re.compile(r"Random|Multinomial|TruncatedNormal")


def random_ops(function: Any) -> list[str]:
    """The kinds of operators that draw what an output of the concrete ``function`` depends on, in order.

    It is looked for in functions that this one calls too. Recurrent layers with dropout draw numbers that only training
    looks at: these are none.
    """
    graph = function.graph.as_graph_def()
    functions = {f.signature.name: f for f in graph.library.function}
    entered: set[str] = set()
    drawn: set[str] = set()
    bodies = [(graph.node, [tensor.op.name for tensor in function.graph.outputs])]
    while bodies:
        nodes, outputs = bodies.pop()
        for node in _needed({node.name: node for node in nodes}, outputs):
            if _RANDOM.search(node.op):
                drawn.add(node.op)
            for name in _called(node):
                if name in functions and name not in entered:
                    entered.add(name)
                    bodies.append((functions[name].node_def, list(functions[name].ret.values())))
    return sorted(drawn)


def _needed(nodes: Mapping[str, Any], outputs: Sequence[str]) -> Iterator[Any]:
    """Those of ``nodes`` by name that ``outputs`` are computed by, each once; inputs of a function are no nodes."""
    waiting, found = [*outputs], set()
    while waiting:
        name = waiting.pop().partition(":")[0]
        if name in nodes and name not in found:
            found.add(name)
            yield nodes[name]
            waiting.extend(source for source in nodes[name].input if not source.startswith("^"))


def _called(node: Any) -> Iterator[str]:
    for attribute in node.attr.values():
        if attribute.HasField("func"):
            yield attribute.func.name
        yield from (function.name for function in attribute.list.func)
