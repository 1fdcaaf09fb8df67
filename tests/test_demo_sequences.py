"""Demos of texts and series, as users run them."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command import edgekit
from PIL import Image
from test_evaluate_sequences import NEXT, WALK
from test_imports import ENGINES, HEAVY, loaded_after, running
from tiny_sequences import WORDS, forecaster, generator, sentiment

from edgekit.demos.line_plot import HEIGHT, WIDTH, Line, Panel, png
from edgekit.demos.sentiment import MOST_BYTES, read_lines
from edgekit.errors import DataError


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    path = tmp_path / "prices.csv"
    values = WALK.whole
    assert isinstance(values, np.ndarray)
    rows = [f"20{10 + i // 28:02}-01-{1 + i % 28:02},7,{v:.4f}" for i, v in enumerate(values[:, 0])]
    path.write_text("Date,open,close\n" + "\n".join(rows) + "\n")
    return path


def complaint(*arguments: str) -> str:
    done = edgekit("demo", *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1].removeprefix("edgekit: ")


def test_lines_of_a_file_are_told_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "reviews.txt").write_text("Good film\n\nbad, really bad\n")
    out = tmp_path / "out.json"
    done = edgekit(
        "demo", "sentiment", str(sentiment(tmp_path / "s.onnx")), str(tmp_path / "reviews.txt"), "--json", str(out)
    )
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "positive 0.88: Good film",
        "negative 0.98 (1 of 3 words unknown): bad, really bad",
    ]
    told = done.stderr.splitlines()
    assert told[0] == "Line 2 holds no word; write some."
    assert told[-1].startswith("2 lines: 1 positive, 1 negative; ")
    rows = json.loads(out.read_text())["results"]
    assert [(row["line"], row["top"][0]["label"], row["words"], row["unknown"]) for row in rows] == [
        (1, "positive", 2, 0),
        (3, "negative", 3, 1),
    ]


def test_lines_are_answered_as_they_come_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgekit", "demo", "sentiment", str(sentiment(tmp_path / "s.onnx"))]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        for line, answer in (("good\n", "positive 0.88: good\n"), ("bad\n", "negative 0.88: bad\n")):
            process.stdin.write(line)
            process.stdin.flush()
            assert process.stdout.readline() == answer  # before anything else is written
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert "2 lines: 1 positive, 1 negative" in process.stderr.read()


def test_a_line_gives_the_terminal_no_commands(tmp_path: Path) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text("good\t\x1b[31mfilm\n")
    done = edgekit("demo", "sentiment", str(sentiment(tmp_path / "s.onnx")), str(lines))
    assert done.stdout.endswith("good \ufffd[31mfilm\n")


def test_lines_that_are_no_text_are_refused() -> None:
    assert list(read_lines(io.BytesIO("\ufeffa\nä".encode()), "x")) == ["a", "ä"]
    with pytest.raises(DataError, match=r"^Line 2 of x is no text in UTF-8; expected one text a line\.$"):
        list(read_lines(io.BytesIO(b"a\n\xff\n"), "x"))
    with pytest.raises(DataError, match=r"^Line 1 of x has more than 1,048,576 bytes; expected one text a line\.$"):
        list(read_lines(io.BytesIO(b"a" * (MOST_BYTES + 1)), "x"))


@pytest.mark.parametrize("demo", ["sentiment", "forecast", "predict"])
def test_a_demo_needs_numpy_and_its_engine_alone(demo: str, tmp_path: Path, prices: Path) -> None:
    (tmp_path / "lines.txt").write_text("good\n")
    arguments = {
        "sentiment": ("demo", "sentiment", str(sentiment(tmp_path / "s.onnx")), str(tmp_path / "lines.txt")),
        "forecast": ("demo", "forecast", str(forecaster(tmp_path / "f.onnx", [0, 1])), "--data", str(prices)),
        "predict": ("predict", str(sentiment(tmp_path / "s.onnx")), "--text", "good"),
    }[demo]
    assert not loaded_after(running(*arguments)) & (HEAVY - ENGINES)


def test_a_wrong_model_of_sentiment_is_refused(tmp_path: Path, colour_model: object, finder: Path) -> None:
    assert callable(colour_model)
    image, bare, texts = colour_model(), colour_model(card=None), generator(tmp_path / "g.onnx", NEXT)
    lines = tmp_path / "lines.txt"
    lines.write_text("good\n")
    assert complaint("sentiment", str(image), str(lines)) == (
        f"{image} is for classification; expected a model for text-classification: see what it sees with: edgekit demo "
        f"classify {image}"
    )
    assert complaint("sentiment", str(bare), str(lines)) == (
        f"The card of {bare} says nothing of texts or series; expected a model that edgekit trained on them."
    )
    assert complaint("sentiment", str(texts), str(lines)) == (
        f"{texts} is for text-generation; expected a model for text-classification."
    )
    silent = forecaster(tmp_path / "f.onnx", [0, 1], task=None)
    assert complaint("sentiment", str(silent), str(lines)) == (
        f"{silent} takes a series; expected a model for text-classification."
    )
    odd = sentiment(tmp_path / "odd.onnx", task=None, labels=None)
    assert complaint("sentiment", str(odd), str(lines)) == (
        f"{odd} is no classifier; expected one output with a score for each class."
    )
    good = sentiment(tmp_path / "s.onnx")
    assert complaint("sentiment", str(good), str(tmp_path / "no.txt")) == (
        f"{tmp_path / 'no.txt'} cannot be read: No such file or directory."
    )
    assert WORDS.unknown is not None
    assert complaint("sentiment", str(tmp_path / "no.onnx")) != ""


def test_a_forecast_rolls_over_the_end_and_is_drawn(tmp_path: Path, prices: Path) -> None:
    model, out, plot = forecaster(tmp_path / "f.onnx", [0, 0.5, 0.5]), tmp_path / "out.json", tmp_path / "plot.png"
    done = edgekit("demo", "forecast", str(model), "--data", str(prices), "-o", str(plot), "--json", str(out))
    assert (done.returncode, done.stderr) == (0, f"Wrote {plot}.\n")
    assert "Forecasts of 27 values of close in prices, scaled" in done.stdout
    assert "the last value" in done.stdout
    (row,) = json.loads(out.read_text())["results"]
    series = WALK.whole
    assert isinstance(series, np.ndarray)
    np.testing.assert_allclose(row["actual"], series[-27:, 0], atol=1e-3)
    np.testing.assert_allclose(row["forecast"], (series[-28:-1, 0] + series[-29:-2, 0]) / 2, rtol=1e-4)
    assert row["coming"] == pytest.approx(float(series[-2:, 0].mean()), rel=1e-4)
    assert row["metrics"]["persistence_mse"] > 0
    with Image.open(plot) as drawn:
        assert drawn.size == (WIDTH, HEIGHT)
    again = edgekit("demo", "forecast", str(model), "--data", str(prices), "-o", str(plot))
    assert again.returncode == 2
    assert "exists; use --force" in again.stderr


def test_the_verdict_follows_the_interval(tmp_path: Path, prices: Path) -> None:
    worse = edgekit("demo", "forecast", str(forecaster(tmp_path / "w.onnx", [0, 0, 1.5])), "--data", str(prices))
    assert "The model is worse than the last value: its MSE is " in worse.stdout.replace("\n", " ")
    same = edgekit("demo", "forecast", str(forecaster(tmp_path / "s.onnx", [0, 0, 1])), "--data", str(prices))
    assert "cannot be told from the last value: its MSE is 1 " in same.stdout.replace("\n", " ")
    like = edgekit("demo", "forecast", str(forecaster(tmp_path / "l.onnx", [0, 0.05, 0.95])), "--data", str(prices))
    assert "cannot be told from the last value: its MSE is 1.0" in like.stdout.replace("\n", " ")
    swing = tmp_path / "swing.csv"
    days = [f"20{10 + i // 28:02}-01-{1 + i % 28:02},{10 + i % 2}" for i in range(300)]
    swing.write_text("Date,close\n" + "\n".join(days) + "\n")
    better = edgekit("demo", "forecast", str(forecaster(tmp_path / "b.onnx", [1, 0])), "--data", str(swing))
    assert "The model is better than the last value: its MSE is " in better.stdout.replace("\n", " ")
    still = tmp_path / "still.csv"
    still.write_text("Date,close\n" + "\n".join(day.rpartition(",")[0] + ",5" for day in days) + "\n")
    none = edgekit("demo", "forecast", str(forecaster(tmp_path / "n.onnx", [0, 1])), "--data", str(still))
    assert "The series does not change, so that no forecast beats its last value." in none.stdout
    once = tmp_path / "once.csv"
    once.write_text("Date,close\n" + "\n".join(f"{d.partition(',')[0]},{5 + (i > 285)}" for i, d in enumerate(days)))
    seldom = edgekit("demo", "forecast", str(forecaster(tmp_path / "o.onnx", [0, 1])), "--data", str(once))
    assert (
        "The series changes too seldom to tell the model from the last value: its MSE is 1 of that of the last value."
    ) in seldom.stdout.replace("\n", " ")


def test_a_wrong_model_or_series_of_a_forecast_is_refused(tmp_path: Path, prices: Path, colour_model: object) -> None:
    assert callable(colour_model)
    texts, image, bare = generator(tmp_path / "g.onnx", NEXT), colour_model(), colour_model(card=None)
    model = forecaster(tmp_path / "f.onnx", [0, 1])
    assert complaint("forecast", str(texts), "--data", str(prices)) == (
        f"{texts} is for text-generation; expected a model for forecasting."
    )
    assert complaint("forecast", str(image), "--data", str(prices)) == (
        f"{image} is for classification; expected a model for forecasting."
    )
    assert complaint("forecast", str(bare), "--data", str(prices)) == (
        f"The card of {bare} says nothing of texts or series; expected a model that edgekit trained on them."
    )
    silent = generator(tmp_path / "silent.onnx", NEXT, task=None)
    assert complaint("forecast", str(silent), "--data", str(prices)) == (
        f"{silent} takes texts; expected a model for forecasting."
    )
    book = tmp_path / "book.txt"
    book.write_text("abc" * 100)
    assert complaint("forecast", str(model), "--data", str(book)) == (
        "book is not what forecasting is measured on; expected a series: a known name or a .csv with columns of "
        "numbers."
    )
    holed = tmp_path / "holed.csv"
    holed.write_text(prices.read_text() + "2099-01-01,7,nan\n")
    assert complaint("forecast", str(model), "--data", str(holed)) == (
        f"{holed}, line 302, has the close nan; expected a finite number: fill it in or leave the line out."
    )
    assert complaint("forecast", str(model), "--data", str(prices), "-o", str(tmp_path / "plot.gif")) == (
        f"{tmp_path / 'plot.gif'} is no name of a picture; expected one that ends in .png."
    )


def test_a_picture_has_its_lines_where_the_values_are() -> None:
    """Two lines far apart: each colour is in its own half, and a panel for each."""
    low, high = Line("low", np.zeros(50)), Line("high", np.ones(50))
    panel = Panel(title="héllo", lines=(low, high))
    with Image.open(io.BytesIO(png([panel, panel]))) as picture:
        assert picture.size == (WIDTH, 2 * HEIGHT)
        pixels = np.asarray(picture)[50:HEIGHT]
    rows = [np.flatnonzero((pixels == np.array(c)).all(axis=2).any(axis=1)) for c in ((27, 35, 48), (185, 80, 10))]
    assert rows[1].max() < len(pixels) / 2 < rows[0].min()
    with Image.open(io.BytesIO(png([Panel(title="one", lines=(Line("x", np.array([3.0])),))]))) as one:
        assert one.size == (WIDTH, HEIGHT)
