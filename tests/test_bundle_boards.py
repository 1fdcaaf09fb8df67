"""Bundles on emulated boards: 64-bit ARM with today's engines, 32-bit ARM with the last tflite-runtime."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bundles import damage_layer, seal, unpack

from edgekit.bundle import make_bundle
from edgekit.errors import EdgekitError
from edgekit.formats.tflite_objects import open_model, save_model
from edgekit.formats.tflite_ops import OPERATORS
from edgekit.measure.inspect import inspect
from edgekit.measure.tflite_versions import TFLITE_RUNTIME_2_14

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from aarch64.armv7 import armv7, build
from aarch64.places import Place, UnavailableError, arm

pytestmark = [pytest.mark.slow, pytest.mark.device]


def available(make: Callable[[], Place]) -> Place:
    try:
        return make()
    except UnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def pi4() -> Place:
    return available(lambda: arm("cortex-a72"))


@pytest.fixture(scope="module")
def pi3() -> Place:
    """The sysroot is made here, in a quarter of a minute, where it is missing and can be."""
    try:
        build(Path(__file__).parents[1] / "build" / "armv7")
    except (EdgekitError, OSError) as error:
        pytest.skip(str(error))
    return available(armv7)


@pytest.fixture(scope="module")
def unpacked(tiny_models: Path, colour_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("boards")
    files = [tiny_models / name for name in ("convnet_int8.tflite", "convnet.tflite", "convnet.onnx")]
    make_bundle(files, folder / "b.zip", data=str(colour_photos), preprocess="unit", samples=6)
    return unpack(folder / "b.zip", folder)


def on(place: Place, bundle: Path, *arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [*place.command, str(bundle.parent), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


def test_a_64_bit_board_verifies_every_file(pi4: Place, unpacked: Path) -> None:
    done = on(pi4, unpacked, "verify")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "verified"), done.stdout + done.stderr
    outputs = {line.split(": ")[0].split()[1]: line for line in done.stdout.splitlines() if ": outputs: " in line}
    same = ("every bit is the same", "softmax differs by a step on another kind of CPU")
    assert outputs["convnet_int8.tflite"].endswith(same)
    assert set(outputs) == {"convnet_int8.tflite", "convnet.tflite", "convnet.onnx"}


def test_a_damaged_file_fails_there_too(pi4: Place, unpacked: Path, tmp_path: Path) -> None:

    again = unpack(unpacked.parent / "b.zip", tmp_path)
    damage_layer(again / "models" / "convnet.onnx")
    seal(again)
    done = on(pi4, again, "verify", "--model", "convnet.onnx")
    assert done.returncode == 1
    assert "expected 60 dB or more" in done.stdout


def test_a_32_bit_board_verifies_a_float_file_and_predicts(pi3: Place, unpacked: Path, photo: Path) -> None:
    done = on(pi3, unpacked, "verify", "--model", "convnet.tflite")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "verified"), done.stdout + done.stderr
    assert "inputs are the same; pixels are the same" in done.stdout
    seen = on(pi3, unpacked, "predict", photo, "--model", "convnet.tflite")
    assert (seen.returncode, seen.stderr, "0.png: " in seen.stdout) == (0, "", True)


@pytest.mark.shared_data
def test_a_32_bit_board_verifies_float_and_8_bit_files_together(pi3: Place, shared_data: Path, tmp_path: Path) -> None:
    """Of a real size: in the built-in kernels for 32 bits a dense layer of a handful of inputs ends the process."""
    files = [shared_data / "models" / f"resnet8_cifar10_{kind}.tflite" for kind in ("float", "int8")]
    make_bundle(files, tmp_path / "b.zip", samples=8)
    for file in files:
        assert inspect(file, target="pi3-32").misfits == ()
    done = on(pi3, unpack(tmp_path / "b.zip", tmp_path), "verify")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "verified"), done.stdout + done.stderr
    said = {line.split(": ")[0]: line for line in done.stdout.splitlines() if ": outputs: " in line}
    assert list(said) == [f"ok  {file.name}" for file in files]
    for line in said.values():
        assert "tflite-runtime 2.14.0 (built-in), made by litert" in line
        assert line.endswith("within its limits")
    assert "the same class for 100%" in said[f"ok  {files[0].name}"]


@pytest.mark.parametrize("op", ["CONV_2D", "FULLY_CONNECTED", "SOFTMAX"])
def test_a_32_bit_board_runs_what_inspect_lets_pass_and_nothing_newer(
    op: str, pi3: Place, tiny_models: Path, tmp_path: Path
) -> None:
    """Both files run at the desk, and differ in one number."""
    newest = TFLITE_RUNTIME_2_14[op]
    bundles = {}
    for version in (newest, newest + 1):
        model = open_model(tiny_models / "convnet.tflite")
        (code,) = (each for each in model.operatorCodes if each.builtinCode == OPERATORS.index(op))
        code.version = version
        save_model(model, tmp_path / "m.tflite")
        misfits = inspect(tmp_path / "m.tflite", target="pi3-32").misfits
        assert [str(each).split(" (")[0] for each in misfits] == (
            [] if version == newest else [f"{op} has version {version}, the engine stops at {newest}"]
        )
        make_bundle([tmp_path / "m.tflite"], tmp_path / f"{version}.zip", samples=2)
        bundles[version] = unpack(tmp_path / f"{version}.zip", tmp_path / str(version))
    taken = on(pi3, bundles[newest], "verify")
    assert (taken.returncode, taken.stdout.splitlines()[-1]) == (0, "verified"), taken.stdout + taken.stderr
    refused = on(pi3, bundles[newest + 1], "verify")
    assert refused.returncode == 2
    assert refused.stderr.startswith(
        "bundle: m.tflite cannot be loaded in tflite-runtime 2.14.0: "
        f"Didn't find op for builtin opcode '{op}' version '{newest + 1}'."
    )


def test_a_32_bit_board_has_no_engine_for_onnx(pi3: Place, unpacked: Path) -> None:
    done = on(pi3, unpacked, "verify", "--model", "convnet.onnx")
    assert (done.returncode, done.stderr) == (
        2,
        "bundle: No engine for .onnx files is installed. Run: pip install onnxruntime\n",
    )


@pytest.fixture(scope="module")
def photo(colour_photos: Path) -> Path:
    return colour_photos / "red" / "0.png"
