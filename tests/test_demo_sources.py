"""Where the pictures of a demo come from: streams that are lost and come back, cameras, folders."""

import contextlib
import functools
import http.server
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mjpeg import PASSWORD, USER, MjpegServer, serving
from PIL import Image
from rtsp import serving_rtsp

import edgekit.demos.streams as streams
from edgekit.demos.captures import Camera, Clip, gone
from edgekit.demos.frames import Frame, LostSourceError, Source
from edgekit.demos.picamera import PiCamera
from edgekit.demos.sources import Photos, find_source
from edgekit.demos.streams import Stream
from edgekit.errors import DataError, InputError, MissingExtraError
from edgekit.urls import is_stream_url, without_secrets


@pytest.mark.parametrize("name", ["x.mp4", "x"])
def test_a_clip_that_is_a_pipe_is_refused_and_not_waited_for(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataError) as caught:
        find_source(str(tmp_path / name))
    assert str(caught.value) == (
        f"{tmp_path / name} is no regular file; expected a clip: take it away or name another."
    )


def test_a_device_may_be_a_camera_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "camera").symlink_to("/dev/null")
    assert find_source(str(tmp_path / "camera")) == Clip(path=tmp_path / "camera")


@pytest.mark.parametrize(
    ("text", "kind", "live"),
    [
        ("0", Camera, True),
        ("http://10.0.0.7/video", Stream, True),
        ("RTSP://10.0.0.7/live", Stream, True),
        ("picamera", PiCamera, True),
        ("clip.mp4", Clip, False),
        ("photo.png", Photos, False),
        ("folder", Photos, False),
    ],
)
def test_a_source_is_what_it_is_called(
    text: str, kind: type, live: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip.mp4").touch()
    (tmp_path / "photo.png").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/photo.png").touch()
    found = find_source(text)
    assert (type(found), found.live, found.moving) == (kind, live, kind is not Photos)


def test_a_file_called_as_a_camera_is_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "0").touch()
    (tmp_path / "picamera").touch()
    assert find_source("0") == Clip(path=Path("0"))
    assert find_source("picamera") == Clip(path=Path("picamera"))


def test_a_folder_of_folders_names_one(tmp_path: Path) -> None:
    for name in (".hidden", "a", "b", "c"):
        (tmp_path / name).mkdir()
    for name in (".hidden", "b", "c"):
        Image.new("RGB", (4, 4)).save(tmp_path / name / "x.png")
    with pytest.raises(DataError) as caught:
        find_source(str(tmp_path))
    assert str(caught.value) == (
        f"{tmp_path} holds images in its sub-folders only; name one of them, such as {tmp_path / 'b'}."
    )


def test_a_broken_clip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(b"\0" * 100)
    with pytest.raises(DataError) as caught:
        list(Clip(path=path).frames(threading.Event(), pytest.fail))
    assert str(caught.value) == (
        f"{path} cannot be decoded as a clip; expected one that ends in .mp4, .avi, .mov, .mkv, .webm, .m4v."
    )


def test_a_clip_without_pictures_is_refused(tmp_path: Path) -> None:
    import cv2

    path = tmp_path / "cut.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"movi") + 4])
    with pytest.raises(DataError) as caught:
        list(Clip(path=path).frames(threading.Event(), pytest.fail))
    assert str(caught.value) == f"{path} gave no picture; give another clip."


@pytest.fixture
def cut(tmp_path: Path) -> Path:
    """The first half of a clip of thirty frames."""
    import cv2

    path = tmp_path / "cut.mkv"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for _ in range(30):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


def test_a_clip_that_was_cut_off_is_told(cut: Path) -> None:
    found: list[Frame] = []
    with pytest.raises(LostSourceError) as caught:
        found.extend(Clip(path=cut).frames(threading.Event(), pytest.fail))
    assert 10 < len(found) < 20
    assert str(caught.value) == f"{cut} breaks off after {len(found)} of 30 frames; give the whole clip."


