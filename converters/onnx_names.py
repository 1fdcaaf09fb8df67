"""Names and order in an ONNX graph that depend on the graph alone, so that the same model gives the same bytes.

tf2onnx numbers its constants anew in every run and lists them in an arbitrary order.
"""

import re
from collections.abc import Iterable
from typing import Any

_NUMBER = re.compile(r"(__\d+)+")
_KEPT_DOMAINS = {"", "ai.onnx"}


def canonical(model: Any) -> Any:
    """A copy of the ``onnx.ModelProto`` with nodes in order of need, and names free of run numbers.

    Inputs and outputs keep their names. Functions that wrap nothing and operator sets that no node uses are left out.
    """
    import onnx

    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    nodes = _ordered(graph)
    del graph.node[:]
    graph.node.extend(nodes)
    names = _new_names(graph)
    _rename(graph, names)
    order = {name: i for i, name in enumerate(n for node in graph.node for n in _reads(node))}
    first_use = {name: i for name, i in sorted(order.items(), key=lambda pair: -pair[1])}
    used = sorted((t for t in graph.initializer if t.name in first_use), key=lambda t: first_use[t.name])
    kept = [onnx.TensorProto.FromString(t.SerializeToString(deterministic=True)) for t in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    del graph.value_info[:]
    graph.name = "model"
    graph.doc_string = ""
    domains = {node.domain for node in _all_nodes(graph)} | _KEPT_DOMAINS
    sets = sorted((o.domain, o.version) for o in result.opset_import if o.domain in domains)
    del result.opset_import[:]
    result.opset_import.extend(onnx.helper.make_opsetid(d, v) for d, v in sets)
    result.producer_name, result.producer_version, result.doc_string = "edgekit", "", ""
    del result.metadata_props[:]
    described = onnx.shape_inference.infer_shapes(result)
    shapes = sorted(described.graph.value_info, key=lambda value: value.name)
    result.graph.value_info.extend(shapes)
    return result


def _ordered(graph: Any) -> list[Any]:
    """The nodes in depth-first order from the outputs: whatever has the same structure has the same order."""
    producer = {name: node for node in graph.node for name in node.output if name}
    ordered: list[Any] = []
    done: set[int] = set()
    stack: list[tuple[Any, bool]] = [(producer[o.name], False) for o in reversed(graph.output) if o.name in producer]
    while stack:
        node, ready = stack.pop()
        if id(node) in done:
            continue
        if ready:
            done.add(id(node))
            ordered.append(node)
            continue
        stack.append((node, True))
        stack.extend((producer[n], False) for n in reversed(list(_reads(node))) if n in producer)
    import onnx

    return [onnx.NodeProto.FromString(node.SerializeToString(deterministic=True)) for node in ordered]


def _reads(node: Any) -> Iterable[str]:
    """Names that a node reads, those of the graphs inside it too."""
    yield from (n for n in node.input if n)
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs) if attribute.HasField("g") or attribute.graphs else ():
            for child in inner.node:
                yield from _reads(child)
            yield from (o.name for o in inner.output)


def _new_names(graph: Any) -> dict[str, str]:
    fixed = {v.name for v in (*graph.input, *graph.output)}
    names: dict[str, str] = {name: name for name in sorted(fixed)}
    taken = set(fixed)

    def add(old: str, base: str) -> None:
        if not old or old in names:
            return
        base = base or "t"
        candidate, number = base, 1
        while candidate in taken:
            candidate, number = f"{base}.{number}", number + 1
        names[old] = candidate
        taken.add(candidate)

    constants = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        owner = _NUMBER.sub("", node.output[0]).partition(":")[0] or node.op_type
        for position, name in enumerate(_reads(node)):
            # Equal constants are merged under the name of either, so a constant is called after its first reader.
            add(name, f"{owner}.{position}" if name in constants else _NUMBER.sub("", name))
        for name in node.output:
            add(name, _NUMBER.sub("", name))
    return names


def _rename(graph: Any, names: dict[str, str]) -> None:
    for tensor in graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    titles: set[str] = set()
    for node in graph.node:
        base = _NUMBER.sub("", node.name) or node.op_type
        title, number = base, 1
        while title in titles:
            title, number = f"{base}.{number}", number + 1
        titles.add(title)
        node.name = title
        _rename_node(node, names)


def _rename_node(node: Any, names: dict[str, str]) -> None:
    node.doc_string = ""
    for field in (node.input, node.output):
        for i, name in enumerate(field):
            field[i] = names.get(name, name)
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs) if attribute.HasField("g") or attribute.graphs else ():
            _rename_inner(inner, names)


def _rename_inner(graph: Any, names: dict[str, str]) -> None:
    """Names inside a loop's body: its own are numbered by position, those from outside follow ``names``."""
    local = dict(names)
    own = [v.name for v in graph.input] + [t.name for t in graph.initializer]
    own += [o for node in graph.node for o in node.output if o]
    for i, name in enumerate(dict.fromkeys(own)):
        local[name] = names.get(name, f"body.{i}")
    for value in (*graph.input, *graph.output):
        value.name = local.get(value.name, value.name)
    for tensor in graph.initializer:
        tensor.name = local[tensor.name]
    del graph.value_info[:]
    graph.name, graph.doc_string = "body", ""
    for i, node in enumerate(graph.node):
        node.name = f"{node.op_type}.{i}"
        _rename_node(node, local)


def _all_nodes(graph: Any) -> Iterable[Any]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _all_nodes(attribute.g)
