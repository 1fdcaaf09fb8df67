"""Rows of tables: what a card says of columns, how rows become inputs, and tables that do not fit."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_tables import NAMES, PLAIN, detector, rows, table, write_csv

from edgekit.anomaly import Anomaly
from edgekit.artifact import attach_card, open_artifact
from edgekit.card import TensorSpec, dump_card, load_card
from edgekit.data import KNOWN, Part, item_digest, open_data, tables
from edgekit.data.csv_table import Table
from edgekit.data.series_table import series_of
from edgekit.data.table_rows import rows_for
from edgekit.data.tables import read_csv, read_rows
from edgekit.errors import CardError, DataError, InputError
from edgekit.feeding import Feeder
from edgekit.measure.held_out import HeldOut
from edgekit.tabular import FARTHEST, MOST_COLUMNS, Column, Tabular, standardized

SCALED = Tabular(
    columns=(
        Column(name="heat", mean=20.0, scale=5.0),
        Column(name="noise", mean=0.0, scale=0.5),
        Column(name="speed", mean=-1.0, scale=1.0),
    )
)


def test_a_row_is_standardized_by_its_column() -> None:
    row = np.array([30.0, 1.0, 1.0])
    np.testing.assert_array_equal(standardized(row, SCALED), np.array([2, 2, 2], np.float32))
    assert standardized(row, SCALED).dtype == np.float32
    spec = TensorSpec(name="features", shape=(None, 3), dtype="float32")
    fed = Feeder((spec,), None, tabular=SCALED).feed(row.astype(np.float32))
    np.testing.assert_array_equal(fed["features"], [2, 2, 2])
    named = {"features": np.array([2, 2, 2], np.float32)}
    np.testing.assert_array_equal(Feeder((spec,), None, tabular=SCALED).feed(named)["features"], [2, 2, 2])


@pytest.mark.parametrize("far", [1e8, 1e30, np.finfo(np.float64).max])
def test_a_value_far_from_its_mean_is_no_farther_than_the_farthest(far: float) -> None:
    found = standardized(np.array([far, -far, 1.0]), SCALED)
    np.testing.assert_array_equal(found, np.array([FARTHEST, -FARTHEST, 2], np.float32))
    columns = np.full(MOST_COLUMNS, FARTHEST, np.float32)
    assert np.isfinite(np.square(2 * columns, dtype=np.float32).sum(dtype=np.float32))


def test_large_numbers_that_are_close_together_are_told_apart() -> None:
    clock = Tabular(columns=(Column(name="time", mean=1.6e9, scale=5.0),))
    np.testing.assert_array_equal(standardized(np.array([1.6e9 - 5]), clock), np.array([-1], np.float32))
    np.testing.assert_array_equal(standardized(np.array([1_600_000_010]), clock), np.array([2], np.float32))


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (np.ones(2), "A row of the table is 2 float64; the model takes 3 numbers: heat, noise, speed."),
        (np.ones((2, 3)), "A row of the table is 2 x 3 float64; the model takes 3 numbers: heat, noise, speed."),
        (np.array(["a", "b", "c"]), "A row of the table is 3 <U1; the model takes 3 numbers: heat, noise, speed."),
        (np.array([0, np.nan, 0]), "A row of the table has noise nan; expected a finite number."),
        (np.array([0, 0, -np.inf]), "A row of the table has speed -inf; expected a finite number."),
    ],
)  # fmt: skip
def test_a_row_that_does_not_fit_is_refused(row: Any, sentence: str) -> None:
    with pytest.raises(DataError) as caught:
        standardized(row, SCALED)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Column(name="heat", mean=0.0, scale=0.0),
         "The column 'heat' has the mean 0.0 and the scale 0.0; expected two finite numbers, the scale above 0."),
        (lambda: Column(name="heat", mean=float("nan"), scale=1.0),
         "The column 'heat' has the mean nan and the scale 1.0; expected two finite numbers, the scale above 0."),
        (lambda: Tabular(columns=()), "A table has 1 to 100,000 columns; got 0."),
        (lambda: Tabular(columns=PLAIN.columns[:1] * 2),
         "A card names a column of its table twice; expected each once."),
        (lambda: Anomaly(threshold=float("inf"), chosen=""),
         "The threshold of an anomaly score is inf; expected a finite number."),
    ],
)  # fmt: skip
def test_a_card_that_makes_no_sense_is_refused(make: Callable[[], object], sentence: str) -> None:
    with pytest.raises(CardError) as caught:
        make()
    assert str(caught.value) == sentence


def test_a_card_carries_columns_and_threshold_through_a_file(tmp_path: Path) -> None:
    card = open_artifact(detector(tmp_path / "d.onnx", [0, 0, 0], tabular=SCALED, threshold=2.5)).card
    assert (card.tabular, card.anomaly) == (
        SCALED, Anomaly(threshold=2.5, chosen="best F1 on the validation part")
    )  # fmt: skip
    assert load_card(dump_card(card)) == card
    assert card.unknown() == ()


def test_a_card_of_other_columns_than_the_model_takes_is_refused(tmp_path: Path) -> None:
    path = detector(tmp_path / "d.onnx", [0, 0, 0])
    with pytest.raises(CardError) as caught:
        attach_card(path, replace(open_artifact(path).card, tabular=Tabular(columns=PLAIN.columns[:2])))
    assert str(caught.value) == "The card's table has 2 columns; the model's input 'features' is any x 3 float32."


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    plain = open_data(str(write_csv(tmp_path / "a.csv")), part=Part.EVALUATION, data_dir=None)
    turned = open_data(str(write_csv(tmp_path / "b.csv", order=(2, 0, 1))), part=Part.EVALUATION, data_dir=None)
    assert turned.columns == ("speed", "heat", "noise")
    assert not np.array_equal(np.asarray(turned.items[3]), np.asarray(plain.items[3]))
    sorted_out = rows_for(turned, PLAIN)
    assert sorted_out.columns == NAMES
    assert [item_digest(item) for item in sorted_out] == [item_digest(item) for item in plain]
    assert rows_for(table(columns=()), PLAIN).columns == ()
    with pytest.raises(DataError) as caught:
        rows_for(replace(turned, columns=("speed", "heat", "din")), PLAIN)
    assert str(caught.value) == (
        "b lacks the column 'noise', which the model takes; it has: speed, heat, din."
    )  # fmt: skip


class Compared(str):
    """A name that counts how often one is compared with another."""

    __slots__ = ()
    times = 0

    def __eq__(self, other: object) -> bool:
        Compared.times += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_wide_tables_are_read_in_linear_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    count = 500
    columns, names = (tuple(Compared(f"c{number}") for number in range(count)) for _ in range(2))
    numbers = Table("wide.csv", columns, ((2, tuple(map(str, range(count)))),))
    dated = Table("dates.csv", columns, ((2, ("2017-05-25", *(count - 1) * ("1",))),))
    how = Tabular(columns=tuple(Column(name=name, mean=0, scale=1) for name in reversed(names)))
    monkeypatch.setattr(tables, "parse_table", lambda *_: numbers)
    monkeypatch.setattr(Compared, "times", 0)
    (path := tmp_path / "wide.csv").touch()
    for data in (read_csv(path), rows_for(read_rows(path, names), how)):
        assert np.asarray(data.items[0])[[0, -1]].tolist() in ([0, 499], [499, 0])
    assert series_of(dated, None, name="dates").columns == columns[-1:]
    assert Compared.times < 50 * count


def test_files_of_other_columns_are_not_run_together(tmp_path: Path) -> None:
    other = Tabular(columns=tuple(replace(column, name=column.name.upper()) for column in PLAIN.columns))
    paths = [detector(tmp_path / "a.onnx", [0] * 3), detector(tmp_path / "b.onnx", [0] * 3, tabular=other)]
    with pytest.raises(InputError) as caught:
        HeldOut(table(), [open_artifact(path) for path in paths], samples=None, seed=0)
    assert str(caught.value) == (
        f"{paths[0]} and {paths[1]} take other columns, or in another order; expected one table: run them apart."
    )


def test_an_npz_of_rows_is_taken_in_its_order(tmp_path: Path) -> None:
    values, labels = rows()
    np.savez(tmp_path / "t.npz", x=values, y=labels)
    data = open_data(str(tmp_path / "t.npz"), part=Part.EVALUATION, data_dir=None)
    np.testing.assert_array_equal(np.asarray(rows_for(data, PLAIN).items[5]), values[5])


@pytest.mark.parametrize(
    ("name", "columns", "train", "test"),
    [
        ("fraud", 29, (6016, 284), (4031, 189)),
        ("mammography", 6, (4705, 153), (4473, 104)),
        ("thyroid", 6, (2210, 56), (1509, 37)),
        ("shuttle", 9, (29459, 2107), (19638, 1404)),
    ],
)
def test_known_tables_have_parts_of_their_own(
    name: str, columns: int, train: tuple[int, int], test: tuple[int, int], shared_data: Path
) -> None:
    parts = [open_data(name, part=part, data_dir=shared_data) for part in (Part.TRAIN, Part.EVALUATION)]
    for part, counts in zip(parts, (train, test), strict=True):
        assert part.labels is not None
        assert (len(part), int(part.labels.sum())) == counts
        assert np.asarray(part.items[0]).shape == (columns,)
        assert part.class_names == ("normal", "anomaly")
    digests = [{item_digest(item) for item in part} for part in parts]
    assert not digests[0] & digests[1]
    assert KNOWN[name].class_names == ("normal", "anomaly")


def test_time_is_no_column_of_the_payments(shared_data: Path) -> None:
    columns = open_data("fraud", part=Part.TRAIN, data_dir=shared_data).columns
    assert (columns[0], columns[-1], len(columns)) == ("V1", "Amount", 29)


@pytest.mark.slow
def test_letters_are_the_anomalies_among_digits(shared_data: Path) -> None:
    learn, test = (
        open_data("digits_or_letters", part=part, data_dir=shared_data) for part in (Part.TRAIN, Part.EVALUATION)
    )
    assert learn.labels is not None
    assert test.labels is not None
    assert (len(learn), learn.labels.any()) == (60_000, False)
    assert (len(test), int(test.labels.sum())) == (9500, 1500)
    assert np.asarray(test.items[-1]).shape == (28, 28, 1)


def test_digits_that_are_not_there_are_told_of(tmp_path: Path) -> None:
    path = tmp_path / "notmnist" / "notmnist.npz"
    path.parent.mkdir()
    np.savez(path, x_train=np.zeros((2, 28, 28), np.uint8), x_test=np.zeros((2, 28, 28), np.uint8))
    with pytest.raises(DataError) as caught:
        open_data("digits_or_letters", part=Part.TRAIN, data_dir=tmp_path)
    assert str(caught.value) == (
        f"There is no file {tmp_path / 'mnist' / 'mnist.npz'}, whose digits digits_or_letters takes beside {path}; put "
        "it there."
    )
