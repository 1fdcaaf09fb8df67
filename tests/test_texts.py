"""Texts and series as inputs: the same numbers everywhere, and back."""

import dataclasses

import numpy as np
import pytest

from edgekit.card import ModelCard, TensorSpec, dump_card, load_card
from edgekit.data.base import Dataset, Part, item_digest
from edgekit.data.windows import Windows, cut_for, long_data, windows
from edgekit.errors import CardError, DataError
from edgekit.feeding import Feeder
from edgekit.generation import Condition, Drawn, Generator
from edgekit.sequences import Encoding, Level, Scaling, Sequences, Series, Side, State, Text, Vocabulary
from edgekit.tasks.series import encode_window
from edgekit.tasks.texts import encode, spell, token_ids, tokenize, vocabulary_of

LETTERS = vocabulary_of("abc", level=Level.CHARACTER, unknown="<unknown>", padding="<padding>", lower=True)
STRICT = Vocabulary(level=Level.CHARACTER, tokens=("a", "b"))


def text(**changed: object) -> Text:
    return dataclasses.replace(Text(vocabulary=LETTERS, length=4, encoding=Encoding.INDEX), **changed)


def test_special_tokens_come_first_and_are_no_characters() -> None:
    assert (LETTERS.tokens[:2], LETTERS.padding, LETTERS.unknown) == (("<padding>", "<unknown>"), 0, 1)
    assert token_ids("aC?", LETTERS).tolist() == [2, 4, 1]
    assert token_ids("<", LETTERS).tolist() == [1]
    words = vocabulary_of(["good"], level=Level.WORD, unknown="bad", padding="")
    assert token_ids("bad good", words).tolist() == [1, 2]  # a special token's name in a text is an ordinary word


def test_words_are_told_apart_from_marks_and_breaks() -> None:
    told = tokenize("It's NOT good<br />(really)... 10/10 - naïve!?", Level.WORD, lower=True)
    assert told == ["it's", "not", "good", "really", "10", "10", "naïve", "!", "?"]


@pytest.mark.parametrize(
    ("given", "keep", "fill", "ids"),
    [
        ("abcab", Side.START, Side.END, [2, 3, 4, 2]),
        ("abcab", Side.END, Side.END, [3, 4, 2, 3]),
        ("ab", Side.START, Side.END, [2, 3, 0, 0]),
        ("ab", Side.START, Side.START, [0, 0, 2, 3]),
    ],
)
def test_a_text_is_cut_or_filled(given: str, keep: Side, fill: Side, ids: list[int]) -> None:
    found = encode(given, text(keep=keep, fill=fill))
    assert (found.dtype, found.tolist()) == (np.int32, ids)
    one_hot = encode(given, text(keep=keep, fill=fill, encoding=Encoding.ONE_HOT))
    assert (one_hot.dtype, one_hot.shape, one_hot.argmax(axis=1).tolist()) == (np.float32, (4, 5), ids)
    assert one_hot.sum() == 4


def test_numbers_are_spelt_without_padding() -> None:
    assert spell([2, 3, 4, 0, 0], LETTERS) == "abc"
    assert spell(np.array([2, 1]), vocabulary_of(["good", "bad"], level=Level.WORD, unknown="?")) == "bad good"


def test_what_is_not_known_is_refused_where_nothing_stands_for_it() -> None:
    with pytest.raises(DataError, match=r"^The model does not know 'c'; it knows 'ab': leave it out\.$"):
        token_ids("abc", STRICT)
    lower = Vocabulary(level=Level.CHARACTER, tokens=("a", "i"), lower=True)
    for text_, unknown in (("aİa", "İ"), ("İ", "İ"), ("aIB", "B"), ("aÄ", "Ä")):
        with pytest.raises(DataError, match=rf"^The model does not know '{unknown}'; it knows 'ai': leave it out\.$"):
            token_ids(text_, lower)
    words = Vocabulary(level=Level.WORD, tokens=("a", "b"))
    with pytest.raises(DataError, match=r"^The model does not know 'c'; it knows '2 words': leave it out\.$"):
        token_ids("a c", words)
    with pytest.raises(DataError, match=r"^A text has 1 tokens; the model takes 4: give a longer one\.$"):
        encode("a", text(vocabulary=STRICT))
    with pytest.raises(DataError, match=r"^A text has 0 tokens; the model takes 4: give a longer one\.$"):
        encode("", text(vocabulary=STRICT))


