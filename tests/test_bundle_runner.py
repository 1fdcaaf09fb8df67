"""What a bundle carries: a closed set of files, for old Pythons and few packages."""

import ast
import dataclasses
import enum
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import run, seal, unpack
from pythons import interpreter, make_venv

from edgekit.anomaly import Anomaly
from edgekit.bundle import make_bundle
from edgekit.bundle.runner import old_python
from edgekit.bundle.runner.engines import load
from edgekit.bundle.runner.main import _top
from edgekit.bundle.runner.manifest import Entry, Golden
from edgekit.bundle.runner.pictures import frames, read_photo, require_pillow
from edgekit.bundle.shipped import EMPTY, MODULES, sources
from edgekit.card import ModelCard, TensorSpec
from edgekit.errors import DataError, MissingExtraError
from edgekit.measure.same import Limits
from edgekit.preprocessing import preset

ROOT = Path(__file__).parent.parent
AT_IMPORT = {"numpy"}
IN_FUNCTIONS = {"numpy", "PIL", "resource"}


def imported(source: str, *, at_import: bool) -> Iterator[str]:
    """Modules that ``source`` imports: all, or those that it needs as soon as it is imported itself."""
    pending: list[ast.AST] = [ast.parse(source)]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if at_import and isinstance(node, ast.FunctionDef):
            continue
        pending += ast.iter_child_nodes(node)


def strangers(source: str, *, at_import: bool, shipped: tuple[str, ...] = (*MODULES, *EMPTY)) -> set[str]:
    """What ``source`` imports that is neither Python's own nor in a bundle."""
    names = set(imported(source, at_import=at_import))
    ours = {name for name in names if name.partition(".")[0] == "edgekit"}
    others = {name.partition(".")[0] for name in names - ours} - sys.stdlib_module_names
    return (ours - set(shipped)) | (others - (AT_IMPORT if at_import else IN_FUNCTIONS))


LAZY = {"lib/edgekit/__init__.py": {"edgekit.stream"}}
"""What is imported when a name is used that bundles do not have."""
FILES = {name: text.decode() for name, text in sources().items()}


@pytest.mark.parametrize("name", FILES)
def test_a_bundle_carries_all_that_its_files_import(name: str) -> None:
    assert strangers(FILES[name], at_import=True) == set()
    assert strangers(FILES[name], at_import=False) == LAZY.get(name, set())


def test_a_module_that_is_left_out_is_noticed() -> None:
    fewer = tuple(m for m in MODULES if m != "edgekit.tasks.boxes")
    heads = FILES["lib/edgekit/tasks/heads.py"]
    assert strangers(heads, at_import=True, shipped=fewer) == {"edgekit.tasks.boxes"}
    assert strangers("import click\ndef f():\n    import cv2", at_import=False) == {"click", "cv2"}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_in_the_words_of_python_3_9(name: str) -> None:
    ast.parse(FILES[name], feature_version=(3, 9))


def test_newer_words_are_noticed() -> None:
    with pytest.raises(SyntaxError):
        ast.parse("match x:\n    case 1:\n        pass", feature_version=(3, 9))


def test_the_shared_files_are_edgekits_own() -> None:
    for module in MODULES:
        path = module.replace(".", "/")
        inside = f"{path}/__init__.py" if (ROOT / path).is_dir() else f"{path}.py"
        assert FILES[f"lib/{inside}"] == (ROOT / inside).read_text()


