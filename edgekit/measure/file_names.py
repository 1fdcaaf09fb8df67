"""What files are called in tables and sentences."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path


def distinct_names(paths: Iterable[Path]) -> dict[Path, str]:
    """A name for each path: that of its file, with as many folders in front as tell it from the others.

    >>> list(distinct_names([Path("a/m.onnx"), Path("b/c/m.onnx"), Path("b/n.onnx")]).values())
    ['a/m.onnx', 'c/m.onnx', 'n.onnx']
    """
    left, found, parts = dict.fromkeys(paths), dict[Path, str](), 1
    while left:
        names = {path: "/".join(path.parts[-parts:]) for path in left}
        counts = Counter(names.values())
        done = {path: name for path, name in names.items() if counts[name] == 1 or parts >= len(path.parts)}
        found |= done
        left = dict.fromkeys(path for path in left if path not in done)
        parts += 1
    return found
