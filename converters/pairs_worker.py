"""The process that runs the tower of a model that compares pictures, for what its second file is calibrated on."""

from pathlib import Path

import numpy as np

from edgekit.converters.samples import Samples
from edgekit.runtimes import open_runtime
from edgekit.workers import Json, Progress, serve


def embed(request: Json, progress: Progress) -> Json:
    """Write what ``path`` gives for each of ``samples`` into ``out``, (count, size)."""
    runtime, samples = open_runtime(Path(request["path"]), threads=2), Samples.open(Path(request["samples"]))
    (spec,) = runtime.outputs
    found = []
    for done, feed in enumerate(samples.batches(1), 1):
        found.append(runtime.run(feed, as_float=True)[spec.name])
        progress("embedding", done, samples.count)
    np.save(request["out"], np.concatenate(found))
    return {}


if __name__ == "__main__":
    serve({"embed": embed})