def test_a_clip_that_tells_no_times_has_them_all_the_same(tmp_path: Path) -> None:
    import cv2

    path = tmp_path / "row.mjpeg"
    path.write_bytes(b"".join(cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes() for _ in range(5)))
    times = [frame.time_s for frame in taken(Clip(path=path))]
    assert len(times) == 5
    assert times == sorted(set(times), key=float)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("http://10.0.0.7:8080/video", "http://10.0.0.7:8080/video"),
        ("http://u:p@10.0.0.7/video?a=b#c", "http://10.0.0.7/video?..."),
        ("rtsp://user@cam/1", "rtsp://cam/1"),
        ("RTSP://u:p@ss@cam:554/1", "RTSP://cam:554/1"),
        ("rtsp://u:p#ss@cam/1", "rtsp://..."),
        ("rtsp://u:p/ss@cam/1", "rtsp://..."),
        ("rtsp://u:p?ss@cam/1", "rtsp://..."),
        ("http://cam/?user=admin&pwd=p", "http://cam/?..."),
        ("--source=http://u:p@cam/", "--source=http://cam/"),
        ("see http://u:p@cam/ and rtsp://v:q@cam/", "see http://cam/ and rtsp://cam/"),
        ("ssh://pi@10.0.0.7:22", "ssh://pi@10.0.0.7:22"),
        ("clip@home.mp4", "clip@home.mp4"),
    ],
)
def test_an_address_is_told_without_what_is_secret(address: str, told: str) -> None:
    assert without_secrets(address) == told
    assert is_stream_url(address) == address.lower().startswith(("http", "rtsp"))


def test_no_camera_and_one_that_was_unplugged_are_sentences() -> None:
    with pytest.raises(InputError) as caught:
        next(iter(Camera(number=99).frames(threading.Event(), pytest.fail)))
    assert str(caught.value) == (
        "There is no camera 99, or another program has it; give another number, or a photo, folder, clip or stream."
    )
    assert str(gone("camera 0", empty=True)) == "camera 0 gave no picture; give another one."
    lost = gone("camera 0", empty=False)
    assert str(lost) == "camera 0 gives no more pictures; see whether it is still plugged in."
    assert isinstance(lost, LostSourceError)


def taken(source: Source, most: int = 1000) -> list[Frame]:
    """The first frames of ``source``."""
    stop = threading.Event()
    found = []
    for frame in source.frames(stop, pytest.fail):
        assert isinstance(frame, Frame)
        found.append(frame)
        if len(found) == most:
            stop.set()
    return found


def test_a_stream_is_live_rgb_and_timed() -> None:
    with serving() as server:
        found = taken(Stream(url=server.url), most=12)
    assert len(found) == 12
    assert all(frame.live and frame.pixels.shape == (120, 160, 3) for frame in found)
    times = [frame.time_s or 0.0 for frame in found]
    assert times[0] == 0
    assert times == sorted(times)
    assert 0 < times[-1] < 5
    assert [round(float(f.pixels.mean()) / 10) for f in found] == list(range(4, 16))


def test_a_locked_stream_is_opened_and_its_password_told_nobody() -> None:
    with serving() as server:
        (frame,) = taken(Stream(url=f"http://{USER}:{PASSWORD}@127.0.0.1:{server.port}/s.mjpg?locked"), most=1)
        assert frame.name == f"http://127.0.0.1:{server.port}/s.mjpg?..."
        with pytest.raises(InputError) as caught:
            taken(Stream(url=f"http://{USER}:wrong@127.0.0.1:{server.port}/s.mjpg?locked"))
    assert str(caught.value) == (
        f"There is no stream at http://127.0.0.1:{server.port}/s.mjpg?...; see whether the address is right and can "
        "be reached from here."
    )


