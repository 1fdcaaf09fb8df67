"""The quickstart: everything once, whole or not at all."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgekit.errors import InputError
from edgekit.quickstart import WRITTEN, quickstart
from edgekit.recipe import Precision

OFFLINE = {
    **os.environ,
    **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9"),
}
"""An environment in which every download fails."""


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "edgekit", "quickstart", *arguments]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_whole_road(tmp_path: Path) -> None:
    done = subprocess.run(
        command("-o", "first", "--json", "all.json"),
        cwd=tmp_path,
        env=OFFLINE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    first = tmp_path / "first"
    assert {p.name for p in first.iterdir()} == set(WRITTEN)

    data = json.loads((tmp_path / "all.json").read_text())
    made = {(r["format"], r["recipe"]) for r in data["results"]}
    recipes = [p.value for p in Precision]
    assert made == {
        ("keras", "source"),
        *(("tflite", r) for r in recipes),
        *(("onnx", r) for r in recipes if r != "int16x8"),
    }
    for result in data["results"]:
        assert result["n"] == 360
        assert result["metrics"]["top1"] > 0.9, result["artifact"]
        assert (tmp_path / result["artifact"]).stat().st_size == result["model_bytes"]
        if result["format"] != "keras":
            assert result["metrics"]["agreement"] > 0.95, result["artifact"]
            assert len(result["timings"]) == 1

    page = (first / "report.html").read_text()
    for result in data["results"]:
        name = Path(result["artifact"]).name
        assert name in page
        assert f"{result['format']} {result['recipe']}" in done.stdout
    for verb in ("train", "convert", "evaluate", "benchmark"):
        assert f"edgekit {verb} " in page
    assert done.stderr.splitlines()[-3:] == [
        "  edgekit convert model.keras --int8 --calibration photos/ --preprocess tf",
        "  edgekit evaluate model.keras model.int8.tflite --data labelled_photos/",
        "  edgekit benchmark model.fp32.tflite model.int8.tflite",
    ]
    # What lies in the folder is what the verbs themselves would have written.
    again = [sys.executable, "-m", "edgekit", "report", "first", "-o", "again.html"]
    subprocess.run(again, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "again.html").read_text() == page


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_nothing(tmp_path: Path, sign: signal.Signals) -> None:
    folder = tmp_path / "new" / "first"
    with subprocess.Popen(
        command("-o", str(folder)),
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        # A shell's background jobs ignore Ctrl-C, and their children with them.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        deadline = time.monotonic() + 120
        while not any(folder.glob("*/*")):  # the training has begun to write
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(sign)
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.wait(timeout=60) == 130
    assert said.splitlines()[-1] == "edgekit: interrupted; nothing unfinished was left behind."
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(InputError) as error:
        quickstart(tmp_path)
    assert str(error.value) == (
        f"{tmp_path} is not empty; use --force to replace an earlier quickstart or -o for another folder."
    )
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(InputError) as error:
        quickstart(file, force=True)
    assert str(error.value) == f"{file} is a file; choose a folder with -o."
    with pytest.raises(InputError) as error:
        quickstart(file / "inside")
    assert str(error.value) == f"Cannot write to {file / 'inside'}: Not a directory; choose another folder with -o."
