"""Threads of a demo: what is kept, what is dropped, and that whatever ends one ends all."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mjpeg import PASSWORD, USER, serving
from PIL import Image
from tiny_detector import detector

import edgekit.demos.show as show_module
from edgekit.demos.classify import open_classifier
from edgekit.demos.detect import open_detector
from edgekit.demos.frames import Frame, LostSourceError, Tell, Unreadable
from edgekit.demos.pipeline import Drained, Lane, looking
from edgekit.demos.run import Options, run_demo
from edgekit.demos.seen import Answer, Look, Seen, Split
from edgekit.demos.show import Show
from edgekit.demos.timings import KEPT, STAGES, Pace, Timings
from edgekit.demos.views import NoView
from edgekit.errors import DataError, InputError, MissingExtraError


def test_a_lane_hands_on_in_order_and_makes_a_giver_wait() -> None:
    lane: Lane[int] = Lane(room=2)
    put = []

    def give() -> None:
        for number in range(5):
            lane.put(number)
            put.append(number)
        lane.close()

    giver = threading.Thread(target=give)
    giver.start()
    giver.join(0.1)
    assert put == [0, 1]
    assert [lane.take(1) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(Drained):
        lane.take()
    giver.join()
    assert lane.dropped == 0


def test_of_live_things_the_newest_one_waits() -> None:
    lane: Lane[int] = Lane()
    for number in range(5):
        assert lane.put(number, newest=True)
    assert (lane.take(), lane.take(0.0), lane.dropped) == (4, None, 4)


def test_an_error_comes_after_what_was_given_before_it() -> None:
    lane: Lane[int] = Lane()
    lane.put(1)
    lane.close(DataError("no more"))
    assert lane.take() == 1
    for _ in range(2):
        with pytest.raises(DataError, match="no more"):
            lane.take()


def test_nobody_waits_for_an_abandoned_lane() -> None:
    lane: Lane[int] = Lane(room=1)
    lane.put(1)
    given: list[bool] = []
    giver = threading.Thread(target=lambda: given.append(lane.put(2)))
    giver.start()
    lane.abandon()
    giver.join(5)
    assert (given, giver.is_alive()) == ([False], False)
    with pytest.raises(Drained):
        lane.take()


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """A source of frames whose pixels are their number, ``every_s``, as long as nobody stops it or until ``error``."""

    most: int = 10_000
    every_s: float = 0.0
    live: bool = False
    error: Exception | None = None
    given: list[int] = field(default_factory=list)
    moving = True
    name = "numbers"

    def frames(self, stop: threading.Event, tell: Tell) -> Iterator[Frame]:  # noqa: ARG002 - as `Source.frames`
        for number in range(self.most):
            if stop.wait(self.every_s):
                return
            self.given.append(number)
            pixels = np.full((240, 240, 3), number % 256, np.uint8)
            times: dict[str, Any] = {"capture_ms": 1.0, "taken_s": time.perf_counter()}
            yield Frame(name="numbers", pixels=pixels, time_s=number / 10, live=self.live, **times)
        if self.error is not None:
            raise self.error


@pytest.fixture(scope="module")
def look(colour_model: Callable[..., Path]) -> Look:
    return open_classifier(colour_model(), preprocess=None, labels=None, threads=1, engine=None, top=1)


class Broken:
    """Fails at the frame of this number."""

    def __init__(self, look: Look, number: int = 3) -> None:
        self._look, self._left = look, number
        self.subject, self.columns, self.share = look.subject, look.columns, look.share

    def __call__(self, frame: Frame) -> tuple[Answer, Split]:
        self._left -= 1
        if not self._left:
            raise DataError("the model fell over")
        return self._look(frame)


def numbers(lane: Lane[Seen | Unreadable], most: int = 1000) -> list[int]:
    """The brightness of the frames that come out of ``lane``."""
    found: list[int] = []
    while len(found) < most:
        try:
            thing = lane.take()
        except Drained:
            break
        assert isinstance(thing, Seen)
        found.append(int(thing.frame.pixels[0, 0, 0]))
    return found


def wait_for(done: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()} & {"capture", "inference"}


def test_no_frame_of_a_file_is_left_out_and_few_wait(look: Look) -> None:
    source = Numbers(most=40)
    with looking(source, look, pytest.fail) as lane:
        time.sleep(0.2)
        assert len(source.given) <= 8  # two in each lane, and one in each hand
        found = numbers(lane)
    assert found == list(range(40))
    assert not threads()


def test_of_a_live_source_the_newest_frames_are_seen(look: Look) -> None:
    source = Numbers(every_s=0.002, live=True)
    with looking(source, look, pytest.fail) as lane:
        wait_for(lambda: len(source.given) >= 100)  # nobody takes
        before = len(source.given)
        found = numbers(lane, most=4)
        dropped = lane.dropped
    assert found == sorted(set(found))
    assert found[-1] >= before - 1  # what waits longest is two results and one frame in hand
    assert dropped > before / 2


def test_an_error_of_the_model_ends_the_capture_and_comes_out(look: Look) -> None:
    source = Numbers()
    with looking(source, Broken(look), pytest.fail) as lane, pytest.raises(DataError, match="the model fell over"):
        numbers(lane)
    assert not threads()
    assert len(source.given) < 20


def test_of_a_moving_source_the_newest_seconds_are_kept(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    assert show_module.KEPT == 10_000
    monkeypatch.setattr(show_module, "KEPT", 2)
    show = Show(source=Numbers(most=41), view=NoView(), save=lambda *_: None, tell=lambda _: None, max_frames=None)
    show.run(look)
    report = show.report(look, trouble=None, interrupted=False)
    assert [seen.frame.time_s for seen in report.seen] == [3.0, 4.0]


def test_an_error_of_the_source_comes_after_its_frames(look: Look) -> None:
    source = Numbers(most=7, error=LostSourceError("the camera has gone"))
    show = Show(source=source, view=NoView(), save=lambda *_: None, tell=lambda _: None, max_frames=None)
    with pytest.raises(LostSourceError, match="the camera has gone"):
        show.run(look)
    assert (show.timings.count, threads()) == (7, set())


def test_an_error_after_the_first_photo_keeps_what_was_seen_and_saved(look: Look, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.png", "c.png"):
        Image.new("RGB", (40, 30)).save(tmp_path / "in" / name)
    options = Options(source=str(tmp_path / "in"), view="none", save=tmp_path / "out")
    with pytest.raises(DataError, match=r"^the model fell over$"):
        run_demo(Broken(look, 1), options, tell=pytest.fail)
    assert not (tmp_path / "out").exists()
    told: list[str] = []
    report = run_demo(Broken(look, 3), options, tell=told.append)
    assert [line.partition(": ")[0] for line in told] == [f"Wrote {tmp_path / 'out'}"]
    assert (report.problem, report.interrupted, len(report.seen)) == ("the model fell over", False, 2)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.png", "b.png"}


def test_ctrl_c_before_the_first_readable_photo_is_no_error_of_the_photos(look: Look, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"no photo")
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        if len(told) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_demo(look, Options(source=str(tmp_path), view="none"), tell=tell)


def test_who_dies_while_taking_hangs_nobody(look: Look) -> None:
    def fall(*_: object) -> None:
        raise OSError(28, "No space left on device")

    show = Show(source=Numbers(), view=NoView(), save=fall, tell=lambda _: None, max_frames=None)
    with pytest.raises(OSError, match="No space left"):
        show.run(look)
    assert not threads()


def test_a_thread_that_hangs_is_left_alone(look: Look) -> None:
    release = threading.Event()

    @dataclass(frozen=True, slots=True)
    class Hanging:
        name = "hanging"
        moving = live = True

        def frames(self, stop: threading.Event, tell: Tell) -> Iterator[Frame]:  # noqa: ARG002 - as `Source.frames`
            release.wait(60)
            yield from ()

    begin_s = time.monotonic()
    with looking(Hanging(), look, pytest.fail) as lane:
        assert lane.take(0.01) is None
    assert time.monotonic() - begin_s < 30
    release.set()


def test_memory_of_times_does_not_grow_and_stays_fair() -> None:
    timings = Timings()
    for number in range(3 * KEPT):
        timings.add((float(number),) * len(STAGES), None)
    assert (timings.count, len(timings._rows)) == (3 * KEPT, KEPT)
    figures = timings.percentiles_ms()["infer"]
    assert figures["p50"] == pytest.approx(1.5 * KEPT, rel=0.05)
    assert figures["p99"] == pytest.approx(2.97 * KEPT, rel=0.02)
    few = Timings()
    for number in (1.0, 2.0, 3.0, 44.0, 5.0):
        assert few.fps is None
        few.add((number,) * len(STAGES), None)
    assert few.percentiles_ms()["draw"] == pytest.approx({"p50": 3.0, "p99": 42.44})


def test_a_pause_is_in_no_rate() -> None:
    timings = Timings()
    for gap_s in (None, 0.5, 0.5, None, 0.5, 0.5):
        timings.add((1.0,) * len(STAGES), gap_s)
    assert (timings.count, timings.seconds, timings.fps) == (6, 2.0, 2.0)


def test_frames_a_second_are_those_of_the_last_second() -> None:
    now_s = 0.0
    pace = Pace(lambda: now_s)
    assert (pace.tick(), pace.fps) == (None, None)
    assert pace.note((1, 2, 3, 4, 5)) == (
        "- fps", "capture 1.0 ms", "pre 2.0 ms", "infer 3.0 ms", "decode 4.0 ms", "draw 5.0 ms",
    )  # fmt: skip
    for _ in range(30):
        now_s += 0.1
        assert pace.tick() == pytest.approx(0.1)
    assert pace.fps == pytest.approx(10)
    for _ in range(30):
        now_s += 0.05
        pace.tick()
    assert pace.fps == pytest.approx(20)
    first = pace.note((1, 2, 3, 4, 5))
    now_s += 0.1
    assert pace.note((9, 9, 9, 9, 9)) == first  # nobody can read what changes with every frame
    now_s += 0.3
    assert "infer 9.0 ms" in pace.note((9, 9, 9, 9, 9))
    pace.forget()
    assert (pace.fps, pace.tick()) == (None, None)


def test_the_parts_of_a_look_are_those_of_its_latency(look: Look) -> None:
    _, split = look(Frame(name="x", pixels=np.zeros((9, 9, 3), np.uint8)))
    assert min(split.pre, split.infer, split.decode) > 0
    assert split.latency_ms == split.pre + split.infer + split.decode
    assert Split.between(1.0, 1.5, 2.5, 2.75) == Split(pre=500, infer=1000, decode=250)


def test_a_tracker_that_is_not_installed_is_told_by_its_extra(finder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "edgefirst.tracker", None)
    model: dict[str, Any] = {"preprocess": None, "labels": None, "decoder": None, "score": None}
    with pytest.raises(MissingExtraError) as caught:
        open_detector(finder, **model, threads=1, engine=None, track=True)
    assert str(caught.value) == "edgefirst is not installed. Run: pip install 'edgekit-ml[track]'"


def demo(*arguments: object, cwd: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "edgekit", "demo", *map(str, arguments)]
    return subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until(process: "subprocess.Popen[str]", words: str) -> list[str]:
    """What ``process`` tells until a line of it holds ``words``."""
    assert process.stderr is not None
    told = []
    for line in process.stderr:
        told.append(line.rstrip("\n"))
        if words in line:
            return told
    raise AssertionError(f"{words!r} was never told, but {told}")


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_stream_with_report_and_clip(kind: signal.Signals, finder: Path, tmp_path: Path) -> None:
    with serving() as server:
        process = demo("detect", finder, "--source", server.url, "--save", "x.mp4", "--json", "x.json", cwd=tmp_path)
        until(process, "  1.")
        begin_s = time.monotonic()
        process.send_signal(kind)
        out, err = process.communicate(timeout=30)
    assert time.monotonic() - begin_s < 5
    *_, wrote, last = filter(None, err.splitlines())
    assert (process.returncode, last) == (130, "edgekit: interrupted; nothing unfinished was left behind.")
    assert re.fullmatch(r"Wrote x\.mp4: \d+ frames, [\d,]+ bytes\.", wrote)
    assert "end to end" in out
    told = json.loads((tmp_path / "x.json").read_text())
    assert told["summary"]["interrupted"]
    assert told["summary"]["frames"] >= 2  # more on a machine that has time
    assert {path.name for path in tmp_path.iterdir()} == {"x.mp4", "x.json"}
    import cv2

    clip = cv2.VideoCapture(str(tmp_path / "x.mp4"))
    seconds = clip.get(cv2.CAP_PROP_FRAME_COUNT) / clip.get(cv2.CAP_PROP_FPS)
    assert seconds == pytest.approx(told["summary"]["seconds"], abs=1.0)  # it plays as fast as it went


def test_a_signal_ends_a_silent_stream_at_once(finder: Path, tmp_path: Path) -> None:
    with serving() as server:
        process = demo("detect", finder, "--source", server.url, "--headless", cwd=tmp_path)
        until(process, "  0.0 s")
        server.silent = True
        time.sleep(0.3)
        begin_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert time.monotonic() - begin_s < 4
    assert (process.returncode, err.splitlines()[-1]) == (
        130, "edgekit: interrupted; nothing unfinished was left behind.",
    )  # fmt: skip


def test_a_stream_that_is_gone_for_good_keeps_what_was_seen(finder: Path, tmp_path: Path) -> None:
    """The whole way of a lost source, in a process that is told to be less patient."""
    code = (
        "import sys, dataclasses, edgekit.demos.streams as s\n"
        "s.Stream.__init__.__kwdefaults__.update(silence_s=1.0, first_wait_s=0.1, patience_s=0.5)\n"
        "from edgekit.cli import main\nmain(sys.argv[1:])"
    )
    with serving() as server:
        address = f"http://{USER}:{PASSWORD}@127.0.0.1:{server.port}/s.mjpg?locked"
        name = f"http://127.0.0.1:{server.port}/s.mjpg?..."
        arguments = ["demo", "detect", str(finder), "--source", address, "--save", "x.mp4", "--json", "x.json"]
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ,
        )  # fmt: skip
        until(process, "  0.0 s")
        server.stop()
        out, err = process.communicate(timeout=30)
    sentence = f"{name} was lost and did not come back within 0.5 s; see what became of it."
    assert (process.returncode, err.splitlines()[-1]) == (2, f"edgekit: {sentence}")
    assert f"{name} was lost; trying again in 0.1 s." in err.splitlines()
    text = (tmp_path / "x.json").read_text()
    assert json.loads(text)["summary"]["trouble"] == sentence
    assert (tmp_path / "x.mp4").stat().st_size > 0
    assert PASSWORD not in text + out + err


def test_objects_keep_their_numbers(tmp_path: Path) -> None:
    look = open_detector(
        detector(tmp_path / "finder.onnx", name="finder"),
        preprocess=None, labels=None, decoder=None, score=0.6, threads=1, engine=None, track=True,
    )  # fmt: skip
    frames = [Frame(name="x", pixels=np.full((16, 16, 3), 200, np.uint8), time_s=n / 10) for n in range(4)]
    answers = [look(frame)[0] for frame in frames]
    assert [answer.tracks for answer in answers] == [(1,)] * 4
    assert answers[0].to_json()["detections"][0]["track"] == 1
    assert answers[0].words == "bright #1 0.78"
    grey = np.full((16, 16, 3), 128, np.uint8)  # of neither class
    away = [Frame(name="x", pixels=grey, time_s=1 + n / 10) for n in range(15)]
    assert [look(frame)[0].tracks for frame in away] == [()] * 15
    assert look(Frame(name="x", pixels=frames[0].pixels, time_s=3.0))[0].tracks == (2,)
    for time_s, number in ((3.9, 2), (5.0, 3), (5.1, 3), (-1.0, 4), (-0.9, 4)):  # no frame came, or it began anew
        assert look(Frame(name="x", pixels=frames[0].pixels, time_s=time_s))[0].tracks == (number,)
    with pytest.raises(InputError) as caught:
        look(Frame(name="photo.png", pixels=frames[0].pixels))
    assert str(caught.value) == "photo.png is a photo, in which nothing moves; leave --track out."