def test_an_rtsp_camera_is_seen_with_its_password_and_missed_when_it_goes() -> None:
    with serving_rtsp() as (port, alive):
        source = Stream(url=f"rtsp://{USER}:{PASSWORD}@127.0.0.1:{port}/live", silence_s=2.0, patience_s=0.0)
        found: list[Frame] = []

        def watch() -> None:
            for frame in source.frames(threading.Event(), pytest.fail):
                found.append(frame)
                if len(found) == 10:
                    alive.clear()

        with pytest.raises(LostSourceError) as caught:
            watch()
        with pytest.raises(InputError, match=f"^There is no stream at rtsp://127.0.0.1:{port}/live;"):
            taken(Stream(url=f"rtsp://{USER}:wrong@127.0.0.1:{port}/live", silence_s=2.0))
    assert str(caught.value).startswith(f"rtsp://127.0.0.1:{port}/live was lost")
    assert len(found) >= 10
    assert all(frame.live and frame.pixels.shape == (120, 160, 3) for frame in found)
    levels = [round(float(frame.pixels.mean()) / 10) for frame in found]
    assert levels == [4 + number % 20 for number in range(levels[0] - 4, levels[0] - 4 + len(levels))]


class Hurried(threading.Event):
    """Never set, and waited for in no time, but on a clock of its own."""

    now_s = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        """As that of an event."""
        assert timeout is not None
        self.now_s += timeout
        return self.is_set()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> Hurried:
    """A stop whose clock is that of streams: opening one takes no time there, however busy the machine is."""
    stop = Hurried()
    monkeypatch.setattr(streams, "time", SimpleNamespace(monotonic=lambda: stop.now_s))
    return stop


def lost(
    server: MjpegServer, source: Stream, after: int, then: str, back: int | None, stop: threading.Event | None = None
) -> tuple[list[Frame], list[str]]:
    """What ``source`` gives and tells when after some frames the server ``stop``s or is silent, and comes back or not.

    ``back`` is how many lines are told before it comes back.
    """
    stop, told, found = stop or threading.Event(), [], []

    def tell(line: str) -> None:
        told.append(line)
        if len(told) == back:
            server.stop()
            server.start()

    try:
        for frame in source.frames(stop, tell):
            assert isinstance(frame, Frame)
            found.append(frame)
            if len(found) == after:
                server.stop() if then == "stop" else setattr(server, "silent", True)
            if told and told[-1].endswith("is back.") and len(found) > after + 20:
                stop.set()
    except LostSourceError as error:
        told.append(str(error))
    return found, told


@pytest.mark.parametrize("then", ["stop", "silent"])
def test_a_lost_stream_comes_back(then: str) -> None:
    with serving() as server:
        name = server.url
        source = Stream(url=name, silence_s=2.5, first_wait_s=0.1)  # which a busy machine does not reach by itself
        found, told = lost(server, source, 5, then, back=2)
    assert told == [
        f"{name} was lost; trying again in 0.1 s.",
        f"{name} is not back; trying again in 0.2 s.",
        f"{name} is back.",
    ]
    assert len(found) > 20
    times = [frame.time_s or 0.0 for frame in found]
    assert times == sorted(times)


def test_a_stream_that_stays_away_is_told_after_waits_that_double(hurried: Hurried) -> None:
    with serving() as server:
        name = server.url
        source = Stream(url=name, silence_s=2.5, first_wait_s=0.1, patience_s=1.0)
        found, told = lost(server, source, 5, "stop", None, hurried)
    assert told == [
        f"{name} was lost; trying again in 0.1 s.",
        f"{name} is not back; trying again in 0.2 s.",
        f"{name} is not back; trying again in 0.4 s.",
        f"{name} was lost and did not come back within 1 s; see what became of it.",
    ]
    assert len(found) >= 5
    assert hurried.now_s == pytest.approx(0.7)


