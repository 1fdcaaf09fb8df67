"""Files give the same answers on this CPU and on emulated ones, by the code that runs on a device.

`make aarch64` sets it up. What it compares can fail: each comparison has a file or a CPU that it must refuse.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters import Request, convert
from edgekit.errors import CheckFailedError, EdgekitError
from edgekit.measure.same import Sameness, same_answers
from edgekit.recipe import Precision, Recipe

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from aarch64.places import Place, UnavailableError, arm, here, old_x86, run
from aarch64.sysroot import FOLDER, build, built_for, describe_cpu

PLACES = {"cortex-a72": arm, "cortex-a76": arm, "nehalem": lambda _: old_x86()}


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Place:
    return available(request.param)


@pytest.fixture
def pi() -> Place:
    """The core of a Raspberry Pi 4."""
    return available("cortex-a72")


def available(name: str) -> Place:
    try:
        return PLACES[name](name)
    except UnavailableError as error:
        pytest.skip(str(error))


def compared(place: Place, model: Path, inputs: Mapping[str, Any]) -> Sameness:
    return same_answers(run(here(), model, inputs).outputs, run(place, model, inputs).outputs)


def images(count: int = 20) -> dict[str, Any]:
    return {"image": np.random.default_rng(0).uniform(0, 1, (count, 6, 4, 3)).astype(np.float32)}


def test_a_file_runs_here_and_tells_what_ran_it(tiny_models: Path) -> None:
    found = run(here(), tiny_models / "convnet_int8.tflite", images(2))
    assert {name: values.shape for name, values in found.outputs.items()} == {"scores": (2, 5)}
    assert (found.facts["engine"], found.facts["xnnpack"], found.facts["count"]) == ("litert", True, 2)


def test_a_file_that_cannot_be_run_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.tflite").write_bytes(b"nothing")
    with pytest.raises(CheckFailedError, match=r"^x\.tflite ended with code 1 on here: .*ArtifactError"):
        run(here(), tmp_path / "x.tflite", images(1))


def test_a_missing_sysroot_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aarch64.places.shutil.which", lambda name: f"/usr/bin/{name}")
    with pytest.raises(UnavailableError) as caught:
        arm("cortex-a72", tmp_path)
    assert str(caught.value) == "There is no aarch64 sysroot; run: make aarch64"


def test_a_missing_emulator_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aarch64.places.shutil.which", lambda _: None)
    with pytest.raises(UnavailableError) as caught:
        arm("cortex-a72")
    assert str(caught.value) == ("qemu-aarch64-static is not installed; it is in Debian's package qemu-user-static.")


def test_an_older_x86_needs_an_x86(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aarch64.places.platform.machine", lambda: "aarch64")
    with pytest.raises(UnavailableError) as caught:
        old_x86()
    assert str(caught.value) == "An older x86 is emulated on x86 only, where the same Python runs on both."


def test_a_sysroot_needs_debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aarch64.sysroot.shutil.which", lambda _: None)
    with pytest.raises(EdgekitError) as caught:
        build(tmp_path / "new")
    assert str(caught.value) == (
        "The aarch64 sysroot is made of Debian's packages, and apt or "
        "/usr/share/keyrings/debian-archive-keyring.gpg is missing here."
    )
    assert not (tmp_path / "new").exists()


def test_a_sysroot_that_cannot_be_fetched_is_told_and_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt = tmp_path / "apt-get"
    apt.write_text("#!/bin/sh\necho 'E: no server answers' >&2; exit 100\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr("aarch64.sysroot._KEYRING", apt)
    with pytest.raises(EdgekitError) as caught:
        build(tmp_path / "new")
    assert str(caught.value) == "The aarch64 sysroot cannot be made: apt-get says: E: no server answers"
    assert built_for(tmp_path / "new") is None
    assert [path.name for path in tmp_path.iterdir()] == ["apt-get"]  # what was there before would be there still


def test_a_sysroot_is_made_elsewhere_and_moved(tmp_path: Path) -> None:
    (tmp_path / "made/debian/usr").mkdir(parents=True)
    describe_cpu(tmp_path / "made", "cortex-a72", tmp_path / "made/cortex-a72")
    (tmp_path / "made").rename(tmp_path / "moved")
    assert (tmp_path / "moved/cortex-a72/usr").samefile(tmp_path / "moved/debian/usr")


def test_a_changed_weight_is_noticed(tiny_models: Path, tmp_path: Path) -> None:
    model = onnx.load(str(tiny_models / "convnet.onnx"))
    weight = next(t for t in model.graph.initializer if len(t.dims) == 4)
    values = numpy_helper.to_array(weight).copy()
    values.flat[0] += 0.01
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    onnx.save(model, str(tmp_path / "changed.onnx"))
    runs = [run(here(), path, images(4)) for path in (tiny_models / "convnet.onnx", tmp_path / "changed.onnx")]
    found = same_answers(runs[0].outputs, runs[1].outputs)
    assert (found.identical, found.differing) == (False, 4)


def noise(seed: int, count: int) -> Any:
    """Inputs for `every_operator`, faint ones and strong ones."""
    random = np.random.default_rng(seed)
    return (random.normal(0, 1, (count, 4, 6, 6)) * random.uniform(0, 2, (count, 1, 1, 1))).astype(np.float32)


@pytest.mark.slow
@pytest.mark.device
def test_int8_tflite_files_give_the_same_bits_everywhere(place: Place, tiny_models: Path) -> None:
    assert compared(place, tiny_models / "convnet_int8.tflite", images()).identical


@pytest.mark.slow
@pytest.mark.device
@pytest.mark.shared_data
def test_a_quantized_mobilenet_gives_the_same_bits_on_arm(pi: Place, shared_data: Path) -> None:
    photos = np.random.default_rng(0).integers(0, 256, (3, 128, 128, 3)).astype(np.uint8)
    model = shared_data / "models" / "mobilenet_v1_0.25_128_quant.tflite"
    found = compared(pi, model, {"input": photos})
    assert (found.identical, found.count) == (True, 3)


@pytest.mark.slow
@pytest.mark.device
def test_float_files_are_close_but_not_the_same_on_arm(pi: Place, tiny_models: Path) -> None:
    found = compared(pi, tiny_models / "convnet.onnx", images())
    assert not found.identical
    assert found.totals.sqnr_db > 100


@pytest.mark.slow
@pytest.mark.device
def test_kernels_other_than_xnnpack_are_not_compared(pi: Place, tiny_models: Path, tmp_path: Path) -> None:
    """Where the guest cannot list its CPUs, LiteRT leaves XNNPACK out and says nothing."""
    root = tmp_path / "root"
    describe_cpu(FOLDER, "cortex-a72", root, cores="none")
    command = tuple(word.replace(str(FOLDER.resolve() / "cortex-a72"), str(root)) for word in pi.command)
    blind = Place(name="blind", command=command, environment={})
    with pytest.raises(CheckFailedError) as caught:
        run(blind, tiny_models / "convnet_int8.tflite", images(1))
    assert str(caught.value) == (
        "XNNPACK did not run convnet_int8.tflite on blind, so that its answers are those of other kernels; "
        "look at /proc/cpuinfo and /sys/devices/system/cpu there."
    )


@pytest.mark.slow
@pytest.mark.device
def test_halves_go_to_different_sides_but_not_in_a_portable_file(pi: Place, tmp_path: Path) -> None:
    """Why there are portable files, and that the comparison sees it: two inputs of 0..1 whose sum is 0..2."""
    value = helper.make_tensor_value_info
    shape = (1, 16, 16)
    graph = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["c"])],
        "sum",
        [value(name, TensorProto.FLOAT, shape) for name in "ab"],
        [value("c", TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(tmp_path / "sum.onnx"))
    random = np.random.default_rng(0)
    inputs = {name: random.integers(0, 256, (20, 16, 16)).astype(np.float32) / 255 for name in "ab"}
    inputs["a"][0] = inputs["b"][0] = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    np.savez(tmp_path / "x.npz", **inputs)
    found = {}
    for portable in (False, True):
        recipe = Recipe(precision=Precision.INT8, steps=(), portable=portable, calibration_samples=20)
        request = Request(
            source=tmp_path / "sum.onnx",
            recipes=(recipe,),
            calibration=str(tmp_path / "x.npz"),
            output_dir=tmp_path / str(portable),
        )
        found[portable] = compared(pi, convert(request).artifacts[0].path, inputs)
    assert (found[False].identical, found[True].identical) == (False, True)


@pytest.mark.slow
@pytest.mark.device
def test_portable_onnx_files_give_the_same_bits_everywhere(place: Place, portable: Path) -> None:
    inputs = {"x": noise(3, 40)}
    answers = run(here(), portable, inputs).outputs
    assert len(np.unique(answers["y"])) > 20  # few different answers would prove little
    assert same_answers(answers, run(place, portable, inputs).outputs).identical


@pytest.fixture(scope="module")
def portable(every_operator: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A portable file of every kind of operator whose 8-bit form has scales to choose, tables or sums."""
    folder = tmp_path_factory.mktemp("portable")
    np.savez(folder / "x.npz", x=noise(1, 60))
    recipe = Recipe(precision=Precision.INT8, portable=True, calibration_samples=40)
    request = Request(source=every_operator, recipes=(recipe,), calibration=str(folder / "x.npz"), output_dir=folder)
    (row,) = convert(request).artifacts
    return row.path
