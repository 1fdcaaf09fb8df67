"""The process that reads HDF5: on a damaged file its library can crash, or go round in circles without end."""

import io
from collections import Counter
from pathlib import Path
from typing import Any

from edgekit.errors import ArtifactError, need
from edgekit.workers import Json, Progress, serve

_BROKEN = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, MemoryError)


def config(request: Json, _progress: Progress) -> Json:
    """The description of the model in the ``.h5`` file ``path``: ``text``, null where the file holds weights only."""
    path = request["path"]
    h5py = need("h5py", extra="train")
    try:
        with h5py.File(path, "r") as file:
            text = file.attrs.get("model_config")
    except _BROKEN as error:
        why = str(error).splitlines()[0] if str(error) else "it is not HDF5"
        raise ArtifactError(f"{path} is damaged: {why}; copy or save it again.") from None
    return {"text": text.decode(errors="replace") if isinstance(text, bytes) else text if text is None else str(text)}


def weights(request: Json, _progress: Progress) -> Json:
    """``total`` elements and bytes by dtype in ``sizes`` of all weights below ``group``, each of them read.

    They are in the file ``path``, or in ``member`` of that zip. Optimizer state does not count.
    """
    from edgekit.formats.keras import read_member

    path, member = Path(request["path"]), request["member"]
    source: Any = path if member is None else io.BytesIO(read_member(path, member))
    h5py = need("h5py", extra="train")
    sizes: Counter[str] = Counter()
    total = 0

    def visit(name: str, item: Any) -> None:
        nonlocal total
        if isinstance(item, h5py.Dataset):
            item[()]
            if not name.startswith("optimizer") and "seed_generator" not in name:
                total += int(item.size)
                sizes[str(item.dtype)] += int(item.nbytes)

    try:
        with h5py.File(source, "r") as file:
            file[request["group"]].visititems(visit)
    except _BROKEN:
        raise ArtifactError(f"{path} is damaged: its weights are not HDF5; copy or save it again.") from None
    return {"total": total, "sizes": dict(sizes)}


if __name__ == "__main__":
    serve({"config": config, "weights": weights})
