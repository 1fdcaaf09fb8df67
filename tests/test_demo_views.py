"""What viewers ask for, and where a demo is shown."""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekit.data.images import decode_image
from edgekit.demos.classify import open_classifier
from edgekit.demos.frames import Frame, LostSourceError, Pixels, Source, Tell
from edgekit.demos.run import Options, chosen_view
from edgekit.demos.seen import Look
from edgekit.demos.show import Show
from edgekit.demos.sources import Photos, find_source
from edgekit.demos.streams import Stream
from edgekit.demos.views import Key


class Script:
    """A viewer who asks for one key after the other once there is a picture; None is a moment without one."""

    watched = True

    def __init__(self, *keys: Key | None) -> None:
        self._keys: deque[Key | None] = deque(keys)
        self.shown: list[int] = []
        self.asked_s: list[float] = []  # when for a key

    def show(self, pixels: Pixels, fps: float | None) -> None:  # noqa: ARG002 - as `View.show`
        self.shown.append(int(pixels[100, 100, 0]))

    def keys(self, wait_s: float = 0.0) -> Sequence[Key]:
        time.sleep(wait_s)
        if not self.shown or not self._keys:
            return ()
        key = self._keys.popleft()
        if key is None:
            return ()
        self.asked_s.append(time.monotonic())
        return (key,)


@dataclass(frozen=True, slots=True)
class Counting:
    """A live source of frames whose pixels are their number, a hundred a second, until ``error``."""

    most: int = 256
    error: Exception | None = None
    name = "counting"
    moving = live = True

    def frames(self, stop: threading.Event, tell: Tell) -> Iterator[Frame]:  # noqa: ARG002 - as `Source.frames`
        for number in range(self.most):
            pixels = np.full((240, 240, 3), number, np.uint8)
            yield Frame(name="x", pixels=pixels, time_s=number / 100, live=True, taken_s=time.perf_counter())
            if stop.wait(0.01):
                return
        if self.error is not None:
            raise self.error


@pytest.fixture(scope="module")
def look(colour_model: Callable[..., Path]) -> Look:
    return open_classifier(colour_model(), preprocess=None, labels=None, threads=1, engine=None, top=1)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Photos:
    folder = tmp_path_factory.mktemp("photos")
    for number in range(3):
        Image.new("RGB", (300, 300), (50 * number,) * 3).save(folder / f"{number}.png")
    return Photos(paths=tuple(sorted(folder.iterdir())), folder=folder)


def shown(source: Source, look: Look, view: Script, told: list[str] | None = None) -> Show:
    show = Show(
        source=source, view=view, save=lambda *_: None, tell=[].append if told is None else told.append, max_frames=None
    )
    show.run(look)
    return show


def test_a_clip_that_is_watched_goes_no_faster_than_it_went(look: Look, clip: Path) -> None:
    view, begin_s = Script(), time.monotonic()
    show = shown(find_source(str(clip)), look, view)
    seconds = time.monotonic() - begin_s
    assert len(view.shown) == 10
    assert 9 / 20 <= seconds < 10
    assert 0 < show.timings.seconds < seconds


def test_space_pauses_and_the_time_is_nobodys(look: Look, clip: Path) -> None:
    view = Script(Key.PAUSE, *[None] * 20, Key.PAUSE)
    begin_s = time.monotonic()
    show = shown(find_source(str(clip)), look, view)
    seconds = time.monotonic() - begin_s
    pause_s = view.asked_s[1] - view.asked_s[0]
    assert pause_s > 1.0
    assert len(view.shown) == 10
    assert 0 < show.timings.seconds <= seconds - pause_s
    assert seconds - pause_s >= 8 / 20  # nor does it go faster afterwards
    assert show.timings.fps == pytest.approx(8 / show.timings.seconds)  # the frames beside the pause are no pair
    assert show.timings.percentiles_ms()["end_to_end"]["p99"] < pause_s * 1000


def test_a_live_source_goes_on_with_the_newest_frame_after_a_pause(look: Look) -> None:
    view = Script(Key.PAUSE, *[None] * 12, Key.PAUSE, *[None] * 10, Key.STOP)
    shown(Counting(), look, view)
    assert len(view.shown) >= 3
    assert view.shown[1] - view.shown[0] > 10


def test_a_live_source_that_goes_while_paused_is_noticed(look: Look) -> None:
    view = Script(Key.PAUSE, *[None] * 100, Key.STOP)
    with pytest.raises(LostSourceError, match=r"^the camera has gone$"):
        shown(Counting(most=20, error=LostSourceError("the camera has gone")), look, view)
    assert len(view.shown) == 1


def test_a_clip_that_is_paused_loses_no_frame(look: Look, clip: Path) -> None:
    view = Script(*[Key.PAUSE, *[None] * 8] * 2)
    shown(find_source(str(clip)), look, view)
    assert len(view.shown) == 10


def test_q_stops_and_s_saves_without_taking_any_files_place(
    look: Look, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "edgekit-1.png").write_text("mine")
    told: list[str] = []
    view = Script(Key.SAVE, Key.SAVE, Key.STOP)
    shown(find_source(str(clip)), look, view, told)
    assert len(view.shown) <= 3  # one for each key, on a machine that is late
    assert (tmp_path / "edgekit-1.png").read_text() == "mine"
    assert [line for line in told if "Saved" in line] == ["Saved edgekit-2.png.", "Saved edgekit-3.png."]
    assert decode_image(tmp_path / "edgekit-3.png", name="saved").shape == (240, 320, 3)


def test_a_picture_that_cannot_be_saved_is_told_and_the_demo_goes_on(
    look: Look, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    told: list[str] = []
    view = Script(Key.SAVE)
    shown(find_source(str(clip)), look, view, told)
    assert "The picture cannot be saved in this folder: No such file or directory." in told
    assert len(view.shown) == 10


def test_a_photo_stays_until_the_next_one_is_asked_for(look: Look, photos: Photos) -> None:
    view = Script(*[*[None] * 5, Key.NEXT] * 2, *[Key.PAUSE] * 20)
    begin_s = time.monotonic()
    show = shown(photos, look, view)
    assert view.shown == [0, 50, 100]
    assert time.monotonic() - begin_s >= 0.4
    assert show.timings.count == 3
    stopped = Script(Key.STOP)
    shown(photos, look, stopped)
    assert stopped.shown == [0]


STREAM = Stream(url="http://127.0.0.1/x")


@pytest.mark.parametrize(
    ("source", "options", "terminal", "chosen"),
    [
        ("stream", {}, False, "web"),
        ("stream", {"save": Path("x.mp4")}, True, "none"),
        ("stream", {"asked": True}, True, "none"),
        ("stream", {"max_frames": 3}, True, "none"),
        ("stream", {"port": 0, "asked": True}, False, "web"),
        ("stream", {"view": "none"}, True, "none"),
        ("clip", {}, True, "web"),
        ("clip", {}, False, "none"),
        ("clip", {"host": "10.0.0.7"}, False, "web"),
        ("clip", {"view": "web"}, False, "web"),
        ("photos", {}, True, "none"),
        ("photos", {"view": "web"}, False, "web"),
        ("photos", {"view": "window"}, False, "window"),
    ],
)
def test_without_a_display_auto_serves_a_page_where_nothing_else_is_asked(
    source: str,
    options: dict[str, object],
    terminal: bool,
    chosen: str,
    clip: Path,
    photos: Photos,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    found = {"stream": STREAM, "clip": find_source(str(clip)), "photos": photos}[source]
    assert chosen_view(Options(source="", **options), found) == chosen  # type: ignore[arg-type]
