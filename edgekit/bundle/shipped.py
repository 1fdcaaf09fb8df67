"""Which of edgekit's own files a bundle carries: those that turn images into inputs and outputs into meaning.

They import one another, the standard library and numpy; engines, Pillow and OpenCV in functions only. They are carried
as they are, so that a device computes what edgekit computes.
"""

from collections.abc import Sequence
from pathlib import Path

SHARED = (
    "edgekit",
    "edgekit.errors",
    "edgekit.codec",
    "edgekit.recipe",
    "edgekit.card",
    "edgekit.preprocessing",
    "edgekit.companion",
    "edgekit.detection",
    "edgekit.regions",
    "edgekit.sequences",
    "edgekit.generation",
    "edgekit.tabular",
    "edgekit.anomaly",
    "edgekit.ratings",
    "edgekit.uncertainty",
    "edgekit.identities",
    "edgekit.data.images",
    "edgekit.data.npy",
    "edgekit.runtimes.base",
    "edgekit.runtimes.delegation",
    "edgekit.runtimes.quiet",
    "edgekit.runtimes.smallest",
    "edgekit.tasks.anchors",
    "edgekit.tasks.boxes",
    "edgekit.tasks.classification",
    "edgekit.tasks.heads",
    "edgekit.tasks.regions",
    "edgekit.measure.choices",
    "edgekit.measure.conditions",
    "edgekit.measure.host",
    "edgekit.measure.memory",
    "edgekit.measure.metrics",
    "edgekit.measure.same",
    "edgekit.measure.stats",
    "edgekit.measure.system",
    "edgekit.measure.timing",
)
RUNNER = (
    "edgekit.bundle.runner",
    "edgekit.bundle.runner.answers",
    "edgekit.bundle.runner.bench",
    "edgekit.bundle.runner.contents",
    "edgekit.bundle.runner.detector",
    "edgekit.bundle.runner.engines",
    "edgekit.bundle.runner.main",
    "edgekit.bundle.runner.manifest",
    "edgekit.bundle.runner.old_python",
    "edgekit.bundle.runner.pictures",
    "edgekit.bundle.runner.verify",
)
MODULES = (*SHARED, *RUNNER)

EMPTY = ("edgekit.data", "edgekit.runtimes", "edgekit.tasks", "edgekit.measure", "edgekit.bundle")
"""Packages of them; at the desk their ``__init__`` imports what a device does not need."""

_ROOT = Path(__file__).parents[1]
_EMPTY_INIT = b'"""A part of edgekit; see its own folder for the rest."""\n'


def package_sources(more: Sequence[str] = (), *, empty: Sequence[str] = ()) -> dict[str, bytes]:
    """The text of `MODULES` and ``more`` by their names below a folder; packages that are ``empty`` are so there."""
    found = {_relative(module): (_ROOT.parent / _relative(module)).read_bytes() for module in (*MODULES, *more)}
    return found | {f"{package.replace('.', '/')}/__init__.py": _EMPTY_INIT for package in (*EMPTY, *empty)}


def sources() -> dict[str, bytes]:
    """The text of all files by their names in the bundle."""
    found = {f"lib/{name}": data for name, data in package_sources().items()}
    found["__init__.py"] = b'"""A bundle of models; run it with: python3 -m bundle verify"""\n'
    found["__main__.py"] = (Path(__file__).parent / "runner" / "start.py").read_bytes()
    return found


def _relative(module: str) -> str:
    path = module.replace(".", "/")
    inside = _ROOT.parent / path
    return f"{path}/__init__.py" if inside.is_dir() else f"{path}.py"
