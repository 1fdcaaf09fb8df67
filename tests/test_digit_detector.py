"""The detector that the demo of digits makes for itself."""

import json
import os
import sys
from pathlib import Path

import pytest
from command import edgekit
from scene_folder import coco_folder

from edgekit.data.base import Part
from edgekit.data.known import KNOWN, open_known
from edgekit.digit_detector import FILE, NAME, PRESET, NotMadeError, _edgekit, _settings_digest, digit_detector
from edgekit.errors import InputError, MissingExtraError
from edgekit.models.registry import find_spec


def test_what_was_made_before_is_taken(tmp_path: Path) -> None:
    made = tmp_path / "edgekit" / f"digits-{_settings_digest()}" / FILE
    made.parent.mkdir(parents=True)
    made.write_bytes(b"x")
    told: list[str] = []
    assert digit_detector(told.append, environment={"XDG_CACHE_HOME": str(tmp_path)}) == made
    assert told == []


@pytest.mark.parametrize("change", ["preset", "release"])
def test_what_other_settings_made_is_not_taken(change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tmp_path / "edgekit" / f"digits-{_settings_digest()}" / FILE
    made.parent.mkdir(parents=True)
    made.write_bytes(b"x")
    if change == "preset":
        monkeypatch.setattr("edgekit.digit_detector.PRESET", "book")
    else:
        (tmp_path / "edgekit_ml-99.dist-info").mkdir()
        (tmp_path / "edgekit_ml-99.dist-info/METADATA").write_text("Name: edgekit-ml\nVersion: 99\n")
        monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "sklearn", None)  # the making of another ends here
    with pytest.raises(MissingExtraError):
        digit_detector(pytest.fail, environment={"XDG_CACHE_HOME": str(tmp_path)})


def test_the_demo_shows_what_the_detector_finds(tmp_path: Path) -> None:
    """With a narrow detector in the place of the one that takes a quarter of an hour."""
    made = tmp_path / "edgekit" / f"digits-{_settings_digest()}" / FILE
    made.parent.mkdir(parents=True)
    scenes = coco_folder(tmp_path / "scenes", 12)
    done = edgekit(
        "train", NAME, "--alpha", "0.1", "--size", "64", "--data", scenes, "--epochs", "1", "--batch-size", "4", "-o",
        tmp_path / "run",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = edgekit("convert", tmp_path / "run", "-p", "fp32", "-f", "tflite", "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    (tmp_path / "run.fp32.tflite").rename(made)
    done = edgekit(
        "demo", "digits", "--source", scenes / "images", "--headless", "--score", "0.01", "--json", tmp_path / "d.json",
        env={"XDG_CACHE_HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    data = json.loads((tmp_path / "d.json").read_bytes())
    assert (data["command"], len(data["results"])) == ("demo digits", 12)
    found = [detection for result in data["results"] for detection in result["detections"]]
    assert found
    assert {detection["label"] for detection in found} <= set("0123456789")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--source", "none.png"),
            "There is no photo, folder or clip none.png; a number such as 0 names a camera, "
            "http:// or rtsp:// a stream.",
        ),
        (("--view", "none", "--port", "0"), "--host and --port are of the page of --view web; got --view none."),
        (("--save", "a.png"), "A clip is written as .mp4; got a.png: write --save a.mp4."),
        (("--save", "file/a.mp4"), "Cannot write to file: Not a directory; choose another folder with --save."),
        (("--engine", "litter"), "There is no engine 'litter'; did you mean litert?"),
        (("--engine", "keras"), f"{FILE} is a .tflite file, which keras cannot run; use "),
        (("--track",), "edgefirst is not installed. Run: pip install 'edgekit-ml[track]'"),
        (
            (),
            "There is no camera 0, or another program has it; give another number, or a photo, folder, clip or stream.",
        ),
        (("--view", "window", "--source", "file"), "There is no display for a window, or OpenCV was built without "),
        (("--save", "a.mp4", "--source", "file"), "Cannot write to file/edgekit/digits-"),
    ],
)
def test_what_cannot_be_shown_is_told_before_the_making(
    arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "edgefirst.py").touch()  # in the place of the tracker
    python = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    environment = {"XDG_CACHE_HOME": "file", "PYTHONPATH": python, "DISPLAY": "", "WAYLAND_DISPLAY": ""}
    done = edgekit("demo", "digits", *arguments, cwd=tmp_path, env=environment)
    assert (done.returncode, done.stderr.startswith(f"edgekit: {message}")) == (2, True), done.stderr
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == {"file", "edgefirst.py"}


def test_a_cache_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "edgekit").write_text("a file")
    with pytest.raises(InputError) as caught:
        digit_detector(lambda _: None, environment={"XDG_CACHE_HOME": str(tmp_path)})
    folder = tmp_path / "edgekit" / f"digits-{_settings_digest()}"
    assert str(caught.value) == f"Cannot write to {folder}: Not a directory; name another cache in XDG_CACHE_HOME."


def test_a_step_that_fails_ends_the_making(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(NotMadeError) as caught:
        _edgekit("train", "no_such_model", "-o", str(tmp_path / "run"))
    assert str(caught.value) == "The detector of digits could not be made: edgekit train failed, as told above."
    told = capfd.readouterr()
    assert told.err.startswith("edgekit: There is no model 'no_such_model' in the zoo; ")
    assert told.out == ""


@pytest.mark.parametrize("module", ["tensorflow", "keras", "sklearn", "pycocotools", "litert_quantizer"])
def test_what_the_making_needs_is_asked_for_before_it(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError) as caught:
        digit_detector(pytest.fail, environment={"XDG_CACHE_HOME": str(tmp_path)})
    assert str(caught.value) == f"{module} is not installed. Run: pip install 'edgekit-ml[convert]'"
    assert list(tmp_path.iterdir()) == []


def test_the_detector_learns_from_what_is_in_no_folder_and_on_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEKIT_DATA", raising=False)
    monkeypatch.setitem(sys.modules, "keras", None)  # which downloads
    scenes = open_known(KNOWN[str(find_spec(NAME).preset(PRESET).data)], part=Part.TRAIN, data_dir=None)
    assert (len(scenes.items), scenes.class_names) == (5000, tuple("0123456789"))
