"""What is drawn on a frame."""

from pathlib import Path

import numpy as np
import pytest
from tiny_detector import detector

from edgekit.demos.canvas import Canvas, class_colour, enlarged, tile
from edgekit.demos.detect import Objects, open_detector
from edgekit.tasks.heads import Detections


def test_bars_are_as_long_as_the_fractions() -> None:
    canvas = Canvas(np.full((480, 800, 3), 200, np.uint8))
    canvas.bars([(0.75, "one"), (0.25, "two")])
    blue = (canvas.pixels[..., 2] > 150) & (canvas.pixels[..., 0] < 60)
    high = int(np.flatnonzero((canvas.pixels[:, 399] == 200).all(axis=-1))[0]) // 2
    assert blue[high - 2].sum() == pytest.approx(300, abs=1)
    assert blue[2 * high - 2].sum() == pytest.approx(100, abs=1)
    assert (canvas.pixels[:, 400:] == 200).all()
    blank = Canvas(np.full((480, 800, 3), 200, np.uint8))
    blank.bars([(0.75, ""), (0.25, "")])
    white = [(drawn.pixels[: 2 * high, :100] == 255).all(axis=-1).sum() for drawn in (canvas, blank)]
    assert white[0] > white[1] + 40


def test_a_box_is_drawn_where_it_is_and_cut_at_the_edges() -> None:
    frame = np.zeros((400, 500, 3), np.uint8)
    canvas = Canvas(frame)
    canvas.box((0.2, 0.5, 0.6, 0.75), "cat", (255, 255, 0))
    own = (canvas.pixels == (255, 255, 0)).all(axis=-1)
    rows, columns = np.nonzero(own[205:])
    assert (columns.min(), columns.max(), rows.max() + 205) == (100, 299, 299)
    assert own[190:200, 100:110].any()
    assert not frame.any()
    for box in ((-1.0, -1.0, 2.0, 2.0), (0.0, 0.0, 1.0, 1.0), (0.99, 0.99, 1.0, 1.0), (0.5, 0.5, 0.5, 0.5)):
        Canvas(frame).box(box, "a label that is longer than the picture is wide" * 3, (255, 0, 0))
    inside = Canvas(frame)
    inside.box((0.9, 0.0, 1.0, 0.2), "at the edge", (255, 255, 0))  # neither above nor beside is there room
    assert (inside.pixels[:12, 420:] == (255, 255, 0)).all(axis=-1).sum() > 100


@pytest.mark.parametrize(("colour", "ink"), [((0, 0, 200), 255), ((255, 255, 0), 0)])
def test_letters_are_light_on_dark_colours_and_dark_on_light_ones(colour: tuple[int, int, int], ink: int) -> None:
    canvas = Canvas(np.full((400, 500, 3), 128, np.uint8))
    canvas.box((0.2, 0.5, 0.6, 0.75), "cat", colour)
    assert (canvas.pixels == ink).all(axis=-1).any()
    assert not (canvas.pixels == 255 - ink).all(axis=-1).any()


def test_the_best_object_is_drawn_on_top(tmp_path: Path) -> None:
    look = open_detector(
        detector(tmp_path / "finder.onnx", name="finder"),
        preprocess=None, labels=None, decoder=None, score=None, threads=1, engine=None,
    )  # fmt: skip
    boxes = np.full((2, 4), (0.2, 0.2, 0.6, 0.6), np.float32)
    found = Detections(boxes=boxes, scores=np.array([0.9, 0.5], np.float32), classes=np.array([1, 0]))
    canvas = Canvas(np.zeros((400, 400, 3), np.uint8))
    Objects(found=found, detector=look.detector).draw(canvas)
    assert canvas.pixels[239, 150].tolist() == list(class_colour(1))


def test_a_note_stands_in_the_lower_left_corner() -> None:
    canvas = Canvas(np.full((300, 400, 3), 255, np.uint8))
    canvas.note("31.0 fps")
    rows, columns = np.nonzero((canvas.pixels < 200).all(axis=-1))
    assert (columns.min(), rows.max()) == (0, 299)
    assert rows.min() > 280
    narrow = Canvas(np.full((300, 400, 3), 255, np.uint8))
    narrow.note("31.0 fps", "capture 12.0 ms", *["and so on 1.0 ms"] * 5)
    rows, columns = np.nonzero((narrow.pixels < 200).all(axis=-1))
    assert (rows.min() < 275, rows.max()) == (True, 299)
    assert columns.max() < 395  # nothing is cut


@pytest.mark.parametrize(
    ("size", "larger"),
    [((30, 40, 3), (240, 320)), ((28, 28, 1), (252, 252)), ((240, 300, 3), (240, 300)), ((10, 1000, 3), (10, 1000))],
)
def test_small_frames_are_enlarged_by_whole_factors(size: tuple[int, ...], larger: tuple[int, int]) -> None:
    frame = np.random.default_rng(0).integers(0, 256, size).astype(np.uint8)
    canvas = Canvas(frame)
    assert canvas.pixels.shape == (*larger, 3)
    factor = larger[0] // size[0]
    assert (canvas.pixels[::factor, ::factor] == frame).all()
    assert canvas.pixels.flags.writeable
    assert not np.shares_memory(canvas.pixels, frame)
    assert enlarged(frame).shape == canvas.pixels.shape


def test_colours_of_classes_are_bright_and_all_different() -> None:
    assert len({class_colour(number) for number in range(90)}) == 90
    assert all(max(class_colour(number)) == 255 for number in range(90))
    neighbours = [np.subtract(class_colour(n), class_colour(n + 1)) for n in range(90)]
    assert min(np.abs(difference).max() for difference in neighbours) > 90


@pytest.mark.parametrize("text", ["", "é", "two\nlines\tand more", "\x00", "名前", "[b]"])
def test_any_label_can_be_drawn_in_one_line(text: str) -> None:
    assert tile(text, 14, (0, 0, 0), (255, 255, 255)).shape[0] == tile("x", 14, (0, 0, 0), (255, 255, 255)).shape[0]
