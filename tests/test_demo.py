"""``edgekit demo`` on photos, folders and clips, without anybody who looks."""

import csv
import io
import json
import shutil
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command import edgekit
from PIL import Image

from edgekit.data.images import decode_image
from edgekit.demos.canvas import class_colour
from edgekit.demos.captures import Clip
from edgekit.demos.frames import Frame, Source
from edgekit.demos.saving import saving
from edgekit.demos.sources import find_source
from edgekit.demos.streams import Stream
from edgekit.errors import InputError

COLOURS = {"red": (220, 30, 30), "green": (30, 220, 30), "blue": (30, 30, 220)}


def frames(source: Source) -> list[Frame]:
    """What ``source`` gives, all of which can be read."""
    found = list(source.frames(threading.Event(), pytest.fail))
    assert all(isinstance(frame, Frame) for frame in found)
    return [frame for frame in found if isinstance(frame, Frame)]


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
    assert (done.returncode, done.stderr) == (0, f"Wrote {saved}: 1 photo, {saved.stat().st_size:,} bytes.\n")
    (row,) = json.loads(done.stdout)["results"]
    assert [guess["label"] for guess in row["top"]] == ["green", "red"]
    assert 0.99 < row["top"][0]["probability"] <= 1
    assert row["input"] == str(photos / "green.png")
    plain = edgekit("demo", "classify", model, "--source", photos / "green.png")
    assert ": 1 photo " in " ".join(plain.stdout.split()) + " "
    pixels = decode_image(saved, name="seen")
    assert pixels.shape == (240, 320, 3)  # large enough for letters
    assert (pixels != COLOURS["green"]).any()
    assert (pixels[120:] == COLOURS["green"]).all()
    again = edgekit("demo", "classify", model, "--source", photos / "green.png", "--save", saved)
    assert (again.returncode, again.stderr) == (
        2,
        f"edgekit: {saved} exists; use --force to replace it or --save to write elsewhere.\n",
    )


def test_a_folder_is_gone_through(model: Path, photos: Path, tmp_path: Path) -> None:
    done = edgekit("demo", "classify", model, "--source", photos, "--top", "1", "--save", tmp_path / "seen")
    kept = sorted((tmp_path / "seen").iterdir())
    told = f"Wrote {tmp_path / 'seen'}: 3 photos, {sum(path.stat().st_size for path in kept):,} bytes.\n"
    assert (done.returncode, done.stderr) == (0, told)
    assert [path.name for path in kept] == ["blue.png", "green.png", "red.png"]
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
    size = sum((target / f"{name}.png").stat().st_size for name in COLOURS)  # the diary is none of them
    assert (done.returncode, done.stderr) == (0, f"Wrote {target}: 3 photos, {size:,} bytes.\n")
    assert {p.name for p in target.iterdir()} == {"diary.txt", "red.png", "green.png", "blue.png"}
    assert decode_image(target / "red.png", name="red").shape == (240, 320, 3)
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
    with saving(tmp_path / "out", source, force=False, tell=print) as save:
        for frame in frames(source):
            save(np.full((4, 4, 3), 7, np.uint8), frame)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"a.bmp.png", "a.bmp.png.png", "b.JPG", "c.webp.png"}


def test_a_clip_is_told_second_by_second(model: Path, clip: Path, tmp_path: Path) -> None:
    saved = tmp_path / "seen.mp4"
    done = edgekit("demo", "classify", model, "--source", clip, "--top", "1", "--save", saved)
    assert done.returncode == 0, done.stderr
    *lines, last = done.stderr.splitlines()
    assert last == f"Wrote {saved}: 30 frames, {saved.stat().st_size:,} bytes."
    told = [line.split() for line in lines]
    assert [(words[0], words[2]) for words in told] == [("0.0", "red"), ("1.0", "green"), ("2.0", "blue")]
    assert "30 frames" in " ".join(done.stdout.split())
    assert done.stdout.count("33.3%") == 3
    kept = frames(find_source(str(saved)))
    assert len(kept) == 30
    assert kept[0].pixels.shape == (240, 320, 3)
    assert np.abs(kept[0].pixels[100:200].mean(axis=(0, 1)) - COLOURS["red"]).max() < 20


def test_a_clip_is_summed_up(model: Path, clip: Path) -> None:
    done = edgekit("demo", "classify", model, "--source", clip, "--max-frames", "13", "--headless", "--json", "-")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["schema_version"], told["command"]) == (1, "demo classify")
    assert told["host"]["cores"] >= 1
    assert [row["time_s"] for row in told["results"]] == [0.0, 1.0]
    assert set(told["results"][0]["split_ms"]) == {"capture", "pre", "infer", "decode"}
    summary = told["summary"]
    assert (summary["source"], summary["frames"], summary["dropped"]) == (str(clip), 13, 0)
    assert summary["counts"] == {"red": 10, "green": 3}
    assert (summary["trouble"], summary["interrupted"], summary["unreadable"]) == (None, False, [])
    assert summary["fps"] == pytest.approx(12 / summary["seconds"])
    assert set(summary["latency_ms"]) == {"capture", "pre", "infer", "decode", "draw", "end_to_end"}
    for stage in summary["latency_ms"].values():
        assert 0 < stage["p50"] <= stage["p99"] < 60_000


