"""How the files of the known texts and series are read, and where each is divided."""

from pathlib import Path

import numpy as np

from edgekit.data.base import Dataset, Part
from edgekit.data.csv_table import parse_table
from edgekit.data.packed import unpacked
from edgekit.data.series_table import FORECAST, series_of
from edgekit.data.text_files import read_text_table
from edgekit.data.windows import long_data

OPINIONS = ("negative", "positive")
DOW_FIRST, DOW_TEST = "2001-01-01", "2017-01-01"
"""The first day that may be learned from, and the first one of the test."""
RT_TEST = 1066
"""Sentences of the test, half of each class, a tenth of all."""


def reviews(path: Path, part: Part, name: str) -> Dataset:
    """IMDb's reviews; the test part is the file beside ``path``."""
    if part is Part.EVALUATION:
        path = path.with_name(path.name.replace("train", "test"))
    return read_text_table(path, name, OPINIONS)


def sentences(path: Path, part: Part, name: str) -> Dataset:
    """rt-polarity, of which `RT_TEST` sentences, drawn once and for all, are the test."""
    data = read_text_table(path, name, OPINIONS)
    assert data.labels is not None  # noqa: S101
    random, test = np.random.default_rng(0), list[int]()
    for label in range(len(OPINIONS)):
        test += random.permutation(np.flatnonzero(data.labels == label))[: RT_TEST // len(OPINIONS)].tolist()
    held = set(test)
    return data.subset(sorted(held) if part is Part.EVALUATION else [i for i in range(len(data)) if i not in held])


def dow_jones(path: Path, part: Part, name: str) -> Dataset:
    """The closing values of 2001 to 2016, and for the test those of 2017, which end on 25 May."""
    table = parse_table(unpacked(path), str(path))
    series = series_of(table, None, name=name, columns=(FORECAST,))
    dates = np.array(table.column(table.columns[0]))
    chosen = dates >= DOW_TEST if part is Part.EVALUATION else (dates >= DOW_FIRST) & (dates < DOW_TEST)
    assert isinstance(series.whole, np.ndarray)  # noqa: S101
    return long_data(series.whole[chosen], None, name=name, columns=series.columns)
