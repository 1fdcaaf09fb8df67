"""A two-stage detector as one network, so that both stages learn at once; its files are those of the stages."""

import json
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from edgekit.codec import from_jsonable, to_jsonable
from edgekit.detection import Detection
from edgekit.models.stages import HEADS, split
from edgekit.tasks.anchors import LARGEST, anchor_boxes
from edgekit.tasks.regions import LEAST_SIDE, SAMPLES, samples


class Propose(layers.Layer):  # type: ignore[misc]  # Keras is not typed
    """What `edgekit.tasks.regions.propose` does, for a batch: (images, count, 4), filled up with zeros."""

    def __init__(self, *, detection: str, **settings: Any) -> None:
        super().__init__(**settings)
        self._detection = detection
        self._spec = from_jsonable(Detection, json.loads(detection))

    def get_config(self) -> dict[str, Any]:
        """What makes a layer like this one."""
        return {**super().get_config(), "detection": self._detection}

    def call(self, objectness: Any, offsets: Any) -> Any:
        """Regions of logits (images, anchors, 2) and offsets (images, anchors, 4)."""
        how, anchors = self._spec.proposals, anchor_boxes(self._spec.anchors)
        assert how is not None  # noqa: S101 - a detector that proposes
        scaled = offsets * tf.constant(self._spec.variances)
        centres = anchors[:, :2] + scaled[..., :2] * anchors[:, 2:]
        half = anchors[:, 2:] * tf.exp(tf.minimum(scaled[..., 2:], LARGEST)) / 2
        boxes = tf.clip_by_value(tf.concat([centres - half, centres + half], axis=2), 0.0, 1.0)
        large = tf.reduce_min(boxes[..., 2:] - boxes[..., :2], axis=2) >= LEAST_SIDE
        scores = tf.where(large, objectness[..., 1] - objectness[..., 0], tf.float32.min)
        best, order = tf.math.top_k(scores, min(how.candidates, len(anchors)))
        found = tf.image.combined_non_max_suppression(
            tf.gather(boxes, order, batch_dims=1)[:, :, None],
            best[..., None],
            max_output_size_per_class=how.count,
            max_total_size=how.count,
            iou_threshold=how.iou_threshold,
            score_threshold=tf.float32.min,
        )
        return tf.stop_gradient(tf.ensure_shape(found.nmsed_boxes, (None, how.count, 4)))


class Pool(layers.Layer):  # type: ignore[misc]  # Keras is not typed
    """What `edgekit.tasks.regions.pool` does, for a batch: (images * regions, bins, bins, channels)."""

    def __init__(self, *, bins: int, **settings: Any) -> None:
        super().__init__(**settings)
        self._bins = bins

    def get_config(self) -> dict[str, Any]:
        """What makes a layer like this one."""
        return {**super().get_config(), "bins": self._bins}

    def call(self, features: Any, regions: Any) -> Any:
        """The inside of ``regions`` (images, count, 4) in ``features`` (images, rows, columns, channels)."""
        rows, columns, channels = features.shape[1:]
        down = self._places(regions[..., 1], regions[..., 3], rows)
        along = self._places(regions[..., 0], regions[..., 2], columns)
        lines = tf.einsum("nrbh,nhwc->nrbwc", down, features)
        found = tf.einsum("nrdw,nrbwc->nrbdc", along, lines)
        return tf.reshape(found, (-1, self._bins, self._bins, channels))

    def _places(self, low: Any, high: Any, cells: int) -> Any:
        """As `edgekit.tasks.regions.places`, for a batch."""
        at = (low[..., None] + (high - low)[..., None] * samples(self._bins)) * float(cells) - 0.5
        at = tf.clip_by_value(at, 0.0, float(cells - 1))[..., None]
        share = tf.maximum(0.0, 1.0 - tf.abs(at - tf.range(cells, dtype=tf.float32)))
        return tf.reduce_mean(tf.reshape(share, (-1, low.shape[1], self._bins, SAMPLES, cells)), axis=3)


class Rows(layers.Layer):  # type: ignore[misc]  # Keras is not typed
    """(images * count, width) as (images, count, width)."""

    def __init__(self, *, count: int, **settings: Any) -> None:
        super().__init__(**settings)
        self._count = count

    def get_config(self) -> dict[str, Any]:
        """What makes a layer like this one."""
        return {**super().get_config(), "count": self._count}

    def call(self, values: Any) -> Any:
        """``values``, the rows of an image together."""
        return tf.reshape(values, (-1, self._count, values.shape[-1]))


def learner(model: Any, detection: Detection) -> Any:
    """A network that shares the weights of ``model``, of both stages, and does what is between them in between.

    Its outputs are those of `edgekit.detection.Head.REGIONS`, and the two of the proposals.
    """
    how = detection.proposals
    assert how is not None  # noqa: S101 - a detector that proposes
    first, heads = split(model, HEADS)
    image = keras.Input(model.inputs[0].shape[1:], name="image")
    features, objectness, offsets = first(image)
    regions = Propose(detection=json.dumps(to_jsonable(detection)), name="regions")(objectness, offsets)
    scores, moves = heads(Pool(bins=how.bins, name="pool")(features, regions))
    outputs = [
        regions,
        Rows(count=how.count, name="scores")(scores),
        Rows(count=how.count, name="offsets")(moves),
        layers.Identity(name="objectness")(objectness),
        layers.Identity(name="anchor_offsets")(offsets),
    ]
    return keras.Model(image, outputs, name=model.name)