def test_one_photo_that_cannot_be_read_is_left_out_and_told(model: Path, photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos, tmp_path / "in")
    bad = tmp_path / "in/bad.png"
    bad.write_bytes(b"no photo")
    sentence = f"{bad} is not a readable image; expected one of: .jpg, .jpeg, .png, .bmp, .webp, .ppm, .pgm."
    problem = f"1 of 4 photos of {tmp_path / 'in'} cannot be read and were left out."
    command = ("demo", "classify", model, "--source", tmp_path / "in")
    done = edgekit(*command, "--save", tmp_path / "out", "--json", "-")
    size = sum(path.stat().st_size for path in (tmp_path / "out").iterdir())
    wrote = f"Wrote {tmp_path / 'out'}: 3 photos, {size:,} bytes."
    assert (done.returncode, done.stderr.splitlines()) == (2, [sentence, wrote, f"edgekit: {problem}"])
    told = json.loads(done.stdout)
    assert len(told["results"]) == 3
    assert told["summary"]["unreadable"] == [{"input": str(bad), "reason": sentence}]
    assert told["summary"]["trouble"] == problem
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["blue.png", "green.png", "red.png"]
    for photo in photos.iterdir():
        (tmp_path / "in" / photo.name).unlink()
    nothing = edgekit(*command)
    assert (nothing.returncode, nothing.stdout) == (2, "")
    assert nothing.stderr.splitlines()[-1] == f"edgekit: {problem.replace('1 of 4', '1 of 1')}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--source", "{tmp}/none.png"),
            "There is no photo, folder or clip {tmp}/none.png; a number such as 0 names a camera, "
            "http:// or rtsp:// a stream.",
        ),
        (
            ("--source", "{tmp}"),
            "{tmp} holds no images; expected files that end in .jpg, .jpeg, .png, .bmp, .webp, .ppm, .pgm.",
        ),
        (
            ("--source", "²"),
            "There is no photo, folder or clip ²; a number such as 0 names a camera, http:// or rtsp:// a stream.",
        ),
        (
            ("--source", "99999999999"),
            "There is no photo, folder or clip 99999999999; a number such as 0 names a camera, "
            "http:// or rtsp:// a stream.",
        ),
        (
            ("--source", "{photo}", "--save", "{photo}", "--force"),
            "{photo} is what is shown; choose another place with --save.",
        ),
        (
            ("--source", "99"),
            "There is no camera 99, or another program has it; give another number, "
            "or a photo, folder, clip or stream.",
        ),
        (
            ("--source", "picamera"),
            "picamera2 is not installed; on a Raspberry Pi run: sudo apt install python3-picamera2, and make the "
            "environment with: python3 -m venv --system-site-packages",
        ),
        (
            ("--source", "{folder}", "--save", "{tmp}/seen.png"),
            "The photos of a folder are written to a folder; got {tmp}/seen.png: write --save {tmp}/seen.",
        ),
        (
            ("--source", "{photo}", "--view", "none", "--port", "0"),
            "--host and --port are of the page of --view web; got --view none.",
        ),
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
            "There is no display for a window, or OpenCV was built without windows; use --view web or --view none.",
        ),
    ],
)
def test_wrong_usage_is_one_sentence(
    arguments: tuple[str, ...], message: str, model: Path, photos: Path, clip: Path, tmp_path: Path
) -> None:
    if "{tmp}/x.mp4" in arguments:
        (tmp_path / "x.mp4").write_bytes(b"no clip at all")
    names = {"tmp": tmp_path, "clip": clip, "photo": photos / "red.png", "folder": photos}
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


def test_a_clip_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    source, frame = Clip(path=tmp_path / "in.mp4"), Frame(name="x", pixels=np.zeros((48, 64, 3), np.uint8), time_s=0.0)
    with saving(tmp_path / "out.mp4", source, force=False, tell=print) as save:
        (staging,) = tmp_path.iterdir()
        shutil.rmtree(staging)
        with pytest.raises(InputError) as caught:
            save(frame.pixels, frame)
        staging.mkdir()
    assert str(caught.value) == "OpenCV cannot write out.mp4 here; leave --save out."


