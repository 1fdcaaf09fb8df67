"""The process that tries an engine: `edgekit.doctor.engines` starts it."""

from pathlib import Path

import numpy as np

from edgekit.errors import ArtifactError
from edgekit.workers import Json, Progress, serve


def _run_relu(request: Json, _progress: Progress) -> Json:
    from edgekit.runtimes import open_runtime

    outputs = open_runtime(Path(request["path"]), engine=request["engine"]).run({"x": np.array([[-1, 2]], np.float32)})
    if outputs["y"].tolist() != [[0.0, 2.0]]:
        raise ArtifactError(f"relu(-1, 2) gave {outputs['y'].tolist()}; expected [[0.0, 2.0]].")
    return {}


if __name__ == "__main__":
    serve({"relu": _run_relu})