@pytest.fixture(scope="module")
def unpacked(tiny_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    files = [tiny_models / "convnet_int8.tflite", tiny_models / "convnet.onnx"]
    make_bundle(files, folder / "b.zip", preprocess="unit", samples=2)
    return unpack(folder / "b.zip", folder)


_LOADED = """
import runpy, sys
sys.path[:0] = [sys.argv[1]]
sys.argv = ["bundle", "verify"]
try:
    runpy.run_module("bundle", run_name="__main__")
except SystemExit as end:
    assert not end.code
ours = {name: module.__file__ for name, module in sys.modules.items() if name.partition(".")[0] == "edgekit"}
import json
print(json.dumps([ours, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def test_a_bundle_at_work_loads_its_own_files_and_no_tools(unpacked: Path) -> None:
    """Although edgekit itself is installed here."""
    command = [sys.executable, "-I", "-c", _LOADED, str(unpacked.parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    ours, loaded = json.loads(done.stdout.splitlines()[-1])
    assert {Path(file).is_relative_to(unpacked) for file in ours.values()} == {True}
    assert "edgekit.tasks.heads" in ours
    assert not {"tensorflow", "keras", "onnx", "click", "rich", "cv2"} & set(loaded)


# Old Pythons


def test_old_pythons_get_what_they_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on 3.9, in this Python: the pieces do what the newer ones do."""
    before = (enum.StrEnum, dataclasses.dataclass, list(sys.meta_path))
    old_python.modernize()
    assert (enum.StrEnum, dataclasses.dataclass, list(sys.meta_path)) == before

    class Colour(old_python.StrEnum):
        RED = "red"

    assert (str(Colour.RED), f"{Colour.RED}", Colour("red") is Colour.RED, Colour.RED == "red") == (
        *("red", "red"),
        True,
        True,
    )

    @old_python.dataclass(frozen=True, slots=True, kw_only=True)
    class Card:
        size: "int | None" = None
        name: "str"

    assert Card(name="a") == Card(name="a", size=None)
    assert typing.get_type_hints(Card)["size"] == typing.Optional[int]  # noqa: UP045
    assert old_python.dataclass(type("Plain", (), {"__annotations__": {"x": "int"}}))(3).x == 3


def test_zip_is_strict_where_asked() -> None:
    assert list(old_python.checked_zip("ab", [1, 2], strict=True)) == [("a", 1), ("b", 2)]
    assert list(old_python.checked_zip("ab", [1])) == [("a", 1)]
    with pytest.raises(ValueError, match=r"^zip\(\) got \[1, 2\] values; expected as many of each\.$"):
        old_python.checked_zip("ab", [1], strict=True)


def test_a_file_is_compiled_for_the_old_python(tmp_path: Path) -> None:
    path = tmp_path / "edgekit_part.py"
    path.write_text("def f(x: int | None) -> None: ...\nkept = f.__annotations__\n")
    loader = old_python.Loader("edgekit_part", str(path))
    spec = importlib.util.spec_from_loader("edgekit_part", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    assert module.kept == {"x": "int | None", "return": "None"}
    assert vars(module)["zip"] is old_python.checked_zip
    found = old_python.Finder().find_spec("edgekit")
    assert found is not None
    assert isinstance(found.loader, old_python.Loader)
    assert old_python.Finder().find_spec("json") is None


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.9", "3.10", "3.12", "3.13"])
def test_other_pythons_verify_it_too(version: str, unpacked: Path, tmp_path: Path) -> None:
    python = make_venv(tmp_path / "venv", interpreter(version), "numpy", "ai-edge-litert")
    done = run(unpacked, "verify", "--model", "convnet_int8.tflite", python=python)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "verified"), done.stderr
    packed = run(unpacked.parent / "b.zip", "bench", "--model", "convnet_int8.tflite", "--runs", "2", python=python)
    if version == "3.9":
        told = (
            "bundle: Python 3.9 runs a bundle that is unpacked; "
            "run: python3 -m zipfile -e bundle.zip . && python3 -m bundle\n"
        )
        assert (packed.returncode, packed.stderr) == (2, told)
    else:
        assert packed.returncode == 0, packed.stderr


@pytest.mark.slow
def test_a_python_that_is_too_old_is_told(unpacked: Path) -> None:
    done = run(unpacked, "verify", python=interpreter("3.8"))
    assert done.returncode == 2
    assert done.stderr.startswith("bundle: This bundle needs Python 3.9 or newer; got 3.8.")


# Few packages


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_a_python_without_numpy_is_told(packed: bool, unpacked: Path) -> None:
    place = unpacked.parent / "b.zip" if packed else unpacked.parent
    bare = [sys.executable, "-I", "-S"]  # no installed package is found
    done = subprocess.run([*bare, str(place), "verify"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (
        2,
        "",
        "bundle: This bundle needs numpy, which this Python does not have; "
        f"run: {sys.executable} -m pip install numpy\n",
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("packages", "model", "engine"),
    [
        (("numpy", "ai-edge-litert"), "convnet_int8.tflite", "litert"),
        (("numpy", "onnxruntime"), "convnet.onnx", "onnxruntime"),
        (("numpy<2", "tflite-runtime==2.14.0"), "convnet_int8.tflite", "tflite-runtime"),
    ],
)
def test_numpy_and_one_engine_are_enough(
    packages: tuple[str, ...], model: str, engine: str, unpacked: Path, tmp_path: Path
) -> None:
    if engine == "tflite-runtime" and sys.version_info[:2] != (3, 11):
        pytest.skip("tflite-runtime has wheels for Python 3.11 only")
    python = make_venv(tmp_path / "venv", sys.executable, *packages)
    done = run(unpacked, "verify", "--model", model, python=python)
    assert done.returncode == 0, done.stderr + done.stdout
    preprocessing, outputs = done.stdout.splitlines()[1:3]
    assert preprocessing.endswith("inputs are the same; pixels resizing is not proven, since Pillow is not installed")
    assert outputs.startswith(f"ok  {model}: outputs: 2 items by {engine}") or f"{engine} 2.14.0 (built-in)" in outputs
    other = "convnet.onnx" if model.endswith("tflite") else "convnet_int8.tflite"
    missing = run(unpacked, "bench", "--model", other, python=python)
    assert (missing.returncode, len(missing.stderr.splitlines())) == (2, 1)
    assert missing.stderr.startswith(f"bundle: No engine for .{other.rpartition('.')[2]} files is installed. Run: pip ")
    photo = run(unpacked, "predict", "x.png", "--model", model, python=python)
    assert photo.stderr == "bundle: Pillow is not installed, which resizes images. Run: pip install pillow\n"


_HIDING = """
import importlib.util, runpy
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *of: None if name == "onnxruntime" else found(name, *of)
runpy.run_module("bundle", run_name="__main__")
"""


@pytest.fixture
def one_engine(unpacked: Path, tmp_path: Path) -> Path:
    """The bundle, started in a Python that does not find onnxruntime."""
    shutil.copytree(unpacked, tmp_path / "bundle")
    (tmp_path / "__main__.py").write_text(_HIDING)
    return tmp_path / "bundle"


NOT_RUN = "--  convnet.onnx: not run: No engine for .onnx files is installed. Run: pip install onnxruntime"
LEFT_OUT = (
    "bundle: convnet.onnx did not run for want of an engine; "
    "install it, or run the others alone: --model convnet_int8.tflite\n"
)


def test_verify_goes_on_without_one_of_two_engines(one_engine: Path, tmp_path: Path) -> None:
    done = run(one_engine, "verify", "--json", tmp_path / "v.json")
    assert (done.returncode, done.stderr) == (2, LEFT_OUT)
    assert done.stdout.splitlines()[-2:] == [NOT_RUN, "verified, but for the models that did not run"]
    rows = json.loads((tmp_path / "v.json").read_text())["results"]
    assert {row["artifact"] for row in rows} == {"convnet_int8.tflite"}
    assert all(row["passed"] for row in rows)


def test_bench_goes_on_without_one_of_two_engines(one_engine: Path, tmp_path: Path) -> None:
    done = run(one_engine, "bench", "--runs", "2", "--min-secs", "0", "--json", tmp_path / "b.json")
    assert (done.returncode, done.stderr, done.stdout.splitlines()[-1]) == (2, LEFT_OUT, NOT_RUN)
    (row,) = json.loads((tmp_path / "b.json").read_text())["results"]
    assert row["artifact"] == "convnet_int8.tflite"
    alone = run(one_engine, "bench", "--runs", "2", "--min-secs", "0", "--model", "convnet_int8.tflite")
    assert (alone.returncode, alone.stderr) == (0, "")


def test_predict_goes_on_without_one_of_two_engines(one_engine: Path, colour_photos: Path) -> None:
    done = run(one_engine, "predict", next(colour_photos.rglob("*.png")))
    assert (done.returncode, done.stderr, done.stdout.splitlines()[-1]) == (2, LEFT_OUT, NOT_RUN)
    assert done.stdout.startswith("convnet_int8.tflite: ")


@pytest.mark.parametrize("independent", [True, False])
def test_scores_of_each_class_for_itself_are_told_as_they_are(independent: bool) -> None:
    card = ModelCard(name="m", inputs=(), outputs=(), independent_scores=independent)
    told = _top(dataclasses.replace(entry("onnx"), card=card), {"lengths": np.array([[0.5, 0.75]])})
    assert [row["class_id"] for row in told] == [1, 0]
    called, other = ("score", "probability") if independent else ("probability", "score")
    assert ([row[called] for row in told] == [0.75, 0.5]) is independent
    assert all(other not in row for row in told)


def test_only_an_image_alone_is_classified() -> None:
    image, noise = (TensorSpec(name=name, shape=(1, 8, 8, 3), dtype="float32") for name in ("image", "noise"))
    plain = ModelCard(name="m", inputs=(image,), outputs=(), preprocessing=preset("unit", size_hw=(8, 8)))
    scored = dataclasses.replace(plain, anomaly=Anomaly(threshold=1.0, chosen="by hand"))
    beside = dataclasses.replace(plain, inputs=(image, noise))
    bare = dataclasses.replace(plain, preprocessing=None)
    told = [dataclasses.replace(entry("onnx"), card=card).classifies for card in (plain, scored, beside, bare)]
    assert told == [True, False, False, False]


def test_a_failed_proof_outweighs_a_missing_engine(one_engine: Path) -> None:
    change_golden(one_engine)
    done = run(one_engine, "verify")
    assert (done.returncode, done.stderr) == (1, LEFT_OUT)
    assert done.stdout.splitlines()[-1] == "NOT verified: this device does not do what the desk did"


def change_golden(folder: Path) -> None:
    """Other outputs of the desk for the first model."""
    path = folder / "golden" / "convnet_int8.tflite" / "output_0.npy"
    np.save(path, -1 - np.load(path))
    seal(folder)


def test_no_engine_for_any_model_is_one_sentence(one_engine: Path) -> None:
    done = run(one_engine, "bench", "--model", "convnet.onnx")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "bundle: No engine for .onnx files is installed. Run: pip install onnxruntime\n"


@pytest.mark.slow
def test_numpy_2_with_the_old_engine_is_told(unpacked: Path, tmp_path: Path) -> None:
    if sys.version_info[:2] != (3, 11):
        pytest.skip("tflite-runtime has wheels for Python 3.11 only")
    python = make_venv(tmp_path / "venv", sys.executable, "numpy>=2", "tflite-runtime==2.14.0")
    done = run(unpacked, "bench", "--model", "convnet_int8.tflite", python=python)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        f"bundle: convnet_int8.tflite cannot be loaded: this tflite-runtime does not work with numpy "
        f"{numpy_of(python)}; run: pip install 'numpy<2'"
    )


def numpy_of(python: str) -> str:
    command = [python, "-c", "import numpy; print(numpy.__version__)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


# Sources of images


def hidden(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let these packages count as not installed."""
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name in names else found(name, *rest))


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, tiny_models: Path) -> None:
    hidden(monkeypatch, "PIL", "cv2", "onnxruntime", "ai_edge_litert", "tflite_runtime")
    with pytest.raises(MissingExtraError) as caught:
        require_pillow()
    assert str(caught.value) == "Pillow is not installed, which resizes images. Run: pip install pillow"
    entries = {kind: entry(kind) for kind in ("tflite", "onnx")}
    with pytest.raises(MissingExtraError) as caught:
        load(entries["tflite"], b"")
    assert str(caught.value) == (
        "No engine for .tflite files is installed. Run: pip install ai-edge-litert, or where there is no such wheel: "
        "pip install tflite-runtime 'numpy<2'"
    )
    with pytest.raises(MissingExtraError) as caught:
        load(entries["onnx"], b"")
    assert str(caught.value) == "No engine for .onnx files is installed. Run: pip install onnxruntime"


def entry(kind: str) -> Entry:
    return Entry(
        file=f"models/m.{kind}",
        format=kind,
        recipe="fp32",
        card=ModelCard(name="m", inputs=(), outputs=()),
        engine="",
        kernels="",
        limits=Limits(min_sqnr_db=60, max_score=0.01),
        golden=Golden(count=0, inputs=(), outputs=()),
    )


def test_opencv_is_asked_for_where_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden(monkeypatch, "cv2")
    with pytest.raises(MissingExtraError) as caught:
        next(frames("0"))
    assert str(caught.value) == (
        "OpenCV is not installed, which opens 0. Run: pip install opencv-python-headless, or give a photo"
    )


def test_an_old_pillow_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import PIL

    monkeypatch.setattr(PIL, "__version__", "8.1.2")
    with pytest.raises(MissingExtraError) as caught:
        require_pillow()
    assert str(caught.value) == "Pillow is 8.1.2; expected 9.1 or newer. Run: pip install --upgrade pillow"


def test_a_photo_that_is_not_there_is_told() -> None:
    with pytest.raises(DataError) as caught:
        read_photo("nowhere.png")
    assert str(caught.value) == "There is no file nowhere.png; check the path."


@pytest.mark.parametrize(("source", "kind"), [("98", "camera"), ("nowhere.mp4", "clip or stream")])
def test_what_opencv_cannot_open_is_told(source: str, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("cv2")
    with pytest.raises(DataError) as caught:
        next(frames(source))
    assert str(caught.value) == f"OpenCV cannot open the {kind} {source}; check that it is there and free."


def test_a_clip_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.mp4")
    with pytest.raises(DataError) as caught:
        next(frames(str(tmp_path / "x.mp4")))
    assert (
        str(caught.value) == f"{tmp_path / 'x.mp4'} is no regular file; expected a clip: take it away or name another."
    )


def test_a_clip_gives_rgb_frames(tmp_path: Path) -> None:
    cv2: Any = pytest.importorskip("cv2")
    path = str(tmp_path / "clip.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 10, (32, 24))
    for _ in range(3):
        writer.write(np.full((24, 32, 3), (0, 0, 200), np.uint8))  # red, as OpenCV orders it
    writer.release()
    seen = list(frames(path))
    assert len(seen) == 3
    assert seen[0].shape == (24, 32, 3)
    red, green, blue = seen[0].reshape(-1, 3).mean(axis=0)
    assert red > 150 > 50 > max(green, blue)
