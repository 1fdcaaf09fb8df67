"""The demo that tells whom pictures show."""

import json
import math
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from command import edgekit
from PIL import Image
from tiny_verifier import pictures, verifier

from edgekit.demos.canvas import Canvas
from edgekit.demos.frames import Frame
from edgekit.demos.verify import Match, Matches, open_recognition, people_in
from edgekit.errors import DataError, InputError
from edgekit.identities import Measure, Verification


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    """A folder "gallery" of four people with three pictures, beside "asked" with one more of each and a stranger."""
    folder = pictures(tmp_path / "gallery", people=5, each=4)
    (tmp_path / "asked").mkdir()
    for person in range(5):
        (folder / f"p{person}" / "3.png").rename(tmp_path / "asked" / f"p{person}.png")
    shutil.rmtree(folder / "p4")
    return folder


def test_people_of_the_gallery_are_told_and_strangers_are_unknown(gallery: Path, tmp_path: Path) -> None:
    done = edgekit("demo", "verify", verifier(tmp_path), gallery, "--source", tmp_path / "asked", "--json", "-",
                   "--view", "none", "--top", "2")  # fmt: skip
    rows = json.loads(done.stdout)["results"]
    assert [(Path(row["input"]).stem, row["name"]) for row in rows] == [
        ("p0", "p0"), ("p1", "p1"), ("p2", "p2"), ("p3", "p3"), ("p4", None),
    ]  # fmt: skip
    for row in rows:
        first, second = row["matches"]
        assert first["distance"] <= second["distance"]
        assert first["known"] == (first["distance"] <= 0.1) == (row["name"] is not None)
    asked, nearest = (np.asarray(Image.open(p).resize((2, 2), Image.Resampling.BOX), np.float32) / 255
                      for p in (tmp_path / "asked/p0.png", gallery / "p0/0.png"))  # fmt: skip
    assert rows[0]["matches"][0]["distance"] <= float(np.square(asked - nearest).sum()) + 1e-4


def test_a_blind_tower_knows_nobody_from_another(gallery: Path, tmp_path: Path) -> None:
    done = edgekit("demo", "verify", verifier(tmp_path, gain=0.0), gallery, "--source", tmp_path / "asked", "--json",
                   "-", "--view", "none")  # fmt: skip
    assert {row["name"] for row in json.loads(done.stdout)["results"]} == {"p0"}


def test_the_threshold_decides(gallery: Path, tmp_path: Path) -> None:
    done = edgekit("demo", "verify", verifier(tmp_path), gallery, "--source", tmp_path / "asked/p0.png", "--view",
                   "none", "--threshold", "0")  # fmt: skip
    assert "unknown" in done.stdout
    assert edgekit("demo", "verify", verifier(tmp_path), gallery, "--source", tmp_path / "asked/p0.png", "--view",
                   "none", "--save", tmp_path / "out.png").returncode == 0  # fmt: skip
    assert np.asarray(Image.open(tmp_path / "out.png")).shape == (240, 240, 3)


def test_a_logit_is_told_as_a_probability() -> None:
    how = Verification(measure=Measure.LOGIT, threshold=0.5)
    match = Match(name="a", measured=1.0, how=how)
    assert match.known
    assert match.to_json() == {
        "name": "a", "logit": 1.0, "probability": pytest.approx(1 / (1 + math.e**-1)), "known": True,
    }  # fmt: skip
    assert not Match(name="a", measured=0.4, how=how).known
    assert Match(name="a", measured=0.1, how=Verification(measure=Measure.DISTANCE, threshold=0.1)).closeness == 0.5


def test_the_first_alone_is_the_same() -> None:
    how = Verification(measure=Measure.LOGIT, threshold=0.5)
    found = [Match(name=name, measured=logit, how=how) for name, logit in (("a", 2.0), ("b", 1.0), ("c", 0.0))]
    assert Matches(top=tuple(found)).rows((8, 8)) == [
        ["a", "2", "0.8808", "same"], ["b", "1", "0.7311", "also close"], ["c", "0", "0.5000", "-"],
    ]  # fmt: skip
    assert Matches(top=(found[2],)).rows((8, 8)) == [["c", "0", "0.5000", "unknown"]]


