"""Which wheels fit a device, and which are missing."""

import dataclasses
import sys
from pathlib import Path

import pytest
from wheelhouses import PI, PI_32, wheel

from edgekit.devices.look import Look
from edgekit.devices.provision import requirements
from edgekit.devices.wheels import collect, platforms
from edgekit.errors import InputError, MissingExtraError


def test_wheels_fit_the_devices_library_and_cpu() -> None:
    assert platforms(PI)[:2] == ["manylinux_2_36_aarch64", "manylinux_2_35_aarch64"]
    assert platforms(PI)[-3:] == ["manylinux_2_17_aarch64", "manylinux2014_aarch64", "linux_aarch64"]
    assert platforms(PI_32)[0] == "manylinux_2_36_armv7l"
    desk = dataclasses.replace(PI, machine="x86_64", glibc="2.11")
    assert platforms(desk)[0::6] == ["manylinux_2_11_x86_64", "manylinux_2_5_x86_64"]
    assert platforms(desk)[-3:] == ["manylinux_2_5_x86_64", "manylinux1_x86_64", "linux_x86_64"]
    desk = dataclasses.replace(desk, glibc="2.17")
    assert platforms(desk)[-4:] == [
        f"{name}_x86_64" for name in ("manylinux2014", "manylinux2010", "manylinux1", "linux")
    ]


def test_a_32_bit_python_on_a_64_bit_kernel_counts() -> None:
    mixed = dataclasses.replace(PI_32, machine="aarch64")
    assert platforms(mixed)[0] == "manylinux_2_36_armv7l"
    assert requirements("x", mixed, ()) == ("tflite-runtime==2.14.0",)


@pytest.mark.parametrize(
    "change", [{"glibc": None}, {"system": "Darwin"}, {"machine": "riscv64"}, {"glibc": "3.0"}, {"glibc": "2.3000"}]
)
def test_a_machine_without_wheels_is_one_sentence(change: dict[str, str | None]) -> None:
    look = dataclasses.replace(PI, **change)  # type: ignore[arg-type]
    with pytest.raises(InputError) as caught:
        platforms(look)
    assert str(caught.value) == (
        f"Which wheels run on {look.system} for {look.machine} is not known; expected Linux with glibc on one of "
        "x86_64, aarch64, armv7l: install numpy and an engine there by hand."
    )


@pytest.mark.parametrize(
    ("look", "engines", "wanted"),
    [
        (PI, (), ("ai-edge-litert", "numpy", "onnxruntime")),
        (PI, ("onnxruntime",), ("numpy", "onnxruntime")),
        (PI, ("onnxruntime", "tflite-runtime"), ("numpy<2", "onnxruntime", "tflite-runtime==2.14.0")),
        (PI_32, (), ("tflite-runtime==2.14.0",)),
    ],
)
def test_what_is_installed_by_engine(look: Look, engines: tuple[str, ...], wanted: tuple[str, ...]) -> None:
    assert requirements("pi", look, engines) == wanted


@pytest.mark.parametrize(
    ("look", "engines", "sentence"),
    [
        (
            PI,
            ("tensorflow",),
            "There is no engine 'tensorflow' for devices; choose one of: litert, onnxruntime, tflite-runtime.",
        ),
        (
            PI_32,
            ("onnxruntime",),
            "There is no onnxruntime for 32-bit ARM, which pi is; leave out --engine onnxruntime.",
        ),
        (
            dataclasses.replace(PI, python="3.13.5"),
            ("tflite-runtime",),
            "tflite-runtime is there for Python 3.9 and 3.11 only, and pi has 3.13.5; leave out "
            "--engine tflite-runtime.",
        ),
        (
            dataclasses.replace(PI, python="3.10.12"),
            ("tflite-runtime",),
            "tflite-runtime is there for Python 3.9 and 3.11 only, and pi has 3.10.12; leave out "
            "--engine tflite-runtime.",
        ),
        (
            dataclasses.replace(PI_32, python="3.13.5"),
            (),
            "tflite-runtime is there for Python 3.9 and 3.11 only, and pi has 3.13.5; install one of these there.",
        ),
        (
            dataclasses.replace(PI_32, packages={}),
            (),
            "pi has no numpy, which has no wheels for 32-bit ARM; install Debian's there: "
            "sudo apt install python3-numpy",
        ),
        (
            dataclasses.replace(PI, python="3.8.10"),
            (),
            "pi has Python 3.8.10; expected 3.9 or newer: install one there, and name it: "
            "edgekit device add NAME URI --python PATH",
        ),
    ],
)
def test_what_cannot_be_installed_is_one_sentence(look: Look, engines: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        requirements("pi", look, engines)
    assert str(caught.value) == sentence


def test_only_what_fits_is_taken_from_a_wheelhouse(wheelhouse: Path, tmp_path: Path) -> None:
    wheel(wheelhouse, "unasked")
    found = collect(("onnxruntime",), PI, tmp_path / "taken", source=wheelhouse)
    assert [path.name for path in found] == ["numpy-1.0-py3-none-any.whl", "onnxruntime-1.0-py3-none-any.whl"]


def test_32_bit_arm_takes_its_engine_alone(wheelhouse: Path, tmp_path: Path) -> None:
    """numpy is not on the way: there is no wheel of it."""
    wheel(wheelhouse, "tflite-runtime", "2.14.0", tag="cp311-cp311-manylinux_2_34_armv7l", needs="numpy>=1.25")
    (wheelhouse / "numpy-1.0-py3-none-any.whl").unlink()
    found = collect(requirements("x", PI_32, ()), PI_32, tmp_path / "taken", source=wheelhouse)
    assert [path.name for path in found] == ["tflite_runtime-2.14.0-cp311-cp311-manylinux_2_34_armv7l.whl"]


def test_wheels_that_are_missing_are_named(wheelhouse: Path, tmp_path: Path) -> None:
    (wheelhouse / "numpy-1.0-py3-none-any.whl").unlink()
    with pytest.raises(InputError) as caught:
        collect(("onnxruntime",), PI, tmp_path / "taken", source=wheelhouse)
    assert str(caught.value) == (
        f"There are no wheels in {wheelhouse} for Python 3.11 on manylinux_2_36_aarch64: No matching distribution "
        "found for numpy; see what is missing, or choose other engines with --engine."
    )


def test_a_wheelhouse_that_is_no_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        collect(("numpy",), PI, tmp_path, source=tmp_path / "no")
    assert str(caught.value) == f"{tmp_path}/no is no folder of wheels; give one with --wheelhouse, or use --offline."


def test_a_desk_without_pip_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pip", None)
    with pytest.raises(MissingExtraError) as caught:
        collect(("numpy",), PI, tmp_path, source=None)
    assert str(caught.value) == "pip is not installed here, which collects the wheels. Run: python3 -m ensurepip"
