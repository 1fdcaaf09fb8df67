"""The process that runs the first file of a detector on images, for what its second file is calibrated on."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.artifact import open_artifact
from edgekit.converters.samples import Samples
from edgekit.errors import ConversionError
from edgekit.measure.two_stage import proposed
from edgekit.runtimes import open_runtime
from edgekit.workers import Json, Progress, serve

Array = npt.NDArray[Any]


def spread(regions: Array, count: int) -> Array:
    """``count`` of ``regions``, which are best first: the best, the last, and more of the good ones between.

    >>> spread(np.arange(48), 4).tolist()
    [0, 3, 12, 47]
    """
    places = np.geomspace(1, max(1, len(regions)), count).round().astype(int) - 1
    return np.asarray(regions[np.unique(places[places < len(regions)])])


def pooled(request: Json, progress: Progress) -> Json:
    """Write the features of some ``regions``, which ``path`` proposes for each of ``samples``, into ``out``."""
    path = Path(request["path"])
    spec = open_artifact(path).card.detection
    runtime, samples = open_runtime(path, threads=2), Samples.open(Path(request["samples"]))
    if spec is None or spec.proposals is None:
        raise ConversionError(f"{path} proposes no regions.")
    found = []
    for done, feed in enumerate(samples.batches(1), 1):
        regions, show = proposed(runtime.run(feed, as_float=True), spec, path)
        found.append(show(spread(regions, int(request["regions"]))))
        progress("looking at regions", done, samples.count)
    np.save(request["out"], np.concatenate(found))
    return {}


if __name__ == "__main__":
    serve({"pool": pooled})