def test_no_wait_for_a_stream_is_longer_than_the_longest(hurried: Hurried, monkeypatch: pytest.MonkeyPatch) -> None:
    assert streams.LONGEST_WAIT_S == 8
    monkeypatch.setattr(streams, "LONGEST_WAIT_S", 0.3)
    with serving() as server:
        source = Stream(url=server.url, silence_s=2.5, first_wait_s=0.2, patience_s=1.0)
        _, told = lost(server, source, 5, "stop", None, hurried)
    assert [line.split("again in ")[1] for line in told[:-1]] == ["0.2 s.", "0.3 s.", "0.3 s."]


def test_a_clip_on_a_server_loses_no_frame_and_ends(tmp_path: Path) -> None:
    import cv2

    writer = cv2.VideoWriter(str(tmp_path / "x.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 10, (64, 48))
    for _ in range(15):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    with serving_files(tmp_path) as address:
        found = taken(Stream(url=f"{address}/x.mp4"))
    assert len(found) == 15
    assert not any(frame.live for frame in found)


def test_a_clip_on_a_server_that_breaks_off_is_told(cut: Path) -> None:
    with serving_files(cut.parent) as address, pytest.raises(LostSourceError) as caught:
        taken(Stream(url=f"{address}/{cut.name}"))
    assert str(caught.value) == f"{address}/{cut.name} breaks off after 15 of 30 frames; give the whole clip."


@contextlib.contextmanager
def serving_files(folder: Path) -> Iterator[str]:
    """The address of a server of ``folder`` while the block lasts."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_args: object) -> None:
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def test_a_raspberry_pis_camera_is_read_as_its_library_gives_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in of the library's own interface; no such camera can be had here."""
    (tmp_path / "picamera2.py").write_text(_PICAMERA2)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "picamera2", raising=False)
    import picamera2

    try:
        stop, found = threading.Event(), []
        for frame in PiCamera().frames(stop, pytest.fail):
            found.append(frame)
            stop.set()
        assert (found[0].pixels.shape, found[0].pixels[0, 0].tolist()) == ((480, 640, 3), [250, 20, 30])
        assert (found[0].live, found[0].time_s) == (True, 0.0)
        picamera2.Picamera2.fails_after = 2
        with pytest.raises(LostSourceError) as lost_camera:
            list(PiCamera().frames(threading.Event(), pytest.fail))
        assert str(lost_camera.value) == "picamera gives no more pictures; see whether it is still plugged in."
        picamera2.Picamera2.cameras = []
        with pytest.raises(InputError) as caught:
            list(PiCamera().frames(threading.Event(), pytest.fail))
        assert str(caught.value) == ("libcamera knows no camera; see whether its ribbon is plugged in at both ends.")
        assert picamera2.Picamera2.open == 0
    finally:
        sys.modules.pop("picamera2", None)


_PICAMERA2 = """
import numpy as np

class Picamera2:
    cameras, fails_after, open = [{"Num": 0}], None, 0

    @staticmethod
    def global_camera_info():
        return Picamera2.cameras

    def __init__(self):
        Picamera2.open += 1
        self._given = 0

    def create_video_configuration(self, main):
        return main

    def configure(self, main):
        assert main["format"] == "BGR888"
        self._size = main["size"]

    def start(self):
        pass

    def capture_array(self, name):
        assert name == "main"
        self._given += 1
        if self._given == self.fails_after:
            raise RuntimeError("Camera frontend has timed out!")
        width, height = self._size
        return np.full((height, width, 3), (250, 20, 30), np.uint8)

    def close(self):
        Picamera2.open -= 1
"""


def test_the_library_of_the_pis_camera_is_told_by_name() -> None:
    with pytest.raises(MissingExtraError) as caught:
        list(PiCamera().frames(threading.Event(), pytest.fail))
    assert str(caught.value) == (
        "picamera2 is not installed; on a Raspberry Pi run: sudo apt install python3-picamera2, and make the "
        "environment with: python3 -m venv --system-site-packages"
    )
