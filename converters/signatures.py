"""The uses of a file as signatures of TFLite. It runs in the process of LiteRT."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any


def add_signatures(model: Any, uses: Mapping[str, Sequence[str]]) -> None:
    """Give ``model`` a signature for each of ``uses``, with these outputs of the first one and all its inputs.

    Each runs the whole main graph: a graph for each would hold the weights' operators again.
    """
    main = model.signatureDefs[0]
    for name, outputs in uses.items():
        signature = copy.copy(main)
        signature.signatureKey = name
        signature.outputs = [entry for entry in main.outputs if entry.name.decode() in outputs]
        model.signatureDefs.append(signature)