def test_a_window_is_scaled_by_its_last_value() -> None:
    how = Series(length=3, columns=("price", "volume"), scaling=Scaling.LAST)
    window = np.array([[1.0, 10], [2, 20], [4, 40], [8, 80]])
    assert encode_window(window, how).tolist() == [[0.25, 2.5], [0.5, 5], [1, 10]]
    assert encode_window(window, dataclasses.replace(how, scaling=Scaling.NONE)).tolist() == window[:3].tolist()
    window[2, 0] = 0
    with pytest.raises(
        DataError,
        match=r"^The last value of a window is 0, by which the model's inputs are divided; expected another number "
        r"than 0: give a series that stays away from it\.$",
    ):
        encode_window(window, how)
    window[1, 1] = np.nan
    with pytest.raises(
        DataError, match=r"^A window of a series holds NaN or infinity; expected finite numbers: clean the data\.$"
    ):
        encode_window(window, how)
    with pytest.raises(
        DataError, match=r"^A window of a series is 4 x 1; the model takes 3 rows of 2: price, volume\.$"
    ):
        encode_window(window[:, :1], how)


def test_long_data_are_windows_and_their_end_is_the_test() -> None:
    whole = "".join(chr(97 + i % 26) for i in range(1000))
    parts = {part: long_data(whole, part, name="book") for part in Part}
    assert [len(str(data.whole)) for data in parts.values()] == [900, 900, 100]
    assert str(parts[Part.TRAIN].whole) + str(parts[Part.EVALUATION].whole) == whole
    cut = windows(parts[Part.TRAIN], 10)
    assert (len(cut), cut.items[0], cut.items[1]) == (89, whole[:11], whole[10:21])  # every character once a target
    series = long_data(np.arange(20.0)[:, None], Part.TRAIN, name="prices", columns=("close",))
    assert [w[:, 0].tolist() for w in windows(series, 15)] == [[*range(i, i + 16)] for i in range(3)]
    with pytest.raises(IndexError):
        Windows(whole, 10, 10)[99]
    with pytest.raises(DataError, match=r"^prices has 18 rows; one window takes 19: give longer data\.$"):
        windows(series, 18)
    with pytest.raises(DataError, match=r"^book has 100 characters; one window takes 101: give longer data\.$"):
        windows(parts[Part.EVALUATION], 100)
    with pytest.raises(
        DataError,
        match=r"^few is no long text or series; expected a \.txt file, or a \.csv with a column of values\.$",
    ):
        windows(Dataset(name="few", items=["a"]), 2)


def test_data_are_cut_for_the_model_that_takes_them() -> None:
    how = Sequences(series=Series(length=4, columns=("b",), scaling=Scaling.NONE))
    series = long_data(np.arange(40.0).reshape(20, 2), None, name="prices", columns=("a", "b"))
    assert cut_for(series, None) is series
    cut = cut_for(series, how)
    assert (len(cut), cut.items[0].ravel().tolist()) == (16, [1, 3, 5, 7, 9])
    book = long_data("ab" * 14, None, name="book")
    assert cut_for(book, Sequences(text=text(vocabulary=STRICT))).items[0] == "ababa"
    assert (cut.columns, cut.labels) == (("b",), None)
    with pytest.raises(IndexError):
        cut.items[-17]
    with pytest.raises(DataError, match=r"^book is a text; the model takes a series: give data of its kind\.$"):
        cut_for(book, how)
    with pytest.raises(DataError, match=r"^prices is a series; the model takes texts: give data of its kind\.$"):
        cut_for(series, Sequences(text=text()))
    with pytest.raises(DataError, match=r"^prices lacks the column 'c'; it has: a, b\.$"):
        cut_for(series, Sequences(series=Series(length=4, columns=("c",), scaling=Scaling.NONE)))


