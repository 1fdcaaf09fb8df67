"""Broken bundles and wrong usage on the device end in one sentence."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bundles import change_manifest, run, seal, unpack

from edgekit.bundle import make_bundle
from edgekit.bundle.runner.answers import image_input
from edgekit.bundle.runner.contents import Contents
from edgekit.bundle.runner.engines import load
from edgekit.errors import ArtifactError, InputError

AGAIN = "copy and unpack the whole bundle again."


def test_a_truncated_zip_never_starts(bundle: Path, tmp_path: Path) -> None:
    """Without its end a zip is no zip to Python, which takes it for a script."""
    path = tmp_path / "cut.zip"
    path.write_bytes(bundle.read_bytes()[:-1000])
    done = run(path, "verify")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("SyntaxError: ")


def test_a_zip_that_somebody_compressed_is_refused(unpacked_bundle: Path, tmp_path: Path) -> None:
    """It could fill the memory, and is not the one that was made."""
    path = Path(shutil.make_archive(str(tmp_path / "again"), "zip", unpacked_bundle.parent))
    done = run(path, "verify")
    assert (done.returncode, done.stderr) == (
        2,
        "bundle: SHA256SUMS is compressed, as in no bundle of edgekit's; use its zip, or unpack this one.\n",
    )


def test_places_without_a_bundle_are_told(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError) as caught:
        Contents(str(tmp_path / "bundle"))
    assert str(caught.value) == f"There is no bundle at {tmp_path / 'bundle'}; check the path."
    (tmp_path / "x.zip").write_bytes(b"PK nothing")
    with pytest.raises(ArtifactError) as caught:
        Contents(str(tmp_path / "x.zip" / "bundle"))
    assert str(caught.value) == f"{tmp_path / 'x.zip'} is no whole zip: File is not a zip file; copy it again."


@pytest.mark.parametrize("name", ["convnet_int8.tflite", "convnet.onnx"])
def test_an_input_that_does_not_fit_is_one_sentence(name: str, unpacked_bundle: Path) -> None:
    contents = Contents(str(unpacked_bundle))
    (entry,) = contents.chosen((name,))
    loaded = load(entry, contents.read(entry.file))
    with pytest.raises(ArtifactError, match=rf"^{re.escape(name)} failed in \S+ \S+: .+\.$"):
        loaded.run([np.zeros((1, 3), entry.card.inputs[0].dtype)])


def test_a_model_without_preprocessing_takes_no_images(tiny_models: Path, odd_photo: Path, tmp_path: Path) -> None:
    make_bundle([tiny_models / "two_inputs.onnx"], tmp_path / "b.zip", samples=1)
    contents = Contents(str(unpack(tmp_path / "b.zip", tmp_path)))
    with pytest.raises(InputError) as caught:
        image_input(contents.manifest.entries[0])
    assert str(caught.value) == "two_inputs.onnx takes no images; choose another model with --model."


def test_a_zip_that_is_damaged_inside_is_refused(bundle: Path, tmp_path: Path) -> None:
    data = bytearray(bundle.read_bytes())
    data[data.index(b"TFL3") + 500] ^= 1
    path = tmp_path / "damaged.zip"
    path.write_bytes(bytes(data))
    done = run(path, "verify")
    assert (done.returncode, done.stderr) == (
        2,
        f"bundle: models/convnet_int8.tflite is missing from the bundle, or cannot be read; {AGAIN}\n",
    )


def _escape(folder: Path) -> None:
    sums = folder / "SHA256SUMS"
    sums.write_text(sums.read_text() + "0" * 64 + "  ../../etc/passwd\n")


def _absolute(folder: Path) -> None:
    sums = folder / "SHA256SUMS"
    sums.write_text("0" * 64 + "  /etc/passwd\n" + sums.read_text())


def _link(folder: Path) -> None:
    (folder.parent / "other").write_bytes((folder / "README.txt").read_bytes())
    (folder / "README.txt").unlink()
    os.symlink(folder.parent / "other", folder / "README.txt")


def _garbled(folder: Path) -> None:
    (folder / "SHA256SUMS").write_text("no checksum\n")


def _missing(folder: Path) -> None:
    (folder / "models" / "convnet.onnx").unlink()


def _unlisted(folder: Path) -> None:
    sums = folder / "SHA256SUMS"
    sums.write_text("".join(line for line in sums.read_text().splitlines(keepends=True) if "manifest" not in line))


def _no_json(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")
    seal(folder)


def _newer(folder: Path) -> None:
    change_manifest(folder, lambda data: data.__setitem__("schema_version", 2))


def _format(folder: Path) -> None:
    change_manifest(folder, lambda data: data["entries"][0].__setitem__("format", "exe"))


def _unknown_key(folder: Path) -> None:
    change_manifest(folder, lambda data: data.__setitem__("licence", "x"))


def _no_array(folder: Path) -> None:
    (folder / "golden" / "convnet_int8.tflite" / "input_0.npy").write_bytes(b"nothing")
    seal(folder)


def _no_model(folder: Path) -> None:
    (folder / "models" / "convnet_int8.tflite").write_bytes(b"nothing")
    seal(folder)


def _no_onnx(folder: Path) -> None:
    (folder / "models" / "convnet.onnx").write_bytes(b"nothing")
    change_manifest(folder, lambda data: data["entries"].reverse())


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (_escape, r"SHA256SUMS names '\.\./\.\./etc/passwd', which is outside the bundle; use one that edgekit made\."),
        (_absolute, r"SHA256SUMS names '/etc/passwd', which is outside the bundle; use one that edgekit made\."),
        (_link, rf"README\.txt is a link that leaves the bundle; {AGAIN}"),
        (_garbled, rf"Line 1 of SHA256SUMS is no checksum with a name; {AGAIN}"),
        (_missing, rf"models/convnet\.onnx is missing from the bundle, or cannot be read; {AGAIN}"),
        (_unlisted, rf"manifest\.json has no line in SHA256SUMS; {AGAIN}"),
        (_no_json, r"manifest\.json is not JSON: .+\."),
        (_newer, r"The bundle has schema version 2; its runner reads 1: make it anew\."),
        (_format, r"models/convnet_int8\.tflite is said to be exe; expected tflite or onnx\."),
        (_unknown_key, r"manifest\.json has an unknown key 'licence'; known keys: .+\."),
        (_no_array, r"golden/convnet_int8\.tflite/input_0\.npy holds no array: .+; make the bundle anew\."),
        (_no_model, r"convnet_int8\.tflite cannot be loaded in litert \S+: .+\."),
        (_no_onnx, r"convnet\.onnx cannot be loaded in onnxruntime \S+: .+\."),
    ],
)
def test_a_broken_bundle_is_one_sentence(damage: Callable[[Path], None], sentence: str, unpacked_bundle: Path) -> None:
    damage(unpacked_bundle)
    done = run(unpacked_bundle, "verify")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert re.fullmatch(f"bundle: {sentence}\n", done.stderr)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("verify", "--model", "convnt.onnx"), "The bundle holds no model 'convnt.onnx'; did you mean convnet.onnx?"),
        (("detect", "x.png"), "The bundle holds no detector; use predict."),
        (("detect", "x.png", "--model", "convnet.onnx"),
         "convnet.onnx is no detector; use predict, or choose another model with --model."),
        (("predict", "nowhere.png"), "There is no file nowhere.png; check the path."),
        (("bench", "--json", "/nowhere/x.json", "--runs", "1", "--min-secs", "0"),
         "/nowhere/x.json cannot be used: No such file or directory; try another place."),
    ],
)  # fmt: skip
def test_wrong_usage_on_the_device_is_one_sentence(arguments: tuple[str, ...], sentence: str, bundle: Path) -> None:
    done = run(bundle, *arguments)
    assert (done.returncode, done.stderr) == (2, f"bundle: {sentence}\n")


def test_a_detector_does_not_predict(detector_bundle: Path, odd_photo: Path) -> None:
    assert run(detector_bundle, "predict", odd_photo).stderr == (
        "bundle: The bundle holds no classifier of images; see its manifest.json.\n"
    )
    done = run(detector_bundle, "predict", odd_photo, "--model", "d.onnx")
    assert (done.returncode, done.stderr) == (
        2,
        "bundle: d.onnx is no classifier of an image alone; use detect, or choose another model.\n",
    )


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--runs", "0", "expected 1 or more; got 0"),
        ("--threads", "9" * 20, f"expected 1024 at most; got {'9' * 20}"),
        ("--min-secs", "nan", "expected 0 or more seconds, a finite number; got nan"),
        ("--min-secs", "inf", "expected 0 or more seconds, a finite number; got inf"),
        ("--min-secs", "-1", "expected 0 or more seconds, a finite number; got -1"),
    ],
)
def test_numbers_that_cannot_be_are_one_sentence(option: str, value: str, told: str, bundle: Path) -> None:
    done = run(bundle, "bench", f"{option}={value}")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        2,
        f"bundle bench: error: argument {option}: {told}",
    )
