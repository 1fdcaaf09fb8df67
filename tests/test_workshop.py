"""The child processes of a conversion end with it, whatever threads still wait for them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgekit.artifact import Format
from edgekit.converters.samples import Samples
from edgekit.converters.workshop import Workshop
from edgekit.errors import ConversionError
from edgekit.workers import WorkerCrashError, silent


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    with Workshop(tmp_path, silent) as opened:
        yield opened


def test_work_waits_for_what_it_needs_and_fails_with_it(shop: Workshop) -> None:
    done: list[str] = []
    first = shop.beside(done.append, "first")
    shop.after(first, done.append, "second").result()
    assert done == ["first", "second"]

    def broken() -> None:
        raise ConversionError("no room.")

    with pytest.raises(ConversionError, match=r"^no room\.$"):
        shop.after(shop.beside(broken), done.append, "third").result()
    assert done == ["first", "second"]


def test_a_process_at_work_ends_with_the_conversion(tiny_models: Path, tmp_path: Path) -> None:
    """As on Ctrl-C: a file that takes long to run must not be waited for."""
    items = np.zeros((100_000, 6, 4, 3), np.float32)
    samples = Samples.write(tmp_path / "samples", ({"image": item} for item in items), len(items))
    request = {
        "path": str(tiny_models / "convnet.tflite"),
        "samples": str(samples.folder),
        "outputs": str(tmp_path / "outputs"),
        "count": len(items),
    }
    seen: list[int] = []
    with Workshop(tmp_path, lambda _what, done, _all: seen.append(done)) as shop:
        running = shop.beside(shop.once, "run_worker", "run", request)
        while not seen:
            assert not running.done()
    assert isinstance(running.exception(), WorkerCrashError)
    assert seen[-1] < len(items)


def test_nothing_is_started_once_the_conversion_has_ended(tmp_path: Path) -> None:
    with Workshop(tmp_path, silent) as shop:
        pass
    for start in (lambda: shop.start([Format.ONNX], tensorflow=False), lambda: shop.once("run_worker", "run", {})):
        with pytest.raises(WorkerCrashError) as error:
            start()
        assert str(error.value) == "the conversion was ended."
