"""Fixtures that all tests share."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from pi_stand_in import Pi

# The first example of a property pays for imports and a busy machine for all of them: time says nothing about the code.
settings.register_profile("edgekit", deadline=None)
# A change is judged by the same examples each time; people at their desks go on finding new ones.
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "edgekit")

# A shell that starts a command in the background makes it deaf to Ctrl-C, which its children would inherit.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets: EDGEKIT_DATA, else ../shared/data; the test is skipped where there is none."""
    folder = Path(os.environ.get("EDGEKIT_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"the real data sets are not in {folder}; set EDGEKIT_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def tiny_models() -> Path:
    """The folder of tiny models, each of a few kilobytes, that are read only; make_models.py beside them made them."""
    return Path(__file__).parent / "golden" / "models"


COLOURS = ("red", "green", "blue")


@pytest.fixture(scope="session")
def colour_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes tiny ONNX classifiers of 4 x 6 images: the mean of each colour channel, times a (3, classes) table.

    ``colour_model(table, output=, **card)``; the fields of ``card`` replace those of a complete one, and ``card=None``
    leaves it out.
    """
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    from edgekit.artifact import Format, with_card
    from edgekit.card import ModelCard, TensorSpec
    from edgekit.preprocessing import preset

    def make(table: Any = None, *, output: str = "scores", **fields: Any) -> Path:
        values = np.asarray(np.eye(3) * 10 if table is None else table, np.float32)
        classes = values.shape[1]
        graph = helper.make_graph(
            [
                helper.make_node("ReduceMean", ["image"], ["means"], axes=[1, 2], keepdims=0),
                helper.make_node("MatMul", ["means", "table"], [output]),
            ],
            "colours",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, ("batch", 4, 6, 3))],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, ("batch", classes))],
            [numpy_helper.from_array(values, "table")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        data = model.SerializeToString()
        if "card" not in fields:
            card: dict[str, Any] = {
                "name": "colours",
                "task": "classification",
                "inputs": (TensorSpec(name="image", shape=(None, 4, 6, 3), dtype="float32"),),
                "outputs": (TensorSpec(name=output, shape=(None, classes), dtype="float32"),),
                "preprocessing": preset("unit", size_hw=(4, 6)),
                "labels": COLOURS if classes == len(COLOURS) else None,
            }
            data = with_card(data, ModelCard(**card | fields), Format.ONNX)
        path = tmp_path_factory.mktemp("colours") / "colours.onnx"
        path.write_bytes(data)
        return path

    return make


@pytest.fixture(scope="session")
def colour_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 8 noisy 9 x 13 photos of each of the classes red, green and blue."""
    import numpy as np
    from PIL import Image

    root = tmp_path_factory.mktemp("data") / "photos"
    rng = np.random.default_rng(0)
    for channel, name in enumerate(COLOURS):
        (root / name).mkdir(parents=True)
        for index in range(8):
            pixels = rng.integers(0, 100, (9, 13, 3))
            pixels[..., channel] += 100
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{index}.png")
    return root


@pytest.fixture(scope="session")
def every_operator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float ONNX file with every kind of operator whose 8-bit form has sums, tables or scales that matter.

    ``x`` (1, 4, 6, 6) to ``y`` (1, 10), probabilities; the weights are seeded.
    """
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(1)
    constants = {
        "kernel": random.normal(0, 0.2, (8, 4, 3, 3)),
        "grey": np.abs(random.normal(0, 0.3, (4, 1, 3, 3))),
        "depthwise": random.normal(0, 0.3, (8, 1, 3, 3)),
        "offset": random.normal(0, 1, (1, 8, 1, 1)),
        "gain": random.normal(0, 1, (1, 8, 1, 1)),
        "weight": random.normal(0, 0.3, (20, 10)),
        "bias": random.normal(0, 0.3, 10),
    }
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["wide"], pads=[1, 1, 1, 1]),
        helper.make_node("LeakyRelu", ["wide"], ["leaky"], alpha=0.2),
        helper.make_node("Conv", ["leaky", "depthwise"], ["deep"], pads=[1, 1, 1, 1], group=8),
        helper.make_node("Add", ["deep", "leaky"], ["sum"], name="the_sum"),
        helper.make_node("Relu", ["sum"], ["relu"]),
        helper.make_node("Add", ["relu", "offset"], ["shifted"]),
        helper.make_node("Mul", ["shifted", "gain"], ["scaled"]),
        helper.make_node("Slice", ["x", "zero", "one", "one"], ["channel"]),
        helper.make_node("Conv", ["channel", "grey"], ["shades"], pads=[1, 1, 1, 1]),
        helper.make_node("Concat", ["scaled", "relu", "shades"], ["both"], axis=1),
        helper.make_node("AveragePool", ["both"], ["pooled"], kernel_shape=[2, 2]),
        helper.make_node("Mul", ["pooled", "pooled"], ["squares"]),
        helper.make_node("GlobalAveragePool", ["squares"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weight", "bias"], ["dense"]),
        helper.make_node("Softmax", ["dense"], ["y"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "every operator",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 4, 6, 6))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 10))],
        [
            *(numpy_helper.from_array(np.asarray(v, np.float32), n) for n, v in constants.items()),
            *(numpy_helper.from_array(np.array([v]), n) for n, v in {"zero": 0, "one": 1}.items()),
        ],
    )
    path = tmp_path_factory.mktemp("every") / "every.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


@pytest.fixture
def piped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What runs on a device, in another process of this machine; ``board://...`` is such a device for the library."""
    from boards import Board

    from edgekit.devices import SCHEMES

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setitem(SCHEMES, "board", ("boards", "Board"))
    return Board("board")


@pytest.fixture(scope="session")
def finder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finds one object in the middle half of every picture, the brighter the more sure that it is a bright one."""
    from tiny_detector import detector

    return detector(tmp_path_factory.mktemp("finder") / "finder.onnx", name="finder")


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten frames at twenty a second, brighter and brighter."""
    import cv2
    import numpy as np

    path = tmp_path_factory.mktemp("clip") / "grey.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 20, (320, 240))
    for number in range(10):
        writer.write(np.full((240, 320, 3), 20 * number, np.uint8))
    writer.release()
    return path


@pytest.fixture(scope="session")
def odd_photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo that is neither square nor symmetric, of another shape than any model."""
    import numpy as np
    from PIL import Image

    pixels = np.random.default_rng(3).integers(0, 256, (19, 31, 3)).astype(np.uint8)
    pixels[:, :9, 0] = 250
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="session")
def bundle(tiny_models: Path, colour_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of one integer TFLite file and one float ONNX file with four photos."""
    from edgekit.bundle import make_bundle

    path = tmp_path_factory.mktemp("bundle") / "two.zip"
    files = [tiny_models / "convnet_int8.tflite", tiny_models / "convnet.onnx"]
    make_bundle(files, path, data=str(colour_photos), preprocess="unit", samples=4)
    return path


@pytest.fixture
def unpacked_bundle(bundle: Path, tmp_path: Path) -> Path:
    """The folder of `bundle`, of which a test may change everything."""
    from bundles import unpack

    return unpack(bundle, tmp_path)


@pytest.fixture(scope="session")
def detector_bundle(tmp_path_factory: pytest.TempPathFactory, odd_photo: Path) -> Path:
    """A bundle of a detector of one file, which lies beside it, with one photo."""
    from tiny_detector import detector

    from edgekit.bundle import make_bundle

    folder = tmp_path_factory.mktemp("detector")
    make_bundle([detector(folder / "d.onnx", name="detector")], folder / "d.zip", inputs=[odd_photo])
    return folder / "d.zip"


@pytest.fixture(scope="session")
def staged_bundle(tmp_path_factory: pytest.TempPathFactory, odd_photo: Path) -> Path:
    """A bundle of a detector of two files, which lie beside it, with one photo."""
    from tiny_two_stage import two_stage

    from edgekit.bundle import make_bundle

    folder = tmp_path_factory.mktemp("staged")
    make_bundle([two_stage(folder)], folder / "s.zip", inputs=[odd_photo])
    return folder / "s.zip"


@pytest.fixture(scope="session")
def pi() -> "Iterator[Pi]":
    """A Raspberry Pi with numpy and the engines, for tests that take away what they bring; see pi_stand_in.py."""
    from pi_stand_in import start_pi

    with start_pi(with_engines=True) as board:
        yield board


@pytest.fixture
def plug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Plugs in furnished phones, which one adb server knows: ``plug(generation=, **kinds)``, see `FakeAndroid`.

    ``generation`` is that of their benchmark_model, None for none.
    """
    import shutil

    from fake_android import FakeAndroid
    from phone import adb, adb_environment, furnish, tool

    if shutil.which("adb") is None:
        pytest.skip("adb is not installed; it is in Debian's package adb")
    for name, value in adb_environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("EDGEKIT_BENCHMARK_MODEL", raising=False)
    plugged: list[Any] = []

    def plug_in(*, generation: str | None = "newer", **kinds: Any) -> Any:
        root = furnish(tmp_path / f"phone{len(plugged)}")
        if generation is not None:
            tool(root / "data/local/tmp/benchmark_model", generation)
        phone = FakeAndroid(root, **kinds).__enter__()
        plugged.append(phone)
        adb("connect", phone.serial)
        return phone

    try:
        yield plug_in
    finally:
        adb("kill-server")
        for phone in plugged:
            phone.__exit__()


@pytest.fixture(scope="session")
def recurrent_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with tiny recurrent models, data for them and what they answer; stream_models.py makes them once."""
    folder = tmp_path_factory.mktemp("recurrent")
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    script = Path(__file__).parent / "stream_models.py"
    subprocess.run([sys.executable, str(script), str(folder)], check=True, capture_output=True, env=environment)
    return folder


@pytest.fixture(scope="session")
def step_files(recurrent_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with files of one time step of a text generator that has a layer of each recurrent kind."""
    from edgekit.converters import Request, convert
    from edgekit.data.base import Part
    from edgekit.data.windows import long_data
    from edgekit.recipe import Precision, Recipe, Rnn

    folder = tmp_path_factory.mktemp("step_files")
    wanted = (Precision.FP32, Precision.INT8)
    convert(
        Request(
            source=recurrent_models / "chars.keras",
            recipes=tuple(Recipe(precision=p, rnn=Rnn.STEP, calibration_samples=64) for p in wanted),
            calibration=long_data((recurrent_models / "text.txt").read_text(), Part.CALIBRATION, name="letters"),
            output_dir=folder,
        )
    )
    return folder


@pytest.fixture
def two(tmp_path: Path, tiny_models: Path) -> tuple[Path, ...]:
    """A TFLite and an ONNX file that a test may change."""
    return tuple(Path(shutil.copy(tiny_models / name, tmp_path)) for name in ("convnet_int8.tflite", "convnet.onnx"))


@pytest.fixture
def wheelhouse(tmp_path: Path) -> Path:
    """A folder of empty wheels for a device over SSH, and one for another machine."""
    from wheelhouses import wheel

    folder = tmp_path / "wheels"
    folder.mkdir()
    wheel(folder, "numpy")
    wheel(folder, "ai-edge-litert", needs="numpy")
    wheel(folder, "onnxruntime", needs="numpy")
    wheel(folder, "onnxruntime", "9.0", tag="cp311-cp311-manylinux_2_28_riscv64")  # another machine's
    return folder


@pytest.fixture(scope="session")
def checked_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one model whose baseline was just recorded."""
    from check_project import MODEL, project

    from edgekit.check import init

    folder = project(tmp_path_factory.mktemp("original"))
    init([folder / MODEL], str(folder / "photos.npz"), output_dir=folder)
    return folder
