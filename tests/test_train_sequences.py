"""Training on texts, series, opinions and answers: what is learned, that it can go on, and what is refused."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.artifact import open_artifact
from edgekit.card import ModelCard
from edgekit.errors import DataError, InputError
from edgekit.measure.evaluate_kinds import evaluate_kind
from edgekit.models.batches import Share
from edgekit.models.checkpoint import EpochRecord
from edgekit.models.forecast_lesson import ForecastLesson, Scaled, forecast_material
from edgekit.models.lesson import Course, Material, Terms
from edgekit.models.listing import epoch_line, train_entry, train_rows
from edgekit.models.opinion_lesson import Labelled, OpinionLesson
from edgekit.models.phases import optimizer_for, phases
from edgekit.models.registry import find_spec
from edgekit.models.sequence_parts import divided, outputs_of, read_sequences
from edgekit.models.spec import ModelSpec, Optimizer
from edgekit.models.train import TrainingInterruptedError, TrainRequest, train
from edgekit.models.turns import Turns, starts_of_epoch
from edgekit.models.writing_lesson import WritingLesson, foretold_text, writing_material
from edgekit.sequences import Encoding, Level, Scaling, Side, Text
from edgekit.tasks.texts import encode, spell, token_ids, vocabulary_of
from edgekit.workers import silent

ABC = Text(vocabulary=vocabulary_of("abc", level=Level.CHARACTER), length=4, encoding=Encoding.ONE_HOT)


def book(folder: Path) -> Path:
    path = folder / "book.txt"
    path.write_text("The cat sat on the mat. " * 60)
    return path


def prices(folder: Path) -> Path:
    path = folder / "prices.csv"
    days = np.datetime64("2020-01-01") + np.arange(160)
    values = 100 + 10 * np.sin(np.arange(160) / 5)
    path.write_text("Date,Close\n" + "\n".join(f"{d},{v:.3f}" for d, v in zip(days, values, strict=True)))
    return path


def opinions(folder: Path) -> Path:
    path = folder / "opinions.csv"
    rows = [f"it was {('really good', 'really bad')[i % 2]} on day {i},{('glad', 'sad')[i % 2]}" for i in range(60)]
    path.write_text("text,label\n" + "\n".join(rows))
    return path


def answers(folder: Path) -> Path:
    path = folder / "answers.csv"
    path.write_text("input,output\n" + "\n".join(f"{i},{('one', 'two', 'three', 'four')[i % 4]}" for i in range(80)))
    return path


MADE: dict[str, tuple[Callable[[Path], Path], dict[str, Any]]] = {
    "char_rnn": (book, {"units": 8, "layers": 2, "length": 8}),
    "char_lstm": (book, {"units": 8, "layers": 1, "length": 8, "dropout": 0.2}),
    "gru_forecast": (prices, {"units": 8}),
    "bilstm_sentiment": (opinions, {"units": 8, "embedding": 8, "length": 6}),
    "seq2seq": (answers, {"units": 8}),
    "vec2seq": (answers, {"units": 8}),
}
"""Data of a user's own for each entry, and a size that is trained in no time."""


def request(name: str, data: object, **changes: Any) -> TrainRequest:
    spec = find_spec(name)
    small = replace(spec.presets["small"], epoch_steps=spec.presets["small"].epoch_steps and 6)
    base = TrainRequest(
        spec=replace(spec, presets={"small": small}), data=str(data), epochs=3, batch_size=8, arguments=MADE[name][1]
    )
    return replace(base, **changes)


def weights_of(model: Path) -> list[Any]:
    import keras

    return list(keras.saving.load_model(model, safe_mode=True).get_weights())


