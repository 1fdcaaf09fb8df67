"""Layers that read or write one channel, which take LiteRT longer in int8 than in float on x86.

``benchmarks/one_channel.py`` measures what such a layer costs, and what keeping it in float gains.
"""

import re
from collections.abc import Collection

from edgekit.converters.float_ops import Layers
from edgekit.formats.graph import Graph, Node

_KERNEL = 1  # its place among the inputs
_AXES = 4
_SINGLE = {"CONV_2D": 3, "TRANSPOSE_CONV": 0}
"""The axis of a kernel (outputs, height, width, inputs) that has the channels: those read, those written."""


def one_channel_note(graph: Graph, layers: Layers, kept: Collection[Node]) -> str:
    """What to do about such layers of a TFLite graph that are not ``kept`` in float; empty where there are none."""
    found = [node for node in graph.nodes if node not in kept and _of_one_channel(graph, node)]
    names = dict.fromkeys(re.escape((layers.get(node.outputs[0]) or (node.name,))[0]) for node in found)
    if not names:
        return ""
    pattern = f"({'|'.join(names)})" if len(names) > 1 else "".join(names)
    return (
        "layers that read or write one channel take longer in int8 than in float by LiteRT on x86: "
        f"--keep-float '^{pattern}$' makes a faster int8 file that is about as small"
    )


def _of_one_channel(graph: Graph, node: Node) -> bool:
    kernel = graph.tensors.get(node.inputs[_KERNEL]) if len(node.inputs) > _KERNEL else None
    if node.op not in _SINGLE or kernel is None or kernel.shape is None or len(kernel.shape) != _AXES:
        return False
    return kernel.shape[_SINGLE[node.op]] == 1 and kernel.shape[1:3] != (1, 1)