def test_the_title_tells_the_threshold(gallery: Path, tmp_path: Path) -> None:
    done = edgekit("demo", "verify", verifier(tmp_path), gallery, "--source", tmp_path / "asked/p0.png", "--view",
                   "none", "--threshold", "0.25", "--top", "1")  # fmt: skip
    told = " ".join(done.stdout.split())
    assert "1 photo; the same at a distance of 0.25 or less" in told
    logits = verifier(tmp_path, measure=Measure.LOGIT, threshold=-3.0)
    look = open_recognition(logits, gallery)
    assert look.rule == "the same at a logit of -3 or more"
    assert look.columns == ("person", "logit", "probability", "verdict")


def test_what_is_seen_is_drawn(gallery: Path, tmp_path: Path) -> None:
    look = open_recognition(verifier(tmp_path), gallery)
    pixels = np.asarray(Image.open(tmp_path / "asked/p1.png"))
    answer, _ = look(Frame(name="p1", pixels=pixels))
    canvas = Canvas(pixels)
    before = canvas.pixels.copy()
    answer.draw(canvas)
    assert not np.array_equal(before, canvas.pixels)
    assert answer.words.startswith("p1 at ")
    stranger, _ = look(Frame(name="p4", pixels=np.asarray(Image.open(tmp_path / "asked/p4.png"))))
    assert stranger.words.startswith("unknown (")


def test_wrong_galleries_are_refused(gallery: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError) as caught:
        people_in(tmp_path / "empty")
    sentence = "expected a sub-folder with pictures for each person."
    assert str(caught.value) == f"The gallery {tmp_path / 'empty'} shows nobody; {sentence}"
    (gallery / "p9").mkdir()
    with pytest.raises(DataError) as caught:
        people_in(gallery)
    assert str(caught.value) == f"The gallery {gallery} shows no pictures of p9; {sentence}"
    (gallery / "p9/a.png").write_bytes(b"no picture")
    with pytest.raises(DataError) as caught:
        open_recognition(verifier(tmp_path), gallery)
    assert str(caught.value).startswith(f"{gallery / 'p9/a.png'} is not a readable image; expected one of: ")
    (gallery / "p9/a.png").unlink()
    os.mkfifo(gallery / "p9/a.png")
    with pytest.raises(DataError) as caught:
        open_recognition(verifier(tmp_path), gallery)
    assert str(caught.value) == (
        f"{gallery / 'p9/a.png'} is no regular file; expected an image: take it away or name another."
    )
    with pytest.raises(DataError) as caught:
        people_in(gallery / "p0/0.png")
    assert str(caught.value) == f"{gallery / 'p0/0.png'} is no folder; expected a gallery: {sentence[9:]}"


def test_a_file_without_threshold_or_head_is_refused(gallery: Path, tmp_path: Path) -> None:
    path = verifier(tmp_path, threshold=None)
    with pytest.raises(InputError) as caught:
        open_recognition(path, gallery)
    assert str(caught.value) == (
        f"The card of {path} has no threshold, since the model was not trained: give one with --threshold."
    )
    with pytest.raises(InputError) as caught:
        open_recognition(path, gallery, threshold=-1)
    assert str(caught.value) == (
        f"{path} tells distances, which are 0 or more; got the threshold -1: give another with --threshold."
    )
    (tmp_path / "v.head.onnx").unlink()
    done = edgekit("demo", "verify", path, gallery, "--source", tmp_path / "asked")
    assert done.returncode == 2
    assert done.stderr == f"edgekit: {path} needs v.head.onnx in the same folder; copy both files of the model.\n"
