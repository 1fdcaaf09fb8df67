"""Who imports whom, and that nothing heavy is loaded before it is needed."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent

HEAVY = {
    *("PIL", "cv2", "h5py", "scipy", "sklearn", "skimage", "pycocotools"),
    *("tensorflow", "keras", "tf2onnx", "onnx", "litert_quantizer", "flatbuffers", "google"),
    *("ai_edge_litert", "tflite_runtime", "onnxruntime", "openvino", "openvino_telemetry", "tflite_micro"),
    *("dask", "distributed"),
}
"""What must not be loaded before it is needed; the engines are among them."""

ENGINES = {"ai_edge_litert", "onnxruntime", "flatbuffers", "google", "PIL"}
"""What a verb may load when it runs a model or reads an image."""

DEVICE_VERBS = (
    "inspect",
    "predict",
    "evaluate",
    "compare",
    "benchmark",
    "card",
    "doctor",
    "report",
    "zoo",
    "demo",
    "bundle",
    "check",
    "sweep",
    "device",
)

FOLDERS = {"models": "edgekit.models", "converters": "edgekit.converters", "demos": "edgekit.demos"}

JOINING = ("edgekit.digit_detector", "edgekit.quickstart", "edgekit.sweep", "edgekit.train_all", "edgekit.zoo_latency")
"""What joins training, conversion and measuring: only the command line stands above."""

MAY_IMPORT = {
    "edgekit.models": {"edgekit", "edgekit.models"},
    "edgekit.converters": {"edgekit", "edgekit.models", "edgekit.converters"},
    "edgekit.demos": {"edgekit", "edgekit.demos"},
    "edgekit.cli": {
        "edgekit",
        "edgekit.cli",
        "edgekit.models",
        "edgekit.converters",
        "edgekit.demos",
        *JOINING,
    },
    **{module: {"edgekit", "edgekit.models", "edgekit.converters", module} for module in JOINING},
    "edgekit": {"edgekit"},
}
"""Which layers the files of a layer may import."""


def loaded_after(code: str) -> set[str]:
    """Top-level names of the modules that a fresh process has loaded after ``code``."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


def running(*arguments: str) -> str:
    """Code that runs the command line and goes on when it has done its work."""
    call = f"main({list(arguments)!r})"
    return f"from edgekit.cli import main\ntry:\n    {call}\nexcept SystemExit as end:\n    assert not end.code"


def test_importing_edgekit_loads_nothing_heavy() -> None:
    assert not loaded_after("import edgekit, edgekit.card, edgekit.artifact, edgekit.recipe") & HEAVY


def test_the_probe_sees_what_is_loaded() -> None:
    assert "PIL" in loaded_after("import PIL.Image") & HEAVY


@pytest.mark.parametrize("verb", DEVICE_VERBS)
def test_a_verbs_module_loads_nothing_heavy(verb: str) -> None:
    assert not loaded_after(f"import edgekit.cli.{verb}") & HEAVY


def test_help_loads_neither_numpy_nor_rich() -> None:
    """They take most of the time in which the command line answers."""
    assert not loaded_after(running("--help")) & (HEAVY | {"numpy", "rich"})


@pytest.mark.parametrize("suffix", ["tflite", "onnx"])
@pytest.mark.parametrize("verb", ["inspect", "predict", "evaluate", "benchmark", "check init"])
def test_a_verb_at_work_loads_no_more_than_its_engine(verb: str, suffix: str, tmp_path: Path) -> None:
    """Not TensorFlow, Keras, ONNX's tools or OpenCV, which a device does not have."""
    np.savez(tmp_path / "data.npz", x=np.zeros((3, 8, 8, 1), np.float32), y=np.zeros(3, np.int64))
    np.save(tmp_path / "zero.npy", np.zeros((8, 8, 1), np.float32))
    more = {
        "inspect": [],
        "predict": [str(tmp_path / "zero.npy")],
        "evaluate": ["--data", str(tmp_path / "data.npz")],
        "benchmark": ["--runs", "2", "--min-secs", "0"],
        "check init": ["--data", str(tmp_path / "data.npz"), "-o", str(tmp_path)],
    }[verb]
    arguments = [*verb.split(), str(ROOT / "tests" / "golden" / f"tiny.{suffix}"), *more]
    assert not loaded_after(running(*arguments)) & (HEAVY - ENGINES)