def test_a_clip_that_a_full_disk_cut_off_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    resource = pytest.importorskip("resource")  # not on Windows
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # which the limit would cut off too
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)

    def record() -> None:
        with saving(tmp_path / "out.mp4", Clip(path=tmp_path), force=False, tell=print) as save:
            for _ in range(30):
                save(noise, Frame(name="x", pixels=noise))

    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, limits[1]))
    try:
        with pytest.raises(InputError) as caught:
            record()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(caught.value) == "out.mp4 holds 0 of the 30 frames that were written; make room, or leave --save out."
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("gap_s", [0.5, 60.0])
def test_a_saved_stream_plays_as_fast_as_it_went(gap_s: float, tmp_path: Path) -> None:
    """Live frames come when they come: each stays until the next one, but for no more than two seconds."""
    times_s = [0.0, 0.1, 0.3, 0.4, 0.4 + gap_s, 0.5 + gap_s]
    with saving(tmp_path / "out.mp4", Stream(url="http://x/"), force=False, tell=print) as save:
        for number, time_s in enumerate(times_s):
            size = (48, 64, 3) if number < 4 else (96, 128, 3)  # it came back with another size
            pixels = np.full(size, 40 * number, np.uint8)
            save(pixels, Frame(name="x", pixels=pixels, time_s=time_s, rate_hz=10.0, live=True))
    kept = frames(find_source(str(tmp_path / "out.mp4")))
    assert len(kept) == 1 + round(10 * (0.5 + min(gap_s, 2.0)))
    assert {frame.pixels.shape for frame in kept} == {(48, 64, 3)}
    assert kept[-1].pixels.mean() == pytest.approx(200, abs=10)


def test_photos_that_differ_in_their_ending_only_are_all_kept(model: Path, tmp_path: Path) -> None:
    for name in ("a.png", "a.bmp", "a.jpg"):
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.new("RGB", (40, 30), COLOURS["red"]).save(tmp_path / "in" / name)
    done = edgekit("demo", "classify", model, "--source", tmp_path / "in", "--save", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.bmp.png", "a.jpg", "a.png"]


def test_frames_of_a_clip_are_rgb_and_timed(clip: Path) -> None:
    found = frames(find_source(str(clip)))
    assert len(found) == 30
    assert [f.time_s for f in found[:3]] == pytest.approx([0, 0.1, 0.2], abs=0.01)
    assert found[0].pixels[20, 20, 0] > 180 > found[0].pixels[20, 20, 2]


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


def test_objects_are_told_and_drawn_in_the_colour_of_their_class(finder: Path, tmp_path: Path) -> None:
    Image.new("L", (800, 400), 200).save(tmp_path / "x.png")
    saved = tmp_path / "seen.png"
    done = edgekit("demo", "detect", finder, "--source", tmp_path / "x.png", "--save", saved, "--json", "-")
    assert (done.returncode, done.stderr) == (0, f"Wrote {saved}: 1 photo, {saved.stat().st_size:,} bytes.\n")
    (row,) = json.loads(done.stdout)["results"]
    (found,) = row["detections"]
    assert (found["label"], found["box"]) == ("bright", pytest.approx([0.25, 0.25, 0.75, 0.75]))
    assert found["score"] == pytest.approx(200 / 255, abs=0.01)
    pixels = decode_image(saved, name="seen")
    own = (pixels == class_colour(1)).all(axis=-1)
    rows, columns = np.nonzero(own[110:])  # below the label
    assert (columns.min(), columns.max(), rows.max() + 110) == pytest.approx((200, 600, 300), abs=1)
    assert own[85:100, 200:230].any()  # the label, above the box
    assert not own[110:290, 210:590].any()


def test_frames_with_an_object_are_counted_and_the_threshold_can_be_raised(finder: Path, clip: Path) -> None:
    done = edgekit("demo", "detect", finder, "--source", clip)
    assert done.returncode == 0, done.stderr
    assert [line.split()[2] for line in done.stderr.splitlines()] == ["dark", "dark", "dark"]
    assert "100.0%" in done.stdout
    strict = edgekit("demo", "detect", finder, "--source", clip, "--score", "0.99")
    assert [line.split()[2] for line in strict.stderr.splitlines()] == ["nothing"] * 3
    assert "%" not in strict.stdout.splitlines()[-1]


def test_a_model_of_another_kind_is_told_its_verb(
    model: Path, finder: Path, photos: Path, colour_model: Callable[..., Path]
) -> None:
    silent = colour_model(card=None)
    for verb, file, message in (
        ("detect", model, f"{model} is a classifier; see what it sees with: edgekit demo classify {model}"),
        ("detect", silent, f"{silent} is a classifier; see what it sees with: edgekit demo classify {silent}"),
        ("classify", finder, f"{finder} is a detector; see what it finds with: edgekit demo detect {finder}"),
    ):
        done = edgekit("demo", verb, file, "--source", photos)
        assert (done.returncode, done.stderr) == (2, f"edgekit: {message}\n")