def interrupt(record: EpochRecord, _epochs: int) -> None:
    if record.epoch == 2:
        raise KeyboardInterrupt


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, ModelCard]]:
    """The data and the card of an entry after an uninterrupted training, made once."""
    done: dict[str, tuple[Path, ModelCard]] = {}

    def of(name: str) -> tuple[Path, ModelCard]:
        if name not in done:
            folder = tmp_path_factory.mktemp(name)
            data = MADE[name][0](folder)
            model = train(request(name, data), folder / "run")
            done[name] = (data, open_artifact(model).card)
        return done[name]

    return of


@pytest.mark.parametrize("name", MADE)
def test_an_interrupted_training_ends_with_the_same_weights(name: str, trained: Any, tmp_path: Path) -> None:
    data, _ = trained(name)
    with pytest.raises(TrainingInterruptedError):
        train(request(name, data), tmp_path / "run", on_epoch=interrupt)
    again = weights_of(train(request(name, data), tmp_path / "run"))
    whole = weights_of(data.parent / "run/model.keras")
    assert all(map(np.array_equal, whole, again))
    assert any(np.any(a != b) for a, b in zip(whole, _first_weights(name, trained), strict=True))


def _first_weights(name: str, trained: Any) -> list[Any]:
    from edgekit.models.build import build

    arguments = trained(name)[1].provenance.arguments
    return list(build(find_spec(name), seed=0, **arguments).get_weights())


@pytest.mark.parametrize("name", ["char_rnn", "char_lstm"])
def test_a_writer_says_its_characters_and_how_well_it_foretells(name: str, trained: Any) -> None:
    _, card = trained(name)
    text = card.sequences.text
    assert (text.length, text.encoding, text.vocabulary.lower) == (8, Encoding.ONE_HOT, True)
    assert text.vocabulary.tokens == ("<unknown>", *sorted(set("the cat sat on the mat. ")))
    assert card.inputs[0].shape == (None, 8, len(text.vocabulary.tokens))
    figures = {m.name: m.value for m in card.metrics}
    assert list(figures) == ["nats_per_token", "perplexity", "top1"]
    assert figures["perplexity"] == pytest.approx(math.exp(figures["nats_per_token"]))
    assert {(m.data, m.count) for m in card.metrics} == {("book", 136)}  # 17 windows of 8 in 144 characters


def test_a_forecaster_says_its_columns_and_how_it_compares_with_no_change(trained: Any) -> None:
    _, card = trained("gru_forecast")
    series = card.sequences.series
    assert (series.length, series.columns, series.scaling) == (10, ("Close",), Scaling.LAST)
    figures = {m.name: m.value for m in card.metrics}
    assert list(figures) == ["mse", "mae", "persistence_mse", "mse_ratio"]
    assert figures["mse_ratio"] == pytest.approx(figures["mse"] / figures["persistence_mse"])
    values = 100 + 10 * np.sin(np.arange(160) / 5)
    test = np.round(values[144:], 3)  # 6 windows of 10 rows and one after
    assert figures["persistence_mse"] == pytest.approx(np.mean((test[10:] / test[9:-1] - 1) ** 2), rel=1e-4)
    assert {m.count for m in card.metrics} == {6}


def test_an_opinion_has_classes_and_the_commonest_words(trained: Any) -> None:
    data, card = trained("bilstm_sentiment")
    text = card.sequences.text
    assert card.labels == ("glad", "sad")
    assert (text.encoding, text.keep, text.fill) == (Encoding.INDEX, Side.END, Side.START)
    assert text.vocabulary.tokens[:4] == ("<padding>", "<unknown>", "day", "it")
    (metric,) = card.metrics
    assert (metric.name, metric.data, metric.count) == ("top1", "opinions, 20% held out", 12)
    assert metric.low <= metric.value <= metric.high
    held = read_sequences(find_spec("bilstm_sentiment"), str(data), None, lambda _: True).test
    only_there = {str(item).split()[-1] for item in held}  # each text ends with a number of its own
    assert not only_there & set(text.vocabulary.tokens)
    assert len(card.provenance.training.items) == 48


