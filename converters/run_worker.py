"""The process that runs a finished file in its real runtime; a file that kills its engine kills this process only."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.converters.samples import Samples
from edgekit.runtimes import open_runtime
from edgekit.workers import Json, Progress, serve


def run(request: Json, progress: Progress) -> Json:
    """Write the real-valued outputs of ``path`` on the first ``count`` of ``samples`` into the folder ``outputs``."""
    runtime = open_runtime(Path(request["path"]), threads=2)
    samples = Samples.open(Path(request["samples"]))
    count = min(int(request["count"]), samples.count)

    def results() -> Iterator[dict[str, np.ndarray[Any, Any]]]:
        for done, feed in enumerate(samples.batches(1, count), 1):
            yield {name: values[0] for name, values in runtime.run(feed, as_float=True).items()}
            progress(f"running {Path(request['path']).name}", done, count)

    Samples.write(Path(request["outputs"]), results(), count)
    return {}


if __name__ == "__main__":
    serve({"run": run})
