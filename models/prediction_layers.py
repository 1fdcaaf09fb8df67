"""What the prediction layers of SSD and of SSDLite cost on MobileNetV2: table 5 of its paper, from the real graphs."""

from collections.abc import Mapping
from typing import Any

from edgekit.models.complexity import of_layers
from edgekit.models.construct import build
from edgekit.models.registry import find_spec

_NAME = "ssdlite_mobilenet_v2"
_LAYERS = r"(boxes|scores|extra)_.*"
_PUBLISHED = {"full": ("SSD", 14_800_000, 1_250_000_000), "lite": ("SSDLite", 2_100_000, 350_000_000)}
"""Title, parameters and multiply-accumulates (Sandler et al. 2018, table 5), by the argument "head"."""


def prediction_layers() -> list[dict[str, Any]]:
    """Parameters and multiply-accumulates of all layers beside the backbone, for either kind of head."""
    spec, found = find_spec(_NAME), []
    for head in _PUBLISHED:
        parameters, macs = of_layers(build(spec, head=head), _LAYERS)
        found.append({"head": head, "parameters": parameters, "macs": macs})
    return found


def prediction_lines(rows: list[Mapping[str, Any]]) -> list[str]:
    """The figures of `prediction_layers` beside the published ones, for a page."""
    lines = [
        "Prediction layers (heads and additional maps) on MobileNetV2 at 320 pixels and 80 classes, and as its paper",
        "has them (table 5):",
        "",
        "| | parameters, M | published | multiply-accumulates, G | published |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        title, parameters, macs = _PUBLISHED[row["head"]]
        lines.append(
            f"| {title} | {row['parameters'] / 1e6:.2f} | {parameters / 1e6:.1f} | {row['macs'] / 1e9:.2f} "
            f"| {macs / 1e9:.2f} |"
        )
    return [
        *lines,
        "",
        "The published multiply-accumulates of SSDLite do not go with the paper's table 6, which gives the whole",
        "network 0.8 G: the backbone alone has 0.61 G at this size.",
        "",
    ]