@pytest.mark.parametrize(("name", "level"), [("seq2seq", Level.CHARACTER), ("vec2seq", Level.WORD)])
def test_an_answer_is_spelt_in_characters_or_words(name: str, level: Level, trained: Any) -> None:
    data, card = trained(name)
    text, answer = card.sequences.text, card.sequences.answer
    assert (text.length, text.vocabulary.tokens) == (2, ("<padding>", *"0123456789"))
    assert (answer.vocabulary.level, answer.length) == (level, 5 if level is Level.CHARACTER else 1)
    assert card.outputs[0].shape == (None, answer.length, len(answer.vocabulary.tokens))
    exact, top1 = card.metrics
    held = read_sequences(find_spec(name), str(data), None, lambda _: True).test
    tokens = sum(len(token_ids(right, answer.vocabulary)) for right in held.answers)
    assert (exact.name, exact.count, top1.name, top1.count) == ("exact", 16, "top1", tokens)
    report = evaluate_kind([data.parent / "run/model.keras"], held, task="sequence-to-sequence")
    figures = report.entries[0].metrics()
    assert (exact.value, exact.low, exact.high) == (figures["exact"], figures["exact_low"], figures["exact_high"])
    assert top1.value == pytest.approx(figures["top1"])
    assert exact.low <= exact.value <= exact.high


def test_errors_of_a_series_are_told_with_their_digits(trained: Any) -> None:
    data, card = trained("gru_forecast")
    rows = dict(map(tuple, train_rows(train_entry(data.parent / "run/model.keras"))))
    assert rows["mse on prices"] == f"{card.metrics[0].value:.4g} (6 items)"
    record = EpochRecord(epoch=1, loss=0.5, val_loss=0.00005, metrics={"direction": 0.0}, seconds=1.0)
    assert epoch_line(record, 2) == "epoch 1/2: loss 0.5000, direction 0.0000; validation loss 5.00e-05; 1.0 s"


def test_words_are_no_more_than_asked_for(tmp_path: Path) -> None:
    data = opinions(tmp_path)
    wanted = {"units": 4, "embedding": 4, "length": 6, "tokens": 5}
    card = open_artifact(train(request("bilstm_sentiment", data, arguments=wanted, epochs=1), tmp_path / "run")).card
    assert card.sequences is not None
    assert card.sequences.text is not None
    assert len(card.sequences.text.vocabulary.tokens) == card.provenance.arguments["tokens"] == 5


def refused(name: str, data: Path | str, folder: Path, **changes: Any) -> str:
    with pytest.raises((DataError, InputError)) as caught:
        train(request(name, data, **changes), folder / "run")
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "make", "needs"),
    [
        ("char_lstm", prices, "a long text: a .txt file, warpeace or shakespeare"),
        ("gru_forecast", book, "a series: a .csv with dates and numbers, prices.csv:Close to choose a column, or "
         "dow_jones"),
        ("bilstm_sentiment", answers, "texts with classes: a .csv with the columns text and label, imdb or "
         "rt_polarity"),
        ("seq2seq", opinions, "texts with answers: a .csv with the columns input and output, sums or number_names"),
    ],
)  # fmt: skip
def test_data_of_another_kind_are_refused(name: str, make: Any, needs: str, tmp_path: Path) -> None:
    data = make(tmp_path)
    assert refused(name, data, tmp_path) == f"{data} is no data for {name}; expected {needs}."


@pytest.mark.parametrize("name", MADE)
def test_none_starts_from_weights(name: str, tmp_path: Path) -> None:
    told = refused(name, MADE[name][0](tmp_path), tmp_path, weights=tmp_path / "w.keras")
    assert told == (
        f"{name} cannot start from weights, which were learned with tokens, scales or an opponent of their own; leave "
        "out --weights."
    )


