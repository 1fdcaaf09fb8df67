"""The 8-bit range of every activation of a `Network`, from what it did on real items."""

from collections.abc import Mapping

from edgekit.converters.accuracy.network import Kind, Network, origin
from edgekit.converters.accuracy.observe import Observed
from edgekit.converters.ranges import OUTPUT_MARGIN, Ends, least_error_range


def extreme_ranges(network: Network, observed: Mapping[str, Observed]) -> Ends:
    """Smallest to largest value of each activation; what hands values on has the range of its origin."""
    ops = network.by_name
    return {
        name: (float(observed[start].low.min()), float(observed[start].high.max()))
        for name in observed
        if (start := origin(name, ops)) in observed
    }


def least_error_ranges(network: Network, observed: Mapping[str, Observed]) -> Ends:
    """Ranges of least mean squared error where clipping is safe: not for means, and with a margin for outputs."""
    ops = network.by_name
    final = {origin(name, ops) for name in network.outputs}
    ranges: Ends = {}
    for name, (low, high) in extreme_ranges(network, observed).items():
        op = ops[name]
        if op.kind is Kind.HANDED:
            continue
        if name in final:
            margin = OUTPUT_MARGIN if (op.weighted or op.kind is Kind.ADD) and low < 0 else 1.0
            ranges[name] = (low * margin, high * margin)
        elif op.kind is Kind.AVERAGE:
            ranges[name] = (low, high)
        else:
            ranges[name] = least_error_range(observed[name].values, low, high)
    return {name: ranges[origin(name, ops)] for name in observed if origin(name, ops) in ranges}
