"""How the command ends when it is stopped, or when the machine refuses: one sentence, and never a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit.cli import _Interrupt
from edgekit.errors import InputError, MissingExtraError

INTERRUPTED = "edgekit: interrupted; nothing unfinished was left behind.\n"


def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [sys.executable, "-m", "edgekit", *arguments], **{"stderr": subprocess.PIPE, "text": True, **options}
    )


def test_an_interruption_while_loading_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt\n")
    done = run("--help", env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert (done.returncode, done.stderr) == (130, INTERRUPTED)


def test_a_second_signal_does_not_break_off_the_cleaning_up() -> None:
    interrupt = _Interrupt()
    with pytest.raises(KeyboardInterrupt):
        interrupt(2, None)
    interrupt(2, None)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here, which is always full")
@pytest.mark.parametrize("arguments", [("--help",), ("zoo", "list"), ("zoo", "list", "--json", "-")], ids=" ".join)
def test_a_full_disk_is_one_sentence(arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = run(*arguments, stdout=full)
    assert (done.returncode, done.stderr) == (
        2,
        "edgekit: A file cannot be used: No space left on device; mend that and try again.\n",
    )


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a process to its size")
def test_an_array_larger_than_memory_is_one_sentence(tmp_path: Path, tiny_models: Path) -> None:
    import resource

    import numpy as np

    with (tmp_path / "x.npy").open("wb") as stream:
        header = {"descr": "<f4", "fortran_order": False, "shape": (1 << 20, 1 << 14)}
        np.lib.format.write_array_header_1_0(stream, header)
        stream.truncate((64 << 30) + 4096)  # a hole, which takes no room
    done = run(
        *("predict", str(tiny_models / "convnet.onnx"), str(tmp_path / "x.npy")),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30)),
    )
    assert done.returncode == 2
    assert done.stderr.startswith("edgekit: Not enough memory (Unable to allocate 64.0 GiB")
    assert done.stderr.endswith("); expected smaller inputs or models.\n")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("verb", ["inspect", "convert"])
def test_results_that_cannot_be_written_are_refused_before_the_work(
    verb: str, tmp_path: Path, tiny_models: Path
) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "mine.json").write_text("x")
    out = ("-p", "fp32", "-o", str(tmp_path / "out")) if verb == "convert" else ()
    done = run(verb, str(tiny_models / "convnet.onnx"), *out, "--json", str(tmp_path / "results"))
    assert (done.returncode, done.stderr) == (
        2,
        f"edgekit: {tmp_path / 'results'} is a folder; give the name of a file to write.\n",
    )
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["mine.json", "results"]


def test_a_name_that_no_file_can_have_is_one_sentence() -> None:
    name = "x" * 5000 + ".onnx"
    done = run("inspect", name)
    assert (done.returncode, done.stderr) == (
        2,
        f"edgekit: {name} cannot be used: File name too long; mend that and try again.\n",
    )


def test_the_slower_of_two_conversions_into_one_folder_replaces_nothing(
    tmp_path: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgekit.converters import Request, convert, manifest
    from edgekit.recipe import Precision, Recipe

    target, dump = tmp_path / "convnet.fp16.onnx", manifest.dump_manifest

    def overtaken(record: manifest.Manifest) -> bytes:
        target.write_bytes(b"of the faster one")
        return dump(record)

    monkeypatch.setattr(manifest, "dump_manifest", overtaken)
    recipes = (Recipe(precision=Precision.FP16),)
    with pytest.raises(InputError) as caught:
        convert(Request(source=tiny_models / "convnet.onnx", recipes=recipes, output_dir=tmp_path))
    assert str(caught.value) == f"{target} exists; use --force to replace it or -o to write elsewhere."
    assert [p.name for p in tmp_path.iterdir()] == [target.name]
    assert target.read_bytes() == b"of the faster one"


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("convnet.keras", "tensorflow"),
        ("convnet.keras", "tf2onnx"),
        ("convnet.tflite", "litert_quantizer"),
        ("convnet.onnx", "onnxruntime"),
    ],
)
def test_a_converter_that_is_missing_is_told_before_any_work(
    source: str, missing: str, tmp_path: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgekit.converters import Request, convert

    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtraError) as caught:
        convert(Request(source=tiny_models / source, calibration="no such data", output_dir=tmp_path / "out"))
    assert str(caught.value) == f"{missing} is not installed. Run: pip install 'edgekit-ml[convert]'"
    assert not (tmp_path / "out").exists()


def test_a_quickstart_asks_for_the_converters_before_it_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgekit.quickstart import quickstart

    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(MissingExtraError) as caught:
        quickstart(tmp_path / "first")
    assert str(caught.value) == "tf2onnx is not installed. Run: pip install 'edgekit-ml[convert]'"
    assert not (tmp_path / "first").exists()