def test_what_cannot_be_learned_is_refused_in_a_sentence(tmp_path: Path) -> None:
    one = tmp_path / "one.csv"
    one.write_text("text,label\n" + "\n".join(f"good {i},glad" for i in range(9)))
    assert refused("bilstm_sentiment", one, tmp_path) == (
        "one has texts of one class only; expected two or more classes."
    )
    copies = tmp_path / "copies.csv"
    copies.write_text("text,label\n" + "\n".join(f"good,{i % 2}" for i in range(20)))
    assert refused("bilstm_sentiment", copies, tmp_path) == (
        "All 16 texts to learn from are copies of texts that were set aside; add other texts."
    )
    signs = tmp_path / "signs.csv"
    signs.write_text("text,label\n" + "\n".join(f"{'.' * i},{i % 2}" for i in range(1, 20)))
    assert refused("bilstm_sentiment", signs, tmp_path) == (
        "signs has no word in what is to be learned; expected letters or digits."
    )
    signs.write_text("input,output\n" + "\n".join(f"{i},..." for i in range(20)))
    assert refused("vec2seq", signs, tmp_path) == (
        "signs has no word in what is to be learned; expected letters or digits."
    )
    short = tmp_path / "short.txt"
    short.write_text("abcdefghij" * 9)
    assert refused("char_rnn", short, tmp_path) == (
        "The validation part of short has 4 characters; a window takes 9: give a longer text."
    )
    signs = tmp_path / "signs.txt"
    signs.write_text("".join(map(chr, range(0x4E00, 0x4E00 + 2300))))
    assert refused("char_rnn", signs, tmp_path) == (
        "signs has 2,070 different characters; expected 2,000 or fewer: give a text of an alphabet."
    )
    long = tmp_path / "long.csv"
    long.write_text("input,output\n" + "\n".join(f"{'x' * 1001}{i},1" for i in range(9)))
    assert refused("seq2seq", long, tmp_path) == (
        "long has a text of 1,002 characters; expected 1,000 or fewer, which one vector must hold."
    )
    longer = tmp_path / "longer.csv"
    rows = [f"{'x' * 8 if str(i) in _held_out(tmp_path) else 'x'}{i % 10},1" for i in range(80)]
    longer.write_text("input,output\n" + "\n".join(rows))
    assert refused("seq2seq", longer, tmp_path).endswith(
        " of 9 tokens; the longest one that training knows has 2: put it into the training part."
    )


def _held_out(folder: Path) -> set[str]:
    """Which rows of 80 are set aside for the test."""
    halves = read_sequences(find_spec("seq2seq"), str(answers(folder)), None, lambda _: True)
    return {str(item) for item in halves.test}


