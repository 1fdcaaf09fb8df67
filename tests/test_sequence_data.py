"""Texts, series and answers as data: what is read, how it is divided, and what is refused."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from edgekit.data import Dataset, Part, known, open_data, packed
from edgekit.data.known_sequences import OPINIONS
from edgekit.data.number_texts import spelt
from edgekit.errors import DataError

PRICES = "Date,Open,Close,Volume\n2017-01-03,1,10,7\n2017-01-04,2,20,8\n2017-01-05,3,30,9\n"


def read(path: Path | str, part: Part = Part.TRAIN) -> Dataset:
    return open_data(str(path), part=part, data_dir=None)


def refused(path: Path | str) -> str:
    with pytest.raises(DataError) as caught:
        read(path)
    return str(caught.value)


def written(path: Path, text: str | bytes) -> Path:
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("ending", [".txt", ".txt.gz", ".TXT"])
def test_a_text_file_is_one_long_text_divided_in_time(ending: str, tmp_path: Path) -> None:
    path = written(tmp_path / f"book{ending}", "\ufeff" + "naïve\r\n" * 100)
    train, test = read(path), read(path, Part.EVALUATION)
    assert (train.name, train.whole, len(str(test.whole))) == ("book", "naïve\n" * 90, 60)
    assert str(train.items[0]) == ("naïve\n" * 90)[:101]


def test_a_text_that_is_none_is_refused(tmp_path: Path) -> None:
    empty = written(tmp_path / "empty.txt", " \n")
    assert refused(empty) == f"{empty} holds no text; expected a long one."
    latin = written(tmp_path / "latin.txt", "na\xefve".encode("latin-1"))
    assert refused(latin) == f"{latin} is not a text in UTF-8: invalid continuation byte at byte 2."
    torn = tmp_path / "torn.txt.gz"
    torn.write_bytes(gzip.compress(b"abc" * 99)[:-9])
    assert refused(torn) == (
        f"{torn} is not a readable gzip file: Compressed file ended before the end-of-stream marker was reached."
    )
    plain = tmp_path / "plain.txt.gz"
    plain.write_bytes(b"no gzip")
    assert refused(plain) == f"{plain} is not a readable gzip file: Not a gzipped file (b'no')."


def test_a_small_file_that_unpacks_to_a_huge_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = written(tmp_path / "bomb.txt.gz", b"a" * 10_001)
    monkeypatch.setattr(packed, "MOST_BYTES", 10_001)
    assert len(str(read(bomb).whole)) == 9001
    monkeypatch.setattr(packed, "MOST_BYTES", 10_000)
    assert refused(bomb) == f"{bomb} holds more than 10,000 bytes of text; expected fewer: cut it."


def test_a_plain_text_has_a_size_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "long.txt", b"a" * 10_001)
    monkeypatch.setattr(packed, "MOST_BYTES", 10_000)
    assert refused(path) == f"{path} holds more than 10,000 bytes of text; expected fewer: cut it."


@pytest.mark.parametrize("name", ["pipe.txt", "pipe.csv", "pipe.txt.gz"])
def test_a_pipe_is_not_waited_for(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    assert refused(tmp_path / name) == f"{tmp_path / name} is no file; expected one with a text or a table."


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        packed.unpacked(tmp_path / "gone.csv.gz")
    assert str(caught.value) == f"{tmp_path / 'gone.csv.gz'} cannot be read: No such file or directory."


def test_a_table_with_dates_is_a_series_of_its_close(tmp_path: Path) -> None:
    data = open_data(str(written(tmp_path / "p.csv.gz", PRICES)), part=Part.CALIBRATION, data_dir=None)
    assert (data.name, data.columns, data.labels) == ("p", ("Close",), None)
    assert isinstance(data.whole, np.ndarray)
    assert data.whole.dtype == np.float64
    assert data.whole.ravel().tolist() == [10, 20, 30]
    last = read(written(tmp_path / "last.csv", PRICES.replace("Close", "Price")))
    assert last.columns == ("Volume",)


def test_columns_after_a_colon_are_chosen_and_the_first_is_forecast(tmp_path: Path) -> None:
    path = written(tmp_path / "p.csv", PRICES)
    data = read(f"{path}:Volume, Open")
    assert isinstance(data.whole, np.ndarray)
    assert (data.columns, data.whole.tolist()) == (("Volume", "Open"), [[7, 1], [8, 2], [9, 3]])
    undated = written(tmp_path / "undated.csv", "a,b\n1,x\n2,y\n3,z\n")
    assert read(f"{undated}:a").columns == ("a",)
    assert refused(f"{path}:Open,Open") == f"Open, Open names a column of {path} twice; expected each once."
    assert refused(f"{path}:Low") == f"{path} lacks the column 'Low'; it has: Date, Open, Close, Volume."
    assert refused(f"{tmp_path / 'gone.csv'}:Low") == f"There is no file or folder {tmp_path / 'gone.csv'}:Low."
    (tmp_path / "a:b").mkdir()
    odd = written(tmp_path / "a:b" / "p.csv", PRICES)  # a colon of a folder chooses nothing
    assert read(odd).columns == ("Close",)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("20,8", ",8", "line 3, has the Close ''; expected a number: fill it in or leave the line out."),
        ("20,8", "null,8", "line 3, has the Close 'null'; expected a number."),
        (
            "01-05",
            "01-02",
            "line 4, has the date '2017-01-02' after '2017-01-04'; expected the oldest first: sort the file.",
        ),
        (
            "01-05",
            "01-04",
            "line 4, has the date '2017-01-04' of the line before it; expected each date once.",
        ),
        ("2017-01-03", "2017-1-3", "line 2, has the Date '2017-1-3'; expected a date such as 2017-05-25."),
        ("2017-01-05", "", "line 4, has the Date ''; expected a date such as 2017-05-25."),
        ("20,8", "2_0,8", "line 3, has the Close '2_0'; expected a number."),
        ("1,10", "1,null", "line 2, has the Close 'null'; expected a number."),
    ],
)
def test_a_series_with_a_hole_or_out_of_order_is_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = written(tmp_path / "p.csv", PRICES.replace(old, new))
    assert refused(path) == f"{path}, {message}"


def test_dates_in_another_form_must_look_sorted(tmp_path: Path) -> None:
    newest = written(tmp_path / "n.csv", "Day,Close\n01/04/2017,2\n01/03/2017,1\n")
    assert refused(f"{newest}:Close") == (
        f"{newest}, line 3, has the Day '01/03/2017' after '01/04/2017'; expected words that sort like their times: "
        "write dates as 2017-05-25, the oldest first."
    )
    oldest = written(tmp_path / "o.csv", "Day,Close\n01/03/2017,1\n01/04/2017,2\n")
    assert read(f"{oldest}:Close").columns == ("Close",)


def test_a_column_of_notes_is_not_forecast(tmp_path: Path) -> None:
    notes = PRICES.replace("Volume", "Note").replace("Close", "Price")
    path = written(tmp_path / "p.csv", notes.replace(",7\n", ",\n").replace(",8\n", ",split\n").replace(",9\n", ",\n"))
    data = read(path)
    assert data.columns == ("Price",)
    bare = written(tmp_path / "b.csv", "Date,Note\n2017-01-03,\n2017-01-04,\n")
    assert refused(bare) == f"{bare} has dates and no column of numbers; expected one to forecast."


def test_a_series_that_is_not_finite_is_refused_by_its_line(tmp_path: Path) -> None:
    path = written(tmp_path / "p.csv", PRICES.replace("20,8", "nan,8"))
    assert refused(path) == (
        f"{path}, line 3, has the Close nan; expected a finite number: fill it in or leave the line out."
    )


def test_numbers_with_a_label_are_items_as_before(tmp_path: Path) -> None:
    data = read(written(tmp_path / "n.csv", "a,b,label\n1,2,0\n3,4,1\n"))
    assert data.labels is not None
    assert (data.whole, data.labels.tolist(), len(data)) == (None, [0, 1], 2)
    assert read(written(tmp_path / "m.csv.gz", "a,b\n20170103,2\n")).whole is None


def test_labelled_texts_have_numbers_or_words_as_classes(tmp_path: Path) -> None:
    numbers = read(written(tmp_path / "n.csv", 'stars,label,text\n1,0,"bad, worse"\n9,1,good\n'))
    assert numbers.labels is not None
    assert (list(numbers), numbers.labels.tolist(), numbers.class_names) == (["bad, worse", "good"], [0, 1], None)
    words = read(written(tmp_path / "w.csv", "text,label\na b,sad\nc,glad\nd,sad\n"))
    assert words.labels is not None
    assert (words.labels.tolist(), words.class_names) == ([1, 0, 1], ("glad", "sad"))
    assert read(written(tmp_path / "t.csv", "text\na b\n")).labels is None


def test_answers_stand_beside_their_questions(tmp_path: Path) -> None:
    data = read(written(tmp_path / "q.csv", "input,output\n1+1,2\nJan,January\n"))
    assert (list(data), data.answers) == (["1+1", "Jan"], ("2", "January"))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("text,label\na,0\n,1\n", "line 3, has the text ''; expected some text."),
        ("text,label\na,\n", "line 2, has the label ''; expected some text."),
        ("input,output\na,\n", "line 2, has the output ''; expected some text."),
    ],
)
def test_a_table_with_an_empty_text_is_refused(table: str, message: str, tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", table)
    assert refused(path) == f"{path}, {message}"


def test_sums_are_right_and_no_two_have_the_same_terms() -> None:
    train, test = read("sums"), read("sums", Part.EVALUATION)
    assert (len(train), len(test)) == (60_000, 2000)
    pairs = [tuple(sorted(map(int, str(item).split("+")))) for data in (train, test) for item in data]
    assert len(set(pairs)) == len(pairs)
    assert train.answers is not None
    assert test.answers is not None
    assert [str(sum(pair)) for pair in pairs] == [*train.answers, *test.answers]
    assert (train.items[0], test.items[0]) == ("99+9", "765+879")


def test_numbers_are_named_in_both_parts_apart() -> None:
    train, test = read("number_names"), read("number_names", Part.EVALUATION)
    assert (len(train), len(test), len({*train, *test})) == (9000, 1000, 10_000)
    assert test.answers is not None
    assert test.answers[0] == spelt(int(str(test.items[0])))
    assert [spelt(n) for n in (0, 10, 19, 20, 99, 100, 1000, 2018)] == [
        "zero", "ten", "nineteen", "twenty", "ninety nine", "one hundred", "one thousand", "two thousand eighteen",
    ]  # fmt: skip


def test_known_texts_and_series_are_divided_as_documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_DATA", str(tmp_path))
    for folder in ("text", "imdb", "dow_jones"):
        (tmp_path / folder).mkdir()
    written(tmp_path / "text/warpeace_input.txt.gz", "abcdefghij" * 10)
    assert (read("warpeace").name, read("warpeace", Part.EVALUATION).whole) == ("warpeace", "abcdefghij")
    for part in ("train", "test"):
        written(tmp_path / f"imdb/imdb_{part}.csv.gz", f"label,stars,text\n0,1,bad {part}\n1,9,good\n")
    assert [read("imdb", part).items[0] for part in Part] == ["bad train", "bad train", "bad test"]
    assert read("imdb").class_names == OPINIONS
    written(tmp_path / "imdb/rt_polarity.csv.gz", "label,text\n" + "".join(f"{i % 2},t{i}\n" for i in range(4000)))
    train, test = read("rt_polarity"), read("rt_polarity", Part.EVALUATION)
    assert train.labels is not None
    assert test.labels is not None
    assert (np.bincount(train.labels).tolist(), np.bincount(test.labels).tolist()) == ([1467, 1467], [533, 533])
    assert not set(train) & set(test)
    assert list(test)[:4] == ["t4", "t9", "t13", "t23"]  # the same ones wherever a model was trained, and not the first
    days = ("2000-12-29,1", "2001-01-02,2", "2016-12-30,3", "2017-01-03,4", "2017-05-25,5")
    written(tmp_path / "dow_jones/DJI_yahoo_1985-2017.csv.gz", "Date,Close\n" + "\n".join(days))
    wholes = [read("dow_jones", part).whole for part in Part]
    assert [w.ravel().tolist() for w in wholes if isinstance(w, np.ndarray)] == [[2, 3], [2, 3], [4, 5]]


def test_a_label_that_a_known_set_has_not_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_DATA", str(tmp_path))
    (tmp_path / "imdb").mkdir()
    path = written(tmp_path / "imdb/imdb_train.csv.gz", "label,text\n2,bad\n")
    assert refused("imdb") == f"{path} has the label 2; expected 0 to 1."
    written(path, "label,text\nmeh,bad\n")
    assert refused("imdb") == f"{path}, line 2, has the label 'meh'; expected one of: negative, positive."
    assert known.KNOWN["imdb"].location == "imdb/imdb_train.csv.gz"
