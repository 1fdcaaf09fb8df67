"""A forecaster that rolls over the end of a series, beside the forecast that nothing changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.artifact import open_artifact
from edgekit.data import KNOWN, Dataset, Part, open_data
from edgekit.data.packed import kind_of
from edgekit.data.series_table import read_series
from edgekit.data.windows import cut_for
from edgekit.demos.line_plot import Line, Panel
from edgekit.errors import InputError
from edgekit.files import refuse_existing, require_writable
from edgekit.measure.evaluate_kinds import KindReport, evaluate_kind_subjects, require_fit
from edgekit.measure.judged import Judged
from edgekit.measure.kind import Result
from edgekit.measure.predict_sequences import require_sequences
from edgekit.measure.subjects import Subject, open_subjects, run_one
from edgekit.sequences import Series
from edgekit.tasks import forecasting
from edgekit.tasks.forecasting import ForecastResult
from edgekit.tasks.series import scale_of
from edgekit.workers import Progress, silent

Floats = npt.NDArray[np.float64]
CLOSE_UP = 60
"""Values at the end that are drawn once more, larger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecasts:
    """What was forecast of the held-out end of a series: ``actual``, ``forecast`` and the ``last`` value.

    All are (count,), in the units of the series. ``coming`` is the forecast of the value after the end.
    """

    report: KindReport
    column: str
    actual: Floats
    forecast: Floats
    last: Floats
    coming: float

    @property
    def _entry(self) -> Judged[Result]:
        return self.report.entries[0]

    def results(self) -> list[dict[str, Any]]:
        """One JSON object."""
        told = {"actual": self.actual.tolist(), "forecast": self.forecast.tolist(), "coming": self.coming}
        return [{**row, "column": self.column, **told} for row in self.report.results()]

    def table(self) -> tuple[str, list[str], list[list[str]]]:
        """(title, columns, rows) for people."""
        m = self._entry.metrics()
        rows = [[str(self._entry.subject.given), f"{m['mse']:.4g}", f"{m['mae']:.4g}"]]
        rows.append(["the last value", f"{m['persistence_mse']:.4g}", f"{m['persistence_mae']:.4g}"])
        title = f"Forecasts of {self.report.count:,} values of {self.column} in {self.report.data}, scaled"
        return title, ["forecast", "MSE", "MAE"], rows

    def verdict(self) -> str:
        """A sentence that says whether the model beats the last value, with the interval of the ratio."""
        m = self._entry.metrics()
        if not m["persistence_mse"]:
            return "The series does not change, so that no forecast beats its last value."
        if "mse_ratio_low" not in m:
            return (
                f"The series changes too seldom to tell the model from the last value: its MSE is {m['mse_ratio']:.4g} "
                "of that of the last value."
            )
        low, high = m["mse_ratio_low"], m["mse_ratio_high"]
        told = f"its MSE is {m['mse_ratio']:.4g} of that of the last value (95 %: {low:.4g} to {high:.4g})"
        if high < 1:
            return f"The model is better than the last value: {told}."
        if low > 1:
            return f"The model is worse than the last value: {told}."
        return f"The model cannot be told from the last value: {told}."

    def told_coming(self) -> str:
        """The forecast of the value after the end, in words."""
        return f"After {self.actual[-1]:,.6g} the model expects {self.coming:,.6g}."

    def panels(self) -> Sequence[Panel]:
        """What is drawn: the whole end, and the last of it larger."""
        named = (("series", self.actual), ("last value", self.last), ("forecast", self.forecast))
        title = f"{self.column} of {self.report.data}"
        whole = Panel(title=title, lines=tuple(Line(name, values) for name, values in named))
        if len(self.actual) <= 2 * CLOSE_UP:
            return (whole,)
        lines = tuple(Line(name, values[-CLOSE_UP:]) for name, values in named)
        return whole, Panel(title=f"its last {CLOSE_UP} values", lines=lines, first=len(self.actual) - CLOSE_UP)


def roll(
    path: Path,
    data: str,
    *,
    data_dir: Path | None,
    threads: int,
    engine: str | None,
    progress: Progress = silent,
) -> Forecasts:
    """Forecast each value of the held-out end of ``data`` with the model at ``path`` from those before it."""
    card = open_artifact(path).card
    if card.task not in (None, forecasting.TASK):
        raise InputError(f"{path} is for {card.task}; expected a model for {forecasting.TASK}.")
    engines = () if engine is None else (engine,)
    (subject,) = open_subjects([path], preprocess=None, labels=None, threads=threads, engines=engines)
    series = require_sequences(subject).series
    if series is None:
        raise InputError(f"{path} takes texts; expected a model for {forecasting.TASK}.")
    dataset = series_for(data, series, data_dir=data_dir)
    require_fit(forecasting.TASK, dataset)
    report = evaluate_kind_subjects([subject], dataset, task=forecasting.TASK, progress=progress)
    result = report.entries[0].result
    assert isinstance(result, ForecastResult)  # noqa: S101 - by the task
    cut = cut_for(dataset, subject.artifact.card.sequences)
    windows = [np.asarray(cut.items[place]) for place in report.indices]
    actual, last = (np.array([window[row, 0] for window in windows]) for row in (series.length, series.length - 1))
    scales = np.array([scale_of(window, series) for window in windows])
    assert isinstance(cut.whole, np.ndarray)  # noqa: S101 - it was cut for a series
    return Forecasts(
        report=report,
        column=series.columns[0],
        actual=actual,
        forecast=actual + result.errors * scales,
        last=last,
        coming=_coming(subject, cut.whole[len(cut.whole) - series.length :], series),
    )


def series_for(data: str, how: Series, *, data_dir: Path | None) -> Dataset:
    """The held-out end of ``data``; of a table the columns that the model takes, unless others are named."""
    if data in KNOWN or kind_of(Path(data)) != ".csv" or not Path(data).is_file():
        return open_data(data, part=Part.EVALUATION, data_dir=data_dir)
    return read_series(Path(data), Part.EVALUATION, how.columns)


def _coming(subject: Subject, window: Floats, how: Series) -> float:
    (output,) = run_one(subject, window).values()
    return float(output.reshape(-1)[0]) * scale_of(window, how)


def require_picture(output: Path | None, *, force: bool, option: str = "-o") -> None:
    """`InputError` before the work where ``output`` of ``option`` is no picture, is there, or cannot be written."""
    if output is None:
        return
    if output.suffix.lower() != ".png":
        raise InputError(f"{output} is no name of a picture; expected one that ends in .png.")
    refuse_existing([output], force=force, option=option)
    require_writable(output)