def test_no_text_is_in_two_parts(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("text,label\n" + "\n".join(f"text {i // 2},{i % 3 % 2}" for i in range(90)))
    division = divided(read_sequences(find_spec("bilstm_sentiment"), str(path), None, lambda _: True), 0.2, 0)
    parts = [set(map(str, part)) for part in (division.training, division.validation, division.test)]
    assert all(not a & b for i, a in enumerate(parts) for b in parts[i + 1 :])
    assert set().union(*parts) == {f"text {i}" for i in range(45)}
    assert len(division.learned) == len(division.training) + len(division.validation)


def test_workers_divide_every_batch_and_no_item_is_forgotten() -> None:
    whole = [chosen.tolist() for chosen, _ in Turns(count=10, batch_size=4, seed=1).of_epoch(3)]
    assert sorted(i for batch in whole for i in batch) == list(range(10))
    halves = [
        [c.tolist() for c, size in Turns(count=10, batch_size=4, seed=1, share=Share(index=i, count=2)).of_epoch(3)]
        for i in range(2)
    ]
    assert [sorted(a + b) for a, b in zip(*halves, strict=True)] == [sorted(batch) for batch in whole]
    assert Turns(count=9, batch_size=4, seed=1, share=Share(index=0, count=2)).steps == 2  # one is too few for two


def test_windows_are_spread_over_the_text_and_others_in_every_epoch() -> None:
    starts = starts_of_epoch(1000, 5, 20, np.random.default_rng(0))
    assert starts.shape == (5, 20)
    assert np.bincount(starts.ravel() // 10, minlength=100).tolist() == [1] * 100
    ids = np.tile(np.arange(3, dtype=np.int32), 40)
    preset = replace(find_spec("char_lstm").presets["small"], batch_size=6, epoch_steps=0)
    lesson = WritingLesson(training=ids, validation=ids, text=ABC, preset=preset, seed=0, share=Share(index=1, count=2))
    assert lesson.steps == 120 // 24
    first, other = (list(lesson.batches(epoch)) for epoch in (1, 2))
    inputs, targets, size = first[0]
    assert (inputs.shape, targets.shape, size) == ((3, 4, 3), (3, 4), 24.0)
    assert np.array_equal(inputs.argmax(axis=-1)[:, 1:], targets[:, :-1])
    assert np.array_equal(targets, (inputs.argmax(axis=-1) + 1) % 3)
    assert any(not np.array_equal(a[0], b[0]) for a, b in zip(first, other, strict=True))


class _Cycle:
    """Foretells that a follows c, b follows a, c follows b, with nine to one, as a model would."""

    def predict_on_batch(self, inputs: Any) -> Any:
        return np.log(np.roll(inputs, 1, axis=-1) * 0.85 + 0.05)


def test_nats_are_the_mean_over_all_characters_of_a_text() -> None:
    found = foretold_text(_Cycle(), np.array([0, 1, 2, 0, 1, 1, 2, 0, 1, 0], np.int32), ABC)
    assert (found.tokens, found.rows, found.exact, found.top1) == (8, 2, 0.5, 0.875)
    assert found.nats == pytest.approx(-(7 * math.log(0.9 / 1.0) + math.log(0.05)) / 8)


def test_an_epoch_sees_another_stretch_of_a_long_text() -> None:
    text = replace(ABC, keep=Side.END, fill=Side.START, vocabulary=replace(ABC.vocabulary, padding=0))
    text = replace(text, encoding=Encoding.INDEX)
    ids = (np.arange(20, dtype=np.int32) % 3, np.array([1], np.int32))
    labelled = Labelled(ids=ids, labels=np.array([0, 1]))
    preset = replace(find_spec("bilstm_sentiment").presets["small"], batch_size=2)
    lesson = OpinionLesson(
        training=labelled, validation=labelled, text=text, classes=2, preset=preset, seed=0, share=Share()
    )
    seen = {row.tobytes() for epoch in range(9) for row in next(lesson.batches(epoch))[0]}
    assert 3 <= len(seen) <= 4  # three stretches of the long one, and the short one filled up
    assert np.array([0, 0, 0, 1], np.int32).tobytes() in seen
    assert np.array_equal(labelled.inputs(text)[0], ids[0][-4:])
    assert encode("abcab", replace(text, vocabulary=vocabulary_of("abc", level=Level.CHARACTER))).tolist() == [
        1,
        2,
        0,
        1,
    ]


def _ends_flat(folder: Path) -> Path:
    path = prices(folder)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-16], *(f"{line.partition(',')[0]},5" for line in lines[-16:])]))
    return path


def test_a_series_that_does_not_change_at_its_end_has_no_ratio(tmp_path: Path) -> None:
    card = open_artifact(train(request("gru_forecast", _ends_flat(tmp_path), epochs=1), tmp_path / "run")).card
    figures = {m.name: m.value for m in card.metrics}
    assert list(figures) == ["mse", "mae", "persistence_mse"]
    assert figures["persistence_mse"] == 0


class _Counting:
    """Gives back the first number of each row, and keeps how many it was given at a time."""

    def __init__(self) -> None:
        self.given: list[int] = []

    def predict_on_batch(self, inputs: Any) -> Any:
        self.given.append(len(inputs))
        return inputs[:, 0]