def test_a_feeder_turns_texts_and_windows_into_inputs() -> None:
    spec = (TensorSpec(name="text", shape=(1, 4), dtype="int32"),)
    assert Feeder(spec, None, Sequences(text=text())).feed("abc")["text"].tolist() == [2, 3, 4, 0]
    sentence = (
        r"^The data holds texts and the model's card does not say how they become its input: take a model that was "
        r"trained on texts by edgekit, or attach a card with a vocabulary\.$"
    )
    with pytest.raises(DataError, match=sentence):
        Feeder(spec, None).feed("abc")
    how = Sequences(series=Series(length=2, columns=("close",), scaling=Scaling.LAST))
    window = np.array([[1.0], [2], [3]])
    rows = (TensorSpec(name="window", shape=(1, 2, 1), dtype="float32"),)
    assert Feeder(rows, None, how).feed(window)["window"].tolist() == [[0.5], [1]]
    assert item_digest("abc") != item_digest("abd")


def test_a_card_remembers_them() -> None:
    card = ModelCard(
        name="m",
        inputs=(),
        outputs=(),
        sequences=Sequences(text=text(), answer=text(length=2), states=(State(input="h", output="new_h"),)),
        generator=Generator(noise=Drawn(name="noise", size=3), condition=Condition(name="c", classes=2, asked=True)),
    )
    assert load_card(dump_card(card)) == card


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Vocabulary(level=Level.WORD, tokens=("a",)), "A vocabulary has 2 to 1,000,000 tokens; got 1."),
        (
            lambda: Vocabulary(level=Level.WORD, tokens=("a", "a")),
            "A vocabulary has a token twice; expected each once.",
        ),
        (
            lambda: Vocabulary(level=Level.WORD, tokens=("a", "b"), unknown=2),
            "A vocabulary of 2 tokens has the unknown token 2; expected one of them.",
        ),
        (
            lambda: Vocabulary(level=Level.WORD, tokens=("a", "b"), unknown=1, padding=1),
            "A vocabulary has token 1 as unknown and as padding; expected two tokens.",
        ),
        (lambda: text(length=0), "A sequence has 1 to 1,000,000 steps; got 0."),
        (
            lambda: Series(length=2, columns=(), scaling=Scaling.NONE),
            "A series has no column; expected the one that is forecast.",
        ),
        (lambda: Sequences(), "A sequence model takes either text or a series; its card tells of both or of none."),
        (
            lambda: Sequences(text=text(), states=(State(input="h", output="h"),)),
            "Two states of a card share an input or an output; expected one of each for every state.",
        ),
        (lambda: Drawn(name="z", size=0), "Input 'z' of a generator has 1 to 100,000 numbers; got 0."),
        (
            lambda: Drawn(name="z", size=1, low=1.0, high=1.0),
            "Input 'z' of a generator is drawn between 1.0 and 1.0; expected two ends, the lower one first, in "
            "the range of float32.",
        ),
        (
            lambda: Drawn(name="z", size=1, low=-3e38, high=3e38),
            "Input 'z' of a generator is drawn between -3e+38 and 3e+38; expected two ends, the lower one first, in "
            "the range of float32.",
        ),
        (
            lambda: Drawn(name="z", size=1, low=float("nan")),
            "Input 'z' of a generator is drawn between nan and 1.0; expected two ends, the lower one first, in the "
            "range of float32.",
        ),
        (lambda: Condition(name="c", classes=1, asked=True), "A generator has 2 to 100,000 classes; got 1."),
        (
            lambda: Generator(noise=Drawn(name="z", size=1), code=Drawn(name="z", size=1)),
            "Two inputs of a generator have one name: z, z; expected different ones.",
        ),
        (
            lambda: Generator(noise=Drawn(name="z", size=1), low=1.0, high=0.0),
            "A generator's black is 1.0 and its white 0.0; expected black below white, in the range of float32.",
        ),
        (
            lambda: Generator(noise=Drawn(name="z", size=1), low=-1e308, high=1e308),
            "A generator's black is -1e+308 and its white 1e+308; expected black below white, in the range of float32.",
        ),
    ],
)
def test_a_card_that_makes_no_sense_is_refused(make: object, message: str) -> None:
    with pytest.raises(CardError) as caught:
        make()  # type: ignore[operator]
    assert str(caught.value) == message


def test_a_window_that_float32_does_not_hold_is_refused() -> None:
    with pytest.raises(
        DataError,
        match=r"^A window of a series is divided by 1e-310 and no longer fits into float32; expected values of a like "
        r"size: give a series that stays away from 0\.$",
    ):
        encode_window(np.array([[1.0], [1e-310]]), Series(length=2, columns=("close",), scaling=Scaling.LAST))
