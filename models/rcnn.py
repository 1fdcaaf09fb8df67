"""R-CNN on AlexNet (Girshick et al. 2014, arXiv:1311.2524)."""

from typing import Any

import keras
from keras import layers

from edgekit.models import alexnet

MACHINES, REGRESSORS = "scores", "offsets"
"""The layers that hold the linear machines of all classes, and their box regressors."""
FEATURES, PLACES = "dropout_2", "flatten"
"""The layers that machines and regressors read: the second hidden one, and the last pooling (section 2, appendix C)."""


def build(*, classes: int, search_size: int, context: float, regions: int, **arguments: Any) -> keras.Model:  # noqa: ARG001 - of the card
    """A region's image (batch, size, size, 3) to "scores" (batch, 1 + classes) and "offsets" (batch, 4 classes).

    The first score is the background's. ``search_size``, ``context`` and ``regions`` say how regions are found; the
    other arguments are AlexNet's.
    """
    source = alexnet.build(classes=2, **arguments)
    scores = layers.Dense(1 + classes, name=MACHINES)(source.get_layer(FEATURES).output)
    offsets = layers.Dense(4 * classes, name=REGRESSORS)(source.get_layer(PLACES).output)
    return keras.Model(source.inputs[0], [scores, offsets], name="rcnn")
