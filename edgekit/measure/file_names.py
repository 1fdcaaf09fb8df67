"""What files are called in tables and sentences."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path


def distinct_names(paths: Iterable[Path]) -> dict[Path, str]:
    """A name for each path: that of its file, with as many folders in front as tell it from the others.

    >>> list(distinct_names([Path("a/m.onnx"), Path("b/c/m.onnx"), Path("b/n.onnx")]).values())
    ['a/m.onnx', 'c/m.onnx', 'n.onnx']
    """
    found = {path: path.name for path in paths}
    longest, parts = max((len(path.parts) for path in found), default=0), 1
    while parts < longest and len(set(found.values())) < len(found):
        parts, counts = parts + 1, Counter(found.values())
        found = {path: name if counts[name] == 1 else "/".join(path.parts[-parts:]) for path, name in found.items()}
    return found