def test_many_windows_are_judged_in_parts() -> None:
    model, windows = _Counting(), np.arange(2000.0).reshape(1000, 2, 1)
    assert np.array_equal(outputs_of(model, windows), windows[:, 0])
    assert model.given == [256, 256, 256, 232]
    judge = _Counting()
    both = Scaled(windows=windows, following=windows[:, -1])
    preset = find_spec("gru_forecast").presets["small"]
    lesson = ForecastLesson(training=both, validation=both, preset=preset, seed=0, share=Share())
    assert lesson.judge(judge)[0] == 1.0  # it is always one too low
    assert max(judge.given) == 256


def _course(name: str, data: Path, read: Callable[[ModelSpec, str, None], Material]) -> Course:
    spec = find_spec(name)
    material = read(spec, str(data), None)
    terms = Terms(
        preset=spec.presets["small"],
        arguments=spec.resolved({**MADE[name][1], **material.arguments}),
        preprocessing=None,
        seed=0,
        share=Share(),
        progress=silent,
    )
    return material.course(terms)


def test_a_forecaster_does_not_learn_from_what_it_is_judged_on(tmp_path: Path) -> None:
    lesson = _course("gru_forecast", prices(tmp_path), forecast_material).lesson
    assert isinstance(lesson, ForecastLesson)
    values = np.round(100 + 10 * np.sin(np.arange(144) / 5), 3)  # without the test's 16
    cut = 144 - len(lesson.validation.windows) - 10
    assert 100 < cut < 134
    for part, own in ((lesson.training, values[:cut]), (lesson.validation, values[cut:])):
        np.testing.assert_allclose(part.following[:, 0], own[10:] / own[9:-1], rtol=1e-6)


def test_a_writer_does_not_learn_from_what_it_is_judged_on(tmp_path: Path) -> None:
    lesson = _course("char_rnn", book(tmp_path), writing_material).lesson
    assert isinstance(lesson, WritingLesson)
    whole = ("the cat sat on the mat. " * 60)[: 60 * 24 * 9 // 10]
    learned = spell(np.concatenate([lesson.training, lesson.validation]), lesson.text.vocabulary)
    assert learned == whole
    assert 0 < len(lesson.validation) < len(lesson.training)


def test_a_text_counts_as_much_as_its_weight_says() -> None:
    lesson = OpinionLesson(
        training=Labelled(ids=(), labels=np.zeros(0, np.int64)),
        validation=Labelled(ids=(), labels=np.zeros(0, np.int64)),
        text=ABC,
        classes=2,
        preset=find_spec("bilstm_sentiment").presets["small"],
        seed=0,
        share=Share(),
    )
    logits, labels = np.array([[0, 3], [0, 1]], np.float32), np.array([0, 0], np.int32)
    loss, right = lesson.loss(logits, labels, np.array([0.5, 2], np.float32))
    assert float(loss) == pytest.approx(0.5 * math.log(1 + math.exp(3)) + 2 * math.log(1 + math.exp(1)), rel=1e-5)
    assert int(right) == 0


def test_words_are_left_out_as_a_whole() -> None:
    from edgekit.models.build import build

    model = build(find_spec("bilstm_sentiment"), units=4, embedding=8, length=40, tokens=9, word_dropout=0.5)
    kept = np.asarray(model.get_layer("word_dropout")(np.ones((1, 40, 8), np.float32), training=True))[0] > 0
    assert np.array_equal(kept.any(axis=1), kept.all(axis=1))
    assert 5 < kept[:, 0].sum() < 35


@pytest.mark.parametrize("optimizer", Optimizer)
def test_gradients_are_clipped_where_the_preset_says(optimizer: Optimizer) -> None:
    preset = replace(find_spec("char_rnn").presets["small"], optimizer=optimizer, clip=2.5)
    assert optimizer_for(preset, phases(preset)[0], 5).global_clipnorm == 2.5
    assert optimizer_for(replace(preset, clip=0.0), phases(preset)[0], 5).global_clipnorm is None