def layer(module: str) -> str:
    """The most specific layer that ``module`` belongs to."""
    if module == "edgekit.__main__":
        return "edgekit.cli"
    return max((name for name in MAY_IMPORT if module == name or module.startswith(name + ".")), key=len)


def modules() -> Iterator[tuple[str, Path]]:
    """Dotted name and path of every module; the links inside edgekit/ are not followed."""
    for folder in ("edgekit", *FOLDERS):
        for path in sorted((ROOT / folder).rglob("*.py")):
            relative = path.relative_to(ROOT)
            if folder == "edgekit" and len(relative.parts) > 2 and relative.parts[1] in FOLDERS:
                continue
            parts = relative.with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            yield (FOLDERS[folder] + name[len(folder) :] if folder in FOLDERS else name), path


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Dotted name and line of everything imported anywhere in ``tree``; relative ones begin with a dot."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield base, node.lineno
            yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names if base == "edgekit")


def at_import(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements that run when the module is imported: not those in functions or under TYPE_CHECKING."""
    pending: list[ast.stmt] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending += node.orelse
            continue
        yield node
        pending += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
        pending += [s for h in getattr(node, "handlers", []) for s in h.body]


def wrong_imports(module: str, source: str) -> list[str]:
    """What ``module`` may not import: layers above it, relative names, the folders' bare names."""
    problems = []
    for name, line in imports(ast.parse(source)):
        if name.startswith("."):
            problems.append(f"line {line}: relative import {name}")
        elif name.partition(".")[0] in FOLDERS:
            problems.append(f"line {line}: {name} must be edgekit.{name}")
        elif name.partition(".")[0] == "edgekit" and layer(name) not in MAY_IMPORT[layer(module)]:
            problems.append(f"line {line}: {module} is below {name}")
    return problems


def heavy_at_import(source: str) -> list[str]:
    """Heavy packages that ``source`` imports as soon as it is imported itself."""
    return [
        f"line {line}: {name}"
        for statement in at_import(ast.parse(source))
        if isinstance(statement, ast.Import | ast.ImportFrom)
        for name, line in imports(statement)
        if name.partition(".")[0] in HEAVY
    ]


@pytest.mark.parametrize(("module", "path"), [pytest.param(m, p, id=m) for m, p in modules()])
def test_imports_go_one_way(module: str, path: Path) -> None:
    assert wrong_imports(module, path.read_text()) == []


@pytest.mark.parametrize(
    ("module", "path"), [pytest.param(m, p, id=m) for m, p in modules() if layer(m) in ("edgekit", "edgekit.cli")]
)
def test_nothing_heavy_is_imported_at_module_level(module: str, path: Path) -> None:
    assert heavy_at_import(path.read_text()) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("edgekit.card", "from edgekit.models import registry"),
        ("edgekit.card", "from edgekit import converters"),
        ("edgekit.card", "def f():\n    import edgekit.cli.common"),
        ("edgekit.models.mlp", "from edgekit.converters.convert import convert"),
        ("edgekit.demos.classify", "import edgekit.models.registry"),
        ("edgekit.card", "from . import codec"),
        ("edgekit.cli.zoo", "import models.registry"),
        ("edgekit.measure.evaluate", "from edgekit.quickstart import quickstart"),
    ],
)
def test_a_wrong_import_is_seen(module: str, source: str) -> None:
    assert len(wrong_imports(module, source)) >= 1


@pytest.mark.parametrize(
    "source",
    ["import tensorflow as tf", "try:\n    import cv2\nexcept ImportError:\n    cv2 = None", "from PIL import Image"],
)
def test_a_heavy_import_is_seen(source: str) -> None:
    assert len(heavy_at_import(source)) == 1


def test_a_heavy_import_in_a_function_is_allowed() -> None:
    assert (
        heavy_at_import(
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import keras\ndef f():\n    import cv2"
        )
        == []
    )


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_folders_are_importable_by_their_full_name_only(folder: str) -> None:
    """Even from the project's root, where ``import models`` would find the folder."""
    done = subprocess.run(
        [sys.executable, "-c", f"import {folder}"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"ImportError: import edgekit.{folder} instead of {folder}"
    subprocess.run([sys.executable, "-c", f"import edgekit.{folder}"], check=True, cwd=ROOT)
