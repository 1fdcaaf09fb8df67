"""``edgekit demo classify`` on photos, folders and clips, without a window."""

import csv
import io
import json
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command import edgekit
from PIL import Image
from tiny_detector import detector

from edgekit.data.images import decode_image
from edgekit.demos.classify import Guesses, open_classifier
from edgekit.demos.detect import class_colour
from edgekit.demos.drawing import labelled, saving
from edgekit.demos.frames import Frame, find_source, frames
from edgekit.demos.run import DemoReport
from edgekit.demos.seen import Seen
from edgekit.errors import DataError, InputError
from edgekit.measure.predict import Guess

COLOURS = {"red": (220, 30, 30), "green": (30, 220, 30), "blue": (30, 30, 220)}


@pytest.fixture(scope="module")
def model(colour_model: Callable[..., Path]) -> Path:
    return colour_model()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for name, colour in COLOURS.items():
        Image.new("RGB", (40, 30), colour).save(folder / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds at ten frames a second: red, then green, then blue."""
    import cv2

    path = tmp_path_factory.mktemp("clip") / "colours.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for colour in COLOURS.values():
        for _ in range(10):
            writer.write(np.full((48, 64, 3), colour[::-1], np.uint8))
    writer.release()
    return path


def test_a_photo_is_named_with_probabilities(model: Path, photos: Path, tmp_path: Path) -> None:
    saved = tmp_path / "seen.png"
    done = edgekit(
        "demo", "classify", model, "--source", photos / "green.png", "--top", "2", "--save", saved, "--json", "-"
    )
    assert (done.returncode, done.stderr) == (0, "")
    (row,) = json.loads(done.stdout)["results"]
    assert [guess["label"] for guess in row["top"]] == ["green", "red"]
    assert 0.99 < row["top"][0]["probability"] <= 1
    assert row["input"] == str(photos / "green.png")
    pixels = np.asarray(Image.open(saved))
    assert pixels.shape == (30, 40, 3)
    assert (pixels != COLOURS["green"]).any()
    again = edgekit("demo", "classify", model, "--source", photos / "green.png", "--save", saved)
    assert (again.returncode, again.stderr) == (
        2,
        f"edgekit: {saved} exists; use --force to replace it or --save to write elsewhere.\n",
    )


def test_a_folder_is_gone_through(model: Path, photos: Path, tmp_path: Path) -> None:
    done = edgekit("demo", "classify", model, "--source", photos, "--top", "1", "--save", tmp_path / "seen")
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(p.name for p in (tmp_path / "seen").iterdir()) == ["blue.png", "green.png", "red.png"]
    assert "3 photos" in " ".join(done.stdout.split())
    done = edgekit("demo", "classify", model, "--source", photos, "--top", "1", "--json", "-")
    rows = json.loads(done.stdout)["results"]
    assert [(Path(r["input"]).stem, r["top"][0]["label"]) for r in rows] == [(n, n) for n in sorted(COLOURS)]


def test_saved_photos_take_the_place_of_their_like_alone(model: Path, photos: Path, tmp_path: Path) -> None:
    shown, target = tmp_path / "shown", tmp_path / "kept"
    shutil.copytree(photos, shown)
    target.mkdir()
    (target / "diary.txt").write_text("mine")
    (target / "red.png").write_bytes(b"old")
    command = ("demo", "classify", model, "--source", shown, "--top", "1", "--save")
    refused = edgekit(*command, target)
    assert refused.stderr == f"edgekit: {target} exists; use --force to replace it or --save to write elsewhere.\n"
    done = edgekit(*command, target, "--force")
    assert (done.returncode, done.stderr) == (0, "")
    assert {p.name for p in target.iterdir()} == {"diary.txt", "red.png", "green.png", "blue.png"}
    assert decode_image(target / "red.png", name="red").shape == (30, 40, 3)
    before = {p.name: p.read_bytes() for p in shown.iterdir()}
    for again in (shown, shown / ".." / "shown", "."):
        done = edgekit(*command, again, "--force", cwd=shown)
        assert (done.returncode, done.stderr) == (
            2, f"edgekit: {again} is what is shown; choose another place with --save.\n",
        )  # fmt: skip
    assert {p.name: p.read_bytes() for p in shown.iterdir()} == before


def test_photos_of_one_name_are_saved_apart(tmp_path: Path) -> None:
    photos = tuple(tmp_path / name for name in ("a.bmp", "a.bmp.png", "b.JPG", "c.webp"))
    for photo in photos:
        Image.new("RGB", (4, 4)).save(photo, format="PNG")
    source = find_source(str(tmp_path))
    with saving(tmp_path / "out", source, force=False) as save:
        for frame in frames(source):
            seen = Seen(frame=frame, answer=Guesses(top=()), latency_ms=1.0, image_hw=(4, 4))
            save(np.full((4, 4, 3), 7, np.uint8), seen)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"a.bmp.png", "a.bmp.png.png", "b.JPG", "c.webp.png"}


def test_bars_are_as_long_as_the_classes_are_probable() -> None:
    pixels = np.zeros((120, 200, 3), np.uint8)
    top = tuple(Guess(class_id=i, label=n, probability=p) for i, (n, p) in enumerate((("one", 0.75), ("two", 0.25))))
    frame = Frame(name="x", pixels=pixels)
    drawn, blank = (
        labelled(Seen(frame=frame, answer=Guesses(top=guesses), latency_ms=1.0, image_hw=(120, 200)))
        for guesses in (top, tuple(replace(g, label=" ") for g in top))
    )
    blue = (drawn[..., 2] > 100) & (drawn[..., 0] < 100)
    rows = [blue[row].sum() for row in (5, 4 + max(11, 120 // 24) + 6 + 1)]
    assert rows == pytest.approx([75, 25], abs=3)
    letters = [int((picture[:40, :, 0] > 150).sum()) for picture in (drawn, blank)]
    assert letters[0] > letters[1] + 20


def test_the_table_tells_the_percentiles(model: Path) -> None:
    look = open_classifier(model, preprocess=None, labels=None, threads=1, engine=None, top=1)
    report = DemoReport(
        look=look, moving=True, seen=(), counts=Counter(red=3, blue=1), latencies_ms=(1.0, 2.0, 3.0, 44.0, 5.0)
    )
    title, _, rows = report.table()
    assert "5 frames, p50 3.0 ms, p90 28.4 ms with preprocessing" in title
    assert rows == [["red", "60.0%"], ["blue", "20.0%"]]


def test_a_clip_is_told_second_by_second(model: Path, clip: Path, tmp_path: Path) -> None:
    saved = tmp_path / "seen.mp4"
    done = edgekit("demo", "classify", model, "--source", clip, "--top", "1", "--save", saved)
    assert done.returncode == 0, done.stderr
    told = [line.split() for line in done.stderr.splitlines()]
    assert [(words[0], words[2]) for words in told] == [("0.0", "red"), ("1.0", "green"), ("2.0", "blue")]
    assert "30 frames" in " ".join(done.stdout.split())
    assert done.stdout.count("33.3%") == 3
    kept = list(frames(find_source(str(saved))))
    assert len(kept) == 30
    assert kept[0].pixels.shape == (48, 64, 3)
    assert np.abs(kept[0].pixels[-8:].mean(axis=(0, 1)) - COLOURS["red"]).max() < 20
    first = edgekit("demo", "classify", model, "--source", clip, "--frames", "3", "--json", "-")
    assert len(json.loads(first.stdout)["results"]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--source", "{tmp}/none.png"),
            "There is no photo, folder or clip {tmp}/none.png; a number such as 0 names a camera.",
        ),
        (
            ("--source", "{tmp}"),
            "{tmp} holds no images; expected files that end in .jpg, .jpeg, .png, .bmp, .webp, .ppm, .pgm.",
        ),
        (("--source", "²"), "There is no photo, folder or clip ²; a number such as 0 names a camera."),
        (
            ("--source", "99999999999"),
            "There is no photo, folder or clip 99999999999; a number such as 0 names a camera.",
        ),
        (
            ("--source", "{photo}", "--save", "{photo}", "--force"),
            "{photo} is what is shown; choose another place with --save.",
        ),
        (("--source", "99"), "There is no camera 99; give another number, or a photo, folder or clip."),
        (
            ("--source", "{tmp}/x.mp4"),
            "{tmp}/x.mp4 cannot be decoded as a clip; expected one that ends in .mp4, .avi, .mov, .mkv, .webm, .m4v.",
        ),
        (
            ("--source", "{clip}", "--save", "{tmp}/a.png"),
            "A clip is written as .mp4; got {tmp}/a.png: write --save {tmp}/a.mp4.",
        ),
        (
            ("--source", "{photo}", "--save", "{tmp}/a.mp4"),
            "A photo is written as .png or .jpg; got {tmp}/a.mp4: write --save {tmp}/a.png.",
        ),
        (
            ("--source", "{photo}", "--view", "window"),
            "There is no display for a window, or OpenCV was built without windows; use --view none.",
        ),
    ],
)
def test_wrong_usage_is_one_sentence(
    arguments: tuple[str, ...], message: str, model: Path, photos: Path, clip: Path, tmp_path: Path
) -> None:
    if "{tmp}/x.mp4" in arguments:
        (tmp_path / "x.mp4").write_bytes(b"no clip at all")
    names = {"tmp": tmp_path, "clip": clip, "photo": photos / "red.png"}
    done = edgekit("demo", "classify", model, *(a.format(**names) for a in arguments))
    assert (done.returncode, done.stderr) == (2, f"edgekit: {message.format(**names)}\n")
    assert {p.name for p in tmp_path.iterdir()} <= {"x.mp4"}


def test_what_is_no_classifier_of_images_is_refused(colour_model: Callable[..., Path], photos: Path) -> None:
    silent, single = colour_model(card=None), colour_model(np.ones((3, 1)), labels=None)
    for file, message in (
        (silent, f"Nothing says how images become the input of {silent}: say it with --preprocess."),
        (single, f"{single} is no classifier; expected one output with a score for each class."),
    ):
        done = edgekit("demo", "classify", file, "--source", photos / "red.png")
        assert (done.returncode, done.stderr) == (2, f"edgekit: {message}\n")


def test_photos_that_differ_in_their_ending_only_are_all_kept(model: Path, tmp_path: Path) -> None:
    for name in ("a.png", "a.bmp", "a.jpg"):
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.new("RGB", (40, 30), COLOURS["red"]).save(tmp_path / "in" / name)
    done = edgekit("demo", "classify", model, "--source", tmp_path / "in", "--save", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.bmp.png", "a.jpg", "a.png"]


def test_frames_of_a_clip_are_rgb_and_timed(clip: Path) -> None:
    found = list(frames(find_source(str(clip))))
    assert len(found) == 30
    assert [f.time_s for f in found[:3]] == pytest.approx([0, 0.1, 0.2], abs=0.01)
    assert found[0].pixels[20, 20, 0] > 180 > found[0].pixels[20, 20, 2]


def test_what_is_no_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        find_source(str(tmp_path / "nothing"))
    (tmp_path / "broken.mp4").write_bytes(b"\0" * 100)
    with pytest.raises(DataError):
        list(frames(find_source(str(tmp_path / "broken.mp4"))))


def test_a_foreign_classifier_knows_photos(shared_data: Path, tmp_path: Path) -> None:
    """Google's quantized MobileNetV1, which has no card, with ImageNet's names."""
    with zipfile.ZipFile(shared_data / "imagenet_mini/imagenet_mini.zip") as archive:
        rows = list(csv.DictReader(io.TextIOWrapper(archive.open("labels.csv"))))[:30]
        for row in rows:
            (tmp_path / Path(row["file"]).name).write_bytes(archive.read(row["file"]))
    done = edgekit(
        "demo", "classify", shared_data / "models/mobilenet_v1_0.5_160_quant.tflite", "--source", tmp_path,
        "--preprocess", "tf", "--labels", shared_data / "models/labels_imagenet_1001.txt", "--json", "-",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    found = {Path(r["input"]).name: r["top"] for r in json.loads(done.stdout)["results"]}
    best = [int(row["class_id"]) + 1 in [g["class_id"] for g in found[Path(row["file"]).name]] for row in rows]
    assert sum(best) >= 24  # published: 82 % among the best five
    assert all(0 <= g["probability"] <= 1 for top in found.values() for g in top)
    assert sum(top[0]["probability"] > 0.5 for top in found.values()) >= 10


@pytest.fixture(scope="module")
def finder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finds one object in the middle half of every picture, the brighter the more sure that it is a bright one."""
    return detector(tmp_path_factory.mktemp("finder") / "finder.onnx", name="finder")


def test_objects_are_told_and_drawn_in_the_colour_of_their_class(finder: Path, tmp_path: Path) -> None:
    Image.new("L", (400, 200), 200).save(tmp_path / "x.png")
    saved = tmp_path / "seen.png"
    done = edgekit("demo", "detect", finder, "--source", tmp_path / "x.png", "--save", saved, "--json", "-")
    assert (done.returncode, done.stderr) == (0, "")
    (row,) = json.loads(done.stdout)["results"]
    (found,) = row["detections"]
    assert (found["label"], found["box"]) == ("bright", pytest.approx([0.25, 0.25, 0.75, 0.75]))
    assert found["score"] == pytest.approx(200 / 255, abs=0.01)
    pixels = decode_image(saved, name="seen")
    own = (pixels == class_colour(1)).all(axis=-1)
    rows, columns = np.nonzero(own[60:])  # below the label
    assert (columns.min(), columns.max(), rows.max() + 60) == pytest.approx((100, 300, 150), abs=1)
    assert own[35:50, 100:130].any()  # the label, above the box
    assert class_colour(1) != class_colour(0)
    assert len({class_colour(i) for i in range(90)}) == 90


def test_frames_with_an_object_are_counted_and_the_threshold_can_be_raised(finder: Path, clip: Path) -> None:
    done = edgekit("demo", "detect", finder, "--source", clip)
    assert done.returncode == 0, done.stderr
    assert [line.split()[2] for line in done.stderr.splitlines()] == ["dark", "dark", "dark"]
    assert "100.0%" in done.stdout
    strict = edgekit("demo", "detect", finder, "--source", clip, "--score", "0.99")
    assert [line.split()[2] for line in strict.stderr.splitlines()] == ["nothing"] * 3
    assert "%" not in strict.stdout.splitlines()[-1]


def test_what_is_no_detector_is_refused(model: Path, photos: Path) -> None:
    done = edgekit("demo", "detect", model, "--source", photos)
    assert done.returncode == 2
    assert done.stderr.startswith(
        f"edgekit: Nothing says what the outputs of {model} mean: name them with --decoder, one of ssd-postprocess, "
    )
